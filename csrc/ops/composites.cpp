// Compositions of rows.
#include "ops/composites.h"

#include <cmath>
#include <limits>

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/shape.h"

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
  Tensor result = x;
  if (low) result = where(nan_or(*low, result < *low), *low, result);
  if (high) result = where(nan_or(*high, result > *high), *high, result);
  return result.is_same(x) ? copy(x) : result;
}

Tensor nan_to_num(const Tensor& x, double nan, std::optional<double> positive,
                  std::optional<double> negative) {
  if (!is_floating(x.dtype())) return copy(x);
  const double largest = largest_of(x.dtype());
  const Tensor numbers = where(isnan(x), nan, x);
  const Tensor above = where(isposinf(x), positive.value_or(largest), numbers);
  return where(isneginf(x), negative.value_or(-largest), above);
}

Tensor isclose(const Operand& a, const Operand& b, double rtol, double atol, bool equal_nan) {
  const Operand both[] = {a, b};
  const DType meeting = result_type(both);
  const auto in_numbers = [&](const Operand& operand) {
    const DType dtype = meeting == DType::float32 || is_narrow(meeting) ? DType::float32 : DType::float64;
    return operand.tensor() ? astype(*operand.tensor(), dtype) : full({}, operand.scalar(), dtype);
  };
  Tensor x = in_numbers(a), y = in_numbers(b);
  if (!a.tensor() && b.tensor()) x = to(x, y.device());
  if (!b.tensor() && a.tensor()) y = to(y, x.device());
  const Tensor near = logical_and(abs(x - y) <= atol + rtol * abs(y), isfinite(y));
  const Tensor close = logical_or(near, x == y);
  return equal_nan ? logical_or(close, logical_and(isnan(x), isnan(y))) : close;
}

Tensor array_equal(const Tensor& a, const Tensor& b, bool equal_nan) {
  if (!(a.shape() == b.shape())) return full({}, false, DType::bool_, a.device());
  const bool has_nan = equal_nan && is_floating(a.dtype()) && is_floating(b.dtype());
  const Tensor equal = a == b;
  return all(has_nan ? logical_or(equal, logical_and(isnan(a), isnan(b))) : equal);
}

Tensor isposinf(const Tensor& x) { return is_floating(x.dtype()) ? x == INFINITY : isinf(x); }
Tensor isneginf(const Tensor& x) { return is_floating(x.dtype()) ? x == -INFINITY : isinf(x); }

Tensor diff(const Tensor& x, int64_t n, int64_t axis) {
  if (n < 0) fail<ValueError>("[diff] the order ", n, " is negative");
  const int at = normalize_axis(axis, x.ndim(), "diff");
  Tensor result = x;
  for (int64_t i = 0; i < n && result.size(at) > 0; ++i) {
    const Tensor later = slice_axis(result, at, 1, std::nullopt), earlier = slice_axis(result, at, 0, -1);
    result = x.dtype() == DType::bool_ ? later != earlier : later - earlier;
  }
  return result.is_same(x) ? copy(x) : result;
}

Tensor trapezoid(const Tensor& y, const Tensor& x, int64_t axis) {
  const Tensor last = along(y, axis, "trapezoid");
  const Tensor points = x.ndim() == 1 ? x : along(x, axis, "trapezoid");
  if (points.size(-1) != last.size(-1))
    fail<ShapeError>("[trapezoid] ", describe(x), " does not name a point for each of ", last.size(-1),
                     " values along axis ", axis, " of ", describe(y));
  const Tensor sums = slice_axis(last, -1, 1, std::nullopt) + slice_axis(last, -1, 0, -1);
  return sum(0.5 * diff(points) * sums, Axes{-1});
}

Tensor trapezoid(const Tensor& y, double distance, int64_t axis) {
  const Tensor last = along(y, axis, "trapezoid");
  const Tensor sums = slice_axis(last, -1, 1, std::nullopt) + slice_axis(last, -1, 0, -1);
  return sum(0.5 * distance * sums, Axes{-1});
}

}  // namespace tidu
