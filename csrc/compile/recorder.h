// Recording a function as a program.
#pragma once

#include <functional>
#include <unordered_map>

#include "core/program.h"
#include "core/trace.h"

namespace tidu {

// Writes each call that depends on its inputs into a program. Calls on outside values alone are computed at
// once, and what the program uses of them becomes a constant.
class Recorder : public Trace {
 public:
  void record(const Call& call, bool differentiable) override;
  bool differentiates() const override { return false; }

  Tensor add_input(const Spec& spec, Device device);
  Program finish(std::span<const Tensor> outputs);

 private:
  int variable_of(const Tensor& tensor);
  int new_variable(const Tensor& tensor);

  Program program_;
  std::unordered_map<const TensorImpl*, int> constants_;  // kept alive by program_.constants
};

// The program of `function` for arguments like those given, whose values are not looked at: reading one
// inside is a TraceError.
Program record(const std::function<Tensors(const Tensors&)>& function, std::span<const Tensor> like);

}  // namespace tidu
