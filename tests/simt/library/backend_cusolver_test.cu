// Factorisations of random matrices: products of the factors, residuals of solutions, verdicts; and what the
// emulated library refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "backend/cuda/cusolver.h"
#include "simt/control.h"

using namespace tidu;
using namespace tidu::cuda;

namespace {

const SolverCall kCall{0, nullptr, "[test] float64(2, 4, 4) cuda:0"};

template <class T> class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    EXPECT_EQ(cudaMalloc(&data_, count * sizeof(T)), cudaSuccess);
  }
  explicit DeviceArray(const std::vector<T>& host) : DeviceArray(host.size()) {
    cudaMemcpy(data_, host.data(), count_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  DeviceArray(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }
  T* get() const { return static_cast<T*>(data_); }
  std::vector<T> host() const {
    std::vector<T> values(count_);
    cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
    return values;
  }

 private:
  size_t count_;
  void* data_ = nullptr;
};

template <class T> std::vector<T> random_values(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(random() % 2001) / 1000 - 1;
  return values;
}

// x x^T + n: symmetric, positive definite, well conditioned.
template <class T> std::vector<T> definite(int64_t n, int64_t count) {
  const auto x = random_values<T>(static_cast<size_t>(n * n * count), 1);
  std::vector<T> a(x.size());
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t column = 0; column < n; ++column) {
        T sum = row == column ? static_cast<T>(n) : T(0);
        for (int64_t k = 0; k < n; ++k) sum += x[(i * n + row) * n + k] * x[(i * n + column) * n + k];
        a[(i * n + row) * n + column] = sum;
      }
    }
  }
  return a;
}

template <class T> class Cusolver : public testing::Test {
 protected:
  static constexpr double kTolerance = std::is_same_v<T, float> ? 2e-5 : 1e-13;
  static SquareMatrices matrices(const DeviceArray<T>& a, int64_t n, int64_t count) {
    return {dtype_of<T>, n, count, a.get()};
  }
};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(Cusolver, Types);

TYPED_TEST(Cusolver, Cholesky) {
  using T = TypeParam;
  for (const int64_t n : {1, 2, 7, 33}) {
    const int64_t count = 3, columns = 2;
    const std::vector<T> a = definite<T>(n, count);
    std::vector<T> given = a;  // above the diagonal nothing is read
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t row = 0; row < n; ++row) {
        for (int64_t column = row + 1; column < n; ++column) given[(i * n + row) * n + column] = NAN;
      }
    }
    const DeviceArray<T> factors(given);
    const SquareMatrices matrices = this->matrices(factors, n, count);
    const DeviceArray<char> workspace(cholesky_workspace(kCall, matrices));
    const DeviceArray<int> info(count);
    cholesky(kCall, matrices, workspace.get(), info.get());
    require_positive_definite(kCall, info.get(), count);
    const std::vector<T> l = factors.host();
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t row = 0; row < n; ++row) {
        for (int64_t column = 0; column < n; ++column) {
          double sum = 0;
          for (int64_t k = 0; k < n; ++k)
            sum += double(l[(i * n + row) * n + k]) * l[(i * n + column) * n + k];
          EXPECT_NEAR(sum, a[(i * n + row) * n + column], this->kTolerance * 3 * n);
          if (column > row) { EXPECT_EQ(l[(i * n + row) * n + column], T(0)); }
        }
      }
    }
    const auto b = random_values<T>(static_cast<size_t>(count * n * columns), 2);
    const DeviceArray<T> x(b);
    cholesky_solve(kCall, matrices, {x.get(), columns}, info.get());
    const std::vector<T> solution = x.host();
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t column = 0; column < columns; ++column) {
        for (int64_t row = 0; row < n; ++row) {
          double sum = 0;
          for (int64_t k = 0; k < n; ++k) {
            sum += double(a[(i * n + row) * n + k]) * solution[(i * columns + column) * n + k];
          }
          EXPECT_NEAR(sum, b[(i * columns + column) * n + row], this->kTolerance * n);
        }
      }
    }
  }
}

