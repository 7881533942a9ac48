// Casts between all pairs of dtypes against their definition in long double.
#include "kernels/cpu/cast.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#include "tests/kernels/targets.h"

namespace tidu {
namespace {

using Real = long double;

template <class T> inline constexpr bool is_half = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;
template <class T> inline constexpr bool is_floating = is_half<T> || std::is_floating_point_v<T>;

template <class T> Real value_of(T x) {
  if constexpr (is_half<T>) {
    return static_cast<float>(x);
  } else {
    return x;
  }
}

// The nearest multiple of the last place, ties to even; infinity beyond the largest finite value.
Real rounded(Real x, int digits, int min_exponent, Real largest) {
  if (x == 0 || !std::isfinite(x)) return x;
  const Real last_place = std::ldexp(Real(1), std::max(std::ilogb(x), min_exponent) - (digits - 1));
  const Real y = std::nearbyint(x / last_place) * last_place;
  return std::fabs(y) > largest ? std::copysign(std::numeric_limits<Real>::infinity(), x) : y;
}

template <class To> Real expected(Real x) {
  using L = std::numeric_limits<To>;
  if constexpr (std::is_same_v<To, bool>) {
    return x != 0;
  } else if constexpr (std::is_same_v<To, float16>) {
    return rounded(x, 11, -14, 65504);
  } else if constexpr (std::is_same_v<To, bfloat16>) {
    return rounded(x, 8, -126, 0x1.FEp127L);
  } else if constexpr (std::is_floating_point_v<To>) {
    return rounded(x, L::digits, L::min_exponent - 1, L::max());
  } else {
    if (std::isnan(x)) return 0;
    return std::trunc(std::min(std::max(x, Real(L::min())), Real(L::max())));
  }
}

template <class T> std::vector<T> values() {
  std::vector<T> out;
  std::mt19937_64 random(11);
  if constexpr (is_half<T>) {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      T x;
      x.bits = static_cast<uint16_t>(bits);
      out.push_back(x);
    }
  } else if constexpr (std::is_floating_point_v<T>) {
    using L = std::numeric_limits<T>;
    out = {0,        T(-0.0),         0.5,           -0.5,           1.5,           L::max(), L::lowest(),
           L::min(), L::denorm_min(), L::infinity(), -L::infinity(), L::quiet_NaN()};
    for (int e = 0; e <= 64; ++e) {
      const T power = std::ldexp(T(1), e);
      for (const T x :
           {power, std::nextafter(power, T(0)), std::nextafter(power, L::max()), power + T(0.5)}) {
        out.push_back(x);
        out.push_back(-x);
      }
    }
    // Half way between two neighbours of float16 or bfloat16, and as little as a double can tell beside it.
    for (int i = 0; i < 20000; ++i) {
      const T scale = std::ldexp(T(1), static_cast<int>(random() % 60) - 30);
      const T middle = T(2 * (random() % 4096) + 1) * scale;
      for (const T x : {middle, std::nextafter(middle, T(0)), std::nextafter(middle, L::max())})
        out.push_back(x);
      out.push_back(static_cast<T>(static_cast<int64_t>(random())));
      out.push_back(static_cast<T>(random() % 1000) / 3);
    }
  } else {
    using L = std::numeric_limits<T>;
    out = {0, 1, L::min(), L::max()};
    if constexpr (!std::is_same_v<T, bool>) {
      for (int i = 0; i < 20000; ++i) out.push_back(static_cast<T>(random() >> (random() % 64)));
      // Just beside a tie of bfloat16, further down than a double can see.
      out.push_back(static_cast<T>(0x4080000000000001));
      out.push_back(static_cast<T>(0x407fffffffffffff));
    }
  }
  return out;
}

template <class From, class To> void check_pair() {
  const std::vector<From> x = values<From>();
  const size_t n = x.size();
  // vector<bool> has no array, so both sides are plain ones.
  const std::unique_ptr<From[]> in(new From[n]);
  std::copy(x.begin(), x.end(), in.get());
  const std::unique_ptr<To[]> out(new To[n]);
  const void* inputs[] = {in.get()};
  cpu::cast_function(dtype_of<From>, dtype_of<To>)(inputs, out.get(), static_cast<int64_t>(n));
  for (size_t i = 0; i < n; ++i) {
    const Real exact = value_of<From>(in[i]);
    if constexpr (std::is_integral_v<From> && std::is_integral_v<To> && !std::is_same_v<To, bool>) {
      ASSERT_EQ(out[i], static_cast<To>(in[i])) << exact;
    } else {
      const Real want = expected<To>(exact), got = value_of<To>(out[i]);
      ASSERT_TRUE(got == want || (std::isnan(got) && std::isnan(want)))
          << static_cast<int>(dtype_of<From>) << " to " << static_cast<int>(dtype_of<To>) << ": " << exact
          << " gave " << got << ", not " << want;
      if (is_floating<To> && !std::isnan(want)) { ASSERT_EQ(std::signbit(got), std::signbit(want)) << exact; }
    }
  }
}

template <class From, class... To> void check_from() { (check_pair<From, To>(), ...); }

template <class... T> void check_all() { (check_from<T, T...>(), ...); }

TEST(Cast, EveryPairFollowsItsDefinition) {
  on_each_target([] {
    check_all<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, float16,
              bfloat16, float, double>();
  });
}

}  // namespace
}  // namespace tidu
