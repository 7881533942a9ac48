// Optimisers by formulas, averages, the scaling of losses and schedules, against what their papers say in
// plain numbers.
#include <cmath>

#include "finite_difference.h"

namespace tidu::optim {
namespace {

using testing::expect_close;

// The gradients of three steps, of one parameter that begins at 2.
constexpr double kGradients[] = {0.5, -1.5, 0.25};
constexpr double kStart = 2;

// p after three steps by step(p, g, t), t from 1.
std::vector<double> by_hand(const std::function<double(double p, double g, double t)>& step) {
  std::vector<double> path;
  double p = kStart;
  for (int t = 1; t <= 3; ++t) path.push_back(p = step(p, kGradients[t - 1], t));
  return path;
}

template <class Kind, class Options>
std::vector<double> path_of(Options options, DType dtype = DType::float64) {
  const Tensor p = full({1}, kStart, dtype).set_requires_grad();
  Kind optimizer({p}, options);
  std::vector<double> path;
  for (const double g : kGradients) {
    optimizer.step({full({1}, g, dtype)});
    path.push_back(to_vector<double>(astype(stop_gradient(p), DType::float64))[0]);
  }
  return path;
}

void expect_path(const std::vector<double>& found, const std::vector<double>& wanted,
                 double tolerance = 1e-12) {
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(found[i], wanted[i], tolerance) << "step " << i;
}

TEST(Formulas, Adagrad) {
  double s = 0.3;
  expect_path(
      path_of<Adagrad>(AdagradOptions{
          .lr = 0.1, .lr_decay = 0.5, .weight_decay = 0.2, .initial_accumulator_value = 0.3, .eps = 1e-3}),
      by_hand([&](double p, double g, double t) {
        g += 0.2 * p;
        s += g * g;
        return p - 0.1 / (1 + (t - 1) * 0.5) * g / (std::sqrt(s) + 1e-3);
      }));
}

TEST(Formulas, Adadelta) {
  double v = 0, u = 0;
  expect_path(path_of<Adadelta>(AdadeltaOptions{.lr = 0.5, .rho = 0.8, .eps = 1e-2, .weight_decay = 0.1}),
              by_hand([&](double p, double g, double) {
                g += 0.1 * p;
                v = 0.8 * v + 0.2 * g * g;
                const double d = std::sqrt(u + 1e-2) / std::sqrt(v + 1e-2) * g;
                u = 0.8 * u + 0.2 * d * d;
                return p - 0.5 * d;
              }));
}

TEST(Formulas, Adamax) {
  double m = 0, u = 0;
  expect_path(
      path_of<Adamax>(AdamaxOptions{.lr = 0.1, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.1}),
      by_hand([&](double p, double g, double t) {
        g += 0.1 * p;
        m = 0.8 * m + 0.2 * g;
        u = std::max(0.9 * u, std::abs(g) + 1e-3);
        return p - 0.1 * m / (1 - std::pow(0.8, t)) / u;
      }));
}

TEST(Formulas, NAdam) {
  for (const bool decoupled : {false, true}) {
    double m = 0, v = 0, product = 1;
    const auto mu = [](double t) { return 0.8 * (1 - 0.5 * std::pow(0.96, t * 0.1)); };
    expect_path(path_of<NAdam>(NAdamOptions{.lr = 0.1,
                                            .beta1 = 0.8,
                                            .beta2 = 0.9,
                                            .eps = 1e-3,
                                            .weight_decay = 0.1,
                                            .momentum_decay = 0.1,
                                            .decoupled_weight_decay = decoupled}),
                by_hand([&](double p, double g, double t) {
                  if (decoupled) p *= 1 - 0.1 * 0.1;
                  if (!decoupled) g += 0.1 * p;
                  m = 0.8 * m + 0.2 * g;
                  v = 0.9 * v + 0.1 * g * g;
                  product *= mu(t);
                  const double direction =
                      (1 - mu(t)) / (1 - product) * g + mu(t + 1) / (1 - product * mu(t + 1)) * m;
                  return p - 0.1 * direction / (std::sqrt(v / (1 - std::pow(0.9, t))) + 1e-3);
                }));
  }
}

TEST(Formulas, RAdam) {
  for (const double beta2 : {0.5, 0.9}) {
    double m = 0, v = 0;
    expect_path(path_of<RAdam>(
                    RAdamOptions{.lr = 0.1, .beta1 = 0.8, .beta2 = beta2, .eps = 1e-3, .weight_decay = 0.1}),
                by_hand([&](double p, double g, double t) {
                  g += 0.1 * p;
                  m = 0.8 * m + 0.2 * g;
                  v = beta2 * v + (1 - beta2) * g * g;
                  const double correction = 1 - std::pow(beta2, t), last = 2 / (1 - beta2) - 1;
                  const double rho = last - 2 * t * std::pow(beta2, t) / correction;
                  double d = 1;
                  if (rho > 5) {
                    const double r =
                        std::sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho));
                    d = r * std::sqrt(correction) / (std::sqrt(v) + 1e-3);
                  }
                  return p - 0.1 * m / (1 - std::pow(0.8, t)) * d;
                }));
  }
}

