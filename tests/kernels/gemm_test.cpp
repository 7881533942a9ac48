// Products on every instruction set against sums in double.
#include "kernels/cpu/gemm.h"

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "targets.h"

namespace tidu::cpu {
namespace {

template <class T> struct Operands {
  int64_t rows, columns, depth, lda, ldb, ldc;
  bool a_transposed, b_transposed;
  std::vector<T> a, b;

  Operands(int64_t rows, int64_t columns, int64_t depth, bool a_transposed, bool b_transposed)
      : rows(rows),
        columns(columns),
        depth(depth),
        lda((a_transposed ? rows : depth) + 3),
        ldb((b_transposed ? depth : columns) + 5),
        ldc(columns + 2),
        a_transposed(a_transposed),
        b_transposed(b_transposed) {
    std::mt19937 random(static_cast<unsigned>(rows + columns + depth));
    std::normal_distribution<double> normal;
    a.resize((a_transposed ? depth : rows) * lda), b.resize((b_transposed ? columns : depth) * ldb);
    for (T& x : a) x = static_cast<T>(normal(random));
    for (T& x : b) x = static_cast<T>(normal(random));
  }
  GemmFactor left(int64_t row) const {
    return {a.data() + (a_transposed ? row : row * lda), a_transposed ? 1 : lda, a_transposed ? lda : 1};
  }
  GemmFactor right(int64_t column) const {
    return {b.data() + (b_transposed ? column * ldb : column), b_transposed ? 1 : ldb,
            b_transposed ? ldb : 1};
  }
  double at(const GemmFactor& x, int64_t i, int64_t j) const {
    return static_cast<const T*>(x.data)[i * x.row_stride + j * x.column_stride];
  }
};

// Rows from `row` on, columns from `column` on, into c.
template <class T>
void multiply(const Operands<T>& x, int64_t row, int64_t column, bool adds, std::vector<T>& c) {
  alignas(64) static char workspace[kGemmWorkspace];
  gemm_function(dtype_of<T>)({x.rows - row, x.columns - column, x.depth, adds}, x.left(row), x.right(column),
                             c.data(), x.ldc, workspace);
}

template <class T> void check(const Operands<T>& x) {
  SCOPED_TRACE(testing::Message() << x.rows << " x " << x.columns << " x " << x.depth << " " << x.a_transposed
                                  << x.b_transposed);
  for (const bool adds : {false, true}) {
    std::vector<T> c(x.rows * x.ldc, adds ? T(2) : T(NAN));
    for (int64_t i = 0; i < x.rows; ++i) c[i * x.ldc + x.columns] = 7;
    multiply(x, 0, 0, adds, c);
    for (int64_t i = 0; i < x.rows; ++i) {
      ASSERT_EQ(c[i * x.ldc + x.columns], 7) << "what lies between rows stays";
      for (int64_t j = 0; j < x.columns; ++j) {
        double sum = adds ? 2 : 0, magnitude = sum;
        for (int64_t k = 0; k < x.depth; ++k) {
          const double product = x.at(x.left(0), i, k) * x.at(x.right(0), k, j);
          sum += product, magnitude += std::abs(product);
        }
        ASSERT_NEAR(c[i * x.ldc + j], sum, 4 * std::numeric_limits<T>::epsilon() * magnitude)
            << i << ", " << j;
      }
    }
    // An element's bits do not depend on what else is computed.
    const int64_t row = x.rows / 3, column = x.columns / 3;
    std::vector<T> part(c.size(), adds ? T(2) : T(NAN));
    multiply(x, row, column, adds, part);
    for (int64_t i = row; i < x.rows; ++i) {
      for (int64_t j = column; j < x.columns; ++j)
        ASSERT_EQ(part[(i - row) * x.ldc + j - column], c[i * x.ldc + j]) << i << ", " << j;
    }
  }
}

template <class T> void check_all() {
  if (!gemm_function(dtype_of<T>)) return;
  // Tiles of each number of rows and vectors, in several pieces of depth and width; b as it lies, and copied
  // for many rows, fewer where its own lie far apart; columns of a that lie near and far; last vectors of up
  // to half their lanes, and of just these, as the first, second and third.
  const int64_t sizes[][3] = {{1, 1, 1},      {2, 7, 3},     {5, 16, 4},    {7, 31, 9},     {8, 48, 20},
                              {13, 50, 33},   {30, 130, 70}, {26, 90, 600}, {25, 1300, 17}, {131, 170, 400},
                              {260, 90, 230}, {50, 4200, 6}, {800, 200, 7}, {15, 4, 9},     {23, 12, 33},
                              {21, 19, 50},   {31, 40, 12},  {300, 20, 90}};
  for (const auto& [rows, columns, depth] : sizes) {
    for (const bool a : {false, true}) {
      for (const bool b : {false, true}) check(Operands<T>(rows, columns, depth, a, b));
    }
  }
}

// A right factor that comes from memory, of which a part, that does not, has the same bits.
template <class T> void check_slices() {
  if (!gemm_function(dtype_of<T>)) return;
  const int64_t columns = 10'000'000 / (800 * sizeof(T));
  check(Operands<T>(9, columns, 800, false, false));
  check(Operands<T>(3, columns, 807, true, false));
  check(Operands<T>(130, 800, columns, true, false));
}

// Of a no elements are neighbours.
template <class T> void check_every_other() {
  if (!gemm_function(dtype_of<T>)) return;
  const int64_t rows = 21, columns = 60, depth = 30;
  std::vector<T> a(4 * rows * depth), b(depth * columns), c(rows * columns, T(NAN));
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i % 11);
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(i % 7);
  alignas(64) static char workspace[kGemmWorkspace];
  gemm_function(dtype_of<T>)({rows, columns, depth, false}, {a.data(), 4 * depth, 2}, {b.data(), columns, 1},
                             c.data(), columns, workspace);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < depth; ++k) sum += a[i * 4 * depth + 2 * k] * b[k * columns + j];
      ASSERT_EQ(c[i * columns + j], sum) << i << ", " << j;
    }
  }
}

