// A loop cut into square tiles, for operands that run across the output: a tile of each goes through shared
// memory, so that both are read and written along memory.
#pragma once

#include "kernels/cuda/loop.h"

namespace tidu::cuda {

inline constexpr int kSide = 32;

// A row of a tile runs along the output, a column along the operands that are staged.
struct Tiles {
  Divisor across, down;  // tiles of the two dimensions
  uint32_t columns = 0, rows = 0;
  int64_t column_stride[kMaxOperands], row_stride[kMaxOperands];
  uint32_t staged = 0;  // bit k: operand k goes through shared memory
  Loop rest;            // the other dimensions
};

// Whether some input runs across the output, both far enough for whole sectors of 32 bytes and to fill a
// quarter of the tiles; if so, the tiles and how many there are. `sizes` are those of the operands' elements,
// the output's last.
inline bool cut_into_tiles(const Loop& loop, std::initializer_list<size_t> sizes, Tiles* tiles,
                           uint32_t* count) {
  const auto is_one = [](int64_t stride) { return stride == 1 || stride == -1; };
  const int operands = static_cast<int>(sizes.size()), inputs = operands - 1;
  const auto runs_across = [&](int k, int d) {
    const auto far_enough = [&](int dimension) {
      return loop.extent[dimension].value() * sizes.begin()[k] >= 32;
    };
    const auto slots = [&](int dimension) {
      return uint64_t{ceil_divide(loop.extent[dimension].value(), kSide)} * kSide;
    };
    const bool filled = 4 * uint64_t{loop.extent[0].value()} * loop.extent[d].value() >= slots(0) * slots(d);
    return is_one(loop.stride[k][d]) && loop.stride[k][0] != 0 && !is_one(loop.stride[k][0]) &&
           far_enough(0) && far_enough(d) && filled;
  };
  if (!is_one(loop.stride[inputs][0])) return false;
  int along = 0;
  for (int d = loop.rank - 1; d > 0; --d) {
    for (int k = 0; k < inputs; ++k) along = runs_across(k, d) ? d : along;
  }
  if (along == 0) return false;
  tiles->columns = loop.extent[0].value();
  tiles->rows = loop.extent[along].value();
  tiles->across = Divisor(ceil_divide(tiles->columns, kSide));
  tiles->down = Divisor(ceil_divide(tiles->rows, kSide));
  *count = tiles->across.value() * tiles->down.value();
  Loop& rest = tiles->rest;
  rest.rank = 0;
  for (int k = 0; k < operands; ++k) {
    tiles->column_stride[k] = loop.stride[k][0];
    tiles->row_stride[k] = loop.stride[k][along];
    tiles->staged |= static_cast<uint32_t>(k < inputs && runs_across(k, along)) << k;
    rest.data[k] = loop.data[k];
  }
  std::memcpy(rest.number, loop.number, sizeof rest.number);
  for (int d = 1; d < loop.rank; ++d) {
    if (d == along) continue;
    for (int k = 0; k < operands; ++k) rest.stride[k][rest.rank] = loop.stride[k][d];
    rest.extent[rest.rank++] = loop.extent[d];
    *count *= loop.extent[d].value();
  }
  if (rest.rank == 0) rest.rank = 1;
  return true;
}

}  // namespace tidu::cuda
