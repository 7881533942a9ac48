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

// Columns between others give what rows do, but that sums are taken in another order.
template <class T> void check_columns(int64_t n, int64_t columns, bool special) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity(), kNan = std::numeric_limits<T>::quiet_NaN();
  const int64_t stride = columns + 3;
  std::mt19937_64 random(static_cast<uint64_t>(n * columns));
  std::normal_distribution<double> normal(0, 10);
  const auto at = [&](int64_t i, int64_t j) { return static_cast<size_t>(i * stride + j); };
  std::vector<T> x(static_cast<size_t>(n * stride), T(42));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      const uint64_t kind = special && j % 4 != 0 ? random() % 8 : 7;
      x[at(i, j)] = kind == 0   ? kInfinity
                    : kind == 1 ? kNan
                    : kind < 4  ? -kInfinity
                                : static_cast<T>(normal(random));
      if (special && j % 7 == 3) x[at(i, j)] = i == 0 ? kInfinity : -kInfinity;
      if (special && j % 7 == 5) x[at(i, j)] = -kInfinity;
    }
  }
  const SoftmaxFunctions f = softmax_functions(dtype_of<T>);
  for (const bool limit : {false, true}) {
    std::vector<T> y(x), log_y(x), both_y(x), both_log(x), in_place(x);
    f.softmax_columns(x.data(), nullptr, y.data(), limit, n, stride, columns);
    f.softmax_columns(x.data(), log_y.data(), nullptr, limit, n, stride, columns);
    f.softmax_columns(x.data(), both_log.data(), both_y.data(), limit, n, stride, columns);
    f.softmax_columns(in_place.data(), nullptr, in_place.data(), limit, n, stride, columns);
    for (int64_t j = 0; j < stride; ++j) {
      std::vector<T> column(static_cast<size_t>(n)), soft(column), log(column);
      for (int64_t i = 0; i < n; ++i) column[static_cast<size_t>(i)] = x[at(i, j)];
      (limit ? f.softmax_limit : f.softmax)(column.data(), soft.data(), 1, n);
      f.log_softmax(column.data(), log.data(), 1, n);
      if (j >= columns) soft = log = column;  // untouched
      for (int64_t i = 0; i < n; ++i) {
        const size_t k = at(i, j), row = static_cast<size_t>(i);
        const auto is_near = [](T a, T b, double tolerance) {
          return a == b || (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= tolerance;
        };
        // Sums have at most 68 terms in a row, of rows n, and the exponentials are the same.
        const double eps = static_cast<double>(68 + n) / 2 * std::numeric_limits<T>::epsilon();
        ASSERT_TRUE(is_near(y[k], soft[row], eps * soft[row])) << y[k] << ", " << soft[row];
        ASSERT_TRUE(is_near(log_y[k], log[row], eps * (1 + std::fabs(log[row]))))
            << log_y[k] << ", " << log[row];
        ASSERT_TRUE(is_near(both_y[k], y[k], 0) && is_near(in_place[k], y[k], 0));
        ASSERT_TRUE(is_near(both_log[k], log_y[k], 0));
      }
    }
  }
}

TEST(Softmax, ColumnsAreAsRows) {
  on_each_target([] {
    for (const int64_t n : {1, 2, 63, 64, 65, 200}) {
      for (const int64_t columns : {1, 3, 8, 16, 17, 63, 64, 65, 150}) {
        for (const bool special : {false, true}) {
          check_columns<float>(n, columns, special);
          check_columns<double>(n, columns, special);
        }
      }
    }
  });
}

}  // namespace
}  // namespace tidu::cpu
