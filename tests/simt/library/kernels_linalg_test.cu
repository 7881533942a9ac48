// What surrounds the libraries' factorisations, and what the emulated libraries refuse.
#include <cublas_v2.h>
#include <cusolverDn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/cuda/linalg.h"
#include "simt/control.h"

using namespace tidu;
using namespace tidu::cuda;

namespace {

template <class T> class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    EXPECT_EQ(cudaMalloc(&data_, std::max<size_t>(count, 1) * sizeof(T)), cudaSuccess);
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

// One fault record, as the backend keeps it for a device.
class Record {
 public:
  Record() : fault_(std::vector<Fault>{Fault{}}) {}
  FaultRecord get() const { return {fault_.get(), 7}; }
  Fault read() const { return fault_.host()[0]; }

 private:
  DeviceArray<Fault> fault_;
};

template <class T> class LinalgKernels : public testing::Test {
 protected:
  static constexpr DType kType = std::is_same_v<T, float> ? DType::float32 : DType::float64;
  static std::vector<T> counting(int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i + 1);
    return values;
  }
};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(LinalgKernels, Types);

TYPED_TEST(LinalgKernels, LowerTriangles) {
  for (const int64_t n : {1, 2, 17, 40}) {
    const DeviceArray<TypeParam> a(this->counting(3 * n * n));
    ASSERT_EQ(keep_lower(nullptr, {this->kType, a.get(), n, n, 3}), cudaSuccess);
    const std::vector<TypeParam> got = a.host();
    for (int64_t i = 0; i < 3 * n * n; ++i) {
      const bool upper = i % n > i / n % n;
      EXPECT_EQ(got[static_cast<size_t>(i)], upper ? TypeParam(0) : static_cast<TypeParam>(i + 1));
    }
  }
}

TYPED_TEST(LinalgKernels, UpperTriangles) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {17, 40}, {40, 17}}) {
    const DeviceArray<TypeParam> a(this->counting(2 * rows * columns));
    ASSERT_EQ(keep_upper(nullptr, {this->kType, a.get(), rows, columns, 2}), cudaSuccess);
    const std::vector<TypeParam> got = a.host();
    for (int64_t i = 0; i < 2 * rows * columns; ++i) {
      const bool lower = i % columns < i / columns % rows;
      EXPECT_EQ(got[static_cast<size_t>(i)], lower ? TypeParam(0) : static_cast<TypeParam>(i + 1));
    }
  }
}

TEST(LinalgMasks, ATrueElementIsAFault) {
  const int64_t size = 9 * 40;
  const DeviceArray<bool> mask(3 * size);
  ASSERT_EQ(cudaMemset(mask.get(), 0, 3 * size), cudaSuccess);
  const Record none, one;
  ASSERT_EQ(judge_mask(nullptr, {DType::bool_, mask.get(), 9, 40, 3}, none.get()), cudaSuccess);
  EXPECT_EQ(none.read().launch, 0u);
  ASSERT_EQ(cudaMemset(mask.get() + 2 * size + 300, 1, 1), cudaSuccess);
  ASSERT_EQ(judge_mask(nullptr, {DType::bool_, mask.get(), 9, 40, 3}, one.get()), cudaSuccess);
  EXPECT_EQ(one.read().matrix, MatrixFault::turning);
  EXPECT_EQ(one.read().position, 2);
  EXPECT_EQ(one.read().value, 300);
}

TYPED_TEST(LinalgKernels, Verdicts) {
  std::vector<int> values(1000, 0);
  const DeviceArray<int> good(values);
  values[777] = 5;
  const DeviceArray<int> bad(values);
  const Record none, one, zero;
  ASSERT_EQ(judge(nullptr, good.get(), nullptr, 1000, MatrixFault::pivot, none.get()), cudaSuccess);
  EXPECT_EQ(none.read().launch, 0u);
  ASSERT_EQ(judge(nullptr, bad.get(), bad.get(), 1000, MatrixFault::pivot, none.get()), cudaSuccess);
  EXPECT_EQ(none.read().launch, 0u);
  ASSERT_EQ(judge(nullptr, bad.get(), good.get(), 1000, MatrixFault::pivot, one.get()), cudaSuccess);
  EXPECT_EQ(one.read().matrix, MatrixFault::pivot);
  EXPECT_EQ(one.read().position, 777);
  EXPECT_EQ(one.read().value, 5);

  const int64_t n = 300;
  std::vector<TypeParam> a = this->counting(2 * n * n);
  a[1] = TypeParam(0);  // beside the diagonal
  a[static_cast<size_t>(n * n + 290 * (n + 1))] = TypeParam(0);
  const DeviceArray<TypeParam> matrices(a);
  ASSERT_EQ(judge_diagonal(nullptr, {this->kType, matrices.get(), n, n, 2}, zero.get()), cudaSuccess);
  EXPECT_EQ(zero.read().matrix, MatrixFault::diagonal);
  EXPECT_EQ(zero.read().position, 1);
  EXPECT_EQ(zero.read().value, 291);
}

