// Every elementwise function once, for one element: read by g++, nvcc and NVRTC.
//
// The names are the rows of csrc/ops/elementwise.def. T is float, double, an integer type or bool, as the
// row's types say; float16 and bfloat16 are computed in float by the caller. No integer input is undefined
// behaviour: signed arithmetic wraps.
#pragma once

#ifndef __CUDACC_RTC__
#include <math.h>
#endif

#include "kernels/special.h"
#include "kernels/types.h"

namespace tidu::scalar {

template <class T> inline constexpr bool is_bool = false;
template <> inline constexpr bool is_bool<bool> = true;

template <class T> inline constexpr bool is_float = false;
template <> inline constexpr bool is_float<float> = true;
template <> inline constexpr bool is_float<double> = true;

template <class T> inline constexpr bool is_signed = static_cast<T>(-1) < static_cast<T>(0);

// The unsigned type in which integers of a width wrap. At least 32 bits, because narrower types promote to
// int.
template <int bytes> struct WrapType { using type = uint32_t; };
template <> struct WrapType<8> { using type = uint64_t; };
template <class T> using Wrap = typename WrapType<sizeof(T)>::type;

template <class T> inline constexpr int bit_width = is_bool<T> ? 1 : 8 * static_cast<int>(sizeof(T));

// Sign and rounding

template <class T> TIDU_HD inline T negative(T x) {
  if constexpr (is_float<T>) {
    return -x;
  } else {
    return static_cast<T>(Wrap<T>{0} - static_cast<Wrap<T>>(x));
  }
}

template <class T> TIDU_HD inline T abs(T x) {
  if constexpr (is_float<T>) {
    return ::fabs(x);
  } else if constexpr (is_signed<T>) {
    return x < 0 ? negative(x) : x;
  } else {
    return x;
  }
}

template <class T> TIDU_HD inline T sign(T x) {
  const T zero_or_nan = x == T(0) ? T(0) : x;
  if constexpr (is_signed<T>) {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : zero_or_nan;
  } else {
    return x > T(0) ? T(1) : T(0);
  }
}

template <class T> TIDU_HD inline T floor(T x) {
  if constexpr (is_float<T>) {
    return ::floor(x);
  } else {
    return x;
  }
}

template <class T> TIDU_HD inline T ceil(T x) {
  if constexpr (is_float<T>) {
    return ::ceil(x);
  } else {
    return x;
  }
}

template <class T> TIDU_HD inline T trunc(T x) {
  if constexpr (is_float<T>) {
    return ::trunc(x);
  } else {
    return x;
  }
}

template <class T> TIDU_HD inline T round(T x) {
  if constexpr (is_float<T>) {
    return ::rint(x);
  } else {
    return x;
  }
}

template <class T> TIDU_HD inline bool signbit(T x) {
  if constexpr (is_float<T>) {
    return ::copysign(T(1), x) < T(0);
  } else if constexpr (is_signed<T>) {
    return x < T(0);
  } else {
    return false;
  }
}

template <class T> TIDU_HD inline T copysign(T a, T b) { return ::copysign(a, b); }

// Arithmetic

template <class T> TIDU_HD inline T add(T a, T b) {
  if constexpr (is_bool<T>) {
    return a | b;
  } else if constexpr (is_float<T>) {
    return a + b;
  } else {
    return static_cast<T>(static_cast<Wrap<T>>(a) + static_cast<Wrap<T>>(b));
  }
}

template <class T> TIDU_HD inline T subtract(T a, T b) {
  if constexpr (is_float<T>) {
    return a - b;
  } else {
    return static_cast<T>(static_cast<Wrap<T>>(a) - static_cast<Wrap<T>>(b));
  }
}

template <class T> TIDU_HD inline T multiply(T a, T b) {
  if constexpr (is_bool<T>) {
    return a & b;
  } else if constexpr (is_float<T>) {
    return a * b;
  } else {
    return static_cast<T>(static_cast<Wrap<T>>(a) * static_cast<Wrap<T>>(b));
  }
}

template <class T> TIDU_HD inline T multiply_no_nan(T a, T b) {
  return a == T(0) || b == T(0) ? T(0) : a * b;
}

template <class T> TIDU_HD inline T divide(T a, T b) { return a / b; }

// The remainder of a float division with the sign of b; exact, as fmod is.
template <class T> TIDU_HD inline T remainder(T a, T b) {
  if constexpr (is_float<T>) {
    const T r = ::fmod(a, b);
    if (r == T(0)) return ::copysign(T(0), b);
    return (r < T(0)) != (b < T(0)) ? r + b : r;
  } else {
    if (b == T(0)) return T(0);
    if constexpr (is_signed<T>) {
      if (b == T(-1)) return T(0);
      const T r = static_cast<T>(a % b);
      return r != T(0) && (r < T(0)) != (b < T(0)) ? static_cast<T>(r + b) : r;
    } else {
      return static_cast<T>(a % b);
    }
  }
}

// Floats: through the exact remainder, so that a = floor_divide(a, b) * b + remainder(a, b) as in Python; the
// plain floor(a / b) can be one too large when a / b rounds up to an integer. Where one is infinite, and
// where b is 0, the quotient is exact and the array API standard's.
template <class T> TIDU_HD inline T floor_divide(T a, T b) {
  if constexpr (is_float<T>) {
    if (b == T(0) || a - a != T(0) || b - b != T(0)) return ::floor(a / b);
    const T r = ::fmod(a, b);
    T quotient = (a - r) / b;
    if (r != T(0) && (r < T(0)) != (b < T(0))) quotient -= T(1);
    if (quotient == T(0)) return ::copysign(T(0), a / b);
    const T below = ::floor(quotient);
    return quotient - below > T(0.5) ? below + T(1) : below;
  } else {
    if (b == T(0)) return T(0);
    if constexpr (is_signed<T>) {
      if (b == T(-1)) return negative(a);
      const T quotient = static_cast<T>(a / b);
      return a % b != T(0) && (a < T(0)) != (b < T(0)) ? static_cast<T>(quotient - 1) : quotient;
    } else {
      return static_cast<T>(a / b);
    }
  }
}

// Without a sign, but for the smallest signed integer.
template <class T> TIDU_HD inline T gcd(T a, T b) {
  if constexpr (is_bool<T>) {
    return a | b;
  } else {
    Wrap<T> x = static_cast<Wrap<T>>(abs(a)), y = static_cast<Wrap<T>>(abs(b));
    if constexpr (sizeof(T) < sizeof(x)) {
      constexpr Wrap<T> mask = (Wrap<T>{1} << (8 * sizeof(T))) - 1;
      x &= mask, y &= mask;
    }
    while (y != 0) {
      const Wrap<T> rest = x % y;
      x = y;
      y = rest;
    }
    return static_cast<T>(x);
  }
}

template <class T> TIDU_HD inline T maximum(T a, T b) { return a > b || a != a ? a : b; }

template <class T> TIDU_HD inline T minimum(T a, T b) { return a < b || a != a ? a : b; }

// Powers, exponentials, logarithms

template <class T> TIDU_HD inline T square(T x) { return multiply(x, x); }

template <class T> TIDU_HD inline T reciprocal(T x) { return T(1) / x; }

template <class T> TIDU_HD inline T sqrt(T x) { return ::sqrt(x); }

template <class T> TIDU_HD inline T cbrt(T x) { return ::cbrt(x); }

template <class T> TIDU_HD inline T rsqrt(T x) { return T(1) / ::sqrt(x); }

template <class T> TIDU_HD inline T exp(T x) { return ::exp(x); }

template <class T> TIDU_HD inline T exp2(T x) { return ::exp2(x); }

template <class T> TIDU_HD inline T expm1(T x) { return ::expm1(x); }

template <class T> TIDU_HD inline T log(T x) { return ::log(x); }

template <class T> TIDU_HD inline T log2(T x) { return ::log2(x); }

template <class T> TIDU_HD inline T log10(T x) { return ::log10(x); }

template <class T> TIDU_HD inline T log1p(T x) { return ::log1p(x); }

// Integers: a negative exponent gives the integer part of the power, so 0 unless the base is 1 or -1.
template <class T> TIDU_HD inline T pow(T a, T b) {
  if constexpr (is_float<T>) {
    return ::pow(a, b);
  } else {
    if constexpr (is_signed<T>) {
      if (b < T(0)) {
        if (a == T(1)) return T(1);
        if (a == T(-1)) return b % 2 == 0 ? T(1) : T(-1);
        return T(0);
      }
    }
    Wrap<T> result = 1, base = static_cast<Wrap<T>>(a);
    for (Wrap<T> n = static_cast<Wrap<T>>(b); n != 0; n >>= 1) {
      if (n & 1) result *= base;
      base *= base;
    }
    return static_cast<T>(result);
  }
}

template <class T> TIDU_HD inline T hypot(T a, T b) { return ::hypot(a, b); }

// Equal inputs apart: inf - inf would be NaN.
template <class T> TIDU_HD inline T logaddexp(T a, T b) {
  if (a == b) return a + T(0.69314718055994530942);
  return maximum(a, b) + ::log1p(::exp(-::fabs(a - b)));
}

// Trigonometric and hyperbolic

template <class T> TIDU_HD inline T sin(T x) { return ::sin(x); }

template <class T> TIDU_HD inline T cos(T x) { return ::cos(x); }

template <class T> TIDU_HD inline T tan(T x) { return ::tan(x); }

template <class T> TIDU_HD inline T asin(T x) { return ::asin(x); }

template <class T> TIDU_HD inline T acos(T x) { return ::acos(x); }

template <class T> TIDU_HD inline T atan(T x) { return ::atan(x); }

template <class T> TIDU_HD inline T atan2(T a, T b) { return ::atan2(a, b); }

template <class T> TIDU_HD inline T sinh(T x) { return ::sinh(x); }

template <class T> TIDU_HD inline T cosh(T x) { return ::cosh(x); }

template <class T> TIDU_HD inline T tanh(T x) { return ::tanh(x); }

template <class T> TIDU_HD inline T asinh(T x) { return ::asinh(x); }

template <class T> TIDU_HD inline T acosh(T x) { return ::acosh(x); }

template <class T> TIDU_HD inline T atanh(T x) { return ::atanh(x); }

// Activations and special functions. exp is only ever taken of -|x|, which cannot overflow.

template <class T> TIDU_HD inline T sigmoid(T x) {
  const T e = ::exp(-::fabs(x));
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

template <class T> TIDU_HD inline T log_sigmoid(T x) {
  return (x < T(0) ? x : T(0)) - ::log1p(::exp(-::fabs(x)));
}

template <class T> TIDU_HD inline T softplus(T x) {
  return (x > T(0) ? x : T(0)) + ::log1p(::exp(-::fabs(x)));
}

template <class T> TIDU_HD inline T relu(T x) { return x <= T(0) ? T(0) : x; }

template <class T> TIDU_HD inline T leaky_relu(T x, T negative_slope) {
  return x > T(0) ? x : negative_slope * x;
}

template <class T> TIDU_HD inline T slope_of_leaky_relu(T x, T negative_slope) {
  return x > T(0) ? T(1) : negative_slope;
}

template <class T> TIDU_HD inline T elu(T x, T alpha) { return x > T(0) ? x : alpha * ::expm1(x); }

template <class T> TIDU_HD inline T selu(T x) {
  return T(1.05070098735548049342) * elu(x, T(1.67326324235437728482));
}

template <class T> TIDU_HD inline T celu(T x, T alpha) { return x > T(0) ? x : alpha * ::expm1(x / alpha); }

template <class T> TIDU_HD inline T hardtanh(T x, T min_val, T max_val) {
  return x <= min_val ? min_val : x >= max_val ? max_val : x;
}

template <class T> TIDU_HD inline T slope_of_hardtanh(T x, T min_val, T max_val) {
  return x > min_val && x < max_val ? T(1) : T(0);
}

template <class T> TIDU_HD inline T hardsigmoid(T x) { return hardtanh(x + T(3), T(0), T(6)) / T(6); }

template <class T> TIDU_HD inline T hardswish(T x) { return multiply_no_nan(x, hardsigmoid(x)); }

template <class T> TIDU_HD inline T slope_of_hardswish(T x) {
  return x <= T(-3) ? T(0) : x >= T(3) ? T(1) : (x + T(1.5)) / T(3);
}

// Large ones by what is missing to 1.
template <class T> TIDU_HD inline T softsign(T x) {
  const T size = ::fabs(x), rest = T(1) / (T(1) + size);
  return size < T(1) ? x * rest : ::copysign(T(1) - rest, x);
}

template <class T> TIDU_HD inline T softshrink(T x, T lambd) {
  return x > lambd ? x - lambd : x < -lambd ? x + lambd : x * T(0);
}

template <class T> TIDU_HD inline T hardshrink(T x, T lambd) { return ::fabs(x) <= lambd ? T(0) : x; }

template <class T> TIDU_HD inline T threshold(T x, T least, T value) { return x <= least ? value : x; }

// Of |x| below 1 by its continued fraction, x q / (1 + q) with q = x^2 / (3 + x^2 / (5 + ..)): nine terms as
// one quotient.
#define TIDU_TANHSHRINK_ABOVE 1, 1430, 289575, 16081065, 218243025
#define TIDU_TANHSHRINK_BELOW 1, 1485, 315315, 18918900, 310134825, 654729075
template <class T> TIDU_HD inline T tanhshrink(T x) {
  if (!(::fabs(x) < T(1))) return x - ::tanh(x);
  const T z = x * x;
  return x * (z * polynomial(z, TIDU_TANHSHRINK_ABOVE) / polynomial(z, TIDU_TANHSHRINK_BELOW));
}

// The limit at -inf is 0, where the plain product would be -inf * 0.
template <class T> TIDU_HD inline T silu(T x) { return multiply_no_nan(x, sigmoid(x)); }

// (1 + tanh(u)) / 2 = sigmoid(2 u) keeps its relative accuracy in the left tail.
template <class T> TIDU_HD inline T gelu_tanh(T x) {
  return multiply_no_nan(x, sigmoid(x * (T(1.59576912160573071176) + T(0.07135481627260025) * x * x)));
}

// tanh(log(1 + exp(x))) = above / (above + rest), e (e + 2) / (e (e + 2) + 2) of e = exp(x) below 0 and of
// 1 / e above. Gives exp(-|x|).
template <class T> TIDU_HD inline T mish_gate(T x, T* above, T* rest) {
  const T e = ::exp(-::fabs(x));
  *above = x < T(0) ? e * (e + T(2)) : T(1) + T(2) * e;
  *rest = x < T(0) ? T(2) : T(2) * e * e;
  return e;
}

template <class T> TIDU_HD inline T mish(T x) {
  T above, rest;
  mish_gate(x, &above, &rest);
  return multiply_no_nan(x, above / (above + rest));
}

template <class T> TIDU_HD inline T erf(T x) { return ::erf(x); }

template <class T> TIDU_HD inline T erfc(T x) { return ::erfc(x); }

// Phi(x) = erfc(-x / sqrt(2)) / 2 keeps its relative accuracy in the left tail.
template <class T> TIDU_HD inline T gelu(T x) {
  return multiply_no_nan(x, T(0.5) * ::erfc(x * T(-0.70710678118654752440)));
}

// Slopes of f(x) = x p(x) with p(x) + p(-x) = 1, for which f'(x) + f'(-x) = 1: by that at -|x|, which has one
// exponential and keeps its digits in the left tail. Numbers are held where it is 0, also infinite ones.

template <class T> TIDU_HD inline T held_size(T x, T far) {
  const T size = ::fabs(x);
  return size > far ? far : size;
}

template <class T> TIDU_HD inline T by_slope_below(T x, T slope) { return x < T(0) ? slope : T(1) - slope; }

template <class T> TIDU_HD inline T slope_of_silu(T x) {
  const T a = held_size(x, T(800)), e = ::exp(-a), r = T(1) / (T(1) + e);
  return by_slope_below(x, e * r * (T(1) - a * r));
}

template <class T> TIDU_HD inline T slope_of_gelu_tanh(T x) {
  const T a = held_size(x, T(30)), square = a * a;
  const T e = ::exp(-a * (T(1.59576912160573071176) + T(0.07135481627260025) * square));
  const T r = T(1) / (T(1) + e), step = a * (T(1.59576912160573071176) + T(0.21406444881780075) * square);
  return by_slope_below(x, e * r * (T(1) - step * r));
}

template <class T> TIDU_HD inline T slope_of_gelu(T x) {
  const T a = held_size(x, T(39)), square = a * a, power = ::exp(T(-0.5) * square);
  const T e = power - T(0.5) * ::fma(a, a, -square) * power;
  const T half = T(0.5) * erfcx_of_nonnegative(a * T(0.70710678118654752440));
  return by_slope_below(x, e * (half - a * T(0.39894228040143267794)));
}

// tanh(w) + x w' (1 - tanh(w)^2) of w = log(1 + exp(x)), whose derivative is sigmoid(x).
template <class T> TIDU_HD inline T slope_of_mish(T x) {
  const T c = hardtanh(x, T(-800), T(800));
  T above, rest;
  const T e = mish_gate(c, &above, &rest), total = above + rest;
  const T s = (c < T(0) ? e : T(1)) / (T(1) + e);
  return above / total + c * s * (rest * (rest + T(2) * above) / (total * total));
}

// Losses. Of a residual: r^2 / 2 near 0, divided.
template <class T> TIDU_HD inline T huber(T x, T delta, T divisor) {
  const T held = hardtanh(x, -delta, delta);
  return held / divisor * (held == x ? T(0.5) * x : x - T(0.5) * held);  // inf less inf is none
}

// -log of the probability sigmoid(a) weighted by b, and of the rest by the rest.
template <class T> TIDU_HD inline T logistic_loss(T a, T b) {
  const T more = ::log1p(::exp(-::fabs(a)));
  return multiply_no_nan((a < T(0) ? -a : T(0)) + more, b) +
         multiply_no_nan((a > T(0) ? a : T(0)) + more, T(1) - b);
}

template <class T> TIDU_HD inline T slope_of_logistic_loss(T a, T b) {
  const T e = ::exp(-::fabs(a)), r = T(1) / (T(1) + e);
  return multiply_no_nan((a < T(0) ? e : T(1)) * r, T(1) - b) - multiply_no_nan((a < T(0) ? T(1) : e) * r, b);
}

// -b log(a) - (1 - b) log(1 - a); logarithms below -100 are -100, and their slope is 0.
template <class T> TIDU_HD inline T bernoulli_loss(T a, T b) {
  const T log_a = ::log(a), log_rest = ::log1p(-a);
  return (b - T(1)) * (log_rest < T(-100) ? T(-100) : log_rest) - b * (log_a < T(-100) ? T(-100) : log_a);
}

template <class T> TIDU_HD inline T slope_of_bernoulli_loss(T a, T b) {
  return (a >= T(1) ? T(0) : (T(1) - b) / (T(1) - a)) - (a < T(3.7200759760208361e-44) ? T(0) : b / a);
}

// b (log(b) - a). A b of 0 hides an infinite a, not one that is no number.
template <class T> TIDU_HD inline T divergence_loss(T a, T b) {
  return xlogy(b, b) - (a != a ? a : multiply_no_nan(b, a));
}

// Predicates and bits

template <class T> TIDU_HD inline bool isnan(T x) {
  if constexpr (is_float<T>) {
    return x != x;
  } else {
    return false;
  }
}

template <class T> TIDU_HD inline bool isfinite(T x) {
  if constexpr (is_float<T>) {
    return x - x == T(0);
  } else {
    return true;
  }
}

template <class T> TIDU_HD inline bool isinf(T x) {
  if constexpr (is_float<T>) {
    return ::fabs(x) == kInfinity<T>;
  } else {
    return false;
  }
}

TIDU_HD inline bool logical_not(bool x) { return !x; }

template <class T> TIDU_HD inline T bitwise_invert(T x) {
  if constexpr (is_bool<T>) {
    return !x;
  } else {
    return static_cast<T>(~x);
  }
}

// Comparisons, logic, bits

template <class T> TIDU_HD inline bool equal(T a, T b) { return a == b; }

template <class T> TIDU_HD inline bool not_equal(T a, T b) { return a != b; }

template <class T> TIDU_HD inline bool less(T a, T b) { return a < b; }

template <class T> TIDU_HD inline bool less_equal(T a, T b) { return a <= b; }

template <class T> TIDU_HD inline bool greater(T a, T b) { return a > b; }

template <class T> TIDU_HD inline bool greater_equal(T a, T b) { return a >= b; }

TIDU_HD inline bool logical_and(bool a, bool b) { return a & b; }
TIDU_HD inline bool logical_or(bool a, bool b) { return a | b; }
TIDU_HD inline bool logical_xor(bool a, bool b) { return a ^ b; }

template <class T> TIDU_HD inline T bitwise_and(T a, T b) { return static_cast<T>(a & b); }

template <class T> TIDU_HD inline T bitwise_or(T a, T b) { return static_cast<T>(a | b); }

template <class T> TIDU_HD inline T bitwise_xor(T a, T b) { return static_cast<T>(a ^ b); }

// A negative shift counts as one beyond the width.
template <class T> TIDU_HD inline T bitwise_left_shift(T a, T b) {
  const Wrap<T> shift = static_cast<Wrap<T>>(b);
  return shift >= Wrap<T>(bit_width<T>) ? T(0) : static_cast<T>(static_cast<Wrap<T>>(a) << shift);
}

template <class T> TIDU_HD inline T bitwise_right_shift(T a, T b) {
  const Wrap<T> shift = static_cast<Wrap<T>>(b);
  if (shift >= Wrap<T>(bit_width<T>)) return is_signed<T> && a < T(0) ? static_cast<T>(-1) : T(0);
  return static_cast<T>(a >> shift);
}

// Choice

template <class T> TIDU_HD inline T where(bool condition, T a, T b) { return condition ? a : b; }

}  // namespace tidu::scalar
