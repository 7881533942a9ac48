// Softmax and its relatives against their definitions in long double.
#include "kernels/cpu/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/targets.h"

namespace tidu::cpu {
namespace {

using Real = long double;

template <class T> void check(int64_t rows, int64_t n, double spread) {
  std::mt19937_64 random(static_cast<uint64_t>(n));
  std::normal_distribution<double> normal(0, spread);
  std::vector<T> x(static_cast<size_t>(rows * n)), y(x.size() + 1, T(42)), z(x.size() + 1, T(42)),
      d(x.size() + 1, T(42));
  std::vector<T> sums(static_cast<size_t>(rows)), losses(sums), g(sums);
  std::vector<int64_t> labels(sums.size());
  for (T& value : x) value = static_cast<T>(normal(random));
  for (T& value : g) value = static_cast<T>(normal(random));
  for (int64_t& label : labels) label = static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  for (size_t r = 2; r < labels.size(); r += 3) labels[r] = -1;  // does not count
  const SoftmaxFunctions f = softmax_functions(dtype_of<T>);
  f.softmax(x.data(), y.data(), rows, n);
  f.log_softmax(x.data(), z.data(), rows, n);
  f.logsumexp(x.data(), sums.data(), rows, n);
  f.cross_entropy(x.data(), labels.data(), losses.data(), rows, n);
  f.cross_entropy_grad(x.data(), labels.data(), g.data(), 1, d.data(), rows, n);
  const double eps = std::numeric_limits<T>::epsilon();
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x.data() + r * n;
    Real largest = row[0], sum = 0;
    for (int64_t i = 0; i < n; ++i) largest = std::max<Real>(largest, row[i]);
    for (int64_t i = 0; i < n; ++i) sum += std::exp(row[i] - largest);
    const Real log_sum = largest + std::log(sum);
    const size_t at = static_cast<size_t>(r), label = static_cast<size_t>(std::max<int64_t>(labels[at], 0));
    const bool counts = labels[at] >= 0;
    // The shift by the largest element rounds at its size.
    const double size = 1 + std::fabs(static_cast<double>(largest)), slack = 4 * eps;
    ASSERT_NEAR(sums[at], log_sum, slack * size);
    ASSERT_NEAR(losses[at], counts ? log_sum - row[label] : 0, slack * (size + std::fabs(row[label])));
    for (int64_t i = 0; i < n; ++i) {
      const size_t k = static_cast<size_t>(r * n + i);
      const Real p = std::exp(row[i] - largest) / sum, distance = largest - row[i];
      ASSERT_NEAR(y[k], p, eps * static_cast<double>(p * (4 + 2 * distance)) + std::numeric_limits<T>::min());
      ASSERT_NEAR(z[k], row[i] - log_sum, slack * (size + std::fabs(row[i])));
      const double weight = counts ? std::fabs(g[at]) : 0;
      ASSERT_NEAR(d[k], counts ? (p - (static_cast<size_t>(i) == label)) * g[at] : 0,
                  4 * eps * weight + std::numeric_limits<T>::min());
    }
  }
  for (const auto& guarded : {y, z, d}) ASSERT_EQ(guarded.back(), T(42));
}

TEST(Softmax, FollowsItsDefinition) {
  on_each_target([] {
    for (const int64_t n : {1, 2, 3, 7, 8, 10, 15, 16, 17, 31, 32, 33, 100, 1000}) {
      for (const double spread : {1.0, 30.0, 1000.0}) {
        check<float>(5, n, spread);
        check<double>(5, n, spread);
      }
    }
  });
}

template <class T> void check_special() {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const SoftmaxFunctions f = softmax_functions(dtype_of<T>);
  const auto log_sum = [&](std::vector<T> x) {
    T y;
    f.logsumexp(x.data(), &y, 1, static_cast<int64_t>(x.size()));
    return y;
  };
  const auto soft = [&](std::vector<T> x) {
    f.softmax(x.data(), x.data(), 1, static_cast<int64_t>(x.size()));
    return x;
  };
  const auto limit = [&](std::vector<T> x) {
    f.softmax_limit(x.data(), x.data(), 1, static_cast<int64_t>(x.size()));
    return x;
  };
  EXPECT_EQ(log_sum({-inf, -inf, -inf}), -inf);
  EXPECT_EQ(log_sum({0, inf}), inf);
  EXPECT_EQ(log_sum({-inf, 5}), 5);
  EXPECT_TRUE(std::isnan(log_sum({nan, 1})));
  EXPECT_TRUE(std::isnan(log_sum({inf, nan})));
  EXPECT_TRUE(std::isnan(log_sum({-inf, nan})));
  EXPECT_EQ(log_sum({}), -inf);
  EXPECT_EQ(soft({-inf, 3, -inf}), (std::vector<T>{0, 1, 0}));
  for (const T value : soft({nan, 1, 2})) EXPECT_TRUE(std::isnan(value));
  for (const T value : soft({inf, 1})) EXPECT_TRUE(std::isnan(value));
  for (const T value : soft({-inf, -inf})) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(limit({1, 1}), (std::vector<T>{0.5, 0.5}));
  EXPECT_EQ(limit({1, inf, 100}), (std::vector<T>{0, 1, 0}));
  EXPECT_EQ(limit({inf, -inf}), (std::vector<T>{1, 0}));
  EXPECT_EQ(limit({-inf, -inf, -inf}), (std::vector<T>{0, 0, 0}));
  for (const std::vector<T>& broken : {std::vector<T>{nan, 1}, {inf, nan}, {nan, -inf}})
    for (const T value : limit(broken)) EXPECT_TRUE(std::isnan(value));
  const std::vector<T> several = limit({inf, 0, inf});
  EXPECT_TRUE(std::isnan(several[0]) && several[1] == 0 && std::isnan(several[2]));
  const int64_t label = 1;
  const T none = 0;
  std::vector<T> slope = {nan, inf, 1};
  f.cross_entropy_grad(slope.data(), &label, &none, 1, slope.data(), 1, 3);
  EXPECT_EQ(slope, (std::vector<T>{0, 0, 0}));
  std::vector<T> x = {-inf, 0};
  f.log_softmax(x.data(), x.data(), 1, 2);
  EXPECT_EQ(x, (std::vector<T>{-inf, 0}));
}

TEST(Softmax, SpecialValues) {
  on_each_target([] {
    check_special<float>();
    check_special<double>();
  });
}

}  // namespace
}  // namespace tidu::cpu
