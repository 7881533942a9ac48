// What is minimised: a function of one vector, the elements of tensors joined.
#pragma once

#include <cmath>

#include "optim/domain.h"
#include "optim/minimize.h"

namespace tidu::optim {

// A point with the value and the gradient of the objective there.
struct Sample {
  Tensor x;
  double value = 0;
  Tensor gradient;
  double gradient_norm = 0;

  bool is_finite() const { return std::isfinite(value) && std::isfinite(gradient_norm); }
};

class Objective : public Domain {
 public:
  virtual ~Objective() = default;

  Sample evaluate(const Tensor& x);
  // The Hessian at a sample times a vector.
  Tensor hvp(const Sample& at, const Tensor& vector);

  // f(b) - f(a). Where rounding drowns the difference of the values, it comes from the slopes at a and b
  // along b - a by the trapezoidal rule, as in Hager and Zhang, A new conjugate gradient method with
  // guaranteed descent and an efficient line search (2005), section 4.
  double change(const Sample& a, const Sample& b) const;
  double change(const Sample& a, const Sample& b, double slope_at_a, double slope_at_b) const;

  int64_t f_evaluations() const { return f_evaluations_; }
  int64_t hvp_evaluations() const { return hvp_evaluations_; }
  // The finite sample of the least value.
  const std::optional<Sample>& best() const { return best_; }

 protected:
  explicit Objective(Tensors leaves) : Domain(std::move(leaves)) {}

 private:
  // The value and the gradients by the tensors at a vector, and the Hessian at a sample times a direction.
  virtual ValueAndGrad value_and_gradients(const Tensor& x) = 0;
  virtual Tensors product(const Sample& at, const Tensors& direction) = 0;

  bool is_drowned(double difference, const Sample& a, const Sample& b) const;

  int64_t f_evaluations_ = 0, hvp_evaluations_ = 0;
  std::optional<Sample> best_;
};

// A scalar function of tensors.
class FunctionObjective : public Objective {
 public:
  FunctionObjective(const ScalarFunction& function, const Tensors& primals);

 private:
  ValueAndGrad value_and_gradients(const Tensor& x) override;
  Tensors product(const Sample& at, const Tensors& direction) override;

  const ScalarFunction& function_;
  bool is_hidden_ =
      false;  // from the tape of backward(), which alone differentiates what function closes over
};

// The loss that a closure returns for the present values of parameters; `twice`: with products of its
// Hessian. `op` is named in errors.
class LossObjective : public Objective {
 public:
  LossObjective(Tensors parameters, const Closure& closure, std::string op, bool twice);

  // Writes tensors into the parameters, and drops their gradients.
  void put(const Tensors& parts);
  // The first value, undefined before.
  const Tensor& first_loss() const { return first_loss_; }

 private:
  ValueAndGrad value_and_gradients(const Tensor& x) override;
  Tensors product(const Sample& at, const Tensors& direction) override;
  Tensors gradients() const;

  const Closure& closure_;
  std::string op_;
  bool twice_;
  Tensor first_loss_;
  Tensor graph_at_;  // the vector at which the gradients' graph is alive, undefined where none is
  Tensors graph_;    // these gradients, undefined where there is none
};

}  // namespace tidu::optim
