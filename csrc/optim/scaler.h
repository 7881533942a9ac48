// Scaling the loss, so that gradients of 16 bits do not vanish.
#pragma once

#include "optim/optimizer.h"

namespace tidu::optim {

struct GradScalerOptions {
  double init_scale = 65536, growth_factor = 2, backoff_factor = 0.5;
  int64_t growth_interval = 2000;
};
// Multiplies the loss by a factor that follows the gradients: smaller by backoff_factor after a step whose
// gradients overflow, which leaves the parameters as they are, larger by growth_factor after growth_interval
// steps without (Micikevicius et al. 2018). For float16; bfloat16 needs none.
//
//   scaler.scale(loss).backward();
//   scaler.step(optimizer);
//   scaler.update();
class GradScaler {
 public:
  explicit GradScaler(GradScalerOptions options = {});  // ValueError for an option out of range

  Tensor scale(const Tensor& loss) const;
  double get_scale() const { return scale_; }
  // Divides the gradients of an optimiser's parameters by the factor, so that they can be clipped, and finds
  // out whether they are finite, which reads one boolean. `step` does it where it was not done; a second time
  // before `update` is a ValueError.
  void unscale(const Optimizer& optimizer);
  // optimizer.step() with unscaled gradients, unless some are not finite.
  void step(Optimizer& optimizer);
  // Changes the factor after the steps of all optimisers.
  void update();

 private:
  bool is_unscaled(const Optimizer& optimizer) const;

  GradScalerOptions options_;
  double scale_;
  int64_t good_steps_ = 0;
  bool overflows_ = false;                       // since the last update
  std::vector<const Optimizer*> unscaled_ = {};  // since the last update
};

}  // namespace tidu::optim
