// Functions that reverse mode computes a second time, as calls that hold their programs.
#include "transforms/control.h"

#include "transforms/closure.h"

namespace tidu {
namespace {

struct CheckpointAttrs {
  ProgramField program;
  void fields(auto&& field) const { field("program", program); }
};

void infer_checkpoint(const SpecCall& call, std::span<Spec> outputs) {
  const Program& program = *call.attrs.as<CheckpointAttrs>().program;
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = program.variables[program.outputs[i]];
}

Tensors run_checkpoint(const Call& call) { return (*call.attrs.as<CheckpointAttrs>().program)(call.inputs); }

Tensors push_checkpoint(const Call& call, Tangents tangents) {
  const Program& program = *call.attrs.as<CheckpointAttrs>().program;
  Jvp pushed = push_program(program, list(call.inputs), list(tangents));
  for (size_t i = 0; i < pushed.outputs.size(); ++i) {
    if (!is_differentiable(pushed.outputs[i].dtype())) pushed.tangents[i] = {};
  }
  return std::move(pushed.tangents);
}

Tensors pull_checkpoint(const Call& call, Cotangents cotangents, Reads wanted_bits) {
  const Program& program = *call.attrs.as<CheckpointAttrs>().program;
  std::vector<bool> wanted;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    wanted.push_back(is_differentiable(call.inputs[i].dtype()) && (wanted_bits & input_bit(i)));
  return spread(pull_program(program, list(call.inputs), wanted, list(cotangents)).cotangents, wanted);
}

Tensors batch_checkpoint(const BatchedCall& batched) {
  const Program& program = *batched.call.attrs.as<CheckpointAttrs>().program;
  const std::vector<bool> all(batched.call.outputs.size(), true);
  return bind_all(primitives::checkpoint, list(batched.call.inputs),
                  CheckpointAttrs{hold(in_lanes(program, batched.batched, all, batched.size))}, all.size());
}

}  // namespace

Primitive primitives::checkpoint("checkpoint",
                                 {.batching = batch_checkpoint,
                                  .infer = infer_checkpoint,
                                  .derivative = rule<push_checkpoint, pull_checkpoint, kAllInputs>(),
                                  .evaluate = evaluate<run_checkpoint>,
                                  .dispatch = dispatch<run_checkpoint>,
                                  .num_outputs = kAnyNumber});

Tensors checkpoint(const Function& function, const Tensors& arguments) {
  Program program = record_unseen(function, specs_of(arguments));
  if (!program.writes.empty()) fail<ValueError>("[checkpoint] the function overwrites an argument");
  Tensors inputs = arguments, captured;
  capture({&program}, captured);
  append(inputs, captured);
  const CheckpointAttrs attrs{hold(std::move(program))};
  return bind_all(primitives::checkpoint, inputs, attrs, attrs.program->outputs.size());
}

}  // namespace tidu
