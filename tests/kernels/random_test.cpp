// Arrays of random numbers are, element by element and bit by bit, those of kernels/philox.h.
#include "kernels/cpu/random.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/philox.h"
#include "tests/kernels/targets.h"

namespace tidu::cpu {
namespace {

template <class T, class Element> void check(RandomFunction<T> function, const Element& element) {
  constexpr uint64_t key = 0x123456789abcdef0;
  for (const int64_t first : {int64_t{0}, int64_t{4}, int64_t{1} << 40}) {
    for (const int64_t n : {1, 3, 4, 127, 128, 129, 256, 1000}) {
      std::vector<T> out(static_cast<size_t>(n + 1));
      out.back() = T(42);
      function(key, first, n, out.data());
      for (int64_t i = 0; i < n; ++i) {
        const T want = element(key, static_cast<uint64_t>(first + i));
        ASSERT_EQ(std::memcmp(&out[static_cast<size_t>(i)], &want, sizeof(T)), 0) << "element " << first + i;
      }
      ASSERT_EQ(out.back(), T(42));
    }
  }
}

uint64_t half_draw(uint64_t key, uint64_t i) {
  const philox::Draw b = philox::draw(key, i / 2);
  return i % 2 == 0 ? philox::join(b.word[0], b.word[1]) : philox::join(b.word[2], b.word[3]);
}

TEST(Random, FillsFollowTheCounter) {
  on_each_target([] {
    const RandomFunctions f = random_functions();
    check(f.bits32, [](uint64_t key, uint64_t i) { return philox::draw(key, i / 4).word[i % 4]; });
    check(f.bits64, half_draw);
    check(f.uniform32,
          [](uint64_t key, uint64_t i) { return philox::uniform(philox::draw(key, i / 4).word[i % 4]); });
    check(f.uniform64, [](uint64_t key, uint64_t i) { return philox::uniform(half_draw(key, i)); });
    check(f.normal32, [](uint64_t key, uint64_t i) {
      const philox::Draw b = philox::draw(key, i / 4);
      float pair[2];
      philox::normal_pair(b.word[i % 4 / 2 * 2], b.word[i % 4 / 2 * 2 + 1], &pair[0], &pair[1]);
      return pair[i % 2];
    });
    check(f.normal64, [](uint64_t key, uint64_t i) {
      double pair[2];
      philox::normal_pair(half_draw(key, i / 2 * 2), half_draw(key, i / 2 * 2 + 1), &pair[0], &pair[1]);
      return pair[i % 2];
    });
  });
}

}  // namespace
}  // namespace tidu::cpu
