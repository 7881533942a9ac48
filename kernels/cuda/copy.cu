// Copies between layouts. Where the source runs across the destination, square tiles go through shared
// memory, so that both are read and written along memory.
#include "kernels/cuda/copy.h"

#include "kernels/cuda/map.cuh"

namespace tidu::cuda {
namespace {

template <class Word> struct Same {
  static __device__ __forceinline__ Word apply(Word x) { return x; }
};

constexpr int kSide = 32, kTileRows = 8;

// A copy cut into tiles: a column runs along the source, a row along the destination.
struct Tiles {
  Divisor down, across;  // tiles of the two dimensions
  uint32_t rows, columns;
  int64_t row_stride[2], column_stride[2];
  Loop rest;  // the other dimensions
};

// Rows are an odd number of banks apart, so that the words of a column, of whatever size, lie in different
// ones.
template <class Word> constexpr int kPadding = sizeof(Word) < 4 ? 4 / sizeof(Word) : 1;

template <class Word>
__global__ void __launch_bounds__(kSide* kTileRows) transpose_kernel(const __grid_constant__ Tiles tiles) {
  TIDU_SHARED(tile, Word[kSide][kSide + kPadding<Word>]);
  const uint32_t strip = tiles.across.quotient(blockIdx.x), outer = tiles.down.quotient(strip);
  const uint32_t column0 = (blockIdx.x - strip * tiles.across.value()) * kSide,
                 row0 = (strip - outer * tiles.down.value()) * kSide;
  int64_t at[2];
  locate(tiles.rest, outer, at);
  const Word* x = static_cast<const Word*>(tiles.rest.data[0]) + at[0];
  Word* y = static_cast<Word*>(tiles.rest.data[1]) + at[1];
  const uint32_t lane = threadIdx.x;
#pragma unroll
  for (uint32_t step = 0; step < kSide; step += kTileRows) {
    const uint32_t i = threadIdx.y + step;
    const uint32_t row = row0 + lane, column = column0 + i;
    if (row < tiles.rows && column < tiles.columns)
      tile[i][lane] = x[row * tiles.row_stride[0] + column * tiles.column_stride[0]];
  }
  __syncthreads();
#pragma unroll
  for (uint32_t step = 0; step < kSide; step += kTileRows) {
    const uint32_t i = threadIdx.y + step;
    const uint32_t row = row0 + i, column = column0 + lane;
    if (row < tiles.rows && column < tiles.columns)
      y[row * tiles.row_stride[1] + column * tiles.column_stride[1]] = tile[lane][i];
  }
}

bool is_one(int64_t stride) { return stride == 1 || stride == -1; }

// The dimension along which the source runs, if it is not that of the destination and both are long enough
// for whole sectors of 32 bytes; else 0.
int source_dimension(const Loop& loop, size_t size) {
  const auto long_enough = [&](int d) { return loop.extent[d].value() * size >= 32; };
  if (loop.rank == 1 || !is_one(loop.stride[1][0]) || is_one(loop.stride[0][0]) || !long_enough(0)) return 0;
  for (int d = 1; d < loop.rank; ++d) {
    if (is_one(loop.stride[0][d]) && long_enough(d)) return d;
  }
  return 0;
}

template <class Word> cudaError_t copy_words(cudaStream_t stream, const Loop& loop) {
  const int source = source_dimension(loop, sizeof(Word));
  if (source == 0) return map<Same<Word>, Word, Word>(stream, loop);
  Tiles tiles;
  tiles.columns = loop.extent[0].value();
  tiles.rows = loop.extent[source].value();
  tiles.across = Divisor(ceil_divide(tiles.columns, kSide));
  tiles.down = Divisor(ceil_divide(tiles.rows, kSide));
  tiles.rest.rank = 0;
  for (int k = 0; k < 2; ++k) {
    tiles.column_stride[k] = loop.stride[k][0];
    tiles.row_stride[k] = loop.stride[k][source];
    tiles.rest.data[k] = loop.data[k];
  }
  uint32_t count = 1;
  for (int d = 1; d < loop.rank; ++d) {
    if (d == source) continue;
    const int to = tiles.rest.rank++;
    tiles.rest.extent[to] = loop.extent[d];
    for (int k = 0; k < 2; ++k) tiles.rest.stride[k][to] = loop.stride[k][d];
    count *= loop.extent[d].value();
  }
  if (tiles.rest.rank == 0) tiles.rest.rank = 1;
  return launch<transpose_kernel<Word>>(
      {tiles.across.value() * tiles.down.value() * count, dim3(kSide, kTileRows), 0, stream}, tiles);
}

}  // namespace

cudaError_t copy(cudaStream_t stream, size_t size, const Loop& loop) {
  switch (size) {
    case 1: return copy_words<uint8_t>(stream, loop);
    case 2: return copy_words<uint16_t>(stream, loop);
    case 4: return copy_words<uint32_t>(stream, loop);
    default: return copy_words<uint64_t>(stream, loop);
  }
}

}  // namespace tidu::cuda
