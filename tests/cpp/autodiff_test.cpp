// The engine: both modes, nesting, the ambient tape, in-place writes, long chains.
#include <algorithm>
#include <cmath>
#include <thread>

#include "backend/backend.h"
#include "finite_difference.h"
#include "transforms/custom.h"

namespace tidu {
namespace {

using testing::check_derivatives;
using testing::expect_close;
using testing::random_point;

Tensor scalar(double value) { return full({}, value, DType::float64); }
double value_of(const Tensor& x) { return item<double>(x); }
int64_t live_bytes() { return backend({}).allocator(0).stats().live_bytes; }

Tensor derivative(const UnaryFunction& f, const Tensor& x, bool forward) {
  const auto wrapped = [&](const Tensors& inputs) { return Tensors{f(inputs[0])}; };
  return forward ? jvp(wrapped, {x}, {ones_like(x)}).tangents[0] : grad(f)(x);
}

TEST(Autodiff, EveryElementwiseRowToOrderTwo) {
  for (const ElementwiseRow& row : elementwise_table()) {
    if (std::holds_alternative<Zero>(row.primitive->derivative)) continue;
    SCOPED_TRACE(row.primitive->name);
    const auto draw = [&](uint64_t seed) {
      return random_uniform(random_key(seed), {5}, row.low, row.high, DType::float64);
    };
    const Tensor other = draw(2), mask = random_bernoulli(random_key(3), 0.5, {5});
    if (row.unary) check_derivatives(row.unary, draw(1));
    if (row.binary) {
      check_derivatives([&](const Tensor& a) { return row.binary(a, other); }, draw(1));
      check_derivatives([&](const Tensor& b) { return row.binary(other, b); }, draw(1));
    }
    if (row.ternary) {
      check_derivatives([&](const Tensor& a) { return row.ternary(mask, a * a, other); }, draw(1));
      check_derivatives([&](const Tensor& b) { return row.ternary(mask, other, b * b); }, draw(1));
    }
  }
}

TEST(Autodiff, RowsWithParameters) {
  const Tensor x = tensor<double>({-2, 0, 3});
  expect_close(leaky_relu(x), tensor<double>({-0.02, 0, 3}));
  expect_close(leaky_relu(x, {.negative_slope = 0.5}), tensor<double>({-1, 0, 3}));
  expect_close(grad([](const Tensor& t) { return sum(leaky_relu(t, {0.5})); })(x),
               tensor<double>({0.5, 0.5, 1}));
  check_derivatives([](const Tensor& t) { return elu(t, {1.7}); }, random_point(7, {6}));
}

TEST(Autodiff, EveryMixOfModesToOrderThree) {
  // d3/dx3 of exp(2x) is 8 exp(2x).
  const UnaryFunction f = [](const Tensor& x) { return exp(2 * x); };
  const Tensor x = scalar(0.3);
  for (int mix = 0; mix < 8; ++mix) {
    const Tensor third = derivative(
        [&](const Tensor& a) {
          return derivative([&](const Tensor& b) { return derivative(f, b, mix & 1); }, a, mix & 2);
        },
        x, mix & 4);
    EXPECT_NEAR(value_of(third), 8 * std::exp(0.6), 1e-12) << "mix " << mix;
  }
}

TEST(Autodiff, FiveNestedGradients) {
  UnaryFunction f = [](const Tensor& x) { return sin(x); };
  for (int order = 1; order <= 5; ++order) {
    f = grad(f);
    const double expected = order % 4 == 0   ? std::sin(0.7)
                            : order % 4 == 1 ? std::cos(0.7)
                            : order % 4 == 2 ? -std::sin(0.7)
                                             : -std::cos(0.7);
    EXPECT_NEAR(value_of(f(scalar(0.7))), expected, 1e-13) << "order " << order;
  }
}

TEST(Autodiff, PerturbationsAreNotConfused) {
  // d/dx [x * d/dy (x + y)] = 1, in all four mixes; and where the inner function differentiates the same
  // variable.
  for (int mix = 0; mix < 4; ++mix) {
    const Tensor outer = derivative(
        [&](const Tensor& x) {
          return x * derivative([&](const Tensor& y) { return x + y; }, scalar(1), mix & 1);
        },
        scalar(1), mix & 2);
    EXPECT_EQ(value_of(outer), 1) << "mix " << mix;
    const Tensor same = derivative(
        [&](const Tensor& x) {
          return x * derivative([&](const Tensor& y) { return x * y * y; }, x, mix & 1);
        },
        scalar(3), mix & 2);
    EXPECT_NEAR(value_of(same), 6 * 9, 1e-12) << "mix " << mix;  // x * 2x^2
  }
}

TEST(Autodiff, HessianVectorProductThreeWays) {
  const Tensor x = random_point(1, {4}), v = random_point(2, {4});
  const UnaryFunction f = [](const Tensor& t) { return sum(exp(t * 0.5) * sin(t)) + sum(t) * sum(t * t); };
  const auto scalar_of = [&](const Tensors& inputs) { return f(inputs[0]); };
  const Tensor by_matrix = matmul(hessian(f)(x), v);
  expect_close(hvp(scalar_of, {x}, {v})[0], by_matrix);
  expect_close(grad([&](const Tensor& t) { return sum(grad(f)(t) * v); })(x), by_matrix);
  const auto along = [&](const Tensor& t) {
    return jvp([&](const Tensors& in) { return Tensors{f(in[0])}; }, {t}, {v}).tangents[0];
  };
  expect_close(grad(along)(x), by_matrix);
  const Tensor h = hessian(f)(x);
  expect_close(h, matrix_transpose(h));
}

TEST(Autodiff, JacobiansAgree) {
  const Tensor a = random_point(3, {3, 4}), x = random_point(4, {4});
  const UnaryFunction linear = [&](const Tensor& t) { return matmul(a, t); };
  expect_close(jacrev(linear)(x), a);
  expect_close(jacfwd(linear)(x), a);
  expect_close(jacobian([](const Tensor& t) { return t; })(x), eye(4, 4, 0, DType::float64));
  EXPECT_EQ(jacobian(linear)(zeros({4}, DType::float64)).shape(), (Shape{3, 4}));
}

TEST(Autodiff, BlocksOfMatrices) {
  const Tensor x = random_point(5, {2}), y = random_point(6, {3});
  const Function outer = [](const Tensors& in) {
    return Tensors{reshape(in[0], {2, 1}) * in[1], sum(in[1]), slice_axis(in[0], 0, 0, 0)};
  };
  using Matrix = Blocks (*)(const Function&, const Tensors&, Chunk);
  for (const Matrix matrix : {Matrix(jacrev), Matrix(jacfwd), Matrix(jacobian)}) {
    const Blocks blocks = matrix(outer, {x, y}, {});
    const Tensor units = eye(2, 2, 0, DType::float64);
    expect_close(blocks[0][0], reshape(units, {2, 1, 2}) * reshape(y, {1, 3, 1}));
    expect_close(blocks[0][1], reshape(x, {2, 1, 1}) * eye(3, 3, 0, DType::float64));
    expect_close(blocks[1][0], zeros({2}, DType::float64));
    expect_close(blocks[1][1], ones({3}, DType::float64));
    EXPECT_EQ(blocks[2][1].shape(), (Shape{0, 3}));
    EXPECT_THROW(matrix(outer, {Tensor(), y}, {}), ValueError);
    EXPECT_THROW(matrix([](const Tensors& in) { return Tensors{in[0] > 0}; }, {x}, {}), DTypeError);
  }
  const Blocks h = hessian([](const Tensors& in) { return sum(in[0]) * sum(in[1] * in[1]); }, {x, y});
  expect_close(h[0][0], zeros({2, 2}, DType::float64));
  expect_close(h[0][1], broadcast_to(2 * y, {2, 3}));
  expect_close(h[1][0], broadcast_to(reshape(2 * y, {3, 1}), {3, 2}));
  expect_close(h[1][1], 2 * sum(x) * eye(3, 3, 0, DType::float64));
}

TEST(Autodiff, OperationsToOrderTwo) {
  const Tensor x = random_point(5, {3, 4}), w = random_point(6, {4, 2});
  check_derivatives([&](const Tensor& t) { return matmul(t, w); }, x);
  check_derivatives([&](const Tensor& t) { return matmul(t, matrix_transpose(t)); }, x);
  check_derivatives([](const Tensor& t) { return softmax(t * t, 0); }, x);
  check_derivatives([](const Tensor& t) { return log_softmax(t * t); }, x);
  check_derivatives([](const Tensor& t) { return logsumexp(t * t, Axes{0, 1}); }, x);
  check_derivatives([](const Tensor& t) { return prod(t * t, Axes{1}); }, x);
  check_derivatives([](const Tensor& t) { return max(t * t, Axes{0}); }, x);
  check_derivatives([](const Tensor& t) { return std(t * t, Axes{1}, 1); }, x);
  check_derivatives([](const Tensor& t) { return mean(exp(broadcast_to(t, {2, 3, 4})), Axes{0, 2}); }, x);
  check_derivatives([](const Tensor& t) { return slice_axis(flip(t * t, {0, 1}), 1, 3, {}, -2); }, x);
  check_derivatives([](const Tensor& t) { return concat({t * t, exp(t)}, 1); }, x);
  check_derivatives([](const Tensor& t) { return pad(t * t, {1, 0}, {0, 2}); }, x);
  const Tensor indices = tensor<int64_t>({2, 0, 0, -1});
  check_derivatives([&](const Tensor& t) { return take(t * t, indices, 0); }, x);
  check_derivatives([&](const Tensor& t) { return scatter_add(t, indices, exp(take(t, indices, 1)), 1); }, x);
  const Tensor labels = tensor<int64_t>({1, 3, 0});
  check_derivatives([&](const Tensor& t) { return softmax_cross_entropy(t * t, labels); }, x);
}

TEST(Autodiff, ProductWithZeros) {
  const Tensor x = tensor<double>({0, 2, 3}), two_zeros = tensor<double>({0, 2, 0});
  const UnaryFunction f = [](const Tensor& t) { return prod(t); };
  expect_close(grad(f)(x), tensor<double>({6, 0, 0}));
  expect_close(hessian(f)(x), tensor<double>({0, 3, 2, 3, 0, 0, 2, 0, 0}, {3, 3}));
  expect_close(grad(f)(two_zeros), tensor<double>({0, 0, 0}));
}

TEST(Autodiff, BranchNotTakenGetsZero) {
  const Tensor x = tensor<double>({-1, 0, 4});
  const auto safe_sqrt = [](const Tensor& t) { return sum(where(t > 0, sqrt(t), 0)); };
  expect_close(grad(safe_sqrt)(x), tensor<double>({0, 0, 0.25}));
  const auto safe_log = [](const Tensor& t) { return sum(where(t > 0, t * log(t), 0)); };
  expect_close(grad(safe_log)(x), tensor<double>({0, 0, std::log(4.0) + 1}));
  const Tensor nan = full({3}, NAN, DType::float64);
  expect_close(grad([&](const Tensor& t) { return sum(where(t > 0, t, nan * t)); })(x),
               tensor<double>({NAN, NAN, 1}));
  expect_close(grad([&](const Tensor& t) { return sum(where(t > 100, nan, t)); })(x),
               tensor<double>({1, 1, 1}));
}

TEST(Autodiff, Kinks) {
  const Tensor zero = tensor<double>({0});
  EXPECT_EQ(value_of(grad([](const Tensor& t) { return sum(relu(t)); })(zero)), 0);
  EXPECT_EQ(value_of(grad([](const Tensor& t) { return sum(abs(t)); })(zero)), 0);
  const Tensor ties = tensor<double>({1, 3, 3});
  expect_close(grad([](const Tensor& t) { return max(t); })(ties), tensor<double>({0, 0.5, 0.5}));
  expect_close(grad([&](const Tensor& t) { return sum(maximum(t, ties)); })(ties),
               tensor<double>({0.5, 0.5, 0.5}));
}

TEST(Autodiff, IntegersAreRefused) {
  EXPECT_THROW(grad([](const Tensor& t) { return sum(t); })(tensor<int64_t>({1, 2})), DTypeError);
  EXPECT_THROW(zeros({2}, DType::int32).set_requires_grad(), DTypeError);
  EXPECT_THROW(grad([](const Tensor& t) { return t; })(random_point(1, {3})), ShapeError);
}

TEST(Autodiff, Custom) {
  // A sine whose rule is scaled by 10, so that its use shows.
  const auto by_vjp = [](const Tensor& x) {
    return custom_vjp([](const Tensors& in) { return Tensors{sin(in[0])}; },
                      [](const Tensors& in) {
                        return CustomForward{{sin(in[0])}, [x = in[0]](const Tensors& ct) {
                                               return Tensors{10 * cos(x) * ct[0]};
                                             }};
                      },
                      {x})[0];
  };
  const auto by_jvp = [](const Tensor& x) {
    return custom_jvp([](const Tensors& in) { return Tensors{sin(in[0])}; },
                      [](const Tensors& in, const Tensors& t) {
                        return Jvp{{sin(in[0])}, {10 * cos(in[0]) * t[0]}};
                      },
                      {x})[0];
  };
  for (const UnaryFunction& f : {UnaryFunction(by_vjp), UnaryFunction(by_jvp)}) {
    EXPECT_NEAR(value_of(f(scalar(0.4))), std::sin(0.4), 1e-14);
    for (bool forward : {false, true}) {
      EXPECT_NEAR(value_of(derivative(f, scalar(0.4), forward)), 10 * std::cos(0.4), 1e-13);
      const Tensor second =
          derivative([&](const Tensor& t) { return derivative(f, t, forward); }, scalar(0.4), !forward);
      EXPECT_NEAR(value_of(second), -10 * std::sin(0.4), 1e-13);
    }
    Tensor x = scalar(0.4);
    x.set_requires_grad();
    f(x).backward();
    EXPECT_NEAR(value_of(x.grad()), 10 * std::cos(0.4), 1e-13);
  }
}

TEST(Backward, AccumulatesIntoLeaves) {
  Tensor x = tensor<float>({1, 2, 3});
  x.set_requires_grad();
  sum(x * x).backward();
  expect_close(x.grad(), tensor<float>({2, 4, 6}));
  sum(x * x).backward();
  expect_close(x.grad(), tensor<float>({4, 8, 12}));
  EXPECT_THROW((x * x).backward(), ShapeError);
  EXPECT_THROW(tensor<float>({1}).backward(), GradientError);
  (x * x).backward(tensor<float>({1, 0, 0}));
  expect_close(x.grad(), tensor<float>({6, 8, 12}));
}

TEST(Backward, GradientsOfTwoLeavesShareNoMemory) {
  Tensor a = ones({2}), b = ones({2});
  a.set_requires_grad();
  b.set_requires_grad();
  sum(a + b).backward();
  Tensor grad_a = a.grad();
  assign(grad_a, full({2}, 5, DType::float32));
  expect_close(b.grad(), ones({2}));
}

TEST(Backward, CreateGraph) {
  Tensor x = scalar(2);
  x.set_requires_grad();
  (x * x * x).backward({}, false, true);
  const Tensor first = x.grad();
  EXPECT_EQ(value_of(first), 12);
  x.set_grad({});
  first.backward();
  EXPECT_EQ(value_of(x.grad()), 12);  // 6x
}

TEST(Backward, GraphIsFreedUnlessRetained) {
  Tensor x = scalar(2);
  x.set_requires_grad();
  const Tensor y = exp(x);
  y.backward({}, true);
  y.backward();
  EXPECT_NEAR(value_of(x.grad()), 2 * std::exp(2.0), 1e-12);
  EXPECT_THROW(y.backward(), GradientError);
}

TEST(Backward, NoGradAndDetach) {
  Tensor x = scalar(2);
  x.set_requires_grad();
  {
    const GradMode off(false);
    EXPECT_FALSE(is_grad_enabled());
    EXPECT_FALSE((x * x).requires_grad());
    const GradMode on(true);
    EXPECT_TRUE((x * x).requires_grad());
  }
  EXPECT_FALSE(stop_gradient(x * x).requires_grad());
  // Only what is inside is constant: a gradient taken under GradMode(false) still works.
  const GradMode off(false);
  EXPECT_EQ(value_of(grad([](const Tensor& t) { return t * t; })(x)), 4);
}

// What f throws, if anything, as it runs on another thread.
std::exception_ptr thrown_on_other_thread(const std::function<void()>& f) {
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      f();
    } catch (...) { thrown = std::current_exception(); }
  }).join();
  return thrown;
}
void expect_gradient_error(const std::exception_ptr& thrown) {
  ASSERT_TRUE(thrown);
  EXPECT_THROW(std::rethrow_exception(thrown), GradientError);
}

