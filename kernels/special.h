// The special functions of kernels/scalar.h, for one element of float or double.
//
// Each is made of series that converge where they are used, of the math library, and of one table (of erfcx).
// Errors are mostly within 5 units in the last place, those of Bessel functions within 13 and those of high
// orders of polygamma and sinc more; close to their zeros at negative numbers the error of digamma, lgamma
// and polygamma is a few units of 1.
#pragma once

#ifndef __CUDACC_RTC__
#include <math.h>
#endif

#include "kernels/types.h"

// What kernels call, for they have no registers for as many copies of it as they compute elements at once.
#ifdef __CUDACC__
#define TIDU_NOINLINE __noinline__
#else
#define TIDU_NOINLINE inline
#endif

namespace tidu::scalar {

template <class T> inline constexpr T kEpsilon = sizeof(T) == 4 ? T(0x1p-23) : T(0x1p-52);
// By bits, which every compiler of this file knows, also that of kernels made at run time.
template <class T> inline constexpr T kInfinity = T(__builtin_bit_cast(float, 0x7f800000));
template <class T> inline constexpr T kNan = T(__builtin_bit_cast(float, 0x7fc00000));
template <class T> inline constexpr T kPi = T(3.14159265358979323846);

// What may be the order of a function.
template <class T> TIDU_HD inline bool is_order(T n) { return n >= T(0) && n <= T(200) && n == ::floor(n); }

// Horner's scheme, highest coefficient first.
template <class T, class... Rest> TIDU_HD inline T polynomial(T x, double first, Rest... rest) {
  T sum = T(first);
  ((sum = sum * x + T(rest)), ...);
  return sum;
}

// exp(-x^2) (erfc) and exp(x^2) with what the rounding of x^2 loses.
template <class T> TIDU_HD inline T exp_of_square(T x, T sign) {
  const T square = x * x, power = ::exp(sign * square);
  return power * (T(1) + sign * ::fma(x, x, -square));
}

// --- Error functions and the normal distribution

// (z + k) erfcx(z) for z >= 0 as a polynomial in t = (z - k) / (z + k): a Chebyshev series.
// (M. M. Shepherd and J. G. Laframboise, Math. Comp. 36, 1981)
#define TIDU_ERFCX_OF_FLOAT                                                                    \
  2.3893264e-6, -3.20521236e-4, -4.80369278e-4, 3.08031196e-3, -1.22749012e-3, -2.68406823e-2, \
      1.19529021e-1, -3.10465839e-1, 5.90228321e-1, -8.83394494e-1, 1.07400691
#define TIDU_ERFCX_OF_DOUBLE                                                                            \
  -5.27453729066093528e-10, -1.23662388219112601e-9, 4.20934252463290292e-9, 1.29194463548709016e-8,    \
      -2.17069565352025515e-8, -8.87783928218456407e-8, 1.14858551421250129e-7, 5.54602483532897045e-7, \
      -7.95028683082642827e-7, -3.39400799614399608e-6, 7.24345845621562592e-6, 1.864782101368625e-5,   \
      -7.47768747120362918e-5, -4.2062296815611578e-5, 7.14531646371325414e-4, -1.30535467407781021e-3, \
      -3.17705033857715921e-3, 2.65186198802310586e-2, -9.2318706638698389e-2, 2.25738621647472138e-1,  \
      -4.35256026716884572e-1, 6.94113646634643371e-1, -9.37799724567112032e-1, 1.08705558926226008
template <class T> inline constexpr T kErfcxCentre = sizeof(T) == 4 ? T(3) : T(3.5);

template <class T> TIDU_HD inline T erfcx_of_nonnegative(T z) {
  constexpr T k = kErfcxCentre<T>;
  if (z > T(sizeof(T) == 4 ? 9 : 28)) {  // where the asymptotic series serves
    const T h = T(0.5) / z / z;
    return T(0.56418958354775628695) * polynomial(h, -135135, 10395, -945, 105, -15, 3, -1, 1) / z;
  }
  const T t = (z - k) / (z + k);
  T series;
  if constexpr (sizeof(T) == 4) {
    series = polynomial(t, TIDU_ERFCX_OF_FLOAT);
  } else {
    series = polynomial(t, TIDU_ERFCX_OF_DOUBLE);
  }
  return series / (z + k);
}

// Derivative n of erfcx is (-2)^n n! i_n, i_n = exp(x^2) times the n-fold integral of erfc: 2 n i_n = i_(n-2)
// - 2 x i_(n-1). Where that cancels, the quotients of neighbours come from above, as a continued fraction.
template <class T> TIDU_HD inline T erfcx(T x, T order) {
  if (!is_order(order)) return kNan<T>;
  T y = erfcx_of_nonnegative(::fabs(x));
  if (x < T(0)) y = x < T(-27) ? kInfinity<T> : T(2) * exp_of_square(x, T(1)) - y;
  const int n = static_cast<int>(order);
  if (n == 0) return y;
  T factor = 1;
  for (int m = 1; m <= n; ++m) factor *= T(-2 * m);
  if (!(x >= T(1))) {
    T before = T(1.12837916709551257390);
    for (int m = 1; m <= n; ++m) {
      const T next = (before - T(2) * x * y) / T(2 * m);
      before = y;
      y = next;
    }
    return factor * y;
  }
  T quotient = 0, product = 1;
  for (int m = 4 * n + 8 + static_cast<int>(T(sizeof(T) == 4 ? 40 : 190) / (x * x)); m > 0; --m) {
    quotient = T(0.5) / (T(m + 1) * quotient + x);
    if (m <= n) product *= quotient;
  }
  return factor * product * y;
}

// sqrt(1/2) without what T holds of it.
template <class T>
inline constexpr T kSqrtHalfRest = sizeof(T) == 4
                                       ? T(0.70710678118654752440 - double(0.70710678118654752440f))
                                       : T(-4.8336466567264567e-17);

// erfc(-x / sqrt(2)) / 2; the part of the argument that rounding loses counts in the left tail.
template <class T> TIDU_HD inline T ndtr(T x) {
  constexpr T high = T(0.70710678118654752440), low = kSqrtHalfRest<T>;
  const T z = -x * high, y = T(0.5) * ::erfc(z);
  if (!(::fabs(x) < T(40))) return y;
  const T lost = ::fma(-x, high, -z) - x * low;
  return y - T(0.56418958354775628695) * ::exp(-z * z) * lost;
}

template <class T> TIDU_HD inline T log_ndtr(T x) {
  if (x < T(-1)) {
    const T half_square = T(0.5) * x * x;
    return ::log(T(0.5) * erfcx_of_nonnegative(x * T(-0.70710678118654752440))) - half_square;
  }
  return ::log1p(-ndtr(-x));
}

// Within 0.3% of erfinv(x), of log((1 - x) (1 + x)). (S. Winitzki, 2008)
template <class T> TIDU_HD inline T rough_erfinv(T log_of_rest) {
  constexpr T a = T(0.147);
  const T half = T(2) / (kPi<T> * a) + T(0.5) * log_of_rest;
  const T square = log_of_rest / -a;
  const T root = ::sqrt(half * half + square);
  return ::sqrt(half > T(0) ? square / (root + half) : root - half);
}

// Each step of Halley's method cubes the relative error.
template <class T> inline constexpr int kHalleySteps = sizeof(T) == 4 ? 1 : 2;

// y with erf(y) = x, |x| <= 1/2.
template <class T> TIDU_HD inline T erfinv_near_0(T x) {
  T y = rough_erfinv(::log1p(-x * x));
  for (int i = 0; i < kHalleySteps<T>; ++i) {
    const T step = T(0.88622692545275801365) * (::erf(y) - ::fabs(x)) * ::exp(y * y);
    y -= step / (T(1) + step * y);
  }
  return ::copysign(y, x);
}

// y with erfc(y) = q, 0 <= q <= 1/2, as a zero of log(erfc(y)) - log(q).
template <class T> TIDU_HD inline T erfcinv_of_small(T q) {
  if (q == T(0)) return kInfinity<T>;
  const T log_q = ::log(q);
  T y = rough_erfinv(log_q + ::log(T(2) - q));
  for (int i = 0; i < kHalleySteps<T>; ++i) {
    const T scaled = erfcx_of_nonnegative(y);
    const T newton = T(0.88622692545275801365) * scaled * (::log(scaled) - y * y - log_q);
    y += newton / (T(1) + newton * (T(0.56418958354775628695) / scaled - y));
  }
  return y;
}

template <class T> TIDU_HD inline T erfinv(T x) {
  const T size = ::fabs(x);
  if (size <= T(0.5)) return erfinv_near_0(x);
  return size <= T(1) ? ::copysign(erfcinv_of_small(T(1) - size), x) : kNan<T>;
}

template <class T> TIDU_HD inline T ndtri(T p) {
  if (!(p >= T(0) && p <= T(1))) return kNan<T>;
  const T y = p < T(0.25)   ? -erfcinv_of_small(T(2) * p)
              : p > T(0.75) ? erfcinv_of_small(T(2) * (T(1) - p))
                            : erfinv_near_0(T(2) * p - T(1));
  return T(1.41421356237309504880) * y;
}

// --- The gamma function and its kin

template <class T> TIDU_HD inline T lgamma(T x) {
#ifdef __CUDA_ARCH__
  return ::lgamma(x);
#else  // the C function of that name also writes to a variable that all threads share
  int sign;
  if constexpr (sizeof(T) == 4) {
    return ::lgammaf_r(x, &sign);
  } else {
    return ::lgamma_r(x, &sign);
  }
#endif
}

// digamma(x) / (x - z) for |x - z| <= 1/4 as a polynomial in x - z, z the zero of digamma.
#define TIDU_DIGAMMA_OF_FLOAT \
  -0.0351693767, 0.051746242, -0.0721201307, 0.107707692, -0.163943703, 0.258501223, -0.442763167, 0.967672243
#define TIDU_DIGAMMA_OF_DOUBLE                                                                    \
  0.0012233433006454323, -0.0017881731629368615, 0.0022889357466539521, -0.0033461365316861394,   \
      0.0049277320457820533, -0.0072059239133406621, 0.010538759984258197, -0.015424719669211928, \
      0.022597648827772653, -0.033161127345345398, 0.048804288158206193, -0.072199561247776963,   \
      0.10782405069128891, -0.16394270544244532, 0.25849976095565098, -0.44276316898359206,       \
      0.96767224544762117
template <class T> TIDU_HD inline T digamma_near_zero(T distance) {
  if constexpr (sizeof(T) == 4) {
    return distance * polynomial(distance, TIDU_DIGAMMA_OF_FLOAT);
  } else {
    return distance * polynomial(distance, TIDU_DIGAMMA_OF_DOUBLE);
  }
}

// Stirling's series; below it recurrence, and the reflection of negative x. Close to the zero among positive
// numbers all that would cancel.
template <class T> TIDU_HD inline T digamma(T x) {
  constexpr T zero = sizeof(T) == 4 ? T(0x1.762d86p+0) : T(0x1.762d86356be3fp+0),
              rest = sizeof(T) == 4 ? T(1.2438149938918909e-8) : T(9.5499954299656977e-17);
  const T distance = (x - zero) - rest;
  if (::fabs(distance) <= T(0.25)) return digamma_near_zero(distance);
  if (x == T(0)) return ::copysign(kInfinity<T>, -x);
  T sum = 0, a = x;
  if (x < T(0)) {
    const T r = x - ::rint(x);
    if (r == T(0)) return kNan<T>;
    sum = -kPi<T> / ::tan(kPi<T> * r);
    a = T(1) - x;
  }
  for (; a < T(sizeof(T) == 4 ? 6 : 10); a += T(1)) sum -= T(1) / a;
  const T z = T(1) / (a * a);
  const T series = sizeof(T) == 4 ? polynomial(z, -1.0 / 240, 1.0 / 252, -1.0 / 120, 1.0 / 12)
                                  : polynomial(z, 1.0 / 12, -691.0 / 32760, 1.0 / 132, -1.0 / 240, 1.0 / 252,
                                               -1.0 / 120, 1.0 / 12);
  return sum + (::log(a) - T(0.5) / a - z * series);
}

// B_2j / (2 j)!
#define TIDU_EULER_MACLAURIN                                                                 \
  1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000, \
      1.0 / 74724249600, -3617.0 / 10670622842880000, 43867.0 / 5109094217170944000

// Hurwitz's zeta function: the sum of (q + k)^-s over k = 0, 1 .. for s = 2, 3 .. and q >= 0, by the formula
// of Euler and Maclaurin.
template <class T> TIDU_HD inline T hurwitz_zeta(T s, T q) {
  constexpr double kCoefficients[] = {TIDU_EULER_MACLAURIN};
  constexpr int terms = sizeof(T) == 4 ? 4 : 9;
  T sum = 0, a = q;
  for (const T far = s + T(sizeof(T) == 4 ? 5 : 10); a < far; a += T(1)) sum += ::pow(a, -s);
  const T rest = ::pow(a, T(1) - s), last = rest / a;
  sum += rest / (s - T(1)) + T(0.5) * last;
  T factor = s * last / a;
  for (int j = 0; j < terms; ++j) {
    sum += T(kCoefficients[j]) * factor;
    factor *= (s + T(2 * j + 1)) / a * ((s + T(2 * j + 2)) / a);
  }
  return sum;
}

// The derivative of digamma of order n: (-1)^(n+1) n! times the sum of (x + k)^-(n+1) over k = 0, 1 ..; of
// negative x the part on either side of 0 by itself.
template <class T> TIDU_HD TIDU_NOINLINE T polygamma(T x, T n) {
  if (!is_order(n)) return kNan<T>;
  if (n == T(0)) return digamma(x);
  const T s = n + T(1), sign = ::fmod(n, T(2)) == T(0) ? T(-1) : T(1);
  T sum = T(0) * (T(1) / x);
  if (x < kInfinity<T>) {
    const bool is_left = x < T(0);
    const T below = is_left ? ::floor(x) : T(0);
    T positive = 0, negative = 0;
    const T above = x == below ? T(1) : (below + T(1)) - x;  // of large integers that sum is rounded
    for (int part = 0; part < (is_left ? 3 : 1); ++part) {
      const T zeta = hurwitz_zeta(s, part == 0 ? x - below : part == 1 ? above : T(1) - x);
      if (part == 0) {
        positive = zeta;
      } else {
        negative += part == 1 ? zeta : -zeta;
      }
    }
    sum = is_left ? positive + sign * negative : positive;
  }
  T factorial = 1;
  for (T i = 2; i <= n; i += T(1)) factorial *= i;
  return sign * factorial * sum;
}

// --- Modified Bessel functions of the first kind, I_n

// I_n(x) without its growth exp(x), for x >= 0: the power series, and far out the asymptotic one, there with
// the m-th derivative of it by x.
template <class T, bool scaled> TIDU_HD inline T bessel_of_nonnegative(T x, T n, T m = 0) {
  if (!(x < kInfinity<T>)) return scaled && x == x ? T(0) : x;
  if (x < T(sizeof(T) == 4 ? 10 : 20) + T(0.5) * n * n) {
    const T half = T(0.5) * x, square = half * half;
    T term = 1;
    for (T k = 1; k <= n; k += T(1)) term *= half / k;
    T sum = term;
    for (T k = 1; term > T(0.125) * kEpsilon<T> * sum; k += T(1)) {
      term *= square * (T(1) / (k * (k + n)));
      sum += term;
    }
    return scaled ? ::exp(-x) * sum : sum;
  }
  T term = 1, sum = 1;
  for (T k = 1; ::fabs(term) > T(0.125) * kEpsilon<T>; k += T(1)) {
    const T odd = T(2) * k - T(1);
    term *= (odd - T(2) * n) * (odd + T(2) * n) / (T(8) * x * k);
    if (m > T(0)) term *= (odd + T(2) * m) / odd;
    sum += term;
  }
  const T slow = sum / (::sqrt(T(2) * kPi<T>) * ::sqrt(x));
  if constexpr (scaled) {
    T derivative = slow;
    for (T k = 0; k < m; k += T(1)) derivative *= -(k + T(0.5)) / x;
    return derivative;
  } else {
    const T root = ::exp(T(0.5) * x);  // exp(x) may overflow before the result does
    return root * (root * slow);
  }
}

// The m-th derivative of I_n(x) exp(-|x|), at 0 the mean of both sides: a difference of neighbouring orders,
// with 2 x times their error for m = 1, but far out, where more of it would cancel. Computed in double, of
// which enough is left for float, and by itself: nothing of the caller's but its results lives meanwhile.
template <class T> TIDU_HD TIDU_NOINLINE T slope_of_bessel(T x, T n, T m) {
  const double size = ::fabs(static_cast<double>(x)), order = n, times = m;
  double sum = 0;
  if (!(size < 20 + 0.5 * (order + times) * (order + times))) {
    sum = bessel_of_nonnegative<double, true>(size, order, times);
  } else {
    double weight = 1;  // (-1/2)^m (-1)^k binomial(2 m, m + k)
    for (double j = 0; j < times; j += 1) weight *= 0.5;
    for (double k = -times; k <= times; k += 1) {
      sum += weight * bessel_of_nonnegative<double, true>(size, ::fabs(order + k));
      weight *= -(times - k) / (times + k + 1);
    }
  }
  const bool odd = (static_cast<int>(n) + static_cast<int>(m)) % 2 != 0;
  const T y = static_cast<T>(sum);
  return odd ? (x == T(0) ? T(0) : ::copysign(T(1), x) * y) : y;
}

template <class T, bool scaled> TIDU_HD inline T bessel(T x, T order) {
  const T n = ::fabs(order);
  if (!is_order(n)) return kNan<T>;
  const T y = bessel_of_nonnegative<T, scaled>(::fabs(x), n);
  return ::fmod(n, T(2)) != T(0) ? ::copysign(y, x) : y;
}

template <class T> TIDU_HD inline T bessel_i(T x, T order) { return bessel<T, false>(x, order); }

template <class T> TIDU_HD inline T bessel_ie(T x, T order, T derivative) {
  if (derivative == T(0)) return bessel<T, true>(x, order);
  const T n = ::fabs(order);
  return is_order(n) && is_order(derivative) ? slope_of_bessel(x, n, derivative) : kNan<T>;
}

// --- sin(pi x) / (pi x)

// sin(pi x) and cos(pi x): x modulo 2 is exact.
template <class T> TIDU_HD inline T sin_pi(T x) {
  const T r = x - T(2) * ::rint(T(0.5) * x);
  return ::sin(kPi<T> * (::fabs(r) > T(0.5) ? ::copysign(T(1), r) - r : r));
}
template <class T> TIDU_HD inline T cos_pi(T x) {
  const T r = ::fabs(x - T(2) * ::rint(T(0.5) * x));
  return r > T(0.25) ? ::sin(kPi<T> * (T(0.5) - r)) : ::cos(kPi<T> * r);
}

// The derivative of an order of sin(t) / t at t = pi x, times pi^order. With s_m that of order m, t s_m + m
// s_(m-1) is the derivative of order m of sin(t); the recurrence is stable upwards where t exceeds m, else
// downwards.
template <class T> TIDU_HD inline T sinc(T x, T order) {
  if (!is_order(order)) return kNan<T>;
  if (x != x) return x;
  const T t = kPi<T> * x, size = ::fabs(t);
  if (!(size < kInfinity<T>)) return T(0);
  const int n = static_cast<int>(order);
  const T sine = sin_pi(x), cosine = cos_pi(x);
  const auto derivative = [&](int m) { return (m & 1 ? cosine : sine) * (m & 2 ? T(-1) : T(1)); };
  T s = 0;
  if (n == 0) {
    s = t == T(0) ? T(1) : sine / t;
  } else if (size > T(n)) {
    s = sine / t;
    for (int m = 1; m <= n; ++m) s = (derivative(m) - T(m) * s) / t;
  } else {
    for (int m = 4 * n + 24; m > n; --m) s = (derivative(m) - t * s) / T(m);
  }
  T power = 1;
  for (int m = 0; m < n; ++m) power *= kPi<T>;
  return power * s;
}

// --- Entropies

template <class T> TIDU_HD inline T xlogy(T a, T b) { return a == T(0) && b == b ? T(0) : a * ::log(b); }

template <class T> TIDU_HD inline T xlog1py(T a, T b) { return a == T(0) && b == b ? T(0) : a * ::log1p(b); }

template <class T> TIDU_HD inline T entr(T x) {
  return x > T(0) ? -x * ::log(x) : x == T(0) ? T(0) : x < T(0) ? -kInfinity<T> : x;
}

// Near 1/2, where it is 0, by the argument 2 x - 1, which is exact there.
template <class T> TIDU_HD inline T logit(T x) {
  return ::fabs(x - T(0.5)) <= T(0.25) ? T(2) * ::atanh(T(2) * x - T(1)) : ::log(x) - ::log1p(-x);
}

}  // namespace tidu::scalar
