// Transposing functions that are linear.
#include "transforms/transpose.h"

#include "autodiff/rules.h"
#include "core/bind.h"
#include "ops/creation.h"
#include "ops/shape.h"
#include "program/interpret.h"
#include "program/recorder.h"
#include "transforms/linearity.h"
#include "transforms/unchanged.h"

#include <algorithm>
#include <unordered_map>

namespace tidu {
namespace {

using Kinds = std::vector<Linearity>;

// The inputs that are of a kind.
InputSet which(const Program::Instruction& call, const Kinds& kinds, Linearity kind) {
  InputSet result;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (kinds[call.inputs[i]] == kind) result.add(i);
  }
  return result;
}

std::unordered_map<const Primitive*, TellLinearity>& tellers() {
  static std::unordered_map<const Primitive*, TellLinearity> all;
  return all;
}
bool tells_linearity(const Primitive& primitive) { return tellers().contains(&primitive); }

// Whether a call gives 0 where the inputs of `zero` (all that are, and those that are not there) are 0.
bool is_zero(const Program::Instruction& call, Reads zero) {
  const Primitive& primitive = *call.primitive;
  if (&primitive == &primitives::full) return call.attrs.as<FullAttrs>().value.bits == 0;
  Reads all = 0;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Reads one = input_bit(i) & zero;
    if (one && is_linear(primitive, one, zero)) return true;
    all |= one;
  }
  return all && is_linear(primitive, all, zero);
}

// Of the outputs of a call.
Kinds kinds_after(const Program::Instruction& call, const Kinds& kinds) {
  const Primitive& primitive = *call.primitive;
  const Reads moving = which(call, kinds, Linearity::linear), fixed = which(call, kinds, Linearity::fixed),
              zeros = kAllInputs & ~(fixed | moving);
  if (call.differentiable && tells_linearity(primitive)) {
    Kinds inputs;
    for (int variable : call.inputs) inputs.push_back(kinds[variable]);
    return tellers().at(&primitive)(call.attrs, inputs);
  }
  // Of inputs that share a bit some may move and others be fixed: in one sum, as they are terms alike.
  const bool is_affine = (moving & fixed) != 0;
  if (moving && (is_affine || !call.differentiable || !is_linear(primitive, moving, zeros)))
    throw NotLinearError(str("'", primitive.name, "' of them is not linear"));
  if (moving) return Kinds(call.outputs.size(), Linearity::linear);
  return Kinds(call.outputs.size(), is_zero(call, zeros) ? Linearity::zero : Linearity::fixed);
}

// Whether it can be told from what a call does whether it is linear. Not of a function with a rule of its
// own, which is no derivative of what it does.
bool can_be_opened(const Program::Instruction& call) {
  if (!call.differentiable || !call.primitive->evaluate ||
      std::holds_alternative<Zero>(call.primitive->derivative))
    return false;
  const std::vector<Attrs::Field> fields = call.attrs.fields();
  return std::ranges::any_of(fields, [](const Attrs::Field& field) {
    return std::holds_alternative<std::shared_ptr<const Program>>(field.second);
  });
}

// Calls that have to be opened, and why the last of them.
struct Opened {
  std::vector<bool> calls;
  std::string why;
};

// Of all variables. Calls that have to be opened are noted, where that may be.
Kinds kinds_of(const Program& program, const Kinds& inputs, Opened* opened) {
  Kinds kinds(program.variables.size());
  for (size_t i = 0; i < inputs.size(); ++i) kinds[program.inputs[i]] = inputs[i];
  for (const Program::Constant& constant : program.constants) {
    if (is_all(constant.value, 0)) kinds[constant.variable] = Linearity::zero;
  }
  for (size_t now = 0; now < program.instructions.size(); ++now) {
    const Program::Instruction& call = program.instructions[now];
    Kinds outputs;
    try {
      outputs = kinds_after(call, kinds);
    } catch (const NotLinearError& error) {
      if (!opened || !can_be_opened(call)) throw;
      opened->calls[now] = true;
      opened->why = error.what();
      outputs.assign(call.outputs.size(), Linearity::linear);
    }
    for (size_t i = 0; i < outputs.size(); ++i) kinds[call.outputs[i]] = outputs[i];
  }
  return kinds;
}

