// Operations on elements and their neighbours that are made of rows of the tables.
#pragma once

#include <optional>

#include "ops/elementwise.h"

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

// Differences of neighbours along an axis, n times.
Tensor diff(const Tensor& x, int64_t n = 1, int64_t axis = -1);
// The area below y by the trapezoidal rule, over points x (a vector, or as y) or a distance.
Tensor trapezoid(const Tensor& y, const Tensor& x, int64_t axis = -1);
Tensor trapezoid(const Tensor& y, double distance = 1, int64_t axis = -1);

}  // namespace tidu
