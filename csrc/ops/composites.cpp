// Compositions of rows.
#include "ops/composites.h"

#include <cmath>
#include <limits>

#include "core/bind.h"
#include "core/host_lock.h"
#include "kernels/level.h"
#include "ops/checked.h"
#include "ops/complex.h"
#include "ops/contract.h"
#include "ops/creation.h"
#include "ops/indexing.h"
#include "ops/linalg.h"
#include "ops/matmul.h"
#include "ops/parts.h"
#include "ops/pointwise.h"
#include "ops/scan.h"
#include "ops/shape.h"
#include "ops/unseen.h"

namespace tidu {
namespace {

double largest_of(DType dtype) {
  return visit_dtype(dtype, []<class T>() {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<double>(std::numeric_limits<T>::max());
    } else {
      return dtype_of<T> == DType::float16    ? 65504.0
             : dtype_of<T> == DType::bfloat16 ? 0x1.FEp127
             : dtype_of<T> == DType::float32  ? static_cast<double>(std::numeric_limits<float>::max())
                                              : std::numeric_limits<double>::max();
    }
  });
}

// The axis moved last.
Tensor along(const Tensor& x, int64_t axis, const char* op) {
  return moveaxis(x, normalize_axis(axis, x.ndim(), op), -1);
}

// Two operands as tensors of one dtype, where they meet, and on one device.
struct Pair {
  Tensor a, b;

  Pair(const Operand& first, const Operand& second) : Pair(first, second, meeting_of(first, second)) {}
  Pair(const Operand& first, const Operand& second, DType dtype) {
    const Device device = first.tensor()    ? first.tensor()->device()
                          : second.tensor() ? second.tensor()->device()
                                            : Device{};
    const auto as_tensor = [&](const Operand& x) {
      return x.tensor() ? astype(*x.tensor(), dtype) : full({}, x.scalar(), dtype, device);
    };
    a = as_tensor(first);
    b = as_tensor(second);
  }

  static DType meeting_of(const Operand& first, const Operand& second) {
    const Operand both[] = {first, second};
    return result_type(both);
  }
};

DType floating_meeting(const Operand& a, const Operand& b) {
  const DType dtype = Pair::meeting_of(a, b);
  return is_floating(dtype) ? dtype : kDefaultFloat;
}

void check_numbers(const Tensor& x, const char* op) {
  if (x.dtype() == DType::bool_) fail<DTypeError>("[", op, "] is not defined for bool (convert with astype)");
}

}  // namespace

namespace {

// minimum(high, maximum(low, x)) of elements in a row and numbers that need no other dtype: where the first
// is written, the second follows while it is in a cache.
std::optional<Tensor> between_numbers(const Tensor& x, const std::optional<Operand>& low,
                                      const std::optional<Operand>& high) {
  const auto is_number = [&](const std::optional<Operand>& bound) {
    return bound && !bound->tensor() && !bound->later() &&
           bound->scalar().kind <= (is_floating(x.dtype()) ? Kind::floating : Kind::unsigned_integer);
  };
  if (!is_number(low) || !is_number(high) || is_narrow(x.dtype()) || x.numel() == 0 || !x.is_contiguous() ||
      !handful::can_be_elements(x, x.dtype(), x.shape()))
    return std::nullopt;
  const Tensor result = Tensor::empty(x.shape(), x.dtype());
  visit_dtype(x.dtype(), [&]<class T>() {
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      constexpr int64_t kTogether = 1024;
      T lows[kTogether], highs[kTogether];
      const auto number = [](const Scalar& bound) {
        if constexpr (std::is_floating_point_v<T>) return static_cast<T>(bound.to_double());
        return static_cast<T>(bound.kind == Kind::unsigned_integer ? bound.natural : bound.integer);
      };
      std::fill_n(lows, kTogether, number(low->scalar()));
      std::fill_n(highs, kTogether, number(high->scalar()));
      const T* const from = x.data<T>();
      T* const to = result.data<T>();
      const auto body = [&](int64_t begin, int64_t end) {
        for (; begin < end; begin += kTogether) {
          const int64_t size = std::min(kTogether, end - begin);
          const void *const of_x[] = {lows, from + begin}, *const of_result[] = {highs, to + begin};
          handful::tile<primitives::maximum, T>()(of_x, to + begin, size);
          handful::tile<primitives::minimum, T>()(of_result, to + begin, size);
        }
      };
      handful::over_elements(
          x.numel(),
          [](const void* context, int64_t begin, int64_t end) {
            (*static_cast<const decltype(body)*>(context))(begin, end);
          },
          &body);
    }
  });
  return result;
}

}  // namespace

