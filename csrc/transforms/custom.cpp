// Functions with rules of their own: how a call meets the traces, in eager code and as programs.
//
// The rule runs once, with the traces outside of the innermost one that tracks an input visible; every trace
// that tracks an input gives the outputs what the rule says. So outer traces differentiate the outputs by the
// rule, and what the rule computes beside them (residuals) by its code. A recorder that is inside of those
// traces, or alone, is shown one call that holds function and rule as programs.
#include "transforms/custom.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "core/bind.h"
#include "ops/assign.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "program/recorder.h"
#include "transforms/closure.h"
#include "transforms/transpose.h"
#include "transforms/vmap.h"

namespace tidu {
namespace {

std::vector<Spec> differentiable(std::vector<Spec> specs) {
  std::erase_if(specs, [](const Spec& spec) { return !is_differentiable(spec.dtype); });
  return specs;
}
std::vector<Spec> differentiable_specs(const Tensors& tensors) { return differentiable(specs_of(tensors)); }

// The tensors of a list of the differentiable ones, or of the first of them, in their places among all.
Tensors spread(const Tensors& differentiable, const Tensors& all) {
  Tensors result(all.size());
  size_t next = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (is_differentiable(all[i].dtype()) && next < differentiable.size()) result[i] = differentiable[next++];
  }
  return result;
}

// Those that belong to differentiable tensors, zero where undefined.
Tensors gather(const Tensors& tensors, const Tensors& all) {
  Tensors result;
  for (size_t i = 0; i < all.size(); ++i) {
    if (is_differentiable(all[i].dtype()))
      result.push_back(tensors[i].defined() ? tensors[i] : zeros_like(all[i]));
  }
  return result;
}

Tensors filled(const Tensors& tensors, const Tensors& all) { return spread(gather(tensors, all), all); }

void check_count(size_t got, size_t expected, const char* op, const char* what) {
  if (got != expected) fail<ValueError>("[", op, "] the rule returned ", got, " ", what, ", not ", expected);
}

[[noreturn]] void fail_on_closure() {
  fail<GradientError>(
      "a function with a derivative rule of its own makes use of a tensor that is being differentiated and "
      "is "
      "no argument of it (make it one, or take stop_gradient of it)");
}

// Refuses a rule that makes use of what trace `id` tracks, but is no input: its derivative would be lost.
class ClosureGuard : public Trace {
 public:
  explicit ClosureGuard(uint64_t id) : id_(id) {}
  void record(const Call& call, bool) override { check(call.inputs); }
  void record_custom(CustomCall& call, bool) override { check(call.inputs()); }
  bool differentiates() const override { return false; }

 private:
  void check(std::span<const Tensor> inputs) const {
    if (std::ranges::any_of(inputs, [&](const Tensor& input) { return input.impl().link(id_) != nullptr; }))
      fail_on_closure();
  }
  uint64_t id_;
};

// A program that may be recorded when it is first needed.
class LazyProgram {
 public:
  // One that a file does not have.
  LazyProgram() : state_(std::make_shared<State>()) {}
  LazyProgram(ProgramField made) : state_(std::make_shared<State>()) {
    state_->made = std::move(made.program);
  }
  explicit LazyProgram(std::function<ProgramField()> make) : state_(std::make_shared<State>()) {
    state_->make = std::move(make);
  }

  // Threads that need it at a time may both record it, and get the same.
  const Program& operator*() const {
    if (is_missing()) {
      fail<GradientError>(
          "a derivative rule that calls its own function was not saved for derivatives of this order (save "
          "the "
          "program of the derivative)");
    }
    if (!state_->made.load()) {
      std::shared_ptr<const Program> none, made = state_->make().program;
      state_->made.compare_exchange_strong(none, std::move(made));
    }
    return *state_->made.load();
  }
  ProgramField made() const { return {state_->made.load()}; }
  bool is_missing() const { return !made().program && !state_->make; }
  bool operator==(const LazyProgram& other) const {
    return state_ == other.state_ || (made().program && made() == other.made());
  }

