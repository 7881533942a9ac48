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

// One schedule after another, each counting from its own step 0; the last one's length does not matter.
struct Phase {
  Schedule schedule;
  int64_t steps = 0;
};
Schedule chain_schedules(std::vector<Phase> phases);

}  // namespace tidu::optim
