// Exchange and reduction among the threads of a block, in fixed trees.
#pragma once

#include "kernels/cuda/warp.cuh"

namespace tidu::cuda {

// Values in shared memory, word by word, so that neighbouring threads never meet in a bank.
template <class A, int count> struct Staged {
  uint32_t plane[Words<A>::count][count];

  __device__ __forceinline__ void put(int i, const A& value) {
    const Words<A> words(value);
#pragma unroll
    for (int w = 0; w < Words<A>::count; ++w) plane[w][i] = words.word[w];
  }
  __device__ __forceinline__ A get(int i) const {
    Words<A> words;
#pragma unroll
    for (int w = 0; w < Words<A>::count; ++w) words.word[w] = plane[w][i];
    return words.value();
  }
};

// Room for what the warps of a block exchange.
template <class A> using WarpStage = Staged<A, kWarp>;

// Reduces over all threads of the block, whose warps are a power of two in number; every thread gets the
// result. The stage serves one call.
template <class Op, class A> __device__ __forceinline__ A block_reduce(A value, WarpStage<A>& stage) {
  const int warps = static_cast<int>(blockDim.x) / kWarp, thread = static_cast<int>(threadIdx.x);
  value = warp_reduce<Op>(value, kWarp);
  if (thread % kWarp == 0) stage.put(thread / kWarp, value);
  __syncthreads();
  return warp_reduce<Op>(stage.get(thread & (warps - 1)), warps);
}

// Reduces down the columns of `height` rows of `width` threads each, the threads numbered along the rows: the
// first row gets the results. The threads beyond have no value. The stage holds one value a thread and serves
// again after a barrier.
template <class Op, class A, int threads>
__device__ __forceinline__ A column_reduce(A value, int width, int height, Staged<A, threads>& stage) {
  const int thread = static_cast<int>(threadIdx.x), y = thread / width;
  stage.put(thread, value);
  int below = 1;
  while (below < height) below *= 2;
  for (below /= 2; below > 0; below /= 2) {
    __syncthreads();
    if (y >= below || y + below >= height) continue;
    value = Op::combine(value, stage.get(thread + below * width));
    stage.put(thread, value);
  }
  return value;
}

// The same, and every thread gets the result of its column.
template <class Op, class A, int threads>
__device__ __forceinline__ A column_reduce_all(A value, int width, int height, Staged<A, threads>& stage) {
  column_reduce<Op>(value, width, height, stage);
  __syncthreads();
  const A result = stage.get(static_cast<int>(threadIdx.x) % width);
  __syncthreads();
  return result;
}

}  // namespace tidu::cuda