TEST(Escape, ValuesOfTransformsAreAskedForByName) {
  Tensor leaked;
  const auto f = [&](const Tensors& inputs) {
    const Tensor& x = inputs[0];
    EXPECT_THROW(to_vector<double>(x), GradientError);
    EXPECT_EQ(item<double>(x), 3);
    EXPECT_EQ(*x.data<double>(), 3);
    EXPECT_EQ(to_vector<double>(stop_gradient(x)), std::vector{3.0});
    EXPECT_EQ(to_vector<bool>(x > 1), std::vector{true});
    const GradMode off(false);
    EXPECT_EQ(to_vector<double>(x), std::vector{3.0});
    return Tensors{leaked = x * x};
  };
  vjp(f, {scalar(3)});
  EXPECT_EQ(to_vector<double>(leaked), std::vector{9.0});
  jvp(f, {scalar(3)}, {scalar(1)});
  EXPECT_EQ(to_vector<double>(leaked), std::vector{9.0});
}

TEST(Escape, ValuesOfTheTape) {
  Tensor x = scalar(3);
  x.set_requires_grad();
  EXPECT_THROW(to_vector<double>(x), GradientError);
  EXPECT_THROW(to_vector<double>(2 * x), GradientError);
  EXPECT_EQ(item<double>(2 * x), 6);
  EXPECT_EQ(to_vector<double>(stop_gradient(2 * x)), std::vector{6.0});
  EXPECT_EQ(differentiated(x), Differentiated::leaf);
  EXPECT_EQ(differentiated(2 * x), Differentiated::by_backward);
  EXPECT_NO_THROW(check_escape(x, "test", Differentiated::leaf));
  EXPECT_THROW(check_escape(2 * x, "test", Differentiated::leaf), GradientError);
}

