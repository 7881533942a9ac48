// Softmax, log-softmax and cross-entropy on device cuda against their definitions in double.
#include "ops/softmax.h"

#include <limits>

#include "core/bind.h"
#include "ops/reduce.h"
#include "tests/cuda/testing.h"

namespace tidu {
namespace {

using namespace cuda_testing;
void check(const Tensor& x, const Tensor& on_cuda, int axis, const std::string& what) {
  const double rounding = epsilon(x.dtype()), computing = computed_epsilon(x.dtype());
  if (x.numel() == 0) {
    EXPECT_EQ(softmax(on_cuda, axis).shape(), x.shape());
    return;
  }
  const Tensor wide = astype(x, DType::float64), p = softmax(wide, axis), log_p = log_softmax(wide, axis);
  const double tiny = x.dtype() == DType::float16 ? 0x1p-24 : 1e-37;
  expect_near(softmax(on_cuda, axis), p, p * ((abs(log_p) * 2 + 6) * computing + rounding) + tiny,
              what + " softmax");
  expect_near(log_softmax(on_cuda, axis), log_p,
              (abs(wide) + abs(max(wide, Axes{axis}, true)) + abs(log_p) + 1) * (4 * computing + rounding),
              what + " log_softmax");
}

TEST(CudaSoftmax, EveryLayoutAxisAndDtype) {
  for (const Layout& layout : layouts()) {
    for (const DType dtype : kFloats) {
      const Tensor memory = numbers(layout.memory, dtype) * 4;
      const Tensor x = layout.view(memory), on_cuda = layout.view(to(memory, kCuda));
      for (int axis = 0; axis < x.ndim(); ++axis)
        check(x, on_cuda, axis, str(layout.name, ' ', dtype, " along ", axis));
    }
  }
}

// Lengths about where a row moves from a part of a warp to a warp, a block, a long block and beyond
// registers.
TEST(CudaSoftmax, RowsOfManyLengths) {
  for (const int64_t n : {1,    2,    3,    4,    5,     8,     10,    31,    32,    33,   100,  128,
                          255,  256,  257,  260,  512,   513,   1000,  1023,  1024,  1025, 1032, 4096,
                          8191, 8192, 8193, 8200, 16384, 16385, 16392, 32768, 32776, 33001}) {
    for (const DType dtype : kFloats) {
      const Tensor x = numbers({3, n}, dtype, static_cast<uint64_t>(n)) * 3, on_cuda = to(x, kCuda);
      check(x, on_cuda, 1, str(dtype, " rows of ", n));
      const Tensor part = slice(reshape(x, {3 * n}), {1}, {3 * n - 1}, {1});
      check(part, slice(reshape(on_cuda, {3 * n}), {1}, {3 * n - 1}, {1}), 0,
            str(dtype, " all but one of ", 3 * n));
    }
  }
}

TEST(CudaSoftmax, Columns) {
  for (const Shape& shape : {Shape{50, 3}, Shape{7, 256}, Shape{1000, 129}, Shape{3, 40, 8},
                             Shape{2, 129, 33}, Shape{4, 256, 5}, Shape{4, 257, 5}, Shape{2, 6000, 12}}) {
    for (const DType dtype : kFloats) {
      const Tensor x = numbers(shape, dtype), on_cuda = to(x, kCuda);
      check(x, on_cuda, shape.size() - 2, str(dtype, ' ', shape));
    }
  }
}

TEST(CudaSoftmax, ManyRows) {
  const Tensor x = numbers({60000, 10}, DType::float32);
  check(x, to(x, kCuda), 1, "60000 rows");
}

// The first and the last class among them, which few of many would be by chance.
Tensor labels_of(const Shape& shape, int64_t classes) {
  Tensor labels = random_integers(random_key(7), shape, 0, classes, DType::int64);
  labels.data<int64_t>()[0] = 0;
  labels.data<int64_t>()[labels.numel() - 1] = classes - 1;
  return labels;
}

constexpr int64_t kIgnored = -100;

Tensor loss_gradient(const Tensor& logits, const Tensor& labels, const Tensor& factor) {
  return bind(primitives::softmax_cross_entropy_grad, {logits, labels, factor},
              CrossEntropyAttrs{true, kIgnored});
}

// `at` makes the views of labels and factors that lie along the rows of x.
void check_loss(const Tensor& x, const Tensor& on_cuda, const std::string& what) {
  const int64_t classes = x.size(-1);
  const Shape rows(x.shape().begin(), x.shape().end() - 1);
  const Tensor labels = where(random_bernoulli(random_key(9), 0.2, rows), kIgnored, labels_of(rows, classes));
  const Tensor factor = numbers(rows, is_narrow(x.dtype()) ? DType::float32 : x.dtype(), 3);
  const double rounding = epsilon(x.dtype()), computing = computed_epsilon(x.dtype());
  const Tensor wide = astype(x, DType::float64), weight = astype(factor, DType::float64);
  const CountedLosses want = counted_cross_entropy(wide, labels, kIgnored);
  const CountedLosses have = counted_cross_entropy(on_cuda, to(labels, kCuda), kIgnored);
  expect_near(have.losses, want.losses, (max(abs(wide), Axes{-1}) * 2 + 1) * (4 * computing + rounding),
              what + " loss");
  expect_near(have.counts, astype(labels != kIgnored, DType::float64), zeros_like(want.losses),
              what + " counts");
  for (const Tensor& g : {factor, broadcast_to(select(flatten(factor), 0, 0), rows)}) {
    const Tensor slope = loss_gradient(wide, labels, astype(g, DType::float64));
    const Tensor g_on_cuda =
        g.is_same(factor) ? to(g, kCuda) : broadcast_to(to(select(flatten(factor), 0, 0), kCuda), rows);
    const Tensor size = expand_dims(abs(astype(g, DType::float64)), -1);
    expect_near(loss_gradient(on_cuda, to(labels, kCuda), g_on_cuda), slope,
                size * (16 * computing) + abs(slope) * rounding + 0x1p-24 * (x.dtype() == DType::float16),
                what + " gradient");
  }
}

TEST(CudaSoftmax, CrossEntropyOfEveryLayoutAndDtype) {
  for (const Layout& layout : layouts()) {
    for (const DType dtype : kFloats) {
      const Tensor memory = numbers(layout.memory, dtype) * 4;
      const Tensor x = layout.view(memory), on_cuda = layout.view(to(memory, kCuda));
      if (x.ndim() > 0 && x.numel() > 0) check_loss(x, on_cuda, str(layout.name, ' ', dtype));
    }
  }
}

TEST(CudaSoftmax, CrossEntropyOfManyLengths) {
  for (const int64_t n : {1, 2, 10, 33, 256, 257, 1000, 1024, 1025, 8192, 8193, 16385, 16388, 33001, 33008}) {
    for (const DType dtype : kFloats) {
      const Tensor x = numbers({5, n}, dtype, static_cast<uint64_t>(n)) * 3;
      check_loss(x, to(x, kCuda), str(dtype, " of ", n));
    }
  }
}

// More of them than threads of a block, and their elements far apart.
TEST(CudaSoftmax, CrossEntropyOfManyLongRows) {
  const Tensor memory = numbers({8193, 257}, DType::float64), labels = labels_of({257}, 8193);
  const Tensor want = softmax_cross_entropy(matrix_transpose(memory), labels);
  expect_near(softmax_cross_entropy(matrix_transpose(to(memory, kCuda)), to(labels, kCuda)), want,
              ones_like(want) * 1e-13, "257 long rows");
}

TEST(CudaSoftmax, LabelsOfAnyLayout) {
  const Tensor x = numbers({6, 4, 9}, DType::float32), labels = labels_of({4, 6}, 9);
  const Tensor want = softmax_cross_entropy(astype(x, DType::float64), matrix_transpose(labels));
  expect_near(softmax_cross_entropy(to(x, kCuda), matrix_transpose(to(labels, kCuda))), want,
              ones_like(want) * 1e-5, "transposed labels");
}

// Whatever they hold, and be their label a class or none.
TEST(CudaSoftmax, IgnoredRowsAreZero) {
  for (const int64_t n : {10, 2000, 40000}) {
    for (const int64_t ignored : {kIgnored, int64_t{3}}) {
      const int64_t label[] = {ignored, 1, ignored, n - 1};
      const Tensor labels = copy_from_host(label, {4}, DType::int64),
                   rows = expand_dims(labels == ignored, -1);
      const Tensor x = to(where(rows, NAN, numbers({4, n}, DType::float32)), kCuda);
      const Tensor on_cuda = to(labels, kCuda), ones = to(ones_like(select(rows, -1, 0)), kCuda);
      const Tensor losses = counted_cross_entropy(x, on_cuda, ignored).losses;
      const Tensor slope = bind(primitives::softmax_cross_entropy_grad,
                                {x, on_cuda, astype(ones, DType::float32)}, CrossEntropyAttrs{true, ignored});
      EXPECT_EQ(to_vector<bool>(to(losses == 0, Device{})), to_vector<bool>(labels == ignored)) << n;
      EXPECT_EQ(to_vector<bool>(to(all(slope == 0, Axes{-1}), Device{})), to_vector<bool>(labels == ignored))
          << n;
    }
  }
}

TEST(CudaSoftmax, RowsWithFactor0AreZero) {
  for (const int64_t n : {10, 2000, 40000}) {
    const int64_t label[] = {0, 1, 2, n - 1};
    const float factor[] = {0, 1, 0, 2};
    const Tensor labels = copy_from_host(label, {4}, DType::int64);
    const Tensor g = copy_from_host(factor, {4}, DType::float32), none = g == 0;
    const Tensor x = where(expand_dims(none, -1), NAN, numbers({4, n}, DType::float32));
    const Tensor slope = loss_gradient(to(x, kCuda), to(labels, kCuda), to(g, kCuda));
    EXPECT_EQ(to_vector<bool>(to(all(slope == 0, Axes{-1}), Device{})), to_vector<bool>(none)) << n;
    EXPECT_FALSE(item<bool>(to(any(isnan(slope)), Device{}))) << n;
  }
}

TEST(CudaSoftmax, RefusesLabelsThatAreNoClass) {
  for (const int64_t classes : {10, 2000, 40000}) {
    const Tensor x = to(numbers({4, classes}, DType::float32), kCuda);
    for (const int64_t bad : {int64_t{-1}, classes, INT64_MIN, INT64_MAX}) {
      const int64_t label[] = {0, classes - 1, bad, 1};
      const Tensor labels = copy_from_host(label, {4}, DType::int64, kCuda);
      const auto fails = [&](auto&& f) {
        try {
          f();
          cuda::synchronize();
          ADD_FAILURE() << "no error for label " << bad;
        } catch (const IndexError& error) {
          const std::string text = error.what();
          EXPECT_NE(text.find(std::to_string(bad)), std::string::npos) << text;
          EXPECT_NE(text.find("softmax_cross_entropy"), std::string::npos) << text;
        }
      };
      fails([&] { softmax_cross_entropy(x, labels); });
      fails([&] { loss_gradient(x, labels, to(numbers({4}, DType::float32), kCuda)); });
    }
  }
  const Tensor none = Tensor::empty({2, 0}, DType::float32, kCuda);
  const int64_t zero[] = {0, 0};
  EXPECT_THROW(softmax_cross_entropy(none, copy_from_host(zero, {2}, DType::int64, kCuda)), IndexError);
}

TEST(CudaSoftmax, SpecialValues) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::vector<double>> rows = {
      {-inf, 3, -inf},   {nan, 1, 2},   {inf, 1, 0},      {-inf, -inf, -inf},
      {-inf, nan, -inf}, {inf, nan, 1}, {1000, 0, -1000}, {1, inf, inf},
  };
  for (const std::vector<double>& row : rows) {
    for (const int64_t n : {3, 64, 2000, 20000, 40000}) {
      for (const DType dtype : kFloats) {
        Tensor x = Tensor::empty({n}, DType::float64);
        for (int64_t i = 0; i < n; ++i) x.data<double>()[i] = row[2] == -inf ? -inf : -1000;
        for (int64_t i = 0; i < 3; ++i) x.data<double>()[i * (n / 3)] = row[static_cast<size_t>(i)];
        x = astype(x, dtype);
        for (const int axis : {0, 1}) {
          const Shape shape = axis == 0 ? Shape{n} : Shape{1, n};
          const Tensor view = reshape(x, shape), on_cuda = reshape(to(x, kCuda), shape);
          const Tensor p = softmax(view, axis), log_p = log_softmax(view, axis);
          const std::string what = str(dtype, ' ', row[0], ' ', row[1], ' ', row[2], " in ", n);
          expect_near(softmax(on_cuda, axis), p, zeros_like(p), what);
          expect_near(log_softmax(on_cuda, axis), log_p, zeros_like(p), what);
          expect_near(softmax_limit(on_cuda, axis), softmax_limit(view, axis), zeros_like(p),
                      what + " limit");
        }
      }
    }
  }
}

TEST(CudaSoftmax, SameBitsAgain) {
  for (const Shape& shape : {Shape{50, 700}, Shape{3, 40000}}) {
    const Tensor x = to(numbers(shape, DType::float32), kCuda);
    for (const int axis : {0, 1}) EXPECT_EQ(bytes(softmax(x, axis)), bytes(softmax(x, axis)));
  }
}

TEST(CudaSoftmax, PairsHaveTheBitsOfEach) {
  for (const int64_t n : {1, 10, 33, 1000, 8193, 33001}) {
    for (const DType dtype : kFloats) {
      const Tensor memory = numbers({6, n}, dtype, static_cast<uint64_t>(n)) * 3;
      const Tensor labels = to(where(tensor<bool>({false, true, false, false, false, false}), kIgnored,
                                     labels_of({6}, n)),
                               kCuda),
                   g = to(astype(tensor<float>({1, 2, 0, -1, 0.5f, 3}),
                                 is_narrow(dtype) ? DType::float32 : dtype),
                          kCuda);
      const CrossEntropyAttrs attrs{true, kIgnored};
      for (const Tensor& x :
           {to(memory, kCuda), matrix_transpose(to(copy(matrix_transpose(memory)), kCuda))}) {
        Tensor both[3], losses[2], logs[2];
        const Tensor all[] = {x, labels, g};
        bind(primitives::softmax_cross_entropy_with_grad, all, attrs, both);
        bind(primitives::softmax_cross_entropy, {all, 2}, attrs, losses);
        bind(primitives::log_softmax_with_softmax, {all, 1}, AxisAttrs{1}, logs);
        const std::string what = str(dtype, " of ", n);
        EXPECT_EQ(bytes(both[0]), bytes(losses[0])) << what;
        EXPECT_EQ(bytes(both[1]), bytes(losses[1])) << what;
        EXPECT_EQ(bytes(both[2]), bytes(loss_gradient(x, labels, g))) << what;
        EXPECT_EQ(bytes(logs[0]), bytes(log_softmax(x, 1))) << what;
        EXPECT_EQ(bytes(logs[1]), bytes(softmax(x, 1))) << what;
      }
    }
  }
}

TEST(CudaSoftmax, WantsFloats) {
  const Tensor x = to(numbers({3, 2}, DType::int32), kCuda);
  EXPECT_THROW(bind(primitives::softmax, {x}, SoftmaxAttrs{1}), DTypeError);
}

}  // namespace
}  // namespace tidu
