// Copies of two-dimensional blocks between any strides.
#include "kernels/cpu/copy.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/targets.h"
#include "kernels/types.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/copy.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE
template <class T> constexpr int kSide = 1;
#else
// Rows and columns of squares that are transposed in registers: as many as a vector has elements, of which
// shuffles of the smallest stay in sixteen bytes.
template <class T>
constexpr int kSide = sizeof(T) > 8   ? 1
                      : sizeof(T) < 4 ? 16 / sizeof(T)
                                      : hn::MaxLanes(hn::ScalableTag<T>());

template <int side, class T> HWY_INLINE void transpose_square(const T* x, int64_t from, T* y, int64_t to) {
  const hn::CappedTag<T, side> d;
  hn::Vec<decltype(d)> square[side];
#pragma GCC unroll 16
  for (int j = 0; j < side; ++j) square[j] = hn::LoadU(d, x + j * from);
  if constexpr (sizeof(T) < 4) {
    // The first half of the rows and the second shuffled into each other, so often that each has been first.
    for (int step = 1; step < side; step *= 2) {
      hn::Vec<decltype(d)> next[side];
#pragma GCC unroll 16
      for (int j = 0; j < side / 2; ++j) {
        next[2 * j] = hn::InterleaveLower(d, square[j], square[j + side / 2]);
        next[2 * j + 1] = hn::InterleaveUpper(d, square[j], square[j + side / 2]);
      }
#pragma GCC unroll 16
      for (int j = 0; j < side; ++j) square[j] = next[j];
    }
  } else {
    tidu::HWY_NAMESPACE::transpose(d, square);
  }
#pragma GCC unroll 16
  for (int i = 0; i < side; ++i) hn::StoreU(square[i], d, y + i * to);
}
#endif

// y[i, j] = x[j, i], row strides `from` and `to`, elements of a row being neighbours on both sides; what
// squares leave at the edges in smaller ones.
template <int side, class T>
void transpose(const T* x, int64_t from, T* y, int64_t to, int64_t rows, int64_t columns) {
  if constexpr (side == 1 || side * sizeof(T) < 16) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) y[i * to + j] = x[j * from + i];
    }
  } else {
    const int64_t whole_rows = rows - rows % side, whole_columns = columns - columns % side;
    for (int64_t i = 0; i < whole_rows; i += side) {
      for (int64_t j = 0; j < whole_columns; j += side)
        transpose_square<side>(x + j * from + i, from, y + i * to + j, to);
    }
    if (whole_columns < columns)
      transpose<side / 2>(x + whole_columns * from, from, y + whole_columns, to, whole_rows,
                          columns - whole_columns);
    if (whole_rows < rows)
      transpose<side / 2>(x + whole_rows, from, y + whole_rows * to, to, rows - whole_rows, columns);
  }
}

// Of this many bytes or more memcpy may be one instruction, "rep movsb", that on AMD's processors takes
// fifteen times as long where the destination lies a few bytes behind the source, whole pages apart.
constexpr size_t kLong = 2048;

void copy_long(const void* source, void* destination, size_t n) {
#if HWY_TARGET == HWY_SCALAR
  std::memcpy(destination, source, n);
#else
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  const auto* const x = static_cast<const uint8_t*>(source);
  auto* const y = static_cast<uint8_t*>(destination);
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const auto v0 = hn::LoadU(d, x + i), v1 = hn::LoadU(d, x + i + lanes),
               v2 = hn::LoadU(d, x + i + 2 * lanes), v3 = hn::LoadU(d, x + i + 3 * lanes);
    hn::StoreU(v0, d, y + i), hn::StoreU(v1, d, y + i + lanes), hn::StoreU(v2, d, y + i + 2 * lanes),
        hn::StoreU(v3, d, y + i + 3 * lanes);
  }
  if (i < n) std::memcpy(y + i, x + i, n - i);
#endif
}

void copy_bytes_here(const void* source, void* destination, size_t n) {
  n < kLong ? static_cast<void>(std::memcpy(destination, source, n)) : copy_long(source, destination, n);
}

template <class T> void copy_row(const T* x, int64_t from, T* y, int64_t to, int64_t n) {
  if (from == 1 && to == 1) {
    copy_bytes_here(x, y, static_cast<size_t>(n) * sizeof(T));
  } else if (from == 0 && to == 1) {
    std::fill_n(y, n, *x);
  } else {
    const auto copy = [&](auto step) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) y[i] = x[i * step];
    };
    switch (to == 1 ? from : 0) {  // steps that are constants become shuffles of vectors
      case -1: return copy(std::integral_constant<int64_t, -1>());
      case 2: return copy(std::integral_constant<int64_t, 2>());
      case 3: return copy(std::integral_constant<int64_t, 3>());
      case 4: return copy(std::integral_constant<int64_t, 4>());
    }
    for (int64_t i = 0; i < n; ++i) y[i * to] = x[i * from];
  }
}

// Each of `rows` elements so many times, to one place after another. Whole vectors are written, of which the
// next element overwrites what is too much.
template <class T> void repeat(const T* x, int64_t from, T* y, int64_t rows, int64_t times) {
  int64_t i = 0;
  if constexpr (sizeof(T) <= 8) {
    const hn::ScalableTag<T> d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    const int64_t written = (times + lanes - 1) / lanes * lanes;
    for (; i * times + written <= rows * times; ++i) {
      const auto element = hn::Set(d, x[i * from]);
      for (int64_t j = 0; j < times; j += lanes) hn::StoreU(element, d, y + i * times + j);
    }
  }
  for (; i < rows; ++i) std::fill_n(y + i * times, times, x[i * from]);
}

template <class T>
void copy_block(const void* source, BlockStrides from, void* destination, BlockStrides to, int64_t rows,
                int64_t columns) {
  const T* x = static_cast<const T*>(source);
  T* y = static_cast<T*>(destination);
  if (columns == 0) return;
  if (rows > 1 && columns > 1 && from.column != 0 && from.row != 0) {
    if (to.column == 1 && from.row == 1) return transpose<kSide<T>>(x, from.column, y, to.row, rows, columns);
    if (to.row == 1 && from.column == 1) return transpose<kSide<T>>(x, from.row, y, to.column, columns, rows);
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
  if (from.column == 0 && to.column == 1 && to.row == columns) return repeat(x, from.row, y, rows, columns);
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
      default:
        if (bytes < kLong) return copy_rows(bytes);
        for (int64_t i = 0; i < rows; ++i) copy_long(x + i * from.row, y + i * to.row, bytes);
        return;
    }
  }
  for (int64_t i = 0; i < rows; ++i)
    copy_row(x + i * from.row, from.column, y + i * to.row, to.column, columns);
}

CopyBlockFunction find_copy_block(size_t element_size) {
  switch (element_size) {
    case 1: return copy_block<uint8_t>;
    case 2: return copy_block<uint16_t>;
    case 4: return copy_block<uint32_t>;
    case 8: return copy_block<uint64_t>;
    default: return copy_block<complex<double>>;
  }
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_copy_block);
HWY_EXPORT(copy_bytes_here);
}  // namespace

void copy_bytes(const void* source, void* destination, size_t n) {
  HWY_DYNAMIC_DISPATCH(copy_bytes_here)(source, destination, n);
}

CopyBlockFunction copy_block_function(size_t element_size) {
  return HWY_DYNAMIC_DISPATCH(find_copy_block)(element_size);
}

}  // namespace tidu::cpu
#endif
