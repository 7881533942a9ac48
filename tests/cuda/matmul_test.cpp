// matmul on device cuda by each implementation, against the same product in float64 on the cpu.
#include <gtest/gtest.h>

#include <cmath>

#include "core/bind.h"
#include "cuda/driver.h"
#include "cuda/matmul.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

using cuda::MatmulLibrary;

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr DType kFloats[] = {DType::float16, DType::bfloat16, DType::float32, DType::float64};

Tensor numbers(const Shape& shape, DType dtype, uint64_t seed) {
  return to(astype(random_uniform(random_key(seed), shape, -1, 1), dtype), kCuda);
}

// Of a sum in the accumulation type of its products.
double unit_of(DType dtype) {
  switch (dtype) {
    case DType::float16: return 0x1p-10;
    case DType::bfloat16: return 0x1p-7;
    case DType::float32: return 0x1p-23;
    default: return 0x1p-52;
  }
}

// |product - (a @ b + bias)| within a rounding of the result and one of each sum.
void expect_product(const Tensor& a, const Tensor& b, const Tensor& product, const Tensor& bias = {}) {
  const auto wide = [](const Tensor& x) { return astype(to(x, Device{}), DType::float64); };
  const Tensor x = wide(a), y = wide(b);
  const Tensor z = bias.defined() ? wide(bias) : zeros({y.size(-1)}, DType::float64);
  const Tensor expected = matmul(x, y) + z, magnitude = matmul(abs(x), abs(y)) + abs(z);
  ASSERT_EQ(product.shape(), expected.shape());
  ASSERT_EQ(product.dtype(), a.dtype());
  const auto found = to_vector<double>(to(product, Device{})), wanted = to_vector<double>(expected),
             size = to_vector<double>(magnitude);
  const double sums = std::min(unit_of(a.dtype()), 0x1p-23) * static_cast<double>(a.size(-1) + 2);
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_LE(std::abs(found[i] - wanted[i]), unit_of(a.dtype()) * std::abs(wanted[i]) + sums * size[i])
        << "element " << i << " of " << describe(a) << " @ " << describe(b);
  }
}

// Numbers of the cpu in another dtype on device cuda.
Tensor on_cuda(const std::vector<double>& values, const Shape& shape, DType dtype) {
  return to(astype(tensor<double>(values, shape), dtype), kCuda);
}

// Matrices with rows (64, 1 .. 15, 0, 0 ..).
Tensor rows_of_64(const Shape& shape, DType dtype) {
  const auto k = static_cast<size_t>(shape.back());
  std::vector<double> values(static_cast<size_t>(num_elements(shape)));
  for (size_t i = 0; i < values.size() / k; ++i) {
    values[i * k] = 64;
    values[i * k + 1] = static_cast<double>(1 + i % 15);
  }
  return on_cuda(values, shape, dtype);
}

// What takes most of a product of such rows away.
Tensor cancelling_bias(int64_t n, DType dtype) {
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<double>(-4096 - 32 * (i % 3)));
  return on_cuda(values, {n}, dtype);
}

// All sums are integers that every accumulation type holds, and the results are of at most 8 bits.
void expect_exact(const Tensor& a, const Tensor& b, const Tensor& bias) {
  const auto wide = [](const Tensor& x) { return astype(to(x, Device{}), DType::float64); };
  const Tensor product = bind(primitives::matmul, {a, b, bias});
  EXPECT_EQ(to_vector<double>(wide(product)), to_vector<double>(matmul(wide(a), wide(b)) + wide(bias)))
      << describe(a) << " @ " << describe(b) << " + " << describe(bias);
}

class CudaMatmul : public testing::TestWithParam<MatmulLibrary> {
 protected:
  void SetUp() override { cuda::set_matmul(GetParam()); }
  void TearDown() override { cuda::set_matmul(MatmulLibrary::automatic); }
};

TEST_P(CudaMatmul, Layouts) {
  for (const DType dtype : kFloats) {
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{33, 20, 17}, {64, 48, 32}, {1, 30, 12}, {30, 1, 12}, {1, 1, 1}}) {
      const Tensor a = numbers({m, k}, dtype, 1), b = numbers({k, n}, dtype, 2);
      const Tensor at = matrix_transpose(copy(matrix_transpose(a))),
                   bt = matrix_transpose(copy(matrix_transpose(b)));
      for (const Tensor& x : {a, at}) {
        for (const Tensor& y : {b, bt}) expect_product(x, y, matmul(x, y));
      }
    }
  }
}