// Runs a program with some of its calls as what they do.
Tensors run_opened(const Program& program, const std::vector<bool>& opened, const Tensors& inputs) {
  return interpret(program, inputs, [&](size_t now, const Tensors& values) {
    const Program::Instruction& call = program.instructions[now];
    if (!opened[now]) return program.run(call, values);
    Tensors operands, results(call.outputs.size());
    for (int variable : call.inputs) operands.push_back(values[variable]);
    call.primitive->evaluate({*call.primitive, operands, call.attrs, results});
    return results;
  });
}

// A tensor of zeros that takes no memory.
Tensor zero_like(const Spec& spec) { return broadcast_to(zeros({}, spec.dtype, spec.device), spec.shape); }

}  // namespace

TellsLinearity::TellsLinearity(const Primitive& primitive, TellLinearity tell) {
  tellers().emplace(&primitive, tell);
}

Linearity either(Linearity a, Linearity b) {
  if (a == b || b == Linearity::zero) return a;
  if (a == Linearity::zero) return b;
  throw NotLinearError("a value that does not depend on them stands beside one that does");
}

std::vector<Linearity> linearity_of_variables(const Program& program, const std::vector<Linearity>& inputs) {
  return kinds_of(program, inputs, nullptr);
}

std::vector<Linearity> linearity_of(const Program& program, const std::vector<Linearity>& inputs) {
  const Kinds kinds = kinds_of(program, inputs, nullptr);
  Kinds outputs;
  for (int variable : program.outputs) outputs.push_back(kinds[variable]);
  return outputs;
}

Function transpose(const Function& linear, Specs like) {
  Program program;
  Tensors known;
  Kinds kinds;
  Opened opened;
  try {
    program = record(linear, like, Recorder::Fold::constants, &known);
    for (;;) {
      opened.calls.assign(program.instructions.size(), false);
      kinds = kinds_of(program, Kinds(like.size(), Linearity::linear), &opened);
      if (std::ranges::count(opened.calls, true) == 0) break;
      const Function of_opened = [&](const Tensors& x) { return run_opened(program, opened.calls, x); };
      program = record(of_opened, like, Recorder::Fold::constants, &known);
    }
  } catch (const TraceError& error) {
    // A call that is not linear as a whole was to be opened, and looks at a value.
    throw NotLinearError(opened.why.empty() ? error.what() : opened.why);
  }

  // What does not depend on the arguments has a value now. What does is of no matter, and 0 where a call that
  // holds programs is computed with it.
  Tensors values(program.variables.size());
  const auto is_moving = [&kinds](int variable) { return kinds[variable] == Linearity::linear; };
  for (size_t i = 0; i < values.size(); ++i) {
    const Spec& spec = program.variables[i];
    if (is_moving(static_cast<int>(i))) values[i] = Tensor::abstract(spec.shape, spec.dtype, spec.device);
  }
  for (const Program::Constant& constant : program.constants) values[constant.variable] = constant.value;
  for (const Program::Instruction& call : program.instructions) {
    if (tells_linearity(*call.primitive)) {
      for (const std::vector<int>* variables : {&call.inputs, &call.outputs}) {
        for (int variable : *variables) {
          if (is_moving(variable)) values[variable] = zero_like(program.variables[variable]);
        }
      }
    }
    if (!call.outputs.empty() && std::ranges::all_of(call.outputs, is_moving)) continue;
    if (!call.outputs.empty() &&
        std::ranges::all_of(call.outputs, [&](int variable) { return known[variable].defined(); })) {
      for (int variable : call.outputs) values[variable] = known[variable];
      continue;
    }
    const Tensors results = program.run(call, values);
    for (size_t i = 0; i < results.size(); ++i) {
      if (!is_moving(call.outputs[i])) values[call.outputs[i]] = results[i];
    }
  }

  Unchanged kept(program, known);
  return [program = std::move(program), kinds, values = std::move(values),
          kept = std::move(kept)](const Tensors& cotangents) {
    kept.check("backward");
    Tensors sums(program.variables.size());
    const auto add = [&](int variable, const Tensor& cotangent) {
      if (kinds[variable] == Linearity::linear) sums[variable] = accumulate(sums[variable], cotangent);
    };
    for (size_t i = 0; i < cotangents.size(); ++i) add(program.outputs[i], cotangents[i]);
    Tensors inputs, outputs, of_outputs;
    for (auto it = program.instructions.rbegin(); it != program.instructions.rend(); ++it) {
      inputs.clear();
      outputs.assign(it->outputs.size(), Tensor());
      of_outputs.clear();
      for (int variable : it->inputs) inputs.push_back(values[variable]);
      for (int variable : it->outputs) of_outputs.push_back(std::exchange(sums[variable], {}));
      if (std::ranges::none_of(of_outputs, &Tensor::defined)) continue;
      if (tells_linearity(*it->primitive)) {
        for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = values[it->outputs[i]];
      }
      const Tensors of_inputs = pull_call({*it->primitive, inputs, it->attrs, outputs}, of_outputs,
                                          which(*it, kinds, Linearity::linear));
      for (size_t i = 0; i < of_inputs.size(); ++i) add(it->inputs[i], of_inputs[i]);
    }
    Tensors result;
    for (int variable : program.inputs) result.push_back(sums[variable]);
    return result;
  };
}

