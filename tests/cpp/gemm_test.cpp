// Every way of a product against sums in double.
#include "backend/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace tidu::cpu {
namespace {

template <class T> struct Matrix {
  int64_t rows, columns, leading;
  bool transposed;
  std::vector<T> data;

  Matrix(int64_t m, int64_t n, bool transposed, int64_t apart, std::mt19937& random)
      : rows(m), columns(n), leading((transposed ? m : n) + apart), transposed(transposed) {
    std::normal_distribution<double> normal;
    data.resize((transposed ? n : m) * leading);
    for (T& x : data) x = static_cast<T>(normal(random));
  }
  double at(int64_t i, int64_t j) const { return data[transposed ? j * leading + i : i * leading + j]; }
  Factor<T> factor() const { return {data.data(), leading, transposed}; }
};

template <class T> void check(const ProductSize& size, bool a_transposed, bool b_transposed, Way way) {
  std::mt19937 random(size.rows + size.columns + size.depth);
  const Matrix<T> a(size.rows, size.depth, a_transposed, 3, random),
      b(size.depth, size.columns, b_transposed, 5, random);
  for (const bool adds : {false, true}) {
    const int64_t ldc = size.columns + 2;
    // What is not added to may be anything, and what lies between rows stays.
    std::vector<T> c(size.rows * ldc, adds ? T(2) : T(NAN));
    for (int64_t i = 0; i < size.rows; ++i) c[i * ldc + size.columns] = 7;
    multiply(way, {size.rows, size.columns, size.depth, adds}, a.factor(), b.factor(), c.data(), ldc);
    for (int64_t i = 0; i < size.rows; ++i) {
      EXPECT_EQ(c[i * ldc + size.columns], 7);
      for (int64_t j = 0; j < size.columns; ++j) {
        double sum = adds ? 2 : 0, magnitude = sum;
        for (int64_t k = 0; k < size.depth; ++k)
          sum += a.at(i, k) * b.at(k, j), magnitude += std::abs(a.at(i, k) * b.at(k, j));
        ASSERT_NEAR(c[i * ldc + j], sum, 4 * std::numeric_limits<T>::epsilon() * magnitude)
            << way << " " << size.rows << " x " << size.columns << " x " << size.depth << " at " << i << ", "
            << j;
      }
    }
  }
}

TEST(Gemm, EveryWayIsTheProduct) {
  const ProductSize sizes[] = {{1, 1, 1},   {1, 37, 50},  {37, 1, 50},   {3, 5, 7},   {17, 33, 9},
                               {8, 64, 65}, {130, 3, 20}, {70, 66, 258}, {1, 1, 900}, {30, 90, 600}};
  for (const ProductSize& size : sizes) {
    for (const Way way : kWays) {
      if (way == 'v' && size.rows > 1 && size.columns > 1) continue;
      for (const bool a : {false, true}) {
        for (const bool b : {false, true}) check<float>(size, a, b, way), check<double>(size, a, b, way);
      }
    }
  }
}

template <class T> void check_transpose(int64_t n, int64_t depth, bool transposed) {
  std::mt19937 random(static_cast<unsigned>(n + depth));
  const Matrix<T> a(n, depth, transposed, 3, random);
  const int64_t ldc = n + 2;
  std::vector<T> c(n * ldc, T(NAN));
  for (int64_t i = 0; i < n; ++i) c[i * ldc + n] = 7;
  multiply_by_transpose(n, depth, a.factor(), c.data(), ldc);
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_EQ(c[i * ldc + n], 7);
    for (int64_t j = 0; j <= i; ++j) {
      long double sum = 0, magnitude = 0;  // on the diagonal every step rounds
      for (int64_t k = 0; k < depth; ++k)
        sum += static_cast<long double>(a.at(i, k)) * a.at(j, k),
            magnitude += std::abs(a.at(i, k) * a.at(j, k));
      ASSERT_LE(std::abs(c[i * ldc + j] - sum),
                std::sqrt(depth) * std::numeric_limits<T>::epsilon() * magnitude);
      ASSERT_EQ(c[j * ldc + i], c[i * ldc + j]) << n << " x " << depth << " at " << i << ", " << j;
    }
  }
}

TEST(Gemm, AMatrixByItsTransposeIsSymmetric) {
  for (const auto& [n, depth] : {std::pair{1, 5}, {7, 40}, {64, 64}, {130, 70}, {50, 600}}) {
    for (const bool transposed : {false, true}) {
      check_transpose<float>(n, depth, transposed);
      check_transpose<double>(n, depth, transposed);
    }
  }
}

TEST(Gemm, ProductsOfBfloat16AreSummedInFloat) {
  if (!multiplies_bfloat16()) GTEST_SKIP() << "this processor does not multiply them";
  for (const ProductSize& size : {ProductSize{1, 70, 130}, {70, 1, 130}, {33, 65, 17}, {130, 90, 600}}) {
    for (const int layouts : {0, 1, 2, 3}) {
      std::mt19937 random(5);
      const Matrix<bfloat16> a(size.rows, size.depth, layouts & 1, 3, random),
          b(size.depth, size.columns, layouts & 2, 5, random);
      for (const bool adds : {false, true}) {
        std::vector<float> c(size.rows * size.columns, adds ? 2 : NAN);
        multiply({size.rows, size.columns, size.depth, adds}, a.factor(), b.factor(), c.data(), size.columns);
        for (int64_t i = 0; i < size.rows; ++i) {
          for (int64_t j = 0; j < size.columns; ++j) {
            double sum = adds ? 2 : 0, magnitude = sum;
            for (int64_t k = 0; k < size.depth; ++k)
              sum += a.at(i, k) * b.at(k, j), magnitude += std::abs(a.at(i, k) * b.at(k, j));
            ASSERT_NEAR(c[i * size.columns + j], sum, 4 * std::numeric_limits<float>::epsilon() * magnitude);
          }
        }
      }
    }
  }
}

TEST(Gemm, AWayIsOneOfThem) {
  for (const int64_t rows : {1, 2, 60, 100, 5000}) {
    for (const int64_t columns : {1, 3, 700, 5000}) {
      for (const int64_t depth : {0, 1, 20, 500, 100000}) {
        for (const bool a : {false, true}) {
          for (const bool b : {false, true}) {
            const ProductSize size{rows, columns, depth};
            for (const Way way : {fastest_way<float>(size, a, b), fastest_way<double>(size, a, b)}) {
              EXPECT_NE(kWays.find(way), kWays.npos) << way;
              EXPECT_TRUE(way != 'v' || rows == 1 || columns == 1);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tidu::cpu
