// Vector forms of the transcendental functions for float and double, compiled once per instruction set.
//
// Taylor series on intervals short enough that the last term kept is below the rounding error; special values
// follow C's math library. Errors are at most 5 units in the last place
// (tests/kernels/elementwise_test.cpp).

#if defined(TIDU_KERNELS_CPU_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDU_KERNELS_CPU_MATH_INL_H_
#undef TIDU_KERNELS_CPU_MATH_INL_H_
#else
#define TIDU_KERNELS_CPU_MATH_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <limits>

#include "kernels/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE::math {
namespace hn = hwy::HWY_NAMESPACE;

template <class T> inline constexpr bool is_f32 = sizeof(T) == 4;
template <class T> inline constexpr int mantissa_bits = is_f32<T> ? 23 : 52;
template <class T> inline constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T> inline constexpr T quiet_nan = std::numeric_limits<T>::quiet_NaN();

// Adding this puts the nearest integer of a small x into the low mantissa bits.
template <class T> inline constexpr T magic = is_f32<T> ? T(0x1.8p23) : T(0x1.8p52);

// Horner's scheme, highest coefficient first.
template <class D, class V, class... Rest>
HWY_INLINE V polynomial(D d, V x, hn::TFromD<D> first, Rest... rest) {
  V sum = hn::Set(d, first);
  ((sum = hn::MulAdd(sum, x, hn::Set(d, static_cast<hn::TFromD<D>>(rest)))), ...);
  return sum;
}

// 2^n for integer-valued n in the range of normal numbers.
template <class D, class V> HWY_INLINE V power_of_two(D d, V n) {
  using T = hn::TFromD<D>;
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, hn::Add(n, hn::Set(d, magic<T>)));
  return hn::BitCast(d, hn::Add(hn::ShiftLeft<mantissa_bits<T>>(bits), hn::BitCast(du, hn::Set(d, T(1)))));
}

// x * 2^n in two steps, so that the result may be subnormal and n as large as 2^(exponent bits).
template <class D, class V> HWY_INLINE V scale(D d, V x, V n) {
  const auto m = hn::Set(d, magic<hn::TFromD<D>>);
  const V half = hn::Sub(hn::MulAdd(n, hn::Set(d, hn::TFromD<D>(0.5)), m), m);
  return hn::Mul(hn::Mul(x, power_of_two(d, half)), power_of_two(d, hn::Sub(n, half)));
}

template <class D, class V> HWY_INLINE V nearest(D d, V x) {
  const auto m = hn::Set(d, magic<hn::TFromD<D>>);
  return hn::Sub(hn::Add(x, m), m);
}

// Keeps NaN, whichever way Min and Max treat it.
template <class D, class V> HWY_INLINE V clamp(D d, V x, hn::TFromD<D> low, hn::TFromD<D> high) {
  const V clamped = hn::Min(hn::Max(x, hn::Set(d, low)), hn::Set(d, high));
  return hn::IfThenElse(hn::IsNaN(x), x, clamped);
}

// (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2.
template <class D, class V> HWY_INLINE V exp_tail(D d, V r) {
  if constexpr (is_f32<hn::TFromD<D>>) {
    return polynomial(d, r, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5);
  } else {
    return polynomial(d, r, 1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                      1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5);
  }
}

// x = n log(2) + r; log(2) in two parts, the first short enough that n times it is exact.
template <class D, class V> HWY_INLINE V reduce_by_log2(D d, V x, V n) {
  using T = hn::TFromD<D>;
  const V high = hn::Set(d, is_f32<T> ? T(0x1.62e4p-1) : T(0x1.62e42fefa38p-1));
  const V low = hn::Set(d, is_f32<T> ? T(0x1.7f7d1cp-20) : T(0x1.ef35793c7673p-45));
  return hn::NegMulAdd(n, low, hn::NegMulAdd(n, high, x));
}

template <class D, class V> HWY_INLINE V exp(D d, V x) {
  using T = hn::TFromD<D>;
  const V c = clamp(d, x, is_f32<T> ? T(-105) : T(-746), is_f32<T> ? T(89) : T(710));
  const V n = nearest(d, hn::Mul(c, hn::Set(d, T(1.44269504088896340736))));
  const V r = reduce_by_log2(d, c, n);
  return scale(d, hn::Add(hn::MulAdd(exp_tail(d, r), hn::Mul(r, r), r), hn::Set(d, T(1))), n);
}

// exp of x <= 0, where no overflow is possible; results below the normal numbers are flushed to 0. For sums
// that begin at exp(0) = 1, as in softmax.
template <class D, class V> HWY_INLINE V exp_of_nonpositive(D d, V x) {
  using T = hn::TFromD<D>;
  const auto underflow = hn::Lt(x, hn::Set(d, is_f32<T> ? T(-87.33654) : T(-708.3964)));
  const V c = hn::IfThenZeroElse(underflow, x);
  const V n = nearest(d, hn::Mul(c, hn::Set(d, T(1.44269504088896340736))));
  const V r = reduce_by_log2(d, c, n);
  const V p = hn::Add(hn::MulAdd(exp_tail(d, r), hn::Mul(r, r), r), hn::Set(d, T(1)));
  return hn::IfThenZeroElse(underflow, hn::Mul(p, power_of_two(d, n)));
}

template <class D, class V> HWY_INLINE V exp2(D d, V x) {
  using T = hn::TFromD<D>;
  const V c = clamp(d, x, is_f32<T> ? T(-151) : T(-1080), is_f32<T> ? T(129) : T(1025));
  const V n = nearest(d, c);
  const V r = hn::Mul(hn::Sub(c, n), hn::Set(d, T(0.69314718055994530942)));
  return scale(d, hn::Add(hn::MulAdd(exp_tail(d, r), hn::Mul(r, r), r), hn::Set(d, T(1))), n);
}

// 2^n (exp(r) - 1) + (2^n - 1), at half the scale so that the largest finite results do not overflow on the
// way.
template <class D, class V> HWY_INLINE V expm1(D d, V x) {
  using T = hn::TFromD<D>;
  const V c = clamp(d, x, is_f32<T> ? T(-20) : T(-40), is_f32<T> ? T(89) : T(710));
  const V n = nearest(d, hn::Mul(c, hn::Set(d, T(1.44269504088896340736))));
  const V r = reduce_by_log2(d, c, n);
  const V p = hn::MulAdd(exp_tail(d, r), hn::Mul(r, r), r);
  const V half_scale = power_of_two(d, hn::Sub(n, hn::Set(d, T(1))));
  const V half = hn::MulAdd(half_scale, p, hn::Sub(half_scale, hn::Set(d, T(0.5))));
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, hn::Add(half, half));
}

// x = 2^e m with m in [sqrt(1/2), sqrt(2)); x positive and normal.
template <class D, class V> HWY_INLINE V split_exponent(D d, V x, V* e) {
  using T = hn::TFromD<D>;
  using Bits = hwy::MakeUnsigned<T>;
  const hn::RebindToUnsigned<D> du;
  constexpr int shift = mantissa_bits<T>;
  const auto sqrt_half = hn::Set(du, is_f32<T> ? Bits(0x3f3504f3u) : Bits(0x3fe6a09e667f3bcdu));
  const auto one = hn::BitCast(du, hn::Set(d, T(1)));
  const auto bits = hn::Add(hn::BitCast(du, x), hn::Sub(one, sqrt_half));
  // The biased exponent becomes a number as the low bits of a number whose last place is 1.
  const T base = is_f32<T> ? T(0x1p23) : T(0x1p52);
  const auto number = hn::BitCast(d, hn::Or(hn::ShiftRight<shift>(bits), hn::BitCast(du, hn::Set(d, base))));
  *e = hn::Sub(number, hn::Set(d, base + (is_f32<T> ? T(127) : T(1023))));
  return hn::BitCast(d, hn::Add(hn::And(bits, hn::Set(du, (Bits{1} << shift) - 1)), sqrt_half));
}

// log(1 + f) - f for 1 + f in [sqrt(1/2), sqrt(2)): with s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - s (f
// - R(s)), R(s) = 2 (s^2 / 3 + s^4 / 5 ...), written so that the large terms f and f^2 / 2 stay exact.
template <class D, class V> HWY_INLINE V log_tail(D d, V f) {
  using T = hn::TFromD<D>;
  const V s = hn::Div(f, hn::Add(f, hn::Set(d, T(2)))), z = hn::Mul(s, s);
  V r;
  if constexpr (is_f32<T>) {
    r = polynomial(d, z, 2.0 / 11, 2.0 / 9, 2.0 / 7, 2.0 / 5, 2.0 / 3);
  } else {
    r = polynomial(d, z, 2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9,
                   2.0 / 7, 2.0 / 5, 2.0 / 3);
  }
  const V half_square = hn::Mul(hn::Mul(f, f), hn::Set(d, T(0.5)));
  return hn::MulSub(s, hn::MulAdd(r, z, half_square), half_square);
}

// Subnormal inputs are brought into the normal range first.
template <class D, class V> HWY_INLINE V split_any(D d, V x, V* e) {
  using T = hn::TFromD<D>;
  const auto subnormal = hn::Lt(x, hn::Set(d, std::numeric_limits<T>::min()));
  const T up = is_f32<T> ? T(0x1p32) : T(0x1p64), steps = is_f32<T> ? T(32) : T(64);
  const V m = split_exponent(d, hn::IfThenElse(subnormal, hn::Mul(x, hn::Set(d, up)), x), e);
  *e = hn::Sub(*e, hn::IfThenElseZero(subnormal, hn::Set(d, steps)));
  return m;
}

// What a logarithm gives at 0, below 0, at infinity and NaN.
template <class D, class V> HWY_INLINE V with_log_limits(D d, V x, V y) {
  using T = hn::TFromD<D>;
  y = hn::IfThenElse(hn::Lt(x, hn::Set(d, infinity<T>)), y, x);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Set(d, -infinity<T>), y);
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Set(d, quiet_nan<T>), y);
}

