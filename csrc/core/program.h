// A recorded computation: a linear list of primitive calls on numbered variables.
#pragma once

#include <string>

#include "core/primitive.h"

namespace tidu {

struct Program {
  struct Variable {
    Spec spec;
    Device device;
  };
  struct Instruction {
    const Primitive* primitive;
    Attrs attrs;
    std::vector<int> inputs, outputs;
    bool differentiable = true;  // false: recorded under GradMode(false)
  };
  struct Constant {
    int variable;
    Tensor value;
  };

  std::vector<Variable> variables;
  std::vector<int> inputs, outputs;
  std::vector<Constant> constants;  // values from outside the function
  std::vector<Instruction> instructions;

  // Runs the instructions through bind, so that live traces see them. Inputs must match in shape, dtype and
  // device.
  Tensors operator()(std::span<const Tensor> arguments) const;

  // One line an instruction: "c:float32(3,) = multiply a b".
  std::string to_string() const;
};

}  // namespace tidu
