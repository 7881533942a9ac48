// Reading and writing at places that tensors of indices name.
#include "kernels/cuda/indexing.h"

#include <algorithm>

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
  report_fault(axis.fault, p - axis.indices, index, axis.size, axis.axis);
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

// Whether vectors of n elements can be moved of all operands but one, which stays where it is.
template <size_t operands>
bool vectorise_slices(Loop& loop, int n, int fixed, const size_t (&sizes)[operands]) {
  const uint32_t inner = loop.rank == 1 ? loop.count : loop.extent[0].value();
  if (loop.stride[fixed][0] != 0 || inner % static_cast<uint32_t>(n) != 0) return false;
  for (int k = 0; k < static_cast<int>(operands); ++k) {
    if (k != fixed && loop.stride[k][0] != 1) return false;
  }
  if constexpr (operands == 3) {
    vectorise(loop, n, {sizes[0], sizes[1], sizes[2]});
  } else {
    vectorise(loop, n, {sizes[0], sizes[1], sizes[2], sizes[3]});
  }
  return loop.vectors > 0;
}

template <class Word>
cudaError_t take_words(cudaStream_t stream, const Loop& loop, const IndexedAxis& axis, int64_t axis_stride) {
  Take take{loop, axis, axis_stride};
  if (axis_stride % kVec<Word> == 0)
    vectorise_slices<3>(take.loop, kVec<Word>, 1, {sizeof(Word), 8, sizeof(Word)});
  const uint32_t threads = take.loop.vectors > 0 ? take.loop.vectors : take.loop.count;
  return launch<take_kernel<Word>>({ceil_divide(threads, kThreads), kThreads, 0, stream}, take);
}

// How far place i lies after the lowest one, or kNowhere.
__device__ __forceinline__ int64_t locate_place(const NamedPlaces& places, int64_t i) {
  int64_t offset = 0;
  bool wrong = false;
  const auto add = [&](int64_t at, int64_t extent, int64_t stride) {
    offset += stride >= 0 ? at * stride : (extent - 1 - at) * -stride;
  };
#pragma unroll 1
  for (int k = 0; k < places.indices; ++k) {
    const IndexedAxis& axis = places.index[k];
    const int64_t index = read_index(axis, axis.indices + i);
    wrong |= index < 0;
    add(index, axis.size, places.stride[k]);
  }
#pragma unroll 1
  for (int k = 0; k < places.shared; ++k)
    add(i / places.inside[k] % places.extent[k], places.extent[k], places.shared_stride[k]);
  return wrong ? kNowhere : offset;
}

__global__ void __launch_bounds__(kThreads)
    locate_places_kernel(const __grid_constant__ NamedPlaces places, int64_t count, int64_t* offsets) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) offsets[i] = locate_place(places, i);
}

template <class Key, class Position>
__global__ void __launch_bounds__(kThreads)
    number_places_kernel(const __grid_constant__ NamedPlaces places, int64_t count, Key* keys,
                         Position* positions, unsigned* failed) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const int64_t offset = locate_place(places, i);
  if (offset < 0) atomicOr(failed, 1u);
  keys[i] = offset < 0 ? 0 : static_cast<Key>(offset);
  positions[i] = static_cast<Position>(i);
}

struct Scatter {
  Loop loop;
  SortedPlaces places;
};

__device__ __forceinline__ uint64_t key_at(const Keys& keys, int64_t i) {
  return keys.wide ? static_cast<const uint64_t*>(keys.keys)[i] : static_cast<const uint32_t*>(keys.keys)[i];
}
__device__ __forceinline__ int64_t position_at(const Keys& keys, int64_t i) {
  return keys.wide ? static_cast<const int64_t*>(keys.positions)[i]
                   : static_cast<const uint32_t*>(keys.positions)[i];
}

struct Put {
  template <class T, int n>
  static __device__ __forceinline__ void apply(const SortedPlaces& places, int64_t i, const T* updates, T* y,
                                               int64_t) {
    const uint64_t key = key_at(places.keys, i);
    if (i + 1 < places.count && key_at(places.keys, i + 1) == key) return;
    store_vec(y + key, load_vec<n>(updates + position_at(places.keys, i) * places.step));
  }
};

struct Add {
  template <class T> static __device__ __forceinline__ T of(T a, T b) { return scalar::add(a, b); }
};
struct Multiply {
  template <class T> static __device__ __forceinline__ T of(T a, T b) { return scalar::multiply(a, b); }
};
struct Minimum {
  template <class T> static __device__ __forceinline__ T of(T a, T b) { return scalar::minimum(a, b); }
};
struct Maximum {
  template <class T> static __device__ __forceinline__ T of(T a, T b) { return scalar::maximum(a, b); }
};