// f(e, m - 1) of x = 2^e m. Where all lanes are positive, normal and finite, as nearly always, no limits are
// looked at.
template <class D, class V, class F> HWY_INLINE V by_exponent(D d, V x, const F& f) {
  using T = hn::TFromD<D>;
  const V least = hn::Set(d, std::numeric_limits<T>::min());
  const bool regular = hn::AllTrue(d, hn::And(hn::Ge(x, least), hn::Lt(x, hn::Set(d, infinity<T>))));
  V e, m;
  if (regular) {
    m = split_exponent(d, x, &e);
  } else {
    m = split_any(d, x, &e);
  }
  const V y = f(e, hn::Sub(m, hn::Set(d, T(1))));
  return regular ? y : with_log_limits(d, x, y);
}

template <class D, class V> HWY_INLINE V log(D d, V x) {
  using T = hn::TFromD<D>;
  return by_exponent(d, x, [d](V e, V f) {
    const V high = hn::Set(d, is_f32<T> ? T(0x1.62e4p-1) : T(0x1.62e42fefa38p-1));
    const V low = hn::Set(d, is_f32<T> ? T(0x1.7f7d1cp-20) : T(0x1.ef35793c7673p-45));
    return hn::MulAdd(e, high, hn::Add(f, hn::MulAdd(e, low, log_tail(d, f))));
  });
}

template <class D, class V> HWY_INLINE V log2(D d, V x) {
  using T = hn::TFromD<D>;
  return by_exponent(d, x, [d](V e, V f) {
    // 1 / log(2) = 1 + c: f itself is added unrounded.
    const V tail = log_tail(d, f), c = hn::Set(d, T(0.44269504088896340736));
    return hn::Add(e, hn::Add(f, hn::MulAdd(hn::Add(f, tail), c, tail)));
  });
}

// Of float32. What is large is a sum of two products of few bits, so that only the rest of it is rounded, and
// powers of 10 are exact.
template <class D, class V> HWY_INLINE V log10(D d, V x) {
  static_assert(is_f32<hn::TFromD<D>>);
  return by_exponent(d, x, [d](V e, V f) {
    const hn::RebindToUnsigned<D> du;
    const V tail = log_tail(d, f), sum = hn::Add(f, tail);
    const V upper = hn::BitCast(d, hn::And(hn::BitCast(du, sum), hn::Set(du, 0xfffff000u)));
    const V lower = hn::Add(hn::Sub(f, upper), tail);
    const V whole = hn::Mul(e, hn::Set(d, 0x1.344p-2f)), part = hn::Mul(upper, hn::Set(d, 0x1.bccp-2f));
    const V large = hn::Add(whole, part), lost = hn::Add(hn::Sub(whole, large), part);
    V small = hn::MulAdd(e, hn::Set(d, 0x1.3509f8p-18f), lost);
    small = hn::MulAdd(sum, hn::Set(d, -0x1.09d5b2p-15f), small);
    return hn::Add(large, hn::MulAdd(lower, hn::Set(d, 0x1.bccp-2f), small));
  });
}

#if HWY_TARGET != HWY_SCALAR
// f of float32 in float64, rounded once.
template <class D, class F, class... V> HWY_INLINE hn::Vec<D> in_float64(D d, const F& f, V... x) {
  const hn::RepartitionToWide<D> wide;
  const hn::Half<D> half;
  const auto upper = f(hn::PromoteTo(wide, hn::UpperHalf(half, x))...);
  const auto lower = f(hn::PromoteTo(wide, hn::LowerHalf(half, x))...);
  return hn::Combine(d, hn::DemoteTo(half, upper), hn::DemoteTo(half, lower));
}

// Whether an exponent is a small integer, or half of an odd one for which the base has a root: such powers
// are products.
template <class D, class V> HWY_INLINE hn::Mask<D> is_product(D d, V a, V b) {
  using T = hn::TFromD<D>;
  const V twice = hn::Add(b, b), zero = hn::Zero(d);
  const auto few = hn::And(hn::Lt(hn::Abs(b), hn::Set(d, T(16))), hn::Eq(hn::Trunc(twice), twice));
  return hn::And(few, hn::Or(hn::Eq(hn::Trunc(b), b), hn::Gt(a, zero)));
}

// x * y, of numbers and of what rounding took from them; in float64 that becomes float32 this is left out.
template <bool exact, class D, class V>
HWY_INLINE void multiply_exactly(D d, V x, V x_rest, V y, V y_rest, V* product, V* rest) {
  *product = hn::Mul(x, y);
  if constexpr (exact) {
    const V crossed = hn::MulAdd(x, y_rest, hn::Mul(x_rest, y));
    *rest = hn::Add(hn::MulSub(x, y, *product), crossed);
  } else {
    *rest = hn::Zero(d);
  }
}

// Where the power is 0 or infinite, its rest is no number.
template <bool exact, class D, class V> HWY_INLINE V power_with_rest(D d, V power, V rest) {
  if constexpr (!exact) return power;
  const V sum = hn::Add(power, rest);
  return hn::IfThenElse(hn::Lt(hn::Abs(sum), hn::Set(d, infinity<double>)), sum, power);
}

// a^b of one b for all, as power_by_products has it.
template <bool exact, class D, class V> HWY_INLINE V power_by_products(D d, V a, double b) {
  const V zero = hn::Zero(d), one = hn::Set(d, 1);
  V base = a, base_rest = zero, power = one, rest = zero;
  int left = static_cast<int>(std::fabs(b));
  if (left != std::fabs(b)) {
    base = hn::Sqrt(a);
    if (exact) base_rest = hn::Div(hn::NegMulAdd(base, base, a), hn::Add(base, base));
    left = static_cast<int>(2 * std::fabs(b));
  }
  if (b < 0) {
    const V inverse = hn::Div(one, base);
    if (exact)
      base_rest = hn::Mul(hn::NegMulAdd(inverse, base_rest, hn::NegMulAdd(inverse, base, one)), inverse);
    base = inverse;
  }
  for (bool is_first = true; left > 0; left >>= 1) {
    if (left % 2 != 0) {
      if (is_first) {
        power = base, rest = base_rest;
      } else {
        multiply_exactly<exact>(d, power, rest, base, base_rest, &power, &rest);
      }
      is_first = false;
    }
    if (left > 1) multiply_exactly<exact>(d, base, base_rest, base, base_rest, &base, &base_rest);
  }
  return power_with_rest<exact>(d, power, rest);
}

// a^b of float64 where is_product says so: the product of the a^(2^k) that make up |b|, of half numbers those
// of the root, of negative ones those of the inverse. Steps that no lane needs are left out, which changes
// none.
template <bool exact, class D, class V> HWY_INLINE V power_by_products(D d, V a, V b) {
  const double first = hn::GetLane(b);
  if (hn::AllTrue(d, hn::Eq(b, hn::Set(d, first)))) return power_by_products<exact>(d, a, first);
  const V zero = hn::Zero(d), one = hn::Set(d, 1), size = hn::Abs(b);
  const auto halves = hn::Ne(hn::Trunc(b), b), below = hn::Lt(b, zero);
  V base = a, base_rest = zero;
  if (!hn::AllFalse(d, halves)) {
    const V root = hn::Sqrt(a);
    base = hn::IfThenElse(halves, root, base);
    if (exact)
      base_rest = hn::IfThenElseZero(halves, hn::Div(hn::NegMulAdd(root, root, a), hn::Add(root, root)));
  }
  if (!hn::AllFalse(d, below)) {
    const V inverse = hn::Div(one, base);
    if (exact) {
      const V lost = hn::NegMulAdd(inverse, base_rest, hn::NegMulAdd(inverse, base, one));
      base_rest = hn::IfThenElse(below, hn::Mul(lost, inverse), base_rest);
    }
    base = hn::IfThenElse(below, inverse, base);
  }
  V power = one, rest = zero, left = hn::IfThenElse(halves, hn::Add(size, size), size), product, product_rest;
  for (int bit = 0; bit < 5; ++bit) {
    const V half = hn::Trunc(hn::Mul(left, hn::Set(d, 0.5)));
    const auto takes = hn::Ne(hn::Add(half, half), left);
    multiply_exactly<exact>(d, power, rest, base, base_rest, &product, &product_rest);
    power = hn::IfThenElse(takes, product, power), rest = hn::IfThenElse(takes, product_rest, rest);
    if (hn::AllTrue(d, hn::Eq(half, zero))) break;
    multiply_exactly<exact>(d, base, base_rest, base, base_rest, &product, &product_rest);
    base = product, base_rest = product_rest, left = half;
  }
  return power_with_rest<exact>(d, power, rest);
}

// Powers of whatever numbers by an exponent that is_product takes for all of them, to the same bits.
template <class T> HWY_INLINE bool is_power_of_all(T b) { return std::fabs(b) < T(16) && std::trunc(b) == b; }
template <class D, class V> HWY_INLINE V power_of_all(D d, V a, double b) {
  if constexpr (is_f32<hn::TFromD<D>>) {
    const hn::RepartitionToWide<D> wide;
    return in_float64(
        d, [=](auto x) { return power_by_products<false>(wide, x, b); }, a);
  } else {
    return power_by_products<true>(d, a, b);
  }
}

// log2 of a positive float in float64, to 2^-50 of it.
template <class D, class V> HWY_INLINE V log2_for_float32(D d, V x) {
  V e;
  const V f = hn::Sub(split_exponent(d, x, &e), hn::Set(d, 1.0));
  const V s = hn::Div(f, hn::Add(f, hn::Set(d, 2.0)));
  return hn::MulAdd(
      s,
      polynomial(d, hn::Mul(s, s), 0.242936821036486764, 0.261442418497694526, 0.320616448746083918,
                 0.412198401123592402, 0.577078017252701117, 0.961796693924318521, 2.88539008177792731),
      e);
}