TEST(Escape, RulesMayLookAtWhatTheirOwnTransformTracks) {
  const auto square = [](const Tensors& inputs) { return Tensors{inputs[0] * inputs[0]}; };
  Tensor outer = scalar(0);
  const auto forward = [&](const Tensors& inputs) {
    EXPECT_EQ(to_vector<double>(inputs[0]), std::vector{3.0});
    if (is_tracked(outer)) { EXPECT_THROW(to_vector<double>(outer), GradientError); }
    return CustomForward{square(inputs), [](const Tensors& cotangents) { return cotangents; }};
  };
  const UnaryFunction f = [&](const Tensor& x) { return custom_vjp(square, forward, {x})[0]; };
  EXPECT_EQ(value_of(grad(f)(scalar(3))), 1);
  grad([&](const Tensor& y) {
    outer = y;
    EXPECT_EQ(value_of(grad(f)(scalar(3))), 1);
    return y * y;
  })(scalar(3));
}

TEST(Escape, OtherThreadsRaise) {
  Tensor leaked;
  const auto f = [&](const Tensor& x) {
    expect_gradient_error(thrown_on_other_thread([&] { sin(x); }));
    expect_gradient_error(
        thrown_on_other_thread([&] { grad([&](const Tensor& y) { return x * y; })(scalar(1)); }));
    expect_gradient_error(thrown_on_other_thread([&] { to_vector<double>(x); }));
    expect_gradient_error(thrown_on_other_thread([&] {
      Tensor buffer = scalar(0);
      assign(buffer, x);
    }));
    EXPECT_FALSE(thrown_on_other_thread([&] {
      EXPECT_EQ(item<double>(x), 3);
      EXPECT_TRUE(item<bool>(x > 1));
      EXPECT_EQ(value_of(sin(stop_gradient(x))), std::sin(3.0));
      const GradMode off(false);
      EXPECT_EQ(value_of(sin(x)), std::sin(3.0));
    }));
    leaked = 2 * x;
    return x * x;
  };
  EXPECT_EQ(value_of(grad(f)(scalar(3))), 6);
  EXPECT_FALSE(thrown_on_other_thread([&] { EXPECT_EQ(value_of(leaked + 1), 7); }));
}