TEST_P(CudaMatmul, Views) {
  for (const DType dtype : kFloats) {
    const Tensor large = numbers({40, 50}, dtype, 3), right = numbers({24, 18}, dtype, 4);
    const Tensor part = slice(large, {3, 5}, {20, 24}, {1, 1});
    expect_product(part, right, matmul(part, right));
    const Tensor steps = slice(large, {39, 49}, {20, 24}, {-2, -2});
    expect_product(steps, right, matmul(steps, right));
    const Tensor repeated = broadcast_to(slice(large, {0, 1}, {1, 24}, {1, 1}), {9, 24});
    expect_product(repeated, right, matmul(repeated, right));
    const Tensor column = broadcast_to(slice(large, {0, 1}, {9, 1}, {1, 1}), {9, 24});
    expect_product(column, right, matmul(column, right));
  }
}

TEST_P(CudaMatmul, Batches) {
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
    const Tensor a = numbers({2, 3, 8, 12}, dtype, 5);
    for (const Shape& shape :
         {Shape{2, 3, 12, 7}, Shape{3, 12, 7}, Shape{2, 1, 12, 7}, Shape{1, 1, 12, 7}, Shape{12, 7}}) {
      const Tensor b = numbers(shape, dtype, 6);
      expect_product(a, b, matmul(a, b));
    }
    // As attention has it: axes of the batch between those of the matrices.
    const Tensor heads = permute_dims(numbers({2, 8, 3, 12}, dtype, 7), {0, 2, 1, 3});
    expect_product(heads, matrix_transpose(heads), matmul(heads, matrix_transpose(heads)));
    // More axes than two, no two of which can be merged.
    const Tensor x = numbers({2, 1, 3, 1, 4, 5}, dtype, 8), y = numbers({1, 2, 1, 3, 5, 4}, dtype, 9);
    expect_product(x, y, matmul(x, y));
  }
}

TEST_P(CudaMatmul, Linear) {
  for (const DType dtype : kFloats) {
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{33, 20, 17},
                                  {64, 48, 32},
                                  {9, 1, 40},
                                  {1, 9, 40},
                                  {6, 3, 900},
                                  {20, 24, 900},
                                  {150, 130, 140},
                                  {4, 5, 0}}) {
      const Tensor x = numbers({m, k}, dtype, 1), weight = numbers({n, k}, dtype, 2);
      const Tensor bias = numbers({n}, dtype, 3), spread = numbers({2 * n}, dtype, 4);
      expect_product(x, matrix_transpose(weight), linear(x, weight, bias), bias);
      const Tensor odd = slice_axis(spread, 0, 1, {}, 2);
      expect_product(x, matrix_transpose(weight), linear(x, weight, odd), odd);
    }
  }
}

// Near 4096 numbers of 16 bits are 4 or 32 apart: a product that is rounded before the bias is added to it
// has lost what the bias leaves of it.
TEST_P(CudaMatmul, BiasIsAddedBeforeRounding) {
  for (const DType dtype : kFloats) {
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{20, 24, 40}, {160, 144, 96}, {33, 7, 13}, {6, 1, 8}, {1, 6, 8}}) {
      const Tensor a = rows_of_64({m, k}, dtype), columns = rows_of_64({n, k}, dtype);
      const Tensor b = matrix_transpose(columns), bias = cancelling_bias(n, dtype);
      for (const Tensor& x : {a, matrix_transpose(copy(matrix_transpose(a))), flip(a, {0})}) {
        for (const Tensor& y : {b, copy(b)}) expect_exact(x, y, bias);
      }
      // One leading dimension at addresses of either kind: only the size of an element divides the second.
      const Tensor side = zeros({m, 1}, dtype, kCuda);
      expect_exact(slice(concat({a, side}, 1), {0, 0}, {m, k}, {1, 1}), b, bias);
      expect_exact(slice(concat({side, a}, 1), {0, 1}, {m, k}, {1, 1}), b, bias);
      const Tensor biases = concat({zeros({1}, dtype, kCuda), cancelling_bias(2 * n, dtype)}, 0);
      for (const Tensor& view :
           {slice(biases, {1}, {n}, {1}), slice(biases, {1}, {n}, {2}), slice(biases, {n}, {n}, {-1}),
            broadcast_to(slice(biases, {1}, {1}, {1}), {n})}) {
        expect_exact(a, b, view);
      }
    }
    const Tensor a = rows_of_64({3, 20, 40}, dtype), bias = cancelling_bias(24, dtype);
    const Tensor b = matrix_transpose(rows_of_64({3, 24, 40}, dtype)),
                 one = matrix_transpose(rows_of_64({24, 40}, dtype));
    expect_exact(a, b, bias);
    expect_exact(flip(a, {0}), b, bias);
    expect_exact(a, broadcast_to(one, {3, 40, 24}), bias);
    expect_exact(permute_dims(rows_of_64({2, 20, 3, 40}, dtype), {0, 2, 1, 3}),
                 broadcast_to(one, {2, 3, 40, 24}), bias);
    expect_exact(broadcast_to(expand_dims(a, 1), {3, 2, 20, 40}),
                 broadcast_to(slice_axis(b, 0, 1, {}, 1), {3, 2, 40, 24}), bias);
  }
}