// 2^x in float64 to 2^-50 of it, of integers exactly, as a float infinite or 0 where floats end.
template <class D, class V> HWY_INLINE V exp2_for_float32(D d, V x) {
  const V c = hn::Min(hn::Max(x, hn::Set(d, -200.0)), hn::Set(d, 200.0)), n = nearest(d, c);
  const V p =
      polynomial(d, hn::Sub(c, n), 7.070977866508138e-09, 1.0205905413765595e-07, 1.3215451633221434e-06,
                 1.5252672924850737e-05, 0.00015403530424776529, 0.0013333558200794592, 0.009618129107618665,
                 0.05550410866465167, 0.24022650695910075, 0.6931471805599462, 1.0);
  return hn::Mul(p, power_of_two(d, n));
}

// Powers of floats, by products or 2^(b log2 |a|) in float64, with the signs and limits of C's pow.
template <class D, class V> HWY_INLINE V pow(D d, V a, V b) {
  static_assert(is_f32<hn::TFromD<D>>);
  const hn::RepartitionToWide<D> wide;
  const auto few = is_product(d, a, b);
  // Others beside a product make no difference for it.
  const auto product = [&](auto x, auto y) { return power_by_products<false>(wide, x, y); };
  const V small = hn::AllFalse(d, few) ? a : in_float64(d, product, a, hn::IfThenElse(few, b, hn::Zero(d)));
  if (hn::AllTrue(d, few)) return small;
  const V one = hn::Set(d, 1.0f), base = hn::Abs(a);
  const auto power = [&](auto x, auto y) {
    return exp2_for_float32(wide, hn::Mul(y, log2_for_float32(wide, x)));
  };
  V y = in_float64(d, power, base, b);
  const V zero = hn::Zero(d), infinite = hn::Set(d, infinity<float>);
  const auto is_regular = hn::And(hn::Gt(base, zero), hn::Lt(base, infinite)),
             has_nan = hn::Or(hn::IsNaN(a), hn::IsNaN(b));
  if (!hn::AllTrue(d, hn::AndNot(has_nan, is_regular))) {
    const V limit = hn::IfThenElseZero(hn::Xor(hn::Gt(base, one), hn::Lt(b, zero)), infinite);
    y = hn::IfThenElse(has_nan, hn::Add(a, b), hn::IfThenElse(is_regular, y, limit));
  }
  const auto is_integer = hn::Eq(hn::Trunc(b), b);
  const V halved = hn::Mul(b, hn::Set(d, 0.5f));
  const auto is_odd = hn::AndNot(hn::Eq(hn::Trunc(halved), halved), is_integer);
  y = hn::IfThenElse(is_odd, hn::CopySign(y, a), y);
  const auto has_none = hn::AndNot(is_integer, hn::And(hn::Lt(a, zero), hn::Lt(base, infinite)));
  y = hn::IfThenElse(has_none, hn::Set(d, quiet_nan<float>), y);
  // 1 to any power, -1 to an infinite one.
  const auto is_one = hn::Or(hn::Eq(a, one), hn::And(hn::Eq(base, one), hn::Eq(hn::Abs(b), infinite)));
  return hn::IfThenElse(few, small, hn::IfThenElse(is_one, one, y));
}

// Of float32: a third of the bits, which count like a logarithm, is near; then two of Halley's steps, the
// second with what y^2 loses in rounding. Small numbers are made larger, where that is not.
template <class D, class V> HWY_INLINE V cbrt(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V size = hn::Abs(x), quarter = hn::Set(d, 0.25f), half = hn::Set(d, 0.5f);
  const auto is_small = hn::Lt(size, hn::Set(d, 0x1p-60f));
  const V a = hn::IfThenElse(is_small, hn::Mul(size, hn::Set(d, 0x1p72f)), size),
          fourth = hn::Mul(a, quarter);
  const V bits = hn::ConvertTo(d, hn::BitCast(di, a));
  constexpr float kExponent = (127 - 0.045f) * (2 * 0x1p23f / 3);
  const V third = hn::MulAdd(bits, hn::Set(d, 1.0f / 3), hn::Set(d, kExponent));
  const V first = hn::BitCast(d, hn::ConvertTo(di, third));
  const V cube = hn::Mul(hn::Mul(hn::Mul(first, quarter), first), first);  // a fourth of it, which has room
  const V y = hn::Mul(first, hn::Div(hn::MulAdd(a, half, cube), hn::Add(hn::Add(cube, cube), fourth)));
  const V square = hn::Mul(y, y), lost = hn::MulSub(y, y, square);
  const V rest = hn::NegMulAdd(lost, y, hn::NegMulAdd(square, y, a));
  const V step = hn::Div(hn::Mul(rest, quarter), hn::MulAdd(hn::Mul(square, half), y, fourth));
  V root = hn::MulAdd(y, step, y);
  root = hn::IfThenElse(is_small, hn::Mul(root, hn::Set(d, 0x1p-24f)), root);
  const auto is_regular = hn::And(hn::Gt(size, hn::Zero(d)), hn::Lt(size, hn::Set(d, infinity<float>)));
  return hn::IfThenElse(is_regular, hn::CopySign(root, x), hn::Add(x, x));
}
#endif

// log(u) + (x - (u - 1)) / u with u = 1 + x rounded.
template <class D, class V> HWY_INLINE V log1p(D d, V x) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), u = hn::Add(x, one);
  // The part of x or of 1 that rounding lost, whichever is the smaller of the two.
  const V lost = hn::IfThenElse(hn::Lt(x, one), hn::Sub(x, hn::Sub(u, one)), hn::Sub(one, hn::Sub(u, x)));
  const auto regular = hn::And(hn::Lt(u, hn::Set(d, infinity<T>)), hn::Gt(u, hn::Zero(d)));
  V y = hn::Add(log(d, u), hn::Div(lost, u));
  if (!hn::AllTrue(d, regular)) y = hn::IfThenElse(regular, y, with_log_limits(d, u, u));
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y);
}

// log(x / (1 - x)), by what the larger of both is above the smaller, which is exact around 1/2; of the least
// numbers, whose quotient would overflow, log(x).
template <class D, class V> HWY_INLINE V logit(D d, V x) {
  using T = hn::TFromD<D>;
  const V zero = hn::Zero(d), one = hn::Set(d, T(1));
  const V difference = hn::Sub(hn::Add(x, x), one);
  const V smaller = hn::IfThenElse(hn::Lt(x, hn::Set(d, T(0.5))), x, hn::Sub(one, x));
  // A smaller of -0 is one of 0.
  const V y = hn::CopySign(log1p(d, hn::Div(hn::Abs(difference), hn::Add(smaller, zero))), difference);
  const auto is_least = hn::And(hn::Gt(x, zero), hn::Lt(x, hn::Set(d, 4 * std::numeric_limits<T>::min())));
  return hn::AllFalse(d, is_least) ? y : hn::IfThenElse(is_least, log(d, x), y);
}

// a * log, and 0 where a is 0 unless b, of which the logarithm is, is NaN.
template <class D, class V> HWY_INLINE V times_log(D d, V a, V b, V log) {
  return hn::IfThenZeroElse(hn::AndNot(hn::IsNaN(b), hn::Eq(a, hn::Zero(d))), hn::Mul(a, log));
}

template <class D, class V> HWY_INLINE V entr(D d, V x) {
  using T = hn::TFromD<D>;
  const V y = hn::Neg(times_log(d, x, x, log(d, x)));
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Set(d, -infinity<T>), hn::Add(y, hn::Zero(d)));
}

template <class D, class V> HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, hn::TFromD<D>(1)), e = exp(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

template <class D, class V> HWY_INLINE V log1p_exp_of_minus_abs(D d, V x) {
  return log1p(d, exp(d, hn::Neg(hn::Abs(x))));
}

template <class D, class V> HWY_INLINE V softplus(D d, V x) {
  return hn::Add(hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), x), log1p_exp_of_minus_abs(d, x));
}

template <class D, class V> HWY_INLINE V log_sigmoid(D d, V x) {
  return hn::Sub(hn::IfThenElseZero(hn::Lt(x, hn::Zero(d)), x), log1p_exp_of_minus_abs(d, x));
}

template <class D, class V> HWY_INLINE V silu(D d, V x) {
  const V s = sigmoid(d, x);
  return hn::IfThenZeroElse(hn::Eq(s, hn::Zero(d)), hn::Mul(x, s));
}

template <class D, class V> HWY_INLINE V gelu_tanh(D d, V x) {
  using T = hn::TFromD<D>;
  const V slope =
      hn::MulAdd(hn::Mul(x, x), hn::Set(d, T(0.07135481627260025)), hn::Set(d, T(1.59576912160573071176)));
  const V s = sigmoid(d, hn::Mul(x, slope));
  return hn::IfThenZeroElse(hn::Eq(s, hn::Zero(d)), hn::Mul(x, s));
}

// tanh(log(1 + exp(x))) = above / (above + rest). Gives exp(-|x|).
template <class D, class V> HWY_INLINE V mish_gate(D d, V x, V* above, V* rest) {
  const V two = hn::Set(d, hn::TFromD<D>(2)), e = exp(d, hn::Neg(hn::Abs(x)));
  const auto negative = hn::Lt(x, hn::Zero(d));
  *above = hn::IfThenElse(negative, hn::Mul(e, hn::Add(e, two)), hn::MulAdd(two, e, hn::Set(d, 1)));
  *rest = hn::IfThenElse(negative, two, hn::Mul(two, hn::Mul(e, e)));
  return e;
}

template <class D, class V> HWY_INLINE V mish(D d, V x) {
  V above, rest;
  mish_gate(d, x, &above, &rest);
  const V t = hn::Div(above, hn::Add(above, rest));
  return hn::IfThenZeroElse(hn::Eq(t, hn::Zero(d)), hn::Mul(x, t));
}

// As the functions of scalar.h say, for which f'(x) + f'(-x) = 1.
template <class D, class V> HWY_INLINE V held_size(D d, V x, hn::TFromD<D> far) {
  const V size = hn::Abs(x), limit = hn::Set(d, far);
  return hn::IfThenElse(hn::Gt(size, limit), limit, size);
}
template <class D, class V> HWY_INLINE V by_slope_below(D d, V x, V slope) {
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), slope, hn::Sub(hn::Set(d, hn::TFromD<D>(1)), slope));
}

