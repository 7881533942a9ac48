// Transposing functions that are linear.
#include "autodiff/transpose.h"

#include "autodiff/rules.h"
#include "core/bind.h"
#include "core/recorder.h"
#include "ops/creation.h"

#include <algorithm>

namespace tidu {
namespace {

// Which variables depend on the arguments, of which the program must be a linear function, and which are 0.
struct Kinds {
  std::vector<bool> moving, zero;

  explicit Kinds(const Program& program) : moving(program.variables.size()), zero(program.variables.size()) {
    for (int variable : program.inputs) moving[variable] = true;
    for (const Program::Constant& constant : program.constants)
      zero[constant.variable] = is_all(constant.value, 0);
    for (const Program::Instruction& instruction : program.instructions) add(instruction);
  }

  Reads moving_inputs(const Program::Instruction& instruction) const {
    Reads result = 0;
    for (size_t i = 0; i < instruction.inputs.size(); ++i) {
      if (moving[instruction.inputs[i]]) result |= input_bit(i);
    }
    return result;
  }

 private:
  void add(const Program::Instruction& instruction) {
    const Primitive& primitive = *instruction.primitive;
    const Reads moves = moving_inputs(instruction);
    Reads zeros = kAllInputs;
    for (size_t i = 0; i < instruction.inputs.size(); ++i) {
      if (!zero[instruction.inputs[i]]) zeros &= ~input_bit(i);
    }
    if (moves && !(instruction.differentiable && is_linear(primitive, moves, zeros))) {
      throw NotLinearError(str("'", primitive.name, "' of them is not linear"));
    }
    const auto* linear = std::get_if<Linear>(&primitive.derivative);
    const bool is_zero =
        (&primitive == &primitives::full && instruction.attrs.as<FullAttrs>().value.bits == 0) ||
        (linear && !instruction.inputs.empty() && (linear->linear & ~zeros) == 0);
    for (int output : instruction.outputs) {
      moving[output] = moves != 0;
      zero[output] = is_zero;
    }
  }
};

}  // namespace

Function transpose(const Function& linear, Specs like) {
  Program program;
  try {
    program = record(linear, like, Recorder::Fold::constants);
  } catch (const TraceError& error) { throw NotLinearError(error.what()); }
  const Kinds kinds(program);

  // What does not depend on the arguments has a value now.
  Tensors values(program.variables.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const Spec& spec = program.variables[i];
    if (kinds.moving[i]) values[i] = Tensor::abstract(spec.shape, spec.dtype, spec.device);
  }
  for (const Program::Constant& constant : program.constants) values[constant.variable] = constant.value;
  for (const Program::Instruction& instruction : program.instructions) {
    if (kinds.moving_inputs(instruction)) continue;
    const Tensors results = program.run(instruction, values);
    for (size_t i = 0; i < results.size(); ++i) values[instruction.outputs[i]] = results[i];
  }

  return [program = std::move(program), kinds, values = std::move(values)](const Tensors& cotangents) {
    Tensors sums(program.variables.size());
    const auto add = [&](int variable, const Tensor& cotangent) {
      if (kinds.moving[variable]) sums[variable] = accumulate(sums[variable], cotangent);
    };
    for (size_t i = 0; i < cotangents.size(); ++i) add(program.outputs[i], cotangents[i]);
    Tensors inputs, outputs, of_outputs;
    for (auto it = program.instructions.rbegin(); it != program.instructions.rend(); ++it) {
      inputs.clear();
      of_outputs.clear();
      for (int variable : it->inputs) inputs.push_back(values[variable]);
      for (int variable : it->outputs) of_outputs.push_back(std::exchange(sums[variable], {}));
      if (std::ranges::none_of(of_outputs, &Tensor::defined)) continue;
      outputs.assign(it->outputs.size(), Tensor());
      const Tensors of_inputs =
          pull_call({*it->primitive, inputs, it->attrs, outputs}, of_outputs, kinds.moving_inputs(*it));
      for (size_t i = 0; i < of_inputs.size(); ++i) add(it->inputs[i], of_inputs[i]);
    }
    Tensors result;
    for (int variable : program.inputs) result.push_back(sums[variable]);
    return result;
  };
}

}  // namespace tidu
