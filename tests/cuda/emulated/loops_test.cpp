// The loops of cuda kernels: together they treat each element once, at the right place in every operand,
// however small the launches are.
#include "backend/cuda/loops.h"

#include <gtest/gtest.h>

#include <map>

namespace tidu::cuda {
namespace {

TEST(CudaLoops, DivisorsDivide) {
  std::vector<uint32_t> numbers;
  for (uint32_t bit = 0; bit < 31; ++bit) {
    for (const int64_t near : {-1, 0, 1, 3}) {
      const int64_t number = (int64_t{1} << bit) + near;
      if (number > 0 && number < (int64_t{1} << 31)) numbers.push_back(static_cast<uint32_t>(number));
    }
  }
  for (uint64_t i = 1; i < 200; ++i)
    numbers.push_back(static_cast<uint32_t>(i * 2654435761u % ((uint64_t{1} << 31) - 1) + 1));
  for (const uint32_t d : numbers) {
    const Divisor divisor(d);
    EXPECT_EQ(divisor.quotient(0), 0u);
    for (const uint32_t n : numbers) {
      ASSERT_EQ(divisor.quotient(n), n / d) << n << " / " << d;
      ASSERT_EQ(divisor.quotient(n / d * d), n / d);
      if (n >= d) { ASSERT_EQ(divisor.quotient(n / d * d - 1), n / d - 1); }
    }
  }
}

struct Case {
  Shape shape;
  Strides input, output;
};

// Sizes of 4 and 2 bytes; addresses count from 0 of an imagined memory.
void expect_each_element_once(const Case& c, int64_t limit) {
  const int64_t base[2] = {1 << 20, 1 << 22};
  std::map<std::pair<int64_t, int64_t>, int> want;
  const int64_t count = num_elements(c.shape);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, from = 0, at = 0;
    for (int axis = c.shape.size() - 1; axis >= 0; --axis) {
      from += rest % c.shape[axis] * c.input[axis];
      at += rest % c.shape[axis] * c.output[axis];
      rest /= c.shape[axis];
    }
    ++want[{base[0] + 4 * from, base[1] + 2 * at}];
  }
  const StridedMemory input(reinterpret_cast<void*>(base[0]), c.input, 4);
  const StridedMemory output(reinterpret_cast<void*>(base[1]), c.output, 2);
  const Loops loops(c.shape, {input, output}, limit);
  for (int64_t l = 0; l < loops.size(); ++l) {
    const Loop loop = loops[l];
    EXPECT_LE(loop.count, limit);
    for (uint32_t i = 0; i < loop.count; ++i) {
      int64_t at[2];
      locate(loop, i, at);
      --want[{reinterpret_cast<int64_t>(loop.data[0]) + 4 * at[0],
              reinterpret_cast<int64_t>(loop.data[1]) + 2 * at[1]}];
    }
  }
  for (const auto& [place, left] : want)
    ASSERT_EQ(left, 0) << c.shape << " " << c.input << " " << c.output << " in launches of " << limit;
}

const Case kCases[] = {
    {{}, {}, {}},
    {{1, 1}, {7, 3}, {1, 1}},
    {{0, 4}, {4, 1}, {4, 1}},
    {{4, 0}, {1, 1}, {1, 1}},
    {{60}, {1}, {1}},
    {{60}, {-2}, {1}},
    {{4, 5, 6}, {30, 6, 1}, {30, 6, 1}},
    {{4, 5, 6}, {1, 4, 20}, {30, 6, 1}},
    {{4, 5, 6}, {0, 6, 1}, {30, 6, 1}},
    {{4, 5, 6}, {0, 0, 0}, {30, 6, 1}},
    {{4, 5, 6}, {5, 1, 0}, {30, 6, 1}},
    {{4, 5, 6}, {30, 6, 1}, {1, 4, 20}},
    {{4, 5, 6}, {30, 6, 1}, {-60, 12, -2}},
    {{2, 3, 1, 5, 2}, {30, 10, 9, 2, 1}, {1, 2, 7, 6, 30}},
};

TEST(CudaLoops, TreatEachElementOnce) {
  for (const Case& c : kCases) {
    for (const int64_t limit :
         {int64_t{1}, int64_t{2}, int64_t{5}, int64_t{7}, int64_t{30}, int64_t{59}, kMaxLaunch})
      expect_each_element_once(c, limit);
  }
}

TEST(CudaLoops, MergeDimensions) {
  const auto rank = [](const Shape& shape, const Strides& input) {
    const Strides output = contiguous_strides(shape);
    return Loops(shape, {StridedMemory(nullptr, input, 4), StridedMemory(nullptr, output, 4)})[0].rank;
  };
  EXPECT_EQ(rank({4, 5, 6}, {30, 6, 1}), 1);
  EXPECT_EQ(rank({4, 5, 6}, {0, 0, 0}), 1);
  EXPECT_EQ(rank({4, 5, 6}, {0, 6, 1}), 2);
  EXPECT_EQ(rank({4, 1, 6}, {6, 100, 1}), 1);
  EXPECT_EQ(rank({4, 5, 6}, {1, 4, 20}), 3);
}

TEST(CudaLoops, VectorsNeedAlignedNeighbours) {
  const auto vectors = [](const Shape& shape, const Strides& input, uintptr_t address) {
    const Strides output = contiguous_strides(shape);
    Loop loop = Loops(shape, {StridedMemory(reinterpret_cast<void*>(address), input, 4),
                              StridedMemory(nullptr, output, 4)})[0];
    vectorise(loop, 4, {4, 4});
    return loop.vectors;
  };
  EXPECT_EQ(vectors({103}, {1}, 64), 25u);
  EXPECT_EQ(vectors({103}, {1}, 68), 0u);   // not aligned
  EXPECT_EQ(vectors({103}, {0}, 68), 25u);  // stays where it is
  EXPECT_EQ(vectors({103}, {-1}, 64), 0u);  // runs backwards
  EXPECT_EQ(vectors({103}, {2}, 64), 0u);
  EXPECT_EQ(vectors({3, 8}, {0, 1}, 64), 6u);
  EXPECT_EQ(vectors({3, 8}, {1, 0}, 68), 6u);
  EXPECT_EQ(vectors({3, 8}, {12, 1}, 64), 6u);
  EXPECT_EQ(vectors({3, 8}, {10, 1}, 64), 0u);  // rows not aligned
  EXPECT_EQ(vectors({3, 6}, {8, 1}, 64), 0u);   // rows not of whole vectors
}

}  // namespace
}  // namespace tidu::cuda