template <class D, class V> HWY_INLINE V slope_of_silu(D d, V x) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), a = held_size(d, x, T(800)), e = exp(d, hn::Neg(a));
  const V r = hn::Div(one, hn::Add(one, e));
  return by_slope_below(d, x, hn::Mul(hn::Mul(e, r), hn::NegMulAdd(a, r, one)));
}

template <class D, class V> HWY_INLINE V slope_of_gelu_tanh(D d, V x) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), a = held_size(d, x, T(30)), square = hn::Mul(a, a);
  const V linear = hn::Set(d, T(1.59576912160573071176));
  const V u = hn::Mul(a, hn::MulAdd(square, hn::Set(d, T(0.07135481627260025)), linear));
  const V step = hn::Mul(a, hn::MulAdd(square, hn::Set(d, T(0.21406444881780075)), linear));
  const V e = exp(d, hn::Neg(u)), r = hn::Div(one, hn::Add(one, e));
  return by_slope_below(d, x, hn::Mul(hn::Mul(e, r), hn::NegMulAdd(step, r, one)));
}

template <class D, class V> HWY_INLINE V slope_of_mish(D d, V x) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), c = clamp(d, x, T(-800), T(800));
  V above, rest;
  const V e = mish_gate(d, c, &above, &rest), q = hn::Div(one, hn::Add(above, rest));
  const V s = hn::Div(hn::IfThenElse(hn::Lt(c, hn::Zero(d)), e, one), hn::Add(one, e));
  const V bend = hn::Mul(hn::Mul(rest, q), hn::Mul(hn::Add(rest, hn::Add(above, above)), q));
  return hn::MulAdd(hn::Mul(c, s), bend, hn::Mul(above, q));
}

// A product in which 0 times an infinity or NaN is 0.
template <class D, class V> HWY_INLINE V multiply_no_nan(D d, V a, V b) {
  const V zero = hn::Zero(d);
  return hn::IfThenZeroElse(hn::Or(hn::Eq(a, zero), hn::Eq(b, zero)), hn::Mul(a, b));
}

template <class D, class V> HWY_INLINE V hardsigmoid(D d, V x) {
  using T = hn::TFromD<D>;
  return hn::Div(clamp(d, hn::Add(x, hn::Set(d, T(3))), T(0), T(6)), hn::Set(d, T(6)));
}

template <class D, class V> HWY_INLINE V hardswish(D d, V x) {
  return multiply_no_nan(d, x, hardsigmoid(d, x));
}

template <class D, class V> HWY_INLINE V logistic_loss(D d, V a, V b) {
  const V zero = hn::Zero(d), more = log1p_exp_of_minus_abs(d, a);
  const V below = hn::Add(hn::IfThenElseZero(hn::Lt(a, zero), hn::Neg(a)), more);
  const V above = hn::Add(hn::IfThenElseZero(hn::Gt(a, zero), a), more);
  return hn::Add(multiply_no_nan(d, below, b),
                 multiply_no_nan(d, above, hn::Sub(hn::Set(d, hn::TFromD<D>(1)), b)));
}

template <class D, class V> HWY_INLINE V slope_of_logistic_loss(D d, V a, V b) {
  const V one = hn::Set(d, hn::TFromD<D>(1)), e = exp(d, hn::Neg(hn::Abs(a)));
  const auto negative = hn::Lt(a, hn::Zero(d));
  const V r = hn::Div(one, hn::Add(one, e)), er = hn::Mul(e, r);
  const V above = hn::IfThenElse(negative, er, r), below = hn::IfThenElse(negative, r, er);
  return hn::Sub(multiply_no_nan(d, above, hn::Sub(one, b)), multiply_no_nan(d, below, b));
}

template <class D, class V> HWY_INLINE V bernoulli_loss(D d, V a, V b) {
  const V one = hn::Set(d, hn::TFromD<D>(1)), least = hn::Set(d, hn::TFromD<D>(-100));
  const auto bounded = [&](V y) { return hn::IfThenElse(hn::Lt(y, least), least, y); };
  const V of_rest = hn::Mul(hn::Sub(b, one), bounded(log1p(d, hn::Neg(a))));
  return hn::NegMulAdd(b, bounded(log(d, a)), of_rest);
}

template <class D, class V> HWY_INLINE V divergence_loss(D d, V a, V b) {
  const V product = hn::IfThenElse(hn::IsNaN(a), a, multiply_no_nan(d, b, a));
  return hn::Sub(times_log(d, b, b, log(d, b)), product);
}

template <class D, class V> HWY_INLINE V tanh(D d, V x) {
  const V t = expm1(d, hn::Mul(hn::Abs(x), hn::Set(d, hn::TFromD<D>(-2))));
  return hn::CopySign(hn::Div(t, hn::Add(t, hn::Set(d, hn::TFromD<D>(2)))), x);
}

template <class D, class V> HWY_INLINE V tanhshrink(D d, V x) {
  const V z = hn::Mul(x, x), above = hn::Mul(z, polynomial(d, z, TIDU_TANHSHRINK_ABOVE));
  const V near = hn::Mul(x, hn::Div(above, polynomial(d, z, TIDU_TANHSHRINK_BELOW)));
  return hn::IfThenElse(hn::Lt(hn::Abs(x), hn::Set(d, hn::TFromD<D>(1))), near, hn::Sub(x, tanh(d, x)));
}

// The error functions need the rounding error of x^2, which only a fused multiply-add gives cheaply.
#if HWY_NATIVE_FMA

// Of z in [0, 28], with the series of kernels/special.h.
template <class D, class V> HWY_INLINE V erfcx_of_nonnegative(D d, V z) {
  using T = hn::TFromD<D>;
  const V k = hn::Set(d, scalar::kErfcxCentre<T>);
  const V below = hn::Sub(z, k), above = hn::Add(z, k);
  const V q = hn::Div(hn::Set(d, T(1)), above), quotient = hn::Mul(below, q);
  // One step towards the exact quotient: the series magnifies the error of t.
  const V t = hn::MulAdd(hn::NegMulAdd(quotient, above, below), q, quotient);
  V series;
  if constexpr (is_f32<T>) {
    series = polynomial(d, t, TIDU_ERFCX_OF_FLOAT);
  } else {
    series = polynomial(d, t, TIDU_ERFCX_OF_DOUBLE);
  }
  return hn::Mul(series, q);
}

// erfc(z) for z >= 0: exp(-z^2) erfcx(z).
template <class D, class V> HWY_INLINE V erfc_of_nonnegative(D d, V z) {
  const V limit = hn::Set(d, hn::TFromD<D>(28)), c = hn::IfThenElse(hn::Gt(z, limit), limit, z);
  const V square = hn::Mul(c, c), lost = hn::MulSub(c, c, square);
  const V power = exp(d, hn::Neg(square));
  return hn::Mul(erfcx_of_nonnegative(d, c), hn::NegMulAdd(power, lost, power));
}

// erf(x) for |x| <= 1.
template <class D, class V> HWY_INLINE V erf_near_0(D d, V x) {
  const V z = hn::Mul(x, x);
  if constexpr (is_f32<hn::TFromD<D>>) {
    return hn::Mul(x, polynomial(d, z, 7.87587506e-5, -8.01686429e-4, 5.18908742e-3, -2.6854212e-2,
                                 1.12835947e-1, -3.76126267e-1, 1.12837917));
  } else {
    return hn::Mul(x, polynomial(d, z, 5.9571761477489114e-11, -1.13728488567916737e-9,
                                 1.46597752740474358e-8, -1.6350312701054695e-7, 1.6461000484121368e-6,
                                 -1.49255952668311816e-5, 1.20553311116427109e-4, -8.54832698083378991e-4,
                                 5.22397762481801447e-3, -2.68661706450767932e-2, 1.12837916709548787e-1,
                                 -3.76126389031837481e-1, 1.12837916709551257));
  }
}

// Beyond the limit erf is 1; powers there might be subnormal, which takes long.
template <class D, class V> HWY_INLINE V erf(D d, V x) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), limit = hn::Set(d, is_f32<T> ? T(4) : T(6)), size = hn::Abs(x);
  const V near = hn::IfThenElse(hn::Gt(size, limit), limit, size);
  V rest;
  if constexpr (is_f32<T>) {
    // log(erfc(x)) of 1 to 4: beside 1, few digits of what is missing are enough.
    rest = exp_of_nonpositive(d, polynomial(d, near, 1.86374345e-4, -2.9476098e-3, 2.18378663e-2,
                                            -0.103106334, -0.638145326, -1.12708889, -3.41598318e-4));
  } else {
    rest = erfc_of_nonnegative(d, near);
  }
  return hn::IfThenElse(hn::Lt(size, one), erf_near_0(d, x), hn::CopySign(hn::Sub(one, rest), x));
}

template <class D, class V> HWY_INLINE V erfc(D d, V x) {
  using T = hn::TFromD<D>;
  const V size = hn::Abs(x), y = erfc_of_nonnegative(d, size);
  const V far = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Sub(hn::Set(d, T(2)), y), y);
  return hn::IfThenElse(hn::Lt(size, hn::Set(d, T(0.5))), hn::Sub(hn::Set(d, T(1)), erf_near_0(d, x)), far);
}

// Phi(-a) of a >= 0 is power * tail, the power being exp(-a^2 / 2), with what rounding the square loses. a is
// held where Phi(-a) is 0, and the power goes through larger numbers, so that none is subnormal before.
template <class D, class V> HWY_INLINE V normal_tail(D d, V a, V* power) {
  using T = hn::TFromD<D>;
  constexpr T steps = is_f32<T> ? T(64) : T(256), down = is_f32<T> ? T(0x1p-64) : T(0x1p-256);
  const V half = hn::Set(d, T(-0.5)), square = hn::Mul(a, a), lost = hn::MulSub(a, a, square);
  const V n = nearest(d, hn::Mul(square, hn::Set(d, T(-0.72134752044448170368))));
  const V r = hn::MulAdd(lost, half, reduce_by_log2(d, hn::Mul(square, half), n));
  const V p = hn::Add(hn::MulAdd(exp_tail(d, r), hn::Mul(r, r), r), hn::Set(d, T(1)));
  *power = hn::Mul(hn::Mul(p, power_of_two(d, hn::Add(n, hn::Set(d, steps)))), hn::Set(d, down));
  const V tail = erfcx_of_nonnegative(d, hn::Mul(a, hn::Set(d, T(0.70710678118654752440))));
  return hn::Mul(hn::Set(d, T(0.5)), tail);
}
template <class T> inline constexpr T normal_limit = is_f32<T> ? T(14.5) : T(39);

