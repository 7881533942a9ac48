// Reductions of contiguous rows and of columns, in trees that depend on the shape alone.
#include "kernels/cpu/reduce.h"

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/reduce.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/contrib/algo/find-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <bit>
#include <type_traits>

#include "kernels/cpu/convert-inl.h"
#include "kernels/reduction.h"

#ifndef TIDU_KERNELS_CPU_REDUCE_SHARED
#define TIDU_KERNELS_CPU_REDUCE_SHARED
namespace tidu::cpu {
namespace {

// Where a tree over m > 1 leaves splits.
inline int64_t split(int64_t m) { return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(m - 1))); }

}  // namespace
}  // namespace tidu::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// The 16-bit floats, and integers that are taken for floats or doubles, are widened a stretch at a time, so
// that every loop below runs over plain numbers.
template <class Op, class T>
inline constexpr bool kWidens = is_half<T> ||
                                (std::is_integral_v<T> && std::is_floating_point_v<typename Op::Result>);
template <class Op>
using Widened = std::conditional_t<std::is_same_v<typename Op::Result, double>, double, float>;
inline constexpr int64_t kStretch = 256;

template <class T, class W> HWY_NOINLINE void widen(const T* HWY_RESTRICT x, int64_t n, W* HWY_RESTRICT y) {
  tidu::HWY_NAMESPACE::convert_all(x, y, n);
}

template <class Op, class A, class T>
HWY_NOINLINE void accumulate(A* HWY_RESTRICT into, const T* HWY_RESTRICT from, int64_t n) {
  if constexpr (kWidens<Op, T>) {
    HWY_ALIGN Widened<Op> values[kStretch];
    for (int64_t j = 0; j < n; j += kStretch) {
      const int64_t here = std::min(kStretch, n - j);
      widen(from + j, here, values);
      accumulate<Op>(into + j, values, here);
    }
  } else {
    for (int64_t j = 0; j < n; ++j) into[j] = Op::combine(into[j], Op::lift(from[j]));
  }
}

// As many rows are read at once: fewer streams do not draw all that memory gives, and what is added up is
// loaded and stored less often. In their order, so the bits are those of one row after another.
inline constexpr int64_t kRowsAtOnce = 8;
template <class Op>
concept Adds = requires(const Op& op) {
  []<class T>(const reduction::Sum<T>&) {}(op);
};
template <class Op, int64_t rows, class A, class T>
HWY_NOINLINE void accumulate_rows(A* HWY_RESTRICT into, const T* HWY_RESTRICT from, int64_t stride,
                                  int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    A state = into[j];
    for (int64_t r = 0; r < rows; ++r) state = Op::combine(state, Op::lift(from[r * stride + j]));
    into[j] = state;
  }
}

// States of what has one for a run, of n rows in each column: both sums are those of some columns side by
// side, which stay in the first-level cache for the second.
template <class Op, class T>
concept LiftsRuns = std::is_floating_point_v<T> && requires(T x) {
  Op::square_of(x, x, x);
};
template <class Op, class T, class A>
HWY_NOINLINE void lift_runs(const T* HWY_RESTRICT x, int64_t stride, int64_t n, int64_t columns,
                            A* HWY_RESTRICT y) {
  constexpr int64_t kWidth = 128 / sizeof(T);
  const T count = static_cast<T>(n);
  for (int64_t begin = 0; begin < columns; begin += kWidth, x += kWidth, y += kWidth) {
    const int64_t width = std::min(kWidth, columns - begin);
    HWY_ALIGN T origin[kWidth], distance[kWidth] = {}, squares[kWidth] = {};
    std::copy_n(x, width, origin);
    const auto measure = [&](auto here) {
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < here; ++j) distance[j] += Op::distance_of(x[i * stride + j], origin[j]);
      }
      for (int64_t j = 0; j < here; ++j) distance[j] /= count;
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < here; ++j)
          squares[j] += Op::square_of(x[i * stride + j], origin[j], distance[j]);
      }
    };
    if (width == kWidth) {
      measure(std::integral_constant<int64_t, kWidth>());
    } else {
      measure(width);
    }
    for (int64_t j = 0; j < width; ++j) {
      const auto sum = [&](const auto& f) {
        T all = T(0);
        for (int64_t i = 0; i < n; ++i) all += f(x[i * stride + j]);
        return all;
      };
      y[j] = Op::of_run({origin[j], distance[j], squares[j], count, T(1)}, sum);
    }
  }
}