Tensor clip(const Tensor& x, const std::optional<Operand>& low, const std::optional<Operand>& high) {
  const auto nan_or = [](const Operand& bound, const Tensor& beyond) {
    if (!bound.tensor()) return std::isnan(bound.scalar().to_double()) ? ones_like(beyond) : beyond;
    return is_floating(bound.tensor()->dtype()) ? logical_or(beyond, isnan(*bound.tensor())) : beyond;
  };
  for (const auto& bound : {low, high}) {
    if (bound && !bound->tensor() && bound->scalar().kind != Kind::floating)
      bound->scalar().check_fits(x.dtype(), "clip");
  }
  // The same elements in half the passes; at a bound, though, maximum and minimum share the gradient.
  const auto is_plain = [](const std::optional<Operand>& bound) {
    return !bound || !bound->tensor() || !is_seen(*bound->tensor());
  };
  if ((low || high) && x.dtype() != DType::bool_ && !is_complex(x.dtype()) && !is_seen(x) && is_plain(low) &&
      is_plain(high)) {
    if (const auto result = between_numbers(x, low, high)) return *result;
    const Tensor above = low ? maximum(*low, x) : x;
    return high ? minimum(*high, above) : above;
  }
  Tensor result = x;
  if (low) result = where(nan_or(*low, result < *low), *low, result);
  if (high) result = where(nan_or(*high, result > *high), *high, result);
  return result.is_same(x) ? copy(x) : result;
}

Tensor nan_to_num(const Tensor& x, double nan, std::optional<double> positive,
                  std::optional<double> negative) {
  if (is_complex(x.dtype())) return view_as_complex(nan_to_num(view_as_real(x), nan, positive, negative));
  if (!is_floating(x.dtype())) return copy(x);
  const double largest = largest_of(x.dtype());
  const double above = positive.value_or(largest), below = negative.value_or(-largest);
  // The same elements in half the steps; at the bounds, though, maximum and minimum share the gradient.
  if (!positive && !negative && !is_seen(x))
    return pointwise([&](const auto& y) { return where(isnan(y), nan, minimum(above, maximum(below, y))); },
                     x);
  return pointwise(
      [&](const auto& y) {
        return where(y == -INFINITY, below, where(y == INFINITY, above, where(isnan(y), nan, y)));
      },
      x);
}

Tensor isclose(const Operand& a, const Operand& b, double rtol, double atol, bool equal_nan) {
  if (!(rtol >= 0 && atol >= 0))
    fail<ValueError>("[isclose] tolerances are at least 0, not rtol ", rtol, " and atol ", atol);
  const DType meeting = Pair::meeting_of(a, b);
  const bool single = meeting == DType::float32 || is_narrow(meeting);
  const auto [x, y] = Pair(a, b, is_complex(meeting) ? meeting : single ? DType::float32 : DType::float64);
  const auto near = [&](const auto& v, const auto& w) {
    return logical_or(logical_and(abs(v - w) <= atol + rtol * abs(w), isfinite(w)), v == w);
  };
  const auto both_nan = [](const auto& v, const auto& w) { return logical_and(isnan(v), isnan(w)); };
  const Tensor close = pointwise(near, x, y);
  return equal_nan ? logical_or(close, pointwise(both_nan, x, y)) : close;
}

Tensor array_equal(const Tensor& a, const Tensor& b, bool equal_nan) {
  if (!(a.shape() == b.shape())) return full({}, false, DType::bool_, a.device());
  const bool has_nan = equal_nan && is_inexact(a.dtype()) && is_inexact(b.dtype());
  return all_of_pairs(a, b, [&](const Tensor& x, const Tensor& y) {
    const Tensor equal = x == y;
    return has_nan ? logical_or(equal, logical_and(isnan(x), isnan(y))) : equal;
  });
}

Tensor isposinf(const Tensor& x) {
  if (is_complex(x.dtype())) fail_complex("isposinf", x);
  return is_floating(x.dtype()) ? x == INFINITY : isinf(x);
}
Tensor isneginf(const Tensor& x) {
  if (is_complex(x.dtype())) fail_complex("isneginf", x);
  return is_floating(x.dtype()) ? x == -INFINITY : isinf(x);
}

namespace {

template <class Extreme> Tensor of_numbers(const Operand& a, const Operand& b, const Extreme& extreme) {
  const auto [x, y] = Pair(a, b);
  if (!is_floating(x.dtype())) return extreme(x, y);
  return pointwise(
      [&](const auto& v, const auto& w) { return where(isnan(v), w, where(isnan(w), v, extreme(v, w))); }, x,
      y);
}

}  // namespace