TEST_P(CudaMatmul, NothingToAddOrToDo) {
  const Tensor none = matmul(zeros({3, 0}, DType::float32, kCuda), zeros({0, 4}, DType::float32, kCuda));
  EXPECT_EQ(to_vector<float>(to(none, Device{})), std::vector<float>(12, 0.0f));
  EXPECT_EQ(matmul(zeros({0, 3}, DType::float32, kCuda), zeros({3, 4}, DType::float32, kCuda)).numel(), 0);
  EXPECT_EQ(matmul(zeros({2, 0, 3}, DType::float32, kCuda), zeros({3, 4}, DType::float32, kCuda)).numel(), 0);
}

TEST_P(CudaMatmul, Integers) {
  for (const DType dtype : {DType::int32, DType::uint8, DType::int64, DType::bool_}) {
    const Tensor a = astype(numbers({9, 40}, DType::float32, 1) * 100, dtype),
                 b = astype(numbers({40, 11}, DType::float32, 2) * 100, dtype);
    EXPECT_EQ(to_vector<int64_t>(to(matmul(a, b), Device{})),
              to_vector<int64_t>(matmul(to(a, Device{}), to(b, Device{}))))
        << dtype;
    const Tensor bias = astype(numbers({11}, DType::float32, 3) * 100, dtype);
    EXPECT_EQ(to_vector<int64_t>(to(linear(a, matrix_transpose(b), bias), Device{})),
              to_vector<int64_t>(to(matmul(a, b), Device{}) + to(bias, Device{})))
        << dtype;
  }
}

TEST_P(CudaMatmul, EqualBitsEachTime) {
  const Tensor a = numbers({70, 900}, DType::float32, 1), b = numbers({900, 30}, DType::float32, 2);
  const Tensor bias = numbers({30}, DType::float32, 3);
  const auto product = [&] { return to_vector<float>(to(matmul(a, b), Device{})); };
  const auto sum = [&] { return to_vector<float>(to(linear(a, matrix_transpose(b), bias), Device{})); };
  const auto first_product = product(), first_sum = sum();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(product(), first_product);
    EXPECT_EQ(sum(), first_sum);
  }
}

INSTANTIATE_TEST_SUITE_P(Libraries, CudaMatmul,
                         testing::Values(MatmulLibrary::automatic, MatmulLibrary::cublas,
                                         MatmulLibrary::tidu));

// 1 + 2^-12 has more fraction bits than TF32 keeps.
TEST(CudaMatmulPrecision, Tf32OnlyWhereAllowed) {
  cuda::set_matmul(MatmulLibrary::cublas);
  const Tensor x = full({16, 16}, 1.0 + 0x1p-12, DType::float32, kCuda), one = to(eye(16, 16), kCuda);
  const Tensor bias = full({16}, 1.0, DType::float32, kCuda);
  const auto corner = [&] { return to_vector<float>(to(matmul(x, one), Device{}))[0]; };
  const auto corner_of_sum = [&] { return to_vector<float>(to(linear(x, one, bias), Device{}))[0]; };
  EXPECT_FALSE(cuda::allow_tf32());
  EXPECT_EQ(corner(), 1.0f + 0x1p-12f);
  EXPECT_EQ(corner_of_sum(), 2.0f + 0x1p-12f);
  cuda::set_allow_tf32(true);
  EXPECT_EQ(corner(), 1.0f);
  EXPECT_NEAR(corner_of_sum(), 2.0f, 0x1p-12);  // either, as the library likes
  cuda::set_allow_tf32(false);
  EXPECT_EQ(corner(), 1.0f + 0x1p-12f);
  EXPECT_EQ(corner_of_sum(), 2.0f + 0x1p-12f);
  cuda::set_matmul(MatmulLibrary::automatic);
}

TEST(CudaMatmulChoice, NamesAreChecked) {
  EXPECT_EQ(cuda::matmul_library_from_name("cublas"), MatmulLibrary::cublas);
  EXPECT_THROW(cuda::matmul_library_from_name("mkl"), ValueError);
}

TEST(CudaMatmulErrors, AreFoundBeforeAnyCall) {
  EXPECT_THROW(matmul(zeros({2, 3}, DType::float32, kCuda), zeros({4, 2}, DType::float32, kCuda)),
               ShapeError);
  EXPECT_THROW(matmul(zeros({2, 3}, DType::float32, kCuda), zeros({3, 2})), DeviceError);
}

}  // namespace
}  // namespace tidu
