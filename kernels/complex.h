// The elementwise functions that take complex numbers, for one element: read by g++ and nvcc.
//
// The names are those rows of csrc/ops/elementwise.def whose types include complex. Branch cuts, signs of
// zeros and what infinities and NaN give are those of C's Annex G and of the array API standard. The inverse
// functions are W. Kahan's ("Branch cuts for complex elementary functions", 1987): their sums have terms of
// one sign.
#pragma once

#include "kernels/scalar.h"

namespace tidu::scalar {

namespace detail {

// Beyond it exp(-2 x) is nothing beside 1.
template <class T> inline constexpr T kFarOut = sizeof(T) == 4 ? T(10) : T(22);

template <class T> TIDU_HD inline bool is_nan(T x) { return x != x; }
template <class T> TIDU_HD inline bool is_infinite(T x) { return ::fabs(x) == kInfinity<T>; }
template <class T> TIDU_HD inline bool is_finite(T x) { return ::fabs(x) < kInfinity<T>; }

// A product, rounded before it is added. GCC 12 makes one instruction of neighbours that are added and
// subtracted, whatever -ffp-contract says: of those in vectors, and not of the rest behind them.
template <class T> TIDU_HD inline T rounded(T product) {
#if !defined(__CUDACC__) && __has_builtin(__builtin_assoc_barrier)
  return __builtin_assoc_barrier(product);
#else
  return product;
#endif
}

// factor * exp(x), also where exp(x) alone is too large: one call, for a second takes too many registers.
template <class T> TIDU_HD inline T times_exp(T factor, T x) {
  constexpr T high = sizeof(T) == 4 ? T(80) : T(700),
              exp_of_high = T(sizeof(T) == 4 ? 5.540622384393510e34 : 1.0142320547350045e304);
  const bool is_high = x > high;
  const T e = ::exp(is_high ? x - high : x);
  return (is_high ? factor * exp_of_high : factor) * e;
}

// cos(x) + i sin(x). On a GPU the argument is reduced once, which takes fewer registers, too.
template <class T> TIDU_HD inline complex<T> cis(T x) {
#ifdef __CUDA_ARCH__
  complex<T> z;
  ::sincos(x, &z.im, &z.re);
  return z;
#else
  return {::cos(x), ::sin(x)};
#endif
}

// cosh(x) + i sinh(x) by one exponential, for |x| up to kFarOut.
template <class T> TIDU_HD inline complex<T> cosh_and_sinh(T x) {
  const T e = ::expm1(::fabs(x)), rest = e / (e + 1);
  return {1 + e * rest / 2, ::copysign((e + rest) / 2, x)};
}

template <class T> TIDU_HD inline complex<T> scaled(complex<T> z, T factor) {
  return {z.re * factor, z.im * factor};
}

// x^2 + y^2 + rest, where the sum may be far smaller than its terms.
template <class T> TIDU_HD inline T sum_of_squares(T x, T y, T rest) {
  const T p = x * x, q = y * y;
  return ((p + rest) + q) + (::fma(x, x, -p) + ::fma(y, y, -q));
}

}  // namespace detail

// Arithmetic

template <class T> TIDU_HD inline complex<T> conj(complex<T> z) { return {z.re, -z.im}; }

template <class T> TIDU_HD inline complex<T> multiply(complex<T> a, complex<T> b) {
  using detail::rounded;
  return {rounded(a.re * b.re) - rounded(a.im * b.im), rounded(a.re * b.im) + rounded(a.im * b.re)};
}

template <class T> TIDU_HD inline complex<T> multiply_no_nan(complex<T> a, complex<T> b) {
  const bool none = (a.re == 0 && a.im == 0) || (b.re == 0 && b.im == 0);
  return none ? complex<T>{0, 0} : multiply(a, b);
}

// R. L. Smith's: no square, so no overflow but of the result.
template <class T> TIDU_HD inline complex<T> divide(complex<T> a, complex<T> b) {
  using detail::rounded;
  if (::fabs(b.re) >= ::fabs(b.im)) {
    if (b.re == 0) return {a.re / ::fabs(b.re), a.im / ::fabs(b.re)};
    const T ratio = b.im / b.re, divisor = b.re + b.im * ratio;
    return {(a.re + rounded(a.im * ratio)) / divisor, (a.im - rounded(a.re * ratio)) / divisor};
  }
  const T ratio = b.re / b.im, divisor = b.im + b.re * ratio;
  return {(rounded(a.re * ratio) + a.im) / divisor, (rounded(a.im * ratio) - a.re) / divisor};
}

template <class T> TIDU_HD inline complex<T> reciprocal(complex<T> z) { return divide(complex<T>{1, 0}, z); }
template <class T> TIDU_HD inline complex<T> square(complex<T> z) {
  return {(z.re - z.im) * (z.re + z.im), 2 * (z.re * z.im)};
}

template <class T> TIDU_HD inline bool equal(complex<T> a, complex<T> b) {
  return a.re == b.re && a.im == b.im;
}
template <class T> TIDU_HD inline bool not_equal(complex<T> a, complex<T> b) { return !equal(a, b); }
template <class T> TIDU_HD inline bool isnan(complex<T> z) {
  return detail::is_nan(z.re) || detail::is_nan(z.im);
}
template <class T> TIDU_HD inline bool isinf(complex<T> z) {
  return detail::is_infinite(z.re) || detail::is_infinite(z.im);
}
template <class T> TIDU_HD inline bool isfinite(complex<T> z) {
  return detail::is_finite(z.re) && detail::is_finite(z.im);
}

// Powers, exponentials, logarithms

template <class T> TIDU_HD inline complex<T> sqrt(complex<T> z) {
  using namespace detail;
  if (is_infinite(z.im)) return {kInfinity<T>, z.im};
  if (is_infinite(z.re)) {
    const T rest = is_nan(z.im) ? z.im : T(0);
    if (z.re > 0) return {z.re, is_nan(z.im) ? z.im : ::copysign(T(0), z.im)};
    return {rest, ::copysign(kInfinity<T>, z.im)};
  }
  const T largest = ::fmax(::fabs(z.re), ::fabs(z.im));
  if (isnan(z)) return {kNan<T>, kNan<T>};
  if (largest == 0) return {0, z.im};
  // Scaled by powers of 4, so that nothing overflows or is rounded twice.
  constexpr T up = sizeof(T) == 4 ? T(0x1p48) : T(0x1p108), down = sizeof(T) == 4 ? T(0x1p-24) : T(0x1p-54);
  constexpr T small = sizeof(T) == 4 ? T(0x1p-100) : T(0x1p-960),
              large = sizeof(T) == 4 ? T(0x1p125) : T(0x1p1020);
  const T scale = largest > large   ? T(0.0625)
                  : largest < small ? up
                                    : T(1),
          back = largest > large   ? T(4)
                 : largest < small ? down
                                   : T(1);
  const T x = z.re * scale, y = z.im * scale;
  const T root = ::sqrt((::fabs(x) + ::hypot(x, y)) / 2), other = y / (2 * root);
  if (x >= 0) return {root * back, other * back};
  return {::fabs(other) * back, ::copysign(root, y) * back};
}

template <class T> TIDU_HD inline complex<T> rsqrt(complex<T> z) { return reciprocal(sqrt(z)); }

template <class T> TIDU_HD inline complex<T> exp(complex<T> z) {
  using namespace detail;
  if (z.im == 0) return {::exp(z.re), z.im};
  if (is_infinite(z.re) && !is_finite(z.im)) {
    if (z.re < 0) return {0, 0};
    return {z.re, kNan<T>};
  }
  const auto [c, s] = cis(z.im);
  if (is_infinite(z.re)) {
    const T size = z.re > 0 ? z.re : T(0);
    return {::copysign(size, c), ::copysign(size, s)};
  }
  return {times_exp(c, z.re), times_exp(s, z.re)};
}

template <class T> TIDU_HD inline complex<T> expm1(complex<T> z) {
  using namespace detail;
  if (z.im == 0) return {::expm1(z.re) + T(0), z.im};  // + 0: of -0 + 0i it is 0 + 0i
  if (!is_finite(z.re) || z.re > kFarOut<T> * 2) {
    const complex<T> e = exp(z);
    return {e.re - 1, e.im};
  }
  const auto [c, s] = cis(z.im);
  const T versine = c > 0 ? s * s / (1 + c) : 1 - c;  // 1 - cos
  return {::expm1(z.re) * c - versine, ::exp(z.re) * s};
}

namespace detail {

// log |x + i y|
template <class T> TIDU_HD inline T log_abs(T x, T y) {
  const T a = ::fmax(::fabs(x), ::fabs(y)), b = ::fmin(::fabs(x), ::fabs(y));
  if (is_nan(x) || is_nan(y) || !(a * a >= T(0.5) && a * a <= T(2) && b * b <= T(1)))
    return ::log(::hypot(x, y));
  return ::log1p(sum_of_squares(a, b, T(-1))) / 2;
}

}  // namespace detail

template <class T> TIDU_HD inline complex<T> log(complex<T> z) {
  return {detail::log_abs(z.re, z.im), ::atan2(z.im, z.re)};
}
template <class T> TIDU_HD inline complex<T> log2(complex<T> z) {
  return detail::scaled(log(z), T(1.44269504088896340736));
}
template <class T> TIDU_HD inline complex<T> log10(complex<T> z) {
  return detail::scaled(log(z), T(0.43429448190325182765));
}

template <class T> TIDU_HD inline complex<T> log1p(complex<T> z) {
  const T angle = ::atan2(z.im, 1 + z.re);
  if (::fabs(z.re) < T(0.5) && ::fabs(z.im) < T(0.5))
    return {::log1p(detail::sum_of_squares(z.im, z.re, 2 * z.re)) / 2, angle};
  return {detail::log_abs(1 + z.re, z.im), angle};
}

template <class T> TIDU_HD inline complex<T> pow(complex<T> a, complex<T> b) {
  if (b.im == 0 && ::fabs(b.re) <= 64 && ::rint(b.re) == b.re) {
    complex<T> result{1, 0}, factor = a;
    for (int n = static_cast<int>(::fabs(b.re)); n > 0; n /= 2) {
      if (n % 2 != 0) result = multiply(result, factor);
      if (n > 1) factor = multiply(factor, factor);
    }
    return b.re < 0 ? reciprocal(result) : result;
  }
  if (a.re == 0 && a.im == 0) {
    if (b.re > 0) return {0, 0};
    return {kNan<T>, kNan<T>};
  }
  return exp(multiply(b, log(a)));
}

// Hyperbolic and trigonometric

template <class T> TIDU_HD inline complex<T> sinh(complex<T> z) {
  using namespace detail;
  const T x = z.re, y = z.im;
  if (y == 0) return {::sinh(x), y};
  if (!is_finite(y)) {
    if (x == 0 || is_infinite(x)) return {x, kNan<T>};
    return {kNan<T>, kNan<T>};
  }
  const auto [c, s] = cis(y);
  if (x == 0) return {x * c, s};
  if (is_infinite(x)) return {x * c, ::fabs(x) * s};
  if (::fabs(x) > kFarOut<T>)
    return {times_exp(::copysign(c, x * c) / 2, ::fabs(x)), times_exp(s / 2, ::fabs(x))};
  const auto [even, odd] = cosh_and_sinh(x);
  return {odd * c, even * s};
}

template <class T> TIDU_HD inline complex<T> cosh(complex<T> z) {
  using namespace detail;
  const T x = z.re, y = z.im;
  if (y == 0) return {::cosh(x), is_nan(x) ? y : ::copysign(T(1), x) * y};
  if (!is_finite(y)) {
    if (x == 0) return {kNan<T>, x};
    if (is_infinite(x)) return {::fabs(x), kNan<T>};
    return {kNan<T>, kNan<T>};
  }
  const auto [c, s] = cis(y);
  if (x == 0) return {c, x * s};
  if (is_infinite(x)) return {::fabs(x) * c, x * s};
  if (::fabs(x) > kFarOut<T>)
    return {times_exp(c / 2, ::fabs(x)), times_exp(::copysign(s, x * s) / 2, ::fabs(x))};
  const auto [even, odd] = cosh_and_sinh(x);
  return {even * c, odd * s};
}

template <class T> TIDU_HD inline complex<T> tanh(complex<T> z) {
  using namespace detail;
  const T x = z.re, y = z.im;
  if (y == 0) return {::tanh(x), y};
  if (is_infinite(x)) return {::copysign(T(1), x), is_finite(y) ? ::copysign(T(0), ::sin(2 * y)) : T(0)};
  if (x == 0) return {x, is_finite(y) ? ::tan(y) : kNan<T>};
  if (::fabs(x) > kFarOut<T>) {
    const T decay = ::exp(-::fabs(x));
    return {is_finite(y) ? ::copysign(T(1), x) : kNan<T>, 4 * ::sin(y) * ::cos(y) * decay * decay};
  }
  const T t = ::tan(y), beta = 1 + t * t, s = ::sinh(x), rho = ::sqrt(1 + s * s), divisor = 1 + beta * s * s;
  if (is_infinite(beta)) return {rho / s, 1 / t};
  return {beta * rho * s / divisor, t / divisor};
}

namespace detail {

template <class T> TIDU_HD inline complex<T> times_i(complex<T> z) { return {-z.im, z.re}; }
template <class T> TIDU_HD inline complex<T> over_i(complex<T> z) { return {z.im, -z.re}; }

}  // namespace detail

template <class T> TIDU_HD inline complex<T> sin(complex<T> z) {
  return detail::over_i(sinh(detail::times_i(z)));
}
template <class T> TIDU_HD inline complex<T> cos(complex<T> z) { return cosh(detail::times_i(z)); }
template <class T> TIDU_HD inline complex<T> tan(complex<T> z) {
  return detail::over_i(tanh(detail::times_i(z)));
}

// Their inverses

template <class T> TIDU_HD inline complex<T> asinh(complex<T> z) {
  using namespace detail;
  const T x = z.re, y = z.im;
  if (is_infinite(x)) {
    const T angle = is_infinite(y) ? kPi<T> / 4 : T(0);
    return {x, is_nan(y) ? y : ::copysign(angle, y)};
  }
  if (is_infinite(y)) return {::copysign(kInfinity<T>, x), is_nan(x) ? x : ::copysign(kPi<T> / 2, y)};
  if (is_nan(x)) return {x, y == 0 ? y : kNan<T>};
  const complex<T> a = sqrt(complex<T>{1 - y, x}), b = sqrt(complex<T>{1 + y, -x});
  return {::asinh(a.im * b.re - a.re * b.im), ::atan2(y, a.re * b.re - a.im * b.im)};
}

template <class T> TIDU_HD inline complex<T> acos(complex<T> z) {
  using namespace detail;
  const T x = z.re, y = z.im;
  if (isinf(z)) return {::atan2(::fabs(y), x), -::copysign(kInfinity<T>, y)};
  if (isnan(z)) return {x == 0 ? kPi<T> / 2 : kNan<T>, kNan<T>};
  const complex<T> a = sqrt(complex<T>{1 - x, -y}), b = sqrt(complex<T>{1 + x, y});
  return {2 * ::atan2(a.re, b.re), ::asinh(b.re * a.im - b.im * a.re)};
}

template <class T> TIDU_HD inline complex<T> acosh(complex<T> z) {
  using namespace detail;
  const T x = z.re, y = z.im;
  if (isinf(z)) return {kInfinity<T>, ::copysign(::atan2(::fabs(y), x), y)};
  if (isnan(z)) return {kNan<T>, x == 0 ? kPi<T> / 2 : kNan<T>};
  const complex<T> a = sqrt(complex<T>{x - 1, y}), b = sqrt(complex<T>{x + 1, y});
  return {::asinh(a.re * b.re + a.im * b.im), 2 * ::atan2(a.im, b.re)};
}

template <class T> TIDU_HD inline complex<T> atanh(complex<T> z) {
  using namespace detail;
  const T x = ::fabs(z.re), y = z.im;
  if (isinf(z)) return {::copysign(T(0), z.re), is_nan(y) ? y : ::copysign(kPi<T> / 2, y)};
  if (is_nan(y)) return {x == 0 ? z.re : y, y};
  if (is_nan(x)) return {x, x};
  const T size = ::hypot(x, y);
  if (size > T(0x1p60)) return {::copysign(x / size / size, z.re), ::copysign(kPi<T> / 2, y)};
  const T near = ::hypot(1 - x, y), ratio = 4 * x / near / near;
  const T real = is_infinite(ratio) && near > 0 ? (::log(4 * x) - 2 * ::log(near)) / 4 : ::log1p(ratio) / 4;
  return {::copysign(real, z.re), ::atan2(2 * y, (1 - x) * (1 + x) - y * y) / 2};
}

template <class T> TIDU_HD inline complex<T> asin(complex<T> z) {
  return detail::over_i(asinh(detail::times_i(z)));
}
template <class T> TIDU_HD inline complex<T> atan(complex<T> z) {
  return detail::over_i(atanh(detail::times_i(z)));
}

}  // namespace tidu::scalar
