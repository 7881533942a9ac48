// Loops that a value ends, as calls that hold programs.
#include "transforms/control.h"

#include "compile/count.h"
#include "compile/executable.h"
#include "compile/plan.h"
#include "compile/simplify.h"
#include "core/host_lock.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "transforms/closure.h"

namespace tidu {
namespace {

void infer_while(const SpecCall& call, std::span<Spec> outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = call.inputs[i];
}

void check_while(const SpecCall& call, size_t num_outputs) {
  const auto& attrs = call.attrs.as<WhileAttrs>();
  const std::vector<Spec> inputs = specs_of(call);
  require(num_outputs == attrs.carries() && num_outputs <= inputs.size(), call,
          "it has another number of results");
  const std::vector<Spec> carry(inputs.begin(), inputs.begin() + static_cast<int64_t>(num_outputs));
  check_held(call, *attrs.condition, inputs, {{{}, DType::bool_, inputs[0].device}});
  check_held(call, *attrs.body, inputs, carry);
}

Tensors run_while(const Call& call) {
  const auto& attrs = call.attrs.as<WhileAttrs>();
  Tensors now = list(call.inputs);
  while (item<bool>((*attrs.condition)(now)[0])) std::ranges::copy((*attrs.body)(now), now.begin());
  now.resize(attrs.carries());
  return now;
}

// Condition and body as executables; the carry goes to and fro between two places.
class PreparedWhile {
 public:
  PreparedWhile(const Call& call, const Passes& passes)
      : condition_(*call.attrs.as<WhileAttrs>().condition, layouts_of(call, 0, call.outputs.size()), passes),
        body_(*call.attrs.as<WhileAttrs>().body, layouts_of(call, 0, call.outputs.size()), passes),
        goes_on_(aligned(std::max(condition_.arena_bytes(), body_.arena_bytes()))),
        bytes_(goes_on_ + aligned(1)) {
    for (const Tensor& output : call.outputs) {
      spares_.push_back(bytes_);
      bytes_ += aligned(static_cast<int64_t>(output.nbytes()));
    }
  }

  int64_t bytes() const { return bytes_; }
  std::string explain() const {
    return str("while ", condition_.explain_run(), "rounds, of each of which are ", body_.explain_run());
  }

  // The calls in one memory.
  class Run {
   public:
    Run(std::shared_ptr<const PreparedWhile> loop, const Tensor& memory)
        : loop_(std::move(loop)),
          memory_(memory),
          goes_on_(part_of(memory, {{}, DType::bool_, memory.device()}, loop_->goes_on_)),
          condition_(loop_->condition_, memory),
          body_(loop_->body_, memory) {}

    void operator()(std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
      ready(inputs), ready(outputs), ready({&memory_, 1});
      Tensors spares;
      std::vector<void*> from, to(outputs.size()), other;
      for (const Tensor& input : inputs) from.push_back(input.raw_data());
      for (size_t i = 0; i < outputs.size(); ++i) {
        spares.push_back(part_of(memory_, outputs[i].spec(), loop_->spares_[i]));
        to[i] = outputs[i].raw_data();
        other.push_back(spares[i].raw_data());
        if (inputs[i].is_contiguous()) continue;
        copy_into(spares[i], inputs[i]);
        from[i] = other[i];
      }
      void* const truth = goes_on_.raw_data();
      for (bool is_in_outputs = false;; is_in_outputs = !is_in_outputs) {
        answer_signals();
        condition_(from, {&truth, 1});
        if (!item<bool>(goes_on_)) {
          for (size_t i = 0; i < outputs.size() && !is_in_outputs; ++i)
            copy_into(outputs[i], from[i] == inputs[i].raw_data() ? inputs[i] : spares[i]);
          return;
        }
        body_(from, to);
        std::ranges::copy(to, from.begin());
        std::swap(to, other);
      }
    }

   private:
    const std::shared_ptr<const PreparedWhile> loop_;
    const Tensor memory_, goes_on_;
    Executable::Body condition_, body_;
  };