 private:
  struct State {
    std::atomic<std::shared_ptr<const Program>> made;
    std::function<ProgramField()> make;
  };
  std::shared_ptr<State> state_;
};
uint64_t hash_value(const LazyProgram&) { return 0; }  // stays what it is
// Nothing of one that was not recorded: a rule that calls its own function has no end.
AttrValue to_value(const LazyProgram& program) { return program.made().program; }
void from_value(LazyProgram& program, const AttrValue& value) {
  if (auto held = std::get<std::shared_ptr<const Program>>(value)) program = ProgramField{std::move(held)};
}

// How many rules are being recorded, one inside of the other. A rule may call the function that it is a rule
// of: from the second level on, rules are recorded when they are needed.
thread_local int rules_in_record = 0;
class InRule {
 public:
  InRule() { ++rules_in_record; }
  ~InRule() { --rules_in_record; }
  InRule(const InRule&) = delete;
  static bool is_deep() { return rules_in_record >= 2; }
};

// A program that was recorded later, as one that takes what the function had captured, and makes no use of
// it.
void pad(Program& program, const std::vector<Spec>& captured) {
  for (const Program::Constant& constant : program.constants) {
    if (constant.value.is_abstract())
      fail<GradientError>(
          "a derivative rule that calls its own function makes use of a tensor that is no argument and has "
          "no "
          "value: higher derivatives cannot follow it (make it an argument of the function)");
  }
  for (const Spec& spec : captured) {
    program.inputs.push_back(static_cast<int>(program.variables.size()));
    program.variables.push_back(spec);
  }
}

// What calls of both sorts share.
class RuledCall : public CustomCall {
 public:
  RuledCall(const char* op, const Function& function, Tensors inputs, size_t arguments, bool is_missing)
      : CustomCall(std::move(inputs)),
        op_(op),
        function_(function),
        arguments_(arguments),
        is_missing_(is_missing) {}

  const Tensors& outputs() override { return outputs_; }
  Tensors captured() override {
    Tensors result;
    const VisibleTraces none(nullptr);
    Program function = record(function_, specs_of(inputs_));
    capture({&function}, result);
    return result;
  }
  // Shows the call to the visible traces, and returns its outputs.
  Tensors run();

 protected:
  // Runs the rule as far as that takes no cotangents or tangents.
  virtual void begin() {}
  // Under identities of their own: a rule may return an input or a constant, which must not be taken for the
  // function's output elsewhere, and outer traces are told by the rule what they are.
  void set_outputs(const Tensors& values) {
    if (!outputs_.empty()) return;
    for (const Tensor& value : values) outputs_.push_back(recorded_twin(alias(value)));
  }
  // The inputs as the rule may see them.
  Tensors outer_inputs() const {
    Tensors result;
    for (const Tensor& input : inputs_) {
      result.push_back(twin(input, trace_->id()));
      remove_link(result.back(), trace_->id());
    }
    return result;
  }
  // Runs code of the rule.
  template <class F> auto guarded(const F& body) const {
    ClosureGuard guard(trace_->id());
    const LiveTrace live(guard);
    return body();
  }

