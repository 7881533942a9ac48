// From a Group the text of its kernels, and the argument that they are launched with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/group.h"

namespace tidu::cuda {

inline constexpr int kGroupThreads = 256;     // of a block
inline constexpr size_t kMaxArgument = 4096;  // bytes that every GPU takes

struct Generated {
  // An address among the bytes of the argument: of the group's input or output `index`.
  struct Address {
    size_t offset;
    int index;
  };

  // CUDA C++ (kernels/cuda/group.cuh) with two kernels, NAME_vectors and NAME_elements. It does not depend on
  // extents, on numbers or on how long strides are, so that groups of other sizes share it.
  std::string text, name;
  std::string definition;  // of the struct Group in it, which is of all that is loaded, computed and stored
  // Of a group with a product there is no text until it is known how that is computed: product_text(). Its
  // argument begins with a Product, of kProductBytes.
  bool product = false;
  int64_t count = 0;  // elements of the loop
  // How many a thread does of each kernel. One of NAME_vectors does neighbours at once, if all the addresses
  // in `together` are multiples of `alignment` elements; where no vectors are possible there is no such
  // kernel, and this is 1.
  int vector = 1, apart = 1;
  struct Together {
    Address address;
    size_t alignment;  // in bytes
  };
  std::vector<Together> together;
  std::vector<std::byte> argument;
  std::vector<Address> inputs, outputs;
};

// Nothing where no kernel is made of such a group: of reductions, or of more steps than a kernel should have.
std::optional<Generated> generate(const Group& group);

// With one kernel, NAME: of a group with a product, whose tiles a function of TiledProduct computes.
std::string product_text(const Generated& made, const std::string& function, unsigned threads);

// What does the work of NAME_vectors or NAME_elements ("vectors", "elements") with n elements a thread: the
// name of a function whose argument is Group::Arguments.
std::string function_of(const char* form, int n);

// "[group] multiply, add, tanh of float32(128, 784)": for messages.
std::string describe(const Group& group);

}  // namespace tidu::cuda
