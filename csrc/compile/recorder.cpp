// Recording a function as a program.
#include "compile/recorder.h"

#include <algorithm>

namespace tidu {

int Recorder::new_variable(const Tensor& tensor) {
  program_.variables.push_back({{tensor.shape(), tensor.dtype()}, tensor.device()});
  return static_cast<int>(program_.variables.size()) - 1;
}

int Recorder::variable_of(const Tensor& tensor) {
  if (const Link* link = tensor.impl().link(id())) return link->index;
  const auto [found, inserted] = constants_.try_emplace(&tensor.impl(), 0);
  if (inserted) {
    found->second = new_variable(tensor);
    program_.constants.push_back({found->second, tensor});
  }
  return found->second;
}

Tensor Recorder::add_input(const Spec& spec, Device device) {
  const Tensor input = Tensor::abstract(spec.shape, spec.dtype, device);
  const int variable = new_variable(input);
  program_.inputs.push_back(variable);
  set_link(input, id(), {}, variable);
  return input;
}

void Recorder::record(const Call& call, bool differentiable) {
  if (std::ranges::none_of(call.inputs,
                           [&](const Tensor& input) { return input.impl().link(id()) != nullptr; }))
    return;
  Program::Instruction instruction{&call.primitive, call.attrs, {}, {}, differentiable};
  for (const Tensor& input : call.inputs) instruction.inputs.push_back(variable_of(input));
  for (const Tensor& output : call.outputs) {
    const int variable = new_variable(output);
    instruction.outputs.push_back(variable);
    set_link(output, id(), {}, variable);
  }
  program_.instructions.push_back(std::move(instruction));
}

Program Recorder::finish(std::span<const Tensor> outputs) {
  for (const Tensor& output : outputs) program_.outputs.push_back(variable_of(output));
  constants_.clear();
  return std::move(program_);
}

Program record(const std::function<Tensors(const Tensors&)>& function, std::span<const Tensor> like) {
  Recorder recorder;
  Tensors inputs;
  for (const Tensor& tensor : like)
    inputs.push_back(recorder.add_input({tensor.shape(), tensor.dtype()}, tensor.device()));
  Tensors outputs;
  {
    const LiveTrace live(recorder);
    outputs = function(inputs);
  }
  return recorder.finish(outputs);
}

}  // namespace tidu
