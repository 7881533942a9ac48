// Sorting of short rows, and keys of numbers, on every instruction set that this machine has.
#include "kernels/cpu/sort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/order.h"
#include "tests/kernels/targets.h"

namespace tidu {
namespace {

template <class Word> void check_rows() {
  std::mt19937_64 random(1);
  for (const int64_t n : {1, 2, 3, 5, 8, 9, 17, 31, 64, 100, 255, 256, 257}) {
    for (const int64_t rows : {1, 2, 3, 4, 7, 8, 16, 33, 65}) {
      std::vector<Word> words(static_cast<size_t>(n * rows));
      for (Word& word : words) word = static_cast<Word>(random() >> (random() % 64));
      std::vector<Word> want = words;
      const int64_t done = cpu::sort_abreast(words.data(), rows, n);
      ASSERT_LE(done, rows);
      for (int64_t row = 0; row < done; ++row)
        std::sort(want.begin() + row * n, want.begin() + (row + 1) * n);
      ASSERT_EQ(words, want) << rows << " rows of " << n;
    }
  }
}

TEST(Sort, RowsSideBySide) {
  on_each_target([] {
    check_rows<uint16_t>();
    check_rows<uint32_t>();
    check_rows<uint64_t>();
  });
}

template <class T> void check_keys() {
  using L = std::numeric_limits<T>;
  std::vector<T> x = {-L::infinity(),  L::lowest(), T(-1.5), -L::min(), -L::denorm_min(), 0,
                      L::denorm_min(), L::min(),    T(0.5),  1,         L::max(),         L::infinity()};
  for (const bool descending : {false, true}) {
    std::vector<T> keys(x.size());
    const cpu::PlainKeyFunctions functions = cpu::plain_key_functions(dtype_of<T>);
    const auto count = static_cast<int64_t>(x.size());
    ASSERT_TRUE(functions.to_keys(x.data(), keys.data(), count, descending));
    std::vector<std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>> words(x.size());
    std::memcpy(words.data(), keys.data(), x.size() * sizeof(T));
    EXPECT_TRUE(descending ? std::is_sorted(words.rbegin(), words.rend()) : std::ranges::is_sorted(words));
    functions.to_elements(keys.data(), count, descending);
    EXPECT_EQ(keys, x);
    for (const T other : {T(-0.0), L::quiet_NaN(), -L::quiet_NaN()})
      EXPECT_FALSE(functions.to_keys(&other, keys.data(), 1, descending));
  }
}

TEST(Sort, KeysAreInTheOrderOfNumbers) {
  on_each_target([] {
    check_keys<float>();
    check_keys<double>();
  });
}

// Of all bits, which are NaN, infinities and zeros of both signs, too.
template <class T> void check_places() {
  std::mt19937_64 random(2);
  for (const int64_t n : {0, 1, 7, 16, 63, 64, 65, 200}) {
    std::vector<OrderKey<T>> bits(static_cast<size_t>(n));
    for (auto& element : bits) {
      element = static_cast<OrderKey<T>>(random());
      if (random() % 4 == 0) element = static_cast<OrderKey<T>>(kInfinityBits<T> << (random() % 2));
    }
    std::vector<T> x(bits.size());
    if (n > 0) std::memcpy(static_cast<void*>(x.data()), bits.data(), bits.size() * sizeof(T));
    for (const bool descending : {false, true}) {
      for (const int64_t begin : {int64_t{0}, n / 3}) {
        for (const int64_t room : {int64_t{1}, int64_t{5}, n + 1}) {
          const auto limit = static_cast<OrderKey<T>>(random() % 8 == 0 ? ~uint64_t{0} : random());
          std::vector<int64_t> want, got(static_cast<size_t>(room));
          int64_t i = begin;
          for (; i < n && static_cast<int64_t>(want.size()) < room; ++i) {
            if (order_key(x[static_cast<size_t>(i)], descending) <= limit) want.push_back(i);
          }
          const auto [count, end] =
              cpu::find_places_function(dtype_of<T>)(x.data(), begin, n, descending, limit, got.data(), room);
          got.resize(static_cast<size_t>(count));
          ASSERT_EQ(got, want) << n;
          ASSERT_EQ(end, i) << n;
        }
      }
    }
  }
}

TEST(Sort, PlacesOfTheFirstInOrder) {
  on_each_target([] {
    check_places<uint8_t>(), check_places<int16_t>(), check_places<uint32_t>(), check_places<int64_t>();
    check_places<float16>(), check_places<bfloat16>(), check_places<float>(), check_places<double>();
  });
}

}  // namespace
}  // namespace tidu
