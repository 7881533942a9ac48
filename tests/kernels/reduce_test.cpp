// Reductions of rows and columns against loops in long double, and the tree that lets callers split them.
#include "kernels/cpu/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/targets.h"

namespace tidu::cpu {
namespace {

using Real = long double;

template <class T> std::vector<T> numbers(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<T> x;
  for (size_t i = 0; i < n; ++i) {
    if constexpr (std::is_integral_v<T>) {
      x.push_back(static_cast<T>(random() >> (random() % 64)));
    } else {
      x.push_back(T(std::normal_distribution<float>(0.2f)(random)));
    }
  }
  return x;
}

template <class T> auto plain(T x) {
  if constexpr (std::is_integral_v<T> || std::is_floating_point_v<T>) {
    return x;
  } else {
    return static_cast<float>(x);
  }
}

template <class T>
using Sum =
    std::conditional_t<std::is_integral_v<T>, std::conditional_t<std::is_unsigned_v<T>, uint64_t, int64_t>,
                       decltype(plain(T()))>;

template <class A, class T>
A reduced(ReductionName reduction, const T* x, int64_t stride, int64_t n, double* tolerance) {
  *tolerance = 0;
  if (reduction == ReductionName::max || reduction == ReductionName::min) {
    using L = std::numeric_limits<A>;
    A best = reduction == ReductionName::max ? (L::has_infinity ? -L::infinity() : L::lowest())
                                             : (L::has_infinity ? L::infinity() : L::max());
    for (int64_t i = 0; i < n; ++i) {
      const A value = static_cast<A>(plain(x[i * stride]));
      best = reduction == ReductionName::max ? std::max(best, value) : std::min(best, value);
    }
    return best;
  }
  if constexpr (std::is_integral_v<A>) {
    uint64_t sum = reduction == ReductionName::prod;
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t value = static_cast<uint64_t>(static_cast<A>(x[i * stride]));
      sum = reduction == ReductionName::sum ? sum + value : sum * value;
    }
    return static_cast<A>(sum);
  } else {
    Real sum = reduction == ReductionName::prod, magnitude = 0;
    for (int64_t i = 0; i < n; ++i) {
      const Real value = plain(x[i * stride]);
      sum = reduction == ReductionName::sum ? sum + value : sum * value;
      magnitude += std::fabs(value);
    }
    // Sums: pairwise, the error grows with the logarithm of n. Products: relative, of n roundings, some
    // perhaps of subnormal numbers.
    using L = std::numeric_limits<A>;
    const double scale =
        static_cast<double>(reduction == ReductionName::sum ? 8 * magnitude : n * std::fabs(sum));
    *tolerance = L::epsilon() * scale +
                 (reduction == ReductionName::sum ? 0 : L::denorm_min() * static_cast<double>(n));
    return static_cast<A>(sum);
  }
}

template <class A, class T> void check(ReductionName reduction) {
  constexpr DType dtype = dtype_of<T>;
  EXPECT_EQ(reduce_functions(reduction, dtype).state_size, static_cast<int64_t>(sizeof(A)));
  for (const int64_t n : {0, 1, 7, 15, 16, 63, 128, 129, 513, 4096, 9000}) {
    const std::vector<T> x = numbers<T>(static_cast<size_t>(3 * (n + 2)), static_cast<uint64_t>(n));
    A out[4] = {0, 0, 0, 42};
    reduce_functions(reduction, dtype).rows(x.data(), n + 2, 3, n, out);
    for (int64_t r = 0; r < 3; ++r) {
      double tolerance;
      const A want = reduced<A>(reduction, x.data() + r * (n + 2), 1, n, &tolerance);
      if (tolerance == 0 || !std::isfinite(double(want))) {
        ASSERT_EQ(out[r], want) << n;
      } else {
        ASSERT_NEAR(double(out[r]), double(want), tolerance) << n;
      }
    }
    ASSERT_EQ(out[3], A(42));
  }
  for (const int64_t n : {0, 1, 63, 64, 65, 200}) {
    for (const int64_t columns : {1, 10, 64, 129, 1029}) {
      const int64_t stride = columns + (n % 2);
      const std::vector<T> x = numbers<T>(static_cast<size_t>(std::max<int64_t>(n, 1) * stride),
                                          static_cast<uint64_t>(n * columns));
      std::vector<A> out(static_cast<size_t>(columns + 1), A(42));
      reduce_functions(reduction, dtype).columns(x.data(), stride, n, columns, out.data());
      for (int64_t j = 0; j < columns; ++j) {
        double tolerance;
        const A want = reduced<A>(reduction, x.data() + j, stride, n, &tolerance);
        if (tolerance == 0 || !std::isfinite(double(want))) {
          ASSERT_EQ(out[static_cast<size_t>(j)], want) << n << ", " << columns;
        } else {
          ASSERT_NEAR(double(out[static_cast<size_t>(j)]), double(want), tolerance) << n << ", " << columns;
        }
      }
      ASSERT_EQ(out.back(), A(42));
    }
  }
}

template <class T> void check_dtype() {
  using Extreme = decltype(plain(T()));
  check<Sum<T>, T>(ReductionName::sum);
  check<Sum<T>, T>(ReductionName::prod);
  check<Extreme, T>(ReductionName::max);
  check<Extreme, T>(ReductionName::min);
}

TEST(Reduce, RowsAndColumnsOfEveryDType) {
  on_each_target([] {
    check_dtype<int8_t>();
    check_dtype<int16_t>();
    check_dtype<int32_t>();
    check_dtype<int64_t>();
    check_dtype<uint8_t>();
    check_dtype<uint16_t>();
    check_dtype<uint32_t>();
    check_dtype<uint64_t>();
    check_dtype<float16>();
    check_dtype<bfloat16>();
    check_dtype<float>();
    check_dtype<double>();
  });
}

TEST(Reduce, Bools) {
  const bool x[] = {false, true, false, false, false, false};
  bool any[2], all[2];
  int64_t count[2];
  reduce_functions(ReductionName::max, DType::bool_).rows(x, 3, 2, 3, any);
  reduce_functions(ReductionName::min, DType::bool_).rows(x + 1, 1, 2, 1, all);
  reduce_functions(ReductionName::sum, DType::bool_).rows(x, 3, 2, 3, count);
  EXPECT_EQ(std::vector<int>({any[0], any[1], all[0], all[1]}), std::vector<int>({1, 0, 1, 0}));
  EXPECT_EQ(count[0], 1);
}

// Runs of 2^k blocks, combined by the tree, give the bits of one call.
template <class T> void check_split() {
  const int64_t n = 11 * kRowBlock + 77;
  const std::vector<T> x = numbers<T>(static_cast<size_t>(n), 4);
  T whole;
  reduce_functions(ReductionName::sum, dtype_of<T>).rows(x.data(), 0, 1, n, &whole);
  for (const int64_t run : {kRowBlock, 2 * kRowBlock, 4 * kRowBlock, 8 * kRowBlock}) {
    std::vector<T> partials;
    for (int64_t begin = 0; begin < n; begin += run) {
      partials.emplace_back();
      reduce_functions(ReductionName::sum, dtype_of<T>)
          .rows(x.data() + begin, 0, 1, std::min(run, n - begin), &partials.back());
    }
    reduce_functions(ReductionName::sum, dtype_of<T>)
        .combine(partials.data(), static_cast<int64_t>(partials.size()), 1);
    EXPECT_EQ(partials[0], whole) << run;
  }
  const int64_t rows = 13 * kColumnBlock + 5, columns = 1300;
  const std::vector<T> y = numbers<T>(static_cast<size_t>(rows * columns), 5);
  std::vector<T> all(static_cast<size_t>(columns));
  reduce_functions(ReductionName::sum, dtype_of<T>).columns(y.data(), columns, rows, columns, all.data());
  for (const int64_t run : {kColumnBlock, 4 * kColumnBlock}) {
    const int64_t runs = (rows + run - 1) / run;
    std::vector<T> partials(static_cast<size_t>(runs * columns));
    for (int64_t i = 0; i < runs; ++i) {
      for (int64_t j = 0; j < columns; j += kColumnChunk) {
        reduce_functions(ReductionName::sum, dtype_of<T>)
            .columns(y.data() + i * run * columns + j, columns, std::min(run, rows - i * run),
                     std::min(kColumnChunk, columns - j), partials.data() + i * columns + j);
      }
    }
    reduce_functions(ReductionName::sum, dtype_of<T>).combine(partials.data(), runs, columns);
    EXPECT_EQ(std::memcmp(partials.data(), all.data(), all.size() * sizeof(T)), 0) << run;
  }
}

TEST(Reduce, PartsCombineToTheSameBits) {
  on_each_target([] {
    check_split<float>();
    check_split<double>();
  });
}

// Lanes are fixed, so even different instruction sets agree.
TEST(Reduce, InstructionSetsAgree) {
  const std::vector<float> x = numbers<float>(100001, 9);
  std::vector<float> sums;
  on_each_target([&] {
    sums.emplace_back();
    reduce_functions(ReductionName::sum, DType::float32).rows(x.data(), 0, 1, 100001, &sums.back());
  });
  for (const float sum : sums) EXPECT_EQ(sum, sums[0]);
}

template <class T> void check_arg() {
  std::vector<T> x = numbers<T>(50 * 301, 6);
  // Many ties.
  for (T& value : x) value = T(static_cast<int>(plain(value)) % 5);
  for (const bool largest : {true, false}) {
    const auto better = [&](auto a, auto b) { return largest ? a > b : a < b; };
    for (const int64_t n : {1, 9, 16, 50, 127, 300}) {
      std::vector<int64_t> rows(50), columns(static_cast<size_t>(301));
      arg_rows_function(largest, dtype_of<T>)(x.data(), 301, 50, n, rows.data());
      for (int64_t r = 0; r < 50; ++r) {
        int64_t want = 0;
        for (int64_t i = 1; i < n; ++i) {
          if (better(plain(x[static_cast<size_t>(r * 301 + i)]),
                     plain(x[static_cast<size_t>(r * 301 + want)])))
            want = i;
        }
        ASSERT_EQ(rows[static_cast<size_t>(r)], want);
      }
      const int64_t down = std::min<int64_t>(n, 50);
      arg_columns_function(largest, dtype_of<T>)(x.data(), 301, down, 301, columns.data());
      for (int64_t j = 0; j < 301; ++j) {
        int64_t want = 0;
        for (int64_t i = 1; i < down; ++i) {
          if (better(plain(x[static_cast<size_t>(i * 301 + j)]),
                     plain(x[static_cast<size_t>(want * 301 + j)])))
            want = i;
        }
        ASSERT_EQ(columns[static_cast<size_t>(j)], want);
      }
    }
  }
}

TEST(Reduce, ArgFindsTheFirstOfEqualElements) {
  on_each_target([] {
    check_arg<int8_t>();
    check_arg<int64_t>();
    check_arg<uint16_t>();
    check_arg<float16>();
    check_arg<float>();
    check_arg<double>();
  });
}

template <class T> void check_nan() {
  for (const int64_t n : {3, 15, 16, 17, 31, 33, 40, 63, 65, 127, 600, 5000, 9000}) {
    for (const int64_t place : {int64_t{0}, n / 2, n - 1}) {
      std::vector<T> x(static_cast<size_t>(n), T(1));
      x[static_cast<size_t>(place)] = NAN;
      x[static_cast<size_t>(n - 1)] = NAN;
      T best;
      int64_t row, column;
      for (const bool largest : {true, false}) {
        const ReductionName reduction = largest ? ReductionName::max : ReductionName::min;
        reduce_functions(reduction, dtype_of<T>).rows(x.data(), 0, 1, n, &best);
        EXPECT_TRUE(std::isnan(best)) << n;
        reduce_functions(reduction, dtype_of<T>).columns(x.data(), 1, n, 1, &best);
        EXPECT_TRUE(std::isnan(best)) << n;
        arg_rows_function(largest, dtype_of<T>)(x.data(), 0, 1, n, &row);
        arg_columns_function(largest, dtype_of<T>)(x.data(), 1, n, 1, &column);
        EXPECT_EQ(row, place);
        EXPECT_EQ(column, place);
      }
    }
  }
}

TEST(Reduce, NaNWins) {
  on_each_target([] {
    check_nan<float>();
    check_nan<double>();
  });
}

// Wherever the extreme stands in rows that are as long as vectors, and of infinities and zeros alone.
template <class T> void check_extremes() {
  const T inf = std::numeric_limits<T>::infinity();
  for (int64_t n = 1; n < 140; ++n) {
    for (const T other : {T(0), T(-0.0), -inf, inf, T(-3)}) {
      std::vector<T> x(static_cast<size_t>(n), other);
      T best;
      const auto expect = [&](ReductionName reduction, T want) {
        reduce_functions(reduction, dtype_of<T>).rows(x.data(), 0, 1, n, &best);
        ASSERT_EQ(best, want) << n << ", " << other;
      };
      expect(ReductionName::max, other);
      expect(ReductionName::min, other);
      for (T& element : x) {
        element = 7;
        expect(ReductionName::max, n > 1 ? std::max(other, T(7)) : T(7));
        if (n > 1) expect(ReductionName::min, std::min(other, T(7)));
        element = other;
      }
    }
  }
}

TEST(Reduce, ExtremesAnywhere) {
  on_each_target([] {
    check_extremes<float>();
    check_extremes<double>();
  });
}

// Of equal ones in two blocks the first.
TEST(Reduce, ArgLooksThroughAllBlocks) {
  on_each_target([] {
    const int64_t n = 3 * kRowBlock + 5;
    for (const int64_t place : {int64_t{0}, kRowBlock - 1, kRowBlock, 2 * kRowBlock + 7, n - 1}) {
      std::vector<double> x(static_cast<size_t>(n), -1.0);
      x[static_cast<size_t>(place)] = x.back() = 5.0;
      int64_t index;
      arg_rows_function(true, DType::float64)(x.data(), 0, 1, n, &index);
      EXPECT_EQ(index, place);
      for (double& value : x) value = -value;
      arg_rows_function(false, DType::float64)(x.data(), 0, 1, n, &index);
      EXPECT_EQ(index, place);
    }
  });
}

TEST(Reduce, TruthIsSettledByAnyElement) {
  on_each_target([] {
    for (const int64_t n : {int64_t{1}, int64_t{100}, kRowBlock, 3 * kRowBlock + 5}) {
      for (const bool all : {false, true}) {
        std::vector<uint8_t> x(static_cast<size_t>(n), all);
        const auto found = [&] {
          uint8_t state;
          reduce_functions(all ? ReductionName::all : ReductionName::any, DType::bool_)
              .rows(x.data(), 0, 1, n, &state);
          return state;
        };
        EXPECT_EQ(found(), all);
        for (const int64_t place : {int64_t{0}, n / 2, n - 1}) {
          x[static_cast<size_t>(place)] = !all;
          EXPECT_EQ(found(), !all) << n << ", " << place;
          x[static_cast<size_t>(place)] = all;
        }
      }
    }
  });
}

}  // namespace
}  // namespace tidu::cpu
