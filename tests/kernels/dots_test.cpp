// Sums along rows on every instruction set against sums in double.
#include "kernels/cpu/dots.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "targets.h"

namespace tidu::cpu {
namespace {

template <class T> void check(int64_t rows, int64_t columns, int64_t depth, bool adds) {
  SCOPED_TRACE(testing::Message() << rows << " x " << columns << " x " << depth << " adds " << adds);
  const int64_t lda = depth + 3, ldb = depth + 1, ldc = columns + 2;
  std::mt19937 random(static_cast<unsigned>(rows + columns + depth));
  std::normal_distribution<double> normal;
  // Nothing lies behind the last element of either factor, and what lies between rows is no number.
  std::vector<T> a((rows - 1) * lda + depth), b((columns - 1) * ldb + depth), c(rows * ldc, T(7)), part(c);
  for (size_t i = 0; i < a.size(); ++i)
    a[i] = i % lda < static_cast<size_t>(depth) ? T(normal(random)) : T(NAN);
  for (size_t i = 0; i < b.size(); ++i)
    b[i] = i % ldb < static_cast<size_t>(depth) ? T(normal(random)) : T(NAN);
  const DotsFunction dots = dots_function(dtype_of<T>);
  dots({rows, columns, depth, adds}, {a.data(), lda, 1}, {b.data(), 1, ldb}, c.data(), ldc);
  for (int64_t i = 0; i < rows; ++i) {
    ASSERT_EQ(c[i * ldc + columns], 7) << "what lies between rows stays";
    for (int64_t j = 0; j < columns; ++j) {
      double sum = adds ? 7 : 0, magnitude = sum;
      for (int64_t k = 0; k < depth; ++k) {
        const double product = static_cast<double>(a[i * lda + k]) * static_cast<double>(b[j * ldb + k]);
        sum += product, magnitude += std::abs(product);
      }
      ASSERT_NEAR(c[i * ldc + j], sum, 4 * std::numeric_limits<T>::epsilon() * magnitude) << i << ", " << j;
    }
  }
  // An element's bits do not depend on what else is computed.
  const int64_t row = rows / 3, column = columns / 3;
  dots({rows - row, columns - column, depth, adds}, {a.data() + row * lda, lda, 1},
       {b.data() + column * ldb, 1, ldb}, part.data(), ldc);
  for (int64_t i = row; i < rows; ++i) {
    for (int64_t j = column; j < columns; ++j)
      ASSERT_EQ(part[(i - row) * ldc + j - column], c[i * ldc + j]) << i << ", " << j;
  }
}

template <class T> void check_all() {
  if (!dots_function(dtype_of<T>)) return;
  // Tiles of each number of rows and columns, depths about those of vectors.
  for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 21}) {
    for (const int64_t columns : {1, 2, 3, 4, 5, 10, 31}) {
      for (const int64_t depth : {1, 3, 4, 7, 8, 15, 16, 17, 35, 500}) {
        check<T>(rows, columns, depth, false);
        check<T>(rows, columns, depth, true);
      }
    }
  }
}

TEST(DotsKernel, IsTheProductWhateverItsTiles) {
  on_each_target([] { check_all<float>(), check_all<double>(); });
}

}  // namespace
}  // namespace tidu::cpu
