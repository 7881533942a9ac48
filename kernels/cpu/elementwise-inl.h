// Elementwise tile kernels, compiled once per instruction set: contiguous inputs and output, no strides, no
// threads.
//
// A tile function reads n elements of each input and writes n; the output may be one of the inputs. The body
// is a loop over the scalar function of the row, which the compiler vectorises, unless vector_form has an
// overload for the row.
#include <cstdint>

#include "kernels/cpu/elementwise.h"
#include "kernels/rows.h"

#if defined(TIDU_KERNELS_CPU_ELEMENTWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDU_KERNELS_CPU_ELEMENTWISE_INL_H_
#undef TIDU_KERNELS_CPU_ELEMENTWISE_INL_H_
#else
#define TIDU_KERNELS_CPU_ELEMENTWISE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <bit>

#include "kernels/cpu/libmvec-inl.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/tail-inl.h"
#include "kernels/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// clang-format off
template <class D, class V> HWY_INLINE V vector_form(Row<"exp">, D d, V x) { return math::exp(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"exp2">, D d, V x) { return math::exp2(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"expm1">, D d, V x) { return math::expm1(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"log">, D d, V x) { return math::log(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"log2">, D d, V x) { return math::log2(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"log1p">, D d, V x) { return math::log1p(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"sin">, D d, V x) { return math::sin(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"cos">, D d, V x) { return math::cos(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"tanh">, D d, V x) { return math::tanh(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"sigmoid">, D d, V x) { return math::sigmoid(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"log_sigmoid">, D d, V x) { return math::log_sigmoid(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"softplus">, D d, V x) { return math::softplus(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"silu">, D d, V x) { return math::silu(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"gelu_tanh">, D d, V x) { return math::gelu_tanh(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"mish">, D d, V x) { return math::mish(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"hardsigmoid">, D d, V x) { return math::hardsigmoid(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"hardswish">, D d, V x) { return math::hardswish(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"tanhshrink">, D d, V x) { return math::tanhshrink(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"slope_of_silu">, D d, V x) { return math::slope_of_silu(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"slope_of_gelu_tanh">, D d, V x) { return math::slope_of_gelu_tanh(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"slope_of_mish">, D d, V x) { return math::slope_of_mish(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"logistic_loss">, D d, V a, V b) { return math::logistic_loss(d, a, b); }
template <class D, class V> HWY_INLINE V vector_form(Row<"bernoulli_loss">, D d, V a, V b) { return math::bernoulli_loss(d, a, b); }
template <class D, class V> HWY_INLINE V vector_form(Row<"divergence_loss">, D d, V a, V b) { return math::divergence_loss(d, a, b); }
template <class D, class V> HWY_INLINE V vector_form(Row<"slope_of_logistic_loss">, D d, V a, V b) { return math::slope_of_logistic_loss(d, a, b); }
#if HWY_NATIVE_FMA
template <class D, class V> HWY_INLINE V vector_form(Row<"ndtr">, D d, V x) { return math::ndtr(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"erf">, D d, V x) { return math::erf(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"erfc">, D d, V x) { return math::erfc(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"gelu">, D d, V x) { return math::gelu(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"slope_of_gelu">, D d, V x) { return math::slope_of_gelu(d, x); }
#endif
template <class D, class V> requires(sizeof(hn::TFromD<D>) == 4)
HWY_INLINE V vector_form(Row<"log10">, D d, V x) { return math::log10(d, x); }
#if HWY_TARGET != HWY_SCALAR
template <class D, class V> requires(sizeof(hn::TFromD<D>) == 4)
HWY_INLINE V vector_form(Row<"pow">, D d, V a, V b) { return math::pow(d, a, b); }
#endif
// clang-format on
template <class D, class V, class T>
HWY_INLINE V vector_form(Row<"elu">, D d, V x, const elu_parameters<T>& p) {
  const V below = hn::Mul(hn::Set(d, p.alpha), math::expm1(d, x));
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, below);
}
template <class D, class V, class T>
HWY_INLINE V vector_form(Row<"celu">, D d, V x, const celu_parameters<T>& p) {
  const V alpha = hn::Set(d, p.alpha), below = hn::Mul(alpha, math::expm1(d, hn::Div(x, alpha)));
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, below);
}
template <class D, class V> HWY_INLINE V vector_form(Row<"selu">, D d, V x) {
  using T = hn::TFromD<D>;
  const V y = vector_form(Row<"elu">(), d, x, elu_parameters<T>{T(1.67326324235437728482)});
  return hn::Mul(hn::Set(d, T(1.05070098735548049342)), y);
}

// Forms of rows that at times call something, for loops over arrays: the lists of fused groups (steps.cpp)
// keep values in all registers. Here those that libmvec-inl.h has not.

template <class D, class V, class F> HWY_NOINLINE V one_by_one(D d, V a, V b, F f) {
  HWY_ALIGN hn::TFromD<D> x[hn::MaxLanes(d)], y[hn::MaxLanes(d)];
  hn::Store(a, d, x);
  hn::Store(b, d, y);
  for (size_t i = 0; i < hn::Lanes(d); ++i) x[i] = f(x[i], y[i]);
  return hn::Load(d, x);
}

#if HWY_NATIVE_FMA
// Whether fmod_by_quotient has the remainders of all lanes.
template <class D, class V> HWY_INLINE bool are_small(D d, V quotient, V b) {
  using T = hn::TFromD<D>;
  const auto small = hn::Lt(hn::Abs(quotient), hn::Set(d, T(int64_t{1} << (math::mantissa_bits<T> - 1))));
  return hn::AllTrue(d, hn::And(small, hn::Lt(hn::Abs(b), hn::Set(d, math::infinity<T>))));
}

// What is left of a after its whole multiples of b: exact, as no digits are lost in it. Where the quotient
// was rounded up to an integer, one multiple too many was taken.
template <class D, class V> HWY_INLINE V fmod_by_quotient(D d, V a, V b, V quotient) {
  const V rest = hn::NegMulAdd(hn::Trunc(quotient), b, a);
  const auto beyond = hn::Lt(hn::Xor(rest, hn::And(a, hn::SignBit(d))), hn::Zero(d));
  return hn::IfThenElse(beyond, hn::Add(rest, hn::CopySign(b, a)), rest);
}

// As the functions of scalar.h say.
template <class D, class V> HWY_INLINE V tile_form(Row<"remainder">, D d, V a, V b) {
  const V quotient = hn::Div(a, b);
  if (!are_small(d, quotient, b))
    return one_by_one(d, a, b, [](auto x, auto y) { return scalar::remainder(x, y); });
  const V rest = fmod_by_quotient(d, a, b, quotient), zero = hn::Zero(d);
  const V moved =
      hn::IfThenElse(hn::Lt(hn::Xor(rest, hn::And(b, hn::SignBit(d))), zero), hn::Add(rest, b), rest);
  return hn::IfThenElse(hn::Eq(rest, zero), hn::CopySign(zero, b), moved);
}

template <class D, class V> HWY_INLINE V tile_form(Row<"floor_divide">, D d, V a, V b) {
  using T = hn::TFromD<D>;
  const V ratio = hn::Div(a, b);
  if (!are_small(d, ratio, b))
    return one_by_one(d, a, b, [](auto x, auto y) { return scalar::floor_divide(x, y); });
  const V rest = fmod_by_quotient(d, a, b, ratio), zero = hn::Zero(d), one = hn::Set(d, T(1));
  const V whole = hn::Div(hn::Sub(a, rest), b);
  const auto below = hn::Lt(hn::Xor(rest, hn::And(b, hn::SignBit(d))), zero);
  const V quotient = hn::IfThenElse(below, hn::Sub(whole, one), whole), floor = hn::Floor(quotient);
  const V nearest =
      hn::IfThenElse(hn::Gt(hn::Sub(quotient, floor), hn::Set(d, T(0.5))), hn::Add(floor, one), floor);
  return hn::IfThenElse(hn::Eq(quotient, zero), hn::CopySign(zero, ratio), nearest);
}
#endif

#if HWY_NATIVE_FMA
template <class D, class V> HWY_INLINE V tile_form(Row<"erfinv">, D d, V x) { return math::erfinv(d, x); }
template <class D, class V> HWY_INLINE V tile_form(Row<"ndtri">, D d, V p) {
  using T = hn::TFromD<D>;
  const auto limit = hn::Set(d, math::ndtri_limit<T>);
  if (hn::AllTrue(d, hn::And(hn::Gt(p, limit), hn::Gt(hn::Sub(hn::Set(d, T(1)), p), limit))))
    return math::ndtri(d, p);
  const V q = math::ndtri(d, p);
  return one_by_one(d, p, q, [](T x, T y) {
    const bool is_inside = x > math::ndtri_limit<T> && T(1) - x > math::ndtri_limit<T>;
    return is_inside ? y : scalar::ndtri(x);
  });
}
template <class D, class V>
requires(sizeof(hn::TFromD<D>) == 4) HWY_INLINE V tile_form(Row<"cbrt">, D d, V x) {
  return math::cbrt(d, x);
}
template <class D, class V> HWY_INLINE V tile_form(Row<"tan">, D d, V x) { return math::tan(d, x); }
template <class D, class V> HWY_INLINE V tile_form(Row<"asin">, D d, V x) { return math::asin(d, x); }
template <class D, class V> HWY_INLINE V tile_form(Row<"acos">, D d, V x) { return math::acos(d, x); }
template <class D, class V> HWY_INLINE V tile_form(Row<"atan">, D d, V x) { return math::atan(d, x); }
template <class D, class V> HWY_INLINE V tile_form(Row<"atan2">, D d, V a, V b) {
  return math::atan2(d, a, b);
}
#endif

#if HWY_TARGET != HWY_SCALAR
// f<fine> of float64, of float32 in float64 to fewer digits.
template <class D, class V, class F> HWY_INLINE V in_float64(D d, V x, const F& f) {
  if constexpr (sizeof(hn::TFromD<D>) == 8) {
    return f(std::true_type(), d, x);
  } else {
    const hn::RepartitionToWide<D> wide;
    return math::in_float64(
        d, [&](auto v) { return f(std::false_type(), wide, v); }, x);
  }
}

template <class D, class V> HWY_INLINE V tile_form(Row<"lgamma">, D d, V x) {
  return in_float64(d, x, [](auto fine, auto wide, auto v) {
    if constexpr (fine) {
      return math::lgamma(wide, v);
    } else {
      return math::lgamma_for_float32(wide, v);
    }
  });
}
#endif
#if HWY_NATIVE_FMA
template <class D, class V> HWY_NOINLINE V digamma_form(D d, V x) {
  return in_float64(d, x, [](auto fine, auto wide, auto v) { return math::digamma<fine>(wide, v); });
}
template <class D, class V> HWY_INLINE V tile_form(Row<"digamma">, D d, V x) { return digamma_form(d, x); }
template <class D, class V, class T>
HWY_INLINE V tile_form(Row<"polygamma">, D d, V x, const polygamma_parameters<T>& p) {
  const int n = p.n >= T(0) && p.n <= T(math::kMostOrderOfPolygamma) ? static_cast<int>(p.n) : -1;
  if (n < 0 || T(n) != p.n) return one_by_one(d, x, x, [&](T v, T) { return scalar::polygamma(v, p.n); });
  if (n == 0) return digamma_form(d, x);
  return in_float64(d, x, [n](auto fine, auto wide, auto v) { return math::polygamma<fine>(wide, v, n); });
}
#endif

template <class D, class V, class T>
HWY_INLINE V tile_form(Row<"sinc">, D d, V x, const sinc_parameters<T>& p) {
  if (p.order == T(0)) return math::sinc(d, x);
  return one_by_one(d, x, x, [&](T v, T) { return scalar::sinc(v, p.order); });
}

// The orders that are computed by the series of special.h; others one by one.
template <class T> HWY_INLINE bool is_bessel_series(T order) {
  return std::fabs(order) <= T(12) && order == std::trunc(order);
}
template <class D, class V, class T>
HWY_INLINE V tile_form(Row<"bessel_i">, D d, V x, const bessel_i_parameters<T>& p) {
  if (is_bessel_series(p.order)) return math::bessel<false>(d, x, std::fabs(p.order));
  return one_by_one(d, x, x, [&](T v, T) { return scalar::bessel_i(v, p.order); });
}
template <class D, class V, class T>
HWY_INLINE V tile_form(Row<"bessel_ie">, D d, V x, const bessel_ie_parameters<T>& p) {
  if (is_bessel_series(p.order) && p.derivative == T(0)) return math::bessel<true>(d, x, std::fabs(p.order));
  return one_by_one(d, x, x, [&](T v, T) { return scalar::bessel_ie(v, p.order, p.derivative); });
}

template <class D, class V> HWY_INLINE V tile_form(Row<"logit">, D d, V x) { return math::logit(d, x); }
template <class D, class V> HWY_INLINE V tile_form(Row<"entr">, D d, V x) { return math::entr(d, x); }
template <class D, class V> HWY_INLINE V tile_form(Row<"xlogy">, D d, V a, V b) {
  return math::times_log(d, a, b, math::log(d, b));
}
template <class D, class V> HWY_INLINE V tile_form(Row<"xlog1py">, D d, V a, V b) {
  return math::times_log(d, a, b, math::log1p(d, b));
}

template <class D, class V> HWY_INLINE V tile_form(Row<"logaddexp">, D d, V a, V b) {
  const V larger = hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
  const V more = math::log1p_exp_of_minus_abs(d, hn::Sub(a, b));
  const V twice = hn::Add(a, hn::Set(d, hn::TFromD<D>(0.69314718055994530942)));
  // Of two NaN either may be what a sum has.
  const V sum = hn::IfThenElse(hn::IsNaN(larger), larger, hn::Add(larger, more));
  return hn::IfThenElse(hn::Eq(a, b), twice, sum);
}

template <class Tag, class T, class... X>
concept HasVectorForm = requires(hn::ScalableTag<T> d, X... x) {
  vector_form(Tag{}, d, x...);
};
template <class Tag, class T, class... X>
concept HasTileForm = requires(hn::ScalableTag<T> d, X... x) {
  tile_form(Tag{}, d, x...);
};
template <class Tag, class T, class... X>
concept HasArrayForm = std::is_floating_point_v<T> &&
    (HasVectorForm<Tag, T, X...> || HasTileForm<Tag, T, X...>);
template <class T> using VectorOf = hn::Vec<hn::ScalableTag<T>>;

template <class Tag, class T, class... X> HWY_INLINE VectorOf<T> form(hn::ScalableTag<T> d, X... x) {
  if constexpr (HasVectorForm<Tag, T, X...>) {
    return vector_form(Tag{}, d, x...);
  } else {
    return tile_form(Tag{}, d, x...);
  }
}

// Quotients and remainders of integers by one that is the same for all, as a number beside a tensor is.
template <class Tag, class T>
inline constexpr bool divides =
    std::is_integral_v<T> && !std::is_same_v<T, bool> &&
    (std::is_same_v<Tag, Row<"remainder">> || std::is_same_v<Tag, Row<"floor_divide">>);

// x / divisor of unsigned numbers: the upper half of a product with the inverse, which is at most one too
// small.
struct Divisor {
  using Product = unsigned __int128;
  uint64_t divisor, inverse;

  explicit Divisor(uint64_t d) : divisor(d), inverse(~uint64_t{0} / d) {}
  HWY_INLINE uint64_t quotient(uint64_t x) const {
    const auto q = static_cast<uint64_t>(static_cast<Product>(x) * inverse >> 64);
    return q + (x - q * divisor >= divisor ? 1 : 0);
  }
};

#if HWY_TARGET != HWY_SCALAR
// x / divisor of numbers of 8 and 16 bits, by which it is more than 1, in lanes of 16: the upper half of a
// product with the inverse, which has as many bits as there are, and for all 16 bits of x one more (T.
// Granlund, P. L. Montgomery, "Division by invariant integers using multiplication", 1994).
template <bool has_all_bits> struct SmallDivisor {
  uint16_t divisor, inverse;
  int shift;

  explicit SmallDivisor(uint16_t d) : divisor(d), shift(std::bit_width(d - 1u) - 1) {
    inverse = static_cast<uint16_t>((uint64_t{1} << (16 + shift + has_all_bits)) / d + 1);
  }
  template <class D, class V> HWY_INLINE V quotient(D d, V x) const {
    V q = hn::MulHigh(x, hn::Set(d, inverse));
    if (has_all_bits) q = hn::Add(q, hn::ShiftRight<1>(hn::Sub(x, q)));
    return hn::ShiftRightSame(q, shift);
  }
};

// y = quotients or remainders by b > 1 of as many of the numbers as fill vectors, which it returns; rounded
// as divide_by says.
template <bool is_remainder, class T> HWY_INLINE int64_t divide_vectors(const T* a, T b, T* y, int64_t n) {
  const hn::ScalableTag<T> d;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const auto low_byte = hn::Set(d16, 0xff), divisor = hn::Set(d16, static_cast<uint16_t>(b));
  // f of numbers of 16 bits, or of both bytes of each.
  const auto of_each = [&](auto x, const auto& f) {
    if constexpr (sizeof(T) == 2) return f(x);
    return hn::Or(hn::And(f(hn::And(x, low_byte)), low_byte), hn::ShiftLeft<8>(f(hn::ShiftRight<8>(x))));
  };
  const SmallDivisor<std::is_same_v<T, uint16_t>> by(static_cast<uint16_t>(b));
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::LoadU(d, a + i);
    auto flip = hn::Zero(d16);
    if constexpr (std::is_signed_v<T>) flip = hn::BitCast(d16, hn::BroadcastSignBit(v));
    const auto x = hn::Xor(hn::BitCast(d16, v), flip);
    const auto q = hn::Xor(of_each(x, [&](auto part) { return by.quotient(d16, part); }), flip);
    if constexpr (is_remainder) {
      const auto product = of_each(q, [&](auto part) { return hn::Mul(part, divisor); });
      hn::StoreU(hn::Sub(v, hn::BitCast(d, product)), d, y + i);
    } else {
      hn::StoreU(hn::BitCast(d, q), d, y + i);
    }
  }
  return i;
}
#endif

// y = quotients or remainders by b > 0, rounded towards minus infinity: ~(~a / b) where a is negative. Those
// of few bits, which nearly all numbers have, in double: half of one above a, the quotient by b is further
// from integers than what rounding the inverse changes.
template <class Tag, class T> HWY_NOINLINE void divide_by(const T* a, T b, T* y, int64_t n) {
  using W = scalar::Wrap<T>;
  constexpr bool is_remainder = std::is_same_v<Tag, Row<"remainder">>;
  const W divisor = static_cast<W>(b);
  const auto result = [&](W x, W quotient) {
    return static_cast<T>(is_remainder ? x - quotient * divisor : quotient);
  };
  if constexpr (sizeof(W) == 4) {
    const double inverse = 1 / static_cast<double>(b);
    int64_t begin = 0;
#if HWY_TARGET != HWY_SCALAR
    if constexpr (sizeof(T) < 4) {
      if (b > T(1)) begin = divide_vectors<is_remainder>(a, b, y, n);
    }
#endif
#pragma GCC ivdep
    for (int64_t i = begin; i < n; ++i) {
      const double quotient = __builtin_floor((static_cast<double>(a[i]) + 0.5) * inverse);
      y[i] =
          result(static_cast<W>(a[i]),
                 static_cast<W>(static_cast<std::conditional_t<scalar::is_signed<T>, int32_t, W>>(quotient)));
    }
  } else {
    constexpr int64_t kChunk = 256;
    constexpr W kFew = W{1} << 50;
    constexpr double kInteger = 0x1.8p52;  // added to this, an integer stands in the low bits
    const auto bits_of_integer = __builtin_bit_cast(W, kInteger);
    const auto flip = [](T x) { return x < T(0) ? ~W{0} : W{0}; };
    const Divisor by(divisor);
    const double inverse = 1 / static_cast<double>(b);
    for (int64_t begin = 0; begin < n; begin += kChunk) {
      const int64_t end = std::min(begin + kChunk, n);
      W all = divisor;
      for (int64_t i = begin; i < end; ++i) all |= static_cast<W>(a[i]) ^ flip(a[i]);
      if (all < kFew) {
#pragma GCC ivdep
        for (int64_t i = begin; i < end; ++i) {
          const W x = static_cast<W>(a[i]);
          const double number = __builtin_bit_cast(double, x + bits_of_integer) - kInteger;
          const double quotient = __builtin_floor((number + 0.5) * inverse);
          y[i] = result(x, __builtin_bit_cast(W, quotient + kInteger) - bits_of_integer);
        }
      } else {
        for (int64_t i = begin; i < end; ++i) {
          const W x = static_cast<W>(a[i]);
          y[i] = result(x, by.quotient(x ^ flip(a[i])) ^ flip(a[i]));
        }
      }
    }
  }
}

// Every element goes through the same instructions wherever it stands: the last are made a whole vector by
// one of them.
template <class T, class F, class... X>
HWY_INLINE void vector_loop(const F& f, int64_t n, T* y, const X*... x) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(d, hn::LoadU(d, x + i)...), d, y + i);
  if (i < n) store_tail(f(d, load_tail(d, x + i, n - i, x[i])...), d, y + i, n - i);
}

// What is read of an array: a bool as the byte 0 or 1 that it is, for loads of bool are not vectorised.
template <class T> using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
template <class T> HWY_INLINE T loaded(Stored<T> x) { return static_cast<T>(x); }

template <class Function, class T, class... P>
HWY_INLINE void unary_loop(const Stored<T>* x, void* output, int64_t n, const P&... parameters) {
  using Tag = typename Function::Tag;
  if constexpr (HasArrayForm<Tag, T, VectorOf<T>, P...>) {
    vector_loop([&](auto d, auto v) { return form<Tag, T>(d, v, parameters...); }, n, static_cast<T*>(output),
                x);
  } else {
    auto* y = static_cast<decltype(Function::apply(T{}, parameters...))*>(output);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = Function::apply(loaded<T>(x[i]), parameters...);
  }
}

// In double no square leaves the range.
HWY_INLINE void write_sizes(const complex<float>* x, float* y, int64_t n) {
  constexpr float infinity = math::infinity<float>;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const double re = x[i].re, im = x[i].im;
    const bool is_infinite = __builtin_fabsf(x[i].re) == infinity || __builtin_fabsf(x[i].im) == infinity;
    const auto size = static_cast<float>(__builtin_sqrt(re * re + im * im));
    y[i] = is_infinite ? infinity : size;
  }
}

template <class Function, class T> void unary_tile(const void* const* inputs, void* output, int64_t n) {
  if constexpr (std::is_same_v<typename Function::Tag, Row<"abs">> && std::is_same_v<T, complex<float>>) {
    write_sizes(static_cast<const T*>(inputs[0]), static_cast<float*>(output), n);
  } else {
    unary_loop<Function, T>(static_cast<const Stored<T>*>(inputs[0]), output, n);
  }
}

template <class Function, class T> void unary_with_tile(const void* const* inputs, void* output, int64_t n) {
  using Parameters = typename Function::template Parameters<T>;
  const auto parameters = parameters_from<Parameters>(static_cast<const double*>(inputs[1]));
  unary_loop<Function, T>(static_cast<const Stored<T>*>(inputs[0]), output, n, parameters);
}

// Whether a number beside a tensor is what a tile's operand holds again and again, where it has so many
// elements that this is worth a look.
constexpr int64_t kFewElements = 16;
template <class T> HWY_INLINE bool are_one(const T* x, int64_t n) {
  using Bits = hwy::MakeUnsigned<T>;
  constexpr int64_t kChunk = 256;
  const auto first = __builtin_bit_cast(Bits, x[0]);
  for (int64_t i = 0; i < n; i += kChunk) {
    Bits changes = 0;
    for (int64_t j = i; j < std::min(i + kChunk, n); ++j)
      changes = static_cast<Bits>(changes | (__builtin_bit_cast(Bits, x[j]) ^ first));
    if (changes != 0) return false;
  }
  return true;
}

#if HWY_TARGET != HWY_SCALAR
// y = a^b of an exponent that is_power_of_all; of the most frequent ones without a step for each of its bits.
template <class T> HWY_NOINLINE void power_of_all(const T* a, T b, T* y, int64_t n) {
  const auto with = [&](auto exponent) {
    vector_loop([=](auto d, auto v) { return math::power_of_all(d, v, double(exponent)); }, n, y, a);
  };
  switch (static_cast<int>(b)) {
    case 3: return with(std::integral_constant<int, 3>());
    case 4: return with(std::integral_constant<int, 4>());
    case -2: return with(std::integral_constant<int, -2>());
    default: return with(static_cast<double>(b));
  }
}
#endif

template <class Function, class T> void binary_tile(const void* const* inputs, void* output, int64_t n) {
  const auto *a = static_cast<const Stored<T>*>(inputs[0]), *b = static_cast<const Stored<T>*>(inputs[1]);
  using Out = decltype(Function::apply(T{}, T{}));
  Out* y = static_cast<Out*>(output);
  using Tag = typename Function::Tag;
  if constexpr (divides<Tag, T>) {
    if (n > kFewElements && b[0] > T(0) && are_one(b, n)) return divide_by<Tag>(a, b[0], y, n);
  }
#if HWY_TARGET != HWY_SCALAR
  if constexpr (std::is_same_v<Tag, Row<"pow">> && HasArrayForm<Tag, T, VectorOf<T>, VectorOf<T>>) {
    if (n > kFewElements && math::is_power_of_all(b[0]) && are_one(b, n)) return power_of_all(a, b[0], y, n);
  }
#endif
  if constexpr (HasArrayForm<Tag, T, VectorOf<T>, VectorOf<T>>) {
    vector_loop([](auto d, auto v, auto w) { return form<Tag, T>(d, v, w); }, n, y, a, b);
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = Function::apply(loaded<T>(a[i]), loaded<T>(b[i]));
  }
}

// The first input is the condition.
template <class Function, class T> void choice_tile(const void* const* inputs, void* output, int64_t n) {
  const auto* condition = static_cast<const Stored<bool>*>(inputs[0]);
  const auto *a = static_cast<const Stored<T>*>(inputs[1]), *b = static_cast<const Stored<T>*>(inputs[2]);
  T* y = static_cast<T*>(output);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i)
    y[i] = Function::apply(loaded<bool>(condition[i]), loaded<T>(a[i]), loaded<T>(b[i]));
}

}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
