// Copies of blocks between all kinds of strides.
#include "kernels/cpu/copy.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace tidu::cpu {
namespace {

template <class T> void check() {
  for (const int64_t rows : {1, 2, 17, 100}) {
    for (const int64_t columns : {1, 3, 16, 70}) {
      const BlockStrides plain{columns, 1}, wide{columns + 5, 1}, transposed{1, rows}, sparse{3 * columns, 3},
          same{0, 0}, repeated_row{0, 1}, repeated_column{1, 0}, backwards{-columns, -1};
      for (const BlockStrides from :
           {plain, wide, transposed, sparse, same, repeated_row, repeated_column, backwards}) {
        for (const BlockStrides to : {plain, wide, transposed, sparse, backwards}) {
          const size_t space = static_cast<size_t>(rows * (columns + 5) * 3 + 10);
          std::vector<T> source(2 * space), target(2 * space, T(77)), want(target);
          std::iota(source.begin(), source.end(), T(0));
          const T* x = source.data() + space;
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < columns; ++j) {
              want[space + static_cast<size_t>(i * to.row + j * to.column)] =
                  x[i * from.row + j * from.column];
            }
          }
          copy_block_function(sizeof(T))(x, from, target.data() + space, to, rows, columns);
          ASSERT_EQ(target, want) << rows << " x " << columns << " " << from.row << "," << from.column
                                  << " to " << to.row << "," << to.column;
        }
      }
    }
  }
}

TEST(Copy, EveryPairOfStrides) {
  check<uint8_t>();
  check<uint16_t>();
  check<uint32_t>();
  check<uint64_t>();
}

}  // namespace
}  // namespace tidu::cpu