Tensor fmax(const Operand& a, const Operand& b) {
  return of_numbers(a, b, [](const auto& x, const auto& y) { return maximum(x, y); });
}
Tensor fmin(const Operand& a, const Operand& b) {
  return of_numbers(a, b, [](const auto& x, const auto& y) { return minimum(x, y); });
}

// Of floats by sizes, whose remainder is exact; of integers, whose sizes may not be there, by the remainder
// with the sign of b.
Tensor fmod(const Operand& a, const Operand& b) {
  const auto [x, y] = Pair(a, b);
  check_numbers(x, "fmod");
  if (is_floating(x.dtype())) {
    const auto with_sign = [](const auto& v, const auto& rest) { return where(v < 0, -rest, rest); };
    return pointwise([&](const auto& v, const auto& w) { return with_sign(v, remainder(abs(v), abs(w))); }, x,
                     y);
  }
  const Tensor rest = remainder(x, y);
  return where(logical_and(rest != 0, (rest < 0) != (x < 0)), rest - y, rest);
}

Tensor lcm(const Operand& a, const Operand& b) {
  const auto [x, y] = Pair(a, b);
  const Tensor divisor = gcd(x, y);
  return floor_divide(abs(x), divisor) * abs(y);
}

Tensor logaddexp2(const Operand& a, const Operand& b) {
  const DType dtype = floating_meeting(a, b);
  const auto [x, y] = Pair(a, b, dtype);
  const double log_2 = 0.69314718055994530942;
  const auto compute = [&](const auto& v, const auto& w) { return logaddexp(v * log_2, w * log_2) / log_2; };
  return astype(pointwise(compute, widened(x), widened(y)), dtype);
}

Tensor heaviside(const Operand& a, const Operand& b) {
  const auto [x, y] = Pair(a, b);
  check_numbers(x, "heaviside");
  const auto step = [](const auto& v, const auto& w) { return where(v == 0, w, astype(v > 0, v.dtype())); };
  if (!is_floating(x.dtype())) return step(x, y);
  return pointwise([&](const auto& v, const auto& w) { return where(isnan(v), v, step(v, w)); }, x, y);
}

Tensor float_power(const Operand& a, const Operand& b) {
  const Operand both[] = {a, b};
  const auto [x, y] = Pair(a, b, is_complex(result_type(both)) ? DType::complex128 : DType::float64);
  return pow(x, y);
}

// By powers of 2, which are exact: by one, or by three where that would leave the range; the first products
// are exact, since the result is not below the normal numbers then or nothing is left of it.
Tensor ldexp(const Operand& a, const Operand& b) {
  const bool integers = b.tensor() ? !is_floating(b.tensor()->dtype()) : b.scalar_kind() != Kind::floating;
  if (!integers) fail<DTypeError>("[ldexp] the exponents must be integers (convert them with astype)");
  const Operand without_kind(0);
  const DType dtype = a.tensor() ? floating_meeting(a, without_kind) : kDefaultFloat;
  const bool wide = dtype == DType::float64;
  const auto [given, exponents] = Pair(a, b, wide ? DType::float64 : DType::float32);
  const double most = wide ? 2200 : 330, few = wide ? 1000 : 120;
  // One power is enough where no exponent is large, for which many are looked at if nobody sees it.
  constexpr int64_t kMany = 1 << 10;
  if (exponents.numel() >= kMany && b.tensor() && is_looped(*b.tensor())) {
    if (item<bool>(logical_and(min(*b.tensor()) >= -few, max(*b.tensor()) <= few))) {
      const auto once = [](const auto& x, const auto& n) { return x * exp2(n); };
      return astype(pointwise(once, given, exponents), dtype);
    }
  }
  const auto scaled = [&](const auto& x, const auto& exponent) {
    const auto n = minimum(most, maximum(-most, exponent));
    const auto third = where(abs(n) <= few, 0, trunc(n / 3)), power = exp2(third);
    return x * power * power * exp2(n - 2 * third);
  };
  return astype(pointwise(scaled, given, exponents), dtype);
}

