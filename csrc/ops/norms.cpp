// Norms of vectors and of matrices.
#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/level.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/linalg_rules.h"
#include "ops/parts.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu::linalg {
namespace {

// Real numbers of the sizes of any, in the dtype that norms are computed in.
Tensor real_numbers(const Tensor& x) {
  if (is_complex(x.dtype())) return abs(x);
  return widened(is_floating(x.dtype()) ? x : astype(x, kDefaultFloat));
}

// What f makes of the type of a tensor of float32 or float64.
template <class F> auto by_dtype(const Tensor& x, const F& f) {
  return x.dtype() == DType::float64 ? f.template operator()<double>() : f.template operator()<float>();
}

Tensor total(const Tensor& x, const Axes& axes) { return sum(x, axes, true); }

// The sums of squares of what `make` gives of parts, which are large: row-major ones take no memory.
template <class Make>
Tensor sums_of_squares(std::span<const Tensor> inputs, const Axes& axes, const Make& make) {
  const Tensor& x = inputs[0];
  const int64_t least = x.device().type == DeviceType::cpu ? 1 << 18 : 1 << 20;
  const auto reduce = [&](std::span<const Tensor> part) { return sum_of_squares(make(part), axes, true); };
  return by_parts(inputs, axes, reduce, total,
                  std::max(least, x.numel() / static_cast<int64_t>(kMostParts - 1)));
}

Tensor extreme_of(const Tensor& sizes, const Axes& axes, bool largest) {
  return largest ? max(sizes, axes, true) : min(sizes, axes, true);
}

// The largest or the smallest size.
Tensor extreme_size(const Tensor& x, const Axes& axes, bool largest) {
  return by_exact_parts(
      x, axes, [&](const Tensor& part) { return extreme_of(abs(real_numbers(part)), axes, largest); },
      [&](const Tensor& sizes, const Axes& axis) { return extreme_of(sizes, axis, largest); });
}

// (sum |x|^p)^(1 / p) is norm * scale. The largest (p > 0) or smallest power is made 1 beforehand, so that
// none of those that matter is too large or small for the dtype. For squares it is brought near 1 by a power
// of two, which changes no digit, where they would leave the range; so are tangents, whose products with it
// stay in range then. A norm that is 0 is a constant: such rows are computed as if they were ones.
struct ScaledNorm {
  ScaledNorm(const Tensor& x, const Axes& axes, double p) {
    const Tensor extreme = extreme_size(stop_gradient(x), axes, p > 0);
    scale = p == 2 ? by_dtype(extreme, [&]<class T>() { return scale_of<T>(extreme); })
                   : where(logical_and(extreme > 0, extreme < INFINITY), extreme, 1);
    vanishes = extreme == 0;
    const auto vectors = [](std::span<const Tensor> part) {
      return where(part[1], 1, real_numbers(part[0])) / part[2];
    };
    const auto powers = [&](std::span<const Tensor> part) { return total(pow(abs(vectors(part)), p), axes); };
    const Tensor all[] = {x, vanishes, scale};
    const Tensor sum =
        p == 2 ? sums_of_squares(all, axes, vectors) : by_parts({x, vanishes, scale}, axes, powers, total);
    norm = p == 2 ? sqrt(sum) : pow(sum, 1 / p);
  }
  Tensor scale, vanishes, norm;

 private:
  template <class T> static Tensor scale_of(const Tensor& size) {
    constexpr double kMost = Level<T>::kWide ? 1000 : 120;  // of exponents
    const Tensor power = exp2(maximum(minimum(floor(log2(size)), kMost), -kMost));
    const Tensor is_small = logical_and(size > 0, size < Level<T>::kLeast);
    return where(logical_or(is_small, logical_not(size <= Level<T>::kLargest)), power, 1);
  }
};

// The root of the sum of squares as they are, where nobody looks and each sum lets one see that none that
// matters left the range: to the bits of the norm by levels.
std::optional<Tensor> plain_norm(const Tensor& x, const Axes& axes) {
  if (is_seen(x) || x.device().type != DeviceType::cpu) return std::nullopt;
  const Tensor sums = sums_of_squares({&x, 1}, axes, [](std::span<const Tensor> part) {
    return contiguous(real_numbers(part[0]));  // as what is computed of any layout
  });
  const bool in_range = by_dtype(sums, [&]<class T>() {
    using L = Level<T>;
    const T* const sum = sums.data<T>();
    return std::all_of(sum, sum + sums.numel(), [](T square) {
      return square >= L::kLeast * L::kLeast && square <= L::kLargest * L::kLargest;
    });
  });
  return in_range ? std::optional(sqrt(sums)) : std::nullopt;
}

Tensor power_norm(const Tensor& x, const Axes& axes, double p) {
  if (p == 2) {
    if (const auto norm = plain_norm(x, axes)) return *norm;
  }
  const ScaledNorm of(x, axes, p);
  return where(of.vanishes, 0, of.norm * of.scale);
}

}  // namespace

