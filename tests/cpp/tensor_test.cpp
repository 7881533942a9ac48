// Tensors as C++ programs handle them: printing, indexing, axes, and tensors that are none.
#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <thread>

#include "tidu.h"

namespace tidu {
namespace {

std::string printed(const Tensor& x) {
  std::ostringstream out;
  out << x;
  return out.str();
}

TEST(Printing, ShowsValuesInRows) {
  EXPECT_EQ(printed(tensor<float>({1, 2.5, -3, 4}, {2, 2})),
            "tensor([[  1, 2.5],\n        [ -3,   4]], float32 cpu)");
  EXPECT_EQ(printed(reshape(arange(4), {2, 1, 2})), "tensor([[[0, 1]],\n\n        [[2, 3]]], int64 cpu)");
  EXPECT_EQ(printed(full({}, 7, DType::int8)), "tensor(7, int8 cpu)");
  EXPECT_EQ(printed(tensor<bool>({true, false})), "tensor([ true, false], bool cpu)");
  EXPECT_EQ(printed(zeros({0, 3})), "tensor([], shape (0, 3), float32 cpu)");
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(printed(tensor<double>({0.1, -inf, std::nan("")})), "tensor([ 0.1, -inf,  nan], float64 cpu)");
  EXPECT_EQ(printed(full({1}, 0.1, DType::bfloat16)), "tensor([0.1001], bfloat16 cpu)");
  EXPECT_EQ(printed(permute_dims(reshape(arange(4), {2, 2}), {1, 0})),
            "tensor([[0, 2],\n        [1, 3]], int64 cpu)");
  EXPECT_EQ(printed(Tensor()), "tensor(none)");
}

TEST(Printing, LeavesOutTheMiddleOfMany) {
  EXPECT_EQ(printed(arange(1001)), "tensor([   0,    1,    2, ...,  998,  999, 1000], int64 cpu)");
  // As many as are shown at both ends are all shown.
  const std::string rows = printed(zeros({6, 1000}));
  EXPECT_EQ(std::ranges::count(rows, '\n'), 5);
  EXPECT_EQ(rows.find("\n        ...,\n"), std::string::npos);
  EXPECT_NE(printed(zeros({7, 1000})).find("\n        ...,\n"), std::string::npos);
  const std::string text = printed(zeros({50, 40}));
  EXPECT_EQ(std::ranges::count(text, '\n'), 6);
  EXPECT_NE(text.find("\n        ...,\n"), std::string::npos);
}

TEST(Indexing, TakesElementsAlongTheFirstAxis) {
  const Tensor x = reshape(arange(6), {2, 3});
  EXPECT_EQ(item<int64_t>(x[1][2]), 5);
  EXPECT_EQ(item<int64_t>(x[-1][-3]), 3);
  Tensor row = x[0];
  assign(row, full({}, 9, DType::int64));
  EXPECT_EQ(to_vector<int64_t>(x), (std::vector<int64_t>{9, 9, 9, 3, 4, 5}));
  EXPECT_THROW(x[2], IndexError);
  EXPECT_THROW(x[-3], IndexError);
  EXPECT_THROW(x[0][0][0], IndexError);
  EXPECT_THROW(x.size(2), IndexError);
  EXPECT_THROW(x.size(-3), IndexError);
}

TEST(Indexing, OfAxesLongerThanInt) {
  const Tensor x = broadcast_to(tensor<float>({3}), {int64_t{1} << 40});
  EXPECT_EQ(item<float>(x[-1]), 3);
  EXPECT_EQ(item<float>(x[(int64_t{1} << 40) - 1]), 3);
  EXPECT_THROW(x[int64_t{1} << 40], IndexError);
  EXPECT_EQ(slice_axis(x, 0, 1, 5, INT64_MAX).numel(), 1);
  EXPECT_EQ(slice_axis(x, 0, 5, 1, INT64_MIN).numel(), 1);
  EXPECT_THROW(slice(x, {0}, {3}, {INT64_MIN}), IndexError);
  EXPECT_THROW(slice(x, {1}, {2}, {INT64_MAX}), IndexError);
}

TEST(Indexing, DropsOnlyAxesOfOneElement) {
  const Tensor x = reshape(arange(6), {2, 3});
  EXPECT_EQ(slice(x, {1, 0}, {1, 3}, {1, 1}, {0}, {1}).shape(), (Shape{3, 1}));
  EXPECT_THROW(slice(x, {0, 0}, {2, 3}, {1, 1}, {0}, {}), IndexError);
  EXPECT_THROW(slice(x, {0, 0}, {1, 3}, {1, 1}, {2}, {}), IndexError);
  EXPECT_THROW(slice(x, {0, 0}, {1, 3}, {1, 1}, {-1}, {}), IndexError);
  EXPECT_THROW(slice(x, {0, 0}, {1, 3}, {1, 1}, {}, {3}), IndexError);
  EXPECT_THROW(slice(x, {0, 0}, {1, 3}, {1, 1}, {}, {-1}), IndexError);
}

TEST(Axes, AreANumberOrAList) {
  const Tensor x = tensor<float>({1, 2, 3, 4}, {2, 2});
  EXPECT_EQ(to_vector<float>(sum(x, {0})), (std::vector<float>{4, 6}));
  EXPECT_EQ(to_vector<float>(sum(x, 1)), (std::vector<float>{3, 7}));
  EXPECT_EQ(sum(x, {0, 1}, true).shape(), (Shape{1, 1}));
  EXPECT_EQ(item<float>(mean(x, {})), 2.5f);
  EXPECT_EQ(to_vector<float>(var(x, {-1})), (std::vector<float>{0.25f, 0.25f}));
}

TEST(UndefinedTensors, AreErrors) {
  Tensor none, x = tensor<float>({1, 2});
  const auto returns_none = [](const Tensor&) { return Tensor(); };
  EXPECT_THROW(none.shape(), ValueError);
  EXPECT_THROW(none.numel(), ValueError);
  EXPECT_THROW(none[0], ValueError);
  EXPECT_THROW(sum(none), ValueError);
  EXPECT_THROW(none + x, ValueError);
  EXPECT_THROW(sin(none), ValueError);
  EXPECT_THROW(where(none, x, x), ValueError);
  EXPECT_THROW(matmul(x, none), ValueError);
  EXPECT_THROW(concat({x, none}, 0), ValueError);
  EXPECT_THROW(stack({none, x}, 0), ValueError);
  EXPECT_THROW(reshape(none, {1}), ValueError);
  EXPECT_THROW(astype(none, DType::float64), ValueError);
  EXPECT_THROW(copy(none), ValueError);
  EXPECT_THROW(assign(none, x), ValueError);
  EXPECT_THROW(assign(x, none), ValueError);
  EXPECT_THROW(to_vector<float>(none), ValueError);
  EXPECT_THROW(none.backward(), ValueError);
  EXPECT_THROW(none.set_requires_grad(), ValueError);
  EXPECT_THROW(grad(returns_none)(x), ValueError);
  const auto all_none = [](const Tensors&) { return Tensors{Tensor()}; };
  EXPECT_THROW(jvp(all_none, {x}, {x}), ValueError);
  EXPECT_THROW(vjp(all_none, {x}), ValueError);
  EXPECT_THROW(hessian(returns_none)(x), ValueError);
  EXPECT_THROW(grad([](const Tensor& x) { return sum(x); })(none), ValueError);
  EXPECT_THROW(jvp([](const Tensors&) { return Tensors{Tensor()}; }, {x}, {x}), ValueError);
  EXPECT_FALSE(x.grad().defined());
}

// The node at which it stops may be the last that holds the rest of the graph, parts of which other roots
// share.
TEST(Backward, EndsCleanlyWhereARuleThrows) {
  Tensor x = tensor<float>({1, 2});
  x.set_requires_grad();
  const auto identity = [](const Tensors& in) { return in; };
  const auto throwing = [](const Tensors& in) {
    return CustomForward{{in[0] * 1}, [](const Tensors&) -> Tensors { fail<ValueError>("no pullback"); }};
  };
  const Tensor shared = exp(x);
  {
    const Tensor y = sum(sin(custom_vjp(identity, throwing, {cos(shared)})[0]));
    EXPECT_THROW(y.backward(), ValueError);
  }
  EXPECT_FALSE(x.grad().defined());
  sum(shared).backward();
  EXPECT_EQ(to_vector<float>(x.grad()), to_vector<float>(exp(tensor<float>({1, 2}))));
  EXPECT_THROW(sum(shared).backward(), GradientError);  // nothing is left pinned
}

TEST(Threads, MayGoBackwardThroughOneGraph) {
  Tensor x = tensor<float>({1, 2});
  x.set_requires_grad();
  for (int round = 0; round < 50; ++round) {
    x.set_grad({});
    const Tensor shared = x * x, y = sum(shared * 2), z = sum(shared);
    std::atomic<int> of_y = 0, of_z = 0;
    const auto backward = [](const Tensor& output, std::atomic<int>& done) {
      try {
        output.backward();
        ++done;
      } catch (const GradientError&) {  // the other thread freed the graph
      }
    };
    std::thread first(backward, y, std::ref(of_y)), second(backward, z, std::ref(of_z));
    first.join();
    second.join();
    const float factor = static_cast<float>(2 * (2 * of_y + of_z));
    EXPECT_GE(of_y + of_z, 1);
    EXPECT_EQ(to_vector<float>(x.grad()), (std::vector<float>{factor, 2 * factor}));
  }
}

TEST(Threads, AddToOneGrad) {
  Tensor x = tensor<float>({1, 2});
  x.set_requires_grad();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 100; ++k) sum(x * 2).backward();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(to_vector<float>(x.grad()), (std::vector<float>{800, 800}));
}

}  // namespace
}  // namespace tidu
