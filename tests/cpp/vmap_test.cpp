// vmap against a loop, from C++.
#include "transforms/vmap.h"

#include <gtest/gtest.h>

#include "finite_difference.h"
#include "tidu.h"

namespace tidu {
namespace {

using testing::expect_close;
using testing::random_point;

TEST(Vmap, IsALoop) {
  const Tensor a = random_point(1, {4, 3}), x = random_point(2, {5, 3}), y = random_point(3, {3, 5});
  const Function f = [&](const Tensors& in) { return Tensors{matmul(a, sin(in[0])), sum(in[0] * in[1])}; };
  const Tensors got = vmap(f, {0, 1}, {1, 0})({x, y});
  for (int64_t i = 0; i < 5; ++i) {
    const Tensors want = f({x[i], select(y, 1, i)});
    expect_close(select(got[0], 1, i), want[0]);
    expect_close(got[1][i], want[1]);
  }
}

TEST(Vmap, NestsWithDerivatives) {
  const Tensor w = random_point(4, {3}), x = random_point(5, {6, 3});
  const Function gradient = [&](const Tensors& in) {
    return value_and_grad([](const Tensors& p) { return sum(exp(p[0] * p[1])); }, in).gradients;
  };
  const Tensors of_each = vmap(gradient, {std::nullopt, 0})({w, x});
  expect_close(of_each[0], x * exp(w * x));
  expect_close(of_each[1], w * exp(w * x));
  const auto total = [&](const Tensors& in) {
    return sum(
        vmap([](const Tensors& p) { return Tensors{sum(exp(p[0] * p[1]))}; }, {std::nullopt, 0})(in)[0]);
  };
  expect_close(value_and_grad(total, {w, x}).gradients[0], sum(x * exp(w * x), 0));
}

TEST(Vmap, Refuses) {
  const Function twice = [](const Tensors& in) { return Tensors{in[0] * 2}; };
  const Tensor x = random_point(6, {2, 3});
  EXPECT_THROW(vmap(twice)({x[0][0]}), ValueError);
  EXPECT_THROW(vmap(twice, {std::nullopt})({x}), ValueError);
  EXPECT_THROW(vmap(twice, {0, 0})({x}), ValueError);
  EXPECT_THROW(vmap(twice, {0}, {std::nullopt})({x}), ValueError);
  EXPECT_THROW(vmap(twice, {2})({x}), IndexError);
  const Function sums = [](const Tensors& in) { return Tensors{in[0] + in[1]}; };
  EXPECT_THROW(vmap(sums, {0, 1})({x, x}), ValueError);
  const Function reads = [](const Tensors& in) { return Tensors{in[0] * item<double>(in[0][0])}; };
  EXPECT_THROW(vmap(reads)({x}), TraceError);
}

// The fields of attributes say what a primitive does with one more axis in front.
TEST(Vmap, AttributesMoveByTheMeaningOfTheirFields) {
  EXPECT_EQ(Attrs(SliceViewAttrs{{{1, 0}, {2, 3}, {1, -1}}, {0}, {1}}).with_axis(7),
            Attrs(SliceViewAttrs{{{0, 1, 0}, {7, 2, 3}, {1, 1, -1}}, {1}, {2}}));
  EXPECT_EQ(Attrs(PermuteAttrs{{1, 0}}).with_axis(7), Attrs(PermuteAttrs{{0, 2, 1}}));
  EXPECT_EQ(Attrs(IndexAttrs{{1}, {0}, {1}}).with_axis(7), Attrs(IndexAttrs{{2}, {0, 1}, {2}}));
  EXPECT_EQ(Attrs(DTypeAttrs{DType::int8}).with_axis(7), Attrs(DTypeAttrs{DType::int8}));
  EXPECT_TRUE(Attrs().with_axis(7).empty());
}

TEST(Jacobians, ChunksGiveTheSame) {
  const Tensor a = random_point(7, {5, 5}), x = random_point(8, {5});
  const ScalarFunction f = [&](const Tensors& in) { return sum(sin(matmul(a, in[0])) * in[0]); };
  const Tensor all = hessian(f, {x})[0][0];
  for (const int64_t chunk : {1, 2, 5, 9}) expect_close(hessian(f, {x}, chunk)[0][0], all);
  for (int64_t i = 0; i < 5; ++i)
    expect_close(select(all, 1, i), hvp(f, {x}, {eye(5, 5, 0, DType::float64)[i]})[0]);
  EXPECT_THROW(hessian(f, {x}, 0), ValueError);
}

}  // namespace
}  // namespace tidu
