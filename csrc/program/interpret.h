// Running a program call by call, some calls otherwise than as they are.
#pragma once

#include "program/program.h"

namespace tidu {

// The outputs, where run(number, values) gives the results of instruction `number`.
template <class Run> Tensors interpret(const Program& program, const Tensors& inputs, const Run& run) {
  Tensors values(program.variables.size());
  for (size_t i = 0; i < inputs.size(); ++i) values[program.inputs[i]] = inputs[i];
  for (const Program::Constant& constant : program.constants) values[constant.variable] = constant.value;
  for (size_t now = 0; now < program.instructions.size(); ++now) {
    const Tensors results = run(now, values);
    for (size_t i = 0; i < results.size(); ++i) values[program.instructions[now].outputs[i]] = results[i];
  }
  Tensors outputs;
  for (int variable : program.outputs) outputs.push_back(values[variable]);
  return outputs;
}

}  // namespace tidu