Tensor vector_norm(const Tensor& x, const std::optional<Axes>& over, bool keepdims, double ord) {
  const Axes axes = over ? normalize_axes(*over, x.ndim(), "vector_norm") : all_axes(x.ndim());
  int64_t count = 1;
  for (const int64_t axis : axes) count *= x.size(static_cast<int>(axis));
  if (count == 0 && ord < 0) {
    fail<ShapeError>("[vector_norm] of order ", ord, ", which no elements do not have: ", describe(x));
  }
  if (std::isnan(ord)) fail<ValueError>("[vector_norm] the order is NaN");
  Tensor norm;
  if (ord == 0) {
    norm = count_nonzero(x, axes, true);
  } else if (ord == 1 || count == 0) {
    const auto sizes = [&](std::span<const Tensor> part) { return total(abs(real_numbers(part[0])), axes); };
    norm = by_parts({x}, axes, sizes, total);
  } else if (std::isinf(ord)) {
    norm = extreme_size(x, axes, ord > 0);
  } else {
    norm = power_norm(x, axes, ord);
  }
  norm = astype(norm, is_inexact(x.dtype()) ? part_of(x.dtype()) : kDefaultFloat);
  return keepdims ? norm : squeeze(norm, axes);
}

Tensor unit_vectors(const Tensor& x, const Axes& over, double ord, double eps) {
  const Axes axes = normalize_axes(over, x.ndim(), "unit_vectors");
  if (!(ord > 1 && ord < INFINITY) || x.numel() == 0)
    return x / maximum(vector_norm(x, axes, true, ord), eps);
  if (ord == 2) {
    if (const auto norm = plain_norm(x, axes)) return x / maximum(*norm, eps);
  }
  const ScaledNorm of(x, axes, ord);
  // Both sides of the quotient are made smaller where the norm may be beyond the range.
  const double large = x.dtype() == DType::float64 ? 0x1p500 : 0x1p60;
  const Tensor share = astype(where(of.scale > large, 0x1p-64, 1.0), x.dtype());
  const Tensor norm = where(of.vanishes, 0, of.norm * (of.scale * share));
  return x * share / maximum(norm, share * eps);
}

Tensor matrix_norm(const Tensor& x, MatrixNorm norm, bool keepdims) {
  require_matrices("matrix_norm", x);
  if (norm == MatrixNorm::frobenius) return vector_norm(x, Axes{-2, -1}, keepdims);
  const bool of_rows = norm == MatrixNorm::rows || norm == MatrixNorm::least_rows;
  const bool largest = norm == MatrixNorm::columns || norm == MatrixNorm::rows;
  const int along = of_rows ? -1 : -2, across = of_rows ? -2 : -1;
  if (x.size(across) == 0 && !largest) {
    fail<ShapeError>("[matrix_norm] no ", of_rows ? "rows" : "columns", " have no least sum: ", describe(x));
  }
  const Tensor sums = vector_norm(x, Axes{along}, true, 1);
  Shape none = sums.shape();
  none[x.ndim() + across] = 1;
  const Tensor result = x.size(across) == 0 ? zeros(none, sums.dtype(), sums.device())
                        : largest           ? max(sums, across, true)
                                            : min(sums, across, true);
  return keepdims ? result : squeeze(result, {-2, -1});
}

}  // namespace tidu::linalg