template <class D, class V> HWY_INLINE V ndtr(D d, V x) {
  using T = hn::TFromD<D>;
  V power;
  const V tail = normal_tail(d, held_size(d, x, normal_limit<T>), &power);
  const V y = by_slope_below(d, x, hn::Mul(power, tail));
  if constexpr (is_f32<T>) return y;
  // The series of erfcx loses some digits where it is not needed.
  const V half = hn::Set(d, T(0.5)), z = hn::Mul(x, hn::Set(d, T(0.70710678118654752440)));
  const auto is_near = hn::Lt(hn::Abs(z), half);
  return hn::IfThenElse(is_near, hn::MulAdd(half, erf_near_0(d, z), half), y);
}

// x Phi(x); where Phi is 0, so is the limit, even at -inf.
template <class D, class V> HWY_INLINE V gelu(D d, V x) {
  const V p = ndtr(d, x);
  return hn::IfThenZeroElse(hn::Eq(p, hn::Zero(d)), hn::Mul(x, p));
}

template <class D, class V> HWY_INLINE V slope_of_gelu(D d, V x) {
  using T = hn::TFromD<D>;
  const V a = held_size(d, x, normal_limit<T>);
  V power;
  const V tail = normal_tail(d, a, &power), density = hn::Set(d, T(0.39894228040143267794));
  return by_slope_below(d, x, hn::Mul(power, hn::NegMulAdd(a, density, tail)));
}

// y = erfinv(x) by w = -log(1 - x^2): y / x, and further out |y| by the root of w, as polynomials (M. Giles,
// "Approximating the erfinv function", 2011): Chebyshev series.
template <class D, class V> HWY_INLINE V erfinv_by_log(D d, V x, V w) {
  using T = hn::TFromD<D>;
  const auto is_central = hn::Lt(w, hn::Set(d, is_f32<T> ? T(5) : T(6.25)));
  const V near = hn::Sub(w, hn::Set(d, is_f32<T> ? T(2.5) : T(3.125)));
  V y;
  if constexpr (is_f32<T>) {
    y = polynomial(d, near, 4.67193251e-10, -8.7390107e-9, 1.59843061e-8, 4.65417411e-7, -3.42341427e-6,
                   -4.95969179e-6, 2.18257724e-4, -1.2527485e-3, -4.17732004e-3, 2.46640289e-1);
  } else {
    y = polynomial(d, near, -3.59320289270206953e-22, 3.19401554813627109e-21, 1.99925998886153488e-20,
                   -3.4734793888538035e-19, 6.07505070207241388e-19, 1.55107870099025245e-17,
                   -1.22156371924041723e-16, -3.94018812230432014e-17, 6.52133351150223846e-15,
                   -4.00200310875584951e-14, -8.07192593899004068e-14, 2.63052683125951831e-12,
                   -1.29788053699325656e-11, -5.41430328391950441e-11, 1.05122337705042902e-9,
                   -4.1126604371632182e-9, -2.90703912756413195e-8, 4.23478816822245958e-7,
                   -1.36546917587856571e-6, -1.38825233939574822e-5, 1.86734208019811867e-4,
                   -7.40702534154643122e-4, -6.03367087142685108e-3, 2.40158182425588342e-1);
  }
  const T middle_of_series = is_f32<T> ? T(1.5014092922210693) : T(1.6536545626831027),
          lost = is_f32<T> ? T(5.88897226e-8) : T(-2.3602490514133154e-17);
  y = hn::Mul(x, hn::MulAdd(near, y, hn::Set(d, lost)));
  y = hn::CopySign(hn::MulAdd(x, hn::Set(d, middle_of_series), y), x);
  if (hn::AllTrue(d, is_central)) return y;
  const V root = hn::Sqrt(w);
  V far;
  if constexpr (is_f32<T>) {
    far = polynomial(d, hn::Sub(root, hn::Set(d, T(3))), 7.56147745e-7, 1.2655675e-6, -2.02687325e-5,
                     5.52814113e-5, -3.85795472e-5, -2.20613445e-4, 1.14287227e-3, -3.44516038e-3,
                     6.84365391e-3, 1.00266239, 2.83280199);
  } else {
    const V middle = polynomial(
        d, hn::Sub(root, hn::Set(d, T(3.25))), -4.67572783427686536e-10, 1.29871576532915943e-9,
        2.42310594171262951e-10, -8.74166705333926252e-9, 2.40522388647344856e-8, -1.80716960010902585e-8,
        -9.55400000267384983e-8, 3.97517889733750816e-7, -6.19729046682763383e-7, -4.64730497524673826e-7,
        5.08237537480751951e-6, -1.3807789983268258e-5, 1.70747589259395005e-5, 2.4145128063229098e-5,
        -2.22016756865785249e-4, 8.5602607057917737e-4, -2.44589341215513885e-3, 4.65260983921972706e-3,
        1.00550523524529961, 3.08384572310324256);
    far = polynomial(d, hn::Sub(root, hn::Set(d, T(5))), -1.06680007117356042e-13, 1.37024043995630682e-12,
                     -6.57675315820674992e-12, 1.90172964027655429e-11, -4.08688698201649699e-11,
                     5.96543118866344779e-11, 4.80047276173743771e-11, -1.01586105137898746e-9,
                     6.76632706800471497e-9, -3.75351479176264894e-8, 1.94209650722186928e-7,
                     -9.58513888197029277e-7, 4.49718638608104457e-6, -1.96617270102021576e-5,
                     7.59840119148021196e-5, -2.15025187406404932e-4, -1.38720898426946471e-4,
                     1.01030046519430549, 4.84990640137490673);
    far = hn::IfThenElse(hn::Lt(root, hn::Set(d, T(4))), middle, far);
  }
  return hn::IfThenElse(is_central, y, hn::CopySign(far, x));
}

template <class D, class V> HWY_INLINE V erfinv(D d, V x) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), size = hn::Abs(x);
  const V w = hn::Neg(log(d, hn::Mul(hn::Sub(one, size), hn::Add(one, size))));
  const V limit = hn::CopySign(hn::Set(d, infinity<T>), x);
  return hn::IfThenElse(hn::Eq(size, one), limit, erfinv_by_log(d, x, w));
}

// The least p, and 1 less the largest, from which ndtri is found by the series of erfinv.
template <class T> inline constexpr T ndtri_limit = is_f32<T> ? T(1e-7) : T(1e-15);

template <class D, class V> HWY_INLINE V ndtri(D d, V p) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), rest = hn::Sub(one, p);
  const V w = hn::Neg(log(d, hn::Mul(hn::Mul(hn::Set(d, T(4)), p), rest)));
  const V y = erfinv_by_log(d, hn::Sub(hn::Add(p, p), one), w);
  const T root = T(1.41421356237309504880), lost = is_f32<T> ? T(2.4203235e-8) : T(-9.667293313452913e-17);
  return hn::MulAdd(y, hn::Set(d, root), hn::Mul(y, hn::Set(d, lost)));
}

#endif

// With z = r^2, |r| <= pi / 4: sin(r) = r + r z s and cos(r) = 1 - z / 2 + z^2 c.
template <class D, class V> HWY_INLINE void sin_cos_series(D d, V z, V* s, V* c) {
  if constexpr (is_f32<hn::TFromD<D>>) {
    *s = polynomial(d, z, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6);
    *c = polynomial(d, z, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24);
  } else {
    *s = polynomial(d, z, 1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
                    1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6);
    *c = polynomial(d, z, -1.0 / 6402373705728000, 1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600,
                    -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24);
  }
}

template <class D, class V> HWY_INLINE void sin_cos_near_0(D d, V r, V* sine, V* cosine) {
  using T = hn::TFromD<D>;
  const V z = hn::Mul(r, r);
  V s, c;
  sin_cos_series(d, z, &s, &c);
  *sine = hn::MulAdd(hn::Mul(s, z), r, r);
  *cosine = hn::MulAdd(hn::Mul(z, z), c, hn::NegMulAdd(z, hn::Set(d, T(0.5)), hn::Set(d, T(1))));
}

// x = n pi / 2 + r, |r| <= pi / 4, for |x| up to trig_limit, and what rounding took from r. pi / 2 is in four
// parts, the first three so short that n times them is exact.
template <class T> inline constexpr T trig_limit = is_f32<T> ? T(6000) : T(1e6);

template <class D, class V> HWY_INLINE void reduce_by_quarter_turns(D d, V x, V* rest, V* lost, V* n) {
  using T = hn::TFromD<D>;
  *n = nearest(d, hn::Mul(x, hn::Set(d, T(0.63661977236758134308))));
  const V p0 = hn::Set(d, is_f32<T> ? T(0x1.92p+0) : T(0x1.921fb544p+0));
  const V p1 = hn::Set(d, is_f32<T> ? T(0x1.fb4p-12) : T(0x1.0b4611a6p-34));
  const V p2 = hn::Set(d, is_f32<T> ? T(0x1.444p-24) : T(0x1.3198a2ep-69));
  const V p3 = hn::Set(d, is_f32<T> ? T(0x1.68c234p-39) : T(0x1.b839a252049c1p-104));
  V r = hn::NegMulAdd(*n, p0, x);
  *lost = hn::Zero(d);
  const auto subtract = [&](V p) {
    const V next = hn::NegMulAdd(*n, p, r);
    *lost = hn::Add(*lost, hn::NegMulAdd(*n, p, hn::Sub(r, next)));
    r = next;
  };
  subtract(p1), subtract(p2), subtract(p3);
  *rest = r;
}