template <class T> void check_integers() {
  std::mt19937 random(1);
  for (const auto& [rows, columns, depth] :
       {std::array{1, 1, 1}, std::array{5, 300, 7}, std::array{3, 70, 40}, std::array{2, 133, 9}}) {
    for (const bool adds : {false, true}) {
      std::vector<T> a(rows * depth), b(depth * (columns + 3)), c(rows * columns, T(9)), want(c);
      for (T& x : a) x = static_cast<T>(random());
      for (T& x : b) x = static_cast<T>(random());
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < columns; ++j) {
          uint64_t sum = adds ? 9 : 0;
          for (int k = 0; k < depth; ++k)
            sum += static_cast<uint64_t>(a[k * rows + i]) * static_cast<uint64_t>(b[k * (columns + 3) + j]);
          want[i * columns + j] = static_cast<T>(sum);
        }
      }
      gemm_function(dtype_of<T>)({rows, columns, depth, adds}, {a.data(), 1, rows},
                                 {b.data(), columns + 3, 1}, c.data(), columns, nullptr);
      ASSERT_EQ(c, want) << rows << " x " << columns << " x " << depth;
    }
  }
}

TEST(GemmKernel, OfIntegersIsTheProductModuloWhatTheyHold) {
  on_each_target([] {
    check_integers<int8_t>(), check_integers<uint16_t>(), check_integers<int32_t>(),
        check_integers<int64_t>();
  });
}

TEST(GemmKernel, IsTheProductWhateverItsTiles) {
  on_each_target([] {
    check_all<float>(), check_all<double>();
    check_slices<float>(), check_slices<double>();
    check_every_other<float>(), check_every_other<double>();
  });
}

}  // namespace
}  // namespace tidu::cpu
