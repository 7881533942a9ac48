// Optimisers.
#include "optim/optimizer.h"

#include <set>

#include "core/trace.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"
#include "ops/update.h"
#include "optim/ranges.h"

namespace tidu::optim {
Optimizer::Optimizer(Tensors parameters, double lr, std::vector<Slot> slots)
    : parameters_(std::move(parameters)), slot_kinds_(std::move(slots)), steps_(parameters_.size(), 0) {
  set_lr(lr);
  if (parameters_.empty()) fail<ValueError>("[optimizer] there are no parameters");
  for (const Tensor& parameter : parameters_) {
    if (!parameter.defined() || !is_floating(parameter.dtype()) || !parameter.is_contiguous()) {
      fail<ValueError>("[optimizer] a parameter must be contiguous and floating-point, not ",
                       describe(parameter));
    }
  }
  for (const Slot& slot : slot_kinds_) {
    slots_.emplace_back();
    for (const Tensor& parameter : parameters_) {
      const DType dtype = slot.is_number ? DType::float64 : state_dtype(parameter.dtype());
      slots_.back().push_back(
          full(slot.is_number ? Shape{} : parameter.shape(), slot.first, dtype, parameter.device()));
    }
  }
}

void Optimizer::set_lr(double lr) {
  check_not_negative(lr, "lr");
  lr_ = lr;
}

void Optimizer::step() {
  Tensors gradients;
  for (const Tensor& parameter : parameters_) gradients.push_back(parameter.grad());
  step(gradients);
}

void Optimizer::step(const Tensors& gradients) {
  if (gradients.size() != parameters_.size())
    fail<ValueError>("[optimizer] ", gradients.size(), " gradients for ", parameters_.size(), " parameters");
  std::set<int64_t> counts;  // one, unless some parameters had no gradient before
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    if (gradients[i].shape() != parameters_[i].shape() || gradients[i].dtype() != parameters_[i].dtype()) {
      fail<ShapeError>("[optimizer] the gradient ", describe(gradients[i]), " does not fit its parameter ",
                       describe(parameters_[i]));
    }
    counts.insert(steps_[i]);
  }
  check_gradients(gradients);
  const GradMode off(false);
  if (Capture* const capture = visible_capture()) return record_step(*capture, gradients);
  const std::vector<int64_t> before = steps_;
  for (const int64_t count : counts) {
    std::vector<size_t> which;
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i].defined() && before[i] == count) which.push_back(i);
    }
    step_some(gradients, which, count + 1, {});
    for (const size_t i : which) ++steps_[i];
  }
}

void Optimizer::step_some(const Tensors& gradients, const std::vector<size_t>& which, int64_t step,
                          const Tensor& clock) {
  Tensors state, chosen;
  for (const size_t i : which) state.push_back(parameters_[i]), chosen.push_back(gradients[i]);
  for (const Tensors& slot : slots_) {
    for (const size_t i : which) state.push_back(slot[i]);
  }
  update(state, chosen, static_cast<int>(which.size()), step, clock);
}

void Optimizer::record_step(Capture& capture, const Tensors& gradients) {
  std::vector<size_t> which;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) which.push_back(i);
  }
  if (which.empty()) return;
  const Tensor clock = filled_by_hooks({static_cast<int64_t>(which.size()), 4});
  ahead_.resize(parameters_.size(), 0);
  std::vector<int64_t> numbers;
  for (const size_t i : which) numbers.push_back(++ahead_[i]);
  capture.add_hook({[] { return std::string(); },
                    [this, which, clock, numbers] {
                      auto* const rows = static_cast<ClockRow*>(clock.raw_data());
                      for (size_t k = 0; k < which.size(); ++k) rows[k] = row(steps_[which[k]] + numbers[k]);
                    },
                    [this, which] {
                      for (const size_t i : which) ++steps_[i];
                    },
                    [this] { ahead_.clear(); }});
  step_some(gradients, which, 1, clock);
}

