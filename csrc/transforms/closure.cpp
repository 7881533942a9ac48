// Programs that are held by calls.
#include "transforms/closure.h"

#include <algorithm>

#include "core/recorder.h"

namespace tidu {

void capture(std::initializer_list<Program*> programs, Tensors& captured) {
  for (const Program* program : programs) {
    for (const Program::Constant& constant : program->constants) {
      const bool is_new = std::ranges::none_of(
          captured, [&](const Tensor& tensor) { return tensor.is_same(constant.value); });
      if (constant.value.impl().links && is_new) captured.push_back(constant.value);
    }
  }
  for (Program* program : programs) {
    for (const Tensor& tensor : captured) {
      const auto found = std::ranges::find_if(
          program->constants, [&](const auto& constant) { return constant.value.is_same(tensor); });
      if (found != program->constants.end()) {
        program->inputs.push_back(found->variable);
        program->constants.erase(found);
      } else {
        program->inputs.push_back(static_cast<int>(program->variables.size()));
        program->variables.push_back(tensor.spec());
      }
    }
  }
}

std::shared_ptr<const Program> shared(Program program) {
  remove_unused(program);
  return std::make_shared<const Program>(std::move(program));
}

Program record_unseen(const Function& function, Specs like) {
  const VisibleTraces none(nullptr);
  return record(function, like);
}

namespace {

// The program as a function of the inputs number `moving` alone.
Function of_some(const Program& program, const Tensors& inputs, const std::vector<size_t>& moving) {
  return [&program, inputs, moving](const Tensors& some) {
    Tensors all = inputs;
    for (size_t i = 0; i < moving.size(); ++i) all[moving[i]] = some[i];
    return program(all);
  };
}

Tensors picked(const Tensors& tensors, const std::vector<size_t>& places) {
  Tensors result;
  for (size_t place : places) result.push_back(tensors[place]);
  return result;
}

}  // namespace

Jvp push_program(const Program& program, const Tensors& inputs, const Tensors& tangents) {
  std::vector<size_t> moving;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (tangents[i].defined() && is_differentiable(inputs[i].dtype())) moving.push_back(i);
  }
  return jvp(of_some(program, inputs, moving), picked(inputs, moving), picked(tangents, moving));
}

Pulled pull_program(const Program& program, const Tensors& inputs, const std::vector<bool>& wanted,
                    const Tensors& cotangents) {
  std::vector<size_t> moving;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (wanted[i] && is_differentiable(inputs[i].dtype())) moving.push_back(i);
  }
  const Vjp at_inputs = vjp(of_some(program, inputs, moving), picked(inputs, moving));
  return {at_inputs.outputs, at_inputs.pullback(cotangents)};
}

}  // namespace tidu