template <class D, class V> HWY_INLINE void sin_cos(D d, V x, V* sine, V* cosine, V* n) {
  V r, lost;
  reduce_by_quarter_turns(d, x, &r, &lost, n);
  sin_cos_near_0(d, r, sine, cosine);
}

// The lanes beyond trig_limit, infinities and NaN, one at a time; the others stay as they are.
template <class D, class V, class Function> HWY_NOINLINE V large_lanes(D d, V x, V y, Function function) {
  using T = hn::TFromD<D>;
  HWY_ALIGN T in[hn::MaxLanes(d)], out[hn::MaxLanes(d)];
  hn::Store(x, d, in);
  hn::Store(y, d, out);
  for (size_t i = 0; i < hn::Lanes(d); ++i) {
    if (!(std::fabs(in[i]) <= trig_limit<T>)) out[i] = function(in[i]);
  }
  return hn::Load(d, out);
}

#if HWY_NATIVE_FMA

// tan(x) = S / C or -C / S, by both with what rounding took from them: as digits are few beside a quotient of
// two rounded numbers.
template <class D, class V> HWY_INLINE V tan(D d, V x) {
  using T = hn::TFromD<D>;
  V sine, cosine, n, r, lost;
  reduce_by_quarter_turns(d, x, &r, &lost, &n);
  const V one = hn::Set(d, T(1)), z = hn::Mul(r, r), z_lost = hn::MulSub(r, r, z);
  V s, c;
  sin_cos_series(d, z, &s, &c);
  const V sine_rest = hn::Mul(hn::Mul(s, z), r), half = hn::Set(d, T(0.5));
  const V cosine_rest = hn::NegMulAdd(half, z, hn::Mul(hn::Mul(z, z), c));
  sine = hn::Add(r, sine_rest), cosine = hn::Add(one, cosine_rest);
  const V sine_lost = hn::Add(hn::Add(hn::Sub(r, sine), sine_rest), lost);
  const V cosine_lost = hn::NegMulAdd(half, z_lost, hn::Add(hn::Sub(one, cosine), cosine_rest));
  const hn::RebindToUnsigned<D> du;
  const auto quadrant = hn::BitCast(du, hn::Add(n, hn::Set(d, magic<T>)));
  const auto odd = hn::RebindMask(d, hn::TestBit(quadrant, hn::Set(du, 1)));
  const V above = hn::IfThenElse(odd, hn::Neg(cosine), sine), below = hn::IfThenElse(odd, sine, cosine);
  const V above_lost = hn::IfThenElse(odd, hn::Neg(cosine_lost), sine_lost);
  const V below_lost = hn::IfThenElse(odd, sine_lost, cosine_lost);
  const V q = hn::Div(above, below);
  const V rest = hn::NegMulAdd(q, below_lost, hn::Add(hn::NegMulAdd(q, below, above), above_lost));
  const V y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, hn::Add(q, hn::Div(rest, below)));
  const auto inside = hn::Le(hn::Abs(x), hn::Set(d, trig_limit<T>));
  return hn::AllTrue(d, inside) ? y : large_lanes(d, x, y, static_cast<T (*)(T)>(std::tan));
}

// atan(x) = atan(c) + atan((x - c) / (1 + c x)) with the nearest c of five, the last of them infinite.
// With what the angle of x lacks, where more is known of x than its digits.
template <class D, class V> HWY_INLINE V atan_of_nonnegative(D d, V size, V lost) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), zero = hn::Zero(d);
  V centre = zero, high = zero, low = zero;
  const auto beyond = [&](double least, double c, double angle, double lost) {
    const auto is = hn::Gt(size, hn::Set(d, T(least)));
    centre = hn::IfThenElse(is, hn::Set(d, T(c)), centre);
    high = hn::IfThenElse(is, hn::Set(d, T(angle)), high);
    low = hn::IfThenElse(is, hn::Set(d, T(is_f32<T> ? (angle - double(T(angle))) + lost : lost)), low);
    return is;
  };
  beyond(0.4375, 0.5, 0x1.dac670561bb4fp-2, 0x1.a2b7f222f65e2p-56);
  beyond(0.6875, 1, 0x1.921fb54442d18p-1, 0x1.1a62633145c07p-55);
  beyond(1.1875, 1.5, 0x1.f730bd281f69bp-1, 0x1.007887af0cbbdp-56);
  const auto is_far = beyond(2.4375, 0, 0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54);
  const V above = hn::IfThenElse(is_far, hn::Set(d, T(-1)), hn::Sub(size, centre));
  const V below = hn::IfThenElse(is_far, size, hn::MulAdd(centre, size, one));
  const V t = hn::Div(above, below), z = hn::Mul(t, t);
  V series;
  if constexpr (is_f32<T>) {
    series =
        polynomial(d, z, 0.048213353, -0.0853170876, 0.110581649, -0.142833962, 0.199999624, -0.333333332);
  } else {
    series = polynomial(d, z, 0.014766871594831716, -0.0331217766417293164, 0.0449198339287503852,
                        -0.052166122327185116, 0.0587693622653548451, -0.0666624093025864684,
                        0.0769228549317118581, -0.0909090835321982269, 0.111111110965915833,
                        -0.142857142855661939, 0.199999999999994069, -0.333333333333333329);
  }
  return hn::Add(high, hn::Add(hn::MulAdd(hn::Mul(t, z), series, hn::Add(low, lost)), t));
}

template <class D, class V> HWY_INLINE V atan(D d, V x) {
  return hn::CopySign(atan_of_nonnegative(d, hn::Abs(x), hn::Zero(d)), x);
}

// asin(x) of |x| <= 1 is two numbers: that by the series of s, x itself or, above 1/2, sqrt((1 - |x|) / 2),
// and by what rounding took from this.
template <class D, class V> HWY_INLINE V asin_series(D d, V size, hn::Mask<D> is_far, V* rest) {
  using T = hn::TFromD<D>;
  const V half = hn::Set(d, T(0.5)), zero = hn::Zero(d);
  const V z = hn::IfThenElse(is_far, hn::NegMulAdd(half, size, half), hn::Mul(size, size));
  const V root = hn::Sqrt(z), s = hn::IfThenElse(is_far, root, size);
  const V lost = hn::Div(hn::NegMulAdd(root, root, z), hn::Add(root, root));
  V series;
  if constexpr (is_f32<T>) {
    series =
        polynomial(d, z, 0.0337007263, 0.0171437168, 0.0311017278, 0.0445993192, 0.0750009476, 0.166666663);
  } else {
    series =
        polynomial(d, z, 0.0287784426125930408, -0.0148814093928180666, 0.0174193579648848572,
                   0.00545087818772054995, 0.010324318288744112, 0.0114789526902573867, 0.0139712353011245391,
                   0.0173523912659092279, 0.0223721730020055974, 0.0303819441370852143, 0.0446428571463733809,
                   0.0749999999999842426, 0.166666666666666678);
  }
  const auto loses = hn::And(is_far, hn::Gt(root, zero));
  *rest = hn::MulAdd(hn::Mul(s, z), series, hn::IfThenElseZero(loses, lost));
  return s;
}

template <class T> inline constexpr T half_pi = T(1.57079632679489661923);
template <class T>
inline constexpr T half_pi_rest = is_f32<T> ? T(1.57079632679489661923 - double(half_pi<T>))
                                            : T(0x1.1a62633145c07p-54);

// The angle of (b, a), with what rounding took from the quotient where that counts.
template <class D, class V> HWY_INLINE V atan2(D d, V a, V b) {
  using T = hn::TFromD<D>;
  const V y = hn::Abs(a), x = hn::Abs(b), zero = hn::Zero(d), one = hn::Set(d, T(1));
  const V infinite = hn::Set(d, infinity<T>), large = hn::Set(d, T(1e10)), small = hn::Set(d, T(1e-10));
  V q = hn::Div(y, x);
  q = hn::IfThenElse(hn::And(hn::Eq(y, infinite), hn::Eq(x, infinite)), one, q);
  q = hn::IfThenElse(hn::And(hn::Eq(y, zero), hn::Eq(x, zero)), zero, q);
  const V least = hn::Set(d, std::numeric_limits<T>::min() * magic<T>);
  const auto counts =
      hn::And(hn::And(hn::Gt(q, small), hn::Lt(q, large)), hn::And(hn::Gt(x, least), hn::Lt(x, infinite)));
  const V lost = hn::Div(hn::Div(hn::NegMulAdd(q, x, y), x), hn::MulAdd(q, q, one));
  const V angle = atan_of_nonnegative(d, q, hn::IfThenElseZero(counts, lost));
  const V pi = hn::Set(d, 2 * half_pi<T>), rest = hn::Set(d, 2 * half_pi_rest<T>);
  const auto turns = hn::Lt(hn::CopySign(one, b), zero);
  return hn::CopySign(hn::IfThenElse(turns, hn::Sub(pi, hn::Sub(angle, rest)), angle), a);
}

template <class D, class V> HWY_INLINE V asin(D d, V x) {
  using T = hn::TFromD<D>;
  const V size = hn::Abs(x);
  const auto is_far = hn::Gt(size, hn::Set(d, T(0.5)));
  V rest;
  const V s = asin_series(d, size, is_far, &rest), twice = hn::Set(d, T(2));
  const V far =
      hn::Sub(hn::Set(d, half_pi<T>), hn::Sub(hn::Mul(twice, hn::Add(s, rest)), hn::Set(d, half_pi_rest<T>)));
  return hn::CopySign(hn::IfThenElse(is_far, far, hn::Add(s, rest)), x);
}

