// The cpu device's kernels through the public operations, against plain loops in double; every layout, and
// the same bits for any number of threads.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <thread>

#include "backend/cpu/threads.h"
#include "core/bind.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/matmul.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/softmax.h"
#include "ops/update.h"

namespace tidu {
namespace {

Tensor random_tensor(const Shape& shape, DType dtype = DType::float32, uint64_t seed = 1) {
  return random_normal(random_key(seed), shape, 0, 1, dtype);
}

// The elements as doubles, read through strides one by one.
std::vector<double> values(const Tensor& x) {
  std::vector<double> result;
  visit_dtype(x.dtype(), [&]<class T>() {
    const T* data = static_cast<const T*>(x.raw_data());
    for (int64_t i = 0; i < x.numel(); ++i) {
      int64_t rest = i, offset = 0;
      for (int axis = x.ndim() - 1; axis >= 0; --axis) {
        offset += rest % x.size(axis) * x.strides()[axis];
        rest /= x.size(axis);
      }
      result.push_back(static_cast<double>(data[offset]));
    }
  });
  return result;
}

void expect_close(const Tensor& got, const std::vector<double>& want, double tolerance,
                  const std::string& what = "") {
  const std::vector<double> have = values(got);
  ASSERT_EQ(have.size(), want.size()) << what;
  for (size_t i = 0; i < have.size(); ++i) {
    if (std::isnan(want[i]) && std::isnan(have[i])) continue;
    if (want[i] == have[i]) continue;
    ASSERT_NEAR(have[i], want[i], tolerance * std::max(1.0, std::fabs(want[i]))) << what << " at " << i;
  }
}

// One shape, (6, 10, 14), laid out in many ways.
std::vector<Tensor> layouts(DType dtype = DType::float32) {
  const auto make = [&](const Shape& shape) {
    return random_tensor(shape, dtype, static_cast<uint64_t>(shape[0]));
  };
  return {
      make({6, 10, 14}),
      permute_dims(make({14, 10, 6}), {2, 1, 0}),
      permute_dims(make({10, 6, 14}), {1, 0, 2}),
      permute_dims(make({6, 14, 10}), {0, 2, 1}),
      broadcast_to(make({10, 1}), {6, 10, 14}),
      broadcast_to(make({14}), {6, 10, 14}),
      broadcast_to(make({6, 1, 1}), {6, 10, 14}),
      broadcast_to(make({6, 1, 14}), {6, 10, 14}),
      broadcast_to(reshape(make({1}), {}), {6, 10, 14}),
      flip(make({6, 10, 14}), {0, 2}),
      slice(make({13, 10, 30}), {1, 0, 28}, {6, 10, 14}, {2, 1, -2}),
  };
}

TEST(CpuBackend, ElementwiseOverEveryPairOfLayouts) {
  for (const DType dtype : {DType::float32, DType::float64, DType::float16}) {
    const double tolerance = dtype == DType::float64 ? 1e-15 : dtype == DType::float32 ? 1e-7 : 1e-3;
    for (const Tensor& a : layouts(dtype)) {
      for (const Tensor& b : layouts(dtype)) {
        std::vector<double> want = values(a);
        const std::vector<double> other = values(b);
        for (size_t i = 0; i < want.size(); ++i) want[i] += other[i];
        expect_close(a + b, want, tolerance);
      }
    }
  }
}

TEST(CpuBackend, ElementwiseLargeBroadcastAndTransposed) {
  const Tensor a = random_tensor({300, 500}), bias = random_tensor({500}), column = random_tensor({300, 1}),
               t = matrix_transpose(random_tensor({500, 300}));
  std::vector<double> want = values(a);
  const std::vector<double> b = values(bias), c = values(column), d = values(t);
  for (size_t i = 0; i < want.size(); ++i) want[i] = (want[i] + b[i % 500]) * c[i / 500] - d[i];
  expect_close((a + bias) * column - t, want, 1e-6);
  expect_close(
      where(t > 0, t, 0),
      [&] {
        std::vector<double> y = d;
        for (double& value : y) value = std::max(value, 0.0);
        return y;
      }(),
      0);
}

TEST(CpuBackend, CopiesAndCastsOfEveryLayout) {
  for (const Tensor& x : layouts()) {
    expect_close(copy(x), values(x), 0);
    EXPECT_TRUE(copy(x).is_contiguous());
    expect_close(astype(x, DType::float64), values(x), 0);
    std::vector<double> truncated = values(x);
    for (double& value : truncated) value = std::trunc(value);
    expect_close(astype(x, DType::int32), truncated, 0);
    expect_close(
        concat({x, x}, 1),
        [&] {
          std::vector<double> y;
          const std::vector<double> v = values(x);
          for (int i = 0; i < 6; ++i) {
            for (int repeat = 0; repeat < 2; ++repeat)
              y.insert(y.end(), v.begin() + i * 140, v.begin() + (i + 1) * 140);
          }
          return y;
        }(),
        0);
  }
  const Tensor wide = random_tensor({1000, 700});
  expect_close(copy(matrix_transpose(wide)), values(matrix_transpose(wide)), 0);
  expect_close(copy(matrix_transpose(astype(wide, DType::bfloat16))),
               values(matrix_transpose(astype(wide, DType::bfloat16))), 0);
}

TEST(CpuBackend, AssignWritesThroughViews) {
  for (const Tensor& source : layouts()) {
    Tensor target = zeros({10, 14, 6});
    Tensor view = permute_dims(target, {2, 0, 1});
    assign(view, source);
    expect_close(view, values(source), 0);
  }
  Tensor x = zeros({4, 5});
  assign_slice(x, ones({2, 2}), {0, 4}, {2, 2}, {2, -3});
  expect_close(x, {0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0}, 0);
  expect_close(slice_update(zeros({2, 3}), ones({1, 2}), {1, 1}, {1, 1}), {0, 0, 0, 0, 1, 1}, 0);
  EXPECT_THROW(slice_update(zeros({2, 3}), ones({1, 2}), {2, 1}, {1, 1}), IndexError);
  EXPECT_THROW(slice_update(zeros({2, 3}), ones({1, 2}), {1, 1}, {1, 3}), IndexError);
}

// Calls reduce(elements) for each output element in order.
template <class Reduce>
std::vector<double> reduce_naively(const Tensor& x, const Axes& axes, const Reduce& reduce) {
  const std::vector<double> v = values(x);
  std::vector<std::vector<double>> parts;
  int64_t count = 1;
  for (int i = 0; i < x.ndim(); ++i) count *= axes.contains(i) ? 1 : x.size(i);
  parts.resize(static_cast<size_t>(count));
  for (size_t i = 0; i < v.size(); ++i) {
    int64_t rest = static_cast<int64_t>(i), place = 0, weight = 1;
    for (int axis = x.ndim() - 1; axis >= 0; --axis) {
      const int64_t at = rest % x.size(axis);
      rest /= x.size(axis);
      if (axes.contains(axis)) continue;
      place += at * weight;
      weight *= x.size(axis);
    }
    parts[static_cast<size_t>(place)].push_back(v[i]);
  }
  std::vector<double> result;
  for (const auto& part : parts) result.push_back(reduce(part));
  return result;
}

double sum_of(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); }
double max_of(const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); }
double min_of(const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); }
double prod_of(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 1.0, std::multiplies<>());
}
double log_sum_exp_of(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += std::exp(x);
  return std::log(sum);
}

