// Optimisers against their documented formulas in double precision; schedules and clipping against closed
// forms.
#include <cmath>
#include <functional>
#include <memory>
#include <numbers>

#include "finite_difference.h"

namespace tidu::optim {
namespace {

using testing::expect_close;
using testing::random_point;

// The state of one parameter in the reference formulas.
struct Reference {
  std::vector<double> w, m, v;
};
using Rule = std::function<void(double& w, double& m, double& v, double g, int64_t step)>;

// Seven steps with drawn gradients, on two parameters, against the rule applied element by element.
void check_against(Optimizer& optimizer, const Rule& rule) {
  std::vector<Reference> references;
  for (const Tensor& parameter : optimizer.parameters()) {
    const auto w = to_vector<double>(parameter);
    references.push_back({w, std::vector<double>(w.size()), std::vector<double>(w.size())});
  }
  for (int64_t step = 1; step <= 7; ++step) {
    Tensors gradients;
    for (size_t i = 0; i < references.size(); ++i) {
      gradients.push_back(
          random_point(100 * i + static_cast<uint64_t>(step), optimizer.parameters()[i].shape()));
      const auto g = to_vector<double>(gradients[i]);
      Reference& r = references[i];
      for (size_t k = 0; k < g.size(); ++k) rule(r.w[k], r.m[k], r.v[k], g[k], step);
    }
    optimizer.step(gradients);
    for (size_t i = 0; i < references.size(); ++i) {
      const Tensor& parameter = optimizer.parameters()[i];
      expect_close(parameter, tensor(std::span<const double>(references[i].w), parameter.shape()), 1e-13);
    }
  }
}

Tensors two_parameters() { return {random_point(1, {3, 5}), random_point(2, {4})}; }

TEST(SGD, FollowsItsFormula) {
  for (const SGDOptions& o :
       {SGDOptions{.lr = 0.1}, SGDOptions{.lr = 0.1, .weight_decay = 0.01},
        SGDOptions{.lr = 0.1, .momentum = 0.9},
        SGDOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}}) {
    SGD optimizer(two_parameters(), o);
    check_against(optimizer, [&](double& w, double& m, double&, double g, int64_t step) {
      g += o.weight_decay * w;
      m = step == 1 ? g : o.momentum * m + g;
      w -= o.lr * (o.momentum == 0 ? g : o.nesterov ? g + o.momentum * m : m);
    });
  }
}

TEST(Adam, FollowsItsFormula) {
  for (const bool decoupled : {false, true}) {
    for (const double decay : {0.0, 0.1}) {
      const AdamOptions o{.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = decay};
      const std::unique_ptr<Optimizer> optimizer = decoupled ? std::make_unique<AdamW>(two_parameters(), o)
                                                             : std::make_unique<Adam>(two_parameters(), o);
      check_against(*optimizer, [&](double& w, double& m, double& v, double g, int64_t step) {
        if (decoupled) w -= o.lr * decay * w;
        if (!decoupled) g += decay * w;
        m = o.beta1 * m + (1 - o.beta1) * g;
        v = o.beta2 * v + (1 - o.beta2) * g * g;
        const auto t = static_cast<double>(step);
        const double m_hat = m / (1 - std::pow(o.beta1, t)), v_hat = v / (1 - std::pow(o.beta2, t));
        w -= o.lr * m_hat / (std::sqrt(v_hat) + o.eps);
      });
    }
  }
}

TEST(RMSprop, FollowsItsFormula) {
  for (const double momentum : {0.0, 0.9}) {
    const RMSpropOptions o{.lr = 0.05, .alpha = 0.9, .eps = 1e-6, .weight_decay = 0.02, .momentum = momentum};
    RMSprop optimizer(two_parameters(), o);
    check_against(optimizer, [&](double& w, double& m, double& v, double g, int64_t) {
      g += o.weight_decay * w;
      v = o.alpha * v + (1 - o.alpha) * g * g;
      const double d = g / (std::sqrt(v) + o.eps);
      m = momentum * m + d;
      w -= o.lr * (momentum == 0 ? d : m);
    });
  }
}

std::vector<std::unique_ptr<Optimizer>> one_of_each(const Tensors& parameters) {
  std::vector<std::unique_ptr<Optimizer>> all;
  all.push_back(std::make_unique<SGD>(parameters, SGDOptions{.lr = 0.1}));
  all.push_back(std::make_unique<SGD>(parameters, SGDOptions{.lr = 0.1, .momentum = 0.9}));
  all.push_back(std::make_unique<Adam>(parameters, AdamOptions{.lr = 0.1}));
  all.push_back(std::make_unique<AdamW>(parameters));
  all.push_back(std::make_unique<RMSprop>(parameters, RMSpropOptions{.momentum = 0.5}));
  return all;
}

TEST(Optimizer, MinimisesAQuadratic) {
  for (size_t kind = 0; kind < 5; ++kind) {
    Tensor x = full({3}, 1, DType::float32);
    x.set_requires_grad();
    const auto optimizer = std::move(one_of_each({x})[kind]);
    const auto loss = [&] { return sum(square(x - 0.5)); };
    const double before = item<double>(loss());
    for (int i = 0; i < 20; ++i) {
      optimizer->zero_grad();
      loss().backward();
      optimizer->step();
    }
    EXPECT_LT(item<double>(loss()), before) << kind;
    EXPECT_TRUE(x.requires_grad());
  }
}

TEST(Optimizer, GoesOnFromItsStateWithTheSameBits) {
  const auto gradients = [](uint64_t step) {
    return Tensors{random_normal(random_key(step), {6}), random_normal(random_key(step + 50), {2, 2})};
  };
  const auto fresh = [] { return Tensors{full({6}, 1, DType::float32), full({2, 2}, 2, DType::float32)}; };
  for (size_t kind = 0; kind < 5; ++kind) {
    const Tensors a = fresh();
    const auto first = std::move(one_of_each(a)[kind]);
    for (uint64_t step = 0; step < 3; ++step) first->step(gradients(step));
    const Tensors b{copy(a[0]), copy(a[1])};
    const auto second = std::move(one_of_each(b)[kind]);
    second->load_state(first->state());
    for (uint64_t step = 3; step < 6; ++step) {
      first->step(gradients(step));
      second->step(gradients(step));
    }
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(to_vector<float>(a[i]), to_vector<float>(b[i])) << kind;
  }
}

// Each parameter counts its own steps: the late one is corrected as in its first.
TEST(Optimizer, ParametersWithoutGradientStay) {
  const Tensors together{ones({2}), ones({3})}, alone{ones({3})};
  Adam both(together, {.lr = 0.1}), single(alone, {.lr = 0.1});
  both.step({ones({2}), Tensor()});
  EXPECT_EQ(to_vector<float>(together[1]), std::vector<float>(3, 1.0f));
  both.step({ones({2}), full({3}, 2, DType::float32)});
  single.step({full({3}, 2, DType::float32)});
  EXPECT_EQ(to_vector<float>(together[1]), to_vector<float>(alone[0]));
  EXPECT_EQ(to_vector<int64_t>(both.state().at("steps")), (std::vector<int64_t>{2, 1}));
}

TEST(Optimizer, LearningRateMayChange) {
  Tensor x = zeros({1});
  SGD optimizer({x}, {.lr = 1});
  optimizer.step({ones({1})});
  optimizer.set_lr(0.25);
  optimizer.step({ones({1})});
  EXPECT_EQ(item<float>(x), -1.25f);
  EXPECT_EQ(optimizer.lr(), 0.25);
  EXPECT_THROW(optimizer.set_lr(-1), ValueError);
}

TEST(Optimizer, WrongInputsAreNamedAndChangeNothing) {
  Tensor x = ones({3}), y = ones({2});
  EXPECT_THROW(SGD({}, {}), ValueError);
  EXPECT_THROW(SGD({zeros({3}, DType::int64)}, {}), ValueError);
  EXPECT_THROW(SGD({matrix_transpose(zeros({2, 3}))}, {}), ValueError);
  EXPECT_THROW(SGD({x}, {.lr = -1}), ValueError);
  EXPECT_THROW(SGD({x}, {.nesterov = true}), ValueError);
  EXPECT_THROW(Adam({x}, {.beta1 = 1}), ValueError);
  EXPECT_THROW(RMSprop({x}, {.alpha = 2}), ValueError);
  Adam optimizer({x, y}, {});
  EXPECT_THROW(optimizer.step({ones({3})}), ValueError);
  EXPECT_THROW(optimizer.step({ones({3}), ones({3})}), ShapeError);
  EXPECT_THROW(optimizer.step({ones({3}), ones({2}, DType::float64)}), ShapeError);
  EXPECT_EQ(to_vector<float>(x), std::vector<float>(3, 1.0f));
  auto state = optimizer.state();
  state.erase("1.exp_avg");
  EXPECT_THROW(optimizer.load_state(state), ValueError);
  state["1.exp_avg"] = zeros({5});
  EXPECT_THROW(optimizer.load_state(state), ValueError);
  state["1.exp_avg"] = zeros({2});
  state["other"] = zeros({2});
  EXPECT_THROW(optimizer.load_state(state), ValueError);
}

// --- Schedules

TEST(Schedule, ClosedForms) {
  const Schedule steps = step_schedule(0.8, 10, 0.5);
  EXPECT_EQ(steps(0), 0.8);
  EXPECT_EQ(steps(9), 0.8);
  EXPECT_EQ(steps(10), 0.4);
  EXPECT_EQ(steps(29), 0.2);
  const Schedule line = linear_schedule(0, 2, 4);
  EXPECT_EQ(line(0), 0);
  EXPECT_EQ(line(1), 0.5);
  EXPECT_EQ(line(4), 2);
  EXPECT_EQ(line(100), 2);
  const Schedule cosine = cosine_schedule(1, 8, 0.2);
  for (int64_t step = 0; step <= 8; ++step)
    EXPECT_NEAR(cosine(step), 0.2 + 0.4 * (1 + std::cos(std::numbers::pi * static_cast<double>(step) / 8)),
                1e-15);
  EXPECT_DOUBLE_EQ(cosine(9), 0.2);
  EXPECT_EQ(constant_schedule(0.3)(7), 0.3);
  EXPECT_DOUBLE_EQ(exponential_schedule(0.8, 0.5)(3), 0.1);
  EXPECT_DOUBLE_EQ(polynomial_schedule(0.8, 4, 2)(2), 0.2);
  EXPECT_EQ(polynomial_schedule(0.8, 4, 2)(9), 0);
  const Schedule again = cosine_restart_schedule(1, 2, 3, 0.2);
  for (const int64_t start : {0, 2, 8}) EXPECT_DOUBLE_EQ(again(start), 1);
  EXPECT_DOUBLE_EQ(again(1), 0.6);
  EXPECT_DOUBLE_EQ(again(5), 0.6);
  EXPECT_DOUBLE_EQ(cosine_restart_schedule(1, 2)(9), 0.5);
  EXPECT_THROW(cosine_restart_schedule(1, 2, 0), ValueError);
}

TEST(Schedule, ChainsCountAfresh) {
  const Schedule chained =
      chain_schedules({{linear_schedule(0, 1, 5), 5}, {constant_schedule(1), 3}, {cosine_schedule(1, 10)}});
  EXPECT_EQ(chained(0), 0);
  EXPECT_DOUBLE_EQ(chained(4), 0.8);
  EXPECT_EQ(chained(5), 1);
  EXPECT_EQ(chained(8), 1);
  EXPECT_DOUBLE_EQ(chained(13), 0.5);
  EXPECT_NEAR(chained(50), 0, 1e-15);
  EXPECT_THROW(chain_schedules({}), ValueError);
  EXPECT_THROW(cosine_schedule(1, 0), ValueError);
  EXPECT_THROW(step_schedule(1, 0), ValueError);
}

// --- Clipping

TEST(Clip, NormOfAllGradients) {
  const Tensors gradients{tensor<float>({3, 0}), Tensor(), tensor<float>({0, 4}, {2, 1})};
  EXPECT_FLOAT_EQ(item<float>(global_norm(gradients)), 5);
  const Tensors clipped = clip_by_norm(gradients, 1);
  EXPECT_FALSE(clipped[1].defined());
  expect_close(clipped[0], tensor<float>({0.6f, 0}), 1e-6);
  expect_close(clipped[2], tensor<float>({0, 0.8f}, {2, 1}), 1e-6);
  EXPECT_EQ(to_vector<float>(clip_by_norm(gradients, 6)[0]), (std::vector<float>{3, 0}));
  EXPECT_EQ(item<float>(global_norm({Tensor()})), 0);
  // 300^2 overflows float16.
  EXPECT_NEAR(item<double>(global_norm({full({4}, 300, DType::float16)})), 600, 0.1);
  EXPECT_THROW(clip_by_norm(gradients, -1), ValueError);
}

// Whose squares overflow or vanish, and whose norm float32 does not hold.
TEST(Clip, NormOfLargeAndSmallGradients) {
  for (const float size : {1e30f, 3e38f}) {
    const Tensors clipped =
        clip_by_norm({full({}, size, DType::float32), full({1}, size, DType::float32)}, 1);
    for (const Tensor& g : clipped) EXPECT_NEAR(item<float>(g), std::sqrt(0.5f), 1e-6f);
  }
  EXPECT_FLOAT_EQ(item<float>(global_norm({full({4}, 1e-30, DType::float32)})), 2e-30f);
  EXPECT_DOUBLE_EQ(item<double>(global_norm({full({4}, 1e200, DType::float64)})), 2e200);
  const Tensor halves = full({1 << 20}, 6e4, DType::float16);
  EXPECT_EQ(item<float>(astype(max(clip_by_norm({halves}, 1024)[0]), DType::float32)), 1);
}

TEST(Clip, DerivativesOfTheNorm) {
  const auto norm = [](const Tensor& x) { return global_norm({x, x}); };
  const auto total_slope = [&](const Tensor& x) { return sum(grad(norm)(x)); };
  expect_close(grad(norm)(tensor<double>({3, 4})), tensor<double>({0.6, 0.8}) * std::numbers::sqrt2, 1e-15);
  const Tensor zero = zeros({2}, DType::float64);
  EXPECT_EQ(to_vector<double>(grad(norm)(zero)), (std::vector<double>{0, 0}));
  EXPECT_EQ(to_vector<double>(grad(total_slope)(zero)), (std::vector<double>{0, 0}));
}

TEST(Clip, Values) {
  const Tensors clipped = clip_by_value({tensor<float>({-3, 0.5f, 2}), Tensor()}, 1);
  EXPECT_EQ(to_vector<float>(clipped[0]), (std::vector<float>{-1, 0.5f, 1}));
  EXPECT_THROW(clip_by_value({}, -1), ValueError);
}

TEST(Clip, GradientsOfParameters) {
  Tensor x = tensor<float>({3, 4}), unused = ones({2});
  x.set_requires_grad();
  unused.set_requires_grad();
  (sum(square(x)) * 0.5).backward();
  EXPECT_FLOAT_EQ(item<float>(clip_grad_norm({x, unused}, 2.5)), 5);
  expect_close(x.grad(), tensor<float>({1.5f, 2}), 1e-6);
  EXPECT_FALSE(unused.grad().defined());
  clip_grad_value({x, unused}, 1.75);
  expect_close(x.grad(), tensor<float>({1.5f, 1.75f}), 1e-6);
  EXPECT_FALSE(x.grad().requires_grad());
}

}  // namespace
}  // namespace tidu::optim
