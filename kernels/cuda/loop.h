// How kernels walk tensors of any layout: a loop over the dimensions that its operands share, as the host
// makes it (csrc/backend/cuda/loops.h) and a launch passes it.
#pragma once

#include <cuda_runtime.h>

#include <initializer_list>

#include "kernels/types.h"

namespace tidu::cuda {

inline constexpr int kMaxDims = 12, kMaxOperands = 4;

constexpr uint32_t ceil_divide(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// Divides numbers below 2^31 by one that is known at launch: a multiplication and a shift (T. Granlund, P. L.
// Montgomery, "Division by invariant integers using multiplication", PLDI 1994).
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(uint32_t value) : value_(value) {
    while (uint32_t{1} << shift_ < value) ++shift_;
    multiplier_ = static_cast<uint32_t>((((uint64_t{1} << shift_) - value) << 32) / value + 1);
  }

  TIDU_HD uint32_t value() const { return value_; }
  TIDU_HD uint32_t quotient(uint32_t n) const {
    return (static_cast<uint32_t>(static_cast<uint64_t>(n) * multiplier_ >> 32) + n) >> shift_;
  }

 private:
  uint32_t value_ = 1, multiplier_ = 1, shift_ = 0;
};

// The most elements of one launch, so that their numbers and those of threads stay below 2^31; offsets have
// 64 bits.
inline constexpr int64_t kMaxLaunch = (int64_t{1} << 31) - (int64_t{1} << 20);

struct Loop {
  uint32_t count = 0;  // elements
  // How many times n elements lie side by side in every operand, so that one access moves them; 0 where they
  // do not. The innermost extent then counts these vectors. Only a loop of rank 1 has elements beyond them.
  uint32_t vectors = 0;
  int rank = 1;
  Divisor extent[kMaxDims];  // the innermost first
  int64_t stride[kMaxOperands][kMaxDims] = {};
  void* data[kMaxOperands] = {};  // the inputs, then the output
  // An input without data is a number, the same for every element. Those beyond the operands are the
  // parameters of the function: doubles, until the kernel's launch converts them to what it computes in.
  alignas(8) char number[kMaxOperands][16] = {};

  template <class T> TIDU_HD T number_of(int k) const {
    T x;
    memcpy(&x, number[k], sizeof x);
    return x;
  }
  double* parameters(int operands) { return reinterpret_cast<double*>(number[operands]); }
};

// The offsets, in elements, of the first operands at element i, or with n > 1 at vector i.
template <int operands, int n = 1>
TIDU_HD inline void locate(const Loop& loop, uint32_t i, int64_t (&offset)[operands]) {
  for (int k = 0; k < operands; ++k) offset[k] = 0;
  int64_t unit = n;
  for (int d = 0; d + 1 < loop.rank; ++d) {
    const uint32_t next = loop.extent[d].quotient(i);
    const int64_t at = (i - next * loop.extent[d].value()) * unit;
    for (int k = 0; k < operands; ++k) offset[k] += at * loop.stride[k][d];
    i = next;
    unit = 1;
  }
  for (int k = 0; k < operands; ++k) offset[k] += i * unit * loop.stride[k][loop.rank - 1];
}

// Lets a thread move n elements of each operand at once where the layout allows it: along the innermost
// dimension each operand either runs through memory, from addresses that are multiples of n elements, or
// stays where it is. `sizes` are those of the operands' elements.
inline void vectorise(Loop& loop, int n, std::initializer_list<size_t> sizes) {
  const uint32_t inner = loop.rank == 1 ? loop.count : loop.extent[0].value();
  bool possible = n > 1 && (loop.rank == 1 || inner % static_cast<uint32_t>(n) == 0);
  int k = 0;
  for (const size_t size : sizes) {
    const int64_t* stride = loop.stride[k];
    if (stride[0] != 0) {
      possible &= stride[0] == 1 && reinterpret_cast<uintptr_t>(loop.data[k]) % (size * n) == 0;
      for (int d = 1; d < loop.rank; ++d) possible &= stride[d] % n == 0;
    }
    ++k;
  }
  if (!possible) return;
  loop.vectors = loop.count / static_cast<uint32_t>(n);
  if (loop.rank > 1) loop.extent[0] = Divisor(inner / static_cast<uint32_t>(n));
}

// Computes over a loop; the last operand is the output.
using LoopFunction = cudaError_t (*)(cudaStream_t stream, const Loop& loop);

}  // namespace tidu::cuda
