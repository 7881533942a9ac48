// Source lines of addresses in this plug-in.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tidu::simt {

// The bytes of the loaded file that this code is part of: a plug-in or a test program.
struct Image {
  const char* base;
  size_t bytes;

  bool holds(const void* p) const { return static_cast<size_t>(static_cast<const char*>(p) - base) < bytes; }
};
const Image& image();

// "kernels/cuda/softmax.cu:57" for each return address: the line of the kernel's own source that the call
// came from, past what was inlined from the portability layer. "?" where debugging information is missing.
std::vector<std::string> source_lines(const std::vector<const void*>& return_addresses);
std::string source_line(const void* return_address);

}  // namespace tidu::simt