  const char* op_;
  const Function& function_;
  const size_t arguments_;        // of the function; the inputs after them are what programs captured
  const bool is_missing_;         // the rule, which a file did not have
  const Trace* trace_ = nullptr;  // the innermost that differentiates the call
  Tensors outputs_;
};

Tensors RuledCall::run() {
  const auto tracks = [](const Trace& trace, std::span<const Tensor> inputs) {
    return std::ranges::any_of(inputs,
                               [&](const Tensor& input) { return input.impl().link(trace.id()) != nullptr; });
  };
  std::vector<VisibleTrace> inside = visible_traces(), tracking;
  const std::span<const Tensor> arguments(inputs_.data(), arguments_);
  for (size_t i = inside.size(); i-- > 0 && !trace_;) {
    if (inside[i].trace->differentiates() && tracks(*inside[i].trace, arguments)) {
      trace_ = inside[i].trace;
      tracking.assign(inside.begin(), inside.begin() + static_cast<int64_t>(i) + 1);
      inside.erase(inside.begin(), inside.begin() + static_cast<int64_t>(i) + 1);
    }
  }
  std::erase_if(inside, [](const VisibleTrace& visible) { return visible.trace->differentiates(); });
  std::erase_if(tracking, [&](const VisibleTrace& visible) {
    return !visible.trace->differentiates() || !tracks(*visible.trace, arguments);
  });
  if (!trace_ && inside.empty()) return function_(inputs_);
  if (!trace_) {
    // No trace is to see how the values come about.
    const VisibleTraces none(nullptr);
    set_outputs(function_(inputs_));
  } else {
    for (size_t i = arguments_; i < inputs_.size(); ++i) {
      if (is_tracked(inputs_[i])) fail_on_closure();
    }
    const VisibleTraces scope(trace_->outer());
    begin();
  }
  // Where backward() is recorded too, the recorder saw what the rule ran; but the call keeps its rule.
  Trace* const outermost = outermost_trace();
  if (trace_ && trace_->is_ambient() && outermost) outermost->record_custom(*this, true);
  for (size_t i = tracking.size(); i-- > 0;) tracking[i].trace->record_custom(*this, true);
  for (const VisibleTrace& recorder : inside) recorder.trace->record_custom(*this, recorder.differentiable);
  return outputs_;
}

struct VjpAttrs {
  int arguments;  // of the function, without what it closes over
  ProgramField function;
  LazyProgram forward, backward;
  void fields(auto&& field) const {
    field("arguments", arguments), field("function", function), field("forward", forward);
    field("backward", backward);
  }
};

struct JvpAttrs {
  int arguments;
  ProgramField function;
  LazyProgram rule;
  void fields(auto&& field) const {
    field("arguments", arguments), field("function", function), field("rule", rule);
  }
};

class VjpCall final : public RuledCall {
 public:
  using Forward = std::function<CustomForward(const Tensors&)>;
  VjpCall(const Function& function, const Forward& forward, const Tensors& inputs, size_t arguments,
          bool is_missing = false)
      : RuledCall("custom_vjp", function, inputs, arguments, is_missing), forward_(forward) {}

  void begin() override {
    CustomForward result = guarded([&] { return forward_(outer_inputs()); });
    set_outputs(result.outputs);
    pullback_ = std::move(result.pullback);
  }

  Function pullback() override { return checked(pullback_); }

  Tensors push(const Tensors& tangents) override { return transposed(pullback(), tangents); }

  Tensors push_at(const Tensors& inputs, const Tensors& tangents) override {
    const CustomForward result = guarded([&] { return forward_(inputs); });
    set_outputs(result.outputs);
    return transposed(checked(result.pullback), tangents);
  }

  Closed close() override {
    const VisibleTraces none(nullptr);
    Program function = record(function_, specs_of(inputs_));
    Closed closed{&primitives::custom_vjp, {}, {}};
    const auto attrs = [&](LazyProgram forward, LazyProgram backward) {
      return VjpAttrs{static_cast<int>(arguments_), hold(std::move(function)), std::move(forward),
                      std::move(backward)};
    };
    const std::vector<Spec> inputs = specs_of(inputs_), cotangents = differentiable_specs(outputs_);
    if (is_missing_) {
      capture({&function}, closed.captured);
      closed.attrs = attrs(LazyProgram(), LazyProgram());
    } else if (InRule::is_deep()) {
      capture({&function}, closed.captured);
      const auto rule = [=, forward = forward_, captured = specs_of(closed.captured)](bool first) {
        const VisibleTraces unseen(nullptr);
        Program both = record_both(forward, inputs, cotangents);
        pad(both, captured);
        auto [one, other] = halves(std::move(both), inputs.size(), cotangents.size());
        return hold(std::move(first ? one : other));
      };
      closed.attrs = attrs(LazyProgram([=] { return rule(true); }), LazyProgram([=] { return rule(false); }));
    } else {
      Program both = record_both(forward_, inputs, cotangents);
      capture({&function, &both}, closed.captured);
      auto [forward, backward] = halves(std::move(both), inputs.size(), cotangents.size());
      closed.attrs = attrs(hold(std::move(forward)), hold(std::move(backward)));
    }
    return closed;
  }

