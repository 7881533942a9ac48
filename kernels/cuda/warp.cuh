// Exchange and reduction among the lanes of a warp, for values of any number of 32-bit words.
#pragma once

#include <cstring>

#include "kernels/cuda/portable.h"

namespace tidu::cuda {

template <class A> struct Words {
  static constexpr int count = (sizeof(A) + 3) / 4;

  uint32_t word[count];

  __device__ __forceinline__ explicit Words(const A& value) {
    if constexpr (sizeof(A) % 4 != 0) word[count - 1] = 0;
    memcpy(word, &value, sizeof(A));
  }
  __device__ __forceinline__ Words() {}
  __device__ __forceinline__ A value() const {
    A result;
    memcpy(&result, word, sizeof(A));
    return result;
  }
};

// The value of the lane whose number differs in the bits `lanes`. All lanes of the warp call it.
template <class A> __device__ __forceinline__ A shuffle_xor(const A& value, int lanes) {
  Words<A> words(value);
#pragma unroll
  for (uint32_t& word : words.word) word = __shfl_xor_sync(kFullMask, word, lanes);
  return words.value();
}

// The value of the lane `lanes` below; below them the lane's own. All lanes of the warp call it.
template <class A> __device__ __forceinline__ A shuffle_up(const A& value, int lanes) {
  Words<A> words(value);
#pragma unroll
  for (uint32_t& word : words.word) word = __shfl_up_sync(kFullMask, word, lanes);
  return words.value();
}

// Reduces over each group of `width` neighbouring lanes, a power of two: neighbours first, so that the tree
// is the same on every run. Every lane gets the result.
template <class Op, class A> __device__ __forceinline__ A warp_reduce(A value, int width) {
  for (int lanes = 1; lanes < width; lanes *= 2) value = Op::combine(value, shuffle_xor(value, lanes));
  return value;
}

}  // namespace tidu::cuda
