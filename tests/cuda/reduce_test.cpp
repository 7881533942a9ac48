// Reductions on device cuda against the cpu device: exact ones bit by bit, sums and the like against double.
#include "ops/reduce.h"

#include <cstring>
#include <limits>
#include <random>

#include "core/bind.h"
#include "tests/cuda/testing.h"

namespace tidu {
namespace {

using namespace cuda_testing;
constexpr DType kAll[] = {DType::bool_,    DType::int8,    DType::int16,  DType::int32,  DType::int64,
                          DType::uint8,    DType::uint16,  DType::uint32, DType::uint64, DType::float16,
                          DType::bfloat16, DType::float32, DType::float64};

// Every set of axes of a rank.
std::vector<Axes> sets_of_axes(int rank) {
  std::vector<Axes> sets;
  for (int set = 0; set < 1 << rank; ++set) {
    Axes axes;
    for (int i = 0; i < rank; ++i) {
      if (set >> i & 1) axes.push_back(i);
    }
    sets.push_back(axes);
  }
  return sets;
}

Tensor apply(const Primitive& primitive, const Tensor& x, const Axes& axes) {
  return bind(primitive, {x}, ReduceAttrs{axes});
}

void check_float(const Tensor& x, const Tensor& on_cuda, const Axes& axes, const std::string& what) {
  const Tensor wide = astype(x, DType::float64);
  const double rounding = epsilon(x.dtype()), computing = computed_epsilon(x.dtype());
  const Tensor total = sum(wide, axes);
  expect_near(apply(primitives::sum, on_cuda, axes), total,
              sum(abs(wide), axes) * (8 * computing) + abs(total) * rounding, what + " sum");
  if (x.numel() == 0) return;
  const Tensor log_sum = logsumexp(wide, axes);
  expect_near(apply(primitives::logsumexp, on_cuda, axes), log_sum,
              (abs(log_sum) + 1 + max(abs(wide), axes)) * (4 * computing + rounding), what + " logsumexp");
}

void check_exact(const Primitive& primitive, const Tensor& x, const Tensor& on_cuda, const Axes& axes,
                 const std::string& what) {
  const Tensor want = apply(primitive, x, axes), got = apply(primitive, on_cuda, axes);
  ASSERT_EQ(got.dtype(), want.dtype());
  expect_near(got, want, zeros_like(want), str(what, ' ', primitive.name));
}

void check(const Tensor& x, const Tensor& on_cuda, const Axes& axes, const std::string& what) {
  if (is_floating(x.dtype())) {
    check_float(x, on_cuda, axes, what);
  } else {
    check_exact(primitives::sum, x, on_cuda, axes, what);
    check_exact(primitives::prod, x, on_cuda, axes, what);
  }
  if (x.numel() == 0) return;
  check_exact(primitives::max, x, on_cuda, axes, what);
  check_exact(primitives::min, x, on_cuda, axes, what);
  if (axes.size() != 1) return;
  check_exact(primitives::argmax, x, on_cuda, axes, what);
  check_exact(primitives::argmin, x, on_cuda, axes, what);
}

TEST(CudaReduce, EveryLayoutAxesAndDtype) {
  for (const Layout& layout : layouts()) {
    for (const DType dtype : kAll) {
      const Tensor memory = numbers(layout.memory, dtype);
      const Tensor x = layout.view(memory), on_cuda = layout.view(to(memory, kCuda));
      for (const Axes& axes : sets_of_axes(x.ndim()))
        check(x, on_cuda, axes, str(layout.name, ' ', dtype, " over ", axes));
    }
  }
}

TEST(CudaReduce, SizesAroundTheBordersOfVectorsWarpsAndBlocks) {
  for (const int64_t n :
       {1,   2,   3,   4,    5,    7,    8,    9,    15,   17,   31,   32,    33,    64,   127,
        255, 256, 257, 1023, 1024, 1025, 1028, 4095, 4096, 4097, 4100, 16384, 16385, 33000}) {
    for (const DType dtype : {DType::float32, DType::float16, DType::uint8}) {
      const Tensor x = numbers({3, n}, dtype, static_cast<uint64_t>(n)), on_cuda = to(x, kCuda);
      check(x, on_cuda, {1}, str(dtype, " rows of ", n));
      check(x, on_cuda, {0}, str(dtype, " columns across ", n));
      const Tensor tall = reshape(x, {n, 3}), tall_on_cuda = reshape(on_cuda, {n, 3});
      check(tall, tall_on_cuda, {0}, str(dtype, " columns of ", n));
      const Tensor part = slice(reshape(x, {3 * n}), {1}, {3 * n - 1}, {1});
      check(part, slice(reshape(on_cuda, {3 * n}), {1}, {3 * n - 1}, {1}), {0},
            str(dtype, " all but one of ", 3 * n));
    }
  }
}

TEST(CudaReduce, ColumnsNarrowAndWide) {
  for (const int64_t columns : {2, 3, 4, 10, 32, 100, 127, 128, 129, 256, 257, 260, 512, 1030}) {
    for (const int64_t n : {2, 7, 31, 33, 500}) {
      for (const DType dtype : {DType::float32, DType::bfloat16, DType::int64}) {
        const Tensor x = numbers({n, columns}, dtype, static_cast<uint64_t>(n)), on_cuda = to(x, kCuda);
        check(x, on_cuda, {0}, str(dtype, ' ', n, " of ", columns));
      }
    }
  }
}

TEST(CudaReduce, LargeOnes) {
  const Tensor x = numbers({1 << 21}, DType::float32), on_cuda = to(x, kCuda);
  for (const Shape& shape :
       {Shape{1 << 21}, Shape{1 << 17, 16}, Shape{2, 1 << 20}, Shape{1 << 11, 1 << 10}}) {
    const Tensor view = reshape(x, shape), view_on_cuda = reshape(on_cuda, shape);
    for (int axis = 0; axis < shape.size(); ++axis)
      check(view, view_on_cuda, {axis}, str(shape, " over ", axis));
  }
}

TEST(CudaReduce, Products) {
  for (const DType dtype : kFloats) {
    for (const int64_t n : {1, 8, 33, 300}) {
      const Tensor x = astype(exp(numbers({n, 5}, DType::float32) * 0.01), dtype),
                   wide = astype(x, DType::float64);
      for (const Axes& axes : sets_of_axes(2)) {
        const Tensor want = prod(wide, axes);
        const double slack = 5 * static_cast<double>(n) * computed_epsilon(dtype) + epsilon(dtype);
        expect_near(apply(primitives::prod, to(x, kCuda), axes), want, want * slack, str(dtype, ' ', n));
      }
    }
  }
}

TEST(CudaReduce, NoElements) {
  const Tensor x = Tensor::empty({3, 0}, DType::float32, kCuda),
               b = Tensor::empty({3, 0}, DType::bool_, kCuda);
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(values(sum(x, Axes{1})), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(values(prod(x, Axes{1})), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(values(logsumexp(x, Axes{1})), (std::vector<double>{-inf, -inf, -inf}));
  EXPECT_EQ(values(any(b, Axes{1})), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(values(all(b, Axes{1})), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(values(all(b)), (std::vector<double>{1}));
  EXPECT_EQ(sum(x, Axes{0}).numel(), 0);
  EXPECT_THROW(max(x, Axes{1}), ValueError);
}

Tensor tensor_of(const std::vector<float>& numbers, DType dtype = DType::float32) {
  const Tensor x = Tensor::empty({static_cast<int64_t>(numbers.size())}, DType::float32);
  std::copy(numbers.begin(), numbers.end(), x.data<float>());
  return astype(x, dtype);
}

TEST(CudaReduce, NaNInfinityAndTies) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::vector<float>> rows = {
      {1, nan, 3, nan},    {nan, inf, 0, 1},        {-inf, -inf, -inf, -inf}, {inf, -inf, inf, 1},
      {2, 2, 2, 2},        {-inf, nan, -1, 0},      {inf, 5, nan, -1},        {-0.f, 0.f, -0.f, 0.f},
      {-inf, 0, -inf, -1}, {-inf, -inf, -inf, nan},
  };
  // The same among many other elements, in lanes and warps far apart.
  for (size_t i = 0, count = rows.size(); i < count; ++i) {
    std::vector<float> longer(5000, rows[i][0] == rows[i][1] ? rows[i][0] : -2.f);
    for (size_t j = 0; j < 4; ++j) longer[j * 1237 + 11] = rows[i][j];
    rows.push_back(longer);
  }
  for (const DType dtype : kFloats) {
    for (const std::vector<float>& row : rows) {
      const Tensor x = tensor_of(row, dtype), on_cuda = to(x, kCuda);
      check(x, on_cuda, {0},
            str(dtype, ' ', row[0], ' ', row[1], ' ', row[2], ' ', row[3], " of ", row.size()));
    }
  }
}

TEST(CudaReduce, SameBitsAgain) {
  const Tensor x = to(numbers({1000, 700}, DType::float32), kCuda);
  for (const Axes& axes : sets_of_axes(2))
    EXPECT_EQ(bytes(apply(primitives::sum, x, axes)), bytes(apply(primitives::sum, x, axes)));
}

// An array of ones and one sum whose parts would all be rounded away one by one.
TEST(CudaReduce, SumsInATree) {
  const Tensor x = Tensor::empty({1 << 22}, DType::float32);
  std::fill_n(x.data<float>(), x.numel(), 0.1f);
  const double want = static_cast<double>(0.1f) * static_cast<double>(x.numel());
  EXPECT_NEAR(values(sum(to(x, kCuda)))[0], want, want * 0x1p-22);
}

TEST(CudaReduce, LogsumexpTakesIntegersForFloats) {
  const Tensor x = to(numbers({300, 7}, DType::int32), kCuda);
  for (const Axes& axes : sets_of_axes(2)) {
    EXPECT_EQ(bytes(apply(primitives::logsumexp, x, axes)),
              bytes(apply(primitives::logsumexp, astype(x, DType::float32), axes)));
  }
}

}  // namespace
}  // namespace tidu