template <class D, class V> HWY_INLINE V acos(D d, V x) {
  using T = hn::TFromD<D>;
  const V size = hn::Abs(x), twice = hn::Set(d, T(2)), high = hn::Set(d, half_pi<T>),
          low = hn::Set(d, half_pi_rest<T>);
  const auto is_far = hn::Gt(size, hn::Set(d, T(0.5))), is_negative = hn::Lt(x, hn::Zero(d));
  V rest;
  const V s = asin_series(d, size, is_far, &rest);
  const V by_root = hn::Mul(twice, hn::Add(s, rest));
  const V opposite = hn::Sub(hn::Mul(twice, high), hn::Sub(by_root, hn::Mul(twice, low)));
  const V far = hn::IfThenElse(is_negative, opposite, by_root);
  const V signed_s = hn::CopySign(s, x), signed_rest = hn::CopySign(rest, x);
  return hn::IfThenElse(is_far, far, hn::Sub(high, hn::Add(signed_s, hn::Sub(signed_rest, low))));
}

#endif

// The sine of n pi / 2 + r for shift 0 by those of r, for shift 1 the cosine, which is the sine of the next
// quadrant.
template <int shift, class D, class V> HWY_INLINE V by_quadrant(D d, V n, V sine, V cosine) {
  using T = hn::TFromD<D>;
  const hn::RebindToUnsigned<D> du;
  const auto quadrant = hn::BitCast(du, hn::Add(n, hn::Set(d, magic<T> + T(shift))));
  constexpr int top = sizeof(T) * 8 - 1;
  const auto odd = hn::RebindMask(d, hn::TestBit(quadrant, hn::Set(du, 1)));
  const V sign = hn::BitCast(d, hn::ShiftLeft<top>(hn::ShiftRight<1>(quadrant)));
  return hn::Xor(hn::IfThenElse(odd, cosine, sine), sign);
}

template <int shift, class D, class V, class Function> HWY_INLINE V circular(D d, V x, Function function) {
  using T = hn::TFromD<D>;
  V sine, cosine, n;
  sin_cos(d, x, &sine, &cosine, &n);
  const V y = by_quadrant<shift>(d, n, sine, cosine);
  const auto inside = hn::Le(hn::Abs(x), hn::Set(d, trig_limit<T>));
  return hn::AllTrue(d, inside) ? y : large_lanes(d, x, y, function);
}

template <class D, class V> HWY_INLINE V sin(D d, V x) {
  using T = hn::TFromD<D>;
  const V y = circular<0>(d, x, static_cast<T (*)(T)>(std::sin));
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y);
}

// sin(pi x) / (pi x): x without its whole turns, which are exact, by the distance from a quarter of one.
template <class D, class V> HWY_INLINE V sinc(D d, V x) {
  using T = hn::TFromD<D>;
  const V pi = hn::Set(d, T(3.14159265358979323846)), half = hn::Set(d, T(0.5)), size = hn::Abs(x);
  const V turns = hn::Round(hn::Mul(half, size)), rest = hn::Sub(size, hn::Add(turns, turns));
  const V quarters = nearest(d, hn::Add(rest, rest));
  V sine, cosine;
  sin_cos_near_0(d, hn::Mul(pi, hn::Sub(rest, hn::Mul(half, quarters))), &sine, &cosine);
  const V y = hn::Div(by_quadrant<0>(d, quarters, sine, cosine), hn::Mul(pi, size));
  const V limit = hn::IfThenElse(hn::Eq(size, hn::Zero(d)), hn::Set(d, T(1)), hn::Sub(size, size));
  const auto regular = hn::And(hn::Gt(size, hn::Zero(d)), hn::Lt(size, hn::Set(d, infinity<T>)));
  const V otherwise = hn::IfThenElse(hn::Eq(size, hn::Set(d, infinity<T>)), hn::Zero(d), limit);
  return hn::IfThenElse(regular, y, otherwise);
}

// The size of sin(pi x) in float64, by the distance of x from the nearest integer.
template <class D, class V> HWY_INLINE V size_of_sin_pi(D d, V size) {
  const V pi = hn::Set(d, 3.14159265358979323846), m = hn::Abs(hn::Sub(size, hn::Round(size)));
  const auto is_far = hn::Gt(m, hn::Set(d, 0.25));
  V sine, cosine;
  sin_cos_near_0(d, hn::Mul(pi, hn::IfThenElse(is_far, hn::Sub(hn::Set(d, 0.5), m), m)), &sine, &cosine);
  return hn::IfThenElse(is_far, cosine, sine);
}

// log(|gamma(x)|) in float64 to as many digits as float32 has: between 0.7 and 2.7 by a Chebyshev series
// beside the zeros 1 and 2, above by Stirling's, below 0.7 by that of x + 1; of negative x by the reflection.
template <class D, class V> HWY_INLINE V lgamma_for_float32(D d, V x) {
  const V zero = hn::Zero(d), one = hn::Set(d, 1.0), size = hn::Abs(x),
          infinite = hn::Set(d, infinity<double>);
  const auto is_small = hn::Lt(size, hn::Set(d, 0.7)), is_large = hn::Gt(size, hn::Set(d, 2.7));
  const V z = hn::IfThenElse(is_small, hn::Add(size, one), size);
  const V series =
      polynomial(d, hn::Sub(z, hn::Set(d, 1.7)), 2.570661878681943e-5, -4.5821889994226351e-5,
                 -2.7373041902555923e-5, 4.8023049783460705e-5, 1.0693382832749162e-4, -1.9299962151973828e-4,
                 1.7239280284903761e-4, -3.2148694078923754e-4, 6.9927783415513218e-4, -1.3214667544840889e-3,
                 2.5066677972922505e-3, -4.9121208784558992e-3, 9.9164922262413989e-3, -2.092054630013018e-2,
                 4.7515670722577906e-2, -1.2408105658188632e-1, 4.5622713050983745e-1);
  V y = hn::Mul(hn::Mul(hn::Sub(z, one), hn::Sub(z, hn::Set(d, 2.0))), series);
  if (!hn::AllFalse(d, is_small)) y = hn::Sub(y, hn::IfThenElseZero(is_small, log(d, size)));
  if (!hn::AllFalse(d, is_large)) {
    const auto moves = hn::Lt(size, hn::Set(d, 7.0));
    const V a = hn::IfThenElse(moves, hn::Add(size, hn::Set(d, 4.0)), size);
    const V r = hn::Div(one, a);
    const V rest = hn::Mul(r, polynomial(d, hn::Mul(r, r), -1.0 / 1680, 1.0 / 1260, -1.0 / 360, 1.0 / 12));
    V far = hn::Add(hn::MulSub(hn::Sub(a, hn::Set(d, 0.5)), log(d, a), a),
                    hn::Add(rest, hn::Set(d, 0.91893853320467274178)));
    if (!hn::AllFalse(d, moves)) {
      const V steps = hn::Mul(hn::Mul(size, hn::Add(size, one)),
                              hn::Mul(hn::Add(size, hn::Set(d, 2.0)), hn::Add(size, hn::Set(d, 3.0))));
      far = hn::Sub(far, log(d, hn::IfThenElse(moves, steps, one)));
    }
    y = hn::IfThenElse(is_large, far, y);
  }
  const auto is_negative = hn::Lt(x, zero);
  if (!hn::AllFalse(d, is_negative)) {
    const V pi = hn::Set(d, 3.14159265358979323846), product = hn::Mul(size, size_of_sin_pi(d, size));
    y = hn::IfThenElse(is_negative, hn::Sub(log(d, hn::Div(pi, product)), y), y);
  }
  return hn::IfThenElse(hn::Eq(size, infinite), infinite, y);
}

// log(|gamma(x)|) in float64: between 1 and 2, where it is 0, by a Chebyshev series; below 8 by that of what
// is left of x without its multiples of 1, above by Stirling's series; of negative x by the reflection.
template <class D, class V> HWY_INLINE V lgamma(D d, V x) {
  const V zero = hn::Zero(d), one = hn::Set(d, 1.0), two = hn::Set(d, 2.0), size = hn::Abs(x);
  const auto is_small = hn::Lt(size, one), is_large = hn::Ge(size, hn::Set(d, 8.0));
  V z = hn::IfThenElse(is_small, hn::Add(size, one), size), steps = one;
  for (int k = 0; k < 6; ++k) {
    const auto moves = hn::AndNot(hn::Or(is_small, is_large), hn::Ge(z, two));
    if (hn::AllFalse(d, moves)) break;
    z = hn::IfThenElse(moves, hn::Sub(z, one), z);
    steps = hn::IfThenElse(moves, hn::Mul(steps, z), steps);
  }
  // Below 1 the distances from the zeros are those of x, which has more digits than x + 1.
  const V from_one = hn::IfThenElse(is_small, size, hn::Sub(z, one));
  const V from_two = hn::IfThenElse(is_small, hn::Sub(size, one), hn::Sub(z, two));
  const V series = polynomial(
      d, hn::Sub(z, hn::Set(d, 1.5)), -7.97676544536842397e-6, 0.0000121489224317348376,
      -8.07180593079034096e-6, 0.0000131748913730314164, -0.0000273607828360017907, 0.000043033584069922729,
      -0.000066091350609886632, 0.000105353391761604045, -0.000168927456721750312, 0.000271314046044786716,
      -0.000437991902906685839, 0.000711519033772678338, -0.00116441467404205755, 0.00192291631504432203,
      -0.00321207406962524081, 0.00544645783903963604, -0.00942562244862871077, 0.0167970986312758425,
      -0.0313084875010094612, 0.0629114010745643793, -0.145959895914306087, 0.48312895054098089);
  const V beside = log(d, hn::IfThenElse(is_small, size, hn::IfThenElse(is_large, size, steps)));
  V y = hn::Mul(hn::Mul(from_one, from_two), series);
  y = hn::IfThenElse(is_small, hn::Sub(y, beside), hn::Add(y, beside));
  if (!hn::AllFalse(d, is_large)) {
    const V r = hn::Div(one, size);
    const V rest = hn::Mul(r, polynomial(d, hn::Mul(r, r), -3617.0 / 122400, 1.0 / 156, -691.0 / 360360,
                                         1.0 / 1188, -1.0 / 1680, 1.0 / 1260, -1.0 / 360, 1.0 / 12));
    const V slow = hn::Add(rest, hn::Set(d, 0.41893853320467274178));
    const V far = hn::MulAdd(hn::Sub(size, hn::Set(d, 0.5)), hn::Sub(beside, one), slow);
    y = hn::IfThenElse(is_large, far, y);
  }
  const auto is_negative = hn::Lt(x, zero);
  if (!hn::AllFalse(d, is_negative)) {
    // Of the least numbers, whose products are 0, it is -log(|x|) on both sides of 0.
    const auto reflects = hn::And(is_negative, hn::Gt(size, hn::Set(d, 0x1p-60)));
    const V product = hn::Mul(size, size_of_sin_pi(d, size)), pi = hn::Set(d, 3.14159265358979323846);
    const V reflected = hn::Sub(log(d, hn::Div(pi, product)), y), pole = hn::Set(d, infinity<double>);
    y = hn::IfThenElse(reflects, hn::IfThenElse(hn::Eq(product, zero), pole, reflected), y);
  }
  return hn::IfThenElse(hn::Lt(size, hn::Set(d, infinity<double>)), y, hn::Abs(x));
}

