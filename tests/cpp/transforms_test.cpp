// Derivatives along directions, the Jacobian's modes and paths of derivatives, against closed forms.
#include <gtest/gtest.h>

#include <cmath>

#include "tidu.h"

namespace tidu {
namespace {

Tensor random_point(uint64_t seed, const Shape& shape) {
  return random_uniform(random_key(seed), shape, -1, 1, DType::float64);
}

void expect_close(const Tensor& a, const Tensor& b, double tolerance = 1e-12) {
  ASSERT_EQ(a.shape(), b.shape());
  ASSERT_EQ(a.dtype(), b.dtype());
  if (a.numel() == 0) return;
  EXPECT_LT(item<double>(max(abs(a - b))), tolerance) << a << " instead of " << b;
}

TEST(Directional, ProductsOfTheHessian) {
  const Tensor a = random_point(1, {4, 4}), x = random_point(2, {4}), v = random_point(3, {4});
  const UnaryFunction f = [&](const Tensor& t) { return sum(t * matmul(a, t)) + sum(exp(t)); };
  const Tensor h = a + matrix_transpose(a) + eye(4, 4, 0, DType::float64) * exp(x);
  expect_close(hvp(f, x, v), matmul(h, v));
  expect_close(vhp(f, x, v), matmul(h, v));
  expect_close(hessian_diagonal(f)(x), sum(h * eye(4, 4, 0, DType::float64), 0));
  const ScalarFunction of_two = [](const Tensors& in) { return sum(in[0] * in[0]) * sum(in[1]); };
  const Tensor y = random_point(4, {3}), w = random_point(5, {3});
  for (const auto& product :
       {static_cast<Tensors (*)(const ScalarFunction&, const Tensors&, const Tensors&)>(hvp),
        static_cast<Tensors (*)(const ScalarFunction&, const Tensors&, const Tensors&)>(vhp)}) {
    const Tensors result = product(of_two, {x, y}, {v, Tensor()});
    expect_close(result[0], 2 * v * sum(y));
    expect_close(result[1], broadcast_to(2 * sum(x * v), {3}));
  }
  const Tensors diagonals = hessian_diagonal(of_two, {x, y});
  expect_close(diagonals[0], broadcast_to(2 * sum(y), {4}));
  expect_close(diagonals[1], zeros({3}, DType::float64));
}

TEST(Directional, SteepestDirection) {
  const Tensor a = random_point(6, {4}), x = random_point(7, {4});
  const UnaryFunction f = [&](const Tensor& t) { return exp(sum(a * t)); };
  const Tensor direction = steepest_direction(f, x);
  expect_close(direction, a / sqrt(sum(a * a)));
  expect_close(directional_derivative(f, x, direction), sqrt(sum(a * a)) * f(x));
  EXPECT_THROW(steepest_direction([](const Tensor& t) { return sum(0 * t); }, x), ValueError);
  EXPECT_THROW(directional_derivative(f, x, a[0]), ShapeError);
}

TEST(Directional, LinearModels) {
  const Tensor x = random_point(8, {3}), y = random_point(9, {3}), v = random_point(10, {3});
  int calls = 0;
  const Function f = [&](const Tensors& in) {
    ++calls;
    return Tensors{sin(in[0]) * in[1], sum(in[1])};
  };
  const Linearized linear = linearize(f, {x, y});
  expect_close(linear.outputs[0], sin(x) * y);
  for (const Tensors& direction : {Tensors{v, y}, Tensors{v, Tensor()}, Tensors{Tensor(), v}}) {
    const Tensors got = linear.derivative(direction), want = jvp(f, {x, y}, direction).tangents;
    expect_close(got[0], want[0]);
    expect_close(got[1], want[1]);
  }
  EXPECT_EQ(calls, 4);
  EXPECT_THROW(linear.derivative({v}), ValueError);
  EXPECT_THROW(linear.derivative({v, v[0]}), ShapeError);
  const UnaryFunction square_of = [](const Tensor& t) { return t * t; };
  expect_close(total_derivative(square_of, x)(v), 2 * x * v);
}

TEST(Jacobian, SaysItsMode) {
  const Tensor x = zeros({3}), y = zeros({4});
  EXPECT_EQ(jacobian_mode({y}, {x}), Mode::forward);
  EXPECT_EQ(jacobian_mode({x}, {y}), Mode::reverse);
  EXPECT_EQ(jacobian_mode({x}, {x}), Mode::reverse);
  EXPECT_EQ(jacobian_mode({x, x}, {y}), Mode::forward);
}

TEST(Directional, SymmetricFunctionsOfEqualEigenvalues) {
  const Tensor one = eye(3, 3, 0, DType::float64), v = random_point(6, {3, 3});
  const Tensor t = (v + matrix_transpose(v)) / 2;
  const UnaryFunction log_det = [](const Tensor& x) { return sum(log(linalg::eigvalsh(x))); };
  const UnaryFunction square = [](const Tensor& x) { return sum(linalg::svdvals(x) * linalg::svdvals(x)); };
  expect_close(hvp(log_det, one, t), -t);
  expect_close(hvp(square, one, v), 2 * v);
  expect_close(directional_derivative(linalg::eigvalsh, one, t), linalg::eigvalsh(t));
  expect_close(vhp(log_det, one, t), -t);
}

TEST(Points, Differentiability) {
  using enum Differentiability::Verdict;
  const auto verdict = [](const UnaryFunction& f, const Tensor& x) {
    return is_differentiable_at([&](const Tensors& in) { return Tensors{f(in[0])}; }, {x}).verdict;
  };
  const Tensor origin = zeros({2});
  const UnaryFunction root_of_product = [](const Tensor& x) { return sqrt(abs(x[0] * x[1])); };
  const UnaryFunction on_axes = [](const Tensor& x) {
    return where(logical_or(x[0] == 0, x[1] == 0), 1.0, 0 * x[0]);
  };
  const UnaryFunction with_root = [](const Tensor& x) { return x[0] * sqrt(abs(x[1])); };
  EXPECT_EQ(verdict(root_of_product, origin), partials_only);
  EXPECT_EQ(verdict(on_axes, origin), partials_only);
  EXPECT_EQ(verdict(with_root, tensor<float>({1, 0})), no);
  EXPECT_EQ(verdict(with_root, origin), no_objection);
  EXPECT_EQ(verdict([](const Tensor& x) { return abs(x); }, origin), no);
  EXPECT_EQ(verdict([](const Tensor& x) { return sin(x); }, origin), no_objection);
  EXPECT_EQ(verdict([](const Tensor& x) { return pow(abs(x), 1.1); }, origin), no_objection);
  EXPECT_EQ(verdict([](const Tensor& x) { return sin(x) + 1e-6 * abs(x - 1); }, ones({2}, DType::float64)),
            no);
  const Differentiability report =
      is_differentiable_at([](const Tensors& in) { return Tensors{relu(in[0])}; }, {origin});
  EXPECT_FALSE(report);
  EXPECT_EQ(
      report.objections[0],
      "the partial derivative of result 0 by element 0 does not exist: differences give 1 above and 0 below");
  EXPECT_THROW(is_differentiable_at([](const Tensors& in) { return Tensors{argmax(in[0])}; }, {origin}),
               DTypeError);
}

std::string error_of(const Function& function, const Tensors& primals) {
  try {
    vjp(require_paths(function, "vjp", [] { return std::string("here"); }), primals);
  } catch (const GradientError& error) { return error.what(); }
  return "";
}

TEST(Paths, NameWhatCutsThem) {
  const Tensor x = random_point(11, {3});
  const auto of = [](Tensor (*function)(const Tensor&)) {
    return [=](const Tensors& in) { return Tensors{function(in[0])}; };
  };
  EXPECT_NE(error_of(of(&round), {x})
                .find("[vjp] the derivative by argument 0, float64(3,) cpu, is zero "
                      "because 'round' at here cuts the path"),
            std::string::npos);
  EXPECT_NE(error_of([](const Tensors& in) { return Tensors{astype(in[0], DType::int64) * 2.0}; }, {x})
                .find("'astype' to int64"),
            std::string::npos);
  EXPECT_NE(error_of([](const Tensors& in) { return Tensors{in[0]}; }, {x, x}).find("argument 1"),
            std::string::npos);
  EXPECT_EQ(error_of(of(&sin), {x}), "");
  EXPECT_EQ(error_of([](const Tensors& in) { return Tensors{in[0] + round(in[0])}; }, {x}), "");
}

}  // namespace
}  // namespace tidu