// A step of more than half a unit in the last place and at most one, which rounding takes to the neighbour.
// Numbers of 16 bits are in float32, and the least of others first made normal.
Tensor nextafter(const Operand& a, const Operand& b) {
  const DType dtype = floating_meeting(a, b);
  const auto [from, to] = Pair(a, b, dtype);
  const bool wide = dtype == DType::float64, narrow = is_narrow(dtype);
  const double scale = wide                      ? 0x1p60
                       : dtype == DType::float16 ? 1
                                                 : 0x1p40,
               small = wide ? 0x1p-900 : 0x1p-80;
  const double largest = largest_of(dtype);
  const auto [half_unit, least] = dtype == DType::float16    ? std::pair(0x1p-11, 0x1p-24)
                                  : dtype == DType::bfloat16 ? std::pair(0x1p-8, 0x1p-133)
                                  : dtype == DType::float32  ? std::pair(0x1p-24, 0x1p-149)
                                                             : std::pair(0x1p-53, 0x1p-1074);
  const double relative = half_unit * (1 + (narrow ? 0x1p-10 : 0x1p-20)), absolute = 0.75 * least * scale;
  const auto next = [&](const auto& x, const auto& y) {
    const auto unit = where(abs(x) < small, scale, number_like(x, 1)), scaled = x * unit;
    const auto step = maximum(abs(scaled) * relative, absolute);
    const auto direction = astype(y > x, x.dtype()) - astype(y < x, x.dtype());
    const auto moved = (scaled + stop_gradient(multiply_no_nan(direction, step))) / unit;
    const auto inward = where(logical_and(isinf(x), x != y), copysign(largest, x), moved);
    return where(logical_or(isnan(y), x == y), y, inward);  // of zeros the sign of b
  };
  return astype(pointwise(next, widened(from), widened(to)), dtype);
}

Tensor lerp(const Operand& start, const Operand& end, const Operand& weight) {
  const Operand all[] = {start, end, weight};
  const DType meeting = result_type(all), dtype = is_inexact(meeting) ? meeting : kDefaultFloat;
  const DType computed = is_narrow(dtype) ? DType::float32 : dtype;
  const auto [first, last] = Pair(start, end, computed);
  // By half of the distance, which may leave the range.
  const auto half_of = [](const auto& x, const auto& y) { return 0.5 * y - 0.5 * x; };
  if (!weight.tensor() && weight.scalar_kind() != Kind::complex && !weight.later()) {
    const double twice = 2 * weight.scalar().to_double();
    const auto between = [&](const auto& x, const auto& y) {
      return twice < 1 ? x + twice * half_of(x, y) : y - half_of(x, y) * (2 - twice);
    };
    return astype(pointwise(between, first, last), dtype);
  }
  const auto between = [&](const auto& x, const auto& y, const auto& share) {
    const auto half = half_of(x, y), twice = share + share;
    return where(real(share) < 0.5, x + twice * half, y - half * (2 - twice));
  };
  return astype(pointwise(between, first, last, Pair(weight, first, computed).a), dtype);
}

namespace {

// x + value * term(a, b)
template <class Term>
Tensor plus_scaled(const Tensor& x, const Tensor& a, const Tensor& b, double value, DType dtype,
                   const Term& term) {
  const auto sum = [&](const auto& u, const auto& v, const auto& w) { return u + value * term(v, w); };
  return astype(pointwise(sum, widened(x), widened(a), widened(b)), dtype);
}

}  // namespace

Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, double value) {
  const Operand all[] = {x, a, b};
  const DType dtype = result_type(all);
  if (is_inexact(promote(a.dtype(), b.dtype())))
    return plus_scaled(x, a, b, value, dtype, [](const auto& v, const auto& w) { return v * w; });
  if (value != std::trunc(value))
    fail<ValueError>("[addcmul] the value ", value, " does not fit ", dtype, " (convert x to a float)");
  return x + static_cast<int64_t>(value) * (a * b);
}

Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, double value) {
  const Operand all[] = {x, a, b};
  const DType meeting = result_type(all);
  return plus_scaled(x, a, b, value, is_inexact(meeting) ? meeting : kDefaultFloat,
                     [](const auto& v, const auto& w) { return v / w; });
}

Tensor frac(const Tensor& x) {
  check_numbers(x, "frac");
  return pointwise([](const auto& y) { return y - trunc(y); }, x);
}
Tensor deg2rad(const Tensor& x) {
  if (is_complex(x.dtype())) fail_complex("deg2rad", x);
  return rounded_once(x, [](const Tensor& y) { return y * 0.017453292519943295769; });
}
Tensor rad2deg(const Tensor& x) {
  if (is_complex(x.dtype())) fail_complex("rad2deg", x);
  return rounded_once(x, [](const Tensor& y) { return y * 57.295779513082320877; });
}
Tensor positive(const Tensor& x) {
  check_numbers(x, "positive");
  return copy(x);
}

Tensor logit_within(const Tensor& x, double eps) {
  return rounded_once(x, [&](const Tensor& p) { return logit(clip(p, eps, 1 - eps)); });
}

Tensor i0(const Tensor& x) { return bessel_i(x, {0}); }
Tensor i1(const Tensor& x) { return bessel_i(x, {1}); }
Tensor i0e(const Tensor& x) { return bessel_ie(x, {0, 0}); }
Tensor i1e(const Tensor& x) { return bessel_ie(x, {1, 0}); }