TYPED_TEST(LinalgKernels, RowsAreExchangedThereAndBack) {
  const int64_t n = 5, columns = 130, count = 3;
  const std::vector<TypeParam> values = this->counting(n * columns * count);
  const std::vector<int> numbers{3, 2, 5, 4, 5, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5};
  const DeviceArray<int> from_one(numbers);
  const DeviceArray<int64_t> pivots(numbers.size());
  ASSERT_EQ(number_pivots(nullptr, from_one.get(), pivots.get(), 15), cudaSuccess);
  std::vector<TypeParam> want = values;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t row = 0; row < n; ++row) {
      const int64_t other = numbers[static_cast<size_t>(i * n + row)] - 1;
      for (int64_t k = 0; k < columns; ++k)
        std::swap(want[static_cast<size_t>((i * n + row) * columns + k)],
                  want[static_cast<size_t>((i * n + other) * columns + k)]);
    }
  }
  const DeviceArray<TypeParam> a(values);
  const Matrices matrices{this->kType, a.get(), n, columns, count};
  const Record record;
  ASSERT_EQ(exchange_rows(nullptr, matrices, pivots.get(), false, record.get()), cudaSuccess);
  EXPECT_EQ(a.host(), want);
  ASSERT_EQ(exchange_rows(nullptr, matrices, pivots.get(), true, record.get()), cudaSuccess);
  EXPECT_EQ(a.host(), values);
  EXPECT_EQ(record.read().launch, 0u);

  const DeviceArray<int64_t> wrong(std::vector<int64_t>{0, 1, 9, 3, 4});
  ASSERT_EQ(exchange_rows(nullptr, {this->kType, a.get(), n, 1, 1}, wrong.get(), false, record.get()),
            cudaSuccess);
  EXPECT_EQ(record.read().value, 9);
  EXPECT_EQ(record.read().position, 2);
  EXPECT_EQ(record.read().bound, n);
}

TYPED_TEST(LinalgKernels, MatricesThatAreNotFiniteAreSetAside) {
  const int64_t size = 6 * 70;
  std::vector<TypeParam> values = this->counting(4 * size);
  values[static_cast<size_t>(size + 300)] = NAN;
  values[static_cast<size_t>(3 * size)] = -INFINITY;
  const DeviceArray<TypeParam> a(values);
  const DeviceArray<int> lost(4);
  const Matrices matrices{this->kType, a.get(), 6, 70, 4};
  ASSERT_EQ(set_aside(nullptr, matrices, lost.get()), cudaSuccess);
  EXPECT_EQ(lost.host(), (std::vector<int>{0, 1, 0, 1}));
  std::vector<TypeParam> got = a.host();
  for (int64_t i = 0; i < 4 * size; ++i) {
    const TypeParam want = i / size % 2 == 1 ? TypeParam(0) : values[static_cast<size_t>(i)];
    EXPECT_EQ(got[static_cast<size_t>(i)], want);
  }
  ASSERT_EQ(lose(nullptr, matrices, lost.get()), cudaSuccess);
  got = a.host();
  for (int64_t i = 0; i < 4 * size; ++i)
    EXPECT_EQ(std::isnan(got[static_cast<size_t>(i)]), i / size % 2 == 1);
}

// The emulated libraries look where their operands are.
TEST(EmulatedSolver, RefusesWrongOperands) {
  cusolverDnHandle_t handle = nullptr;
  ASSERT_EQ(cusolverDnCreate(&handle), CUSOLVER_STATUS_SUCCESS);
  const DeviceArray<double> a(std::vector<double>{4, 0, 0, 4});
  const DeviceArray<int> info(1);
  int size = 0;
  ASSERT_EQ(cusolverDnDpotrf_bufferSize(handle, CUBLAS_FILL_MODE_UPPER, 2, a.get(), 2, &size),
            CUSOLVER_STATUS_SUCCESS);
  const DeviceArray<double> workspace(static_cast<size_t>(size)), small(1);
  EXPECT_EQ(cusolverDnDpotrf(handle, CUBLAS_FILL_MODE_UPPER, 2, a.get(), 2, small.get(), size, info.get()),
            CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_NE(simt::last_report().find("workspace: ends outside"), std::string::npos) << simt::last_report();
  int on_host = 0;
  EXPECT_EQ(cusolverDnDpotrf(handle, CUBLAS_FILL_MODE_UPPER, 2, a.get(), 2, workspace.get(), size, &on_host),
            CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_NE(simt::last_report().find("devInfo: not device memory"), std::string::npos) << simt::last_report();
  EXPECT_EQ(
      cusolverDnDpotrf(handle, CUBLAS_FILL_MODE_UPPER, 2, a.get(), 1, workspace.get(), size, info.get()),
      CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(
      cusolverDnDpotrf(handle, CUBLAS_FILL_MODE_UPPER, 2, a.get(), 2, workspace.get(), size, info.get()),
      CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(a.host()[0], 2);
  EXPECT_EQ(info.host()[0], 0);
  EXPECT_EQ(cusolverDnDestroy(handle), CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(cusolverDnSetStream(handle, nullptr), CUSOLVER_STATUS_NOT_INITIALIZED);
}

TEST(EmulatedBlas, RefusesWrongTriangularOperands) {
  cublasHandle_t handle = nullptr;
  ASSERT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  const DeviceArray<double> a(std::vector<double>{2, 1, 0, 4}), b(std::vector<double>{2, 9});
  const double one = 1;
  const auto solve = [&](const double* matrix, int leading) {
    return cublasDtrsm(handle, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT, 2,
                       1, &one, matrix, leading, b.get(), 2);
  };
  EXPECT_EQ(solve(a.get(), 1), CUBLAS_STATUS_INVALID_VALUE);
  const double on_host[4] = {1, 0, 0, 1};
  EXPECT_EQ(solve(on_host, 2), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(solve(a.get(), 2), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(b.host(), (std::vector<double>{1, 2}));
  cublasDestroy(handle);
}

}  // namespace