template <class C, int n, class T> __device__ __forceinline__ void load_computed(const T* p, C (&result)[n]) {
  const Vec<T, n> v = load_vec<n>(p);
#pragma unroll
  for (int j = 0; j < n; ++j) result[j] = static_cast<C>(v[j]);
}
template <class C, int n, class T>
__device__ __forceinline__ void store_computed(T* p, const C (&result)[n]) {
  Vec<T, n> v;
#pragma unroll
  for (int j = 0; j < n; ++j) v[j] = static_cast<T>(result[j]);
  store_vec(p, v);
}

// Combines with the updates from i on that go to the place of `key`, to the end of the chunk, where it
// returns.
template <class F, class C, int n, class T>
__device__ __forceinline__ int64_t combine_chunk(const SortedPlaces& places, uint64_t key, int64_t i,
                                                 int64_t end, const T* updates, C (&result)[n]) {
#pragma unroll 4
  for (; i < end && key_at(places.keys, i) == key; ++i) {
    C update[n];
    load_computed(updates + position_at(places.keys, i) * places.step, update);
#pragma unroll
    for (int j = 0; j < n; ++j) result[j] = F::of(result[j], update[j]);
  }
  return i;
}

__device__ __forceinline__ int64_t end_of_chunk(const SortedPlaces& places, int64_t i) {
  const int64_t end = (i / kChunk + 1) * kChunk;
  return end < places.count ? end : places.count;
}

// The thread of the first update of a place treats all of that place.
template <class F> struct CombineWith {
  template <class T, int n>
  static __device__ __forceinline__ void apply(const SortedPlaces& places, int64_t i, const T* updates, T* y,
                                               int64_t column) {
    using C = Computed<T>;
    const uint64_t key = key_at(places.keys, i);
    if (i > 0 && key_at(places.keys, i - 1) == key) return;
    C result[n];
    load_computed(y + key, result);
    const bool in_chunks = places.sums != nullptr;
    i = combine_chunk<F>(places, key, i, in_chunks ? end_of_chunk(places, i) : places.count, updates, result);
    if (in_chunks && i % kChunk == 0) {
      for (; i < places.count && key_at(places.keys, i) == key; i += kChunk) {
        C sum[n];
        load_computed(static_cast<const C*>(places.sums) + i / kChunk * places.width + column, sum);
#pragma unroll
        for (int j = 0; j < n; ++j) result[j] = F::of(result[j], sum[j]);
      }
    }
    store_computed(y + key, result);
  }
};

// Elements that a thread treats at once.
template <class T> constexpr int kGroup = sizeof(T) < 4 ? 4 : kVec<T>;

// Which of the sorted keys operand 0 of a loop, moved by `at`, is.
__device__ __forceinline__ int64_t number_of_key(const Scatter& scatter, int64_t at) {
  const int64_t size = scatter.places.keys.wide ? sizeof(uint64_t) : sizeof(uint32_t);
  const auto first = static_cast<const char*>(scatter.loop.data[0]);
  return (first - static_cast<const char*>(scatter.places.keys.keys)) / size + at;
}

template <class F, class T, int n>
__device__ __forceinline__ void scatter_at(const Scatter& scatter, uint32_t thread) {
  int64_t at[4];
  locate<4, n>(scatter.loop, thread, at);
  const int64_t i = number_of_key(scatter, at[0]);
  const auto first = static_cast<const Computed<T>*>(scatter.loop.data[3]);
  const int64_t column =
      first - static_cast<const Computed<T>*>(scatter.places.sums) + at[3] - i * scatter.places.width;
  F::template apply<T, n>(scatter.places, i, static_cast<const T*>(scatter.loop.data[1]) + at[1],
                          static_cast<T*>(scatter.loop.data[2]) + at[2], column);
}

template <class F, class T>
__global__ void __launch_bounds__(kThreads, 4) scatter_kernel(const __grid_constant__ Scatter scatter) {
  if (*scatter.places.failed) return;
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (scatter.loop.vectors > 0) {
    if (i < scatter.loop.vectors) scatter_at<F, T, kGroup<T>>(scatter, i);
  } else if (i < scatter.loop.count) {
    scatter_at<F, T, 1>(scatter, i);
  }
}

size_t size_of_key(const SortedPlaces& places) { return places.keys.wide ? 8 : 4; }

template <class F, class T>
cudaError_t scatter(cudaStream_t stream, const Loop& loop, const SortedPlaces& places) {
  Scatter scatter{loop, places};
  constexpr int n = kGroup<T>;
  if (places.aligned && places.step % n == 0)
    vectorise_slices<4>(scatter.loop, n, 0, {size_of_key(places), sizeof(T), sizeof(T), sizeof(Computed<T>)});
  const uint32_t threads = scatter.loop.vectors > 0 ? scatter.loop.vectors : scatter.loop.count;
  return launch<scatter_kernel<F, T>>({ceil_divide(threads, kThreads), kThreads, 0, stream}, scatter);
}

