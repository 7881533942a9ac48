// Copies of blocks between all kinds of strides.
#include "kernels/cpu/copy.h"

#include <gtest/gtest.h>

#include <algorithm>
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

TEST(Copy, BytesOfAnyNumberAnywhere) {
  on_each_target([] {
    std::vector<uint8_t> source(10'000);
    for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<uint8_t>(i * i / 7);
    for (const size_t n : {0, 1, 2047, 2048, 2049, 2111, 4096, 5555, 9000}) {
      for (const size_t from : {0, 1, 63, 900}) {
        for (const size_t to : {0, 1, 12, 64, 901}) {
          std::vector<uint8_t> target(10'000, 3), want(target);
          std::copy_n(source.begin() + static_cast<int64_t>(from), n,
                      want.begin() + static_cast<int64_t>(to));
          copy_bytes(source.data() + from, target.data() + to, n);
          ASSERT_EQ(target, want) << n << " from " << from << " to " << to;
        }
      }
    }
  });
}

}  // namespace
}  // namespace tidu::cpu