TEST(Escape, TheTapeIsOneForAllThreads) {
  Tensor x = scalar(3);
  x.set_requires_grad();
  Tensor y;
  EXPECT_FALSE(thrown_on_other_thread([&] { y = x * x; }));
  y.backward();
  EXPECT_EQ(value_of(x.grad()), 6);
}

TEST(InPlace, OverwrittenValuesAreFound) {
  Tensor x = ones({3});
  x.set_requires_grad();
  Tensor y = exp(x);
  const Tensor z = sum(y * y);
  {
    const GradMode off(false);
    assign(y, zeros({3}));
  }
  EXPECT_THROW(z.backward(), GradientError);
  EXPECT_FALSE(x.grad().defined());
  EXPECT_THROW(assign(x, zeros({3})), GradientError);  // a leaf
}

TEST(InPlace, WritesAreDifferentiated) {
  Tensor x = tensor<double>({1, 2, 3});
  x.set_requires_grad();
  Tensor y = x * 1;
  assign_slice(y, 10 * slice_axis(x, 0, 0, 1), {1}, {1}, {1});
  expect_close(y, tensor<double>({1, 10, 3}));
  assign(y, y * 3);
  sum(y * y).backward();
  expect_close(x.grad(), tensor<double>({18 + 1800, 0, 54}));
}