template <class Op, class A>
void accumulate_states(A* HWY_RESTRICT into, const A* HWY_RESTRICT from, int64_t n) {
  accumulate<reduction::OfStates<Op>>(into, from, n);
}

inline constexpr int kLanes = 16;  // of rows that are not long; shorter rows are reduced in their order

// The element i goes to lane i mod lanes; then the lanes are folded by halves. The number of lanes is fixed,
// so the bits do not depend on the instruction set.
template <class Op, int lanes, class T, class Lift>
HWY_INLINE auto reduce_in_lanes(const T* HWY_RESTRICT x, int64_t n, const Lift& lift) {
  HWY_ALIGN typename Op::State lane[lanes];
  std::fill_n(lane, lanes, Op::identity());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int j = 0; j < lanes; ++j) lane[j] = Op::combine(lane[j], lift(x[i + j]));
  }
  if (lanes > 1) {
    for (int64_t j = 0; j < n - i; ++j) lane[j] = Op::combine(lane[j], lift(x[i + j]));
  }
  fold_lanes<lanes>(lane, [](const auto& a, const auto& b) { return Op::combine(a, b); });
  return lane[0];
}

template <class State> inline constexpr int kWide = std::bit_floor(256 / sizeof(State));  // of long rows

template <class Op, class T, class Lift>
HWY_INLINE auto reduce_lifted(const T* x, int64_t n, const Lift& lift) {
  constexpr int many = kWide<typename Op::State>;
  if (n < kLanes) return reduce_in_lanes<Op, 1>(x, n, lift);
  if (n < 2 * many) return reduce_in_lanes<Op, kLanes>(x, n, lift);
  return reduce_in_lanes<Op, many>(x, n, lift);
}

// Extremes of floats, by vectors that overlap at the end; false where one is NaN.
template <class Op, class T>
concept IsExtreme = std::is_floating_point_v<T> &&
    (std::is_same_v<Op, reduction::Max<T>> || std::is_same_v<Op, reduction::Min<T>>);
template <class Op, class T> HWY_INLINE bool find_extreme(const T* HWY_RESTRICT x, int64_t n, T* extreme) {
  constexpr bool largest = std::is_same_v<Op, reduction::Max<T>>;
  const hn::CappedTag<T, kLanes> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto best = hn::LoadU(d, x);
  auto nan = hn::IsNaN(best);
  const auto take = [&](int64_t i) {
    const auto v = hn::LoadU(d, x + i);
    best = largest ? hn::Max(best, v) : hn::Min(best, v);
    nan = hn::Or(nan, hn::IsNaN(v));
  };
  int64_t i = lanes;
  for (; i + lanes <= n; i += lanes) take(i);
  if (i < n) take(n - lanes);
  *extreme = hn::GetLane(largest ? hn::MaxOfLanes(d, best) : hn::MinOfLanes(d, best));
  return hn::AllFalse(d, nan);
}

// How many are not 0, counted in lanes as wide as they are, where these do not overflow in a block.
template <class Op, class T>
inline constexpr bool kCounts = std::is_same_v<Op, reduction::CountNonzero<T>> &&
                                (sizeof(T) > 1 ? HWY_TARGET != HWY_SCALAR
                                               : kRowBlock / hn::MaxLanes(hn::ScalableTag<uint8_t>()) < 256);
template <class T> HWY_INLINE int64_t count_nonzero(const T* HWY_RESTRICT x, int64_t n) {
  const hn::ScalableTag<T> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto counts = hn::Zero(du);
  int64_t i = 0, count = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto is_zero = hn::Eq(hn::LoadU(d, x + i), hn::Zero(d));
    counts = hn::Sub(counts, hn::VecFromMask(du, hn::RebindMask(du, hn::Not(is_zero))));
  }
  for (; i < n; ++i) count += x[i] != T(0);
  HWY_ALIGN hn::TFromD<decltype(du)> of_lanes[hn::MaxLanes(d)];
  hn::Store(counts, du, of_lanes);
  for (int64_t j = 0; j < lanes; ++j) count += static_cast<int64_t>(of_lanes[j]);
  return count;
}

