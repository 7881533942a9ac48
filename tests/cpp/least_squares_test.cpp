// Least squares, roots and standard errors from Jacobians: against closed forms and NIST's certified values.
#include <cmath>
#include <sstream>

#include "finite_difference.h"
#include "optim/fit.h"
#include "optim/root.h"
#include "optim/standard_errors.h"

namespace tidu::optim {
namespace {

using testing::expect_close;
using testing::random_point;

constexpr LeastSquaresMethod kMethods[] = {LeastSquaresMethod::lm, LeastSquaresMethod::gauss_newton};

bool has(const std::string& text, const char* part) { return text.find(part) != text.npos; }

// Misra1a of NIST's nonlinear regressions: an exponential rise.
Tensors misra(const Tensors& b) {
  const Tensor x = tensor<double>(
      {77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0});
  const Tensor y = tensor<double>(
      {10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78});
  return {b[0] * (1 - exp(-(b[1] * x))) - y};
}

Tensors rosenbrock(const Tensors& p) {
  const Tensor &x = p[0][0], &y = p[0][1];
  return {10 * (y - square(x)), 1 - x};
}

// --- least_squares

TEST(LeastSquares, FindsNistsCertifiedValues) {
  for (const LeastSquaresMethod method : kMethods) {
    const Tensors start{full({}, 250, DType::float64), full({}, 5e-4, DType::float64)};
    const LeastSquaresReport report = least_squares(misra, start, {.method = method});
    EXPECT_TRUE(report.converged) << report;
    EXPECT_NEAR(item<double>(report.x[0]) / 2.3894212918e2, 1, 1e-10);
    EXPECT_NEAR(item<double>(report.x[1]) / 5.5015643181e-4, 1, 1e-10);
    EXPECT_NEAR(2 * report.cost / 1.2455138894e-1, 1, 1e-10);
    const Tensors errors = report.standard_errors();
    EXPECT_NEAR(item<double>(errors[0]) / 2.7070075241, 1, 1e-8);
    EXPECT_NEAR(item<double>(errors[1]) / 7.2668688436e-6, 1, 1e-8);
    expect_close(residual_standard_errors(misra, report.x)[0], errors[0]);
    EXPECT_EQ(report.jacobian.shape(), (Shape{14, 2}));
  }
}

TEST(LeastSquares, OfLinearResidualsIsTheSolution) {
  const Tensor a = random_point(1, {12, 4}), b = random_point(2, {12});
  const Tensor expected = linalg::lstsq(a, b).x;
  const auto f = [&](const Tensors& p) {
    return Tensors{reshape(matmul(a, concat({flatten(p[0]), p[1]}, 0)) - b, {3, 4})};
  };
  for (const LeastSquaresMethod method : kMethods) {
    const LeastSquaresReport report =
        least_squares(f, {zeros({1, 2}, DType::float64), zeros({2}, DType::float64)}, {.method = method});
    EXPECT_TRUE(report.converged) << report;
    EXPECT_EQ(report.x[0].shape(), (Shape{1, 2}));
    expect_close(concat({flatten(report.x[0]), report.x[1]}, 0), expected, 1e-12);
    const Tensor rest = matmul(a, expected) - b;
    expect_close(report.covariance(), linalg::inv(matmul(matrix_transpose(a), a)) * sum(square(rest)) / 8,
                 1e-12);
    expect_close(report.residuals, rest, 1e-12);
    expect_close(report.jacobian, a, 1e-12);
  }
}

TEST(LeastSquares, SaysWhyItEnded) {
  const Tensors one{ones({2}, DType::float64)};
  EXPECT_TRUE(has(least_squares(rosenbrock, {one[0] * 3}, {.max_iter = 1}).reason, "max_iter = 1"));
  EXPECT_TRUE(has(
      least_squares(misra, {full({}, 250, DType::float64), full({}, 5e-4, DType::float64)}, {.ftol = 1e-3})
          .reason,
      "at most ftol"));
  EXPECT_EQ(least_squares([](const Tensors& p) { return Tensors{log(-p[0])}; }, one).reason,
            "residual 0 of 2 is nan at the start");
  EXPECT_EQ(least_squares([](const Tensors& p) { return Tensors{sqrt(p[0] - 1)}; }, one).reason,
            "the Jacobian is not finite at the start");
  std::ostringstream text;
  text << least_squares([](const Tensors& p) { return p; }, {zeros({1})});
  EXPECT_EQ(
      text.str(),
      "converged: the norm of the residuals is 0; cost = 0, iterations 0, evaluations of the residuals 1, of "
      "their Jacobian 1, of second derivatives along a step 0");
  const LeastSquaresReport ended =
      least_squares(rosenbrock, {tensor<double>({-1.2, 1})},
                    {.callback = [](const LeastSquaresReport& report) { return report.iterations == 2; }});
  EXPECT_EQ(ended.reason, "the callback ended it");
  EXPECT_EQ(ended.iterations, 2);
}

TEST(LeastSquares, WrongOptionsAndCountsAreNamed) {
  const Tensors x{ones({2})};
  for (const LeastSquaresOptions& options :
       {LeastSquaresOptions{.ftol = -1}, LeastSquaresOptions{.xtol = NAN}, LeastSquaresOptions{.gtol = -1},
        LeastSquaresOptions{.max_iter = -1}, LeastSquaresOptions{.radius = 0}})
    EXPECT_THROW(least_squares(rosenbrock, x, options), ValueError);
  EXPECT_THROW(least_squares([](const Tensors& p) { return Tensors{sum(p[0])}; }, x), ValueError);
  EXPECT_THROW(least_squares([](const Tensors&) { return Tensors(); }, x), ValueError);
  EXPECT_THROW(least_squares([](const Tensors& p) { return Tensors{argmax(p[0])}; }, x), DTypeError);
  EXPECT_THROW(least_squares(rosenbrock, {arange(2)}), DTypeError);
}

TEST(LeastSquares, WhatIsNotDeterminedIsNamed) {
  const auto message = [](const Function& f, const Tensors& x) -> std::string {
    try {
      residual_standard_errors(f, x);
    } catch (const ValueError& error) { return error.what(); }
    return "";
  };
  const Tensor t = linspace(0, 1, 6, DType::float64);
  const Tensors x{ones({3}, DType::float64)};
  EXPECT_TRUE(has(message([&](const Tensors& p) { return Tensors{(p[0][0] + p[0][2]) * t + p[0][1]}; }, x),
                  "along x[0], x[2] "));
  EXPECT_TRUE(has(message([&](const Tensors& p) { return Tensors{p[0][0] * t + p[0][2]}; }, x),
                  "do not depend on x[1]"));
  EXPECT_TRUE(has(message([](const Tensors& p) { return p; }, x), "leave none over"));
}

// --- The steps

TEST(LinearModel, SolvesAndPromises) {
  const Tensor jacobian = random_point(3, {7, 3}), residuals = random_point(4, {7});
  const Fit at{zeros({3}, DType::float64), residuals, norm(residuals), jacobian};
  const LinearModel model(at, {2, 0.5, 1});
  const auto newton = model.solution(model.components());
  expect_close(model.step(newton), -linalg::lstsq(jacobian, residuals).x, 1e-12);
  const Tensor rest = residuals + matmul(jacobian, model.step(newton));
  EXPECT_NEAR(model.promise(newton), 1 - std::pow(norm(rest) / at.norm, 2), 1e-13);
  const Tensor units = tensor<double>({2, 0.5, 1});
  const Tensor damped =
      matmul(matrix_transpose(jacobian), jacobian) + 0.7 * square(units) * eye(3, 3, 0, DType::float64);
  expect_close(model.step(model.solution(model.components(), 0.7)),
               -linalg::solve(damped, matmul(residuals, jacobian)), 1e-12);
}

TEST(LinearModel, TakesTheShortestOfManySolutions) {
  const Tensor column = random_point(5, {6, 1});
  const Fit at{zeros({2}, DType::float64), flatten(column), norm(column), concat({column, column}, 1)};
  const LinearModel model(at, {1, 1});
  expect_close(model.step(model.solution(model.components())), tensor<double>({-0.5, -0.5}), 1e-13);
}

TEST(Steps, StayInTheRegion) {
  const Tensor jacobian = random_point(6, {9, 4}), residuals = 100 * random_point(7, {9});
  const Fit at{ones({4}, DType::float64), residuals, norm(residuals), jacobian};
  const auto steps = make_steps(LeastSquaresMethod::lm, 1e-3);
  steps->begin({1, 1, 1, 1}, {1, 1, 1, 1});
  const LinearModel model(at, steps->units());
  const auto length = [](const std::vector<double>& q) {
    double squares = 0;
    for (const double element : q) squares += element * element;
    return std::sqrt(squares);
  };
  double radius = 2e-3;
  for (int i = 0; i < 20; ++i, radius /= 2) {
    const double found = length(steps->propose(model).q);
    EXPECT_NEAR(found / radius, 1, 0.1001);
    steps->judge(0, radius);
  }
}

// --- root

TEST(Root, OfEquations) {
  const RootReport report = root(rosenbrock, {tensor<double>({-1.2, 1})});
  EXPECT_TRUE(report.converged) << report;
  expect_close(report.x[0], ones({2}, DType::float64), 1e-14);
  const RootReport none =
      root([](const Tensors& p) { return Tensors{square(p[0]) + 1}; }, {full({}, 1.5, DType::float64)});
  EXPECT_FALSE(none.converged);
  EXPECT_TRUE(has(none.reason, "a minimum of it that is no root")) << none;
  EXPECT_THROW(root([](const Tensors& p) { return Tensors{p[0], p[0]}; }, {ones({2})}), ValueError);
  EXPECT_THROW(root(rosenbrock, {ones({2})}, {.tol = -1}), ValueError);
}

// --- Over parameters

TEST(Fitter, BringsParametersToAMinimumAndGoesOnFromItsState) {
  const Tensor x = random_point(1, {20, 3}), y = random_point(2, {20, 2});
  struct Net {
    Tensor weight = random_point(7, {3, 2}), bias = zeros({2}, DType::float64);
    Net() {
      weight.set_requires_grad();
      bias.set_requires_grad();
    }
  };
  const auto residuals = [&](const Net& net) {
    return [&] { return Tensors{tanh(matmul(x, net.weight) + net.bias) - y, 0.1 * net.weight}; };
  };
  Net whole, part;
  LevenbergMarquardt first({whole.weight, whole.bias}, {.max_iter = 2});
  const double before = item<double>(first.step(residuals(whole)));
  EXPECT_LT(first.report().cost, before);
  Tensor places[] = {part.weight, part.bias};
  {
    const GradMode off(false);
    assign(places[0], whole.weight);
    assign(places[1], whole.bias);
  }
  LevenbergMarquardt second({part.weight, part.bias}, {.max_iter = 2});
  second.load_state(first.state());
  first.step(residuals(whole));
  second.step(residuals(part));
  EXPECT_EQ(to_vector<double>(stop_gradient(whole.weight)), to_vector<double>(stop_gradient(part.weight)));
  GaussNewton third({part.weight, part.bias}, {.xtol = 1e-3, .max_iter = 100});
  third.step(residuals(part));
  EXPECT_TRUE(third.report().converged) << third.report();
  EXPECT_FALSE(part.weight.grad().defined());
  EXPECT_THROW(LevenbergMarquardt({ones({3})}).load_state(first.state()), ValueError);
  EXPECT_THROW(LevenbergMarquardt({}), ValueError);
}

}  // namespace
}  // namespace tidu::optim
