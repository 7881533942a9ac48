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

#include "kernels/special.h"

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

template <class D, class V> HWY_INLINE V log(D d, V x) {
  using T = hn::TFromD<D>;
  V e;
  const V f = hn::Sub(split_any(d, x, &e), hn::Set(d, T(1)));
  const V high = hn::Set(d, is_f32<T> ? T(0x1.62e4p-1) : T(0x1.62e42fefa38p-1));
  const V low = hn::Set(d, is_f32<T> ? T(0x1.7f7d1cp-20) : T(0x1.ef35793c7673p-45));
  const V y = hn::MulAdd(e, high, hn::Add(f, hn::MulAdd(e, low, log_tail(d, f))));
  return with_log_limits(d, x, y);
}

template <class D, class V> HWY_INLINE V log2(D d, V x) {
  using T = hn::TFromD<D>;
  V e;
  const V f = hn::Sub(split_any(d, x, &e), hn::Set(d, T(1)));
  // 1 / log(2) = 1 + c: f itself is added unrounded.
  const V tail = log_tail(d, f);
  const V y = hn::Add(f, hn::MulAdd(hn::Add(f, tail), hn::Set(d, T(0.44269504088896340736)), tail));
  return with_log_limits(d, x, hn::Add(e, y));
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

// exp(b log |a|) in float64 with the signs and limits of C's pow.
template <class D, class V> HWY_INLINE V pow(D d, V a, V b) {
  static_assert(is_f32<hn::TFromD<D>>);
  const hn::RepartitionToWide<D> wide;
  // Cubes and fourth powers are products, for which others beside them make no difference.
  const auto is_product = hn::Or(hn::Eq(b, hn::Set(d, 3.0f)), hn::Eq(b, hn::Set(d, 4.0f)));
  const auto product = [&](auto x, auto y) {
    const auto square = hn::Mul(x, x);
    return hn::Mul(square, hn::IfThenElse(hn::Eq(y, hn::Set(wide, 3.0)), x, square));
  };
  const V small = in_float64(d, product, a, b);
  if (hn::AllTrue(d, is_product)) return small;
  const V one = hn::Set(d, 1.0f), base = hn::Abs(a);
  const auto power = [&](auto x, auto y) { return exp(wide, hn::Mul(y, log(wide, x))); };
  V y = in_float64(d, power, base, b);
  const auto is_integer = hn::Eq(hn::Trunc(b), b);
  const V halved = hn::Mul(b, hn::Set(d, 0.5f));
  const auto is_odd = hn::AndNot(hn::Eq(hn::Trunc(halved), halved), is_integer);
  y = hn::IfThenElse(is_odd, hn::CopySign(y, a), y);
  const auto has_none =
      hn::AndNot(is_integer, hn::And(hn::Lt(a, hn::Zero(d)), hn::Lt(base, hn::Set(d, infinity<float>))));
  y = hn::IfThenElse(has_none, hn::Set(d, quiet_nan<float>), y);
  // 1 to any power, -1 to an infinite one, anything to that of 0.
  const auto is_one =
      hn::Or(hn::Eq(a, one), hn::And(hn::Eq(base, one), hn::Eq(hn::Abs(b), hn::Set(d, infinity<float>))));
  y = hn::IfThenElse(hn::Or(is_one, hn::Eq(b, hn::Zero(d))), one, y);
  return hn::IfThenElse(is_product, small, y);
}
#endif

// log(u) + (x - (u - 1)) / u with u = 1 + x rounded.
template <class D, class V> HWY_INLINE V log1p(D d, V x) {
  using T = hn::TFromD<D>;
  const V one = hn::Set(d, T(1)), u = hn::Add(x, one);
  // The part of x or of 1 that rounding lost, whichever is the smaller of the two.
  const V lost = hn::IfThenElse(hn::Lt(x, one), hn::Sub(x, hn::Sub(u, one)), hn::Sub(one, hn::Sub(u, x)));
  const V corrected = hn::Add(log(d, u), hn::Div(lost, u));
  const auto regular = hn::And(hn::Lt(u, hn::Set(d, infinity<T>)), hn::Gt(u, hn::Zero(d)));
  const V y = hn::IfThenElse(regular, corrected, with_log_limits(d, u, u));
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y);
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

template <class D, class V> HWY_INLINE V mish(D d, V x) {
  const V two = hn::Set(d, hn::TFromD<D>(2)), e = exp(d, hn::Neg(hn::Abs(x)));
  const auto negative = hn::Lt(x, hn::Zero(d));
  const V above = hn::IfThenElse(negative, hn::Mul(e, hn::Add(e, two)), hn::MulAdd(two, e, hn::Set(d, 1)));
  const V rest = hn::IfThenElse(negative, two, hn::Mul(two, hn::Mul(e, e)));
  const V t = hn::Div(above, hn::Add(above, rest));
  return hn::IfThenZeroElse(hn::Eq(t, hn::Zero(d)), hn::Mul(x, t));
}

template <class D, class V> HWY_INLINE V tanh(D d, V x) {
  const V t = expm1(d, hn::Mul(hn::Abs(x), hn::Set(d, hn::TFromD<D>(-2))));
  return hn::CopySign(hn::Div(t, hn::Add(t, hn::Set(d, hn::TFromD<D>(2)))), x);
}

// The error functions need the rounding error of x^2, which only a fused multiply-add gives cheaply.
#if HWY_NATIVE_FMA

// erfc(z) for z >= 0: exp(-z^2) erfcx(z), with the series of kernels/special.h.
template <class D, class V> HWY_INLINE V erfc_of_nonnegative(D d, V z) {
  using T = hn::TFromD<D>;
  const V k = hn::Set(d, scalar::kErfcxCentre<T>);
  const V c = hn::IfThenElse(hn::Gt(z, hn::Set(d, T(28))), hn::Set(d, T(28)), z);
  const V below = hn::Sub(c, k), above = hn::Add(c, k);
  const V q = hn::Div(hn::Set(d, T(1)), above), quotient = hn::Mul(below, q);
  // One step towards the exact quotient: the series magnifies the error of t.
  const V t = hn::MulAdd(hn::NegMulAdd(quotient, above, below), q, quotient);
  V series;
  if constexpr (is_f32<T>) {
    series = polynomial(d, t, TIDU_ERFCX_OF_FLOAT);
  } else {
    series = polynomial(d, t, TIDU_ERFCX_OF_DOUBLE);
  }
  const V square = hn::Mul(c, c), lost = hn::MulSub(c, c, square);
  const V power = exp(d, hn::Neg(square));
  return hn::Mul(hn::Mul(series, q), hn::NegMulAdd(power, lost, power));
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

template <class D, class V> HWY_INLINE V erf(D d, V x) {
  const V one = hn::Set(d, hn::TFromD<D>(1)), size = hn::Abs(x);
  const V far = hn::CopySign(hn::Sub(one, erfc_of_nonnegative(d, size)), x);
  return hn::IfThenElse(hn::Lt(size, one), erf_near_0(d, x), far);
}

template <class D, class V> HWY_INLINE V erfc(D d, V x) {
  using T = hn::TFromD<D>;
  const V size = hn::Abs(x), y = erfc_of_nonnegative(d, size);
  const V far = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Sub(hn::Set(d, T(2)), y), y);
  return hn::IfThenElse(hn::Lt(size, hn::Set(d, T(0.5))), hn::Sub(hn::Set(d, T(1)), erf_near_0(d, x)), far);
}

// x Phi(x); where Phi is 0, so is the limit, even at -inf.
template <class D, class V> HWY_INLINE V gelu(D d, V x) {
  using T = hn::TFromD<D>;
  const V p = hn::Mul(hn::Set(d, T(0.5)), erfc(d, hn::Mul(x, hn::Set(d, T(-0.70710678118654752440)))));
  return hn::IfThenZeroElse(hn::Eq(p, hn::Zero(d)), hn::Mul(x, p));
}

// erfc(-x / sqrt(2)) / 2; the part of the argument that rounding loses counts in the left tail.
template <class D, class V> HWY_INLINE V ndtr(D d, V x) {
  using T = hn::TFromD<D>;
  const V high = hn::Set(d, T(0.70710678118654752440)), low = hn::Set(d, scalar::kSqrtHalfRest<T>);
  const V z = hn::Neg(hn::Mul(x, high)), y = hn::Mul(hn::Set(d, T(0.5)), erfc(d, z));
  const V lost = hn::NegMulSub(x, low, hn::MulAdd(x, high, z));
  const V density = hn::Mul(hn::Set(d, T(0.56418958354775628695)), exp(d, hn::Neg(hn::Mul(z, z))));
  const auto finite = hn::Lt(hn::Abs(x), hn::Set(d, T(40)));
  return hn::IfThenElse(finite, hn::NegMulAdd(density, lost, y), y);
}

#endif

// sin and cos of x = n pi / 2 + r, |r| <= pi / 4, for |x| up to trig_limit. pi / 2 is in four parts, the
// first three so short that n times them is exact.
template <class T> inline constexpr T trig_limit = is_f32<T> ? T(6000) : T(1e6);

template <class D, class V> HWY_INLINE void sin_cos(D d, V x, V* sine, V* cosine, V* n) {
  using T = hn::TFromD<D>;
  *n = nearest(d, hn::Mul(x, hn::Set(d, T(0.63661977236758134308))));
  const V p0 = hn::Set(d, is_f32<T> ? T(0x1.92p+0) : T(0x1.921fb544p+0));
  const V p1 = hn::Set(d, is_f32<T> ? T(0x1.fb4p-12) : T(0x1.0b4611a6p-34));
  const V p2 = hn::Set(d, is_f32<T> ? T(0x1.444p-24) : T(0x1.3198a2ep-69));
  const V p3 = hn::Set(d, is_f32<T> ? T(0x1.68c234p-39) : T(0x1.b839a252049c1p-104));
  V r = hn::NegMulAdd(*n, p0, x);
  r = hn::NegMulAdd(*n, p1, r);
  r = hn::NegMulAdd(*n, p2, r);
  r = hn::NegMulAdd(*n, p3, r);
  const V z = hn::Mul(r, r);
  V s, c;
  if constexpr (is_f32<T>) {
    s = polynomial(d, z, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6);
    c = polynomial(d, z, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24);
  } else {
    s = polynomial(d, z, 1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
                   1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6);
    c = polynomial(d, z, -1.0 / 6402373705728000, 1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600,
                   -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24);
  }
  *sine = hn::MulAdd(hn::Mul(s, z), r, r);
  *cosine = hn::MulAdd(hn::Mul(z, z), c, hn::NegMulAdd(z, hn::Set(d, T(0.5)), hn::Set(d, T(1))));
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

// sin(x) for shift 0, cos(x) = sin(x + pi / 2) for shift 1: the quadrant chooses the series and the sign.
template <int shift, class D, class V, class Function> HWY_INLINE V circular(D d, V x, Function function) {
  using T = hn::TFromD<D>;
  const hn::RebindToUnsigned<D> du;
  V sine, cosine, n;
  sin_cos(d, x, &sine, &cosine, &n);
  const auto quadrant = hn::BitCast(du, hn::Add(n, hn::Set(d, magic<T> + T(shift))));
  constexpr int top = sizeof(T) * 8 - 1;
  const auto odd = hn::RebindMask(d, hn::TestBit(quadrant, hn::Set(du, 1)));
  const V sign = hn::BitCast(d, hn::ShiftLeft<top>(hn::ShiftRight<1>(quadrant)));
  const V y = hn::Xor(hn::IfThenElse(odd, cosine, sine), sign);
  const auto inside = hn::Le(hn::Abs(x), hn::Set(d, trig_limit<T>));
  return hn::AllTrue(d, inside) ? y : large_lanes(d, x, y, function);
}

template <class D, class V> HWY_INLINE V sin(D d, V x) {
  using T = hn::TFromD<D>;
  const V y = circular<0>(d, x, static_cast<T (*)(T)>(std::sin));
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y);
}

template <class D, class V> HWY_INLINE V cos(D d, V x) {
  using T = hn::TFromD<D>;
  return circular<1>(d, x, static_cast<T (*)(T)>(std::cos));
}

}  // namespace tidu::HWY_NAMESPACE::math
HWY_AFTER_NAMESPACE();

#endif
