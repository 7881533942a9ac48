// Copies of two-dimensional blocks between any strides.
#include "kernels/cpu/copy.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/types.h"

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

// Squares of elements of 4 or 8 bytes: rows become columns in registers.
using Quad [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = uint32_t;

inline void transpose_square(const uint32_t* x, int64_t from, uint32_t* y, int64_t to) {
  Quad row[4];
  for (int i = 0; i < 4; ++i) row[i] = *reinterpret_cast<const Quad*>(x + i * from);
  const Quad low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5),
             high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7),
             low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5),
             high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  *reinterpret_cast<Quad*>(y) = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  *reinterpret_cast<Quad*>(y + to) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  *reinterpret_cast<Quad*>(y + 2 * to) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  *reinterpret_cast<Quad*>(y + 3 * to) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

using Pair [[gnu::vector_size(16), gnu::aligned(8), gnu::may_alias]] = uint64_t;

inline void transpose_square(const uint64_t* x, int64_t from, uint64_t* y, int64_t to) {
  const Pair a = *reinterpret_cast<const Pair*>(x), b = *reinterpret_cast<const Pair*>(x + from);
  *reinterpret_cast<Pair*>(y) = __builtin_shufflevector(a, b, 0, 2);
  *reinterpret_cast<Pair*>(y + to) = __builtin_shufflevector(a, b, 1, 3);
}

// y[i, j] = x[j, i], row strides `from` and `to`, elements of a row being neighbours on both sides. In
// squares of a cache line each way, so that every line fetched is used whole; those of the block to the
// right, which comes next in loops over blocks and lies too far apart to be foreseen, are fetched ahead.
template <class T> void transpose(const T* x, int64_t from, T* y, int64_t to, int64_t rows, int64_t columns) {
  constexpr int64_t side = 64 / sizeof(T);
  for (int64_t i0 = 0; i0 < rows; i0 += side) {
    const int64_t i1 = std::min(i0 + side, rows);
    for (int64_t j0 = 0; j0 < columns; j0 += side) {
      const int64_t j1 = std::min(j0 + side, columns);
      for (int64_t j = j0; j < j1; ++j) __builtin_prefetch(x + (columns + j) * from + i0);
      int64_t i2 = i0, j2 = j0;  // up to these, rows become columns in registers
      if constexpr (sizeof(T) == 4 || sizeof(T) == 8) {
        constexpr int64_t step = 16 / sizeof(T);
        i2 = i1 - (i1 - i0) % step, j2 = j1 - (j1 - j0) % step;
        for (int64_t i = i0; i < i2; i += step) {
          for (int64_t j = j0; j < j2; j += step)
            transpose_square(x + j * from + i, from, y + i * to + j, to);
        }
      }
      for (int64_t i = i0; i < i1; ++i) {
        for (int64_t j = i < i2 ? j2 : j0; j < j1; ++j) y[i * to + j] = x[j * from + i];
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
  if (rows > 1 && columns > 1 && from.column != 0 && from.row != 0) {
    if (to.column == 1 && from.row == 1) return transpose(x, from.column, y, to.row, rows, columns);
    if (to.row == 1 && from.column == 1) return transpose(x, from.row, y, to.column, columns, rows);
  }
  if (to.row == 1 && to.column != 1 && rows > columns) {
    for (int64_t j = 0; j < columns; ++j)
      copy_row(x + j * from.column, from.row, y + j * to.column, to.row, rows);
    return;
  }
  if (from.column == 1 && to.column == 1 && from.row == columns && to.row == columns) {
    return copy_row(x, 1, y, 1, rows * columns);
  }
  if (from.row == 0 && to.column == 1 && to.row == columns) {  // one row again and again
    copy_row(x, from.column, y, 1, columns);
    for (int64_t done = 1; done < rows; done *= 2)
      copy_row(y, 1, y + done * columns, 1, std::min(done, rows - done) * columns);
    return;
  }
  if (from.column == 1 && to.column == 1) {
    const auto copy_rows = [&](auto bytes) {
      for (int64_t i = 0; i < rows; ++i) std::memcpy(y + i * to.row, x + i * from.row, bytes);
    };
    const size_t bytes = static_cast<size_t>(columns) * sizeof(T);
    switch (bytes) {  // a call takes longer than to copy a few words
      case 4: return copy_rows(std::integral_constant<size_t, 4>());
      case 8: return copy_rows(std::integral_constant<size_t, 8>());
      case 16: return copy_rows(std::integral_constant<size_t, 16>());
      case 32: return copy_rows(std::integral_constant<size_t, 32>());
      case 64: return copy_rows(std::integral_constant<size_t, 64>());
      default: return copy_rows(bytes);
    }
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
    case 8: return copy_block<uint64_t>;
    default: return copy_block<complex<double>>;
  }
}

}  // namespace tidu::cpu