TEST(Formulas, Lion) {
  double m = 0;
  expect_path(path_of<Lion>(LionOptions{.lr = 0.1, .beta1 = 0.3, .beta2 = 0.7, .weight_decay = 0.2}),
              by_hand([&](double p, double g, double) {
                const double c = 0.3 * m + 0.7 * g;
                m = 0.7 * m + 0.3 * g;
                return p - 0.1 * 0.2 * p - 0.1 * (c > 0 ? 1 : c < 0 ? -1 : 0);
              }));
}

// 16-bit parameters take the steps of float32, rounded.
TEST(Formulas, HalvesAreAdvancedInFloat32) {
  const LionOptions options{.lr = 0.125, .beta1 = 0.5, .beta2 = 0.5};
  expect_path(path_of<Lion>(options, DType::bfloat16), path_of<Lion>(options), 0);
  const Tensor p = full({1}, 1.0, DType::bfloat16).set_requires_grad();
  Adagrad optimizer({p}, {});
  EXPECT_EQ(optimizer.state().at("0.sum").dtype(), DType::float32);
}

TEST(Formulas, MuonStepsByOrthogonalMatrices) {
  // Of a multiple of an orthogonal matrix the iteration moves the singular values alone, all alike.
  const Tensor q = tensor<double>({0.6, -0.8, 0.8, 0.6}, {2, 2});
  const auto [a, b, c] = std::array{3.4445, -4.775, 2.0315};
  double s = 1 / std::sqrt(2.0);
  for (int i = 0; i < 5; ++i) s = a * s + b * s * s * s + c * s * s * s * s * s;
  expect_close(orthogonalize(3.0 * q), s * q, 1e-9);
  const Tensor tall = tensor<double>({1, 0, 0, 1, 0, 0}, {3, 2});
  expect_close(orthogonalize(tall), s * tall, 1e-9);
  const Tensor p = zeros({3, 2}, DType::float64).set_requires_grad();
  Muon optimizer({p}, {.lr = 0.1, .weight_decay = 0, .momentum = 0.5, .nesterov = false});
  optimizer.step({tall});
  expect_close(stop_gradient(p), -0.1 * std::sqrt(1.5) * s * tall, 1e-9);
  EXPECT_THROW(Muon({zeros({3}).set_requires_grad()}), ValueError);
  EXPECT_THROW(orthogonalize(zeros({3})), ShapeError);
}

TEST(Formulas, GoOnFromTheirState) {
  const auto gradient = [](int t) { return full({2}, kGradients[t], DType::float64); };
  const Tensor p = ones({2}, DType::float64).set_requires_grad(),
               q = ones({2}, DType::float64).set_requires_grad();
  NAdam whole({p}, {.lr = 0.1}), first({q}, {.lr = 0.1});
  for (int t = 0; t < 3; ++t) whole.step({gradient(t)});
  first.step({gradient(0)});
  NAdam second({q}, {.lr = 0.1});
  second.load_state(first.state());
  for (int t = 1; t < 3; ++t) second.step({gradient(t)});
  EXPECT_EQ(to_vector<double>(stop_gradient(p)), to_vector<double>(stop_gradient(q)));
}

