// Forward mode: a trace that computes the tangents of each call at once.
#pragma once

#include "core/trace.h"

namespace tidu {

class JvpTrace : public Trace {
 public:
  void record(const Call& call, bool differentiable) override;
  void record_custom(CustomCall& call, bool differentiable) override;

  // Undefined where `tensor` does not depend on the inputs.
  Tensor tangent(const Tensor& tensor) const;
  void set_tangent(const Tensor& tensor, const Tensor& tangent);
};

}  // namespace tidu
