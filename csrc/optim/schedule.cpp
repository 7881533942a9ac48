// Learning rates as functions of the step number.
#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

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

Schedule chain_schedules(std::vector<Phase> phases) {
  if (phases.empty()) fail<ValueError>("[schedule] there is nothing to chain");
  return [phases = std::move(phases)](int64_t step) {
    size_t i = 0;
    while (i + 1 < phases.size() && step >= phases[i].steps) step -= phases[i++].steps;
    return phases[i].schedule(step);
  };
}

}  // namespace tidu::optim
