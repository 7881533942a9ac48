// Copies of blocks between all kinds of strides.
#include "kernels/cpu/copy.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/kernels/targets.h"

namespace tidu::cpu {
namespace {

struct Sixteen {
  double first, second = 0;
  bool operator==(const Sixteen&) const = default;
};

template <class T> void check() {
  for (const int64_t rows : {1, 2, 17, 100}) {
    for (const int64_t columns : {1, 3, 16, 70}) {
      const BlockStrides plain{columns, 1}, wide{columns + 5, 1}, transposed{1, rows}, tall{1, rows + 3},
          second{2 * columns, 2}, sparse{3 * columns, 3}, fourth{4 * columns, 4}, same{0, 0},
          repeated_row{0, 1}, repeated_column{1, 0}, backwards{-columns, -1}, upwards{-columns, 1};
      for (const BlockStrides from : {plain, wide, transposed, tall, second, sparse, fourth, same,
                                      repeated_row, repeated_column, backwards, upwards}) {
        for (const BlockStrides to : {plain, wide, transposed, tall, sparse, backwards}) {
          const size_t space = static_cast<size_t>((rows + 3) * (columns + 5) * 4 + 10);
          std::vector<T> source(2 * space), target(2 * space, T(77)), want(target);
          for (size_t i = 0; i < source.size(); ++i) source[i] = T(i);
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
  on_each_target([] {
    check<uint8_t>();
    check<uint16_t>();
    check<uint32_t>();
    check<uint64_t>();
    check<Sixteen>();
  });
}

}  // namespace
}  // namespace tidu::cpu
