// Elements in other places, from C++.
#include "ops/arrange.h"

#include <gtest/gtest.h>

#include "tidu.h"

namespace tidu {
namespace {

std::vector<int64_t> elements(const Tensor& x) { return to_vector<int64_t>(flatten(x)); }
using Numbers = std::vector<int64_t>;

TEST(Arrange, RollsTurnsAndRepeats) {
  const Tensor x = reshape(arange(6), {2, 3});
  EXPECT_EQ(elements(roll(x, {1})), (Numbers{5, 0, 1, 2, 3, 4}));
  EXPECT_EQ(elements(roll(x, {1, -1}, Axes{0, 1})), (Numbers{4, 5, 3, 1, 2, 0}));
  EXPECT_EQ(elements(rot90(x)), (Numbers{2, 5, 1, 4, 0, 3}));
  EXPECT_EQ(elements(tile(x, {1, 2})), (Numbers{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}));
  EXPECT_EQ(elements(repeat(x, 2, 0)), (Numbers{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}));
  EXPECT_EQ(elements(repeat(x, tensor<int64_t>({0, 2, 1}), 1)), (Numbers{1, 1, 2, 4, 4, 5}));
}

TEST(Arrange, PadsBySeveralModes) {
  const Tensor x = arange(3);
  EXPECT_EQ(elements(pad(x, {2}, {1}, Scalar(7))), (Numbers{7, 7, 0, 1, 2, 7}));
  EXPECT_EQ(elements(pad(x, {2}, {1}, PadMode::reflect)), (Numbers{2, 1, 0, 1, 2, 1}));
  EXPECT_EQ(elements(pad(x, {2}, {1}, PadMode::symmetric)), (Numbers{1, 0, 0, 1, 2, 2}));
  EXPECT_EQ(elements(pad(x, {2}, {1}, PadMode::edge)), (Numbers{0, 0, 0, 1, 2, 2}));
  EXPECT_EQ(elements(pad(x, {2}, {1}, PadMode::wrap)), (Numbers{1, 2, 0, 1, 2, 0}));
}

TEST(Arrange, MakesDiagonalsAndGrids) {
  const Tensor x = arange(2);
  EXPECT_EQ(elements(diag(x, 1)), (Numbers{0, 0, 0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(elements(diag(diag(x, 1), 1)), (Numbers{0, 1}));
  EXPECT_EQ(elements(block_diag({x, x})), (Numbers{0, 1, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(elements(meshgrid({x, arange(3)}, true)[1]), (Numbers{0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(elements(cartesian_prod({x, x})), (Numbers{0, 0, 0, 1, 1, 0, 1, 1}));
  EXPECT_EQ(elements(vander(x + 2, 3)), (Numbers{4, 2, 1, 9, 3, 1}));
  EXPECT_EQ(unstack(x)[1].ndim(), 0);
  EXPECT_EQ(chunk(arange(5), 2)[1].numel(), 2);
  EXPECT_EQ(at_least(3, x).shape(), (Shape{1, 2, 1}));
  EXPECT_THROW(diag(zeros({2, 2, 2})), ShapeError);
}

}  // namespace
}  // namespace tidu
