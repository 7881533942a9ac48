// Reductions of contiguous rows and of columns, in trees that depend on the shape alone.
#include "kernels/cpu/reduce.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/reduce.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <type_traits>

#include "kernels/scalar.h"

#ifndef TIDU_KERNELS_CPU_REDUCE_SHARED
#define TIDU_KERNELS_CPU_REDUCE_SHARED
namespace tidu::cpu {
namespace {

template <class T> inline constexpr bool is_half = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;

template <class T> using Widened = std::conditional_t<is_half<T>, float, T>;

template <class T>
using Total = std::conditional_t<!std::is_integral_v<T>, Widened<T>,
                                 std::conditional_t<std::is_unsigned_v<T>, uint64_t, int64_t>>;

struct Sum {
  template <class T> using Accumulator = Total<T>;
  template <class A> static constexpr A identity = A(0);
  template <class A> HWY_INLINE static A apply(A a, A b) { return scalar::add(a, b); }
};

struct Prod {
  template <class T> using Accumulator = Total<T>;
  template <class A> static constexpr A identity = A(1);
  template <class A> HWY_INLINE static A apply(A a, A b) { return scalar::multiply(a, b); }
};

struct Max {
  template <class T> using Accumulator = Widened<T>;
  template <class A>
  static constexpr A identity = std::is_floating_point_v<A> ? -std::numeric_limits<A>::infinity()
                                                            : std::numeric_limits<A>::lowest();
  template <class A> HWY_INLINE static A apply(A a, A b) { return scalar::maximum(a, b); }
};

struct Min {
  template <class T> using Accumulator = Widened<T>;
  template <class A>
  static constexpr A identity = std::is_floating_point_v<A> ? std::numeric_limits<A>::infinity()
                                                            : std::numeric_limits<A>::max();
  template <class A> HWY_INLINE static A apply(A a, A b) { return scalar::minimum(a, b); }
};

// Where a tree over m > 1 leaves splits.
inline int64_t split(int64_t m) { return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(m - 1))); }

}  // namespace
}  // namespace tidu::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

// The 16-bit floats are widened a stretch at a time, so that every loop below runs over plain numbers.
inline constexpr int64_t kStretch = 256;

template <class T> HWY_NOINLINE void widen(const T* HWY_RESTRICT x, int64_t n, float* HWY_RESTRICT y) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i]);
}

template <class Op, class A, class T>
HWY_NOINLINE void accumulate(A* HWY_RESTRICT into, const T* HWY_RESTRICT from, int64_t n) {
  if constexpr (is_half<T>) {
    HWY_ALIGN float values[kStretch];
    for (int64_t j = 0; j < n; j += kStretch) {
      const int64_t here = std::min(kStretch, n - j);
      widen(from + j, here, values);
      accumulate<Op>(into + j, values, here);
    }
  } else {
    for (int64_t j = 0; j < n; ++j) into[j] = Op::apply(into[j], static_cast<A>(from[j]));
  }
}

// The element i goes to lane i mod lanes; then the lanes are folded by halves. The number of lanes is fixed,
// so the bits do not depend on the instruction set.
template <class Op, int lanes, class T> HWY_INLINE auto reduce_in_lanes(const T* HWY_RESTRICT x, int64_t n) {
  using A = typename Op::template Accumulator<T>;
  HWY_ALIGN A lane[lanes];
  std::fill_n(lane, lanes, Op::template identity<A>);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int j = 0; j < lanes; ++j) lane[j] = Op::apply(lane[j], static_cast<A>(x[i + j]));
  }
  if (lanes > 1) accumulate<Op>(lane, x + i, n - i);
  for (int width = lanes / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lane[j] = Op::apply(lane[j], lane[j + width]);
  }
  return lane[0];
}

template <class Op, class T> HWY_INLINE auto reduce_run(const T* x, int64_t n) {
  constexpr int many = 256 / sizeof(typename Op::template Accumulator<T>);
  if (n < 16) return reduce_in_lanes<Op, 1>(x, n);
  if (n < 2 * many) return reduce_in_lanes<Op, 16>(x, n);
  return reduce_in_lanes<Op, many>(x, n);
}

template <class Op, class T>
HWY_NOINLINE typename Op::template Accumulator<T> reduce_row(const T* x, int64_t n) {
  if (n > kRowBlock) {
    const int64_t left = split((n + kRowBlock - 1) / kRowBlock) * kRowBlock;
    return Op::apply(reduce_row<Op>(x, left), reduce_row<Op>(x + left, n - left));
  }
  if constexpr (is_half<T>) {
    HWY_ALIGN float values[kRowBlock];
    widen(x, n, values);
    return reduce_row<Op>(values, n);
  } else {
    return reduce_run<Op>(x, n);
  }
}

