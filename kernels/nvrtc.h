// What is called of NVRTC, NVIDIA's compiler as a library: a table, because it is looked for when it is first
// needed, and because the SIMT runtime has another one (csrc/simt/libraries/nvrtc.cpp).
#pragma once

#include <cstddef>

namespace tidu {

// Each returns 0 for success.
struct Nvrtc {
  using Program = void*;

  int (*version)(int* major, int* minor) = nullptr;
  int (*architecture_count)(int* count) = nullptr;
  int (*architectures)(int* numbers) = nullptr;  // 90 for sm_90
  int (*create)(Program* program, const char* text, const char* name, int headers,
                const char* const* header_texts, const char* const* header_names) = nullptr;
  int (*destroy)(Program* program) = nullptr;
  int (*compile)(Program program, int count, const char* const* options) = nullptr;
  int (*log_size)(Program program, size_t* size) = nullptr;
  int (*log)(Program program, char* text) = nullptr;
  int (*code_size)(Program program, size_t* size) = nullptr;
  int (*code)(Program program, char* code) = nullptr;
};

}  // namespace tidu
