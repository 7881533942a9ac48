// The kernel behind all operations that compute each element of the output from one of each input.
#pragma once

#include <utility>

#include "kernels/cuda/loop.h"
#include "kernels/cuda/portable.h"
#include "kernels/cuda/tiles.h"

namespace tidu::cuda {

inline constexpr int kMapThreads = 256, kTileRows = kMapThreads / kSide;

// Elements that a thread treats: as many as one access of 16 bytes moves of the widest operand, at most 8.
template <class... T>
inline constexpr int kMapElements = [] {
  size_t widest = 2;
  ((widest = sizeof(T) > widest ? sizeof(T) : widest), ...);
  return static_cast<int>(16 / widest);
}();

template <class T> __device__ __forceinline__ T load_element(const Loop& loop, int k, int64_t at) {
  return loop.data[k] ? static_cast<const T*>(loop.data[k])[at] : loop.number_of<T>(k);
}

template <class T, int n>
__device__ __forceinline__ Vec<T, n> load_operand(const Loop& loop, int k, int64_t at) {
  if (loop.stride[k][0] != 0) return load_vec<n>(static_cast<const T*>(loop.data[k]) + at);
  Vec<T, n> v;
  const T x = load_element<T>(loop, k, at);
  for (int j = 0; j < n; ++j) v[j] = x;
  return v;
}

template <class F>
concept HasParameters = requires {
  typename F::Parameters;
};

// F of an element of each input and, if it has some, its parameters.
template <class F, class... In> __device__ __forceinline__ auto apply(const Loop& loop, const In&... x) {
  if constexpr (HasParameters<F>) {
    return F::apply(x..., loop.number_of<typename F::Parameters>(sizeof...(In) + 1));
  } else {
    return F::apply(x...);
  }
}

template <class F, class Out, int n, class... In>
__device__ __forceinline__ Vec<Out, n> apply_each(const Loop& loop, const Vec<In, n>&... x) {
  Vec<Out, n> y;
#pragma unroll
  for (int j = 0; j < n; ++j) y[j] = apply<F>(loop, x[j]...);
  return y;
}

// Where operand k's tile is in shared memory. Rows are an odd number of banks apart, so that the elements of
// a column, of whatever size, lie in different ones.
template <class T> using Stage = T[kSide][kSide + (sizeof(T) < 4 ? 4 / sizeof(T) : 1)];
template <class T, int k> __device__ __forceinline__ Stage<T>& stage() {
  TIDU_SHARED(tile, Stage<T>);
  return tile;
}

template <class F, class Out, class... In> struct Map {
  static constexpr int kInputs = sizeof...(In), n = kMapElements<Out, In...>;

  template <size_t... k>
  static __device__ __forceinline__ void element(const Loop& loop, uint32_t i, std::index_sequence<k...>) {
    int64_t at[kInputs + 1];
    locate(loop, i, at);
    static_cast<Out*>(loop.data[kInputs])[at[kInputs]] = apply<F>(loop, load_element<In>(loop, k, at[k])...);
  }

  template <size_t... k>
  static __device__ __forceinline__ void vector(const Loop& loop, uint32_t i, std::index_sequence<k...>) {
    int64_t at[kInputs + 1];
    locate<kInputs + 1, n>(loop, i, at);
    store_vec<n>(static_cast<Out*>(loop.data[kInputs]) + at[kInputs],
                 apply_each<F, Out, n, In...>(loop, load_operand<In, n>(loop, k, at[k])...));
  }

  // A tile, and this thread's part of it: `lane` along the rows or the columns, each kTileRows-th of the
  // other.
  struct Tile {
    const Tiles& tiles;
    uint32_t column, row;
    int64_t at[kInputs + 1];

    // Where element (i, j) of operand k is.
    __device__ __forceinline__ int64_t place(int k, uint32_t i, uint32_t j) const {
      return at[k] + (row + i) * tiles.row_stride[k] + (column + j) * tiles.column_stride[k];
    }
    template <class T> __device__ __forceinline__ T load(int k, uint32_t i, uint32_t j) const {
      return load_element<T>(tiles.rest, k, place(k, i, j));
    }
    __device__ __forceinline__ bool holds(uint32_t i, uint32_t j) const {
      return row + i < tiles.rows && column + j < tiles.columns;
    }
  };

  template <int k, class T> static __device__ __forceinline__ void fill_stage(const Tile& tile) {
    if ((tile.tiles.staged >> k & 1) == 0) return;
    const uint32_t lane = threadIdx.x % kSide;
#pragma unroll
    for (uint32_t step = 0; step < kSide; step += kTileRows) {
      const uint32_t j = threadIdx.x / kSide + step;
      if (tile.holds(lane, j)) stage<T, k>()[j][lane] = tile.template load<T>(k, lane, j);
    }
  }

  template <int k, class T>
  static __device__ __forceinline__ T read(const Tile& tile, uint32_t i, uint32_t j) {
    return (tile.tiles.staged >> k & 1) != 0 ? stage<T, k>()[j][i] : tile.template load<T>(k, i, j);
  }

  template <size_t... k>
  static __device__ __forceinline__ void compute(const Tile& tile, std::index_sequence<k...>) {
    (fill_stage<k, In>(tile), ...);
    __syncthreads();
    const uint32_t lane = threadIdx.x % kSide;
#pragma unroll
    for (uint32_t step = 0; step < kSide; step += kTileRows) {
      const uint32_t i = threadIdx.x / kSide + step;
      if (tile.holds(i, lane))
        static_cast<Out*>(tile.tiles.rest.data[kInputs])[tile.place(kInputs, i, lane)] =
            apply<F>(tile.tiles.rest, read<k, In>(tile, i, lane)...);
    }
  }
};

template <class F, class Out, class... In>
__global__ void __launch_bounds__(kMapThreads) map_kernel(const __grid_constant__ Loop loop) {
  using M = Map<F, Out, In...>;
  constexpr auto inputs = std::make_index_sequence<sizeof...(In)>();
  constexpr uint32_t share = kMapThreads * M::n;
  uint32_t i = blockIdx.x * share + threadIdx.x, end = loop.count;
  if (loop.vectors > 0) {
    const uint32_t v = blockIdx.x * kMapThreads + threadIdx.x;
    if (v < loop.vectors) M::vector(loop, v, inputs);
    i = blockIdx.x == 0 ? loop.vectors * M::n + threadIdx.x : end;
  } else if (end - blockIdx.x * share > share) {
    end = (blockIdx.x + 1) * share;
  }
#pragma unroll 1
  for (; i < end; i += kMapThreads) M::element(loop, i, inputs);
}

template <class F, class Out, class... In>
__global__ void __launch_bounds__(kMapThreads) map_tiles_kernel(const __grid_constant__ Tiles tiles) {
  using M = Map<F, Out, In...>;
  const uint32_t strip = tiles.across.quotient(blockIdx.x), outer = tiles.down.quotient(strip);
  typename M::Tile tile{tiles,
                        (blockIdx.x - strip * tiles.across.value()) * kSide,
                        (strip - outer * tiles.down.value()) * kSide,
                        {}};
  locate(tiles.rest, outer, tile.at);
  M::compute(tile, std::make_index_sequence<sizeof...(In)>());
}

// y = F::apply(x...) over a loop whose operands are the inputs and the output.
template <class F, class Out, class... In> cudaError_t map(cudaStream_t stream, const Loop& over) {
  constexpr int n = kMapElements<Out, In...>;
  Tiles tiles;
  uint32_t blocks = 0;
  if (cut_into_tiles(over, {sizeof(In)..., sizeof(Out)}, &tiles, &blocks))
    return launch<map_tiles_kernel<F, Out, In...>>({blocks, kMapThreads, 0, stream}, tiles);
  Loop loop = over;
  vectorise(loop, n, {sizeof(In)..., sizeof(Out)});
  return launch<map_kernel<F, Out, In...>>({ceil_divide(loop.count, kMapThreads * n), kMapThreads, 0, stream},
                                           loop);
}

}  // namespace tidu::cuda