namespace {

// The calls whose jvp is being transposed on this thread. What needs its own transpose for that would never
// get there.
class Underway {
 public:
  Underway(const Call& call, const InputSet& wanted, const std::vector<Spec>& moving)
      : call_(call), wanted_(wanted), moving_(moving), outer_(innermost) {
    for (const Underway* outer = outer_; outer; outer = outer->outer_) {
      if (!outer->is_like(*this)) continue;
      fail<GradientError>("[", call.primitive.name,
                          "] cannot be transposed: its rule has no vjp, and its jvp ", "calls '",
                          call.primitive.name, "' itself with tangents (give the rule a vjp)");
    }
    innermost = this;
  }
  ~Underway() { innermost = outer_; }
  Underway(const Underway&) = delete;

 private:
  bool is_like(const Underway& other) const {
    return &call_.primitive == &other.call_.primitive && wanted_ == other.wanted_ &&
           call_.attrs == other.call_.attrs && moving_ == other.moving_;
  }

  static thread_local const Underway* innermost;
  const Call& call_;
  const InputSet& wanted_;
  const std::vector<Spec>& moving_;  // of the inputs that are wanted
  const Underway* const outer_;
};
thread_local const Underway* Underway::innermost = nullptr;

Tensors transposed_jvp(const Call& call, const Custom& form, Cotangents cotangents, const InputSet& wanted) {
  std::vector<Spec> moving;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (wanted.has(i)) moving.push_back(call.inputs[i].spec());
  }
  const Underway underway(call, wanted, moving);
  const auto aligned = [&](const Tensors& tensors) {
    Tensors result(call.inputs.size());
    for (size_t i = 0, next = 0; i < result.size(); ++i) {
      if (wanted.has(i)) result[i] = tensors[next++];
    }
    return result;
  };
  // What moves no output is not there: the others are those of the program, and have the cotangents that
  // count.
  std::vector<bool> moves;
  const auto moved = [&](std::span<const Tensor> of_outputs) {
    Tensors result;
    for (size_t i = 0; i < of_outputs.size(); ++i) {
      if (moves[i]) result.push_back(of_outputs[i]);
    }
    return result;
  };
  const auto push = [&](const Tensors& tangents) {
    const Tensors of_outputs = form.jvp(call, aligned(tangents));
    moves.clear();
    for (const Tensor& tangent : of_outputs) moves.push_back(tangent.defined());
    return moved(of_outputs);
  };
  const Function pull = transpose(push, moving);
  return aligned(pull(moved(cotangents)));
}
[[maybe_unused]] const PullByJvp set = pull_by_jvp = transposed_jvp;

}  // namespace

}  // namespace tidu
