// Sums along rows of both factors, in tiles that stay in registers: a vector of partial sums an element.
//
// A factor that lies transposed is not turned, which for few rows of the other takes as long as the product.
#include "kernels/cpu/dots.h"

#include <algorithm>
#include <array>
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

// Of a tile. What it reads are as many rows of memory as a set of the cache has ways: they may lie a power of
// two apart. Of 16 registers its sums, vectors of the columns and one of a row take all.
constexpr int kRows = 4, kColumns = HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3 ? 3 : 4;

template <class T> struct Tile {
  int64_t depth;
  const T *a, *b;
  int64_t a_row, b_column;
  T* c;
  int64_t leading;
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
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const Vector left = load(tile.a + i * tile.a_row + k);
#pragma GCC unroll 8
      for (int j = 0; j < columns; ++j)
        sums[i * columns + j] = hn::MulAdd(left, right[j], sums[i * columns + j]);
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
      T& to = tile.c[i * tile.leading + j];
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

template <class T>
void dots(const GemmSize& size, const GemmFactor& left, const GemmFactor& right, void* result,
          int64_t leading) {
  const int64_t down = (size.rows + kRows - 1) / kRows, across = (size.columns + kColumns - 1) / kColumns;
  const auto sum = [&](int64_t y, int64_t x) {  // tiles are of equal heights, and of equal widths
    const int64_t row = size.rows * y / down, rows = size.rows * (y + 1) / down - row,
                  column = size.columns * x / across, columns = size.columns * (x + 1) / across - column;
    const Tile<T> tile{.depth = size.depth,
                       .a = static_cast<const T*>(left.data) + row * left.row_stride,
                       .b = static_cast<const T*>(right.data) + column * right.column_stride,
                       .a_row = left.row_stride,
                       .b_column = right.column_stride,
                       .c = static_cast<T*>(result) + row * leading + column,
                       .leading = leading,
                       .adds = size.adds};
    kTileFunctions<T>[static_cast<size_t>((rows - 1) * kColumns + columns - 1)](tile);
  };
  // The larger factor is read once.
  const bool by_row = size.rows > size.columns;
  for (int64_t i = 0; i < (by_row ? down : across); ++i) {
    for (int64_t j = 0; j < (by_row ? across : down); ++j) by_row ? sum(i, j) : sum(j, i);
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
