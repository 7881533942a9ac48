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
  std::vector<bool> closed;  // calls that hold programs, of which it is not known whether they are linear

  Kinds() = default;
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
  // Not a function with a rule of its own, which is no derivative of what it does.
  static bool can_be_opened(const Program::Instruction& instruction) {
    if (!instruction.primitive->evaluate || std::holds_alternative<Zero>(instruction.primitive->derivative))
      return false;
    const std::vector<Attrs::Field> fields = instruction.attrs.fields();
    return std::ranges::any_of(fields, [](const Attrs::Field& field) {
      return std::holds_alternative<std::shared_ptr<const Program>>(field.second);
    });
  }

  void add(const Program::Instruction& instruction) {
    const Primitive& primitive = *instruction.primitive;
    const Reads moves = moving_inputs(instruction);
    Reads zeros = kAllInputs;
    for (size_t i = 0; i < instruction.inputs.size(); ++i) {
      if (!zero[instruction.inputs[i]]) zeros &= ~input_bit(i);
    }
    closed.push_back(false);
    if (moves && !(instruction.differentiable && is_linear(primitive, moves, zeros))) {
      closed.back() = instruction.differentiable && can_be_opened(instruction);
      if (!closed.back()) throw NotLinearError(str("'", primitive.name, "' of them is not linear"));
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

// Runs a program with some of its calls as what they do.
Tensors run_opened(const Program& program, const std::vector<bool>& opened, const Tensors& inputs) {
  Tensors values(program.variables.size());
  for (size_t i = 0; i < inputs.size(); ++i) values[program.inputs[i]] = inputs[i];
  for (const Program::Constant& constant : program.constants) values[constant.variable] = constant.value;
  for (size_t now = 0; now < program.instructions.size(); ++now) {
    const Program::Instruction& call = program.instructions[now];
    Tensors results(call.outputs.size());
    if (opened[now]) {
      Tensors operands;
      for (int variable : call.inputs) operands.push_back(values[variable]);
      call.primitive->evaluate({*call.primitive, operands, call.attrs, results});
    } else {
      results = program.run(call, values);
    }
    for (size_t i = 0; i < results.size(); ++i) values[call.outputs[i]] = results[i];
  }
  Tensors outputs;
  for (int variable : program.outputs) outputs.push_back(values[variable]);
  return outputs;
}

}  // namespace

Function transpose(const Function& linear, Specs like) {
  Program program;
  Kinds kinds;
  try {
    program = record(linear, like, Recorder::Fold::constants);
    for (kinds = Kinds(program); std::ranges::count(kinds.closed, true) > 0; kinds = Kinds(program)) {
      const Function opened = [&](const Tensors& x) { return run_opened(program, kinds.closed, x); };
      program = record(opened, like, Recorder::Fold::constants);
    }
  } catch (const TraceError& error) { throw NotLinearError(error.what()); }

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
