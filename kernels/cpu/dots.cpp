// Sums along rows of both factors, in tiles that stay in registers: a vector of partial sums an element.
//
// A factor that lies transposed is not turned, which for few rows of the other takes as long as the product.
#include "kernels/cpu/dots.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dots.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/tail-inl.h"
#include "kernels/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

#if !HWY_HAVE_SCALABLE

namespace hn = hwy::HWY_NAMESPACE;
using tidu::HWY_NAMESPACE::load_tail;
using tidu::HWY_NAMESPACE::sum_each;

template <class T> using Tag = hn::ScalableTag<T>;
template <class T> constexpr int kLanes = hn::MaxLanes(Tag<T>());

// Of a tile: of 32 registers its sums and what it reads take 29, of 16 all, its rows taking turns.
constexpr bool kHoldsRows = !HWY_ARCH_X86 || HWY_TARGET <= HWY_AVX3;
constexpr int kRows = 4, kColumns = kHoldsRows ? 5 : 3;

template <class T> struct Tile {
  int64_t depth;
  const T *a, *b;
  int64_t a_row, b_column;
  T* c;
  int64_t c_row, c_column;
  bool adds;
};

template <class T, int rows, int columns> HWY_NOINLINE void sum_tile(const Tile<T>& tile) {
  using Vector = hn::Vec<Tag<T>>;
  const Tag<T> d;
  constexpr int n = kLanes<T>, kGroups = (rows * columns + n - 1) / n;
  Vector sums[kGroups * n];
#pragma GCC unroll 32
  for (int i = 0; i < kGroups * n; ++i) sums[i] = hn::Zero(d);
  const auto add = [&](const auto& load, int64_t k) HWY_ATTR {
    Vector right[columns];
#pragma GCC unroll 8
    for (int j = 0; j < columns; ++j) right[j] = load(tile.b + j * tile.b_column + k);
    Vector left[rows];
    const auto read = [&](int i) HWY_ATTR { left[i] = load(tile.a + i * tile.a_row + k); };
    if (kHoldsRows) {
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) read(i);
      // GCC would load them again for each product, which takes longer than the products do.
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      if (!kHoldsRows) read(i);
#pragma GCC unroll 8
      for (int j = 0; j < columns; ++j)
        sums[i * columns + j] = hn::MulAdd(left[i], right[j], sums[i * columns + j]);
    }
  };
  int64_t k = 0;
  for (; k + n <= tile.depth; k += n) add([&](const T* x) HWY_ATTR { return hn::LoadU(d, x); }, k);
  if (k < tile.depth) add([&](const T* x) HWY_ATTR { return load_tail(d, x, tile.depth - k, T(0)); }, k);
  HWY_ALIGN T totals[kGroups * n];
#pragma GCC unroll 32
  for (int group = 0; group < kGroups; ++group) {
    Vector of_group[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) of_group[i] = sums[group * n + i];
    hn::Store(sum_each(d, of_group), d, totals + group * n);
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      T& to = tile.c[i * tile.c_row + j * tile.c_column];
      to = tile.adds ? to + totals[i * columns + j] : totals[i * columns + j];
    }
  }
}

// For each number of rows, and in it of columns.
template <class T> using TileFunction = void (*)(const Tile<T>&);
template <class T, int... tile> constexpr auto tile_functions(std::integer_sequence<int, tile...>) {
  return std::array<TileFunction<T>, sizeof...(tile)>{
      sum_tile<T, tile / kColumns + 1, tile % kColumns + 1>...};
}
template <class T>
constexpr auto kTileFunctions = tile_functions<T>(std::make_integer_sequence<int, kRows * kColumns>());

int64_t tiles(int64_t rows, int64_t columns) {
  return (rows + kRows - 1) / kRows * ((columns + kColumns - 1) / kColumns);
}

template <class T>
void dots(const GemmSize& size, const GemmFactor& left, const GemmFactor& right, void* result,
          int64_t leading) {
  const auto *a = static_cast<const T*>(left.data), *b = static_cast<const T*>(right.data);
  int64_t rows = size.rows, columns = size.columns, a_row = left.row_stride, b_column = right.column_stride,
          c_row = leading, c_column = 1;
  if (tiles(columns, rows) < tiles(rows, columns))
    std::swap(a, b), std::swap(rows, columns), std::swap(a_row, b_column), std::swap(c_row, c_column);
  // Tiles of equal heights, and of equal widths; the larger factor is read once.
  const int64_t down = (rows + kRows - 1) / kRows, across = (columns + kColumns - 1) / kColumns;
  const bool by_row = rows > columns;
  for (int64_t i = 0; i < down * across; ++i) {
    const int64_t y = by_row ? i / across : i % down, x = by_row ? i % across : i / down;
    const int64_t row = rows * y / down, height = rows * (y + 1) / down - row, column = columns * x / across,
                  width = columns * (x + 1) / across - column;
    kTileFunctions<T>[static_cast<size_t>((height - 1) * kColumns + width - 1)](
        {.depth = size.depth,
         .a = a + row * a_row,
         .b = b + column * b_column,
         .a_row = a_row,
         .b_column = b_column,
         .c = static_cast<T*>(result) + row * c_row + column * c_column,
         .c_row = c_row,
         .c_column = c_column,
         .adds = size.adds});
  }
}

#endif

DotsFunction find_dots(DType dtype) {
#if HWY_HAVE_SCALABLE
  return nullptr;
#else
  return dtype == DType::float64 ? dots<double> : dots<float>;
#endif
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_dots);
}

DotsFunction dots_function(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_dots)(dtype); }

}  // namespace tidu::cpu
#endif
