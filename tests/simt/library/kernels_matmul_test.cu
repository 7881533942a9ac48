// Matrix product kernels against sums in double (integers: in 64 bits), over dtypes, tiles, layouts, batches,
// splits and epilogues.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <valarray>

#include "kernels/cuda/matmul.h"
#include "kernels/scalar.h"
#include "simt/control.h"

using namespace tidu;
using namespace tidu::cuda;

namespace {

// Unlike std::vector, also bool lies in memory one by one.
template <class T> using Values = std::valarray<T>;

template <class T> bool same_bits(const Values<T>& a, const Values<T>& b) {
  return a.size() == b.size() && (a.size() == 0 || std::memcmp(&a[0], &b[0], a.size() * sizeof(T)) == 0);
}

class Memory {
 public:
  explicit Memory(size_t bytes) { EXPECT_EQ(cudaMalloc(&data_, bytes), cudaSuccess); }
  Memory(const Memory&) = delete;
  ~Memory() { cudaFree(data_); }
  char* get() const { return static_cast<char*>(data_); }

 private:
  void* data_ = nullptr;
};

// An operand in memory: `begin` elements into its allocation.
template <class T> struct Matrices {
  Values<T> host;
  int64_t begin = 0, by_row = 0, by_column = 0, by_batch[2] = {0, 0};
  Memory device;

  explicit Matrices(size_t count) : host(count), device(count * sizeof(T)) {}
  T at(int64_t row, int64_t column, int64_t i, int64_t j) const {
    return host[begin + row * by_row + column * by_column + i * by_batch[0] + j * by_batch[1]];
  }
  MatrixView view() {
    if (host.size() > 0) cudaMemcpy(device.get(), &host[0], host.size() * sizeof(T), cudaMemcpyHostToDevice);
    return {device.get() + begin * static_cast<int64_t>(sizeof(T)),
            by_row,
            by_column,
            {by_batch[0], by_batch[1]}};
  }
};

enum class Order { row_major, column_major, strided };

template <class T> void fill(Values<T>& values, unsigned seed) {
  std::mt19937 random(seed);
  for (T& value : values) {
    if constexpr (std::is_integral_v<T>) {
      value = static_cast<T>(random());
    } else {
      value = static_cast<T>(static_cast<float>(random() % 2001) / 1000.0f - 1.0f);
    }
  }
}

struct Case {
  int64_t m, n, k;
  int64_t batch[2] = {1, 1};
  Order a = Order::row_major, b = Order::row_major;
  int64_t offset = 0;      // elements before the first
  bool broadcast = false;  // one b for the inner batch
  bool bias = false;
};

template <class T>
std::unique_ptr<Matrices<T>> make(int64_t rows, int64_t columns, const Case& s, Order order, bool broadcast,
                                  unsigned seed) {
  const int64_t step = order == Order::strided ? 2 : 1;
  const int64_t matrix = rows * columns * step * step;
  auto x = std::make_unique<Matrices<T>>(s.offset + matrix * s.batch[0] * (broadcast ? 1 : s.batch[1]));
  fill(x->host, seed);
  x->begin = s.offset;
  x->by_row = order == Order::column_major ? 1 : columns * step * step;
  x->by_column = order == Order::column_major ? rows : step;
  x->by_batch[1] = broadcast ? 0 : matrix;
  x->by_batch[0] = broadcast ? matrix : matrix * s.batch[1];
  if (order == Order::strided && columns > 0) {  // backwards
    x->begin += (columns - 1) * step;
    x->by_column = -step;
  }
  return x;
}

template <class T> constexpr double unit_of() {
  if (std::is_same_v<T, double>) return std::numeric_limits<double>::epsilon();
  if (std::is_same_v<T, float>) return std::numeric_limits<float>::epsilon();
  return std::is_same_v<T, float16> ? 0x1p-10 : 0x1p-7;
}

// The product by a plan, checked element by element.
template <class T> Values<T> check(const Case& s, MatmulPlan plan, bool chosen = false) {
  SCOPED_TRACE(testing::Message() << s.m << " x " << s.k << " @ " << s.k << " x " << s.n << ", kernel "
                                  << static_cast<int>(plan.kernel) << ", splits " << plan.splits
                                  << ", orders " << static_cast<int>(s.a) << static_cast<int>(s.b)
                                  << ", offset " << s.offset << ", batch " << s.batch[0] << " x "
                                  << s.batch[1] << ", bias " << s.bias);
  const auto a = make<T>(s.m, s.k, s, s.a, false, 1), b = make<T>(s.k, s.n, s, s.b, s.broadcast, 2);
  Matrices<T> bias(static_cast<size_t>(s.n));
  fill(bias.host, 3);
  MatmulProblem problem{
      .dtype = dtype_of<T>, .m = s.m, .n = s.n, .k = s.k, .batch = {s.batch[0], s.batch[1]}};
  problem.a = a->view();
  problem.b = b->view();
  if (s.bias) problem.bias = bias.view().data;
  Values<T> out(static_cast<size_t>(s.m * s.n * problem.batches()));
  const Memory out_memory(out.size() * sizeof(T));
  problem.out = out_memory.get();
  if (chosen) plan = plan_matmul(problem);
  const Memory workspace(matmul_workspace(problem, plan)), arrivals(kMaxArrivals * sizeof(unsigned));
  cudaMemset(arrivals.get(), 0, kMaxArrivals * sizeof(unsigned));
  EXPECT_EQ(matmul(nullptr, problem, plan, workspace.get(), reinterpret_cast<unsigned*>(arrivals.get())),
            cudaSuccess)
      << simt::last_report();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess) << simt::last_report();
  unsigned left[kMaxArrivals];
  cudaMemcpy(left, arrivals.get(), sizeof left, cudaMemcpyDeviceToHost);
  EXPECT_TRUE(std::ranges::all_of(left, [](unsigned count) { return count == 0; }));
  if (out.size() > 0) cudaMemcpy(&out[0], out_memory.get(), out.size() * sizeof(T), cudaMemcpyDeviceToHost);