namespace {

Tensor instead_of_nan(const Tensor& x, double value) {
  return is_inexact(x.dtype()) ? where(isnan(x), value, x) : x;
}

Tensor total(const Tensor& x, const Axes& axes) { return sum(x, axes, true); }

// Of numbers, with NaN apart, in the dtype that they are computed in: sums, and how many there are.
Tensor nan_total(const Tensor& x, const Axes& axes) {
  const auto add = [&](std::span<const Tensor> part) {
    return total(instead_of_nan(widened(part[0]), 0), axes);
  };
  return by_parts({x}, axes, add, total);
}
Tensor nan_count(const Tensor& x, const Axes& axes) {
  const auto count = [&](std::span<const Tensor> part) { return total(logical_not(isnan(part[0])), axes); };
  const DType dtype = is_narrow(x.dtype()) ? DType::float32 : part_of(x.dtype());
  return astype(by_parts({x}, axes, count, total), dtype);
}

// The mean squared deviation of what is not NaN, of numbers times a power of two that keeps squares in range.
struct NanVariance {
  NanVariance(const Tensor& x, const Axes& axes, double correction) {
    const Tensor count = nan_count(x, axes), mean = nan_total(x, axes) / count;
    const auto near = [](std::span<const Tensor> part) {
      const Tensor y = widened(part[0]);
      return where(isnan(y), 0, y - part[1]);
    };
    // Without what rounding the mean left.
    const Tensor rest =
        by_parts(
            {x, mean}, axes, [&](std::span<const Tensor> part) { return total(near(part), axes); }, total) /
        count;
    const Tensor size = by_parts(
        {stop_gradient(x), stop_gradient(mean)}, axes,
        [&](std::span<const Tensor> part) { return max(abs(near(part)), axes, true); },
        [](const Tensor& sizes, const Axes& axis) { return max(sizes, axis, true); });
    scale = size.dtype() == DType::float64 ? level<double>(size) : level<float>(size);
    const auto squares = [&](std::span<const Tensor> part) {
      const Tensor deviations = (near(part) - part[2]) * part[3];
      return total(where(isnan(part[0]), 0, real(deviations * conj(deviations))), axes);
    };
    const Tensor divisor = count - correction;
    variance = where(divisor > 0, by_parts({x, mean, rest, scale}, axes, squares, total) / divisor, NAN);
  }
  template <class Real> static Tensor level(const Tensor& size) {
    const Tensor one = ones_like(size);
    return where(size < Level<Real>::kLeast, one * Level<Real>::kUp,
                 where(size <= Level<Real>::kLargest, one, one * Level<Real>::kDown));
  }
  Tensor variance, scale;
};

// What `reduce` makes of x and its axes, which it keeps, in the dtype that x or its parts have.
template <class Reduce>
Tensor nan_reduced(const char* op, const Tensor& x, const Over& over, bool keepdims, DType dtype,
                   const Reduce& reduce) {
  const Axes axes = over ? normalize_axes(*over, x.ndim(), op) : all_axes(x.ndim());
  const Tensor result = astype(reduce(x, axes), dtype);
  return keepdims ? result : squeeze(result, axes);
}

template <auto extreme>
Tensor extreme_number(const char* op, const Tensor& x, const Over& over, bool keepdims, double none) {
  if (!is_floating(x.dtype())) return extreme(x, over, keepdims);
  // Where no extreme is NaN, x has none. On device cuda this would be waited for.
  if (is_looped(x) && x.numel() > 0) {
    const Tensor result = extreme(x, over, keepdims);
    if (!item<bool>(any(isnan(result)))) return result;
  }
  const auto numbers = [&](const Tensor& part, const Axes& axes) {
    return where(all(isnan(part), axes, true), NAN, extreme(instead_of_nan(part, none), axes, true));
  };
  return nan_reduced(op, x, over, keepdims, x.dtype(), [&](const Tensor& y, const Axes& axes) {
    return by_exact_parts(
        y, axes, [&](const Tensor& part) { return numbers(part, axes); }, numbers);
  });
}

}  // namespace