 private:
  Function checked(const Function& pullback) const {
    Tensors like;
    for (const Tensor& output : outputs_)
      like.push_back(Tensor::abstract(output.shape(), output.dtype(), output.device()));
    return [pullback, like, op = op_, count = inputs_.size()](const Tensors& cotangents) {
      Tensors result = pullback(filled(cotangents, like));
      check_count(result.size(), count, op, "cotangents");
      return result;
    };
  }

  Tensors transposed(const Function& pull, const Tensors& tangents) const {
    std::vector<size_t> moving;
    Tensors directions;
    for (size_t i = 0; i < tangents.size(); ++i) {
      if (!tangents[i].defined()) continue;
      moving.push_back(i);
      directions.push_back(tangents[i]);
    }
    const Function restricted = [&](const Tensors& cotangents) {
      const Tensors all = pull(spread(cotangents, outputs_));
      Tensors result;
      for (size_t i : moving) result.push_back(all[i].defined() ? all[i] : zeros_like(inputs_[i]));
      return result;
    };
    try {
      return spread(transpose(restricted, differentiable_specs(outputs_))(directions), outputs_);
    } catch (const NotLinearError& error) {
      throw NotLinearError(
          str("[custom_vjp] forward mode transposes the rule, which must be linear in the "
              "cotangents: ",
              error.what(), " (use reverse mode, or custom_jvp)"));
    }
  }

  // Forward and backward in one, (inputs.., cotangents..) -> (outputs.., cotangents of the inputs..).
  static Program record_both(const Forward& rule, const std::vector<Spec>& inputs,
                             const std::vector<Spec>& cotangents) {
    const InRule in_rule;
    std::vector<Spec> specs = inputs;
    append(specs, cotangents);
    return record(
        [&](const Tensors& all) {
          const Tensors at = part(all, 0, inputs.size());
          const CustomForward result = rule(at);
          Tensors returned = result.outputs;
          append(returned, gather(result.pullback(spread(from(all, inputs.size()), result.outputs)), at));
          return returned;
        },
        specs);
  }