TEST(InPlace, IndexedUpdateThroughAView) {
  Tensor x = tensor<double>({1, 2, 3});
  x.set_requires_grad();
  Tensor y = x * 2;
  Tensor view = slice_axis(y, 0, 1, 2);
  assign(view, view * 3);                // y[1] *= 3: first the view ..
  assign_slice(y, view, {1}, {1}, {1});  // .. which then is assigned to its own place
  expect_close(y, tensor<double>({2, 12, 6}));
  sum(y * y).backward();
  expect_close(x.grad(), tensor<double>({8, 144, 24}));
}

TEST(InPlace, StaleViewsAreRefused) {
  Tensor x = tensor<double>({1, 2, 3});
  x.set_requires_grad();
  Tensor y = x * 2;
  const Tensor view = slice_axis(y, 0, 0, 2);
  assign(y, y * 3);
  EXPECT_THROW(view * 2, GradientError);
  Tensor buffer = zeros({3}, DType::float64);
  const Tensor before = slice_axis(buffer, 0, 0, 2);
  assign_slice(buffer, slice_axis(x, 0, 0, 2), {0}, {2}, {1});
  EXPECT_TRUE(buffer.requires_grad());
  EXPECT_THROW(before * 2, GradientError);
}

TEST(InPlace, ViewsShareValues) {
  Tensor x = arange(6, DType::float32);
  const Tensor even = slice_axis(x, 0, 0, {}, 2);
  assign(x, zeros({6}));
  expect_close(even, zeros({3}));
  expect_close(even + 1, ones({3}));
  EXPECT_THROW(assign(x, zeros({4})), ShapeError);
  Tensor integers = zeros({2}, DType::int32);
  EXPECT_THROW(assign(integers, ones({2})), DTypeError);
  Tensor repeated = broadcast_to(ones({1}), {3});
  EXPECT_THROW(assign(repeated, zeros({3})), ValueError);
}

