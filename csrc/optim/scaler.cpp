// Scaling the loss.
#include "optim/scaler.h"

#include <algorithm>
#include <limits>

#include "core/trace.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "optim/ranges.h"

namespace tidu::optim {

GradScaler::GradScaler(GradScalerOptions options) : options_(options), scale_(options.init_scale) {
  check_range(options.init_scale, options.init_scale > 0, "init_scale");
  check_range(options.growth_factor, options.growth_factor > 1, "growth_factor");
  check_range(options.backoff_factor, options.backoff_factor > 0 && options.backoff_factor < 1,
              "backoff_factor");
  check_range(static_cast<double>(options.growth_interval), options.growth_interval >= 1, "growth_interval");
}

Tensor GradScaler::scale(const Tensor& loss) const { return loss * scale_; }

bool GradScaler::is_unscaled(const Optimizer& optimizer) const {
  return std::ranges::find(unscaled_, &optimizer) != unscaled_.end();
}

void GradScaler::unscale(const Optimizer& optimizer) {
  if (is_unscaled(optimizer))
    fail<ValueError>("[GradScaler] the gradients were unscaled already (call update after step)");
  const GradMode off(false);
  Tensor finite;
  for (const Tensor& parameter : optimizer.parameters()) {
    const Tensor g = parameter.grad();
    if (!g.defined()) continue;
    const Tensor unscaled = widened(g) * (1 / scale_);
    const Tensor own = to(all(isfinite(unscaled)), Device{});
    finite = finite.defined() ? logical_and(finite, own) : own;
    parameter.set_grad(astype(unscaled, g.dtype()));
  }
  overflows_ = overflows_ || (finite.defined() && !item<bool>(finite));
  unscaled_.push_back(&optimizer);
}

void GradScaler::step(Optimizer& optimizer) {
  if (!is_unscaled(optimizer)) unscale(optimizer);
  if (!overflows_) optimizer.step();
}

void GradScaler::update() {
  good_steps_ = overflows_ ? 0 : good_steps_ + 1;
  if (overflows_) scale_ *= options_.backoff_factor;
  if (good_steps_ >= options_.growth_interval) {
    const double larger = scale_ * options_.growth_factor;
    if (larger <= static_cast<double>(std::numeric_limits<float>::max())) scale_ = larger;
    good_steps_ = 0;
  }
  overflows_ = false;
  unscaled_.clear();
}

}  // namespace tidu::optim