  // forward: inputs -> outputs, residuals; backward: residuals, cotangents -> cotangents of the inputs. What
  // does not depend on the cotangents is the forward half. Zeros are in both, so that the backward one is
  // seen to be linear.
  static std::pair<Program, Program> halves(Program both, size_t inputs, size_t given) {
    std::vector<bool> late(both.variables.size()), in_both = late, is_residual = late;
    size_t pulled = 0;
    for (size_t i = 0; i < inputs; ++i) pulled += is_differentiable(both.variables[both.inputs[i]].dtype);
    const size_t output_count = both.outputs.size() - pulled;
    const auto first = both.inputs.begin() + static_cast<int64_t>(inputs);
    const std::vector<int> cotangents(first, first + static_cast<int64_t>(given));
    for (int variable : cotangents) late[variable] = true;
    Program forward = both, backward = both;
    forward.instructions.clear();
    backward.instructions.clear();
    std::vector<int> residuals;
    const auto need = [&](int variable) {
      if (late[variable] || in_both[variable] || is_residual[variable]) return;
      is_residual[variable] = true;
      residuals.push_back(variable);
    };
    for (const Program::Constant& constant : both.constants) in_both[constant.variable] = true;
    const std::vector<Linearity> kinds =
        linearity_of_variables(both, std::vector<Linearity>(both.inputs.size(), Linearity::fixed));
    for (const Program::Instruction& instruction : both.instructions) {
      const bool is_zero =
          std::ranges::all_of(instruction.outputs, [&](int v) { return kinds[v] == Linearity::zero; });
      if (is_zero && std::ranges::all_of(instruction.inputs, [&](int v) { return in_both[v]; })) {
        for (Program* half : {&forward, &backward}) half->instructions.push_back(instruction);
        for (int variable : instruction.outputs) in_both[variable] = true;
        continue;
      }
      const bool depends = std::ranges::any_of(instruction.inputs, [&](int v) { return late[v]; });
      (depends ? backward : forward).instructions.push_back(instruction);
      if (!depends) continue;
      for (int variable : instruction.inputs) need(variable);
      for (int variable : instruction.outputs) late[variable] = true;
    }
    backward.outputs.erase(backward.outputs.begin(),
                           backward.outputs.begin() + static_cast<int64_t>(output_count));
    for (int variable : backward.outputs) need(variable);
    forward.inputs.erase(
        forward.inputs.begin() + (first - both.inputs.begin()),
        forward.inputs.begin() + (first - both.inputs.begin()) + static_cast<int64_t>(given));
    forward.outputs.resize(output_count);
    forward.outputs.insert(forward.outputs.end(), residuals.begin(), residuals.end());
    backward.inputs = std::move(residuals);
    backward.inputs.insert(backward.inputs.end(), cotangents.begin(), cotangents.end());
    return {std::move(forward), std::move(backward)};
  }

  const Forward& forward_;
  Function pullback_;
};

class JvpCall final : public RuledCall {
 public:
  using Rule = std::function<Jvp(const Tensors&, const Tensors&)>;
  JvpCall(const Function& function, const Rule& rule, const Tensors& inputs, size_t arguments,
          bool is_missing = false)
      : RuledCall("custom_jvp", function, inputs, arguments, is_missing), rule_(rule) {}

  const Tensors& outputs() override {
    if (outputs_.empty()) push(Tensors(inputs_.size()));  // the rule gives them
    return outputs_;
  }

  Tensors push(const Tensors& tangents) override { return push_at(outer_inputs(), tangents); }

  Tensors push_at(const Tensors& inputs, const Tensors& tangents) override {
    Jvp result = guarded([&] { return rule_(inputs, filled(tangents, inputs)); });
    check_count(result.tangents.size(), result.outputs.size(), op_, "tangents");
    set_outputs(result.outputs);
    return std::move(result.tangents);
  }

  Function pullback() override {
    const Function linear = [&](const Tensors& tangents) {
      const Tensors pushed = push(spread(tangents, inputs_));
      return gather(pushed, outputs_);
    };
    const std::vector<Spec> specs = differentiable_specs(inputs_);
    Function transposed = [&] {
      try {
        return transpose(linear, specs);
      } catch (const NotLinearError& error) {
        throw NotLinearError(
            str("[custom_jvp] reverse mode transposes the rule, which must be linear in the "
                "tangents: ",
                error.what(), " (use custom_vjp)"));
      }
    }();
    Tensors like_outputs, like_inputs;
    for (const Tensor& t : outputs_)
      like_outputs.push_back(Tensor::abstract(t.shape(), t.dtype(), t.device()));
    for (const Tensor& t : inputs_) like_inputs.push_back(Tensor::abstract(t.shape(), t.dtype(), t.device()));
    return [transposed, like_outputs, like_inputs](const Tensors& cotangents) {
      return spread(transposed(gather(cotangents, like_outputs)), like_inputs);
    };
  }

