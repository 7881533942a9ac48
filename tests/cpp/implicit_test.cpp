// Solutions of equations from C++, against closed forms and explicit solutions.
#include "transforms/implicit.h"

#include <gtest/gtest.h>

#include "finite_difference.h"
#include "tidu.h"

namespace tidu {
namespace {

using testing::expect_close;
using testing::random_point;

Tensor number(double value) { return full({}, value, DType::float64); }

Tensor regular(int64_t n) { return 0.3 * random_point(1, {n, n}) + 2.0 * eye(n, n, 0, DType::float64); }

Tensors by_matrix(const Tensors& in) {
  const Tensor& a = in[0];
  const Solver forward = [a](const Function&, const Tensors& b) { return Tensors{linalg::solve(a, b[0])}; };
  const Solver back = [a](const Function&, const Tensors& b) {
    return Tensors{linalg::solve(matrix_transpose(a), b[0])};
  };
  const Function matvec = [a](const Tensors& x) { return Tensors{matmul(a, x[0])}; };
  return custom_linear_solve(matvec, {in[1]}, forward, {back});
}

Tensors directly(const Tensors& in) { return {linalg::solve(in[0], in[1])}; }

TEST(Implicit, LinearSolveIsTheSolutionInEachMode) {
  const Tensors at{regular(4), random_point(2, {4})}, along{random_point(3, {4, 4}), random_point(4, {4})};
  expect_close(by_matrix(at)[0], directly(at)[0]);
  expect_close(jvp(by_matrix, at, along).tangents[0], jvp(directly, at, along).tangents[0]);
  const auto loss = [](const Function& f) -> ScalarFunction {
    return [f](const Tensors& in) { return sum(sin(f(in)[0])); };
  };
  for (int i = 0; i < 2; ++i) {
    expect_close(value_and_grad(loss(by_matrix), at).gradients[i],
                 value_and_grad(loss(directly), at).gradients[i]);
    expect_close(hvp(loss(by_matrix), at, along)[i], hvp(loss(directly), at, along)[i], 1e-11);
    expect_close(vhp(loss(by_matrix), at, along)[i], vhp(loss(directly), at, along)[i], 1e-11);
  }
  const Tensors lanes{stack({at[0], 1.5 * at[0]}, 0), at[1]};
  expect_close(vmap(by_matrix, {0, {}})(lanes)[0], vmap(directly, {0, {}})(lanes)[0]);
}

TEST(Implicit, ReverseModeNeedsAWayToSolveTheTranspose) {
  const Tensor a = regular(3), b = random_point(2, {3});
  const Solver forward = [a](const Function&, const Tensors& right) {
    return Tensors{linalg::solve(a, right[0])};
  };
  const Function f = [&](const Tensors& in) {
    return custom_linear_solve([&](const Tensors& x) { return Tensors{matmul(a, x[0])}; }, in, forward);
  };
  expect_close(jvp(f, {b}, {b}).tangents[0], linalg::solve(a, b));
  EXPECT_THROW(vjp(f, {b}).pullback({b}), GradientError);
  EXPECT_THROW(custom_linear_solve([&](const Tensors& x) { return Tensors{x[0][0]}; }, {b}, forward),
               ShapeError);
  EXPECT_THROW(custom_linear_solve([&](const Tensors& x) { return x; }, {}, forward), ValueError);
}

TEST(Implicit, RootsToSecondOrder) {
  const auto newton = [](const Function& f, const Tensors& guess) {
    Tensor x = guess[0];
    for (int i = 0; i < 60 && std::abs(item<double>(f({x})[0])) > 1e-15; ++i) {
      const Jvp at = jvp(f, {x}, {ones_like(x)});
      x = x - at.outputs[0] / at.tangents[0];
    }
    return Tensors{x};
  };
  const UnaryFunction cube_root = [&](const Tensor& a) {
    return custom_root([&](const Tensors& x) { return Tensors{x[0] * x[0] * x[0] - a}; }, {number(1)},
                       newton)[0];
  };
  const Tensor a = number(2.5);
  expect_close(cube_root(a), pow(a, 1.0 / 3));
  testing::check_derivatives(cube_root, a, 2, 1e-6);
  const UnaryFunction by_newton = [&](const Tensor& p) {
    return implicit::root([&](const Tensors& x) { return Tensors{x[0] * x[0] * x[0] - p}; }, {number(1)})[0];
  };
  const Tensor many = abs(random_point(5, {4})) + 0.5;
  const Function lanes = vmap([&](const Tensors& in) { return Tensors{by_newton(in[0])}; });
  expect_close(lanes({many})[0], pow(many, 1.0 / 3));
  EXPECT_THROW(vmap([&](const Tensors& in) { return Tensors{cube_root(in[0])}; })({many}), TraceError);
}

TEST(Implicit, FixedPointsAndMinima) {
  const UnaryFunction kepler = [](const Tensor& e) {
    return implicit::fixed_point([&](const Tensors& x) { return Tensors{1.2 + e * sin(x[0])}; },
                                 {number(0)})[0];
  };
  testing::check_derivatives(kepler, number(0.3), 2, 1e-6);
  EXPECT_THROW(implicit::fixed_point([](const Tensors& x) { return Tensors{2 * x[0] + 1}; }, {number(0)}),
               ValueError);

  const Tensor x = random_point(6, {12, 3}), y = random_point(7, {12});
  const UnaryFunction ridge = [&](const Tensor& penalty) {
    const ScalarFunction loss = [&](const Tensors& w) {
      return sum(square(matmul(x, w[0]) - y)) + penalty * sum(square(w[0]));
    };
    optim::MinimizeOptions options;
    options.gtol = 1e-11;
    return implicit::argmin(loss, {zeros({3}, DType::float64)}, options)[0];
  };
  const UnaryFunction closed = [&](const Tensor& penalty) {
    const Tensor xt = matrix_transpose(x);
    return linalg::solve(matmul(xt, x) + penalty * eye(3, 3, 0, DType::float64), matmul(xt, y));
  };
  const Tensor penalty = number(0.4);
  expect_close(ridge(penalty), closed(penalty), 1e-10);
  expect_close(jacrev(ridge)(penalty), jacrev(closed)(penalty), 1e-9);
  expect_close(jacfwd(jacrev(ridge))(penalty), jacfwd(jacrev(closed))(penalty), 1e-9);
}

TEST(Implicit, SingularLanesAreNaNAndAloneAnError) {
  const Function line = [](const Tensors& a) {
    const Function f = [&](const Tensors& x) { return Tensors{a[0] * (x[0] - 1.0)}; };
    return implicit::root(f, {number(2)});
  };
  const Tensor factors = tensor<double>({0, 1, 2});
  expect_close(vmap(line)({factors})[0], tensor<double>({2, 1, 1}), 1e-12);
  const Function slope = [&](const Tensors& a) { return jvp(line, a, {number(1)}).tangents; };
  const Tensor slopes = vmap(slope)({factors})[0];
  EXPECT_EQ(to_vector<bool>(isnan(slopes)), (std::vector<bool>{true, false, false}));
  EXPECT_THROW(slope({number(0)}), ValueError);
  const Function still = [](const Tensors& a) {
    const Function f = [&](const Tensors& x) { return Tensors{x[0] + 0.0 * a[0]}; };
    return implicit::fixed_point(f, {number(1)});
  };
  expect_close(vmap(still)({factors})[0], ones({3}, DType::float64));
}

TEST(Implicit, ArgminIsAMinimum) {
  const auto at = [](const ScalarFunction& f, const Tensor& x0, optim::MinimizeOptions options = {}) {
    return implicit::argmin(f, {x0}, options)[0];
  };
  const Tensor start = tensor<double>({1, 0});
  EXPECT_THROW(at([](const Tensors& x) { return -sum(square(x[0])); }, zeros({2}, DType::float64)),
               ValueError);
  EXPECT_THROW(at([](const Tensors& x) { return square(x[0][0]) - square(x[0][1]); }, start), ValueError);
  const ScalarFunction away = [](const Tensors& x) { return sum(square(x[0] - 3.0)); };
  EXPECT_THROW(at(away, start, {.gtol = 100}), ValueError);
  expect_close(at(away, start), full({2}, 3, DType::float64), 1e-7);
}

TEST(Implicit, SystemsThatAreNotLinearAreRefused) {
  const Tensor a = regular(4), b = random_point(2, {4});
  const Function affine = [&](const Tensors& x) { return Tensors{matmul(a, x[0]) + 1.0}; };
  const Function curved = [&](const Tensors& x) { return Tensors{matmul(a, x[0]) + square(x[0])}; };
  const Solver solve = [&](const Function&, const Tensors& in) { return Tensors{linalg::solve(a, in[0])}; };
  for (const Function& matvec : {affine, curved}) {
    EXPECT_THROW(linalg::gmres(matvec, {b}), ValueError);
    EXPECT_THROW(linalg::cg(matvec, {b}), ValueError);
    EXPECT_THROW(custom_linear_solve(matvec, {b}, solve, {solve}), ValueError);
  }
  const Function opaque = [&](const Tensors& x) { return Tensors{where(x[0] == x[0], matmul(a, x[0]), 0)}; };
  expect_close(custom_linear_solve(opaque, {b}, solve, {solve})[0], linalg::solve(a, b), 1e-12);
}

TEST(Implicit, SolutionsAreNoViewsOfArguments) {
  Tensor x = random_point(3, {4});
  const Tensor before = copy(x);
  const Function same = [](const Tensors& at) { return at; };
  const Tensors results{
      custom_root([](const Tensors& at) { return Tensors{at[0] - at[0]}; }, {x},
                  [](const Function&, const Tensors& guess) { return guess; })[0],
      implicit::fixed_point(same, {x})[0],
      while_loop([](const Tensors& at) { return Tensors{any(at[0] != at[0])}; }, same, {x})[0],
      checkpoint(same, {x})[0], scan(same, {x}, {}, {.length = 2}).carry[0]};
  for (Tensor result : results) {
    EXPECT_NE(result.impl().storage, x.impl().storage);
    assign(result, zeros({4}, DType::float64));
  }
  expect_close(x, before, 0);
}

TEST(Implicit, KrylovSolversConverge) {
  const Tensor a = regular(30) / 3.0, spd = matmul(a, matrix_transpose(a)), b = random_point(2, {30});
  linalg::KrylovOptions options;
  options.tol = 1e-12;
  const auto product = [](const Tensor& m) -> Function {
    return [m](const Tensors& x) { return Tensors{matmul(m, x[0])}; };
  };
  const auto cg = linalg::cg(product(spd), {b}, {}, options);
  EXPECT_EQ(item<int64_t>(cg.info), 0);
  expect_close(matmul(spd, cg.x[0]), b, 1e-10);
  const auto gmres = linalg::gmres(product(a), {b}, {}, options);
  EXPECT_EQ(item<int64_t>(gmres.info), 0);
  expect_close(matmul(a, gmres.x[0]), b, 1e-10);
  const Tensor bad = full({30}, NAN, DType::float64);
  EXPECT_TRUE(item<bool>(all(isnan(linalg::cg(product(spd), {bad}).x[0]))));
  EXPECT_TRUE(item<bool>(all(isnan(linalg::gmres(product(a), {bad}).x[0]))));
  options.maxiter = 1;
  EXPECT_EQ(item<int64_t>(linalg::cg(product(spd), {b}, {}, options).info), 1);
  const ScalarFunction unfinished = [&](const Tensors& in) {
    return sum(linalg::cg(product(spd), in, {}, options).x[0]);
  };
  EXPECT_TRUE(item<bool>(all(isnan(value_and_grad(unfinished, {b}).gradients[0]))));
}

}  // namespace
}  // namespace tidu