  size_t at = 0;
  int wrong = 0;
  for (int64_t i = 0; i < s.batch[0]; ++i) {
    for (int64_t j = 0; j < s.batch[1]; ++j) {
      for (int64_t row = 0; row < s.m; ++row) {
        for (int64_t column = 0; column < s.n; ++column, ++at) {
          if constexpr (std::is_integral_v<T>) {
            T sum = 0;
            for (int64_t k = 0; k < s.k; ++k) {
              sum = scalar::add(sum, scalar::multiply(a->at(row, k, i, j), b->at(k, column, i, j)));
            }
            wrong += out[at] != sum;
          } else {
            double sum = 0, magnitude = 0;
            for (int64_t k = 0; k < s.k; ++k) {
              const double term =
                  static_cast<double>(a->at(row, k, i, j)) * static_cast<double>(b->at(k, column, i, j));
              sum += term;
              magnitude += std::abs(term);
            }
            if (s.bias) sum += static_cast<double>(bias.host[column]);
            // One rounding of the result, and one of each sum.
            const double sums = std::is_same_v<T, double> ? unit_of<double>() : unit_of<float>();
            const double bound =
                unit_of<T>() * std::abs(sum) + sums * (magnitude * static_cast<double>(s.k + 2) + 8);
            wrong += !(std::abs(static_cast<double>(out[at]) - sum) <= bound);
          }
        }
      }
    }
  }
  EXPECT_EQ(wrong, 0);
  return out;
}

constexpr MatmulKernel kTiles[] = {MatmulKernel::large, MatmulKernel::medium, MatmulKernel::small,
                                   MatmulKernel::narrow};

template <class T> bool has(MatmulKernel kernel) {
  if (kernel == MatmulKernel::large) return std::is_same_v<T, float>;
  return kernel == MatmulKernel::small || kernel == MatmulKernel::vector || !std::is_integral_v<T>;
}

template <class T> class Matmul : public testing::Test {};
using Types = testing::Types<bool, int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t,
                             float16, bfloat16, float, double>;
TYPED_TEST_SUITE(Matmul, Types);