TEST(Formulas, KeepWhatTheyKeepInPython) {
  // A tensor like the parameter of each name, but for NAdam's product, a number whatever the parameter.
  const Tensor p = zeros({2, 3}, DType::bfloat16).set_requires_grad();
  NAdam optimizer({p}, {.lr = 0.1});
  int products = 0, others = 0;
  for (const auto& [name, tensor] : optimizer.state()) {
    if (name.find("mu_product") != name.npos) {
      EXPECT_EQ(tensor.spec(), (Spec{{}, DType::float64, {}})) << name;
      EXPECT_EQ(item<double>(tensor), 1);
      ++products;
    } else if (name.find("exp_avg") != name.npos) {
      EXPECT_EQ(tensor.spec(), (Spec{{2, 3}, DType::float32, {}})) << name;
      ++others;
    }
  }
  EXPECT_EQ(products, 1);
  EXPECT_EQ(others, 2);
}

TEST(Formulas, OptionsOutOfRangeAreNamed) {
  const Tensors p{zeros({2, 2}).set_requires_grad()};
  EXPECT_THROW(Adagrad(p, {.lr_decay = -1}), ValueError);
  EXPECT_THROW(Adadelta(p, {.rho = 1.5}), ValueError);
  EXPECT_THROW(Adamax(p, {.beta1 = 1}), ValueError);
  EXPECT_THROW(NAdam(p, {.momentum_decay = -1}), ValueError);
  EXPECT_THROW(RAdam(p, {.eps = -1}), ValueError);
  EXPECT_THROW(Lion(p, {.weight_decay = -1}), ValueError);
  EXPECT_THROW(Muon(p, {.ns_steps = 100}), ValueError);
}

// A step that a compiled function holds takes lr and the number of the step from outside.
TEST(Formulas, StepsAreCompiled) {
  const Tensor p = full({1}, kStart, DType::float64).set_requires_grad();
  Adamax optimizer({p}, {.lr = 0.1});
  const auto step = compile([&](const Tensors& inputs) {
    optimizer.step({inputs[0]});
    return Tensors{inputs[0] * 1};
  });
  std::vector<double> path;
  for (const double g : kGradients) {
    step({full({1}, g, DType::float64)});
    path.push_back(to_vector<double>(stop_gradient(p))[0]);
  }
  expect_path(path, path_of<Adamax>(AdamaxOptions{.lr = 0.1}));
}

// --- Averages, scaling, schedules

TEST(AveragedModel, FollowsTheParameters) {
  nn::Linear model(2, 1, random_key(1), false);
  AveragedModel moving(model, 0.75), mean(model, std::nullopt);
  const Tensor x = ones({1, 2});
  for (const double value : {1.0, 3.0, 8.0}) {
    {
      const GradMode off(false);
      assign(model.weight, full({1, 2}, value, DType::float32));
    }
    moving.update(), mean.update();
  }
  const double wanted = 0.75 * (0.75 * 1 + 0.25 * 3) + 0.25 * 8;
  expect_close(moving(x), full({1, 1}, 2 * wanted, DType::float32), 1e-6);
  expect_close(mean(x), full({1, 1}, 8.0, DType::float32), 1e-6);
  expect_close(model(x), full({1, 1}, 16.0, DType::float32), 1e-6);
  const auto state = moving.state();
  EXPECT_EQ(state.size(), 2U);
  EXPECT_EQ(item<int64_t>(state.at("updates")), 3);
  AveragedModel other(model);
  other.load_state(state);
  expect_close(other(x), moving(x), 0);
  for (const double end : {0.0, 1.0}) EXPECT_NO_THROW(AveragedModel(model, end));
  EXPECT_THROW(AveragedModel(model, -0.5), ValueError);
  EXPECT_THROW(AveragedModel(model, 1.5), ValueError);
}

