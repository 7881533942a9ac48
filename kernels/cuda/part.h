// Kernels whose work other kernels can do as a part of theirs: what is noted of their launches, from which a
// text with several of them, one after another or side by side, is made (csrc/backend/cuda/join.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tidu::cuda {

struct Part {
  std::string header,
      definition;                 // what declares the function: a file in kernels/cuda, or C++ in a namespace
  std::string call;               // what a block does: "reduce_rows<..>(block, pass)"
  std::string pass_type;          // of `pass` ..
  std::vector<std::byte> pass{};  // .. which is this
  unsigned blocks = 0, threads = 0;
  size_t shared_bytes = 0;  // of dynamic shared memory
};

// Where this thread's launches of such kernels are noted, or null.
std::vector<Part>*& noted_parts();

// A type as C++ spells it.
template <class T> std::string spelled() {
  const std::string_view text = __PRETTY_FUNCTION__;
  size_t begin = text.find("T = ") + 4;
  if (begin < 4) begin = text.find("T=") + 2;
  return std::string(text.substr(begin, text.find_first_of(";]", begin) - begin));
}

}  // namespace tidu::cuda
