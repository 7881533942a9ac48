// Running programs on abstract tensors.
#include "compile/outline.h"

#include <algorithm>

#include "core/trace.h"

namespace tidu {

Tensor outline_of(const Tensor& value) {
  return Tensor::unknown(value.shape(), value.dtype(), value.device())
      .view(value.shape(), value.strides(), value.impl().offset);
}

Tensors outline(const Program& program, const Program::Instruction& call, std::span<const Tensor> values) {
  const VisibleTraces none(nullptr);
  if (!call.inputs.empty()) return program.run(call, values);
  Tensors created;
  for (int variable : call.outputs) {
    const Spec& spec = program.variables[variable];
    created.push_back(Tensor::unknown(spec.shape, spec.dtype, spec.device));
  }
  return created;
}

Tensor outline_of_input(const Program& program, size_t input, Layouts layouts) {
  const Spec& spec = program.variables[program.inputs[input]];
  const Tensor row_major = Tensor::unknown(spec.shape, spec.dtype, spec.device);
  return layouts.empty() ? row_major : row_major.view(spec.shape, layouts[input], 0);
}

Tensors outline(const Program& program, Layouts layouts) {
  Tensors values(program.variables.size());
  for (size_t i = 0; i < program.inputs.size(); ++i)
    values[program.inputs[i]] = outline_of_input(program, i, layouts);
  for (const Program::Constant& constant : program.constants)
    values[constant.variable] = outline_of(constant.value);
  for (const Program::Instruction& call : program.instructions) {
    const Tensors results = outline(program, call, values);
    for (size_t i = 0; i < results.size(); ++i) values[call.outputs[i]] = results[i];
  }
  return values;
}

bool is_view(const Program::Instruction& call, std::span<const Tensor> values) {
  return call.primitive->view &&
         values[call.outputs[0]].impl().storage == values[call.inputs[0]].impl().storage;
}

bool has_complex(const Program::Instruction& call, std::span<const Tensor> values) {
  const auto is_complex_value = [&](int variable) { return is_complex(values[variable].dtype()); };
  return std::ranges::any_of(call.inputs, is_complex_value) ||
         std::ranges::any_of(call.outputs, is_complex_value);
}

}  // namespace tidu
