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

}  // namespace
}  // namespace tidu