 private:
  const Executable condition_, body_;
  const int64_t goes_on_;        // where what the condition says is
  std::vector<int64_t> spares_;  // where the second place of each carry is
  int64_t bytes_;
};
const PreparesCall prepared_loops(primitives::while_loop, prepared<PreparedWhile>);

// Of one round.
Flops while_flops(const SpecCall& call, std::span<const Spec>) {
  const auto& attrs = call.attrs.as<WhileAttrs>();
  Flops flops = cost_of(simplify(*attrs.condition)).flops;
  return flops += cost_of(simplify(*attrs.body)).flops;
}

Tensors push_while(const Call& call, Tangents given) {
  const auto& attrs = call.attrs.as<WhileAttrs>();
  const size_t carries = attrs.carries();
  const Tensors inputs = list(call.inputs), tangents = list(given), captured = from(inputs, carries);
  const std::vector<bool> moving = moving_carry(*attrs.body, which_defined(tangents), carries),
                          around = which_defined(from(tangents, carries));
  Tensors all = part(inputs, 0, carries);
  for (size_t i = 0; i < carries; ++i) {
    if (moving[i]) all.push_back(tangents[i].defined() ? tangents[i] : zeros_like(inputs[i]));
  }
  const size_t captured_at = all.size();
  append(all, captured);
  append(all, defined_of(from(tangents, carries)));
  const auto primals_of = [&](const Tensors& at) {
    Tensors primals = part(at, 0, carries);
    append(primals, part(at, captured_at, captured_at + captured.size()));
    return primals;
  };
  const std::vector<Spec> specs = specs_of(all);
  Program condition =
      record_unseen([&](const Tensors& at) { return (*attrs.condition)(primals_of(at)); }, specs);
  Program body = record_unseen(
      [&](const Tensors& at) {
        Tensors directions = spread(at, moving, carries);
        append(directions, spread(at, around, captured_at + captured.size()));
        const Jvp pushed = push_program(*attrs.body, primals_of(at), directions);
        Tensors outputs = pushed.outputs;
        for (size_t i = 0; i < carries; ++i) {
          if (moving[i]) outputs.push_back(pushed.tangents[i]);
        }
        return outputs;
      },
      specs);
  const WhileAttrs both{hold(std::move(condition)), hold(std::move(body))};
  return spread(bind_all(primitives::while_loop, all, both, both.carries()), moving, carries);
}

Tensors pull_while(const Call&, Cotangents, const InputSet&) {
  fail<GradientError>(
      "[while_loop] reverse mode needs to know how many steps there can be (give max_steps, or use forward "
      "mode)");
}

// Lanes whose condition no longer holds stay what they are.
Tensors batch_while(const BatchedCall& batched) {
  const auto& attrs = batched.call.attrs.as<WhileAttrs>();
  const size_t carries = attrs.carries();
  std::vector<bool> flags = batched.batched;
  bool apart = false;
  const std::vector<bool> carry = settled(part(flags, 0, carries), [&](const std::vector<bool>& now) {
    std::copy(now.begin(), now.end(), flags.begin());
    apart = depends(*attrs.condition, flags)[0];
    return apart ? std::vector<bool>(carries, true) : depends(*attrs.body, flags);
  });
  if (apart && batched.control == LaneControl::loop) return lane_by_lane(batched);
  std::copy(carry.begin(), carry.end(), flags.begin());
  Tensors inputs = list(batched.call.inputs);
  for (size_t i = 0; i < carries; ++i) {
    if (carry[i]) inputs[i] = batched.lanes(i);
  }
  Program condition = in_lanes(*attrs.condition, flags, {apart}, batched),
          body = in_lanes(*attrs.body, flags, carry, batched);
  if (apart) {
    const std::vector<Spec> specs = specs_of(inputs);
    const Program each = std::move(condition), step = std::move(body);
    condition = record_unseen([&](const Tensors& at) { return Tensors{any(each(at)[0])}; }, specs);
    body = record_unseen(
        [&](const Tensors& at) {
          const Tensor goes_on = each(at)[0];
          Tensors next = step(at);
          for (size_t i = 0; i < next.size(); ++i) next[i] = choose(goes_on, next[i], at[i]);
          return next;
        },
        specs);
  }
  Tensors outputs = bind_all(primitives::while_loop, inputs,
                             WhileAttrs{hold(std::move(condition)), hold(std::move(body))}, carries);
  for (size_t i = 0; i < carries; ++i) {
    if (!carry[i]) outputs[i] = broadcast_to(outputs[i], times(outputs[i].spec(), batched.size).shape);
  }
  return outputs;
}

}  // namespace

// | `while_loop` | $c_{k+1} = f(c_k)$ as long as a condition holds | $\dot c_{k+1} = f'(c_k) \dot c_k$ |
// $\bar c_k = f'(c_k)^T \bar c_{k+1}$, given the most steps there may be |
Primitive primitives::while_loop("while_loop", {.batching = batch_while,
                                                .attrs = WhileAttrs{},
                                                .inputs = {1, kAnyNumber},
                                                .check = check_while,
                                                .infer = infer_while,
                                                .derivative = rule<push_while, pull_while, kAllInputs>(),
                                                .evaluate = evaluate<run_while>,
                                                .dispatch = dispatch<run_while>,
                                                .num_outputs = kAnyNumber,
                                                .flops = while_flops});

Tensors while_loop(const Function& condition, const Function& body, const Tensors& carry,
                   std::optional<int64_t> max_steps) {
  const std::vector<Spec> specs = specs_of(carry);
  Program goes_on = record_unseen(condition, specs), step = record_unseen(body, specs);
  if (!goes_on.writes.empty() || !step.writes.empty())
    fail<ValueError>("[while_loop] the carry is overwritten (return the new value instead)");
  const Spec truth{{}, DType::bool_, goes_on.variables[goes_on.outputs.at(0)].device};
  check_same_specs("while_loop", "the condition",
                   specs_of(goes_on, goes_on.outputs, 0, goes_on.outputs.size()), {truth});
  check_same_specs("while_loop", "carry", specs_of(step, step.outputs, 0, step.outputs.size()), specs);
  if (max_steps && *max_steps < 0)
    fail<ValueError>("[while_loop] max_steps is ", *max_steps, " but must not be negative");
  if (max_steps) {
    // A scan whose steps do nothing once the condition does not hold.
    const Function bounded = [&](const Tensors& now) {
      return cond(
          condition(now)[0], body, [](const Tensors& same) { return same; }, now);
    };
    return scan(bounded, carry, {}, {max_steps, false, {}}).carry;
  }
  Tensors inputs = carry, captured;
  capture({&goes_on, &step}, captured);
  append(inputs, captured);
  return bind_all(primitives::while_loop, inputs, WhileAttrs{hold(std::move(goes_on)), hold(std::move(step))},
                  carry.size());
}

}  // namespace tidu