TEST(CpuBackend, ReductionsOverAllAxesOfEveryLayout) {
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
    const double tolerance = dtype == DType::float64 ? 1e-13 : dtype == DType::float32 ? 1e-5 : 1e-2;
    for (const Tensor& x : layouts(dtype)) {
      for (const Axes& axes :
           {Axes{0}, Axes{1}, Axes{2}, Axes{0, 1}, Axes{0, 2}, Axes{1, 2}, Axes{0, 1, 2}, Axes{}}) {
        const std::string what = str(dtype, x.strides(), " over ", axes);
        expect_close(sum(x, axes), reduce_naively(x, axes, sum_of), tolerance * 4, what);
        expect_close(max(x, axes), reduce_naively(x, axes, max_of), 0, what);
        expect_close(min(x, axes), reduce_naively(x, axes, min_of), 0, what);
        expect_close(logsumexp(x, axes), reduce_naively(x, axes, log_sum_exp_of), tolerance, what);
      }
      for (const int axis : {0, 1, 2}) {
        const auto where_max = [](const std::vector<double>& v) {
          return double(std::max_element(v.begin(), v.end()) - v.begin());
        };
        const auto where_min = [](const std::vector<double>& v) {
          return double(std::min_element(v.begin(), v.end()) - v.begin());
        };
        expect_close(argmax(x, axis), reduce_naively(x, {axis}, where_max), 0);
        expect_close(argmin(x, axis), reduce_naively(x, {axis}, where_min), 0);
        expect_close(prod(x, Axes{axis}), reduce_naively(x, {axis}, prod_of), tolerance);
      }
    }
  }
}

