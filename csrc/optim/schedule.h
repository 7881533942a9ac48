// Learning rates as functions of the step number (0 is the first), which keep no state:
// optimizer.set_lr(schedule(step)); and one that follows a metric.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "optim/optimizer.h"

namespace tidu::optim {

using Schedule = std::function<double(int64_t step)>;

Schedule constant_schedule(double lr);
// lr factor^floor(step / every)
Schedule step_schedule(double lr, int64_t every, double factor = 0.1);
// lr factor^(how many of the milestones the step has reached)
Schedule multi_step_schedule(double lr, std::vector<int64_t> milestones, double factor = 0.1);
// From `from` to `to` in equal steps, reached at step `steps` and held from there on. From 0 it is a warm-up.
Schedule linear_schedule(double from, double to, int64_t steps);
// last + (lr - last) (1 + cos(pi step / steps)) / 2, held at `last` from step `steps` on (Loshchilov and
// Hutter 2017).
Schedule cosine_schedule(double lr, int64_t steps, double last = 0);
// lr factor^step
Schedule exponential_schedule(double lr, double factor);
// lr (1 - step / steps)^power, held at 0 from step `steps` on.
Schedule polynomial_schedule(double lr, int64_t steps, double power = 1);
// cosine_schedule again and again, at first in `steps` and then each time in `factor` times as many.
Schedule cosine_restart_schedule(double lr, int64_t steps, int64_t factor = 1, double last = 0);

// From lr / div_factor up to lr in the first pct_start of the steps, and down to lr / (div_factor
// final_div_factor) at the last of them, and so from there on, each time along half a cosine or in a straight
// line (Smith and Topin 2017).
struct OneCycleOptions {
  double pct_start = 0.3;
  bool is_linear = false;
  double div_factor = 25, final_div_factor = 1e4;
};
Schedule one_cycle_schedule(double lr, int64_t steps, const OneCycleOptions& options = {});

// One schedule after another, each counting from its own step 0; the last one's length does not matter.
struct Phase {
  Schedule schedule;
  int64_t steps = 0;
};
Schedule chain_schedules(std::vector<Phase> phases);

// Multiplies the optimiser's learning rate by `decay` where the metric that step() is given was no better
// than the best so far for more than `patience` steps one after another; after that `cooldown` steps do not
// count. Better is less, or with is_max more, by `threshold` times the best's absolute value or, with
// is_absolute, by `threshold` itself. The rate does not fall below `minimum`, nor change by less than eps.
struct PlateauOptions {
  bool is_max = false;
  double decay = 0.1;
  int64_t patience = 10;
  double threshold = 1e-4;
  bool is_absolute = false;
  int64_t cooldown = 0;
  double minimum = 0, eps = 1e-8;
};
class ReduceLROnPlateau {
 public:
  ReduceLROnPlateau(Optimizer& optimizer, PlateauOptions options = {});  // which must outlive it
  void step(double metric);

 private:
  bool is_better(double metric) const;

  Optimizer& optimizer_;
  PlateauOptions options_;
  double best_;
  int64_t bad_steps_ = 0, cooling_ = 0;
};

}  // namespace tidu::optim