template <class Op, class T>
void reduce_rows(const void* input, int64_t stride, int64_t rows, int64_t n, void* output) {
  const T* x = static_cast<const T*>(input);
  auto* y = static_cast<typename Op::template Accumulator<T>*>(output);
  for (int64_t r = 0; r < rows; ++r) y[r] = reduce_row<Op>(x + r * stride, n);
}

// A block of at most kColumnBlock rows. Narrow columns are spread over several groups of accumulators (row i
// goes to group i mod groups), which are then folded by halves.
template <class Op, class T, class A>
HWY_NOINLINE void reduce_column_block(const T* x, int64_t stride, int64_t n, int64_t columns, A* y) {
  int64_t groups = 1;
  while (groups < 16 && 2 * groups * columns <= 128) groups *= 2;
  HWY_ALIGN A lanes[128];
  A* wide = groups == 1 ? y : lanes;
  std::fill_n(wide, groups * columns, Op::template identity<A>);
  for (int64_t i = 0; i < n; i += groups) {
    const int64_t here = std::min(groups, n - i);
    if (stride == columns) {
      accumulate<Op>(wide, x + i * stride, here * columns);
    } else {
      for (int64_t g = 0; g < here; ++g) accumulate<Op>(wide + g * columns, x + (i + g) * stride, columns);
    }
  }
  for (int64_t width = groups / 2; width > 0; width /= 2)
    accumulate<Op>(wide, wide + width * columns, width * columns);
  if (groups > 1) std::copy_n(wide, columns, y);
}

template <class Op, class T, class A>
void reduce_column_chunk(const T* x, int64_t stride, int64_t n, int64_t columns, A* y) {
  if (n <= kColumnBlock) return reduce_column_block<Op>(x, stride, n, columns, y);
  const int64_t left = split((n + kColumnBlock - 1) / kColumnBlock) * kColumnBlock;
  reduce_column_chunk<Op>(x, stride, left, columns, y);
  HWY_ALIGN A right[kColumnChunk];
  reduce_column_chunk<Op>(x + left * stride, stride, n - left, columns, right);
  accumulate<Op>(y, right, columns);
}

template <class Op, class T>
void reduce_columns(const void* input, int64_t stride, int64_t n, int64_t columns, void* output) {
  const T* x = static_cast<const T*>(input);
  auto* y = static_cast<typename Op::template Accumulator<T>*>(output);
  for (int64_t j = 0; j < columns; j += kColumnChunk) {
    reduce_column_chunk<Op>(x + j, stride, n, std::min(kColumnChunk, columns - j), y + j);
  }
}

template <class Op, class A> void combine_partials(A* partials, int64_t n, int64_t columns) {
  if (n <= 1) return;
  const int64_t left = split(n);
  combine_partials<Op>(partials, left, columns);
  combine_partials<Op>(partials + left * columns, n - left, columns);
  accumulate<Op>(partials, partials + left * columns, columns);
}

template <class Op, class T> void combine(void* partials, int64_t n, int64_t columns) {
  combine_partials<Op>(static_cast<T*>(partials), n, columns);
}

// Where in n <= kStretch values the wanted one is first; n if nowhere.
template <class A> HWY_INLINE int64_t find_first(const A* x, int64_t n, A wanted) {
  const bool nan = wanted != wanted;
  int hits = 0;
  for (int64_t i = 0; i < n; ++i) hits |= nan ? x[i] != x[i] : x[i] == wanted;
  int64_t i = hits != 0 ? 0 : n;
  while (i < n && !(nan ? x[i] != x[i] : x[i] == wanted)) ++i;
  return i;
}

template <class Op, class T>
void arg_rows(const void* input, int64_t stride, int64_t rows, int64_t n, int64_t* out) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = static_cast<const T*>(input) + r * stride;
    const Widened<T> best = reduce_row<Op>(x, n);
    int64_t index = 0;
    for (int64_t here = 0, found = 0; index < n && found == here; index += found) {
      here = std::min(kStretch, n - index);
      if constexpr (is_half<T>) {
        HWY_ALIGN float values[kStretch];
        widen(x + index, here, values);
        found = find_first(values, here, best);
      } else {
        found = find_first(x + index, here, best);
      }
    }
    out[r] = index;
  }
}

template <class Op, class T>
void arg_columns(const void* input, int64_t stride, int64_t n, int64_t columns, int64_t* out) {
  using A = Widened<T>;
  HWY_ALIGN A best[kColumnChunk];
  for (int64_t start = 0; start < columns; start += kColumnChunk) {
    const int64_t width = std::min(kColumnChunk, columns - start);
    const T* HWY_RESTRICT x = static_cast<const T*>(input) + start;
    int64_t* HWY_RESTRICT index = out + start;
    for (int64_t j = 0; j < width; ++j) {
      best[j] = static_cast<A>(x[j]);
      index[j] = 0;
    }
    for (int64_t i = 1; i < n; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        const A value = static_cast<A>(x[i * stride + j]), old = best[j];
        const bool better = std::is_same_v<Op, Max> ? value > old : value < old;
        const bool take = old == old && (better || value != value);
        best[j] = take ? value : old;
        index[j] = take ? i : index[j];
      }
    }
  }
}

