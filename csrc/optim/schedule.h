// Learning rates as functions of the step number (0 is the first), which keep no state:
// optimizer.set_lr(schedule(step)).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace tidu::optim {

using Schedule = std::function<double(int64_t step)>;

Schedule constant_schedule(double lr);
// lr factor^floor(step / every)
Schedule step_schedule(double lr, int64_t every, double factor = 0.1);
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

// One schedule after another, each counting from its own step 0; the last one's length does not matter.
struct Phase {
  Schedule schedule;
  int64_t steps = 0;
};
Schedule chain_schedules(std::vector<Phase> phases);

}  // namespace tidu::optim