template <class Op, class T> HWY_INLINE auto reduce_run(const T* x, int64_t n) {
  if constexpr (kCounts<Op, T>) return count_nonzero(x, n);
  if constexpr (IsExtreme<Op, T>) {
    T extreme;
    if (n >= kLanes && n < 4 * kWide<T> && find_extreme<Op>(x, n, &extreme)) return extreme;
  }
  const auto sum = [&](const auto& f) { return reduce_lifted<reduction::Sum<T>>(x, n, f); };
  if constexpr (requires { Op::lift_run(*x, n, sum); } && std::is_floating_point_v<T>) {
    return n > 0 ? Op::lift_run(*x, n, sum) : Op::identity();
  } else {
    return reduce_lifted<Op>(x, n, [](T value) { return Op::lift(value); });
  }
}

template <class Op, class T> HWY_NOINLINE typename Op::State reduce_row(const T* x, int64_t n) {
  if (n > kRowBlock) {
    const int64_t left = split((n + kRowBlock - 1) / kRowBlock) * kRowBlock;
    const auto first = reduce_row<Op>(x, left);  // memory is read in order
    if constexpr (std::is_same_v<typename Op::Result, bool>) {
      if (first != Op::identity()) return first;  // settled, whatever follows
    }
    return Op::combine(first, reduce_row<Op>(x + left, n - left));
  }
  if constexpr (kWidens<Op, T>) {
    HWY_ALIGN Widened<Op> values[kRowBlock];
    widen(x, n, values);
    return reduce_row<Op>(values, n);
  } else {
    return reduce_run<Op>(x, n);
  }
}

// Rows of fewer elements than lanes, several side by side: each sum waits for the one before it, those of
// other rows do not.
template <class Op, class T>
HWY_NOINLINE void reduce_short_rows(const T* HWY_RESTRICT x, int64_t stride, int64_t n,
                                    typename Op::State* HWY_RESTRICT y) {
  typename Op::State state[kRowsAtOnce];
  std::fill_n(state, kRowsAtOnce, Op::identity());
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t r = 0; r < kRowsAtOnce; ++r) state[r] = Op::combine(state[r], Op::lift(x[r * stride + i]));
  }
  std::copy_n(state, kRowsAtOnce, y);
}

template <class Op, class T>
void reduce_rows(const void* input, int64_t stride, int64_t rows, int64_t n, void* output) {
  const T* x = static_cast<const T*>(input);
  auto* y = static_cast<typename Op::State*>(output);
  int64_t r = 0;
  if constexpr (std::is_arithmetic_v<typename Op::State> && !kWidens<Op, T>) {
    for (; n < kLanes && r + kRowsAtOnce <= rows; r += kRowsAtOnce)
      reduce_short_rows<Op>(x + r * stride, stride, n, y + r);
  }
  for (; r < rows; ++r) y[r] = reduce_row<Op>(x + r * stride, n);
}

// A block of at most kColumnBlock rows. Narrow columns are spread over several groups of accumulators (row i
// goes to group i mod groups), which are then folded by halves.
template <class Op, class T, class A>
HWY_NOINLINE void reduce_column_block(const T* x, int64_t stride, int64_t n, int64_t columns, A* y) {
  if constexpr (LiftsRuns<Op, T>) return lift_runs<Op>(x, stride, n, columns, y);
  int64_t groups = 1;
  while (groups < 16 && 2 * groups * columns <= 128) groups *= 2;
  HWY_ALIGN A lanes[128];
  A* wide = groups == 1 ? y : lanes;
  std::fill_n(wide, groups * columns, Op::identity());
  int64_t i = 0;
  if constexpr (Adds<Op> && !kWidens<Op, T>) {
    // Of several groups the rows are one, if they are neighbours.
    const bool together = groups == 1 || stride == columns;
    const auto accumulate_many = [&]<int64_t rows> {
      for (; together && i + rows * groups <= n; i += rows * groups)
        accumulate_rows<Op, rows>(wide, x + i * stride, groups * stride, groups * columns);
    };
    accumulate_many.template operator()<kRowsAtOnce>();
    accumulate_many.template operator()<kRowsAtOnce / 2>();
  }
  for (; i < n; i += groups) {
    const int64_t here = std::min(groups, n - i);
    if (stride == columns) {
      accumulate<Op>(wide, x + i * stride, here * columns);
    } else {
      for (int64_t g = 0; g < here; ++g) accumulate<Op>(wide + g * columns, x + (i + g) * stride, columns);
    }
  }
  for (int64_t width = groups / 2; width > 0; width /= 2)
    accumulate_states<Op>(wide, wide + width * columns, width * columns);
  if (groups > 1) std::copy_n(wide, columns, y);
}