Tensor nansum(const Tensor& x, const Over& axes, bool keepdims) {
  if (!is_inexact(x.dtype())) return sum(x, axes, keepdims);
  return nan_reduced("nansum", x, axes, keepdims, x.dtype(), nan_total);
}
Tensor nanprod(const Tensor& x, const Over& over, bool keepdims) {
  if (!is_inexact(x.dtype())) return prod(x, over, keepdims);
  return nan_reduced("nanprod", x, over, keepdims, x.dtype(), [](const Tensor& y, const Axes& axes) {
    const auto multiply = [&](std::span<const Tensor> part) {
      return prod(instead_of_nan(widened(part[0]), 1), axes, true);
    };
    return by_parts({y}, axes, multiply,
                    [](const Tensor& products, const Axes& axis) { return prod(products, axis, true); });
  });
}
Tensor nanmean(const Tensor& x, const Over& axes, bool keepdims) {
  if (!is_inexact(x.dtype())) return mean(x, axes, keepdims);
  return nan_reduced("nanmean", x, axes, keepdims, x.dtype(), [](const Tensor& y, const Axes& over) {
    return nan_total(y, over) / nan_count(y, over);
  });
}
Tensor nanvar(const Tensor& x, const Over& over, double correction, bool keepdims) {
  if (!is_inexact(x.dtype())) return var(x, over, correction, keepdims);
  return nan_reduced("nanvar", x, over, keepdims, part_of(x.dtype()), [&](const Tensor& y, const Axes& axes) {
    const NanVariance of(y, axes, correction);
    return of.variance / of.scale / of.scale;
  });
}
Tensor nanstd(const Tensor& x, const Over& over, double correction, bool keepdims) {
  if (!is_inexact(x.dtype())) return std(x, over, correction, keepdims);
  return nan_reduced("nanstd", x, over, keepdims, part_of(x.dtype()), [&](const Tensor& y, const Axes& axes) {
    const NanVariance of(y, axes, correction);
    return where(of.variance == 0, 0, sqrt(of.variance)) / of.scale;  // whose derivative is 0, as that of std
  });
}
Tensor nanmax(const Tensor& x, const Over& axes, bool keepdims) {
  constexpr Tensor (*extreme)(const Tensor&, const Over&, bool) = max;
  return extreme_number<extreme>("nanmax", x, axes, keepdims, -INFINITY);
}
Tensor nanmin(const Tensor& x, const Over& axes, bool keepdims) {
  constexpr Tensor (*extreme)(const Tensor&, const Over&, bool) = min;
  return extreme_number<extreme>("nanmin", x, axes, keepdims, INFINITY);
}

Tensor cumsum(const Tensor& x, std::optional<int64_t> axis) {
  return axis ? cumulative_sum(x, axis) : cumulative_sum(flatten(x), 0);
}
Tensor cumprod(const Tensor& x, std::optional<int64_t> axis) {
  return axis ? cumulative_prod(x, axis) : cumulative_prod(flatten(x), 0);
}

namespace {

// Where a running extreme changes, its place; the running maximum of places is that of the last change.
Tensor places_of_changes(const Tensor& extremes, std::optional<int64_t> axis, const char* op) {
  const int along = normalize_axis(axis.value_or(0), extremes.ndim(), op);
  const int64_t n = extremes.size(along);
  if (n == 0) return astype(extremes, DType::int64);
  const Tensor before = slice_axis(extremes, along, 0, n - 1), after = slice_axis(extremes, along, 1, {});
  Tensor changes = before != after;
  if (is_floating(extremes.dtype())) changes = logical_and(changes, logical_not(isnan(before)));
  Shape shape(extremes.ndim(), 1);
  shape[along] = n - 1;
  const Tensor places = where(changes, reshape(arange(1, n, 1, DType::int64, extremes.device()), shape), 0);
  const Tensor begin = zeros(slice_axis(extremes, along, 0, 1).shape(), DType::int64, extremes.device());
  return cummax(concat({begin, places}, along), along);
}

}  // namespace

Tensor cumargmax(const Tensor& x, std::optional<int64_t> axis) {
  return places_of_changes(cummax(stop_gradient(x), axis), axis, "cumargmax");
}
Tensor cumargmin(const Tensor& x, std::optional<int64_t> axis) {
  return places_of_changes(cummin(stop_gradient(x), axis), axis, "cumargmin");
}

namespace {

// Variables by observations.
Tensor variables_of(const Tensor& x, const char* op) {
  if (x.ndim() > 2)
    fail<ShapeError>("[", op, "] takes a vector or variables by observations, not ", describe(x));
  return x.ndim() == 2 ? x : reshape(x, {1, x.numel()});
}

// Rows without their means, and then without what rounding these left.
Tensor centred(const Tensor& rows) {
  const Tensor near = rows - mean(rows, Axes{1}, true);
  return near - mean(near, Axes{1}, true);
}

}  // namespace

