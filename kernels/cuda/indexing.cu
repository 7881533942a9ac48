// Taking and adding slices at indices.
#include "kernels/cuda/indexing.h"

#include "kernels/convert.h"
#include "kernels/cuda/fault.cuh"
#include "kernels/cuda/map.cuh"
#include "kernels/scalar.h"

namespace tidu::cuda {
namespace {

constexpr int kThreads = 256;

// The index at p in [0, size), or -1.
__device__ __forceinline__ int64_t read_index(const IndexedAxis& axis, const int64_t* p) {
  const int64_t index = *p;
  if (index >= 0 && index < axis.size) return index;
  if (index < 0 && index >= -axis.size) return index + axis.size;
  report_fault(axis.fault, p - axis.indices, index, axis.size);
  return -1;
}

struct Take {
  Loop loop;
  IndexedAxis axis;
  int64_t axis_stride;
};

template <class Word, int n> __device__ __forceinline__ void take_at(const Take& take, uint32_t i) {
  int64_t at[3];
  locate<3, n>(take.loop, i, at);
  const int64_t index = read_index(take.axis, static_cast<const int64_t*>(take.loop.data[1]) + at[1]);
  Vec<Word, n> v = {};
  if (index >= 0)
    v = load_vec<n>(static_cast<const Word*>(take.loop.data[0]) + at[0] + index * take.axis_stride);
  store_vec<n>(static_cast<Word*>(take.loop.data[2]) + at[2], v);
}

template <class Word>
__global__ void __launch_bounds__(kThreads) take_kernel(const __grid_constant__ Take take) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (take.loop.vectors > 0) {
    if (i < take.loop.vectors) take_at<Word, kVec<Word>>(take, i);
  } else if (i < take.loop.count) {
    take_at<Word, 1>(take, i);
  }
}

// Whether vectors of n elements can be moved of operands `from` and `to`, the other one staying where it is.
bool vectorise_slices(Loop& loop, int n, int fixed, const size_t (&sizes)[3]) {
  const uint32_t inner = loop.rank == 1 ? loop.count : loop.extent[0].value();
  if (loop.stride[fixed][0] != 0 || inner % static_cast<uint32_t>(n) != 0) return false;
  for (int k = 0; k < 3; ++k) {
    if (k != fixed && loop.stride[k][0] != 1) return false;
  }
  vectorise(loop, n, {sizes[0], sizes[1], sizes[2]});
  return loop.vectors > 0;
}

template <class Word>
cudaError_t take_words(cudaStream_t stream, const Loop& loop, const IndexedAxis& axis, int64_t axis_stride) {
  Take take{loop, axis, axis_stride};
  if (axis_stride % kVec<Word> == 0)
    vectorise_slices(take.loop, kVec<Word>, 1, {sizeof(Word), 8, sizeof(Word)});
  const uint32_t threads = take.loop.vectors > 0 ? take.loop.vectors : take.loop.count;
  return launch<take_kernel<Word>>({ceil_divide(threads, kThreads), kThreads, 0, stream}, take);
}

__global__ void __launch_bounds__(kThreads)
    number_indices_kernel(const __grid_constant__ IndexedAxis axis, uint64_t* keys, int64_t* positions,
                          int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const int64_t index = read_index(axis, axis.indices + i);
  keys[i] = static_cast<uint64_t>(index >= 0 ? index : axis.size);
  positions[i] = i;
}

__global__ void __launch_bounds__(kThreads)
    find_starts_kernel(const uint64_t* keys, int64_t count, int64_t* starts, int64_t size) {
  const int64_t r = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (r > size) return;
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (keys[middle] < static_cast<uint64_t>(r)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  starts[r] = low;
}

// Elements that a thread sums at once.
template <class T> constexpr int kSums = sizeof(T) < 4 ? 4 : kVec<T>;

struct Segments {
  Loop loop;
  const int64_t* positions;
  int64_t position_stride;
};

template <class T, int n> __device__ __forceinline__ void sum_at(const Segments& segments, uint32_t i) {
  using C = Computed<T>;
  int64_t at[3];
  locate<3, n>(segments.loop, i, at);
  const int64_t* starts = static_cast<const int64_t*>(segments.loop.data[0]) + at[0];
  const T* x = static_cast<const T*>(segments.loop.data[1]) + at[1];
  C sum[n] = {};
  const int64_t end = starts[1];
#pragma unroll 4
  for (int64_t s = starts[0]; s < end; ++s) {
    const Vec<T, n> v = load_vec<n>(x + segments.positions[s] * segments.position_stride);
#pragma unroll
    for (int j = 0; j < n; ++j) sum[j] = scalar::add(sum[j], static_cast<C>(v[j]));
  }
  Vec<T, n> y;
#pragma unroll
  for (int j = 0; j < n; ++j) y[j] = static_cast<T>(sum[j]);
  store_vec<n>(static_cast<T*>(segments.loop.data[2]) + at[2], y);
}

template <class T>
__global__ void __launch_bounds__(kThreads, 4)
    sum_segments_kernel(const __grid_constant__ Segments segments) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (segments.loop.vectors > 0) {
    if (i < segments.loop.vectors) sum_at<T, kSums<T>>(segments, i);
  } else if (i < segments.loop.count) {
    sum_at<T, 1>(segments, i);
  }
}

template <class T>
cudaError_t sum_segments_of(cudaStream_t stream, const Loop& loop, const int64_t* positions,
                            int64_t position_stride) {
  Segments segments{loop, positions, position_stride};
  constexpr int n = kSums<T>;
  if (position_stride % n == 0) vectorise_slices(segments.loop, n, 0, {8, sizeof(T), sizeof(T)});
  const uint32_t threads = segments.loop.vectors > 0 ? segments.loop.vectors : segments.loop.count;
  return launch<sum_segments_kernel<T>>({ceil_divide(threads, kThreads), kThreads, 0, stream}, segments);
}

unsigned blocks_for(int64_t count) { return static_cast<unsigned>((count + kThreads - 1) / kThreads); }

}  // namespace

cudaError_t take(cudaStream_t stream, size_t element, const Loop& loop, const IndexedAxis& axis,
                 int64_t axis_stride) {
  switch (element) {
    case 1: return take_words<uint8_t>(stream, loop, axis, axis_stride);
    case 2: return take_words<uint16_t>(stream, loop, axis, axis_stride);
    case 4: return take_words<uint32_t>(stream, loop, axis, axis_stride);
    default: return take_words<uint64_t>(stream, loop, axis, axis_stride);
  }
}

cudaError_t number_indices(cudaStream_t stream, const IndexedAxis& axis, uint64_t* keys, int64_t* positions,
                           int64_t count) {
  return launch<number_indices_kernel>({blocks_for(count), kThreads, 0, stream}, axis, keys, positions,
                                       count);
}

cudaError_t find_starts(cudaStream_t stream, const uint64_t* keys, int64_t count, int64_t* starts,
                        int64_t size) {
  return launch<find_starts_kernel>({blocks_for(size + 1), kThreads, 0, stream}, keys, count, starts, size);
}

cudaError_t sum_segments(cudaStream_t stream, DType dtype, const Loop& loop, const int64_t* positions,
                         int64_t position_stride) {
  return visit_dtype(dtype, [&]<class T>() {
    return sum_segments_of<Wrapping<T>>(stream, loop, positions, position_stride);
  });
}

}  // namespace tidu::cuda