TEST(CpuBackend, LargeReductions) {
  const Tensor x = random_tensor({70000, 10}), w = random_tensor({10, 70000}), v = random_tensor({300000});
  expect_close(sum(x, Axes{0}), reduce_naively(x, {0}, sum_of), 1e-3);
  expect_close(sum(x, Axes{1}), reduce_naively(x, {1}, sum_of), 1e-5);
  expect_close(sum(w, Axes{0}), reduce_naively(w, {0}, sum_of), 1e-5);
  expect_close(sum(w, Axes{1}), reduce_naively(w, {1}, sum_of), 1e-3);
  expect_close(sum(v), reduce_naively(v, {0}, sum_of), 1e-3);
  expect_close(max(w, Axes{1}), reduce_naively(w, {1}, max_of), 0);
  expect_close(sum(astype(v * 100, DType::int32)), reduce_naively(astype(v * 100, DType::int32), {0}, sum_of),
               0);
  // In float32 a running sum would stop at 2^24.
  EXPECT_EQ(item<float>(sum(ones({1 << 25}))), static_cast<float>(1 << 25));
  EXPECT_EQ(item<float>(sum(ones({5000}, DType::float16))), 5000.0f);
}

TEST(CpuBackend, ReductionsOfSpecialValues) {
  const float nan = NAN, inf = INFINITY;
  EXPECT_TRUE(std::isnan(item<float>(max(tensor<float>({1, nan, 3})))));
  EXPECT_TRUE(std::isnan(item<float>(min(tensor<float>({1, nan, 3})))));
  EXPECT_EQ(item<int64_t>(argmax(tensor<float>({1, nan, 3, nan}))), 1);
  EXPECT_EQ(item<int64_t>(argmax(tensor<float>({1, 3, 3}))), 1);
  EXPECT_EQ(item<int64_t>(argmin(tensor<float>({2, 1, 1}))), 1);
  EXPECT_EQ(item<float>(logsumexp(tensor<float>({-inf, -inf}))), -inf);
  EXPECT_EQ(item<float>(logsumexp(tensor<float>({inf, 0}))), inf);
  EXPECT_EQ(item<float>(logsumexp(tensor<float>({1000, 1000}))), 1000 + std::log(2.0f));
  expect_close(sum(zeros({0, 3}), Axes{0}), {0, 0, 0}, 0);
  expect_close(prod(zeros({3, 0}), Axes{1}), {1, 1, 1}, 0);
  expect_close(logsumexp(zeros({2, 0}), Axes{1}), {-INFINITY, -INFINITY}, 0);
  expect_close(any(tensor<bool>({false, true})), {1}, 0);
  expect_close(all(tensor<bool>({false, true})), {0}, 0);
  expect_close(all(zeros({0}, DType::bool_)), {1}, 0);
  expect_close(any(zeros({0}, DType::bool_)), {0}, 0);
  expect_close(any(astype(random_tensor({40, 300}) > 3, DType::bool_), Axes{1}),
               reduce_naively(astype(random_tensor({40, 300}) > 3, DType::bool_), {1}, max_of), 0);
}

std::vector<double> softmax_naively(const Tensor& x, int axis, bool logarithm) {
  const Tensor last = copy(moveaxis(x, axis, -1));
  std::vector<double> v = values(last);
  const size_t n = static_cast<size_t>(last.size(-1));
  for (size_t row = 0; row < v.size(); row += n) {
    double sum = 0, largest = -INFINITY;
    for (size_t i = 0; i < n; ++i) largest = std::max(largest, v[row + i]);
    for (size_t i = 0; i < n; ++i) sum += std::exp(v[row + i] - largest);
    for (size_t i = 0; i < n; ++i) {
      v[row + i] = logarithm ? v[row + i] - largest - std::log(sum) : std::exp(v[row + i] - largest) / sum;
    }
  }
  return values(moveaxis(tensor<double>(v, last.shape()), -1, axis));
}