  Closed close() override {
    const VisibleTraces none(nullptr);
    Program function = record(function_, specs_of(inputs_));
    Closed closed{&primitives::custom_jvp, {}, {}};
    const std::vector<Spec> inputs = specs_of(inputs_);
    const auto attrs = [&](LazyProgram rule) {
      return JvpAttrs{static_cast<int>(arguments_), hold(std::move(function)), std::move(rule)};
    };
    if (is_missing_) {
      capture({&function}, closed.captured);
      closed.attrs = attrs(LazyProgram());
    } else if (InRule::is_deep()) {
      capture({&function}, closed.captured);
      closed.attrs = attrs(LazyProgram([inputs, rule = rule_, captured = specs_of(closed.captured)] {
        const VisibleTraces unseen(nullptr);
        Program program = record_rule(rule, inputs);
        pad(program, captured);
        return hold(tangents_last(std::move(program), inputs, captured));
      }));
    } else {
      Program rule = record_rule(rule_, inputs);
      capture({&function, &rule}, closed.captured);
      closed.attrs = attrs(hold(tangents_last(std::move(rule), inputs, specs_of(closed.captured))));
    }
    return closed;
  }

 private:
  // (inputs.., tangents..) -> (outputs.., tangents of the outputs..).
  static Program record_rule(const Rule& rule, const std::vector<Spec>& inputs) {
    const InRule in_rule;
    std::vector<Spec> specs = inputs;
    append(specs, differentiable(inputs));
    return record(
        [&](const Tensors& all) {
          const Tensors at = part(all, 0, inputs.size());
          const Jvp result = rule(at, spread(from(all, inputs.size()), at));
          Tensors returned = result.outputs;
          append(returned, gather(result.tangents, result.outputs));
          return returned;
        },
        specs);
  }

  // Tangents come last, of what was captured, too, though nothing depends on those.
  static Program tangents_last(Program rule, const std::vector<Spec>& inputs,
                               const std::vector<Spec>& captured) {
    const auto first = rule.inputs.begin() + static_cast<int64_t>(inputs.size());
    std::rotate(first, first + static_cast<int64_t>(differentiable(inputs).size()), rule.inputs.end());
    for (const Spec& spec : differentiable(captured)) {
      rule.inputs.push_back(static_cast<int>(rule.variables.size()));
      rule.variables.push_back(spec);
    }
    return rule;
  }

