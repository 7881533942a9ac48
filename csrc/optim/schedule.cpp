// Learning rates as functions of the step number.
#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "optim/ranges.h"

namespace tidu::optim {
namespace {

void check_positive(int64_t steps, const char* what) {
  if (steps < 1) fail<ValueError>("[schedule] ", what, " must be at least 1, not ", steps);
}

double fraction(int64_t step, int64_t steps) {
  return static_cast<double>(std::min(step, steps)) / static_cast<double>(steps);
}

}  // namespace

Schedule constant_schedule(double lr) {
  return [=](int64_t) { return lr; };
}

Schedule step_schedule(double lr, int64_t every, double factor) {
  check_positive(every, "every");
  return [=](int64_t step) { return lr * std::pow(factor, static_cast<double>(step / every)); };
}

Schedule multi_step_schedule(double lr, std::vector<int64_t> milestones, double factor) {
  return [=, milestones = std::move(milestones)](int64_t step) {
    const auto reached =
        std::ranges::count_if(milestones, [=](int64_t milestone) { return step >= milestone; });
    return lr * std::pow(factor, static_cast<double>(reached));
  };
}

Schedule linear_schedule(double from, double to, int64_t steps) {
  check_positive(steps, "steps");
  return [=](int64_t step) { return std::lerp(from, to, fraction(step, steps)); };
}

Schedule cosine_schedule(double lr, int64_t steps, double last) {
  check_positive(steps, "steps");
  return [=](int64_t step) {
    return last + (lr - last) * (1 + std::cos(std::numbers::pi * fraction(step, steps))) / 2;
  };
}

Schedule exponential_schedule(double lr, double factor) {
  return [=](int64_t step) { return lr * std::pow(factor, static_cast<double>(step)); };
}

Schedule polynomial_schedule(double lr, int64_t steps, double power) {
  check_positive(steps, "steps");
  return [=](int64_t step) { return lr * std::pow(1 - fraction(step, steps), power); };
}

Schedule cosine_restart_schedule(double lr, int64_t steps, int64_t factor, double last) {
  check_positive(steps, "steps");
  check_positive(factor, "factor");
  return [=](int64_t step) {
    int64_t period = steps;
    if (factor == 1) step %= period;
    for (; step >= period; period *= factor) step -= period;
    return cosine_schedule(lr, period, last)(step);
  };
}

Schedule one_cycle_schedule(double lr, int64_t steps, const OneCycleOptions& options) {
  const double top = options.pct_start * static_cast<double>(steps) - 1,
               last = static_cast<double>(steps) - 1;
  if (steps < 2 || !(options.pct_start < 1) || !(top > 0))
    fail<ValueError>("[schedule] one cycle takes at least 2 steps, not ", steps,
                     ", and more than one of them in "
                     "pct_start = ",
                     options.pct_start, ", which is below 1");
  return [=](int64_t step) {
    const auto at = static_cast<double>(step);
    const double low = lr / options.div_factor;
    const double from = at <= top ? low : lr, to = at <= top ? lr : low / options.final_div_factor;
    const double progress = at <= top ? at / top : std::min((at - top) / (last - top), 1.0);
    const double share = options.is_linear ? progress : (1 - std::cos(std::numbers::pi * progress)) / 2;
    return from + (to - from) * share;
  };
}

Schedule chain_schedules(std::vector<Phase> phases) {
  if (phases.empty()) fail<ValueError>("[schedule] there is nothing to chain");
  return [phases = std::move(phases)](int64_t step) {
    size_t i = 0;
    while (i + 1 < phases.size() && step >= phases[i].steps) step -= phases[i++].steps;
    return phases[i].schedule(step);
  };
}

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& optimizer, PlateauOptions options)
    : optimizer_(optimizer),
      options_(options),
      best_(options.is_max ? -std::numeric_limits<double>::infinity()
                           : std::numeric_limits<double>::infinity()) {
  check_fraction(options.decay, "decay");
  check_not_negative(static_cast<double>(options.patience), "patience");
  check_not_negative(static_cast<double>(options.cooldown), "cooldown");
  check_not_negative(options.minimum, "minimum");
  check_not_negative(options.eps, "eps");
}

bool ReduceLROnPlateau::is_better(double metric) const {
  const double sign = options_.is_max ? 1 : -1;
  if (std::isinf(best_)) return sign * metric > sign * best_;
  const double margin = options_.is_absolute ? options_.threshold : options_.threshold * std::abs(best_);
  return sign * metric > sign * best_ + margin;
}

void ReduceLROnPlateau::step(double metric) {
  if (is_better(metric)) {
    best_ = metric, bad_steps_ = 0;
  } else {
    ++bad_steps_;
  }
  if (cooling_ > 0) --cooling_, bad_steps_ = 0;
  if (bad_steps_ <= options_.patience) return;
  cooling_ = options_.cooldown, bad_steps_ = 0;
  const double lr = std::max(optimizer_.lr() * options_.decay, options_.minimum);
  if (optimizer_.lr() - lr > options_.eps) optimizer_.set_lr(lr);
}

}  // namespace tidu::optim