TEST(Backward, GradsWithGraphsGoWithTheirTensors) {
  const int64_t before = live_bytes();
  {
    Tensor x = ones({10}, DType::float64), copied;
    x.set_requires_grad();
    Tensor y = exp(x);
    retain_grad(y);
    sum(y * y * y).backward({}, false, true);
    sum(x.grad() * y.grad()).backward({}, false, true);
    copied = x;
    x = {};
    EXPECT_TRUE(copied.grad().requires_grad());
    EXPECT_GT(live_bytes(), before);
  }
  EXPECT_EQ(live_bytes(), before);
  Tensor loss;
  {
    Tensor x = ones({10}, DType::float64);
    x.set_requires_grad();
    loss = sum(x * x);
  }
  loss.backward({}, false, true);  // whose leaf nobody has any more
  loss = {};
  EXPECT_EQ(live_bytes(), before);
}

TEST(LongChain, MillionOperations) {
  const int64_t before = live_bytes();
  {
    Tensor x = scalar(1);
    x.set_requires_grad();
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = sin(y);
    y.backward();
    EXPECT_GT(value_of(x.grad()), 0);
  }
  EXPECT_EQ(live_bytes(), before);
  {
    Tensor x = scalar(1);
    x.set_requires_grad();
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = y + x;  // released without backward
  }
  EXPECT_EQ(live_bytes(), before);
  const Tensor slope = grad([](const Tensor& x) {
    Tensor y = x;
    for (int i = 0; i < 100'000; ++i) y = y + x;
    return y;
  })(scalar(1));
  EXPECT_EQ(value_of(slope), 100'001);
  EXPECT_EQ(live_bytes(), before + 8);
}

TEST(Failure, ExceptionInBackwardLeavesNothing) {
  const int64_t before = live_bytes();
  {
    Tensor x = random_point(1, {100});
    x.set_requires_grad();
    const auto failing = [](const Tensor& t) {
      return custom_vjp(
          [](const Tensors& in) { return in; },
          [](const Tensors& in) {
            return CustomForward{in, [](const Tensors&) -> Tensors { throw std::runtime_error("no"); }};
          },
          {t})[0];
    };
    const Tensor y = sum(exp(failing(x * 2)) * x);
    EXPECT_THROW(y.backward(), std::runtime_error);
    EXPECT_FALSE(x.grad().defined());
    EXPECT_THROW(grad([&](const Tensor& t) { return sum(failing(t)); })(x), std::runtime_error);
    EXPECT_TRUE(is_grad_enabled());
    EXPECT_EQ(visible_scope(), &ambient_scope());
  }
  EXPECT_EQ(live_bytes(), before);
}

TEST(Recording, ProgramsReplayAndDifferentiate) {
  const Tensor w = tensor<double>({0.5, -2, 3}), x = random_point(2, {3}), other = random_point(3, {3});
  const auto f = [&](const Tensors& in) { return Tensors{sum(sin(in[0]) * w)}; };
  const Program program = record(f, Tensors{x});
  EXPECT_EQ(program.to_string(),
            "program(a:float64(3,))\n"
            "  b:float64(3,) = [0.5, -2, 3]\n"
            "  c:float64(3,) = sin a\n"
            "  d:float64(3,) = multiply c b\n"
            "  e:float64() = sum[axes=(0,), correction=0] d\n"
            "  return e\n");
  expect_close(program(Tensors{other})[0], f({other})[0]);
  const auto replay = [&](const Tensor& t) { return program(Tensors{t})[0]; };
  expect_close(grad(replay)(other), cos(other) * w);
  check_derivatives(replay, other);
  // The program of a gradient, and the gradient of that.
  const Program slope = record([&](const Tensors& in) { return Tensors{grad(replay)(in[0])}; }, Tensors{x});
  expect_close(slope(Tensors{other})[0], cos(other) * w);
  expect_close(grad([&](const Tensor& t) { return sum(slope(Tensors{t})[0]); })(other), -sin(other) * w);
  EXPECT_THROW(program(Tensors{w, w}), ValueError);
  EXPECT_THROW(program(Tensors{zeros({4}, DType::float64)}), ShapeError);
  EXPECT_THROW(
      record([](const Tensors& in) { return Tensors{in[0] * item<double>(sum(in[0]))}; }, Tensors{x}),
      TraceError);
}

TEST(Recording, NoGradIsRemembered) {
  const auto f = [](const Tensors& in) {
    const GradMode off(false);
    return Tensors{in[0] * in[0]};
  };
  const Program program = record(f, Tensors{scalar(3)});
  EXPECT_EQ(value_of(grad([&](const Tensor& t) { return program(Tensors{t})[0] + t; })(scalar(3))), 1);
}

TEST(Primitives, AreComplete) {
  backend({});
  for (const Primitive* primitive : all_primitives()) {
    EXPECT_TRUE(primitive->view || primitive->evaluate || primitive->dispatch ||
                primitive->kernels[static_cast<int>(DeviceType::cpu)])
        << primitive->name << " has no cpu kernel";
  }
}

// Of sums of squares of slices the gradient is 2 x, once for each slice that shows the element.
TEST(Autodiff, SlicesOfOneTensor) {
  struct Box {
    int64_t row, column, rows, columns, step = 1;
    bool shows(int64_t i, int64_t k) const {
      return i >= row && i < row + rows && k >= column && (k - column) % step == 0 &&
             (k - column) / step < columns;
    }
  };
  const std::vector<std::vector<Box>> cases = {
      {{0, 0, 1, 8}, {1, 0, 1, 8}, {2, 0, 1, 8}, {3, 0, 1, 8}, {4, 0, 1, 8}, {5, 0, 1, 8}},  // all rows
      {{3, 1, 3, 7}, {0, 4, 3, 4}, {0, 0, 3, 4}, {3, 0, 3, 1}},                              // blocks
      {{4, 0, 1, 8}, {1, 2, 1, 3}, {1, 2, 1, 3}, {1, 6, 1, 1}},                   // gaps, and one twice
      {{0, 0, 4, 8}, {2, 0, 4, 8}},                                               // overlaps
      {{0, 0, 6, 4, 2}, {0, 1, 6, 4, 2}},                                         // steps
      {{0, 0, 2, 8}, {0, 0, 6, 8}, {5, 7, 1, 1, 3}, {2, 0, 0, 8}, {2, 0, 2, 4}},  // the whole, and nothing
  };
  const Tensor x = random_uniform(random_key(6), {6, 8}, -1, 1, DType::float64);
  for (const std::vector<Box>& boxes : cases) {
    const UnaryFunction f = [&](const Tensor& t) {
      Tensor total = scalar(0);
      for (const auto& [row, column, rows, columns, step] : boxes) {
        const Tensor part = slice(t, {row, column}, {rows, columns}, {1, step});
        total = total + sum(part * part);
      }
      return total;
    };
    const Tensor gradient = grad(f)(x), product = hvp(f, x, ones_like(x));
    for (int64_t i = 0; i < 6; ++i) {
      for (int64_t k = 0; k < 8; ++k) {
        const auto times = static_cast<double>(
            std::ranges::count_if(boxes, [&](const Box& box) { return box.shows(i, k); }));
        EXPECT_DOUBLE_EQ(value_of(gradient[i][k]), 2 * times * value_of(x[i][k]));
        EXPECT_DOUBLE_EQ(value_of(product[i][k]), 2 * times);
      }
    }
  }
}

}  // namespace
}  // namespace tidu