template <class Op, class T, class A>
void reduce_column_chunk(const T* x, int64_t stride, int64_t n, int64_t columns, A* y) {
  if (n <= kColumnBlock) return reduce_column_block<Op>(x, stride, n, columns, y);
  const int64_t left = split((n + kColumnBlock - 1) / kColumnBlock) * kColumnBlock;
  reduce_column_chunk<Op>(x, stride, left, columns, y);
  HWY_ALIGN A right[kColumnChunk];
  reduce_column_chunk<Op>(x + left * stride, stride, n - left, columns, right);
  accumulate_states<Op>(y, right, columns);
}

template <class Op, class T>
void reduce_columns(const void* input, int64_t stride, int64_t n, int64_t columns, void* output) {
  const T* x = static_cast<const T*>(input);
  auto* y = static_cast<typename Op::State*>(output);
  for (int64_t j = 0; j < columns; j += kColumnChunk) {
    reduce_column_chunk<Op>(x + j, stride, n, std::min(kColumnChunk, columns - j), y + j);
  }
}

template <class Op, class A> void combine_states(A* states, int64_t n, int64_t columns) {
  if (n <= 1) return;
  const int64_t left = split(n);
  combine_states<Op>(states, left, columns);
  combine_states<Op>(states + left * columns, n - left, columns);
  accumulate_states<Op>(states, states + left * columns, columns);
}

template <class Op> void combine(void* states, int64_t n, int64_t columns) {
  combine_states<Op>(static_cast<typename Op::State*>(states), n, columns);
}

template <class Op> void finish(const void* states, const reduction::Whole& whole, void* output, int64_t n) {
  const auto* state = static_cast<const typename Op::State*>(states);
  auto* y = static_cast<typename Op::Result*>(output);
  for (int64_t i = 0; i < n; ++i) y[i] = Op::finish(state[i], whole);
}

// Where among n values the wanted one is first; n if nowhere.
template <class A> HWY_INLINE int64_t find_first(const A* x, int64_t n, A wanted) {
  const hn::ScalableTag<A> d;
  const auto count = static_cast<size_t>(n);
  if constexpr (std::is_floating_point_v<A>) {
    const auto is_nan = [](auto, auto v) { return hn::IsNaN(v); };
    if (wanted != wanted) return static_cast<int64_t>(hn::FindIf(d, x, count, is_nan));
  }
  return static_cast<int64_t>(hn::Find(d, wanted, x, count));
}

template <class T, bool largest>
void arg_rows(const void* input, int64_t stride, int64_t rows, int64_t n, int64_t* out) {
  using Op = std::conditional_t<largest, reduction::Max<Computed<T>>, reduction::Min<Computed<T>>>;
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = static_cast<const T*>(input) + r * stride;
    if constexpr (is_half<T>) {
      const float best = reduce_row<Op>(x, n);
      int64_t index = 0;
      for (int64_t here = 0, found = 0; index < n && found == here; index += found) {
        HWY_ALIGN float values[kStretch];
        here = std::min(kStretch, n - index);
        widen(x + index, here, values);
        found = find_first(values, here, best);
      }
      out[r] = index;
    } else {
      T best = reduce_row<Op>(x, std::min(n, kRowBlock));
      out[r] = find_first(x, std::min(n, kRowBlock), best);
      // A block is looked through while it is near.
      for (int64_t begin = kRowBlock; begin < n && best == best; begin += kRowBlock) {
        const int64_t here = std::min(kRowBlock, n - begin);
        const T of_block = Op::combine(best, reduce_row<Op>(x + begin, here));
        if (of_block == best) continue;
        best = of_block;
        out[r] = begin + find_first(x + begin, here, best);
      }
    }
  }
}

template <class T, bool largest>
void arg_columns(const void* input, int64_t stride, int64_t n, int64_t columns, int64_t* out) {
  using A = Computed<T>;
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
        const bool better = largest ? value > old : value < old;
        const bool take = old == old && (better || value != value);
        best[j] = take ? value : old;
        index[j] = take ? i : index[j];
      }
    }
  }
}