#if HWY_NATIVE_FMA

// As the functions of special.h, in float64: fine, or to as many digits as float32 has.

template <bool fine, class D, class V> HWY_INLINE V digamma(D d, V x) {
  const V zero = hn::Zero(d), one = hn::Set(d, 1.0), two = hn::Set(d, 2.0);
  const V distance =
      hn::Sub(hn::Sub(x, hn::Set(d, 0x1.762d86356be3fp+0)), hn::Set(d, 9.5499954299656977e-17));
  const V near = hn::Mul(distance, polynomial(d, distance, TIDU_DIGAMMA_OF_DOUBLE));
  const auto is_negative = hn::Lt(x, zero);
  V a = hn::IfThenElse(is_negative, hn::Sub(one, x), x), sum = zero;
  const V far = hn::Set(d, fine ? 10.0 : 6.0);
  for (;;) {
    const auto moves = hn::Lt(a, far);  // two steps at a time: 1 / a + 1 / (a + 1)
    if (hn::AllFalse(d, moves)) break;
    const V terms = hn::Div(hn::MulAdd(two, a, one), hn::MulAdd(a, a, a));
    sum = hn::Sub(sum, hn::IfThenElseZero(moves, terms));
    a = hn::IfThenElse(moves, hn::Add(a, two), a);
  }
  const V inverse = hn::Div(one, a), z = hn::Mul(inverse, inverse);
  V series;
  if constexpr (fine) {
    series =
        polynomial(d, z, 1.0 / 12, -691.0 / 32760, 1.0 / 132, -1.0 / 240, 1.0 / 252, -1.0 / 120, 1.0 / 12);
  } else {
    series = polynomial(d, z, -1.0 / 240, 1.0 / 252, -1.0 / 120, 1.0 / 12);
  }
  const V slow = hn::MulAdd(hn::Set(d, -0.5), inverse, log(d, a));
  V y = hn::Add(sum, hn::NegMulAdd(z, series, slow));
  if (!hn::AllFalse(d, is_negative)) {
    const V pi = hn::Set(d, 3.14159265358979323846), r = hn::Sub(x, hn::Round(x));
    const V slope = hn::Div(pi, tan(d, hn::Mul(pi, r)));
    const V reflected = hn::IfThenElse(hn::Eq(r, zero), hn::Set(d, quiet_nan<double>), hn::Sub(y, slope));
    y = hn::IfThenElse(is_negative, reflected, y);
  }
  const auto is_near = hn::Le(hn::Abs(distance), hn::Set(d, 0.25));
  const V pole = hn::CopySign(hn::Set(d, infinity<double>), hn::Neg(x));
  return hn::IfThenElse(is_near, near, hn::IfThenElse(hn::Eq(x, zero), pole, y));
}

template <class D, class V> HWY_INLINE V power_of(D, V a, int n) {
  V power = a;
  for (int i = 1; i < n; ++i) power = hn::Mul(power, a);
  return power;
}

// Of s = 2 .. 7; two terms of the sum have one quotient.
template <bool fine, class D, class V> HWY_INLINE V hurwitz_zeta(D d, int s, V q) {
  const V one = hn::Set(d, 1.0), two = hn::Set(d, 2.0), far = hn::Set(d, s + (fine ? 10.0 : 5.0));
  V a = q, sum = hn::Zero(d);
  for (;;) {
    const auto moves = hn::Lt(a, far);
    if (hn::AllFalse(d, moves)) break;
    const V first = power_of(d, a, s), second = power_of(d, hn::Add(a, one), s);
    sum = hn::Add(sum, hn::IfThenElseZero(moves, hn::Div(hn::Add(first, second), hn::Mul(first, second))));
    a = hn::IfThenElse(moves, hn::Add(a, two), a);
  }
  const V inverse = hn::Div(one, a), square = hn::Mul(inverse, inverse);
  const V rest = power_of(d, inverse, s - 1), last = hn::Mul(rest, inverse);
  sum = hn::Add(sum, hn::MulAdd(rest, hn::Set(d, 1.0 / (s - 1)), hn::Mul(hn::Set(d, 0.5), last)));
  constexpr double kCoefficients[] = {TIDU_EULER_MACLAURIN};
  V factor = hn::Mul(hn::Mul(hn::Set(d, double(s)), last), inverse);
  for (int j = 0; j < (fine ? 9 : 4); ++j) {
    sum = hn::MulAdd(hn::Set(d, kCoefficients[j]), factor, sum);
    factor = hn::Mul(factor, hn::Mul(square, hn::Set(d, double(s + 2 * j + 1) * (s + 2 * j + 2))));
  }
  return sum;
}

constexpr int kMostOrderOfPolygamma = 6;

// Of the orders 1 to kMostOrderOfPolygamma.
template <bool fine, class D, class V> HWY_INLINE V polygamma(D d, V x, int n) {
  const int s = n + 1;
  const V zero = hn::Zero(d), one = hn::Set(d, 1.0), sign = hn::Set(d, n % 2 == 0 ? -1.0 : 1.0);
  const auto is_left = hn::Lt(x, zero);
  const V below = hn::IfThenElseZero(is_left, hn::Floor(x));
  V sum = hurwitz_zeta<fine>(d, s, hn::Sub(x, below));
  if (!hn::AllFalse(d, is_left)) {
    // To large integers nothing is added.
    const auto is_between = hn::AndNot(hn::Eq(x, below), is_left);
    const V above =
        hurwitz_zeta<fine>(d, s, hn::IfThenElse(is_between, hn::Sub(hn::Add(below, one), x), one));
    const V beyond = hurwitz_zeta<fine>(d, s, hn::IfThenElse(is_left, hn::Sub(one, x), one));
    sum = hn::MulAdd(sign, hn::Sub(above, beyond), sum);
  }
  double factorial = 1;
  for (int i = 2; i <= n; ++i) factorial *= i;
  const V y = hn::Mul(hn::Mul(sign, hn::Set(d, factorial)), sum);
  const V limit = hn::Mul(hn::Mul(sign, hn::Set(d, factorial)), hn::Mul(zero, hn::Div(one, x)));
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, infinity<double>)), y, limit);
}

#endif

// I_n(x) of an integer n >= 0, times exp(-|x|) if scaled, by the series of special.h: a term that is too
// small for one element changes nothing of it.
template <bool scaled, class D, class V> HWY_NOINLINE V bessel(D d, V x, hn::TFromD<D> n) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), size = hn::Abs(x),
          least = hn::Set(d, std::numeric_limits<T>::epsilon() / 8);
  const V limit = hn::Set(d, T(is_f32<T> ? 10 : 20) + T(0.5) * n * n);
  const auto is_near = hn::Lt(size, limit);
  V y = size;
  if (!hn::AllFalse(d, is_near)) {
    const V near = hn::IfThenElseZero(is_near, size), half = hn::Mul(near, hn::Set(d, T(0.5)));
    const V square = hn::Mul(half, half);
    V term = one;
    for (T k = 1; k <= n; k += T(1)) term = hn::Mul(term, hn::Mul(half, hn::Set(d, T(1) / k)));
    V sum = term;
    for (T k = 1; !hn::AllTrue(d, hn::Le(term, hn::Mul(least, sum))); k += T(1)) {
      term = hn::Mul(term, hn::Mul(square, hn::Set(d, T(1) / (k * (k + n)))));
      sum = hn::Add(sum, term);
    }
    y = scaled ? hn::Mul(exp(d, hn::Neg(near)), sum) : sum;
  }
  if (!hn::AllTrue(d, is_near)) {
    const V far = hn::IfThenElse(hn::Ge(size, limit), size, limit), inverse = hn::Div(one, far);
    V term = one, sum = one;
    for (T k = 1; !hn::AllTrue(d, hn::Le(hn::Abs(term), least)); k += T(1)) {
      const T odd = T(2) * k - T(1);
      const V factor = hn::Set(d, (odd - T(2) * n) * (odd + T(2) * n) / (T(8) * k));
      term = hn::Mul(term, hn::Mul(factor, inverse));
      sum = hn::Add(sum, term);
    }
    V slow = hn::Mul(sum, hn::Sqrt(hn::Mul(inverse, hn::Set(d, T(0.15915494309189533577)))));
    if (!scaled) {
      const V root = exp(d, hn::Mul(far, hn::Set(d, T(0.5))));  // exp(x) may overflow before the result does
      slow = hn::Mul(root, hn::Mul(root, slow));
    }
    const auto is_infinite = hn::Eq(size, hn::Set(d, infinity<T>));
    slow = hn::IfThenElse(is_infinite, scaled ? hn::Zero(d) : size, slow);
    y = hn::IfThenElse(is_near, y, hn::IfThenElse(hn::IsNaN(x), x, slow));
  }
  return std::fmod(n, T(2)) != T(0) ? hn::CopySign(y, x) : y;
}

template <class D, class V> HWY_INLINE V cos(D d, V x) {
  using T = hn::TFromD<D>;
  return circular<1>(d, x, static_cast<T (*)(T)>(std::cos));
}

}  // namespace tidu::HWY_NAMESPACE::math
HWY_AFTER_NAMESPACE();

#endif
