// Small kernels as one, in which one block does the work of each, one after another, or blocks side by side.
#pragma once

#include <span>

#include "backend/cuda/gpu.h"
#include "kernels/cuda/part.h"

namespace tidu::cuda {

// A kernel for some parts, with its argument. A text is compiled once, and does not depend on where operands
// lie or how many elements they have.
class Joined {
 public:
  Joined(std::span<const Part> parts, bool side_by_side, int device);
  // In the order of the thread's current stream.
  void launch(Gpu& gpu) const;

  // Whether there are such kernels with a part, and with all of them.
  static bool takes(const Part& part);
  static bool takes_all(std::span<const Part> parts, bool side_by_side);

  static std::string text_of(std::span<const Part> parts, bool side_by_side);

 private:
  cudaKernel_t kernel_;
  std::vector<std::byte> argument_;
  unsigned blocks_ = 1, threads_;
  size_t shared_bytes_ = 0;
};

}  // namespace tidu::cuda