// In the order of DType. A bool is read as the byte 0 or 1 that it is, which compilers vectorise better.
template <class Function, template <class, class> class Get, class Op>
constexpr std::array<Function, kDTypeCount> of_dtypes() {
  return {Get<Op, uint8_t>::value,  Get<Op, int8_t>::value,   Get<Op, int16_t>::value,
          Get<Op, int32_t>::value,  Get<Op, int64_t>::value,  Get<Op, uint8_t>::value,
          Get<Op, uint16_t>::value, Get<Op, uint32_t>::value, Get<Op, uint64_t>::value,
          Get<Op, float16>::value,  Get<Op, bfloat16>::value, Get<Op, float>::value,
          Get<Op, double>::value};
}

template <class Op, class T> struct Rows { static constexpr ReduceRowsFunction value = reduce_rows<Op, T>; };
template <class Op, class T> struct Columns {
  static constexpr ReduceColumnsFunction value = reduce_columns<Op, T>;
};
template <class Op, class T> struct Combine {
  static constexpr CombineFunction value = combine<Op, typename Op::template Accumulator<T>>;
};
template <class Op, class T> struct ArgRows { static constexpr ArgRowsFunction value = arg_rows<Op, T>; };
template <class Op, class T> struct ArgColumns {
  static constexpr ArgColumnsFunction value = arg_columns<Op, T>;
};

template <class Function, template <class, class> class Get> Function find(Reduction reduction, DType dtype) {
  static constexpr std::array<std::array<Function, kDTypeCount>, 4> functions = {
      of_dtypes<Function, Get, Sum>(), of_dtypes<Function, Get, Prod>(), of_dtypes<Function, Get, Max>(),
      of_dtypes<Function, Get, Min>()};
  return functions[static_cast<size_t>(reduction)][static_cast<size_t>(dtype)];
}

ReduceRowsFunction find_rows(Reduction reduction, DType dtype) {
  return find<ReduceRowsFunction, Rows>(reduction, dtype);
}
ReduceColumnsFunction find_columns(Reduction reduction, DType dtype) {
  return find<ReduceColumnsFunction, Columns>(reduction, dtype);
}
CombineFunction find_combine(Reduction reduction, DType dtype) {
  return find<CombineFunction, Combine>(reduction, dtype);
}

ArgRowsFunction find_arg_rows(bool largest, DType dtype) {
  static constexpr auto max = of_dtypes<ArgRowsFunction, ArgRows, Max>(),
                        min = of_dtypes<ArgRowsFunction, ArgRows, Min>();
  return (largest ? max : min)[static_cast<size_t>(dtype)];
}
ArgColumnsFunction find_arg_columns(bool largest, DType dtype) {
  static constexpr auto max = of_dtypes<ArgColumnsFunction, ArgColumns, Max>(),
                        min = of_dtypes<ArgColumnsFunction, ArgColumns, Min>();
  return (largest ? max : min)[static_cast<size_t>(dtype)];
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_rows);
HWY_EXPORT(find_columns);
HWY_EXPORT(find_combine);
HWY_EXPORT(find_arg_rows);
HWY_EXPORT(find_arg_columns);
}  // namespace

DType accumulator_dtype(Reduction reduction, DType dtype) {
  if (dtype == DType::float16 || dtype == DType::bfloat16) return DType::float32;
  if (reduction == Reduction::max || reduction == Reduction::min || dtype >= DType::float32) return dtype;
  return dtype >= DType::uint8 ? DType::uint64 : DType::int64;
}

ReduceRowsFunction reduce_rows_function(Reduction reduction, DType dtype) {
  return HWY_DYNAMIC_DISPATCH(find_rows)(reduction, dtype);
}
ReduceColumnsFunction reduce_columns_function(Reduction reduction, DType dtype) {
  return HWY_DYNAMIC_DISPATCH(find_columns)(reduction, dtype);
}
CombineFunction combine_function(Reduction reduction, DType accumulator) {
  return HWY_DYNAMIC_DISPATCH(find_combine)(reduction, accumulator);
}
ArgRowsFunction arg_rows_function(bool largest, DType dtype) {
  return HWY_DYNAMIC_DISPATCH(find_arg_rows)(largest, dtype);
}
ArgColumnsFunction arg_columns_function(bool largest, DType dtype) {
  return HWY_DYNAMIC_DISPATCH(find_arg_columns)(largest, dtype);
}

}  // namespace tidu::cpu
#endif
