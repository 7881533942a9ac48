// Control flow from C++, against the same written out.
#include "transforms/control.h"

#include <gtest/gtest.h>

#include "finite_difference.h"
#include "tidu.h"

namespace tidu {
namespace {

using testing::expect_close;
using testing::random_point;

TEST(Control, ScanIsItsLoop) {
  const Tensor w = random_point(1, {3, 3}), h = random_point(2, {3}), xs = random_point(3, {6, 3});
  const auto by_scan = [&](const ScanOptions& options) -> ScalarFunction {
    return [&, options](const Tensors& in) {
      const Function step = [&](const Tensors& at) {
        const Tensor next = tanh(matmul(in[0], at[0]) + at[1]);
        return Tensors{next, sum(next * at[0])};
      };
      const Scan done = scan(step, {in[1]}, {xs}, options);
      return sum(done.carry[0]) + sum(square(done.results[0]));
    };
  };
  const ScalarFunction loop = [&](const Tensors& in) {
    Tensor c = in[1], total = zeros({}, DType::float64);
    for (int64_t i = 0; i < 6; ++i) {
      const Tensor next = tanh(matmul(in[0], c) + xs[i]);
      total = total + square(sum(next * c));
      c = next;
    }
    return sum(c) + total;
  };
  const ValueAndGrad want = value_and_grad(loop, {w, h});
  for (const std::optional<int64_t> every : {std::optional<int64_t>(), std::optional<int64_t>(4)}) {
    const ValueAndGrad got = value_and_grad(by_scan({{}, false, every}), {w, h});
    expect_close(got.value, want.value);
    for (int i = 0; i < 2; ++i) expect_close(got.gradients[i], want.gradients[i]);
    expect_close(hvp(by_scan({{}, false, every}), {w, h}, {w, h})[0], hvp(loop, {w, h}, {w, h})[0], 1e-10);
  }
}

TEST(Control, BranchesAndLoops) {
  const Tensor a = abs(random_point(4, {})) + 1, many = abs(random_point(5, {4})) + 1;
  const Function root = [](const Tensors& in) {
    return while_loop([&](const Tensors& x) { return Tensors{abs(x[0] * x[0] - in[0]) > 1e-13}; },
                      [&](const Tensors& x) { return Tensors{0.5 * (x[0] + in[0] / x[0])}; }, {in[0]}, 50);
  };
  expect_close(root({a})[0], sqrt(a));
  expect_close(value_and_grad([&](const Tensors& in) { return root(in)[0]; }, {a}).gradients[0],
               0.5 / sqrt(a), 1e-7);
  expect_close(vmap(root)({many})[0], sqrt(many));
  const Function absolute = [](const Tensors& in) {
    return cond(
        in[0] > 0, [](const Tensors& x) { return x; }, [](const Tensors& x) { return Tensors{-x[0]}; }, in);
  };
  const Tensor x = random_point(6, {5});
  expect_close(vmap(absolute)({x})[0], abs(x));
  EXPECT_THROW(cond(x > 0, absolute, absolute, {x}), ShapeError);
}

TEST(Control, CheckpointsComputeTwice) {
  const Tensor x = random_point(7, {4});
  int calls = 0;
  const Function f = [&](const Tensors& in) {
    ++calls;
    return Tensors{sin(exp(in[0]))};
  };
  const auto total = [&](const Tensors& in) { return sum(checkpoint(f, in)[0]); };
  expect_close(value_and_grad(total, {x}).gradients[0], cos(exp(x)) * exp(x));
  EXPECT_EQ(calls, 1);  // recorded once; the program runs twice
}

TEST(Control, StepsOfAScanAreStagesOfABudget) {
  const Tensor w = random_point(8, {4, 4}), h = random_point(9, {8, 4}), xs = random_point(10, {200});
  const Function f = [](const Tensors& in) {
    const Function step = [&](const Tensors& at) { return Tensors{tanh(matmul(at[0], in[0]) + at[1])}; };
    return Tensors{sum(square(scan(step, {in[1]}, {in[2]}).carry[0]))};
  };
  const auto within = [&](int64_t budget) -> ScalarFunction {
    return [&f, budget](const Tensors& in) { return checkpoint(f, in, budget)[0]; };
  };
  const ValueAndGrad want = value_and_grad([&](const Tensors& in) { return f(in)[0]; }, {w, h, xs});
  const int64_t carry = 8 * 4 * 8;
  for (const int64_t carries : {300, 60, 30}) {
    const ValueAndGrad got = value_and_grad(within(carries * carry), {w, h, xs});
    expect_close(got.value, want.value);
    for (int i = 0; i < 3; ++i) expect_close(got.gradients[i], want.gradients[i], 1e-11);
  }
  EXPECT_THROW(within(4 * carry)({w, h, xs}), ValueError);
}

TEST(Control, RulesAroundBranchesAndLoops) {
  const Function f = [](const Tensors& in) {
    const Function some = [](const Tensors& x) { return Tensors{sin(x[0]) * x[0]}; };
    const Tensor y = cond(
        sum(in[0]) > 0, some, [](const Tensors& x) { return x; }, in)[0];
    return Tensors{
        scan([&](const Tensors& at) { return Tensors{cos(at[0]) * y}; }, {y}, {}, {.length = 3}).carry[0]};
  };
  const Function by_jvp = [&](const Tensors& in) {
    return custom_jvp(
        f, [&](const Tensors& x, const Tensors& t) { return jvp(f, x, t); }, in);
  };
  const Function by_vjp = [&](const Tensors& in) {
    const auto forward = [&](const Tensors& x) {
      return CustomForward{f(x), [&f, x](const Tensors& c) { return vjp(f, x).pullback(c); }};
    };
    return custom_vjp(f, forward, in);
  };
  const Tensor x = random_point(11, {3, 4});
  const auto gradients = [&](const Function& function) {
    const Function gradient = [&](const Tensors& in) {
      return value_and_grad([&](const Tensors& at) { return sum(function(at)[0]); }, in).gradients;
    };
    return vmap(gradient)({x})[0];
  };
  const auto directions = [&](const Function& function) {
    return vmap([&](const Tensors& in) { return jvp(function, in, in).tangents; })({x})[0];
  };
  for (const Function& ruled : {by_jvp, by_vjp}) {
    expect_close(gradients(ruled), gradients(f));
    expect_close(directions(ruled), directions(f));
  }
}

}  // namespace
}  // namespace tidu
