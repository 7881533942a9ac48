// Calls that hold programs: functions recorded once, with all that they close over as further inputs.
//
// A rule of such a call is again one: its program is recorded from the derivative of the program that the
// call holds. What the programs close over and a trace knows is an input of the call, so every transform
// finds it.
#pragma once

#include <algorithm>

#include "core/bind.h"
#include "ops/shape.h"
#include "program/program.h"
#include "transforms/derivatives.h"
#include "transforms/linearity.h"
#include "transforms/lists.h"

namespace tidu {

// Everything that the programs close over and a trace knows becomes an input of each of them, after those
// that it has, and is appended to `captured`.
void capture(std::initializer_list<Program*> programs, Tensors& captured);

// As an attribute, without what is of no use.
ProgramField hold(Program program);

// The function for arguments of these specs, recorded unseen by other traces, before anything is captured.
Program record_unseen(const Function& function, Specs like);

// A program with a part of its inputs differentiated. Tangents and cotangents are aligned with inputs and
// outputs; an undefined one is zero. What is pulled back is of those inputs that are wanted and have
// derivatives; pull_reached leaves those undefined that no cotangent comes to.
Jvp push_program(const Program& program, const Tensors& inputs, const Tensors& tangents);
Tensors pull_program(const Program& program, const Tensors& inputs, const std::vector<bool>& wanted,
                     const Tensors& cotangents);
Tensors pull_reached(const Program& program, const Tensors& inputs, const std::vector<bool>& wanted,
                     const Tensors& cotangents);
// The outputs, and pull_reached for cotangents that come later.
Vjp differentiate(const Program& program, const Tensors& inputs, const std::vector<bool>& wanted);

// A GradientError where a constant was overwritten since the program was held: for rules that run it again.
void check_not_overwritten(const Program& program);

// The specs of a program's inputs or outputs from number `begin` on.
std::vector<Spec> specs_of(const Program& program, const std::vector<int>& variables, size_t begin,
                           size_t end);
// Which variables, or outputs, of a program depend on inputs of the set.
std::vector<bool> dependent_variables(const Program& program, const std::vector<bool>& inputs);
std::vector<bool> depends(const Program& program, const std::vector<bool>& inputs);
// Which of the carry of a loop with this body has a derivative by inputs of the set, those of the carry among
// them.
std::vector<bool> moving_carry(const Program& body, std::vector<bool> inputs, size_t carries);
// What checks of calls from files ask of a held program: inputs and outputs of these specs, and no writes.
void check_held(const SpecCall& call, const Program& program, const std::vector<Spec>& inputs,
                const std::vector<Spec>& outputs);
std::vector<Spec> specs_of(const SpecCall& call, size_t begin = 0);
std::vector<Spec> specs_of_outputs(const Program& program, size_t begin = 0);

void check_same_specs(const char* op, const char* what, const std::vector<Spec>& got,
                      const std::vector<Spec>& want);

// A program for the lanes of a call, where the inputs of `batched` and the outputs of `kept` have them.
Program in_lanes(const Program& program, const std::vector<bool>& batched, const std::vector<bool>& kept,
                 const BatchedCall& call);
// The outputs of the call, computed for one lane after the other: by a scan.
Tensors lane_by_lane(const BatchedCall& batched);
// Elements of lanes where the bool of the lane holds, else others.
Tensor choose(const Tensor& predicate, const Tensor& a, const Tensor& b);

// --- The call itself

Tensors bind_all(const Primitive& primitive, const Tensors& inputs, const Attrs& attrs, size_t outputs);

template <Tensors (*compute)(const Call&)> void evaluate(const Call& call) {
  std::ranges::copy(compute(call), call.outputs.begin());
}
// A result under an identity of its own, in memory of its own: a function may return an argument, or what it
// closes over, which must not be written to through the result.
Tensor own(const Tensor& result);
// Computes, unseen, where all inputs have values, and shows the call: where one has none, nothing says which
// way it goes.
template <Tensors (*compute)(const Call&)> void dispatch(const Call& call) {
  if (std::ranges::any_of(call.inputs, &Tensor::is_abstract)) {
    std::vector<Spec> specs(call.outputs.size());
    call.primitive.infer({call.primitive, call.inputs, call.attrs}, specs);
    for (size_t i = 0; i < specs.size(); ++i)
      call.outputs[i] = Tensor::unknown(specs[i].shape, specs[i].dtype, specs[i].device);
  } else {
    const VisibleTraces none(nullptr);
    const Tensors results = compute(call);
    for (size_t i = 0; i < results.size(); ++i) call.outputs[i] = own(results[i]);
  }
  show(call);
}

// How the inputs of a call lie, from number `begin` on; so many of them in row-major places.
std::vector<Strides> layouts_of(const Call& call, size_t begin, size_t row_major = 0);

// A rule that reads all inputs, and perhaps the outputs.
template <auto push, auto pull, Reads read> Custom rule() {
  return {.reads = [](Reads) -> Reads { return read; }, .jvp = push, .vjp = pull};
}

}  // namespace tidu
