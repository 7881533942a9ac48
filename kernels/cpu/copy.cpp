// Copies of two-dimensional blocks between any strides.
#include "kernels/cpu/copy.h"

#include <algorithm>
#include <cstring>

namespace tidu::cpu {
namespace {

template <class T> void copy_row(const T* x, int64_t from, T* y, int64_t to, int64_t n) {
  if (from == 1 && to == 1) {
    std::memcpy(y, x, static_cast<size_t>(n) * sizeof(T));
  } else if (from == 0 && to == 1) {
    std::fill_n(y, n, *x);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i * to] = x[i * from];
  }
}

// In squares of a cache line each way, so that every line fetched from either side is used whole.
template <class T>
void transpose(const T* x, BlockStrides from, T* y, BlockStrides to, int64_t rows, int64_t columns) {
  constexpr int64_t side = 64 / sizeof(T);
  for (int64_t i0 = 0; i0 < rows; i0 += side) {
    const int64_t i1 = std::min(i0 + side, rows);
    for (int64_t j0 = 0; j0 < columns; j0 += side) {
      const int64_t j1 = std::min(j0 + side, columns);
      for (int64_t i = i0; i < i1; ++i) {
        for (int64_t j = j0; j < j1; ++j) y[i * to.row + j * to.column] = x[i * from.row + j * from.column];
      }
    }
  }
}

template <class T>
void copy_block(const void* source, BlockStrides from, void* destination, BlockStrides to, int64_t rows,
                int64_t columns) {
  const T* x = static_cast<const T*>(source);
  T* y = static_cast<T*>(destination);
  if (columns == 0) return;
  const bool opposed =
      rows > 1 && columns > 1 && (from.row == 1) != (to.row == 1) && (from.column == 1) != (to.column == 1);
  if (opposed) return transpose(x, from, y, to, rows, columns);
  if (to.row == 1 && to.column != 1 && rows > columns) {
    for (int64_t j = 0; j < columns; ++j)
      copy_row(x + j * from.column, from.row, y + j * to.column, to.row, rows);
    return;
  }
  if (from.column == 1 && to.column == 1 && from.row == columns && to.row == columns) {
    return copy_row(x, 1, y, 1, rows * columns);
  }
  for (int64_t i = 0; i < rows; ++i)
    copy_row(x + i * from.row, from.column, y + i * to.row, to.column, columns);
}

}  // namespace

CopyBlockFunction copy_block_function(size_t element_size) {
  switch (element_size) {
    case 1: return copy_block<uint8_t>;
    case 2: return copy_block<uint16_t>;
    case 4: return copy_block<uint32_t>;
    default: return copy_block<uint64_t>;
  }
}

}  // namespace tidu::cpu
