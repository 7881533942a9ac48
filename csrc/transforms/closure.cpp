// Programs that are held by calls.
#include "transforms/closure.h"

#include <algorithm>

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "program/recorder.h"
#include "transforms/vmap.h"

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

ProgramField hold(Program program) {
  remove_unused(program);
  for (Program::Constant& constant : program.constants) {
    if (const auto& storage = constant.value.impl().storage; storage && !constant.version)
      constant.version = storage->version();
  }
  return {std::make_shared<const Program>(std::move(program))};
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

// Of what is to be differentiated, and has a derivative.
std::vector<size_t> places_of(const std::vector<bool>& wanted, const Tensors& inputs) {
  std::vector<size_t> places;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (wanted[i] && is_differentiable(inputs[i].dtype())) places.push_back(i);
  }
  return places;
}

}  // namespace

void check_not_overwritten(const Program& program) {
  for (const Program::Constant& constant : program.constants) {
    const auto& storage = constant.value.impl().storage;
    if (!constant.version || !storage || storage->version() == *constant.version) continue;
    fail<GradientError>(
        "a tensor that a function closes over, ", describe(constant.value),
        ", was overwritten in place since the function was called, and its derivative needs what "
        "it was (write to a copy)");
  }
}

Jvp push_program(const Program& program, const Tensors& inputs, const Tensors& tangents) {
  std::vector<size_t> moving;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (tangents[i].defined() && is_differentiable(inputs[i].dtype())) moving.push_back(i);
  }
  return jvp(of_some(program, inputs, moving), picked(inputs, moving), picked(tangents, moving));
}

Tensors pull_program(const Program& program, const Tensors& inputs, const std::vector<bool>& wanted,
                     const Tensors& cotangents) {
  Tensors result = pull_reached(program, inputs, wanted, cotangents);
  const std::vector<size_t> moving = places_of(wanted, inputs);
  for (size_t k = 0; k < moving.size(); ++k) {
    const Tensor& input = inputs[moving[k]];
    if (!result[k].defined()) result[k] = zeros(input.shape(), input.dtype(), input.device());
  }
  return result;
}

Tensors pull_reached(const Program& program, const Tensors& inputs, const std::vector<bool>& wanted,
                     const Tensors& cotangents) {
  check_not_overwritten(program);
  const std::vector<size_t> moving = places_of(wanted, inputs);
  return pull(of_some(program, inputs, moving), picked(inputs, moving), cotangents);
}

Vjp differentiate(const Program& program, const Tensors& inputs, const std::vector<bool>& wanted) {
  check_not_overwritten(program);
  const std::vector<size_t> moving = places_of(wanted, inputs);
  return vjp_where_reached(of_some(program, inputs, moving), picked(inputs, moving));
}

std::vector<Spec> specs_of(const Program& program, const std::vector<int>& variables, size_t begin,
                           size_t end) {
  std::vector<Spec> specs;
  for (size_t i = begin; i < end; ++i) specs.push_back(program.variables[variables[i]]);
  return specs;
}

std::vector<Spec> specs_of(const SpecCall& call, size_t begin) {
  std::vector<Spec> specs;
  for (size_t i = begin; i < call.inputs.size(); ++i) specs.push_back(call.inputs[i]);
  return specs;
}

std::vector<Spec> specs_of_outputs(const Program& program, size_t begin) {
  return specs_of(program, program.outputs, begin, program.outputs.size());
}

void check_held(const SpecCall& call, const Program& program, const std::vector<Spec>& inputs,
                const std::vector<Spec>& outputs) {
  require(specs_of(program, program.inputs, 0, program.inputs.size()) == inputs &&
              specs_of_outputs(program) == outputs,
          call, "the program that it holds has other inputs or outputs");
  require(program.writes.empty(), call, "the program that it holds overwrites its inputs");
}

std::vector<bool> dependent_variables(const Program& program, const std::vector<bool>& inputs) {
  std::vector<bool> moves(program.variables.size());
  for (size_t i = 0; i < inputs.size(); ++i) moves[program.inputs[i]] = inputs[i];
  for (const Program::Instruction& call : program.instructions) {
    const bool any = std::ranges::any_of(call.inputs, [&](int variable) { return moves[variable]; });
    for (int variable : call.outputs) moves[variable] = any;
  }
  return moves;
}

std::vector<bool> depends(const Program& program, const std::vector<bool>& inputs) {
  const std::vector<bool> moves = dependent_variables(program, inputs);
  std::vector<bool> result;
  for (int variable : program.outputs) result.push_back(moves[variable]);
  return result;
}

std::vector<bool> moving_carry(const Program& body, std::vector<bool> inputs, size_t carries) {
  return settled(part(inputs, 0, carries), [&](const std::vector<bool>& now) {
    std::copy(now.begin(), now.end(), inputs.begin());
    std::vector<bool> after = part(depends(body, inputs), 0, carries);
    for (size_t i = 0; i < carries; ++i)
      after[i] = after[i] && is_differentiable(body.variables[body.outputs[i]].dtype);
    return after;
  });
}

Program in_lanes(const Program& program, const std::vector<bool>& batched, const std::vector<bool>& kept,
                 const BatchedCall& call) {
  std::vector<Spec> specs;
  for (size_t i = 0; i < batched.size(); ++i) {
    const Spec& spec = program.variables[program.inputs[i]];
    specs.push_back(batched[i] ? times(spec, call.size) : spec);
  }
  return record_unseen(
      [&](const Tensors& inputs) {
        std::vector<Lanes> lanes;
        for (size_t i = 0; i < inputs.size(); ++i)
          lanes.push_back({batched[i] ? Lanes::apart : Lanes::shared, inputs[i]});
        const LaneRun run(call.size, 0, call.control);
        const std::vector<Lanes> results = run(program, lanes);
        Tensors outputs;
        for (size_t i = 0; i < kept.size(); ++i)
          outputs.push_back(kept[i] ? run.apart(results[i], program.variables[program.outputs[i]])
                                    : results[i].value);
        return outputs;
      },
      specs);
}

void check_same_specs(const char* op, const char* what, const std::vector<Spec>& got,
                      const std::vector<Spec>& want) {
  if (got.size() != want.size())
    fail<ValueError>("[", op, "] ", what, " has ", got.size(), " tensors but must have ", want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i]) continue;
    fail<ShapeError>("[", op, "] ", what, " ", i, " is ", got[i], " but must be ", want[i],
                     " (use reshape or astype)");
  }
}

Tensor choose(const Tensor& predicate, const Tensor& a, const Tensor& b) {
  Shape shape(a.ndim(), 1);
  shape[0] = predicate.size(0);
  return where(reshape(predicate, shape), a, b);
}

Tensor own(const Tensor& result) {
  const auto& storage = result.impl().storage;
  const bool is_shared = storage && (storage->use_count() > 1 || result.impl().use_count() > 1);
  return is_shared ? copy(result) : alias(result);
}

std::vector<Strides> layouts_of(const Call& call, size_t begin, size_t row_major) {
  std::vector<Strides> layouts;
  for (size_t i = begin; i < call.inputs.size(); ++i)
    layouts.push_back(i < begin + row_major ? contiguous_strides(call.inputs[i].shape())
                                            : call.inputs[i].strides());
  return layouts;
}

Tensors bind_all(const Primitive& primitive, const Tensors& inputs, const Attrs& attrs, size_t outputs) {
  Tensors result(outputs);
  tidu::bind(primitive, inputs, attrs, result);
  return result;
}

}  // namespace tidu
