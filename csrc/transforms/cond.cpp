// Branches as calls that hold the programs of both.
#include "transforms/control.h"

#include "compile/count.h"
#include "compile/executable.h"
#include "compile/simplify.h"
#include "ops/creation.h"
#include "transforms/closure.h"
#include "transforms/transpose.h"

namespace tidu {
namespace {

void infer_cond(const SpecCall& call, std::span<Spec> outputs) {
  const Program& program = *call.attrs.as<CondAttrs>().on_true;
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = program.variables[program.outputs[i]];
}

void check_cond(const SpecCall& call, size_t num_outputs) {
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const std::vector<Spec> operands = specs_of(call, 1), outputs = specs_of_outputs(*on_true);
  check_held(call, *on_true, operands, outputs);
  check_held(call, *on_false, operands, outputs);
  require(num_outputs == outputs.size(), call, "it has another number of results");
  require(call.inputs[0].shape.empty() && call.inputs[0].dtype == DType::bool_, call,
          "the predicate is a bool of shape ()");
}

Tensors run_cond(const Call& call) {
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const ProgramField& taken = item<bool>(call.inputs[0]) ? on_true : on_false;
  return (*taken)(call.inputs.subspan(1));
}

// Branches as executables.
class PreparedCond {
 public:
  PreparedCond(const Call& call, const Passes& passes)
      : on_true_(*call.attrs.as<CondAttrs>().on_true, layouts_of(call, 1), passes),
        on_false_(*call.attrs.as<CondAttrs>().on_false, layouts_of(call, 1), passes) {}

  int64_t bytes() const { return std::max(on_true_.arena_bytes(), on_false_.arena_bytes()); }
  std::string explain() const {
    return str("if true ", on_true_.explain_run(), "else ", on_false_.explain_run());
  }

  // The calls in one memory.
  class Run {
   public:
    Run(std::shared_ptr<const PreparedCond> branches, const Tensor& memory)
        : branches_(std::move(branches)),
          memory_(memory),
          on_true_(branches_->on_true_, memory),
          on_false_(branches_->on_false_, memory) {}

    void operator()(std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
      ready(inputs), ready(outputs), ready({&memory_, 1});
      std::vector<void*> from, to;
      for (const Tensor& input : inputs.subspan(1)) from.push_back(input.raw_data());
      for (const Tensor& output : outputs) to.push_back(output.raw_data());
      (item<bool>(inputs[0]) ? on_true_ : on_false_)(from, to);
    }

   private:
    const std::shared_ptr<const PreparedCond> branches_;
    const Tensor memory_;
    Executable::Body on_true_, on_false_;
  };

