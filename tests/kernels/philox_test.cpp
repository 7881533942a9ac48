// Philox against its published vectors, and the distributions against their moments and definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/philox.h"

namespace tidu::philox {
namespace {

void expect_draw(const Draw& b, uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3) {
  EXPECT_EQ(b.word[0], w0);
  EXPECT_EQ(b.word[1], w1);
  EXPECT_EQ(b.word[2], w2);
  EXPECT_EQ(b.word[3], w3);
}

// The known answers published with the paper (Random123, kat_vectors, philox4x32-10).
TEST(Philox, KnownAnswers) {
  expect_draw(draw(0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  expect_draw(draw(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
  expect_draw(draw(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e), 0xd16cfe09, 0x94fdcceb,
              0x5001e420, 0x24126ea1);
}

TEST(Philox, DerivedKeysDiffer) {
  std::vector<uint64_t> keys;
  for (uint64_t n = 0; n < 10000; ++n) keys.push_back(derive_key(42, n));
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(std::unique(keys.begin(), keys.end()), keys.end());
}

TEST(Philox, UniformsCoverTheHalfOpenInterval) {
  EXPECT_EQ(uniform(uint32_t{0}), 0.0f);
  EXPECT_EQ(uniform(~uint32_t{0}), 1.0f - 0x1p-24f);
  EXPECT_EQ(uniform(uint64_t{0}), 0.0);
  EXPECT_EQ(uniform(~uint64_t{0}), 1.0 - 0x1p-53);
}

// Box and Muller's formula in long double from the same bits.
TEST(Philox, NormalsFollowTheFormula) {
  const long double quarter_turn = 1.5707963267948966192313216916398L;
  for (uint64_t i = 0; i < 100000; ++i) {
    const Draw b = draw(9, i);
    float x, y;
    normal_pair(i < 1000 ? b.word[0] >> 22 : b.word[0], b.word[1], &x, &y);
    const uint32_t length = i < 1000 ? b.word[0] >> 22 : b.word[0];
    const float u = length < 256 ? (length + 0.5) * 0x1p-32 : ((length >> 8) + 0.5) * 0x1p-24;
    const long double r = std::sqrt(-2 * std::log(static_cast<long double>(u))),
                      angle = quarter_turn *
                              ((b.word[1] >> 30) + static_cast<int32_t>(b.word[1] << 2) * 0x1p-32L);
    ASSERT_NEAR(x, r * std::cos(angle), 2e-6);
    ASSERT_NEAR(y, r * std::sin(angle), 2e-6);
    double p, q;
    const uint64_t long_turn = join(b.word[2], b.word[3]), long_length = join(b.word[0], b.word[1]);
    normal_pair(long_length, long_turn, &p, &q);
    const double v = ((long_length >> 11) + 0.5L) * 0x1p-53L;
    const long double s = std::sqrt(-2 * std::log(static_cast<long double>(v))),
                      phi = quarter_turn *
                            ((long_turn >> 62) + (static_cast<int64_t>(long_turn << 2) >> 11) * 0x1p-53L);
    ASSERT_NEAR(p, s * std::cos(phi), 4e-15);
    ASSERT_NEAR(q, s * std::sin(phi), 4e-15);
  }
}

TEST(Philox, NormalsHaveNormalMoments) {
  const int n = 1 << 20;
  double sum = 0, squares = 0, fourth = 0, cross = 0;
  for (int i = 0; i < n; ++i) {
    const Draw b = draw(1, static_cast<uint64_t>(i));
    float x, y;
    normal_pair(b.word[0], b.word[1], &x, &y);
    sum += x + y;
    squares += double(x) * x + double(y) * y;
    fourth += std::pow(x, 4) + std::pow(y, 4);
    cross += double(x) * y;
  }
  // Five standard errors of each mean over 2n or n values.
  EXPECT_NEAR(sum / (2 * n), 0, 5 / std::sqrt(2.0 * n));
  EXPECT_NEAR(squares / (2 * n), 1, 5 * std::sqrt(2 / (2.0 * n)));
  EXPECT_NEAR(fourth / (2 * n), 3, 5 * std::sqrt(96 / (2.0 * n)));
  EXPECT_NEAR(cross / n, 0, 5 / std::sqrt(1.0 * n));
}

}  // namespace
}  // namespace tidu::philox
