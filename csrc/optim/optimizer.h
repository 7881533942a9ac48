// Optimisers: they change parameters in place by their gradients, in one fused call for all of them.
#pragma once

#include <map>
#include <string>

#include "ops/update.h"
#include "program/capture.h"

namespace tidu::optim {

// A tensor that each parameter needs beside it, in state_dtype, or with is_number one number in float64.
struct Slot {
  std::string name;
  double first = 0;  // its value before the first step
  bool is_number = false;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One step with the grad() of each parameter, or with `gradients`, one for each parameter. A parameter
  // whose gradient is undefined stays as it is.
  void step();
  void step(const Tensors& gradients);
  void zero_grad();

  double lr() const { return lr_; }
  void set_lr(double lr);  // ValueError below 0
  const Tensors& parameters() const { return parameters_; }

  // What a run must keep to go on with the same bits: "0.momentum_buffer" and the like, and the number of
  // "steps" that each parameter took. load_state throws ValueError where names, shapes or dtypes do not fit,
  // and changes nothing then.
  std::map<std::string, Tensor> state() const;
  void load_state(const std::map<std::string, Tensor>& state);

 protected:
  // Parameters must be contiguous and floating-point.
  Optimizer(Tensors parameters, double lr, std::vector<Slot> slots);

  // Updates `count` parameters, which all take step number `step` (1 is the first), or the ones of the clock
  // where there is one (ops/update.h). `state` holds the parameters and then each slot's tensors.
  virtual void update(const Tensors& state, const Tensors& gradients, int count, int64_t step,
                      const Tensor& clock) = 0;
  virtual ClockRow row(int64_t step) const { return clock_row(lr(), step); }

 private:
  void step_some(const Tensors& gradients, const std::vector<size_t>& which, int64_t step,
                 const Tensor& clock);
  void record_step(Capture& capture, const Tensors& gradients);

  Tensors parameters_;
  double lr_;
  std::vector<Slot> slot_kinds_;
  std::vector<Tensors> slots_;  // slot by slot, for each parameter
  std::vector<int64_t> steps_;  // that each parameter took
  std::vector<int64_t> ahead_;  // while a function is recorded: that it takes so far
};

// g = gradient + weight_decay w; without momentum w -= lr g. With momentum b = g at first, then b = momentum
// b + g; w -= lr b, or with Nesterov's form w -= lr (g + momentum b) (Sutskever et al. 2013, as in PyTorch).
struct SGDOptions {
  double lr = 1e-3, momentum = 0, weight_decay = 0;
  bool nesterov = false;
};
class SGD : public Optimizer {
 public:
  SGD(Tensors parameters, SGDOptions options);

 private:
  void update(const Tensors& state, const Tensors& gradients, int count, int64_t step,
              const Tensor& clock) override;
  SGDOptions options_;
};

// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, w -= lr m' / (sqrt(v') + eps) with
// m' = m / (1 - beta1^t), v' = v / (1 - beta2^t) in step t; g = gradient + weight_decay w (Kingma and Ba
// 2015).
struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};
class Adam : public Optimizer {
 public:
  Adam(Tensors parameters, AdamOptions options) : Adam(std::move(parameters), options, false) {}

 protected:
  Adam(Tensors parameters, AdamOptions options, bool decoupled);

 private:
  void update(const Tensors& state, const Tensors& gradients, int count, int64_t step,
              const Tensor& clock) override;
  ClockRow row(int64_t step) const override;
  AdamOptions options_;
  bool decoupled_;
};

// Adam whose weight decay does not go through the moments: first w -= lr weight_decay w (Loshchilov and
// Hutter 2019).
class AdamW : public Adam {
 public:
  AdamW(Tensors parameters, AdamOptions options = {.weight_decay = 1e-2})
      : Adam(std::move(parameters), options, true) {}
};

// v = alpha v + (1 - alpha) g^2, d = g / (sqrt(v) + eps), w -= lr d; with momentum b = momentum b + d, w -=
// lr b; g = gradient + weight_decay w (Tieleman and Hinton 2012, as in PyTorch).
struct RMSpropOptions {
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
};
class RMSprop : public Optimizer {
 public:
  RMSprop(Tensors parameters, RMSpropOptions options);

 private:
  void update(const Tensors& state, const Tensors& gradients, int count, int64_t step,
              const Tensor& clock) override;
  RMSpropOptions options_;
};

}  // namespace tidu::optim