TEST(CpuBackend, SoftmaxAlongEveryAxisOfEveryLayout) {
  for (const DType dtype : {DType::float32, DType::float64, DType::float16}) {
    const double tolerance = dtype == DType::float64 ? 1e-14 : dtype == DType::float32 ? 1e-6 : 3e-3;
    for (const Tensor& x : layouts(dtype)) {
      for (const int axis : {0, 1, 2}) {
        expect_close(softmax(x, axis), softmax_naively(x, axis, false), tolerance);
        expect_close(log_softmax(x, axis), softmax_naively(x, axis, true), tolerance);
      }
    }
  }
  expect_close(softmax(tensor<float>({1000, 1000})), {0.5, 0.5}, 0);
  expect_close(log_softmax(tensor<float>({0, -1e30f})), {0, -1e30f}, 1e-7);
  expect_close(softmax(tensor<float>({-INFINITY, -INFINITY})), {NAN, NAN}, 0);
  expect_close(softmax(tensor<float>({-INFINITY, 3})), {0, 1}, 0);
}

TEST(CpuBackend, CrossEntropyAndItsGradient) {
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
    const double tolerance = dtype == DType::float64 ? 1e-14 : dtype == DType::float32 ? 2e-6 : 2e-2;
    const Tensor x = random_tensor({128, 10}, dtype),
                 labels = random_integers(random_key(4), {128}, 0, 10, DType::int32);
    const std::vector<double> p = softmax_naively(x, 1, false), logp = softmax_naively(x, 1, true),
                              label = values(labels);
    std::vector<double> losses, gradient = p;
    const Tensor g = random_tensor({128}, dtype, 8);
    const std::vector<double> weights = values(g);
    for (size_t r = 0; r < 128; ++r) {
      losses.push_back(-logp[r * 10 + static_cast<size_t>(label[r])]);
      gradient[r * 10 + static_cast<size_t>(label[r])] -= 1;
      for (size_t i = 0; i < 10; ++i) gradient[r * 10 + i] *= weights[r];
    }
    expect_close(softmax_cross_entropy(x, labels), losses, tolerance);
    const auto grad = [&](const Tensor& cotangent) {
      return bind(primitives::softmax_cross_entropy_grad, {x, astype(labels, DType::int64), cotangent},
                  CrossEntropyAttrs{});
    };
    expect_close(grad(g), gradient, tolerance);
    expect_close(grad(broadcast_to(ones({}, dtype), {128})), values(grad(ones({128}, dtype))), 0);
  }
  EXPECT_THROW(softmax_cross_entropy(zeros({2, 3}), tensor<int64_t>({0, 3})), IndexError);
  EXPECT_THROW(softmax_cross_entropy(zeros({2, 3}), tensor<int64_t>({0, -1})), IndexError);
}

std::vector<double> matmul_naively(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = values(a), y = values(b);
  const size_t m = static_cast<size_t>(a.size(-2)), k = static_cast<size_t>(a.size(-1)),
               n = static_cast<size_t>(b.size(-1));
  std::vector<double> z;
  for (size_t batch = 0; batch * m * k < x.size(); ++batch) {
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < n; ++j) {
        double sum = 0;
        for (size_t l = 0; l < k; ++l) sum += x[(batch * m + i) * k + l] * y[(batch * k + l) * n + j];
        z.push_back(sum);
      }
    }
  }
  return z;
}

// The k products of an element are added up in any order: roundings of their size, which add up as a random
// walk does, and one of the result (N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 3.1).
void expect_product(const Tensor& got, const Tensor& a, const Tensor& b, const std::string& what) {
  const double sums = got.dtype() == DType::float64 ? 0x1p-53 : 0x1p-24,
               result = got.dtype() == DType::float16 ? 0x1p-11 : sums;
  const std::vector<double> have = values(got), want = matmul_naively(a, b),
                            sizes = matmul_naively(abs(a), abs(b));
  ASSERT_EQ(have.size(), want.size()) << what;
  for (size_t i = 0; i < have.size(); ++i) {
    const double rounding = sums * 2 * std::sqrt(a.size(-1)) * sizes[i] + result * std::fabs(want[i]);
    ASSERT_NEAR(have[i], want[i], rounding) << what << " at " << i;
  }
}

