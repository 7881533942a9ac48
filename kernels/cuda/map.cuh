// The kernel behind all operations that compute each element of the output from one of each input.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/cuda/loop.h"
#include "kernels/cuda/portable.h"
#include "kernels/cuda/tiles.h"

namespace tidu::cuda {

inline constexpr int kMapThreads = 256, kTileRows = kMapThreads / kSide;
// Elements of a tile that a thread treats, each kTileRows-th of a column.
inline constexpr int kTileElements = kSide / kTileRows;

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

// The same for one of many: without a branch around each, a number is taken before what is loaded.
template <class T> __device__ __forceinline__ void load_if_any(const Loop& loop, int k, int64_t at, T& x) {
  x = loop.number_of<T>(k);
  if (loop.data[k]) x = static_cast<const T*>(loop.data[k])[at];
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

template <class T> struct TileElements { T of[kTileElements]; };

template <class F, class Out, class... In> struct Map {
  static constexpr int kInputs = sizeof...(In), n = kMapElements<Out, In...>;
  // Of elements that are loaded one at a time: enough to keep memory busy.
  static constexpr int kGathered = std::min(n, ((sizeof(In) == 1) && ...) ? 8 : 4);

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

  // Elements wherever they lie: a thread takes kGathered of them, as many apart as there are threads.
  template <size_t k, class T> struct Gathered { Vec<T, kGathered> of; };
  template <class Inputs> struct AllGathered;
  template <size_t... k> struct AllGathered<std::index_sequence<k...>> : Gathered<k, In>... {};

  template <size_t... k>
  static __device__ __forceinline__ void elements(const Loop& loop, uint32_t first,
                                                  std::index_sequence<k...> inputs) {
    int64_t to[kGathered];
    AllGathered<decltype(inputs)> x = {};
#pragma unroll
    for (int j = 0; j < kGathered; ++j) {
      const uint32_t i = first + j * kMapThreads;
      if (i >= loop.count) continue;
      int64_t at[kInputs + 1];
      locate(loop, i, at);
      (load_if_any(loop, k, at[k], static_cast<Gathered<k, In>&>(x).of[j]), ...);
      to[j] = at[kInputs];
    }
    loads_above();
    const auto y = apply_each<F, Out, kGathered, In...>(loop, static_cast<Gathered<k, In>&>(x).of...);
#pragma unroll
    for (int j = 0; j < kGathered; ++j) {
      if (first + j * kMapThreads < loop.count) static_cast<Out*>(loop.data[kInputs])[to[j]] = y[j];
    }
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
    __device__ __forceinline__ bool holds(uint32_t i, uint32_t j) const {
      return row + i < tiles.rows && column + j < tiles.columns;
    }
  };

  // What is loaded of operand k: along its own lines if it is staged, else along the output's.
  template <int k, class T> static __device__ __forceinline__ TileElements<T> load_tile(const Tile& tile) {
    const uint32_t lane = threadIdx.x % kSide, first = threadIdx.x / kSide;
    const bool staged = (tile.tiles.staged >> k & 1) != 0;
    const T* const x = static_cast<const T*>(tile.tiles.rest.data[k]);
    TileElements<T> some = {};
#pragma unroll
    for (int e = 0; e < kTileElements; ++e) {
      const uint32_t other = first + e * kTileRows, i = staged ? lane : other, j = staged ? other : lane;
      if (x && tile.holds(i, j)) some.of[e] = x[tile.place(k, i, j)];
    }
    return some;
  }

  template <int k, class T>
  static __device__ __forceinline__ void fill_stage(const Tile& tile, const TileElements<T>& some) {
    if ((tile.tiles.staged >> k & 1) == 0) return;
    const uint32_t lane = threadIdx.x % kSide, first = threadIdx.x / kSide;
#pragma unroll
    for (int e = 0; e < kTileElements; ++e) stage<T, k>()[first + e * kTileRows][lane] = some.of[e];
  }

  template <int k, class T>
  static __device__ __forceinline__ T read(const Tile& tile, const TileElements<T>& some, int e) {
    if (!tile.tiles.rest.data[k]) return tile.tiles.rest.template number_of<T>(k);
    if ((tile.tiles.staged >> k & 1) == 0) return some.of[e];
    return stage<T, k>()[threadIdx.x % kSide][threadIdx.x / kSide + e * kTileRows];
  }

  template <size_t... k>
  static __device__ __forceinline__ void compute(const Tile& tile, std::index_sequence<k...> inputs) {
    compute(tile, inputs, load_tile<k, In>(tile)...);
  }
  template <size_t... k>
  static __device__ __forceinline__ void compute(const Tile& tile, std::index_sequence<k...>,
                                                 const TileElements<In>&... some) {
    loads_above();
    (fill_stage<k, In>(tile, some), ...);
    __syncthreads();
    const uint32_t lane = threadIdx.x % kSide, first = threadIdx.x / kSide;
    const auto write = [&](int e, Out y) {
      static_cast<Out*>(tile.tiles.rest.data[kInputs])[tile.place(kInputs, first + e * kTileRows, lane)] = y;
    };
    // Narrow results wait until all are computed, and only then places are: a row may be a call, during which
    // registers are few. Wide ones would take too many.
    constexpr bool waits = sizeof(Out) <= 4;
    TileElements<Out> y = {};
#pragma unroll
    for (int e = 0; e < kTileElements; ++e) {
      if (!tile.holds(first + e * kTileRows, lane)) continue;
      y.of[e] = apply<F>(tile.tiles.rest, read<k, In>(tile, some, e)...);
      if (!waits) write(e, y.of[e]);
    }
#pragma unroll
    for (int e = 0; waits && e < kTileElements; ++e) {
      if (tile.holds(first + e * kTileRows, lane)) write(e, y.of[e]);
    }
  }
};

// As many elements at once as one access moves, and by the first threads those that are left.
template <class F, class Out, class... In>
__global__ void __launch_bounds__(kMapThreads) map_vectors_kernel(const __grid_constant__ Loop loop) {
  using M = Map<F, Out, In...>;
  constexpr auto inputs = std::make_index_sequence<sizeof...(In)>();
  const uint32_t v = blockIdx.x * kMapThreads + threadIdx.x, left = loop.vectors * M::n + v;
  if (v < loop.vectors) M::vector(loop, v, inputs);
  if (left < loop.count) M::element(loop, left, inputs);
}

template <class F, class Out, class... In>
__global__ void __launch_bounds__(kMapThreads) map_elements_kernel(const __grid_constant__ Loop loop) {
  using M = Map<F, Out, In...>;
  M::elements(loop, blockIdx.x * kMapThreads * M::kGathered + threadIdx.x,
              std::make_index_sequence<sizeof...(In)>());
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
  using M = Map<F, Out, In...>;
  Tiles tiles;
  uint32_t blocks = 0;
  if (cut_into_tiles(over, {sizeof(In)..., sizeof(Out)}, &tiles, &blocks))
    return launch<map_tiles_kernel<F, Out, In...>>({blocks, kMapThreads, 0, stream}, tiles);
  Loop loop = over;
  vectorise(loop, M::n, {sizeof(In)..., sizeof(Out)});
  const auto blocks_of = [&](int each) {
    return ceil_divide(loop.count, kMapThreads * static_cast<uint32_t>(each));
  };
  return loop.vectors > 0
             ? launch<map_vectors_kernel<F, Out, In...>>({blocks_of(M::n), kMapThreads, 0, stream}, loop)
             : launch<map_elements_kernel<F, Out, In...>>({blocks_of(M::kGathered), kMapThreads, 0, stream},
                                                          loop);
}

}  // namespace tidu::cuda
