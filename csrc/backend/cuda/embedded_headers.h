// The headers that kernels compiled at run time include: an installed library has no others. The build writes
// them into this library (cmake/embed_headers.cmake).
#pragma once

#include <span>

namespace tidu::cuda {

struct EmbeddedHeader {
  const char* name;  // "kernels/scalar.h"
  const char* text;
};
std::span<const EmbeddedHeader> embedded_headers();

}  // namespace tidu::cuda