  const Rule& rule_;
};

// A call whose function and rule are programs.
void run_vjp_program(const Call& call) {
  const auto& attrs = call.attrs.as<VjpAttrs>();
  const Function function = [&](const Tensors& inputs) { return (*attrs.function)(inputs); };
  const VjpCall::Forward forward = [attrs, count = attrs.function->outputs.size()](const Tensors& inputs) {
    const Tensors results = (*attrs.forward)(inputs);
    CustomForward result{part(results, 0, count), {}};
    Tensors shapes;
    for (const Tensor& x : inputs) shapes.push_back(Tensor::abstract(x.shape(), x.dtype(), x.device()));
    result.pullback = [backward = attrs.backward, residuals = part(results, count, results.size()),
                       like = result.outputs, shapes](const Tensors& cotangents) {
      Tensors arguments = residuals;
      for (const Tensor& cotangent : gather(cotangents, like)) arguments.push_back(cotangent);
      return spread((*backward)(arguments), shapes);
    };
    return result;
  };
  const Tensors inputs(call.inputs.begin(), call.inputs.end());
  std::ranges::copy(
      VjpCall(function, forward, inputs, static_cast<size_t>(attrs.arguments), attrs.forward.is_missing())
          .run(),
      call.outputs.begin());
}

void run_jvp_program(const Call& call) {
  const auto& attrs = call.attrs.as<JvpAttrs>();
  const Function function = [&](const Tensors& inputs) { return (*attrs.function)(inputs); };
  const JvpCall::Rule rule = [attrs, count = attrs.function->outputs.size()](const Tensors& inputs,
                                                                             const Tensors& tangents) {
    Tensors arguments = inputs;
    for (const Tensor& tangent : gather(tangents, inputs)) arguments.push_back(tangent);
    const Tensors results = (*attrs.rule)(arguments);
    const Tensors outputs = part(results, 0, count);
    return Jvp{outputs, spread(part(results, count, results.size()), outputs)};
  };
  const Tensors inputs(call.inputs.begin(), call.inputs.end());
  std::ranges::copy(
      JvpCall(function, rule, inputs, static_cast<size_t>(attrs.arguments), attrs.rule.is_missing()).run(),
      call.outputs.begin());
}

// --- The same for a batch: the programs run for all lanes, and the rule is one of the batched function.

// A program as a function of values of which some have lanes, and whose results all have.
Function in_lanes(const Program& program, const LaneRun& run, const std::vector<bool>& batched) {
  return [&program, run, batched](const Tensors& arguments) {
    std::vector<Lanes> given;
    for (size_t i = 0; i < arguments.size(); ++i)
      given.push_back({batched[i] ? Lanes::apart : Lanes::shared, arguments[i]});
    const std::vector<Lanes> lanes = run(program, given);
    Tensors results;
    for (size_t i = 0; i < lanes.size(); ++i)
      results.push_back(run.apart(lanes[i], program.variables[program.outputs[i]]));
    return results;
  };
}

// Cotangents of inputs, of which those that are the same for all lanes get the sum.
Tensors summed_over_lanes(const Tensors& cotangents, const Tensors& inputs,
                          const std::vector<bool>& batched) {
  Tensors result = spread(cotangents, inputs);
  for (size_t i = 0; i < result.size(); ++i) {
    if (result[i].defined() && !batched[i]) result[i] = sum(result[i], Axes{0});
  }
  return result;
}

Tensors batch_vjp(const BatchedCall& batched) {
  const auto& attrs = batched.call.attrs.as<VjpAttrs>();
  const LaneRun run(batched.size, 0, batched.control);
  const Tensors inputs(batched.call.inputs.begin(), batched.call.inputs.end());
  const VjpCall::Forward forward = [attrs, run, flags = batched.batched,
                                    count = attrs.function->outputs.size()](const Tensors& given) {
    const Tensors results = in_lanes(*attrs.forward, run, flags)(given);
    CustomForward result{part(results, 0, count), {}};
    Tensors shapes;
    for (const Tensor& x : given) shapes.push_back(Tensor::abstract(x.shape(), x.dtype(), x.device()));
    result.pullback = [backward = attrs.backward, residuals = part(results, count, results.size()), run,
                       like = result.outputs, shapes, flags](const Tensors& cotangents) {
      Tensors arguments = residuals;
      for (const Tensor& cotangent : gather(cotangents, like)) arguments.push_back(cotangent);
      const std::vector<bool> all(arguments.size(), true);
      return summed_over_lanes(in_lanes(*backward, run, all)(arguments), shapes, flags);
    };
    return result;
  };
  return VjpCall(in_lanes(*attrs.function, run, batched.batched), forward, inputs,
                 static_cast<size_t>(attrs.arguments), attrs.forward.is_missing())
      .run();
}

Tensors batch_jvp(const BatchedCall& batched) {
  const auto& attrs = batched.call.attrs.as<JvpAttrs>();
  const LaneRun run(batched.size, 0, batched.control);
  const Tensors inputs(batched.call.inputs.begin(), batched.call.inputs.end());
  const JvpCall::Rule rule = [attrs, run, batches = batched.batched, count = attrs.function->outputs.size()](
                                 const Tensors& given, const Tensors& tangents) {
    Tensors arguments = given;
    std::vector<bool> flags = batches;
    for (size_t i = 0; i < given.size(); ++i) {
      if (is_differentiable(given[i].dtype())) flags.push_back(batches[i]);
    }
    for (const Tensor& tangent : gather(tangents, given)) arguments.push_back(tangent);
    const Tensors results = in_lanes(*attrs.rule, run, flags)(arguments);
    const Tensors outputs = part(results, 0, count);
    return Jvp{outputs, spread(part(results, count, results.size()), outputs)};
  };
  return JvpCall(in_lanes(*attrs.function, run, batched.batched), rule, inputs,
                 static_cast<size_t>(attrs.arguments), attrs.rule.is_missing())
      .run();
}

// The values alone.
template <class T> void run_function(const Call& call) {
  const Tensors inputs(call.inputs.begin(), call.inputs.end());
  std::ranges::copy((*call.attrs.as<T>().function)(inputs), call.outputs.begin());
}

template <class T> const T& check_function(const SpecCall& call, size_t num_outputs) {
  const auto& attrs = call.attrs.as<T>();
  require(attrs.arguments >= 0 && attrs.arguments <= static_cast<int64_t>(call.inputs.size()) &&
              num_outputs == attrs.function->outputs.size(),
          call, "it has another number of inputs or results");
  check_held(call, *attrs.function, specs_of(call), specs_of_outputs(*attrs.function));
  return attrs;
}

void check_vjp(const SpecCall& call, size_t num_outputs) {
  const auto& attrs = check_function<VjpAttrs>(call, num_outputs);
  const ProgramField forward = attrs.forward.made(), backward = attrs.backward.made();
  require(!forward.program == !backward.program, call, "it has one half of a rule");
  if (!forward.program) return;
  const std::vector<Spec> inputs = specs_of(call), outputs = specs_of_outputs(*attrs.function);
  require(forward->outputs.size() >= outputs.size(), call, "its forward half has too few results");
  std::vector<Spec> results = outputs, given = specs_of_outputs(*forward, outputs.size());
  append(results, given);
  append(given, differentiable(outputs));
  check_held(call, *forward, inputs, results);
  check_held(call, *backward, given, differentiable(inputs));
}

void check_jvp(const SpecCall& call, size_t num_outputs) {
  const auto& attrs = check_function<JvpAttrs>(call, num_outputs);
  const ProgramField rule = attrs.rule.made();
  if (!rule.program) return;
  std::vector<Spec> inputs = specs_of(call), outputs = specs_of_outputs(*attrs.function);
  append(inputs, differentiable(inputs));
  append(outputs, differentiable(outputs));
  check_held(call, *rule, inputs, outputs);
}

// The specs of a program's outputs.
template <class T> void infer_program(const SpecCall& call, std::span<Spec> outputs) {
  const Program& function = *call.attrs.as<T>().function;
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = function.variables[function.outputs[i]];
}

}  // namespace