Tensor cov(const Tensor& x, double correction, const Tensor& fweights, const Tensor& aweights) {
  const Tensor rows = variables_of(x, "cov");
  const int64_t count = rows.size(1);
  for (const Tensor& weights : {fweights, aweights}) {
    if (weights.defined() && weights.shape() != Shape{count})
      fail<ShapeError>("[cov] the weights ", describe(weights), " must be a vector of ", count,
                       ", one for each observation of ", describe(x));
  }
  if (fweights.defined() && is_floating(fweights.dtype()))
    fail<DTypeError>("[cov] fweights are counts, so integers, not ", describe(fweights));
  const auto not_negative = [](const Tensor& weights) {
    if (!weights.defined() || is_complex(weights.dtype())) return weights;
    return checked(
        weights, [](const Tensor& w) { return w < 0; }, "cov", "a weight is negative");
  };
  const Tensor frequencies = not_negative(fweights), importances = not_negative(aweights);
  const Tensor covariance = rounded_once(rows, [&](const Tensor& values) {
    const DType dtype = part_of(values.dtype());
    if (!frequencies.defined() && !importances.defined()) {
      const Tensor deviations = centred(values);
      return matmul(deviations, conj(matrix_transpose(deviations))) /
             (static_cast<double>(count) - correction);
    }
    Tensor weights = ones({count}, dtype, x.device());
    if (frequencies.defined()) weights = weights * astype(frequencies, dtype);
    if (importances.defined()) weights = weights * astype(importances, dtype);
    const Tensor total = sum(weights);
    const Tensor lost = importances.defined() ? sum(weights * astype(importances, dtype)) / total
                                              : ones({}, dtype, x.device());
    const auto weighted = [&](const Tensor& y) { return y - sum(y * weights, Axes{1}, true) / total; };
    const Tensor deviations = weighted(weighted(values));
    return matmul(deviations * weights, conj(matrix_transpose(deviations))) / (total - correction * lost);
  });
  return x.ndim() == 2 ? covariance : reshape(covariance, {});
}

// Of variables of norm 1, whose products stay in range.
Tensor corrcoef(const Tensor& x) {
  const Tensor result = rounded_once(variables_of(x, "corrcoef"), [](const Tensor& values) {
    const Tensor deviations = centred(values),
                 units = deviations / linalg::vector_norm(deviations, Axes{1}, true);
    const Tensor covariance = matmul(units, conj(matrix_transpose(units)));
    const Tensor sizes = sqrt(real(linalg::diagonal(covariance)));
    const Tensor scaled = covariance / expand_dims(sizes, 1) / sizes;
    return is_complex(scaled.dtype()) ? scaled : clip(scaled, -1, 1);
  });
  return x.ndim() == 2 ? result : reshape(result, {});
}

namespace {

Tensor distances(const Tensor& a, const Tensor& b, double p) {
  return linalg::vector_norm(expand_dims(a, -2) - expand_dims(b, -3), Axes{-1}, false, p);
}

// What `compute` makes of blocks of the rows, below each other; `each` is what a row has.
template <class Compute> Tensor by_rows(const Tensor& rows, int64_t each, const Compute& compute) {
  constexpr int64_t kBlock = 1 << 16;
  const int64_t step = std::max<int64_t>(1, kBlock / each);
  Tensors blocks;
  for (int64_t i = 0; i < rows.size(0); i += step) {
    answer_signals();
    blocks.push_back(compute(slice_axis(rows, 0, i, std::min(i + step, rows.size(0)))));
  }
  return concat(blocks, 0);
}

// Of rows (m, d) and (n, d), by the product that has |x|^2 - 2 x y + |y|^2, in float64 and from the mean of
// the others. Where more of that cancels than there are digits to spare, or squares of float64 leave the
// range, by differences.
Tensor distances_by_product(const Tensor& a, const Tensor& b) {
  const Tensor others = astype(b, DType::float64), centre = mean(others, Axes{0}, true);
  const auto squares_of = [](const Tensor& x) { return sum_of_squares(x, Axes{1}, true); };
  const Tensor y = others - centre, y_square = squares_of(y);
  const Tensor right = matrix_transpose(concat({-2.0 * y, ones_like(y_square), y_square}, 1));
  const int64_t n = b.size(0);
  const bool has_spare = a.dtype() == DType::float32;
  const double share = has_spare ? 0x1p-16 : 0.25, least = has_spare ? 0 : 0x1p-900;
  return by_rows(a, std::max(n, a.size(1)), [&](const Tensor& part) {
    const Tensor x = astype(part, DType::float64) - centre, x_square = squares_of(x);
    const Tensor product = matmul(concat({x, x_square, ones_like(x_square)}, 1), right);
    const Tensor result = pointwise([](const auto& d) { return sqrt(maximum(d, 0.0)); }, product);
    const Tensor far = logical_and(product > maximum(share * x_square, least), product < INFINITY);
    const Tensor near = flatten(logical_not(far)), places = nonzero(near)[0];
    if (places.numel() == 0) return astype(result, a.dtype());
    if (places.numel() > near.numel() / 8) return distances(part, b, 2);
    const Tensor differences = take(part, floor_divide(places, n), 0) - take(b, remainder(places, n), 0);
    const Tensor exact = linalg::vector_norm(differences, Axes{1}, false, 2);
    return reshape(scatter_set(astype(flatten(result), a.dtype()), places, exact, 0), result.shape());
  });
}

}  // namespace