TEST(CpuBackend, MatmulOfEveryLayout) {
  for (const DType dtype : {DType::float32, DType::float64, DType::float16}) {
    const auto ways = [&](int64_t rows, int64_t columns, uint64_t seed) -> std::vector<Tensor> {
      return {random_tensor({rows, columns}, dtype, seed),
              matrix_transpose(random_tensor({columns, rows}, dtype, seed)),
              slice(random_tensor({rows, columns + 3}, dtype, seed), {0, 2}, {rows, columns}, {1, 1}),
              slice(random_tensor({rows, 2 * columns}, dtype, seed), {0, 0}, {rows, columns}, {1, 2}),
              flip(random_tensor({rows, columns}, dtype, seed), {0}),
              broadcast_to(random_tensor({columns}, dtype, seed), {rows, columns})};
    };
    for (const auto& [m, k, n] :
         {std::array<int64_t, 3>{3, 4, 5}, {1, 7, 5}, {5, 7, 1}, {1, 9, 1}, {6, 1, 8}, {130, 70, 200}}) {
      for (const Tensor& a : ways(m, k, 2)) {
        for (const Tensor& b : ways(k, n, 3))
          expect_product(matmul(a, b), a, b, str(m, k, n, a.strides(), b.strides()));
      }
    }
  }
}

TEST(CpuBackend, MatmulBatchedAndEmpty) {
  const Tensor a = random_tensor({4, 3, 5, 6}), b = random_tensor({4, 3, 6, 7});
  expect_close(matmul(a, b), matmul_naively(a, b), 1e-5);
  const Tensor p = permute_dims(random_tensor({5, 4, 6, 3}), {1, 3, 0, 2});
  expect_close(matmul(p, b), matmul_naively(p, b), 1e-5);
  const Tensor shared = broadcast_to(random_tensor({6, 7}), {4, 3, 6, 7});
  expect_close(matmul(a, shared), matmul_naively(a, shared), 1e-5);
  expect_close(matmul(zeros({2, 0}), zeros({0, 3})), {0, 0, 0, 0, 0, 0}, 0);
  EXPECT_EQ(matmul(zeros({0, 4}), zeros({4, 3})).shape(), (Shape{0, 3}));
  const Tensor i = tensor<int64_t>({1, 2, 3, 4}, {2, 2});
  expect_close(matmul(i, matrix_transpose(i)), {5, 11, 11, 25}, 0);
  expect_close(matmul(astype(i, DType::int8) * 50, astype(i, DType::int8)), {94, -12, -18, 76}, 0);
  const Tensor large = random_tensor({300, 700}), other = random_tensor({700, 400});
  expect_close(matmul(large, other), matmul_naively(large, other), 1e-4);
}

TEST(CpuBackend, TakeAndScatter) {
  const Tensor x = random_tensor({5, 7, 3}), index = tensor<int64_t>({6, 0, -1, 3}, {2, 2});
  const std::vector<double> v = values(x);
  std::vector<double> taken;
  for (size_t o = 0; o < 5; ++o) {
    for (const size_t i : {6, 0, 6, 3})
      taken.insert(taken.end(), v.begin() + (o * 7 + i) * 3, v.begin() + (o * 7 + i + 1) * 3);
  }
  expect_close(take(x, index, 1), taken, 0);
  expect_close(take(tensor<int8_t>({1, 2, 3}), tensor<int64_t>({2, 2, 0}), 0), {3, 3, 1}, 0);
  expect_close(scatter_add(zeros({3}), tensor<int64_t>({2, 0, 2}), tensor<float>({1, 2, 3}), 0), {2, 0, 4},
               0);
  expect_close(
      scatter_add(zeros({3}, DType::float16), tensor<int64_t>({2, 0, -1}), tensor<float>({1, 2, 3}), 0),
      {2, 0, 4}, 0);
  const Tensor many = random_integers(random_key(3), {20000}, 0, 50), updates = random_tensor({20000, 70});
  std::vector<double> sums(50 * 70);
  const std::vector<double> places = values(many), u = values(updates);
  for (size_t i = 0; i < places.size(); ++i) {
    for (size_t j = 0; j < 70; ++j) sums[static_cast<size_t>(places[i]) * 70 + j] += u[i * 70 + j];
  }
  expect_close(scatter_add(zeros({50, 70}), many, updates, 0), sums, 1e-4);
  EXPECT_THROW(take(x, tensor<int64_t>({7}), 1), IndexError);
  EXPECT_THROW(take(x, tensor<int64_t>({-8}), 1), IndexError);
}

