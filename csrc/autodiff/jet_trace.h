// Taylor mode: a trace that computes the power series of each call at once.
#pragma once

#include "core/trace.h"

namespace tidu {

// Tensors as functions of t: value + c_1 t + c_2 t^2 + .., up to an order.
class JetTrace : public Trace {
 public:
  explicit JetTrace(int order) : order_(order) {}

  void record(const Call& call, bool differentiable) override;
  void record_custom(CustomCall& call, bool differentiable) override;

  // c_1 .. c_order, undefined where zero; none where `tensor` does not depend on t.
  Tensors coefficients(const Tensor& tensor) const;
  void set_coefficients(const Tensor& tensor, Tensors coefficients);

 private:
  const int order_;
};

}  // namespace tidu
