// Every reduction once, as four functions, from which the CPU trees and the CUDA blocks are made: read by g++
// and nvcc.
//
//   template <class T> struct Name {           T: of the elements; kernels take bool as uint8_t
//     using State, Result;                     State: a number, or a struct aligned to its size or above 16
//     static State identity();                 of no elements
//     static State lift(T x);                  of one, or lift(x, index); of a half as of its float
//     static State combine(State a, State b);  of two runs; commutative but for signs of 0, bits of NaN
//     static Result finish(State s, const Whole& whole);
//   };
//
// (Perhaps also lift_run, of several elements at once, where that is cheaper: lift_run<n>(x, index, step) of
// x[0]
// .. x[n - 1], each at a place `step` behind the one before.)
// Each is named by a row of csrc/ops/reduce.def. Halves are accumulated in float, and what follows is
// computed in float, too, and rounded once.
#pragma once

#include <concepts>
#include <limits>
#include <utility>

#include "kernels/convert.h"
#include "kernels/level.h"
#include "kernels/scalar.h"

namespace tidu::reduction {

// What was reduced, beside its state.
struct Whole {
  int64_t count;     // of elements
  double parameter;  // of the reduction
};

// Elements rather than states.
template <class X, class T>
concept RunOf = std::same_as<std::remove_cvref_t<decltype(std::declval<const X&>()[0])>, T>;

// What numbers are added up in.
template <class T> struct WideOf { using type = Computed<T>; };
template <std::integral T> struct WideOf<T> {
  using type = std::conditional_t<std::is_signed_v<T> || std::is_same_v<T, bool>, int64_t, uint64_t>;
};
template <class T> using Wide = typename WideOf<T>::type;

template <class T> struct Sum {
  using State = Wide<T>;
  using Result = std::conditional_t<is_half<T>, T, State>;
  static constexpr bool kConverts = true;  // and `lift` does nothing else
  TIDU_HD static State identity() { return State(0); }
  TIDU_HD static State lift(T x) { return static_cast<State>(x); }
  TIDU_HD static State combine(State a, State b) { return scalar::add(a, b); }
  TIDU_HD static Result finish(State s, const Whole&) { return static_cast<Result>(s); }
};

template <class T> struct SumOfSquares : Sum<T> {
  using State = typename Sum<T>::State;
  static constexpr bool kConverts = false;
  TIDU_HD static State lift(T x) { return scalar::square(static_cast<State>(x)); }
};

template <class T> struct Prod : Sum<T> {
  using State = typename Sum<T>::State;
  TIDU_HD static State identity() { return State(1); }
  TIDU_HD static State combine(State a, State b) { return scalar::multiply(a, b); }
};

template <class T> struct CountNonzero : Sum<int64_t> {
  static constexpr bool kConverts = false;
  TIDU_HD static int64_t lift(T x) { return x != T(0); }
};

template <class T> struct Mean : Sum<T> {
  using State = typename Sum<T>::State;
  using Tree = Sum<T>;
  TIDU_HD static T finish(State s, const Whole& whole) {
    return static_cast<T>(s / static_cast<State>(static_cast<double>(whole.count)));
  }
};

template <class T> struct Any {
  using State = uint8_t;
  using Result = bool;
  TIDU_HD static State identity() { return 0; }
  TIDU_HD static State lift(T x) { return x != T(0); }
  TIDU_HD static State combine(State a, State b) { return a | b; }
  TIDU_HD static bool finish(State s, const Whole&) { return s != 0; }
};

template <class T> struct All : Any<T> {
  TIDU_HD static uint8_t identity() { return 1; }
  TIDU_HD static uint8_t combine(uint8_t a, uint8_t b) { return a & b; }
};

// NaN wins.
template <class T> struct Max {
  using State = Computed<T>;
  using Result = T;
  static constexpr bool kConverts = true;
  TIDU_HD static State identity() {
    using Limits = std::numeric_limits<State>;
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
  TIDU_HD static State lift(T x) { return static_cast<State>(x); }
  TIDU_HD static State combine(State a, State b) { return scalar::maximum(a, b); }
  TIDU_HD static T finish(State s, const Whole&) { return static_cast<T>(s); }
};

template <class T> struct Min : Max<T> {
  using State = Computed<T>;
  TIDU_HD static State identity() {
    using Limits = std::numeric_limits<State>;
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
  TIDU_HD static State combine(State a, State b) { return scalar::minimum(a, b); }
};

// The squared deviations of a run from its mean (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for
// computing the sample variance", 1983), of numbers times the scale of a level. The mean is kept as its
// distance from one of the elements, so that nothing of its own size is rounded, and equal elements deviate
// by exactly 0.
template <class Real> struct Deviations { Real origin, distance, squares, count, scale; };

template <class T> struct Var {
  using Real = Computed<T>;
  using State = Deviations<Real>;
  using Result = T;
  TIDU_HD static State identity() { return {Real(0), Real(0), Real(0), Real(0), Level<Real>::kUp}; }
  TIDU_HD static State lift(T x) {
    const Real value = static_cast<Real>(x), scale = Level<Real>::of(scalar::abs(value));
    return {value * scale, Real(0), Real(0), Real(1), scale};
  }
  // Of n > 0 elements at once, with one division: by their sums of these two.
  TIDU_HD static Real distance_of(Real x, Real origin) { return x - origin; }
  TIDU_HD static Real square_of(Real x, Real origin, Real distance) {
    return scalar::square((x - origin) - distance);
  }
  template <class Sum> TIDU_HD static State lift_run(T first, int64_t n, const Sum& sum) {
    const Real origin = static_cast<Real>(first), count = static_cast<Real>(n);
    const Real distance = sum([origin](Real x) { return distance_of(x, origin); }) / count;
    const Real squares = sum([origin, distance](Real x) { return square_of(x, origin, distance); });
    return of_run({origin, distance, squares, count, Real(1)}, sum);
  }
  // What was found of a run, unless its squares leave the range.
  template <class Sum> TIDU_HD static State of_run(const State& s, const Sum& sum) {
    const Real scale = Level<Real>::of(scalar::abs(s.origin) + scalar::abs(s.distance), s.squares);
    return scale == Real(1) ? s : lift_scaled(s.origin * scale, s.count, scale, sum);
  }
  template <int n, RunOf<T> X> TIDU_HD static State lift_run(const X& x, int64_t, int64_t) {
    return lift_run(x[0], n, Run<n, X>{x});
  }
  template <int n, class X> struct Run {
    const X& x;
    template <class F> TIDU_HD Real operator()(const F& f) const {
      Real sum = f(static_cast<Real>(x[0]));
      for (int i = 1; i < n; ++i) sum += f(static_cast<Real>(x[i]));
      return sum;
    }
  };
  TIDU_HD static State combine(State a, State b) {
    const bool from_b = a.count == Real(0), from_a = b.count == Real(0);
    const Real scale = a.scale < b.scale ? a.scale : b.scale;
    a = lowered(a, scale), b = lowered(b, scale);
    const Real delta = (b.origin - a.origin) + (b.distance - a.distance), count = a.count + b.count;
    const Real share = b.count / count;
    const Real distance = a.distance + delta * share;
    const Real squares = (a.squares + b.squares) + delta * delta * (a.count * share);
    return {from_b ? b.origin : a.origin,
            from_b   ? b.distance
            : from_a ? a.distance
                     : distance,
            from_b   ? b.squares
            : from_a ? a.squares
                     : squares,
            count, scale};
  }
  // In units of the square of what the scale makes 1.
  TIDU_HD static Real variance(const State& s, const Whole& whole) {
    const double divisor = static_cast<double>(whole.count) - whole.parameter;
    const Real mean = s.origin + s.distance;  // NaN and infinities deviate from themselves
    return (s.squares + (mean - mean)) / static_cast<Real>(divisor > 0 ? divisor : 0);
  }
  TIDU_HD static T finish(State s, const Whole& whole) {
    return static_cast<T>(variance(s, whole) / s.scale / s.scale);
  }

 private:
  template <class Sum> TIDU_HD static State lift_scaled(Real origin, Real count, Real scale, const Sum& sum) {
    const Real distance = sum([origin, scale](Real x) { return x * scale - origin; }) / count;
    return {origin, distance, sum([origin, distance, scale](Real x) {
              return scalar::square((x * scale - origin) - distance);
            }),
            count, scale};
  }
  TIDU_HD static State lowered(const State& s, Real scale) {
    const Real step = Level<Real>::step(s.scale, scale);
    return {s.origin * step, s.distance * step, s.squares * step * step, s.count, scale};
  }
};

template <class T> struct Std : Var<T> {
  using State = typename Var<T>::State;
  using Tree = Var<T>;
  TIDU_HD static T finish(State s, const Whole& whole) {
    return static_cast<T>(scalar::sqrt(Var<T>::variance(s, whole)) / s.scale);
  }
};

// exp(x - largest), where x is that largest element perhaps an infinite one. In float32 without a branch,
// which each element of a row on a GPU would take by itself; the exponential of float64 takes more registers
// than a kernel has left for what is needed beyond it.
template <class Real> TIDU_HD Real shifted_exp(Real x, Real largest) {
  if constexpr (std::is_same_v<Real, double>) return x == largest ? 1 : scalar::exp(x - largest);
  const Real e = scalar::exp(x - largest);
  return x == largest ? Real(1) : e;
}

template <class T> struct LogSumExp {
  using Real = Computed<T>;
  struct alignas(2 * sizeof(Real)) State {
    Real largest;  // NaN apart
    Real sum;      // of exp(x - largest)
  };
  using Result = T;
  TIDU_HD static State identity() { return {-std::numeric_limits<Real>::infinity(), Real(0)}; }
  TIDU_HD static State lift(T element) {
    const Real x = static_cast<Real>(element);
    return x == x ? State{x, Real(1)} : State{identity().largest, x};
  }
  TIDU_HD static State combine(State a, State b) {
    const bool first = a.largest > b.largest;
    const State &high = first ? a : b, &low = first ? b : a;
    return {high.largest, ::fma(low.sum, shifted_exp(low.largest, high.largest), high.sum)};
  }
  TIDU_HD static T finish(State s, const Whole&) { return static_cast<T>(s.largest + scalar::log(s.sum)); }
};

// The index of the first extreme element, or of the first NaN.
template <class T, template <class> class Extreme> struct Argument {
  using Value = Computed<T>;
  struct alignas(16) State {
    Value value;
    int64_t index;
  };
  using Result = int64_t;
  // Behind all elements, so that it loses against an equal one.
  TIDU_HD static State identity() { return {Extreme<T>::identity(), INT64_MAX}; }
  TIDU_HD static State lift(T x, int64_t index) { return {static_cast<Value>(x), index}; }
  template <int n, RunOf<T> X> TIDU_HD static State lift_run(const X& x, int64_t index, int64_t step) {
    Value value = static_cast<Value>(x[0]);
    int at = 0;
    for (int i = 1; i < n; ++i) {
      const Value best = Extreme<T>::combine(value, static_cast<Value>(x[i]));
      const bool stays = value == best || value != value;
      at = stays ? at : i;
      value = stays ? value : best;
    }
    return {value, index + at * step};
  }
  TIDU_HD static State combine(State a, State b) {
    const Value best = Extreme<T>::combine(a.value, b.value);
    const bool a_is = a.value == best || a.value != a.value, b_is = b.value == best || b.value != b.value;
    return a_is != b_is ? (a_is ? a : b) : (a.index < b.index ? a : b);
  }
  TIDU_HD static int64_t finish(State s, const Whole&) { return s.index; }
};
template <class T> struct ArgMax : Argument<T, Max> {};
template <class T> struct ArgMin : Argument<T, Min> {};

// The sets of types that the tables name, bool read as uint8_t.
template <class T> inline constexpr bool any_types = true;
template <class T> inline constexpr bool floating_types = !std::is_integral_v<T>;
template <class T>
inline constexpr bool boolean_types = std::is_same_v<T, uint8_t> || std::is_same_v<T, bool>;

// What a reduction takes elements of these for: those of `floating` that are integers, for floats that hold
// them, up to 2^53 at least; void where it does not take them.
template <class T> using any_numbers = T;
template <class T>
using floating_numbers =
    std::conditional_t<std::is_integral_v<T>, std::conditional_t<(sizeof(T) < 4), float, double>, T>;
template <class T> using boolean_numbers = std::conditional_t<boolean_types<T>, T, void>;

// What accumulates the states of another.
template <class Op> struct OfStates : Op {
  TIDU_HD static typename Op::State lift(typename Op::State state) { return state; }
};

// A reduction that differs from another in `finish` alone names that as its tree.
template <class Op> struct TreeOf { using type = Op; };
template <class Op>
requires requires { typename Op::Tree; }
struct TreeOf<Op> {
  using type = typename Op::Tree;
};

// Of integers what is computed in double is a float.
template <class Op> struct RoundedToFloat : Op {
  using Result = float;
  using Tree = typename TreeOf<Op>::type;
  TIDU_HD static float finish(typename Op::State s, const Whole& whole) {
    return static_cast<float>(Op::finish(s, whole));
  }
};

// What reduces elements of type T that are taken for Numbers.
template <template <class> class Struct, class Numbers, class T>
using ReductionOf = std::conditional_t<std::is_integral_v<T> && std::is_same_v<Numbers, double>,
                                       RoundedToFloat<Struct<Numbers>>, Struct<Numbers>>;

}  // namespace tidu::reduction
