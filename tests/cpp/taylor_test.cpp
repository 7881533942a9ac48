// Taylor mode against nested derivatives and closed forms.
#include <gtest/gtest.h>

#include <cmath>

#include "tidu.h"

namespace tidu {
namespace {

Tensor random_point(uint64_t seed, const Shape& shape) {
  return random_uniform(random_key(seed), shape, -1, 1, DType::float64);
}

Tensor scalar(double value) { return tensor<double>({value}, {}); }

void expect_close(const Tensor& a, const Tensor& b, double tolerance = 1e-11) {
  ASSERT_EQ(a.shape(), b.shape());
  ASSERT_EQ(a.dtype(), b.dtype());
  const double scale = 1 + item<double>(max(abs(b)));
  EXPECT_LT(item<double>(max(abs(a - b))), tolerance * scale) << a << " instead of " << b;
}

UnaryFunction slope_of(UnaryFunction function) {
  return [function = std::move(function)](const Tensor& t) {
    return directional_derivative(function, t, ones_like(t));
  };
}

TEST(Jet, IsTheNestedDerivative) {
  const Tensor x = random_point(1, {4, 4}), u = random_point(2, {4, 4}), w = random_point(3, {4, 4});
  const UnaryFunction f = [&](const Tensor& t) {
    return matmul(softmax(sigmoid(matmul(t, w))), t) / (1 + sum(t * t));
  };
  UnaryFunction along = [&](const Tensor& t) { return f(x + t * u); };
  const Curve curve =
      jet([&](const Tensors& in) { return Tensors{f(in[0])}; }, {x}, {{u, Tensor(), Tensor(), Tensor()}});
  expect_close(curve.outputs[0], f(x));
  ASSERT_EQ(curve.terms[0].size(), 4u);
  for (const Tensor& term : curve.terms[0]) {
    along = slope_of(along);
    expect_close(term, along(scalar(0)));
  }
}

TEST(Jet, TermsAreDerivativesAndPowerSeriesCoefficients) {
  const Function exponential = [](const Tensors& in) { return Tensors{exp(in[0])}; };
  // exp(t + t^2): 1 + t + 3/2 t^2 + 7/6 t^3.
  const Curve coefficients = power_series(exponential, {scalar(0)}, {{scalar(1), scalar(1), Tensor()}});
  expect_close(coefficients.terms[0][0], scalar(1));
  expect_close(coefficients.terms[0][1], scalar(1.5));
  expect_close(coefficients.terms[0][2], scalar(7.0 / 6));
  const Curve derivatives = jet(exponential, {scalar(0)}, {{scalar(1), scalar(2), Tensor()}});
  expect_close(derivatives.terms[0][1], scalar(3));
  expect_close(derivatives.terms[0][2], scalar(7));
}

TEST(Jet, RulesOfTheUsersOwn) {
  const Function cube = [](const Tensors& in) { return Tensors{in[0] * in[0] * in[0]}; };
  const Function by_jvp = [&](const Tensors& in) {
    return custom_jvp(
        cube,
        [&](const Tensors& x, const Tensors& t) {
          return Jvp{cube(x), {3 * square(x[0]) * t[0]}};
        },
        in);
  };
  const Function by_vjp = [&](const Tensors& in) {
    return custom_vjp(
        cube,
        [&](const Tensors& x) {
          return CustomForward{cube(x), [x](const Tensors& g) { return Tensors{3 * square(x[0]) * g[0]}; }};
        },
        in);
  };
  for (const Function& function : {by_jvp, by_vjp}) {
    const Function composed = [&](const Tensors& in) { return Tensors{sin(function({exp(in[0])})[0])}; };
    UnaryFunction along = [](const Tensor& t) { return sin(exp(3 * t)); };
    const Curve curve = jet(composed, {scalar(0.2)}, {{scalar(1), Tensor(), Tensor(), Tensor()}});
    for (const Tensor& term : curve.terms[0]) {
      along = slope_of(along);
      expect_close(term, along(scalar(0.2)));
    }
  }
}

TEST(Jet, Errors) {
  const Function identity = [](const Tensors& in) { return in; };
  const Tensor x = random_point(4, {3});
  EXPECT_THROW(jet(identity, {x}, {}), ValueError);
  EXPECT_THROW(jet(identity, {x, x}, {{x}, {x, x}}), ValueError);
  EXPECT_THROW(jet(identity, {x}, {{x[0]}}), ShapeError);
  EXPECT_THROW(jet(identity, {arange(3)}, {{Tensor()}}), DTypeError);
  EXPECT_THROW(taylor([](const Tensor& t) { return t; }, x, -1), ValueError);
}

TEST(TaylorModel, OfVectors) {
  const Tensor x = random_point(5, {3}), p = random_point(6, {3});
  const UnaryFunction f = [](const Tensor& t) { return sum(exp(t)) * sum(t); };
  const Taylor model = taylor(f, x, 2);
  const Tensors coefficients = model.coefficients();
  ASSERT_EQ(coefficients.size(), 3u);
  expect_close(coefficients[0], f(x));
  expect_close(coefficients[1], grad(f)(x));
  expect_close(coefficients[2], hessian(f)(x) / 2);
  expect_close(model(p), f(x) + sum(grad(f)(x) * p) + sum(p * hvp(f, x, p)) / 2);
  expect_close(taylor(f, x, 1)(p), f(x) + total_derivative(f, x)(p));
  double errors[2];
  for (int i = 0; i < 2; ++i) {
    const Tensor step = p * (i == 0 ? 0.1 : 0.05);
    errors[i] = std::abs(item<double>(f(x + step) - model(step)));
  }
  EXPECT_NEAR(std::log2(errors[0] / errors[1]), 3, 0.5);
}

TEST(TaylorModel, OfOneNumber) {
  const Tensors coefficients =
      taylor([](const Tensor& t) { return pow(t, 4); }, tensor<double>({2}), 5).coefficients();
  const double want[] = {16, 32, 24, 8, 1, 0};
  ASSERT_EQ(coefficients.size(), 6u);
  for (int k = 0; k < 6; ++k) {
    EXPECT_EQ(coefficients[k].ndim(), k + 1);
    EXPECT_NEAR(item<double>(coefficients[k]), want[k], 1e-12);
  }
}

}  // namespace
}  // namespace tidu