TEST(CpuBackend, Creation) {
  expect_close(full({2, 2}, 3, DType::bfloat16), {3, 3, 3, 3}, 0);
  expect_close(full({2}, true, DType::bool_), {1, 1}, 0);
  expect_close(arange(5, 0, -2, DType::int16), {5, 3, 1}, 0);
  expect_close(arange(0.5, 2.0, 0.5, DType::float32), {0.5, 1, 1.5}, 0);
  expect_close(linspace(0, 1, 5), {0, 0.25, 0.5, 0.75, 1}, 0);
  expect_close(eye(2, 3), {1, 0, 0, 0, 1, 0}, 0);
  std::vector<double> many(100000);
  std::iota(many.begin(), many.end(), 0);
  expect_close(arange(100000), many, 0);
  expect_close(full({100000}, 2.5, DType::float64), std::vector<double>(100000, 2.5), 0);
}

TEST(CpuBackend, Permutation) {
  const std::vector<int64_t> order = to_vector<int64_t>(random_permutation(random_key(5), 10000));
  std::vector<int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 10000; ++i) ASSERT_EQ(sorted[static_cast<size_t>(i)], i);
  EXPECT_NE(order, sorted);
}

std::vector<char> bytes(const Tensor& x) {
  const Tensor dense = contiguous(x);
  const char* data = static_cast<const char*>(dense.raw_data());
  return std::vector<char>(data, data + dense.nbytes());
}

TEST(CpuBackend, BitsDoNotDependOnThreads) {
  const int before = cpu::num_threads();
  const auto compute = [] {
    const Tensor x = random_tensor({300, 500}), y = random_tensor({500, 400}), v = random_tensor({500000}),
                 tall = random_tensor({70000, 10}), half = astype(v, DType::float16);
    return std::vector<std::vector<char>>{
        bytes(x),
        bytes(random_uniform(random_key(2), {100003}, 0, 1, DType::float64)),
        bytes(matmul(x, y)),
        bytes(sum(v)),
        bytes(sum(half)),
        bytes(sum(tall, Axes{0})),
        bytes(sum(tall, Axes{1})),
        bytes(sum(x, Axes{0})),
        bytes(exp(x) + 1),
        bytes(softmax(tall)),
        bytes(softmax(x, 0)),
        bytes(logsumexp(x)),
        bytes(prod(tall, Axes{0})),
        bytes(scatter_add(zeros({10, 500}), random_integers(random_key(3), {300}, 0, 10), x, 0)),
        bytes(matmul(astype(x, DType::float64), astype(y, DType::float64))),
        bytes(mean(permute_dims(tall, {1, 0}), Axes{1}))};
  };
  cpu::set_num_threads(1);
  const auto one = compute();
  for (const int threads : {2, 3, 7}) {
    cpu::set_num_threads(threads);
    EXPECT_EQ(cpu::num_threads(), threads);
    const auto several = compute();
    for (size_t i = 0; i < one.size(); ++i)
      EXPECT_EQ(one[i], several[i]) << "computation " << i << ", " << threads << " threads";
  }
  cpu::set_num_threads(before);
  EXPECT_THROW(cpu::set_num_threads(0), ValueError);
}

std::atomic<int> signals_seen = 0;

// A handler that runs while generated code has the stack pointer in a buffer on the heap would overwrite what
// lies before that buffer.
TEST(CpuBackend, SignalsDuringProductsHarmNothing) {
  const Tensor x = random_tensor({128, 784}), w = random_tensor({256, 784}), g = random_tensor({128, 256});
  const Tensor w_transposed = permute_dims(w, {1, 0}), g_transposed = permute_dims(g, {1, 0});
  const std::vector<double> want = values(matmul(x, w_transposed));
  const auto before = std::signal(SIGUSR1, [](int) { ++signals_seen; });
  std::atomic<bool> done = false;
  std::thread sender([&, target = pthread_self()] {
    while (!done) {
      pthread_kill(target, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  });
  for (int i = 0; i < 1000; ++i) {
    matmul(x, w_transposed);
    matmul(g_transposed, x);
  }
  done = true;
  sender.join();
  std::signal(SIGUSR1, before);
  EXPECT_GT(signals_seen, 100);
  EXPECT_EQ(values(matmul(x, w_transposed)), want);
}

}  // namespace
}  // namespace tidu
