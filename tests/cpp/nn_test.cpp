// Losses against their definitions in double precision and against differences; modules against what they
// promise.
#include <cmath>

#include "finite_difference.h"

namespace tidu::nn {
namespace {

using testing::check_derivatives;
using testing::expect_close;
using testing::random_point;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor doubles(std::initializer_list<double> values, const Shape& shape) {
  return tensor<double>(values, shape);
}
Tensor doubles(std::initializer_list<double> values) { return tensor<double>(values); }
Tensor classes(std::initializer_list<int64_t> values) { return tensor<int64_t>(values); }
double value_of(const Tensor& x) { return item<double>(x); }
std::vector<float> values_of(const Tensor& x) { return to_vector<float>(stop_gradient(x)); }

// log_softmax of each row, by its definition.
std::vector<std::vector<double>> log_softmax_rows(const Tensor& logits) {
  const auto x = to_vector<double>(logits);
  const size_t width = static_cast<size_t>(logits.size(-1));
  std::vector<std::vector<double>> rows;
  for (size_t begin = 0; begin < x.size(); begin += width) {
    double total = 0;
    for (size_t c = 0; c < width; ++c) total += std::exp(x[begin + c]);
    rows.emplace_back();
    for (size_t c = 0; c < width; ++c) rows.back().push_back(x[begin + c] - std::log(total));
  }
  return rows;
}

// --- Classification

TEST(Autocast, ProductsTake16BitsAndLossesGiveFloat32) {
  const Tensor x = tensor<float>({1, 2, 3, 4}, {2, 2}), weight = tensor<float>({1, -1, 0.5, 2}, {2, 2});
  const auto loss = [&](const Tensor& w) {
    const Autocast scope({.enabled = true});
    const Tensor y = linear(x, w);
    EXPECT_EQ(y.dtype(), DType::bfloat16);
    {
      const Autocast off({});
      EXPECT_EQ(matmul(x, w).dtype(), DType::float32);
    }
    return mse_loss(y, x);
  };
  const Tensor gradient = grad(loss)(weight);
  EXPECT_EQ(gradient.dtype(), DType::float32);
  EXPECT_EQ(loss(weight).dtype(), DType::float32);
  EXPECT_EQ(matmul(x, weight).dtype(), DType::float32);
  EXPECT_THROW(Autocast({.enabled = true, .dtype = DType::float64}), DTypeError);
}

TEST(CrossEntropy, IndicesFollowTheDefinition) {
  const Tensor logits = random_point(1, {4, 3});
  const Tensor targets = classes({2, 0, 1, 1});
  const auto rows = log_softmax_rows(logits);
  const std::vector<double> expected{-rows[0][2], -rows[1][0], -rows[2][1], -rows[3][1]};
  const double total = expected[0] + expected[1] + expected[2] + expected[3];
  expect_close(cross_entropy(logits, targets, Reduction::none), tensor(std::span(expected), {4}));
  EXPECT_NEAR(value_of(cross_entropy(logits, targets)), total / 4, 1e-12);
  EXPECT_NEAR(value_of(cross_entropy(logits, targets, Reduction::sum)), total, 1e-12);
  EXPECT_NEAR(value_of(cross_entropy(logits, astype(targets, DType::uint8))), total / 4, 1e-12);
  EXPECT_NEAR(value_of(nll_loss(log_softmax(logits), targets)), total / 4, 1e-12);
}

TEST(CrossEntropy, IgnoredTargetsDoNotCount) {
  const Tensor logits = random_point(2, {4, 3});
  const auto rows = log_softmax_rows(logits);
  const Tensor targets = classes({2, -100, 1, -100});
  for (const bool negative_log_likelihood : {false, true}) {
    const auto loss = [&](const Tensor& labels, Reduction reduction) {
      return negative_log_likelihood ? nll_loss(log_softmax(logits), labels, reduction)
                                     : cross_entropy(logits, labels, reduction);
    };
    EXPECT_NEAR(value_of(loss(targets, Reduction::mean)), -(rows[0][2] + rows[2][1]) / 2, 1e-12);
    expect_close(loss(targets, Reduction::none), doubles({-rows[0][2], 0, -rows[2][1], 0}));
    EXPECT_TRUE(std::isnan(value_of(loss(classes({-100, -100, -100, -100}), Reduction::mean))));
    EXPECT_EQ(value_of(loss(classes({-100, -100, -100, -100}), Reduction::sum)), 0);
  }
  EXPECT_NEAR(value_of(cross_entropy(logits, classes({2, 0, 1, 0}), Reduction::mean, 0, 0)),
              -(rows[0][2] + rows[2][1]) / 2, 1e-12);
  EXPECT_THROW(cross_entropy(logits, targets, Reduction::mean, 0, std::nullopt), IndexError);
}

// What a row that does not count holds, NaN even, reaches neither the loss nor a derivative of any order.
TEST(CrossEntropy, IgnoredRowsReachNothing) {
  const Tensor targets = classes({2, -100, 1, -100}), counting = classes({2, 1});
  const Tensor x = random_point(2, {4, 3}), kept = stack({select(x, 0, 0), select(x, 0, 2)}, 0);
  const Tensor row = expand_dims(classes({0, 1, 0, 1}) == 1, -1);
  const Tensor poisoned = where(row, NAN, x), t = random_point(3, {4, 3});
  const auto loss = [&](const Tensor& at) { return cross_entropy(at, targets); };
  const auto loss_of_kept = [&](const Tensor& at) { return cross_entropy(at, counting); };
  const auto rows = [](const Tensor& of_all) {
    return stack({select(of_all, 0, 0), select(of_all, 0, 2)}, 0);
  };
  const auto check = [&](const Tensor& of_all, const Tensor& of_kept) {
    expect_close(rows(of_all), of_kept);
    expect_close(where(row, of_all, 0), zeros({4, 3}, DType::float64));
  };
  EXPECT_NEAR(value_of(loss(poisoned)), value_of(loss_of_kept(kept)), 1e-12);
  check(grad(loss)(poisoned), grad(loss_of_kept)(kept));
  const auto of_one = [](const auto& f) { return [&f](const Tensors& x) { return f(x[0]); }; };
  const auto slope = [&](const auto& f, const Tensor& at, const Tensor& along) {
    return jvp([&](const Tensors& x) { return Tensors{f(x[0])}; }, {at}, {along}).tangents[0];
  };
  EXPECT_NEAR(value_of(slope(loss, poisoned, t)), value_of(slope(loss_of_kept, kept, rows(t))), 1e-12);
  check(hvp(of_one(loss), {poisoned}, {t})[0], hvp(of_one(loss_of_kept), {kept}, {rows(t)})[0]);
}

TEST(CrossEntropy, ProbabilitiesFollowTheDefinition) {
  const Tensor logits = random_point(3, {2, 3});
  const auto rows = log_softmax_rows(logits);
  const Tensor targets = doubles({0.2, 0.3, 0.5, 1, 0, 0}, {2, 3});
  const double first = -(0.2 * rows[0][0] + 0.3 * rows[0][1] + 0.5 * rows[0][2]), second = -rows[1][0];
  expect_close(cross_entropy(logits, targets, Reduction::none), doubles({first, second}));
  EXPECT_NEAR(value_of(cross_entropy(logits, targets)), (first + second) / 2, 1e-12);
}

TEST(CrossEntropy, SmoothingMixesWithTheUniformDistribution) {
  const Tensor logits = random_point(4, {5, 4}), labels = classes({3, 0, 1, 2, 2});
  const Tensor hard = one_hot(labels, 4, DType::float64);
  const double e = 0.3;
  const Tensor soft = hard * (1 - e) + e / 4;
  expect_close(cross_entropy(logits, labels, Reduction::none, e),
               cross_entropy(logits, soft, Reduction::none));
  expect_close(cross_entropy(logits, hard, Reduction::none, e), cross_entropy(logits, soft, Reduction::none));
  const Tensor some = classes({3, -100, 1, -100, 2});
  const auto kept = to_vector<double>(cross_entropy(logits, soft, Reduction::none));
  EXPECT_NEAR(value_of(cross_entropy(logits, some, Reduction::mean, e)), (kept[0] + kept[2] + kept[4]) / 3,
              1e-12);
}

TEST(CrossEntropy, ClassAxisIsTheSecondOfMany) {
  const Tensor logits = random_point(5, {2, 3, 4});
  const Tensor labels = tensor<int64_t>({0, 1, 2, 0, 2, 2, 1, 0}, {2, 4});
  const Tensor flat_logits = reshape(moveaxis(logits, 1, -1), {8, 3});
  const Tensor expected = cross_entropy(flat_logits, flatten(labels), Reduction::none);
  expect_close(cross_entropy(logits, labels, Reduction::none), reshape(expected, {2, 4}));
  const Tensor soft = moveaxis(one_hot(labels, 3, DType::float64), -1, 1);
  expect_close(cross_entropy(logits, soft, Reduction::none), reshape(expected, {2, 4}));
  expect_close(nll_loss(log_softmax(logits, 1), labels, Reduction::none), reshape(expected, {2, 4}));
  const Tensor one = select(flat_logits, 0, 1);
  EXPECT_NEAR(value_of(cross_entropy(one, full({}, 1, DType::int64))), to_vector<double>(expected)[1], 1e-12);
}

TEST(CrossEntropy, LargeLogitsNeitherOverflowNorVanish) {
  const Tensor logits = tensor<float>({1e4f, -1e4f, 0, 0}, {2, 2});
  expect_close(cross_entropy(logits, classes({1, 0}), Reduction::none), tensor<float>({2e4f, std::log(2.0f)}),
               1e-6);
  const Tensor masked = doubles({0, -INFINITY, 0}, {1, 3});
  EXPECT_NEAR(value_of(cross_entropy(masked, doubles({0.5, 0, 0.5}, {1, 3}))), std::log(2.0), 1e-12);
}

TEST(CrossEntropy, DerivativesToOrderTwo) {
  const Tensor x = random_point(6, {4, 3}), labels = classes({2, 0, -100, 1});
  const Tensor soft = softmax(random_point(7, {4, 3}));
  check_derivatives([&](const Tensor& at) { return cross_entropy(at, labels); }, x);
  check_derivatives([&](const Tensor& at) { return cross_entropy(at, labels, Reduction::none, 0.1); }, x);
  check_derivatives([&](const Tensor& at) { return cross_entropy(at, soft, Reduction::sum, 0.1); }, x);
  check_derivatives([&](const Tensor& at) { return cross_entropy(x, at); }, soft);
  check_derivatives([&](const Tensor& at) { return nll_loss(at, labels); }, x);
}

// (softmax - one_hot) / n, in closed form.
TEST(CrossEntropy, GradientInClosedForm) {
  const Tensor x = random_point(8, {6, 5}), labels = classes({0, 1, 2, 3, 4, 0});
  const Tensor gradient = grad([&](const Tensor& at) { return cross_entropy(at, labels); })(x);
  expect_close(gradient, (softmax(x) - one_hot(labels, 5, DType::float64)) / 6);
}

TEST(CrossEntropy, WrongInputsAreNamed) {
  const Tensor x = zeros({4, 3});
  EXPECT_THROW(cross_entropy(x, classes({0, 1, 2})), ShapeError);
  EXPECT_THROW(cross_entropy(x, zeros({4, 2})), ShapeError);
  EXPECT_THROW(cross_entropy(x, zeros({4})), ShapeError);
  EXPECT_THROW(cross_entropy(x, classes({0, 1, 2, 3})), IndexError);
  EXPECT_THROW(cross_entropy(x, classes({0, 1, 2, -1})), IndexError);
  EXPECT_THROW(nll_loss(x, classes({0, 1, 2, 3})), IndexError);
  EXPECT_THROW(nll_loss(x, classes({0, 1, 2, -1})), IndexError);
  EXPECT_THROW(nll_loss(x, zeros({4})), DTypeError);
  EXPECT_THROW(cross_entropy(zeros({4, 3}, DType::int64), classes({0, 1, 2, 0})), DTypeError);
  EXPECT_THROW(cross_entropy(zeros({}), full({}, 0, DType::int64)), ShapeError);
  EXPECT_THROW(cross_entropy(x, classes({0, 1, 2, 0}), Reduction::mean, 1.5), ValueError);
  EXPECT_THROW(reduction_from_name("median"), ValueError);
  EXPECT_EQ(reduction_from_name("sum"), Reduction::sum);
}

TEST(CrossEntropy, EmptyBatch) {
  const Tensor x = zeros({0, 3}), labels = zeros({0}, DType::int64);
  EXPECT_EQ(cross_entropy(x, labels, Reduction::none).shape(), Shape{0});
  EXPECT_EQ(value_of(cross_entropy(x, labels, Reduction::sum)), 0);
  EXPECT_TRUE(std::isnan(value_of(cross_entropy(x, labels))));
}

TEST(BinaryCrossEntropy, FollowsTheDefinition) {
  const Tensor p = doubles({0.1, 0.5, 0.9, 1e-30}), t = doubles({0, 0.3, 1, 1});
  const Tensor expected = doubles({-std::log(0.9), -std::log(0.5), -std::log(0.9), 30 * std::log(10.0)});
  expect_close(binary_cross_entropy(p, t, Reduction::none), expected);
  EXPECT_NEAR(value_of(binary_cross_entropy(p, t)), value_of(mean(expected)), 1e-12);
}

TEST(BinaryCrossEntropy, LogarithmsEndAtMinusHundred) {
  const Tensor p = tensor<float>({0, 1, 0, 1}), t = tensor<float>({0, 1, 1, 0});
  expect_close(binary_cross_entropy(p, t, Reduction::none), tensor<float>({0, 0, 100, 100}));
  const auto loss = [&](const Tensor& at) { return binary_cross_entropy(at, t, Reduction::sum); };
  for (const float slope : to_vector<float>(grad(loss)(p))) EXPECT_TRUE(std::isfinite(slope));
  const Tensor outside = doubles({-0.1, 1.1, kNan});
  for (const double value : to_vector<double>(binary_cross_entropy(outside, outside, Reduction::none)))
    EXPECT_TRUE(std::isnan(value));
}

TEST(BinaryCrossEntropy, SmallProbabilitiesKeepTheirDigits) {
  EXPECT_NEAR(value_of(binary_cross_entropy(tensor<float>({1e-10f}), tensor<float>({0}))) / 1e-10, 1, 1e-6);
}

TEST(BinaryCrossEntropyWithLogits, IsThatOfTheSigmoid) {
  const Tensor x = random_point(9, {3, 4}), t = random_uniform(random_key(1), {3, 4}, 0, 1, DType::float64);
  expect_close(binary_cross_entropy_with_logits(x, t, Reduction::none),
               binary_cross_entropy(sigmoid(x), t, Reduction::none));
  const Tensor w = doubles({0.5, 1, 2, 3});
  const Tensor p = sigmoid(x);
  expect_close(binary_cross_entropy_with_logits(x, t, Reduction::none, w),
               -(w * t * log(p) + (1 - t) * log(1 - p)));
}

TEST(BinaryCrossEntropyWithLogits, SafeAtAnyLogit) {
  const Tensor x = tensor<float>({1e4f, -1e4f, 1e4f, -1e4f, INFINITY, -INFINITY, -20}),
               t = tensor<float>({1, 0, 0, 1, 1, 0, 0});
  const auto values = to_vector<float>(binary_cross_entropy_with_logits(x, t, Reduction::none));
  EXPECT_EQ(std::vector<float>(values.begin(), values.begin() + 6),
            (std::vector<float>{0, 0, 1e4f, 1e4f, 0, 0}));
  EXPECT_NEAR(values[6] / std::log1p(std::exp(-20.0)), 1, 1e-6);
  const auto loss = [&](const Tensor& at) { return binary_cross_entropy_with_logits(at, t, Reduction::sum); };
  expect_close(grad(loss)(x), sigmoid(x) - t, 1e-6);
}

TEST(BinaryCrossEntropyWithLogits, WrongShapesAreNamed) {
  EXPECT_THROW(binary_cross_entropy_with_logits(zeros({3}), zeros({3, 1})), ShapeError);
  EXPECT_THROW(binary_cross_entropy_with_logits(zeros({3}), zeros({3}), Reduction::mean, zeros({2, 3})),
               ShapeError);
  EXPECT_THROW(binary_cross_entropy_with_logits(zeros({3}), zeros({3}), Reduction::mean, zeros({2})),
               ShapeError);
  EXPECT_THROW(binary_cross_entropy(zeros({3}), zeros({4})), ShapeError);
}

// --- Regression

TEST(Regression, LossesFollowTheirDefinitions) {
  const Tensor p = doubles({0, 1, 2, 5}), t = doubles({0, 3, 1.5, -5});
  expect_close(mse_loss(p, t, Reduction::none), doubles({0, 4, 0.25, 100}));
  EXPECT_NEAR(value_of(mse_loss(p, t)), 104.25 / 4, 1e-12);
  expect_close(l1_loss(p, t, Reduction::none), doubles({0, 2, 0.5, 10}));
  expect_close(huber_loss(p, t, 2, Reduction::none), doubles({0, 2, 0.125, 18}));
  EXPECT_NEAR(value_of(huber_loss(p, t, 1, Reduction::sum)), 1.5 + 0.125 + 9.5, 1e-12);
}

TEST(Regression, WrongInputsAreNamed) {
  for (const auto loss : {mse_loss, l1_loss}) {
    EXPECT_THROW(loss(zeros({3}), zeros({3, 1}), Reduction::mean), ShapeError);
    EXPECT_THROW(loss(zeros({3}, DType::int32), zeros({3}), Reduction::mean), DTypeError);
  }
  EXPECT_THROW(huber_loss(zeros({3}), zeros({1})), ShapeError);
  EXPECT_THROW(huber_loss(zeros({3}), zeros({3}), 0), ValueError);
}

TEST(Losses, DerivativesToOrderTwo) {
  const Tensor x = random_point(10, {3, 4}),
               t = random_uniform(random_key(2), {3, 4}, 0.1, 0.9, DType::float64);
  check_derivatives([&](const Tensor& at) { return mse_loss(at, t); }, x);
  check_derivatives([&](const Tensor& at) { return l1_loss(at, t); }, x);
  check_derivatives([&](const Tensor& at) { return huber_loss(at, t, 0.7); }, x);
  check_derivatives([&](const Tensor& at) { return binary_cross_entropy(sigmoid(at), t); }, x);
  check_derivatives([&](const Tensor& at) { return binary_cross_entropy_with_logits(at, t); }, x);
  check_derivatives([&](const Tensor& at) { return binary_cross_entropy_with_logits(x, at); }, t);
  check_derivatives(
      [&](const Tensor& at) { return binary_cross_entropy_with_logits(at, t, Reduction::mean, t * 3); }, x);
}

// --- Functions of layers

TEST(DropoutFunction, KeepsTheExpectation) {
  const Tensor x = ones({100, 1000}), key = random_key(3);
  const Tensor y = dropout(x, 0.3, key);
  int64_t kept = 0;
  for (const float value : to_vector<float>(y)) {
    if (value != 0) {
      EXPECT_FLOAT_EQ(value, 1 / 0.7f);
      ++kept;
    }
  }
  EXPECT_NEAR(static_cast<double>(kept) / 1e5, 0.7, 5 * std::sqrt(0.21 / 1e5));
  EXPECT_EQ(to_vector<float>(dropout(x, 0.3, key)), to_vector<float>(y));
  EXPECT_NE(to_vector<float>(dropout(x, 0.3, random_key(4))), to_vector<float>(y));
  EXPECT_TRUE(dropout(x, 0.3, key, false).is_same(x));
  EXPECT_TRUE(dropout(x, 0, key).is_same(x));
  EXPECT_EQ(value_of(sum(dropout(x * INFINITY, 1, key))), 0);
  EXPECT_THROW(dropout(x, 1.5, key), ValueError);
  EXPECT_THROW(dropout(zeros({3}, DType::int64), 0.5, key), DTypeError);
}

TEST(DropoutFunction, GradientPassesWhereValuesDo) {
  const Tensor x = random_point(11, {6, 7}), key = random_key(5);
  const auto f = [&](const Tensor& at) { return dropout(at, 0.5, key); };
  expect_close(grad([&](const Tensor& at) { return sum(f(at)); })(x), f(ones_like(x)));
}

TEST(LayerNormFunction, FollowsTheDefinition) {
  const Tensor x = random_point(12, {2, 3, 4}), weight = random_point(13, {3, 4}),
               bias = random_point(14, {3, 4});
  const auto values = to_vector<double>(x), w = to_vector<double>(weight), b = to_vector<double>(bias);
  std::vector<double> expected;
  for (size_t row = 0; row < 2; ++row) {
    double average = 0, spread = 0;
    for (size_t i = 0; i < 12; ++i) average += values[12 * row + i] / 12;
    for (size_t i = 0; i < 12; ++i) spread += std::pow(values[12 * row + i] - average, 2) / 12;
    for (size_t i = 0; i < 12; ++i)
      expected.push_back((values[12 * row + i] - average) / std::sqrt(spread + 1e-5) * w[i] + b[i]);
  }
  expect_close(layer_norm(x, {3, 4}, weight, bias), tensor(std::span<const double>(expected), {2, 3, 4}));
  check_derivatives([&](const Tensor& at) { return layer_norm(at, {4}); }, x);
  check_derivatives([&](const Tensor& at) { return layer_norm(x, {3, 4}, at, bias); }, weight);
  EXPECT_THROW(layer_norm(x, {2, 4}), ShapeError);
  EXPECT_THROW(layer_norm(x, {}), ShapeError);
  EXPECT_THROW(layer_norm(x, {4}, weight), ShapeError);
}

TEST(RmsNormFunction, FollowsTheDefinition) {
  const Tensor x = random_point(12, {2, 4}), weight = random_point(13, {4});
  const Tensor mean_square = mean(square(x), Axes{-1}, true);
  expect_close(rms_norm(x, {4}, weight), x / sqrt(mean_square + 1e-5) * weight);
  expect_close(RMSNorm({4})(x), rms_norm(x, {4}));
  check_derivatives([&](const Tensor& at) { return rms_norm(at, {4}, weight); }, x);
  check_derivatives([&](const Tensor& at) { return rms_norm(x, {4}, at); }, weight);
  EXPECT_THROW(rms_norm(x, {3}), ShapeError);
}

TEST(EmbeddingFunction, TakesRowsAndAddsTheirGradients) {
  const Tensor weight = random_point(15, {5, 2}), indices = tensor<int64_t>({1, 3, 1, 0}, {2, 2});
  const Tensor rows = embedding(indices, weight);
  EXPECT_EQ(rows.shape(), (Shape{2, 2, 2}));
  expect_close(select(select(rows, 0, 0), 0, 1), select(weight, 0, 3));
  const Tensor gradient = grad([&](const Tensor& at) { return sum(embedding(indices, at)); })(weight);
  expect_close(gradient, doubles({1, 1, 2, 2, 0, 0, 1, 1, 0, 0}, {5, 2}));
  EXPECT_THROW(embedding(classes({5}), weight), IndexError);
  EXPECT_THROW(embedding(zeros({2}), weight), DTypeError);
  EXPECT_THROW(embedding(indices, zeros({3})), ShapeError);
}

// --- Initialisers

TEST(Init, SpreadAndBounds) {
  const Shape shape{200, 300};
  const Tensor key = random_key(6);
  const auto spread = [](const Tensor& x) { return std::sqrt(value_of(mean(square(x)))); };
  const double xavier = std::sqrt(2.0 / 500), kaiming = std::sqrt(2.0 / 300);
  EXPECT_NEAR(spread(xavier_uniform(key, shape)) / xavier, 1, 0.01);
  EXPECT_NEAR(spread(xavier_normal(key, shape)) / xavier, 1, 0.02);
  EXPECT_NEAR(spread(kaiming_uniform(key, shape)) / kaiming, 1, 0.01);
  EXPECT_NEAR(spread(kaiming_normal(key, shape, 1, Fan::out)) / std::sqrt(1.0 / 200), 1, 0.02);
  EXPECT_LE(value_of(max(abs(xavier_uniform(key, shape)))), std::sqrt(6.0 / 500) * (1 + 1e-6));
  EXPECT_NEAR(spread(kaiming_normal(key, {16, 8, 5, 5})) / std::sqrt(2.0 / 200), 1, 0.06);
  EXPECT_EQ(xavier_normal(key, shape, 1, DType::float64).dtype(), DType::float64);
  EXPECT_THROW(xavier_uniform(key, {3}), ShapeError);
}

// --- Modules

Sequential network(uint64_t seed = 1) {
  const Tensor keys = random_split(random_key(seed));
  return Sequential(Linear(4, 3, select(keys, 0, 0)), Sigmoid(), Linear(3, 2, select(keys, 0, 1)));
}

TEST(Module, NamesItsParametersInOrder) {
  Sequential net = network();
  std::vector<std::string> names;
  for (const auto& [name, parameter] : net.named_parameters()) {
    names.push_back(name);
    EXPECT_TRUE(parameter.requires_grad());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias"}));
  EXPECT_EQ(Linear(4, 3, random_key(1), false).parameters().size(), 1u);
}

TEST(Module, ComputesWhatItsLayersSay) {
  Sequential net = network();
  const Tensors p = net.parameters();
  const Tensor x = random_normal(random_key(9), {5, 4});
  expect_close(
      net(x), matmul(sigmoid(matmul(x, matrix_transpose(p[0])) + p[1]), matrix_transpose(p[2])) + p[3], 1e-6);
  EXPECT_EQ(Flatten()(zeros({2, 3, 4})).shape(), (Shape{2, 12}));
  EXPECT_EQ(Flatten()(zeros({0, 3, 4})).shape(), (Shape{0, 12}));
}

TEST(Module, BothHabitsOfDifferentiationAgree) {
  Sequential net = network();
  const Tensor x = random_normal(random_key(9), {5, 4}), labels = classes({0, 1, 1, 0, 1});
  const auto loss = [&](const Tensors& parameters) {
    return cross_entropy(net.forward_with(parameters, x), labels);
  };
  const Tensors gradients = value_and_grad(loss, net.parameters()).gradients;
  cross_entropy(net(x), labels).backward();
  const Tensors p = net.parameters();
  for (size_t i = 0; i < p.size(); ++i) {
    EXPECT_EQ(to_vector<float>(p[i].grad()), to_vector<float>(stop_gradient(gradients[i])));
  }
  net.zero_grad();
  EXPECT_FALSE(p[0].grad().defined());
  EXPECT_THROW(net.forward_with({p[0]}, x), ValueError);
}

TEST(Module, ForwardWithPutsItsParametersBackAfterAnError) {
  Sequential net = network();
  const Tensors before = net.parameters();
  Tensors others = before;
  others[0] = zeros({7, 7});
  EXPECT_THROW(net.forward_with(others, zeros({1, 4})), ShapeError);
  const Tensors after = net.parameters();
  for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(after[i].is_same(before[i]));
}

TEST(Module, StateComesBack) {
  Sequential a = network(1), b = network(2);
  const Tensor x = random_normal(random_key(9), {5, 4});
  const Tensor kept = b.parameters()[0];
  EXPECT_NE(values_of(a(x)), values_of(b(x)));
  b.load_state(a.state());
  EXPECT_EQ(values_of(a(x)), values_of(b(x)));
  EXPECT_TRUE(b.parameters()[0].is_same(kept));
  EXPECT_TRUE(kept.requires_grad());
}

TEST(Module, StateThatDoesNotFitChangesNothing) {
  Sequential net = network();
  const auto whole = net.state();
  const auto before = values_of(whole.at("0.weight"));
  auto state = network(2).state();
  state.erase("2.bias");
  EXPECT_THROW(net.load_state(state), ValueError);
  state["2.bias"] = zeros({3});
  EXPECT_THROW(net.load_state(state), ValueError);
  state["2.bias"] = zeros({2}, DType::float64);
  EXPECT_THROW(net.load_state(state), ValueError);
  state["2.bias"] = zeros({2});
  state["3.bias"] = zeros({2});
  EXPECT_THROW(net.load_state(state), ValueError);
  EXPECT_EQ(values_of(net.state().at("0.weight")), before);
}

struct Pair : Module {
  Tensor a = ones({2}), b = zeros({2});
  std::string second = "b";
  Tensor forward(const Tensor& x) override { return x * a + b; }
  void members(MemberVisitor& visit) override { visit.parameter("a", a), visit.parameter(second, b); }
};

TEST(Module, AStateMayBeTheModulesOwnMemory) {
  Pair pair;
  auto state = pair.state();
  std::swap(state["a"], state["b"]);
  pair.load_state(state);
  EXPECT_EQ(values_of(pair.a), (std::vector<float>{0, 0}));
  EXPECT_EQ(values_of(pair.b), (std::vector<float>{1, 1}));
}

TEST(Module, TwoTensorsOfOneNameAreRefused) {
  Pair pair;
  pair.second = "a";
  EXPECT_THROW(pair.state(), ValueError);
}

TEST(Module, ModesReachEveryLayer) {
  Sequential net(Linear(4, 4, random_key(1)), Sequential(Dropout(0.5, random_key(2))));
  const Tensor x = ones({3, 4});
  EXPECT_TRUE(net.training());
  EXPECT_NE(values_of(net(x)), values_of(net(x)));
  const auto state = net.state();
  EXPECT_EQ(state.size(), 3u);
  EXPECT_EQ(net.parameters().size(), 2u);
  net.eval();
  EXPECT_EQ(values_of(net(x)), values_of(net(x)));
  net.train();
  EXPECT_NE(values_of(net(x)), values_of(net(x)));
}

TEST(Module, DropoutGoesOnFromItsState) {
  Dropout a(0.5, random_key(1)), b(0.5, random_key(2));
  const Tensor x = ones({40});
  a(x);
  b.load_state(a.state());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(values_of(a(x)), values_of(b(x)));
}

struct Residual : Module {
  Linear inner;
  LayerNorm norm;
  explicit Residual(const Tensor& key) : inner(4, 4, key), norm({4}) {}
  Tensor forward(const Tensor& x) override { return x + relu(inner(norm(x))); }
  void members(MemberVisitor& visit) override { visit.module("inner", inner), visit.module("norm", norm); }
};

TEST(Module, UsersWriteTheirOwn) {
  Sequential net(Embedding(10, 4, random_key(1)), Residual(random_key(2)));
  const auto state = net.state();
  EXPECT_TRUE(state.contains("1.inner.weight") && state.contains("1.norm.bias") &&
              state.contains("0.weight"));
  sum(net(classes({1, 2, 1}))).backward();
  for (const Tensor& parameter : net.parameters()) EXPECT_TRUE(parameter.grad().defined());
}

// --- Images

TEST(Images, ConvolutionsAndPoolsFollowTheirDefinitions) {
  const Tensor x = reshape(arange(9, DType::float64), {1, 3, 3});
  const Tensor w = doubles({1, 2, 3, 4}, {1, 1, 2, 2});
  using Numbers = std::vector<double>;
  EXPECT_EQ(to_vector<double>(conv2d(x, w, doubles({0.5}))), (Numbers{27.5, 37.5, 57.5, 67.5}));
  EXPECT_EQ(to_vector<double>(conv2d(x, w, {}, {.stride = {2}, .padding = Dims{1}})),
            (Numbers{0, 11, 30, 67}));
  EXPECT_EQ(conv2d(x, w, {}, {.padding = std::nullopt}).shape(), x.shape());
  EXPECT_EQ(to_vector<double>(conv_transpose2d(doubles({1, 10}, {1, 1, 2}), w, {}, {.stride = {2}})),
            (Numbers{1, 2, 10, 20, 3, 4, 30, 40}));
  const Pooled largest = max_pool(2, x, {.kernel = {2}, .stride = {1}});
  EXPECT_EQ(to_vector<double>(largest.values), (Numbers{4, 5, 7, 8}));
  EXPECT_EQ(to_vector<int64_t>(largest.indices), (std::vector<int64_t>{4, 5, 7, 8}));
  EXPECT_EQ(to_vector<double>(avg_pool(2, x, {.kernel = {3}})), (Numbers{4}));
  EXPECT_EQ(to_vector<double>(adaptive_avg_pool(2, x, {1, std::nullopt})), (Numbers{3, 4, 5}));
  EXPECT_EQ(interpolate(expand_dims(x, 0), {6}, {}, Interpolation::linear).shape(), (Shape{1, 1, 6, 6}));
  EXPECT_THROW(conv2d(x, w, {}, {.dilation = {3}}), ShapeError);
}

TEST(Images, BatchNormWritesRunningValues) {
  const Tensor x = doubles({1, 10, 3, 30}, {2, 2});
  Tensor mean = zeros({2}, DType::float64), variance = ones({2}, DType::float64);
  expect_close(batch_norm(x, mean, variance, {}, {}, {.training = true, .momentum = 0.5, .eps = 0}),
               doubles({-1, -1, 1, 1}, {2, 2}), 1e-15);
  expect_close(mean, doubles({1, 10}), 1e-15);
  expect_close(variance, doubles({1.5, 100.5}), 1e-14);
  expect_close(group_norm(x, 2, {}, {}, 1), zeros({2, 2}, DType::float64), 0);
}

TEST(ImageLayers, ConvolutionsBeginByTheirKey) {
  const Tensor key = random_key(3);
  const double bound = 1 / std::sqrt(2.0 * 3 * 2);
  Conv2d layer(4, 6, {3, 2}, key, {.stride = {2}, .padding = Dims{1}, .groups = 2});
  EXPECT_EQ(layer.weight.shape(), (Shape{6, 2, 3, 2}));
  const Tensor keys = random_split(key);
  expect_close(layer.weight, random_uniform(select(keys, 0, 0), {6, 2, 3, 2}, -bound, bound), 0);
  expect_close(layer.bias, random_uniform(select(keys, 0, 1), {6}, -bound, bound), 0);
  const Tensor x = random_normal(random_key(1), {2, 4, 5, 6});
  const ConvolutionOptions options{.stride = {2}, .padding = Dims{1}, .groups = 2};
  expect_close(layer(x), conv2d(x, layer.weight, layer.bias, options), 0);
  EXPECT_EQ(Conv1d(4, 2, {3}, key)(random_normal(key, {1, 4, 8})).shape(), (Shape{1, 2, 6}));
  EXPECT_EQ(Conv3d(1, 2, {2}, key, {}, false)(ones({1, 1, 3, 3, 3})).shape(), (Shape{1, 2, 2, 2, 2}));
  EXPECT_EQ(Conv3d(1, 2, {2}, key, {}, false).parameters().size(), 1U);
  ConvTranspose2d up(4, 6, {2}, key, {.stride = {2}, .groups = 2});
  EXPECT_EQ(up.weight.shape(), (Shape{4, 3, 2, 2}));
  expect_close(up(x), conv_transpose2d(x, up.weight, up.bias, {.stride = {2}, .groups = 2}), 0);
  EXPECT_EQ(ConvTranspose1d(4, 2, {3}, key)(ones({1, 4, 8})).shape(), (Shape{1, 2, 10}));
  EXPECT_EQ(ConvTranspose3d(1, 1, {2}, key)(ones({1, 1, 2, 2, 2})).shape(), (Shape{1, 1, 3, 3, 3}));
  EXPECT_THROW(Conv2d(3, 4, {2}, key, {.groups = 2}), ValueError);
  EXPECT_THROW(Conv2d(3, 4, {2, 2, 2}, key), ValueError);
}

TEST(ImageLayers, PoolsTakeWindows) {
  const Tensor x = reshape(arange(9, DType::float64), {1, 1, 3, 3});
  using Numbers = std::vector<double>;
  EXPECT_EQ(to_vector<double>(MaxPool2d({.kernel = {2}, .stride = {1}})(x)), (Numbers{4, 5, 7, 8}));
  EXPECT_EQ(to_vector<double>(AvgPool2d({.kernel = {3}})(x)), (Numbers{4}));
  EXPECT_EQ(to_vector<double>(AvgPool1d({.kernel = {2}, .padding = {1}}, false)(reshape(x, {1, 1, 9}))),
            (Numbers{0, 1.5, 3.5, 5.5, 7.5}));
  EXPECT_EQ(MaxPool1d({.kernel = {3}})(ones({1, 2, 9})).shape(), (Shape{1, 2, 3}));
  EXPECT_EQ(MaxPool3d({.kernel = {2}})(ones({1, 1, 4, 4, 4})).shape(), (Shape{1, 1, 2, 2, 2}));
  EXPECT_EQ(AvgPool3d({.kernel = {2}})(ones({1, 1, 4, 4, 4})).shape(), (Shape{1, 1, 2, 2, 2}));
}

TEST(ImageLayers, NormalisationsFollowTheirDefinitions) {
  const Tensor x = tensor<float>({1, 10, 3, 30}, {2, 2});
  BatchNorm1d layer(2, {.momentum = 0.5, .eps = 0});
  expect_close(layer(x), tensor<float>({-1, -1, 1, 1}, {2, 2}), 1e-6);
  expect_close(layer.running_mean, tensor<float>({1, 10}), 1e-6);
  expect_close(layer.running_var, tensor<float>({1.5, 100.5}), 1e-4);
  EXPECT_EQ(item<int64_t>(layer.num_batches_tracked), 1);
  layer.train(false);
  expect_close(layer(x), tensor<float>({0, 0, 2 / std::sqrt(1.5F), 20 / std::sqrt(100.5F)}, {2, 2}), 1e-6);
  EXPECT_EQ(item<int64_t>(layer.num_batches_tracked), 1);
  std::vector<std::string> names;
  for (const auto& [name, value] : layer.state()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"bias", "num_batches_tracked", "running_mean", "running_var",
                                             "weight"}));
  EXPECT_THROW(BatchNorm2d(2)(x), ShapeError);
  EXPECT_EQ(BatchNorm2d(2)(ones({2, 2, 3, 3})).shape(), (Shape{2, 2, 3, 3}));
  EXPECT_EQ(BatchNorm3d(2)(ones({2, 2, 3, 3, 1})).shape(), (Shape{2, 2, 3, 3, 1}));
  GroupNorm groups(2, 4, 0);
  expect_close(groups(tensor<float>({1, 3, -5, 5}, {1, 4})), tensor<float>({-1, 1, -1, 1}, {1, 4}), 1e-6);
  EXPECT_EQ(groups.parameters().size(), 2U);
  EXPECT_THROW(GroupNorm(3, 4), ValueError);
}

// Of each channel the mean of n numbers and the mean of the squares of what they are apart from it.
TEST(BatchNorm, MomentsHaveTheirDerivatives) {
  const Tensor x = random_normal(random_key(3), {4, 2, 3}, 0, 1, DType::float64),
               g = tensor<double>({1, -2}, {2}), by_channel = reshape(g, {1, 2, 1});
  const auto slope = [&](bool of_variance) {
    return value_and_grad(
               [&](const Tensors& in) {
                 const auto [y, mean, variance] = tidu::batch_norm(in[0]);
                 return sum(g * (of_variance ? variance : mean));
               },
               {x})
        .gradients[0];
  };
  expect_close(slope(false), broadcast_to(by_channel / 12, x.shape()), 1e-15);
  expect_close(slope(true), 2 * by_channel / 12 * (x - mean(x, Axes{0, 2}, true)), 1e-14);
}

}  // namespace
}  // namespace tidu::nn