template <class T, int n>
__device__ __forceinline__ void sum_chunk_at(const Scatter& chunks, uint32_t thread) {
  const SortedPlaces& places = chunks.places;
  int64_t at[3];
  locate<3, n>(chunks.loop, thread, at);
  const int64_t i = number_of_key(chunks, at[0]);
  const uint64_t key = key_at(places.keys, i);
  if (i == 0 || key_at(places.keys, i - 1) != key) return;
  const T* updates = static_cast<const T*>(chunks.loop.data[1]) + at[1];
  Computed<T> sum[n];
  load_computed(updates + position_at(places.keys, i) * places.step, sum);
  combine_chunk<Add>(places, key, i + 1, end_of_chunk(places, i), updates, sum);
  store_computed(static_cast<Computed<T>*>(chunks.loop.data[2]) + at[2], sum);
}

template <class T>
__global__ void __launch_bounds__(kThreads, 4) sum_chunks_kernel(const __grid_constant__ Scatter chunks) {
  if (*chunks.places.failed) return;
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (chunks.loop.vectors > 0) {
    if (i < chunks.loop.vectors) sum_chunk_at<T, kGroup<T>>(chunks, i);
  } else if (i < chunks.loop.count) {
    sum_chunk_at<T, 1>(chunks, i);
  }
}

template <class F>
cudaError_t combine(cudaStream_t stream, DType dtype, const Loop& loop, const SortedPlaces& places) {
  return visit_dtype(dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, bool>) {
      return cudaErrorInvalidValue;
    } else if constexpr (std::is_same_v<F, Add> || std::is_same_v<F, Multiply>) {
      return scatter<CombineWith<F>, Wrapping<T>>(stream, loop, places);
    } else {
      return scatter<CombineWith<F>, T>(stream, loop, places);
    }
  });
}

struct Extents {
  int64_t of[kMaxDims];
};

__global__ void __launch_bounds__(kThreads)
    unravel_kernel(const int64_t* positions, int64_t count, const __grid_constant__ Extents extents, int rank,
                   int64_t* coordinates) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  int64_t position = positions[i];
#pragma unroll 1
  for (int d = rank - 1; d >= 0; --d) {
    coordinates[d * count + i] = position % extents.of[d];
    position /= extents.of[d];
  }
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

cudaError_t locate_places(cudaStream_t stream, const NamedPlaces& places, int64_t count, int64_t* offsets) {
  return launch<locate_places_kernel>({blocks_for(count), kThreads, 0, stream}, places, count, offsets);
}

cudaError_t number_places(cudaStream_t stream, const NamedPlaces& places, int64_t count, const Keys& keys,
                          unsigned* failed) {
  const Grid grid(blocks_for(count), kThreads, 0, stream);
  return keys.wide ? launch<number_places_kernel<uint64_t, int64_t>>(
                         grid, places, count, static_cast<uint64_t*>(keys.keys),
                         static_cast<int64_t*>(keys.positions), failed)
                   : launch<number_places_kernel<uint32_t, uint32_t>>(
                         grid, places, count, static_cast<uint32_t*>(keys.keys),
                         static_cast<uint32_t*>(keys.positions), failed);
}

cudaError_t put_places(cudaStream_t stream, size_t element, const Loop& loop, const SortedPlaces& places) {
  switch (element) {
    case 1: return scatter<Put, uint8_t>(stream, loop, places);
    case 2: return scatter<Put, uint16_t>(stream, loop, places);
    case 4: return scatter<Put, uint32_t>(stream, loop, places);
    default: return scatter<Put, uint64_t>(stream, loop, places);
  }
}

cudaError_t combine_places(cudaStream_t stream, Combine how, DType dtype, const Loop& loop,
                           const SortedPlaces& places) {
  switch (how) {
    case Combine::add: return combine<Add>(stream, dtype, loop, places);
    case Combine::multiply: return combine<Multiply>(stream, dtype, loop, places);
    case Combine::minimum: return combine<Minimum>(stream, dtype, loop, places);
    default: return combine<Maximum>(stream, dtype, loop, places);
  }
}

cudaError_t sum_chunks(cudaStream_t stream, DType dtype, const Loop& loop, const SortedPlaces& places) {
  return visit_dtype(dtype, [&]<class Type>() {
    using T = Wrapping<Type>;
    Scatter chunks{loop, places};
    constexpr int n = kGroup<T>;
    if (places.step % n == 0)
      vectorise_slices<3>(chunks.loop, n, 0, {size_of_key(places), sizeof(T), sizeof(Computed<T>)});
    const uint32_t threads = chunks.loop.vectors > 0 ? chunks.loop.vectors : chunks.loop.count;
    return launch<sum_chunks_kernel<T>>({ceil_divide(threads, kThreads), kThreads, 0, stream}, chunks);
  });
}

cudaError_t unravel(cudaStream_t stream, const int64_t* positions, int64_t count, const int64_t* shape,
                    int rank, int64_t* coordinates) {
  Extents extents = {};
  std::copy_n(shape, rank, extents.of);
  return launch<unravel_kernel>({blocks_for(count), kThreads, 0, stream}, positions, count, extents, rank,
                                coordinates);
}

}  // namespace tidu::cuda
