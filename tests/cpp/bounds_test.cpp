// Bounds of options: the last value that is taken on each side, and the first that is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tidu.h"

namespace tidu {
namespace {

using optim::SGD;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const double kBelow0 = std::nextafter(0.0, -1.0), kAbove0 = std::nextafter(0.0, 1.0);
const double kBelow1 = std::nextafter(1.0, 0.0), kAbove1 = std::nextafter(1.0, 2.0);

struct Bounds {
  std::string what;
  std::function<void(double)> call;
  std::vector<double> taken, refused;
};
using Values = std::vector<double>;
const Values kZero = {0}, kNegative = {kBelow0, kNaN};
const Values kFraction = {0, kBelow1}, kNoFraction = {kBelow0, 1, kNaN};
const Values kUnit = {0, 1}, kOutside = {kBelow0, kAbove1, kNaN};

void check(const std::vector<Bounds>& all) {
  for (const Bounds& bounds : all) {
    SCOPED_TRACE(bounds.what);
    for (const double value : bounds.taken) EXPECT_NO_THROW(bounds.call(value)) << value;
    for (const double value : bounds.refused) {
      try {
        bounds.call(value);
        ADD_FAILURE() << value << " is taken";
      } catch (const std::logic_error& error) {
        EXPECT_NE(std::string(error.what()).find(']'), std::string::npos) << error.what();
      }
    }
  }
}

int64_t whole(double value) { return static_cast<int64_t>(value); }
Tensors parameters() { return {ones({2, 2})}; }

template <class Optimizer, class Options>
Bounds of(std::string what, double Options::*option, Values taken, Values refused) {
  const auto call = [option](double value) {
    Options options;
    options.*option = value;
    Optimizer(parameters(), options);
  };
  return {std::move(what), call, std::move(taken), std::move(refused)};
}

TEST(Bounds, Optimisers) {
  using namespace optim;
  check({
      of<SGD>("lr", &SGDOptions::lr, {0, 2}, kNegative),
      of<SGD>("momentum", &SGDOptions::momentum, {0, 2}, kNegative),
      of<SGD>("weight_decay", &SGDOptions::weight_decay, kZero, kNegative),
      of<Adam>("beta1", &AdamOptions::beta1, kFraction, kNoFraction),
      of<Adam>("beta2", &AdamOptions::beta2, kFraction, kNoFraction),
      of<Adam>("eps", &AdamOptions::eps, kZero, kNegative),
      of<AdamW>("weight_decay", &AdamOptions::weight_decay, kZero, kNegative),
      of<RMSprop>("alpha", &RMSpropOptions::alpha, kUnit, kOutside),
      of<RMSprop>("eps", &RMSpropOptions::eps, kZero, kNegative),
      of<RMSprop>("weight_decay", &RMSpropOptions::weight_decay, kZero, kNegative),
      of<RMSprop>("momentum", &RMSpropOptions::momentum, kZero, kNegative),
      of<Adagrad>("lr_decay", &AdagradOptions::lr_decay, kZero, kNegative),
      of<Adagrad>("weight_decay", &AdagradOptions::weight_decay, kZero, kNegative),
      of<Adagrad>("accumulator", &AdagradOptions::initial_accumulator_value, kZero, kNegative),
      of<Adagrad>("eps", &AdagradOptions::eps, kZero, kNegative),
      of<Adadelta>("rho", &AdadeltaOptions::rho, kUnit, kOutside),
      of<Adadelta>("eps", &AdadeltaOptions::eps, kZero, kNegative),
      of<Adadelta>("weight_decay", &AdadeltaOptions::weight_decay, kZero, kNegative),
      of<Adamax>("beta1", &AdamaxOptions::beta1, kFraction, kNoFraction),
      of<Adamax>("beta2", &AdamaxOptions::beta2, kFraction, kNoFraction),
      of<Adamax>("eps", &AdamaxOptions::eps, kZero, kNegative),
      of<NAdam>("momentum_decay", &NAdamOptions::momentum_decay, kZero, kNegative),
      of<NAdam>("weight_decay", &NAdamOptions::weight_decay, kZero, kNegative),
      of<RAdam>("beta2", &RAdamOptions::beta2, kFraction, kNoFraction),
      of<Lion>("beta1", &LionOptions::beta1, kFraction, kNoFraction),
      of<Muon>("momentum", &MuonOptions::momentum, kFraction, kNoFraction),
      of<Muon>("eps", &MuonOptions::eps, kZero, kNegative),
      {"steps", [](double v) { Muon(parameters(), {.ns_steps = whole(v)}); }, {0, 99}, {-1, 100}},
      {"dimensions", [](double v) { Muon({ones(Shape(static_cast<size_t>(v), 2))}); }, {2}, {1, 3}},
      {"nesterov", [](double v) { SGD(parameters(), {.momentum = v, .nesterov = true}); }, {kAbove0}, {0}},
      {"set_lr", [](double v) { SGD(parameters(), {}).set_lr(v); }, {0, 2}, kNegative},
      {"gradients",
       [](double v) {
         SGD(parameters(), {}).step(Tensors(static_cast<size_t>(v), ones({2, 2})));
       },
       {1},
       {0, 2}},
      {"clip_by_norm", [](double v) { clip_by_norm({ones({2})}, v); }, kZero, kNegative},
      {"clip_by_value", [](double v) { clip_by_value({ones({2})}, v); }, kZero, kNegative},
      {"init_scale", [](double v) { GradScaler({.init_scale = v}); }, {kAbove0}, {0, kNaN}},
      {"growth_factor", [](double v) { GradScaler({.growth_factor = v}); }, {kAbove1}, {1, kNaN}},
      {"backoff_factor",
       [](double v) { GradScaler({.backoff_factor = v}); },
       {kAbove0, kBelow1},
       {0, 1, kNaN}},
      {"growth_interval", [](double v) { GradScaler({.growth_interval = whole(v)}); }, {1}, {0}},
  });
}

TEST(Bounds, Schedules) {
  using namespace optim;
  SGD sgd(parameters(), {.lr = 1});
  check({
      {"step", [](double v) { step_schedule(1, whole(v)); }, {1}, {0, -1}},
      {"linear", [](double v) { linear_schedule(1, 2, whole(v)); }, {1}, {0}},
      {"cosine", [](double v) { cosine_schedule(1, whole(v)); }, {1}, {0}},
      {"polynomial", [](double v) { polynomial_schedule(1, whole(v)); }, {1}, {0}},
      {"period", [](double v) { cosine_restart_schedule(1, whole(v)); }, {1}, {0}},
      {"multiplier", [](double v) { cosine_restart_schedule(1, 2, whole(v)); }, {1, 2}, {0}},
      {"one cycle", [](double v) { one_cycle_schedule(1, whole(v), {.pct_start = 0.75}); }, {2}, {1, 0}},
      {"rise",
       [](double v) { one_cycle_schedule(1, 4, {.pct_start = v}); },
       {0.26, kBelow1},
       {0.25, 1, kNaN}},
      {"decay", [&](double v) { ReduceLROnPlateau(sgd, {.decay = v}); }, kFraction, kNoFraction},
      {"patience", [&](double v) { ReduceLROnPlateau(sgd, {.patience = whole(v)}); }, {0}, {-1}},
      {"cooldown", [&](double v) { ReduceLROnPlateau(sgd, {.cooldown = whole(v)}); }, {0}, {-1}},
      {"minimum", [&](double v) { ReduceLROnPlateau(sgd, {.minimum = v}); }, kZero, kNegative},
      {"eps", [&](double v) { ReduceLROnPlateau(sgd, {.eps = v}); }, kZero, kNegative},
  });
}

TEST(Bounds, Searches) {
  using namespace optim;
  const auto f = [](const Tensors& x) { return sum(x[0] * x[0]); };
  const auto residuals = [](const Tensors& x) { return Tensors{x[0] - 1}; };
  const auto minimum = [&](MinimizeOptions options) { minimize(f, {ones({2})}, options); };
  const auto fit = [&](LeastSquaresOptions options) { least_squares(residuals, {ones({2})}, options); };
  check({
      {"gtol", [&](double v) { minimum({.gtol = v}); }, kZero, kNegative},
      {"max_iter", [&](double v) { minimum({.max_iter = whole(v)}); }, {0, 1}, {-1}},
      {"history_size", [&](double v) { minimum({.history_size = whole(v)}); }, {1}, {0}},
      {"radius", [&](double v) { minimum({.radius = v}); }, {1}, {0, INFINITY, kNaN}},
      {"fit's ftol", [&](double v) { fit({.ftol = v}); }, kZero, kNegative},
      {"fit's xtol", [&](double v) { fit({.xtol = v}); }, kZero, kNegative},
      {"fit's gtol", [&](double v) { fit({.gtol = v}); }, kZero, kNegative},
      {"fit's max_iter", [&](double v) { fit({.max_iter = whole(v)}); }, {0, 1}, {-1}},
      {"fit's radius", [&](double v) { fit({.radius = v}); }, {1}, {0, INFINITY, kNaN}},
  });
}

TEST(Bounds, Layers) {
  using namespace nn;
  const Tensor key = random_key(1);
  nn::Linear linear(2, 2, key);
  check({
      {"average", [&](double v) { optim::AveragedModel(linear, v); }, kUnit, kOutside},
      {"heads", [&](double v) { MultiheadAttention(4, whole(v), key); }, {1, 2, 4}, {0, 3, 8, -2}},
      {"group_norm", [&](double v) { GroupNorm(whole(v), 4); }, {1, 2, 4}, {0, 3, 8, -2}},
      {"lstm", [&](double v) { LSTM(2, 3, key, {.num_layers = whole(v)}); }, {1, 2}, {0}},
      {"hidden", [&](double v) { GRU(2, whole(v), key); }, {1}, {0}},
  });
}

TEST(Bounds, Loaders) {
  using namespace data;
  const TensorDataset set({arange(4)});
  check({
      {"batch_size", [&](double v) { DataLoader(set, {.batch_size = whole(v)}); }, {1, 9}, {0}},
      {"prefetch", [&](double v) { DataLoader(set, {.prefetch = static_cast<int>(v)}); }, {0, 1}, {-1}},
      {"position",
       [&](double v) {
         DataLoader loader(set, {.batch_size = 2});
         loader.seek({.epoch = 0, .batch = whole(v)});
       },
       {0, 2},
       {-1, 3}},
      {"epoch",
       [&](double v) {
         DataLoader loader(set, {.batch_size = 2});
         loader.seek({.epoch = whole(v), .batch = 0});
       },
       {0, 7},
       {-1}},
  });
}

}  // namespace
}  // namespace tidu
