// Channels side by side have the bits that each has by itself, on each instruction set.
#include "kernels/cpu/norm.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/targets.h"

namespace tidu::cpu {
namespace {

template <class T> struct Results { std::vector<T> y, mean, variance, dx, of_weight, of_bias; };

// Of the channels from `begin` on, `channels` of them, as a batch of their own.
template <class T>
Results<T> results_of(const std::vector<T>& x, const std::vector<T>& g, int64_t images, int64_t all,
                      int64_t begin, int64_t channels) {
  std::vector<T> part_x, part_g;
  for (int64_t i = 0; i < images; ++i) {
    for (int64_t c = begin; c < begin + channels; ++c)
      part_x.push_back(x[static_cast<size_t>(i * all + c)]),
          part_g.push_back(g[static_cast<size_t>(i * all + c)]);
  }
  const size_t n = part_x.size(), c = static_cast<size_t>(channels);
  Results<T> r{std::vector<T>(n), std::vector<T>(c), std::vector<T>(c),
               std::vector<T>(n), std::vector<T>(c), std::vector<T>(c)};
  const ChannelWork work{1e-5, images, channels, 1, part_x.data(), nullptr, nullptr};
  const ChannelFunctions f = channel_functions(dtype_of<T>);
  f.norm(work, 0, channels, r.y.data(), r.mean.data(), r.variance.data());
  f.grad(work, 0, channels, part_g.data(), r.dx.data(), r.of_weight.data(), r.of_bias.data());
  return r;
}

template <class T> bool same(T a, T b) { return std::memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b); }

template <class T> void check() {
  constexpr int64_t images = 30, channels = 64 + 8 + 3;
  std::mt19937 random(3);
  std::normal_distribution<T> normal;
  std::vector<T> x(images * channels), g(images * channels);
  for (T& v : x) v = normal(random) + 2;
  for (T& v : g) v = normal(random);
  for (int64_t i = 0; i < images; ++i) {
    T* const row = x.data() + i * channels;
    row[1] *= std::numeric_limits<T>::max() / 8, row[65] *= std::numeric_limits<T>::min() * 4, row[2] = 5;
    g[static_cast<size_t>(i * channels + 3)] = g[static_cast<size_t>(i * channels + 66)] = 0;
  }
  x[4] = std::numeric_limits<T>::quiet_NaN(), x[67] = std::numeric_limits<T>::infinity(), x[3] = x[4];
  const Results<T> together = results_of(x, g, images, channels, 0, channels);
  for (int64_t c = 0; c < channels; ++c) {
    const Results<T> alone = results_of(x, g, images, channels, c, 1);
    const auto at = static_cast<size_t>(c);
    EXPECT_TRUE(same(together.mean[at], alone.mean[0]) && same(together.variance[at], alone.variance[0]) &&
                same(together.of_weight[at], alone.of_weight[0]) &&
                same(together.of_bias[at], alone.of_bias[0]))
        << c;
    for (int64_t i = 0; i < images; ++i) {
      const auto here = static_cast<size_t>(i * channels + c), one = static_cast<size_t>(i);
      ASSERT_TRUE(same(together.y[here], alone.y[one]) && same(together.dx[here], alone.dx[one]))
          << i << ", " << c;
    }
  }
}

TEST(NormKernel, ChannelsSideBySideAreThoseAlone) {
  on_each_target([] { check<float>(), check<double>(); });
}

}  // namespace
}  // namespace tidu::cpu
