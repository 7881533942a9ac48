// Derivatives by central differences in f64, to hold the engine against.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tidu.h"

namespace tidu::testing {

inline Tensor random_point(uint64_t seed, const Shape& shape) {
  return random_normal(random_key(seed), shape, 0, 1, DType::float64);
}

inline double dot(const Tensor& a, const Tensor& b) { return item<double>(sum(a * b)); }

// d/dt f(x + t v) at t = 0; the error is about 1e-9 for functions of unit scale.
inline Tensor directional_difference(const UnaryFunction& f, const Tensor& x, const Tensor& v,
                                     double step = 1e-5) {
  return (f(x + v * step) - f(x - v * step)) / (2 * step);
}

inline void expect_close(const Tensor& actual, const Tensor& expected, double tolerance = 1e-12) {
  ASSERT_EQ(actual.shape(), expected.shape());
  const auto a = to_vector<double>(stop_gradient(actual)), e = to_vector<double>(stop_gradient(expected));
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(e[i])) {
      EXPECT_TRUE(std::isnan(a[i])) << "element " << i;
    } else {
      EXPECT_NEAR(a[i], e[i], tolerance * std::max(1.0, std::abs(e[i]))) << "element " << i;
    }
  }
}

// Holds both modes against differences and against each other, to the given order.
inline void check_derivatives(const UnaryFunction& f, const Tensor& x, int order = 2, double tolerance = 1e-6,
                              uint64_t seed = 7) {
  const Tensor v = random_point(seed, x.shape());
  const auto wrapped = [&](const Tensors& inputs) { return Tensors{f(inputs[0])}; };
  const Tensor forward = jvp(wrapped, {x}, {v}).tangents[0];
  expect_close(forward, directional_difference(f, x, v), tolerance);
  const Tensor w = random_point(seed + 1, forward.shape());
  const Tensor backward = vjp(wrapped, {x}).pullback({w})[0];
  EXPECT_NEAR(dot(w, forward), dot(backward, v), 1e-9 * std::max(1.0, std::abs(dot(w, forward))));
  if (order == 1) return;
  check_derivatives([&](const Tensor& at) { return jvp(wrapped, {at}, {v}).tangents[0]; }, x, order - 1,
                    tolerance, seed + 2);
  check_derivatives([&](const Tensor& at) { return vjp(wrapped, {at}).pullback({w})[0]; }, x, order - 1,
                    tolerance, seed + 2);
}

}  // namespace tidu::testing