// What accumulates the states of a reduction, of which there are fewer kinds than of elements.
template <template <class> class Struct, class Tree> constexpr auto again_of() {
  using State = typename Tree::State;
  if constexpr (std::is_arithmetic_v<State>) {
    using Plain = typename reduction::TreeOf<Struct<State>>::type;
    if constexpr (requires { requires Plain::kConverts; }) {
      return Plain();
    } else {
      return reduction::OfStates<Plain>();
    }
  } else {
    return reduction::OfStates<Tree>();
  }
}

// Of elements of type T, which the row takes for Numbers. Halves are widened first, so the tree is that of
// float.
template <template <class> class Struct, class Numbers, class T> constexpr ReduceFunctions functions_of() {
  if constexpr (std::is_void_v<Numbers>) {
    return {};
  } else {
    using Op = reduction::ReductionOf<Struct, Numbers, T>;
    using State = typename Op::State;
    using Tree = typename reduction::TreeOf<Struct<Computed<Numbers>>>::type;
    static_assert(std::is_same_v<State, typename Tree::State>);
    using Again = decltype(again_of<Struct, Tree>());
    return {sizeof(State),
            reduce_rows<Tree, T>,
            reduce_rows<Again, State>,
            reduce_columns<Tree, T>,
            reduce_columns<Again, State>,
            combine<Again>,
            finish<Op>};
  }
}

// In the order of DType, the real ones. A bool is read as the byte 0 or 1 that it is, which compilers
// vectorise better.
template <class F> constexpr auto of_dtypes(F f) {
  return std::array{
      f.template operator()<uint8_t>(),  f.template operator()<int8_t>(),   f.template operator()<int16_t>(),
      f.template operator()<int32_t>(),  f.template operator()<int64_t>(),  f.template operator()<uint8_t>(),
      f.template operator()<uint16_t>(), f.template operator()<uint32_t>(), f.template operator()<uint64_t>(),
      f.template operator()<float16>(),  f.template operator()<bfloat16>(), f.template operator()<float>(),
      f.template operator()<double>()};
}

constexpr std::array<ReduceFunctions, static_cast<size_t>(DType::complex64)> kReductions[] = {
#define ROWWISE(...)
#define REDUCTION(name, Struct, types, ...) \
  of_dtypes([]<class T>() { return functions_of<reduction::Struct, reduction::types##_numbers<T>, T>(); }),
#include "csrc/ops/reduce.def"
};

const ReduceFunctions& find_reduction(ReductionName reduction, DType dtype) {
  return kReductions[static_cast<size_t>(reduction)][static_cast<size_t>(dtype)];
}

template <bool largest> ArgRowsFunction find_arg_rows_of(DType dtype) {
  static constexpr auto functions =
      of_dtypes([]<class T>() { return ArgRowsFunction(arg_rows<T, largest>); });
  return functions[static_cast<size_t>(dtype)];
}
ArgRowsFunction find_arg_rows(bool largest, DType dtype) {
  return largest ? find_arg_rows_of<true>(dtype) : find_arg_rows_of<false>(dtype);
}

template <bool largest> ArgColumnsFunction find_arg_columns_of(DType dtype) {
  static constexpr auto functions =
      of_dtypes([]<class T>() { return ArgColumnsFunction(arg_columns<T, largest>); });
  return functions[static_cast<size_t>(dtype)];
}
ArgColumnsFunction find_arg_columns(bool largest, DType dtype) {
  return largest ? find_arg_columns_of<true>(dtype) : find_arg_columns_of<false>(dtype);
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_reduction);
HWY_EXPORT(find_arg_rows);
HWY_EXPORT(find_arg_columns);
}  // namespace

const ReduceFunctions& reduce_functions(ReductionName reduction, DType dtype) {
  return HWY_DYNAMIC_DISPATCH(find_reduction)(reduction, dtype);
}
ArgRowsFunction arg_rows_function(bool largest, DType dtype) {
  return HWY_DYNAMIC_DISPATCH(find_arg_rows)(largest, dtype);
}
ArgColumnsFunction arg_columns_function(bool largest, DType dtype) {
  return HWY_DYNAMIC_DISPATCH(find_arg_columns)(largest, dtype);
}

}  // namespace tidu::cpu
#endif
