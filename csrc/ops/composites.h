// Operations on elements and their neighbours that are made of rows of the tables.
#pragma once

#include <optional>

#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace tidu {

// x, but low where it is below and then high where it is above; the derivative by x is 1 at both bounds. A
// NaN among bounds is the result.
Tensor clip(const Tensor& x, const std::optional<Operand>& low, const std::optional<Operand>& high);
// Other numbers for NaN and infinities, by default the largest of the dtype.
Tensor nan_to_num(const Tensor& x, double nan = 0, std::optional<double> positive = {},
                  std::optional<double> negative = {});

// |a - b| <= atol + rtol |b|; of infinities only equal ones, and NaN where `equal_nan`.
Tensor isclose(const Operand& a, const Operand& b, double rtol = 1e-5, double atol = 1e-8,
               bool equal_nan = false);
// Whether shapes are equal and all elements are, in a bool of shape ().
Tensor array_equal(const Tensor& a, const Tensor& b, bool equal_nan = false);
Tensor isposinf(const Tensor& x);
Tensor isneginf(const Tensor& x);

// The number itself where the other is NaN.
Tensor fmax(const Operand& a, const Operand& b);
Tensor fmin(const Operand& a, const Operand& b);
// The remainder of a / b rounded towards zero: with the sign of a.
Tensor fmod(const Operand& a, const Operand& b);
Tensor lcm(const Operand& a, const Operand& b);
Tensor logaddexp2(const Operand& a, const Operand& b);
// 0 below 0, 1 above, b at 0.
Tensor heaviside(const Operand& a, const Operand& b);
Tensor float_power(const Operand& a, const Operand& b);  // in float64
// a 2^b of integers b, rounded once.
Tensor ldexp(const Operand& a, const Operand& b);
// The next number of a's dtype towards b.
Tensor nextafter(const Operand& a, const Operand& b);
// start + weight (end - start), exact at both ends.
Tensor lerp(const Operand& start, const Operand& end, const Operand& weight);
Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, double value = 1);  // x + value a b
Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, double value = 1);  // x + value a / b
Tensor frac(const Tensor& x);                                                         // x - trunc(x)
Tensor deg2rad(const Tensor& x);
Tensor rad2deg(const Tensor& x);
Tensor positive(const Tensor& x);  // a copy, of numbers
// Of x held in [eps, 1 - eps].
Tensor logit_within(const Tensor& x, double eps);
// Modified Bessel functions of the first kind, the latter times exp(-|x|).
Tensor i0(const Tensor& x);
Tensor i1(const Tensor& x);
Tensor i0e(const Tensor& x);
Tensor i1e(const Tensor& x);

// Reductions of what is not NaN: of nothing else nansum is 0, nanprod 1, the others NaN.
Tensor nansum(const Tensor& x, const Over& axes = {}, bool keepdims = false);
Tensor nanprod(const Tensor& x, const Over& axes = {}, bool keepdims = false);
Tensor nanmean(const Tensor& x, const Over& axes = {}, bool keepdims = false);
Tensor nanvar(const Tensor& x, const Over& axes = {}, double correction = 0, bool keepdims = false);
Tensor nanstd(const Tensor& x, const Over& axes = {}, double correction = 0, bool keepdims = false);
Tensor nanmax(const Tensor& x, const Over& axes = {}, bool keepdims = false);
Tensor nanmin(const Tensor& x, const Over& axes = {}, bool keepdims = false);

// The scans, of the flattened tensor without an axis.
Tensor cumsum(const Tensor& x, std::optional<int64_t> axis = {});
Tensor cumprod(const Tensor& x, std::optional<int64_t> axis = {});
// The int64 indices of the elements that cummax and cummin give: of equal ones the first.
Tensor cumargmax(const Tensor& x, std::optional<int64_t> axis = {});
Tensor cumargmin(const Tensor& x, std::optional<int64_t> axis = {});

// The covariance matrix of variables, rows of (variables, observations) or one vector, divided by n -
// correction. `fweights` says how often each observation counts, `aweights` how much.
Tensor cov(const Tensor& x, double correction = 1, const Tensor& fweights = {}, const Tensor& aweights = {});
Tensor corrcoef(const Tensor& x);  // the covariances of variables divided by their deviations
// The p-norms of differences of rows: (.., m, d) and (.., n, d) give (.., m, n).
Tensor cdist(const Tensor& a, const Tensor& b, double p = 2);

// Differences of neighbours along an axis, n times.
Tensor diff(const Tensor& x, int64_t n = 1, int64_t axis = -1);
// The area below y by the trapezoidal rule, over points x (a vector, or as y) or a distance.
Tensor trapezoid(const Tensor& y, const Tensor& x, int64_t axis = -1);
Tensor trapezoid(const Tensor& y, double distance = 1, int64_t axis = -1);

}  // namespace tidu