void Optimizer::zero_grad() {
  for (const Tensor& parameter : parameters_) parameter.set_grad({});
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> state;
  state["steps"] = tensor(std::span(steps_), {static_cast<int64_t>(steps_.size())});
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    for (size_t i = 0; i < parameters_.size(); ++i)
      state[str(i, ".", slot_kinds_[slot].name)] = slots_[slot][i];
  }
  return state;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& state) {
  const auto own = this->state();
  for (const auto& [name, tensor] : own) {
    const auto found = state.find(name);
    if (found == state.end()) fail<ValueError>("[optimizer] the state lacks '", name, "'");
    if (found->second.shape() != tensor.shape() || found->second.dtype() != tensor.dtype()) {
      fail<ValueError>("[optimizer] the state's '", name, "' is ", describe(found->second), ", not ",
                       describe(tensor));
    }
  }
  for (const auto& [name, tensor] : state) {
    if (!own.contains(name)) fail<ValueError>("[optimizer] the state has an unknown '", name, "'");
  }
  const GradMode off(false);
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      Tensor& place = slots_[slot][i];
      assign(place, to(state.at(str(i, ".", slot_kinds_[slot].name)), place.device()));
    }
  }
  steps_ = to_vector<int64_t>(state.at("steps"));
}

SGD::SGD(Tensors parameters, SGDOptions options)
    : Optimizer(std::move(parameters), options.lr,
                options.momentum != 0 ? std::vector<Slot>{{"momentum_buffer"}} : std::vector<Slot>{}),
      options_(options) {
  check_not_negative(options.momentum, "momentum");
  check_not_negative(options.weight_decay, "weight_decay");
  if (options.nesterov && options.momentum == 0)
    fail<ValueError>("[optimizer] nesterov needs a momentum above 0");
}

void SGD::update(const Tensors& state, const Tensors& gradients, int count, int64_t step,
                 const Tensor& clock) {
  apply_update(primitives::sgd_update, state, gradients,
               SgdAttrs{count, lr(), options_.momentum, options_.weight_decay, options_.nesterov, step == 1,
                        clock.defined()},
               clock);
}

Adam::Adam(Tensors parameters, AdamOptions options, bool decoupled)
    : Optimizer(std::move(parameters), options.lr, {{"exp_avg"}, {"exp_avg_sq"}}),
      options_(options),
      decoupled_(decoupled) {
  check_fraction(options.beta1, "beta1");
  check_fraction(options.beta2, "beta2");
  check_not_negative(options.eps, "eps");
  check_not_negative(options.weight_decay, "weight_decay");
}

void Adam::update(const Tensors& state, const Tensors& gradients, int count, int64_t step,
                  const Tensor& clock) {
  apply_update(primitives::adam_update, state, gradients,
               AdamAttrs{count, lr(), options_.beta1, options_.beta2, options_.eps, options_.weight_decay,
                         decoupled_, step, clock.defined()},
               clock);
}

ClockRow Adam::row(int64_t step) const { return clock_row(lr(), step, options_.beta1, options_.beta2); }

RMSprop::RMSprop(Tensors parameters, RMSpropOptions options)
    : Optimizer(std::move(parameters), options.lr,
                options.momentum != 0 ? std::vector<Slot>{{"square_avg"}, {"momentum_buffer"}}
                                      : std::vector<Slot>{{"square_avg"}}),
      options_(options) {
  check_range(options.alpha, options.alpha >= 0 && options.alpha <= 1, "alpha");
  check_not_negative(options.eps, "eps");
  check_not_negative(options.weight_decay, "weight_decay");
  check_not_negative(options.momentum, "momentum");
}

void RMSprop::update(const Tensors& state, const Tensors& gradients, int count, int64_t,
                     const Tensor& clock) {
  apply_update(primitives::rmsprop_update, state, gradients,
               RmspropAttrs{count, lr(), options_.alpha, options_.eps, options_.weight_decay,
                            options_.momentum, clock.defined()},
               clock);
}

}  // namespace tidu::optim