TYPED_TEST(Cusolver, Lu) {
  using T = TypeParam;
  for (const int64_t n : {1, 3, 20}) {
    const int64_t count = 2, columns = 3;
    std::vector<T> a = random_values<T>(static_cast<size_t>(n * n * count), 3);
    for (int64_t i = 0; i < count * n; ++i) a[i * n + i % n] += 1;
    const DeviceArray<T> factors(a);
    const SquareMatrices matrices = this->matrices(factors, n, count);
    const DeviceArray<char> workspace(lu_workspace(kCall, matrices));
    const DeviceArray<int> info(count), pivots(count * n);
    lu_factor(kCall, matrices, pivots.get(), workspace.get(), info.get());
    require_regular(kCall, info.get(), count);
    // L U against the rows of a in their new order; everything column-major.
    const std::vector<T> lu = factors.host();
    const std::vector<int> exchanged = pivots.host();
    for (int64_t i = 0; i < count; ++i) {
      std::vector<int64_t> order(n);
      for (int64_t row = 0; row < n; ++row) order[row] = row;
      for (int64_t row = 0; row < n; ++row) std::swap(order[row], order[exchanged[i * n + row] - 1]);
      for (int64_t row = 0; row < n; ++row) {
        for (int64_t column = 0; column < n; ++column) {
          double sum = 0;
          for (int64_t k = 0; k <= std::min(row, column); ++k) {
            const double lower = k == row ? 1 : lu[(i * n + k) * n + row];
            sum += lower * lu[(i * n + column) * n + k];
          }
          EXPECT_NEAR(sum, a[(i * n + column) * n + order[row]], this->kTolerance * n);
        }
      }
    }
    for (const bool transposed : {false, true}) {
      const auto b = random_values<T>(static_cast<size_t>(count * n * columns), 4);
      const DeviceArray<T> x(b);
      lu_solve(kCall, matrices, pivots.get(), transposed, {x.get(), columns}, info.get());
      const std::vector<T> solution = x.host();
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t column = 0; column < columns; ++column) {
          double residual = 0, size = 0;
          for (int64_t row = 0; row < n; ++row) {
            double sum = -b[(i * columns + column) * n + row];
            for (int64_t k = 0; k < n; ++k) {
              const double element = transposed ? a[(i * n + row) * n + k] : a[(i * n + k) * n + row];
              sum += element * solution[(i * columns + column) * n + k];
              size = std::max(size, std::abs(element * solution[(i * columns + column) * n + k]));
            }
            residual = std::max(residual, std::abs(sum));
          }
          EXPECT_LE(residual, this->kTolerance * n * size);
        }
      }
    }
  }
}

template <class F> std::string message_of(F f) {
  try {
    f();
  } catch (const std::exception& error) { return error.what(); }
  return "";
}

TEST(CusolverVerdicts, NameTheMatrixAndTheReason) {
  std::vector<double> a = definite<double>(4, 2);
  a[16 + 2 * 4 + 2] = -1;  // matrix 1: the leading minor of order 3 is negative
  const DeviceArray<double> factors(a);
  const SquareMatrices matrices{DType::float64, 4, 2, factors.get()};
  const DeviceArray<char> workspace(cholesky_workspace(kCall, matrices));
  const DeviceArray<int> info(2), pivots(8);
  cholesky(kCall, matrices, workspace.get(), info.get());
  EXPECT_EQ(message_of([&] { require_positive_definite(kCall, info.get(), 2); }),
            kCall.what + ": matrix 1 is not positive definite: its leading minor of order 3 is not");

  std::vector<double> zero_row(16, 0.0);
  for (int i = 0; i < 3; ++i) zero_row[i * 5] = 1;
  const DeviceArray<double> singular(zero_row);
  const SquareMatrices one{DType::float64, 4, 1, singular.get()};
  const DeviceArray<char> scratch(lu_workspace(kCall, one));
  lu_factor(kCall, one, pivots.get(), scratch.get(), info.get());
  EXPECT_EQ(message_of([&] { require_regular(kCall, info.get(), 1); }),
            kCall.what + ": the matrix is singular: pivot 4 is zero");
}

TEST(CusolverVerdicts, MatricesWithoutRowsAreFine) {
  const DeviceArray<int> info(3);
  const SquareMatrices none{DType::float32, 0, 3, nullptr};
  cholesky(kCall, none, nullptr, info.get());
  require_positive_definite(kCall, info.get(), 3);
}

TEST(CusolverErrors, WrongDtypeAndWorkspace) {
  const DeviceArray<double> a(definite<double>(4, 1));
  const DeviceArray<int> info(1);
  EXPECT_THROW(cholesky_workspace(kCall, {DType::float16, 4, 1, a.get()}), DTypeError);
  // The emulated library looks where its operands are: a workspace too small and a host pointer.
  const DeviceArray<char> small(16);
  EXPECT_THROW(cholesky(kCall, {DType::float64, 4, 1, a.get()}, small.get(), info.get()), DeviceError);
  EXPECT_NE(simt::last_report().find("workspace: ends outside"), std::string::npos) << simt::last_report();
  int on_host = 0;
  const DeviceArray<char> workspace(cholesky_workspace(kCall, {DType::float64, 4, 1, a.get()}));
  EXPECT_THROW(cholesky(kCall, {DType::float64, 4, 1, a.get()}, workspace.get(), &on_host), DeviceError);
  EXPECT_NE(simt::last_report().find("devInfo: not device memory"), std::string::npos) << simt::last_report();
}

}  // namespace