// Every tile adds the products of an element in the same order, so all give the same bits; but where slices
// share out k.
TYPED_TEST(Matmul, TilesAndLayouts) {
  using T = TypeParam;
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{64, 32, 16}, {132, 68, 24}, {33, 17, 13}, {1, 5, 9}}) {
    for (const Order a : {Order::row_major, Order::column_major, Order::strided}) {
      for (const Order b : {Order::row_major, Order::column_major}) {
        Values<T> first;
        for (const MatmulKernel kernel : kTiles) {
          if (!has<T>(kernel)) continue;
          const Values<T> out = check<T>({.m = m, .n = n, .k = k, .a = a, .b = b}, {kernel});
          if (first.size() == 0) first = out;
          EXPECT_TRUE(same_bits(out, first));
        }
        if (has<T>(MatmulKernel::sliced))
          check<T>({.m = m, .n = n, .k = 9 * k, .a = a, .b = b}, {MatmulKernel::sliced});
      }
    }
  }
}

// More rows of tiles than the blocks of one group take, and a smaller group for the rest.
TYPED_TEST(Matmul, ManyTiles) {
  using T = TypeParam;
  for (const MatmulKernel kernel : kTiles) {
    if (has<T>(kernel))
      check<T>({.m = kernel == MatmulKernel::small ? 300 : 1200, .n = 70, .k = 3}, {kernel});
  }
}

TYPED_TEST(Matmul, Vectors) {
  using T = TypeParam;
  for (const auto& [m, n, k] :
       {std::array<int64_t, 3>{37, 1, 64}, {1, 40, 77}, {1, 1, 300}, {3, 70, 33}, {65, 4, 16}, {2, 2, 1}}) {
    for (const Order a : {Order::row_major, Order::column_major, Order::strided}) {
      for (const Order b : {Order::row_major, Order::column_major, Order::strided}) {
        check<T>({.m = m, .n = n, .k = k, .a = a, .b = b}, {MatmulKernel::vector});
      }
    }
  }
}

TYPED_TEST(Matmul, Splits) {
  using T = TypeParam;
  for (const MatmulKernel kernel :
       {MatmulKernel::small, MatmulKernel::narrow, MatmulKernel::sliced, MatmulKernel::vector}) {
    if (!has<T>(kernel)) continue;
    for (const int64_t n : {1, 4}) {
      check<T>({.m = 6, .n = n, .k = 288, .b = Order::column_major}, {kernel, 5});
      check<T>({.m = 35, .n = n, .k = 100, .batch = {1, 2}}, {kernel, 3});
      check<T>({.m = n, .n = 36, .k = 104, .a = Order::column_major}, {kernel, 5});
    }
  }
}

TYPED_TEST(Matmul, Batches) {
  using T = TypeParam;
  for (const bool broadcast : {false, true}) {
    for (const MatmulKernel kernel : {MatmulKernel::small, MatmulKernel::narrow, MatmulKernel::sliced}) {
      if (!has<T>(kernel)) continue;
      check<T>({.m = 20, .n = 12, .k = 8, .batch = {2, 3}, .broadcast = broadcast}, {kernel});
    }
    check<T>({.m = 20, .n = 2, .k = 16, .batch = {3, 2}, .broadcast = broadcast}, {MatmulKernel::vector});
  }
}

// Pointers that are not aligned to 16 bytes, and extents that vectors would not divide.
TYPED_TEST(Matmul, Offsets) {
  using T = TypeParam;
  for (int64_t offset = 1; offset < 4; ++offset) {
    check<T>({.m = 40, .n = 36, .k = 16, .offset = offset}, {MatmulKernel::small});
    if (has<T>(MatmulKernel::sliced))
      check<T>({.m = 40, .n = 36, .k = 160, .offset = offset}, {MatmulKernel::sliced});
    check<T>({.m = 40, .n = 1, .k = 64, .offset = offset}, {MatmulKernel::vector});
  }
}

TYPED_TEST(Matmul, NothingToAdd) {
  using T = TypeParam;
  for (const int64_t n : {1, 12, 40}) {
    const Values<T> out = check<T>({.m = 33, .n = n, .k = 0}, {}, true);
    for (const T value : out) EXPECT_EQ(static_cast<double>(value), 0.0);
  }
  check<T>({.m = 0, .n = 4, .k = 5}, {}, true);
  check<T>({.m = 4, .n = 4, .k = 5, .batch = {0, 1}}, {}, true);
}

TYPED_TEST(Matmul, ChosenPlans) {
  using T = TypeParam;
  check<T>({.m = 16, .n = 10, .k = 300}, {}, true);
  check<T>({.m = 2, .n = 3, .k = 5000}, {}, true);
  check<T>({.m = 40, .n = 33, .k = 600}, {}, true);
}