namespace primitives {

// | `custom_vjp` | what your function gives | the transpose of what your rule gives | $\bar x$: what your
// rule gives |
Primitive custom_vjp("custom_vjp", {.batching = batch_vjp,
                                    .attrs = VjpAttrs{},
                                    .inputs = {0, kAnyNumber},
                                    .check = check_vjp,
                                    .infer = infer_program<VjpAttrs>,
                                    .derivative = Zero{},
                                    .evaluate = run_function<VjpAttrs>,
                                    .dispatch = run_vjp_program,
                                    .num_outputs = kAnyNumber});
// | `custom_jvp` | what your function gives | $\dot y$: what your rule gives | its transpose |
Primitive custom_jvp("custom_jvp", {.batching = batch_jvp,
                                    .attrs = JvpAttrs{},
                                    .inputs = {0, kAnyNumber},
                                    .check = check_jvp,
                                    .infer = infer_program<JvpAttrs>,
                                    .derivative = Zero{},
                                    .evaluate = run_function<JvpAttrs>,
                                    .dispatch = run_jvp_program,
                                    .num_outputs = kAnyNumber});

}  // namespace primitives

Tensors custom_vjp(const Function& function, const std::function<CustomForward(const Tensors&)>& forward,
                   const Tensors& inputs) {
  return VjpCall(function, forward, inputs, inputs.size()).run();
}

Tensors custom_jvp(const Function& function, const std::function<Jvp(const Tensors&, const Tensors&)>& rule,
                   const Tensors& inputs) {
  return JvpCall(function, rule, inputs, inputs.size()).run();
}

}  // namespace tidu