 private:
  const Executable on_true_, on_false_;
};
const PreparesCall prepared_branches(primitives::cond, prepared<PreparedCond>);

// Of the dearer branch.
Flops cond_flops(const SpecCall& call, std::span<const Spec>) {
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const Flops a = cost_of(simplify(*on_true)).flops, b = cost_of(simplify(*on_false)).flops;
  return a.total() < b.total() ? b : a;
}

// A branch each from the derivative of each.
template <class Derive> Tensors branch_on(const Call& call, const Tensors& operands, const Derive& derive) {
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const std::vector<Spec> specs = specs_of(operands);
  const auto derived = [&](const Program& program) {
    return hold(record_unseen([&](const Tensors& at) { return derive(program, at); }, specs));
  };
  const CondAttrs attrs{derived(*on_true), derived(*on_false)};
  Tensors inputs{call.inputs[0]};
  append(inputs, operands);
  return bind_all(primitives::cond, inputs, attrs, attrs.on_true->outputs.size());
}

// (inputs.., tangents..) -> tangents of the outputs that have one.
Tensors tangents_of(const Program& program, const Tensors& at, const std::vector<bool>& moving) {
  const Jvp pushed = push_program(program, part(at, 0, moving.size()), spread(at, moving, moving.size()));
  Tensors outputs;
  for (size_t i = 0; i < pushed.outputs.size(); ++i) {
    if (is_differentiable(pushed.outputs[i].dtype())) outputs.push_back(pushed.tangents[i]);
  }
  return outputs;
}

Tensors push_cond(const Call& call, Tangents given) {
  const Tensors tangents = from(list(given), 1);
  const std::vector<bool> moving = which_defined(tangents);
  Tensors operands = list(call.inputs.subspan(1));
  append(operands, defined_of(tangents));
  const Tensors pushed = branch_on(call, operands, [&](const Program& program, const Tensors& at) {
    return tangents_of(program, at, moving);
  });
  return spread(pushed, which_float(list(call.outputs)));
}

Tensors pull_cond(const Call& call, Cotangents given, const InputSet& asked) {
  std::vector<bool> wanted;
  for (size_t i = 1; i < call.inputs.size(); ++i)
    wanted.push_back(is_differentiable(call.inputs[i].dtype()) && asked.has(i));
  const Tensors cotangents = list(given);
  const std::vector<bool> has = which_defined(cotangents);
  Tensors operands = list(call.inputs.subspan(1));
  append(operands, defined_of(cotangents));
  const Tensors pulled = branch_on(call, operands, [&](const Program& program, const Tensors& at) {
    return pull_program(program, part(at, 0, wanted.size()), wanted, spread(at, has, wanted.size()));
  });
  Tensors result{Tensor()};
  append(result, spread(pulled, wanted));
  return result;
}

std::vector<Linearity> cond_linearity(const Attrs& attrs, const std::vector<Linearity>& inputs) {
  const auto& [on_true, on_false] = attrs.as<CondAttrs>();
  if (inputs[0] == Linearity::linear) throw NotLinearError("a branch that depends on them is not linear");
  std::vector<Linearity> result = linearity_of(*on_true, from(inputs, 1));
  const std::vector<Linearity> others = linearity_of(*on_false, from(inputs, 1));
  for (size_t i = 0; i < result.size(); ++i) result[i] = either(result[i], others[i]);
  return result;
}

Tensors batch_cond(const BatchedCall& batched) {
  const Call& call = batched.call;
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const std::vector<bool> flags = from(batched.batched, 1), kept(call.outputs.size(), true);
  const Program if_true = in_lanes(*on_true, flags, kept, batched),
                if_false = in_lanes(*on_false, flags, kept, batched);
  if (!batched.batched[0])
    return bind_all(primitives::cond, list(call.inputs), CondAttrs{hold(if_true), hold(if_false)},
                    kept.size());
  if (batched.control == LaneControl::loop) return lane_by_lane(batched);
  const Tensors operands = list(call.inputs.subspan(1));
  Tensors result;
  const Tensors a = if_true(operands), b = if_false(operands);
  for (size_t i = 0; i < a.size(); ++i) result.push_back(choose(call.inputs[0], a[i], b[i]));
  return result;
}

}  // namespace

// | `cond` | $y = f(x)$ where a condition holds, else $g(x)$ | $\dot y = f'(x) \dot x$ or $g'(x) \dot x$ |
// $\bar x = f'(x)^T \bar y$ or $g'(x)^T \bar y$ |
Primitive primitives::cond("cond", {.batching = batch_cond,
                                    .attrs = CondAttrs{},
                                    .inputs = {1, kAnyNumber},
                                    .check = check_cond,
                                    .infer = infer_cond,
                                    .derivative = rule<push_cond, pull_cond, kAllInputs>(),
                                    .evaluate = evaluate<run_cond>,
                                    .dispatch = dispatch<run_cond>,
                                    .num_outputs = kAnyNumber,
                                    .flops = cond_flops});
static const TellsLinearity of_branches(primitives::cond, cond_linearity);

Tensors cond(const Tensor& predicate, const Function& on_true, const Function& on_false,
             const Tensors& operands) {
  if (predicate.ndim() != 0 || predicate.dtype() != DType::bool_)
    fail<ShapeError>("[cond] the predicate is a bool of shape (), not ", describe(predicate));
  // Where it is known, and nobody is to have a program that fits both, there is nothing to hold.
  if (!predicate.is_abstract() && std::ranges::all_of(visible_traces(), [](const VisibleTrace& visible) {
        return visible.trace->differentiates();
      }))
    return item<bool>(predicate) ? on_true(operands) : on_false(operands);
  const std::vector<Spec> specs = specs_of(operands);
  Program if_true = record_unseen(on_true, specs), if_false = record_unseen(on_false, specs);
  if (!if_true.writes.empty() || !if_false.writes.empty())
    fail<ValueError>("[cond] a branch overwrites an argument (return the new value instead)");
  check_same_specs("cond", "the result if false,",
                   specs_of(if_false, if_false.outputs, 0, if_false.outputs.size()),
                   specs_of(if_true, if_true.outputs, 0, if_true.outputs.size()));
  Tensors inputs{predicate}, captured;
  append(inputs, operands);
  capture({&if_true, &if_false}, captured);
  append(inputs, captured);
  const CondAttrs attrs{hold(std::move(if_true)), hold(std::move(if_false))};
  return bind_all(primitives::cond, inputs, attrs, attrs.on_true->outputs.size());
}

}  // namespace tidu