template <class T> class Epilogue : public testing::Test {};
using Floats = testing::Types<float16, bfloat16, float, double>;
TYPED_TEST_SUITE(Epilogue, Floats);

TYPED_TEST(Epilogue, Bias) {
  using T = TypeParam;
  for (const bool bias : {false, true}) {
    for (const MatmulKernel kernel : kTiles) {
      if (!has<T>(kernel)) continue;
      check<T>({.m = 36, .n = 40, .k = 8, .bias = bias}, {kernel});
      check<T>({.m = 5, .n = 37, .k = 24, .bias = bias}, {kernel, 3});
    }
    check<T>({.m = 5, .n = 37, .k = 200, .bias = bias}, {MatmulKernel::sliced});
    check<T>({.m = 36, .n = 3, .k = 8, .bias = bias}, {MatmulKernel::vector});
    check<T>({.m = 3, .n = 36, .k = 48, .bias = bias}, {MatmulKernel::vector, 2});
  }
}

// The order of threads and blocks must not show.
TEST(MatmulSchedules, GiveTheSameBits) {
  const Case shape{.m = 70, .n = 33, .k = 90};
  for (const MatmulPlan plan : {MatmulPlan{MatmulKernel::medium},
                                {MatmulKernel::small, 4},
                                {MatmulKernel::narrow, 2},
                                {MatmulKernel::sliced, 2}}) {
    simt::set_schedule({});
    const Values<float> expected = check<float>(shape, plan);
    for (const simt::Schedule schedule : {simt::Schedule{simt::Schedule::descending},
                                          {simt::Schedule::random, 1},
                                          {simt::Schedule::random, 2}}) {
      simt::set_schedule(schedule);
      EXPECT_TRUE(same_bits(check<float>(shape, plan), expected));
    }
    simt::set_schedule({});
  }
}

TEST(MatmulPlans, DependOnTheShape) {
  const auto plan = [](DType dtype, int64_t m, int64_t n, int64_t k, int64_t batches = 1) {
    MatmulProblem p{.dtype = dtype, .m = m, .n = n, .k = k, .batch = {1, batches}};
    p.a = {nullptr, k, 1, {0, m * k}};
    p.b = {nullptr, n, 1, {0, k * n}};
    return plan_matmul(p);
  };
  EXPECT_EQ(plan(DType::float32, 4096, 4096, 64).kernel, MatmulKernel::large);
  EXPECT_EQ(plan(DType::float64, 4096, 4096, 64).kernel, MatmulKernel::medium);
  EXPECT_EQ(plan(DType::int32, 4096, 4096, 64).kernel, MatmulKernel::small);
  EXPECT_EQ(plan(DType::float32, 64, 64, 64, 1000).kernel, MatmulKernel::large);
  EXPECT_EQ(plan(DType::float32, 128, 10, 128).kernel, MatmulKernel::sliced);
  EXPECT_EQ(plan(DType::float32, 10, 4096, 128).kernel, MatmulKernel::narrow);
  EXPECT_EQ(plan(DType::float32, 4096, 1, 4096).kernel, MatmulKernel::vector);
  // Of few tiles the warps of a block share out k, and blocks where there are too few of them, too: 64 tiles
  // of 128 x 128 outputs, and 8 of 32 x 64, each with at least 512 of k.
  const auto sliced = [&](int64_t m, int64_t n, int64_t k) {
    const MatmulPlan chosen = plan(DType::float32, m, n, k);
    EXPECT_EQ(chosen.kernel, MatmulKernel::sliced);
    return chosen.splits;
  };
  EXPECT_EQ(sliced(128, 256, 784), 1);
  EXPECT_EQ(sliced(128, 128, 784), 1);
  EXPECT_EQ(sliced(128, 128, 4096), 2);
  EXPECT_EQ(sliced(32, 64, 4096), 8);
  // 25 tiles of integers: k is split by multiples of 32, at least 128 each.
  const MatmulPlan split = plan(DType::int32, 160, 160, 784);
  EXPECT_EQ(split.kernel, MatmulKernel::small);
  EXPECT_EQ(split.splits, 5);
  EXPECT_EQ(plan(DType::float32, 128, 128, 128).splits, 1);
}

}  // namespace
