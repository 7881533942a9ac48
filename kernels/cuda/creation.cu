// Filling new arrays.
#include "kernels/cuda/creation.h"

#include <math.h>

#include "kernels/convert.h"
#include "kernels/cuda/generate.cuh"

namespace tidu::cuda {
namespace {

template <class Word> struct Constant {
  Word value;
  __device__ Vec<Word, kVec<Word>> operator()(int64_t) const {
    Vec<Word, kVec<Word>> v;
#pragma unroll
    for (int j = 0; j < kVec<Word>; ++j) v[j] = value;
    return v;
  }
};

template <class Word, class T> cudaError_t fill(cudaStream_t stream, T value, void* y, int64_t count) {
  Constant<Word> constant;
  memcpy(&constant.value, &value, sizeof value);
  return generate<Word, kVec<Word>>(stream, constant, static_cast<Word*>(y), count);
}

template <class T> struct Range {
  Number start, step;
  __device__ Vec<T, kVec<T>> operator()(int64_t v) const {
    Vec<T, kVec<T>> y;
#pragma unroll
    for (int j = 0; j < kVec<T>; ++j) {
      const int64_t i = v * kVec<T> + j;
      y[j] = start.real ? convert<T>(::fma(static_cast<double>(i), step.floating, start.floating))
                        : convert<T>(static_cast<int64_t>(static_cast<uint64_t>(start.integer) +
                                                          static_cast<uint64_t>(i) *
                                                              static_cast<uint64_t>(step.integer)));
    }
    return y;
  }
};

}  // namespace

cudaError_t full(cudaStream_t stream, Number value, DType dtype, void* y, int64_t count) {
  return visit_dtype(dtype, [&]<class T>() {
    const T element = value.real ? convert<T>(value.floating) : convert<T>(value.integer);
    if constexpr (sizeof(T) == 1) return fill<uint8_t>(stream, element, y, count);
    if constexpr (sizeof(T) == 2) return fill<uint16_t>(stream, element, y, count);
    if constexpr (sizeof(T) == 4) return fill<uint32_t>(stream, element, y, count);
    if constexpr (sizeof(T) == 8) return fill<uint64_t>(stream, element, y, count);
  });
}

cudaError_t arange(cudaStream_t stream, Number start, Number step, DType dtype, void* y, int64_t count) {
  return visit_dtype(dtype, [&]<class T>() {
    return generate<T, kVec<T>>(stream, Range<T>{start, step}, static_cast<T*>(y), count);
  });
}

}  // namespace tidu::cuda