TEST(GradScaler, LeavesOutStepsThatOverflow) {
  const Tensor p = ones({2}).set_requires_grad();
  SGD optimizer({p}, {.lr = 1});
  GradScaler scaler({.init_scale = 8, .growth_interval = 2});
  const auto step = [&](double slope) {
    optimizer.zero_grad();
    scaler.scale(sum(p * slope)).backward();
    scaler.step(optimizer);
    scaler.update();
  };
  step(0.25);
  expect_close(stop_gradient(p), tensor<float>({0.75, 0.75}), 0);
  EXPECT_EQ(scaler.get_scale(), 8);
  step(INFINITY);
  expect_close(stop_gradient(p), tensor<float>({0.75, 0.75}), 0);
  EXPECT_EQ(scaler.get_scale(), 4);
  step(0.25), step(0.25);
  EXPECT_EQ(scaler.get_scale(), 8);
  expect_close(stop_gradient(p), tensor<float>({0.25, 0.25}), 0);
  scaler.unscale(optimizer);
  EXPECT_THROW(scaler.unscale(optimizer), ValueError);
  EXPECT_THROW(GradScaler({.growth_factor = 1}), ValueError);
}

TEST(GradScaler, LooksAtEveryGradient) {
  for (const size_t overflowing : {0, 1, 2}) {
    const Tensors leaves{ones({2}).set_requires_grad(), ones({2}).set_requires_grad(),
                         ones({2}).set_requires_grad()};
    SGD optimizer(leaves, {.lr = 1});
    GradScaler scaler({.init_scale = 8});
    for (size_t i = 0; i < leaves.size(); ++i)
      leaves[i].set_grad(tensor<float>({1, i == overflowing ? INFINITY : 1}));
    scaler.step(optimizer);
    scaler.update();
    for (const Tensor& leaf : leaves) expect_close(stop_gradient(leaf), ones({2}), 0);
    EXPECT_EQ(scaler.get_scale(), 4);
  }
}

TEST(Schedules, StepDownAtMilestones) {
  const Schedule schedule = multi_step_schedule(1, {4, 2}, 0.5);
  for (const auto& [step, wanted] :
       std::vector<std::pair<int64_t, double>>{{1, 1}, {2, 0.5}, {3, 0.5}, {4, 0.25}})
    EXPECT_EQ(schedule(step), wanted);
}

TEST(Schedules, OneCycleRisesAndFalls) {
  const Schedule cosine = one_cycle_schedule(2, 10),
                 straight = one_cycle_schedule(2, 10, {.is_linear = true});
  EXPECT_NEAR(cosine(0), 2.0 / 25, 1e-15);
  EXPECT_NEAR(cosine(2), 2, 1e-15);
  EXPECT_NEAR(cosine(9), 2.0 / 25e4, 1e-15);
  EXPECT_NEAR(cosine(12), 2.0 / 25e4, 1e-15);
  EXPECT_NEAR(straight(1), (2.0 / 25 + 2) / 2, 1e-15);
  EXPECT_NEAR(cosine(4), 2 + (2.0 / 25e4 - 2) * (1 - std::cos(std::numbers::pi * 2 / 7)) / 2, 1e-12);
  EXPECT_THROW(one_cycle_schedule(1, 1), ValueError);
  EXPECT_THROW(one_cycle_schedule(1, 10, {.pct_start = 0.05}), ValueError);
}

TEST(Schedules, PlateausLowerTheRate) {
  SGD optimizer({ones({1}).set_requires_grad()}, {.lr = 1});
  ReduceLROnPlateau plateau(optimizer, {.decay = 0.5, .patience = 1, .cooldown = 1, .minimum = 0.25});
  const auto after = [&](double metric) {
    plateau.step(metric);
    return optimizer.lr();
  };
  EXPECT_EQ(after(1.0), 1);
  EXPECT_EQ(after(1.0), 1);
  EXPECT_EQ(after(1.0), 0.5);
  EXPECT_EQ(after(1.0), 0.5);  // cooling down
  EXPECT_EQ(after(0.5), 0.5);
  for (int i = 0; i < 8; ++i) after(0.6);
  EXPECT_EQ(optimizer.lr(), 0.25);
  EXPECT_THROW(ReduceLROnPlateau(optimizer, {.decay = 1}), ValueError);
}

}  // namespace
}  // namespace tidu::optim