Tensor cdist(const Tensor& a, const Tensor& b, double p) {
  if (a.ndim() < 2 || b.ndim() < 2 || a.size(-1) != b.size(-1))
    fail<ShapeError>("[cdist] takes rows (.., m, d) and (.., n, d), not ", describe(a), " and ", describe(b));
  if (!(p >= 0)) fail<ValueError>("[cdist] p must be at least 0, not ", p);
  const DType meeting = Pair::meeting_of(a, b), dtype = is_inexact(meeting) ? meeting : kDefaultFloat;
  const Tensor x = widened(astype(a, dtype)), y = widened(astype(b, dtype));
  // Many differences, which nobody sees, are not all there at once.
  constexpr int64_t kMany = 1 << 14;
  const bool is_loop = a.ndim() == 2 && b.ndim() == 2 && is_looped(x) && is_looped(y) && x.size(0) > 1 &&
                       y.numel() > 0 && y.numel() > kMany / x.size(0);
  const Tensor result =
      !is_loop ? distances(x, y, p)
      : p == 2 && !is_complex(x.dtype())
          ? distances_by_product(x, y)
          : by_rows(x, y.numel(), [&](const Tensor& part) { return distances(part, y, p); });
  return is_narrow(dtype) ? astype(result, dtype) : result;
}

Tensor diff(const Tensor& x, int64_t n, int64_t axis) {
  if (n < 0) fail<ValueError>("[diff] the order ", n, " is negative");
  const int at = normalize_axis(axis, x.ndim(), "diff");
  Tensor result = widened(x);
  for (int64_t i = 0; i < n && result.size(at) > 0; ++i) {
    answer_signals();
    const Tensor later = slice_axis(result, at, 1, std::nullopt), earlier = slice_axis(result, at, 0, -1);
    result = x.dtype() == DType::bool_ ? later != earlier : later - earlier;
  }
  return result.is_same(x) ? copy(x) : astype(result, x.dtype());
}

namespace {

// The sums of neighbours along the last axis times half of the steps between them, in a dtype in which y and
// what steps come from meet.
Tensor trapezoids(const Tensor& y, DType meeting, const Operand& steps) {
  const DType dtype = is_inexact(meeting) ? meeting : kDefaultFloat;
  const Tensor values = widened(astype(y, dtype));
  const int64_t n = values.size(-1);
  if (n > 1 && (!steps.tensor() || steps.tensor()->ndim() == 1)) {
    // Each value counts half for the steps on both sides.
    const DType computed = values.dtype();
    const Tensor none = zeros({1}, computed, y.device());
    const Tensor halves = steps.tensor()
                              ? 0.5 * astype(*steps.tensor(), computed)
                              : full({n - 1}, 0.5 * steps.scalar().to_double(), computed, y.device());
    const Tensor weights = concat({halves, none}, 0) + concat({none, halves}, 0);
    return astype(matmul(values, weights), dtype);
  }
  const Tensor sums = slice_axis(values, -1, 1, std::nullopt) + slice_axis(values, -1, 0, -1);
  return astype(sum(0.5 * sums * steps, Axes{-1}), dtype);
}

}  // namespace

Tensor trapezoid(const Tensor& y, const Tensor& x, int64_t axis) {
  const Tensor last = along(y, axis, "trapezoid");
  const Tensor points = x.ndim() == 1 ? x : along(x, axis, "trapezoid");
  if (points.size(-1) != last.size(-1))
    fail<ShapeError>("[trapezoid] ", describe(x), " does not name a point for each of ", last.size(-1),
                     " values along axis ", axis, " of ", describe(y));
  // Steps between unsigned integers may be negative.
  const Tensor steps = diff(is_integral(points.dtype()) ? astype(points, DType::int64) : widened(points));
  return trapezoids(last, promote(y.dtype(), x.dtype()), steps);
}

Tensor trapezoid(const Tensor& y, double distance, int64_t axis) {
  return trapezoids(along(y, axis, "trapezoid"), y.dtype(), distance);
}

}  // namespace tidu
