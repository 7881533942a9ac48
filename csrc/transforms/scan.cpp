// Loops over slices as calls that hold the program of a step.
#include "transforms/scan.h"

#include <algorithm>

#include "autodiff/tape.h"
#include "base/few.h"
#include "compile/executable.h"
#include "compile/plan.h"
#include "core/host_lock.h"
#include "core/watch.h"
#include "ops/assign.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"
#include "transforms/closure.h"
#include "transforms/control.h"

namespace tidu {
namespace {

// The inputs of a call that scans.
struct ScanInputs {
  Tensors carry, slices, captured;
  ScanInputs(const Tensors& all, const ScanAttrs& attrs)
      : carry(part(all, 0, static_cast<size_t>(attrs.carries))),
        slices(
            part(all, static_cast<size_t>(attrs.carries), static_cast<size_t>(attrs.carries + attrs.slices))),
        captured(from(all, static_cast<size_t>(attrs.carries + attrs.slices))) {}
};

void infer_scan(const SpecCall& call, std::span<Spec> outputs) {
  const auto& attrs = call.attrs.as<ScanAttrs>();
  const Program& body = *attrs.body;
  const auto carries = static_cast<size_t>(attrs.carries);
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i] = i < body.outputs.size() ? body.variables[body.outputs[i]]
                                         : body.variables[body.outputs[i - body.outputs.size()]];
    if (i >= carries) outputs[i] = times(outputs[i], attrs.length);
  }
}

void check_scan(const SpecCall& call, size_t num_outputs) {
  const auto& attrs = call.attrs.as<ScanAttrs>();
  const int64_t moving = int64_t{attrs.carries} + attrs.slices;
  require(attrs.carries >= 0 && attrs.slices >= 0 && attrs.length >= 0 &&
              moving <= static_cast<int64_t>(call.inputs.size()) &&
              attrs.carries <= static_cast<int64_t>(attrs.body->outputs.size()) &&
              num_outputs == attrs.outputs(),
          call, "it has another number of inputs or results");
  std::vector<Spec> inputs = specs_of(call);
  for (int64_t i = attrs.carries; i < moving; ++i) {
    Spec& slices = inputs[static_cast<size_t>(i)];
    require(!slices.shape.empty() && slices.shape[0] == attrs.length, call,
            "the slices have another number of steps");
    slices = one_of(slices);
  }
  std::vector<Spec> outputs(inputs.begin(), inputs.begin() + attrs.carries);
  append(outputs, specs_of_outputs(*attrs.body, static_cast<size_t>(attrs.carries)));
  check_held(call, *attrs.body, inputs, outputs);
}

// Steps as calls of one executable: a slice is read where it lies, results are made in their places, and a
// carry is overwritten by the next one or goes to and fro between two places or, where it is saved, from one
// place to the next.
class PreparedScan {
 public:
  PreparedScan(const Call& call, const Passes& passes)
      : attrs_(call.attrs.as<ScanAttrs>()),
        body_(*attrs_.body, layouts_of_step(call), passes, carries_in_place()),
        bytes_(aligned(body_.arena_bytes())) {
    for (int i = 0; i < attrs_.carries; ++i) {
      stays_.push_back(body_.takes(i, i));
      spares_.push_back(bytes_);
      if (!attrs_.saves && !stays_.back()) bytes_ += aligned(static_cast<int64_t>(call.outputs[i].nbytes()));
    }
  }

  int64_t bytes() const { return bytes_; }
  std::string explain() const {
    return str(attrs_.length, " steps, of each of which are ", body_.explain_run());
  }

  // The calls in one memory.
  class Run {
   public:
    Run(std::shared_ptr<const PreparedScan> scan, const Tensor& memory)
        : scan_(std::move(scan)), memory_(memory), replay_(scan_->body_, memory) {}

    void operator()(std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
      const ScanAttrs& attrs = scan_->attrs_;
      const auto carries = static_cast<size_t>(attrs.carries), slices = static_cast<size_t>(attrs.slices),
                 results = attrs.body->outputs.size();
      ready(inputs), ready(outputs), ready({&memory_, 1});
      std::vector<void*> from, to(results);
      for (const Tensor& input : inputs) from.push_back(input.raw_data());
      for (size_t i = 0; i < carries; ++i) {
        const bool stays = scan_->stays_[i];
        if (inputs[i].is_contiguous() && attrs.length > 0 && !attrs.saves && !stays) continue;
        const bool is_last = attrs.length == 0 || stays || attrs.length % 2 == 0;
        const Tensor first = attrs.saves && attrs.length > 0 ? select(outputs[results + i], 0, at(0))
                             : is_last                       ? outputs[i]
                                       : part_of(memory_, outputs[i].spec(), scan_->spares_[i]);
        copy_into(first, inputs[i]);
        from[i] = first.raw_data();
      }
      // Where the carry is after a step.
      const auto carry = [&](size_t i, int64_t step) -> void* {
        const int64_t left = attrs.length - 1 - step;
        if (left > 0 && attrs.saves) return slice(outputs[results + i], at(step + 1));
        return left % 2 == 0 || attrs.saves || scan_->stays_[i]
                   ? outputs[i].raw_data()
                   : static_cast<char*>(memory_.raw_data()) + scan_->spares_[i];
      };
      for (int64_t step = 0; step < attrs.length; ++step) {
        answer_signals();
        for (size_t i = 0; i < carries; ++i) to[i] = carry(i, step);
        for (size_t i = carries; i < carries + slices; ++i) from[i] = slice(inputs[i], at(step));
        for (size_t i = carries; i < results; ++i) to[i] = slice(outputs[i], at(step));
        replay_(from, to);
        std::copy_n(to.begin(), carries, from.begin());
      }
    }

   private:
    int64_t at(int64_t step) const { return scan_->attrs_.reverse ? scan_->attrs_.length - 1 - step : step; }
    static void* slice(const Tensor& all, int64_t at) {
      return static_cast<char*>(all.raw_data()) +
             at * all.strides()[0] * static_cast<int64_t>(size_of(all.dtype()));
    }

    const std::shared_ptr<const PreparedScan> scan_;
    const Tensor memory_;
    Executable::Body replay_;
  };

 private:
  static std::vector<Strides> layouts_of_step(const Call& call) {
    const auto& attrs = call.attrs.as<ScanAttrs>();
    std::vector<Strides> layouts = layouts_of(call, 0, static_cast<size_t>(attrs.carries));
    for (int i = attrs.carries; i < attrs.carries + attrs.slices; ++i) layouts[i].erase(0);
    return layouts;
  }

  // A carry that nobody keeps may be overwritten by the next one.
  std::vector<Donation> carries_in_place() const {
    std::vector<Donation> result;
    for (int i = 0; i < attrs_.carries && !attrs_.saves; ++i) result.push_back({i, i});
    return result;
  }

  const ScanAttrs attrs_;
  const Executable body_;
  std::vector<bool> stays_;      // whether each carry is always in one place
  std::vector<int64_t> spares_;  // where the second place of each carry is
  int64_t bytes_;
};

// Groups of a device that compiles them when they are made would cost more than they save.
Tensors run_many_steps(const Call& call, const std::vector<Spec>& specs) {
  Tensors outputs;
  for (const auto& [shape, dtype, device] : specs) outputs.push_back(Tensor::empty(shape, dtype, device));
  const Device device = call.inputs.empty() ? Device() : call.inputs[0].device();
  const auto scan = std::make_shared<const PreparedScan>(
      Call{call.primitive, call.inputs, call.attrs, outputs}, Passes{.fuse = device.type == DeviceType::cpu});
  PreparedScan::Run(scan, Tensor::empty({scan->bytes()}, DType::uint8, device))(call.inputs, outputs);
  return outputs;
}

Tensors run_scan(const Call& call) {
  constexpr int64_t kMany = 16;  // steps for which it is worth while to prepare one
  const auto& attrs = call.attrs.as<ScanAttrs>();
  const ScanInputs inputs(list(call.inputs), attrs);
  const size_t carries = inputs.carry.size();
  std::vector<Spec> specs(call.outputs.size());
  infer_scan({call.primitive, call.inputs, call.attrs}, specs);
  if (attrs.length >= kMany && !Watch::active()) return run_many_steps(call, specs);
  Tensors results = inputs.carry;
  for (size_t i = carries; i < specs.size(); ++i)
    results.push_back(Tensor::empty(specs[i].shape, specs[i].dtype, specs[i].device));
  Few<Tensor, 8> arguments(attrs.body->inputs.size());
  Tensor* const slices = arguments.begin() + carries;
  std::ranges::copy(inputs.captured, slices + inputs.slices.size());
  for (int64_t step = 0; step < attrs.length; ++step) {
    const int64_t at = attrs.reverse ? attrs.length - 1 - step : step;
    const auto keep = [&](size_t i, const Tensor& value) {
      Tensor place = select(results[i], 0, at);
      assign(place, value);
    };
    std::copy_n(results.begin(), carries, arguments.begin());
    for (size_t i = 0; attrs.saves && i < carries; ++i) keep(attrs.body->outputs.size() + i, arguments[i]);
    std::ranges::transform(inputs.slices, slices, [&](const Tensor& slice) { return select(slice, 0, at); });
    const Tensors stepped = (*attrs.body)(arguments);
    for (size_t i = 0; i < stepped.size(); ++i) {
      if (i < carries) {
        results[i] = stepped[i];
      } else {
        keep(i, stepped[i]);
      }
    }
  }
  return results;
}

// The same without a write in place: all steps as one program.
Tensors unroll_scan(const Call& call) {
  const auto& attrs = call.attrs.as<ScanAttrs>();
  const ScanInputs inputs(list(call.inputs), attrs);
  const size_t carries = inputs.carry.size();
  std::vector<Tensors> kept(call.outputs.size(), Tensors(static_cast<size_t>(attrs.length)));
  Tensors results = inputs.carry;
  for (int64_t step = 0; step < attrs.length; ++step) {
    const int64_t at = attrs.reverse ? attrs.length - 1 - step : step;
    Tensors arguments = results;
    for (size_t i = 0; attrs.saves && i < carries; ++i)
      kept[attrs.body->outputs.size() + i][at] = arguments[i];
    for (const Tensor& slice : inputs.slices) arguments.push_back(select(slice, 0, at));
    append(arguments, inputs.captured);
    const Tensors stepped = (*attrs.body)(arguments);
    results = part(stepped, 0, carries);
    for (size_t i = carries; i < stepped.size(); ++i) kept[i][at] = stepped[i];
  }
  std::vector<Spec> specs(call.outputs.size());
  infer_scan({call.primitive, call.inputs, call.attrs}, specs);
  for (size_t i = carries; i < specs.size(); ++i) {
    results.push_back(attrs.length > 0 ? stack(kept[i], 0)
                                       : zeros(specs[i].shape, specs[i].dtype, specs[i].device));
  }
  return results;
}

// Carries are followed by their tangents, slices and what is captured by those that there are.
Tensors push_scan(const Call& call, Tangents given) {
  const auto& attrs = call.attrs.as<ScanAttrs>();
  const ScanInputs inputs(list(call.inputs), attrs), tangents(list(given), attrs);
  const size_t carries = inputs.carry.size(), slices = inputs.slices.size();
  std::vector<bool> in_step = which_defined(list(given));
  const std::vector<bool> moving = moving_carry(*attrs.body, in_step, carries),
                          sliding = which_defined(tangents.slices), around = which_defined(tangents.captured);
  std::copy(moving.begin(), moving.end(), in_step.begin());
  std::vector<bool> result_moves = from(depends(*attrs.body, in_step), carries);
  for (size_t i = 0; i < result_moves.size(); ++i)
    result_moves[i] =
        result_moves[i] && is_differentiable(attrs.body->variables[attrs.body->outputs[carries + i]].dtype);

  Tensors all = inputs.carry;
  for (size_t i = 0; i < carries; ++i) {
    if (moving[i])
      all.push_back(tangents.carry[i].defined() ? tangents.carry[i] : zeros_like(inputs.carry[i]));
  }
  const size_t slices_at = all.size();
  append(all, inputs.slices);
  append(all, defined_of(tangents.slices));
  const size_t captured_at = all.size();
  append(all, inputs.captured);
  append(all, defined_of(tangents.captured));

  std::vector<Spec> specs = specs_of(all);
  for (size_t i = slices_at; i < captured_at; ++i) specs[i] = one_of(specs[i]);
  Program body = record_unseen(
      [&](const Tensors& at) {
        Tensors primals = part(at, 0, carries), directions = spread(at, moving, carries);
        append(primals, part(at, slices_at, slices_at + slices));
        append(directions, spread(at, sliding, slices_at + slices));
        append(primals, part(at, captured_at, captured_at + around.size()));
        append(directions, spread(at, around, captured_at + around.size()));
        const Jvp pushed = push_program(*attrs.body, primals, directions);
        Tensors outputs = part(pushed.outputs, 0, carries);
        for (size_t i = 0; i < carries; ++i) {
          if (moving[i]) outputs.push_back(pushed.tangents[i]);
        }
        append(outputs, from(pushed.outputs, carries));
        for (size_t i = 0; i < result_moves.size(); ++i) {
          if (result_moves[i]) outputs.push_back(pushed.tangents[carries + i]);
        }
        return outputs;
      },
      specs);
  const ScanAttrs both{hold(std::move(body)),
                       static_cast<int>(slices_at),
                       static_cast<int>(captured_at - slices_at),
                       attrs.length,
                       attrs.reverse,
                       attrs.saves};
  const Tensors outputs = bind_all(primitives::scan, all, both, both.outputs());
  Tensors result = spread(outputs, moving, carries);
  append(result, spread(outputs, result_moves, slices_at + result_moves.size()));
  if (attrs.saves) append(result, spread(outputs, moving, both.body->outputs.size() + carries));
  return result;
}

// From the last step to the first, with the carries that were kept, or else are computed again. The carry is
// that of cotangents, and the sums of those of what is captured.
Tensors pull_scan(const Call& call, Cotangents given, const InputSet& asked) {
  const auto& attrs = call.attrs.as<ScanAttrs>();
  const ScanInputs inputs(list(call.inputs), attrs);
  const size_t carries = inputs.carry.size(), slices = inputs.slices.size(), results = attrs.results();
  std::vector<bool> wanted;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    wanted.push_back(is_differentiable(call.inputs[i].dtype()) && asked.has(i));
  const std::vector<bool> moving = moving_carry(*attrs.body, wanted, carries);
  std::copy(moving.begin(), moving.end(), wanted.begin());
  const std::vector<bool> sliding = part(wanted, carries, carries + slices),
                          around = from(wanted, carries + slices);
  Tensors saved;
  if (attrs.saves) {
    saved = from(list(call.outputs), carries + results);
  } else {
    ScanAttrs again = attrs;
    again.saves = true;
    saved = from(bind_all(primitives::scan, list(call.inputs), again, again.outputs()), carries + results);
  }
  const Tensors cotangents = list(given), of_results = part(cotangents, carries, carries + results);
  const Tensors of_saved = attrs.saves ? from(cotangents, carries + results) : Tensors(carries);
  const std::vector<bool> has_result = which_defined(of_results), has_saved = which_defined(of_saved);

  Tensors all;
  for (size_t i = 0; i < carries; ++i) {
    if (moving[i]) all.push_back(cotangents[i].defined() ? cotangents[i] : zeros_like(inputs.carry[i]));
  }
  for (size_t i = 0; i < around.size(); ++i) {
    if (around[i]) all.push_back(zeros_like(inputs.captured[i]));
  }
  const size_t slices_at = all.size();
  for (const Tensors& part_of : {saved, inputs.slices, defined_of(of_results), defined_of(of_saved)})
    append(all, part_of);
  const size_t captured_at = all.size();
  append(all, inputs.captured);

  std::vector<Spec> specs = specs_of(all);
  for (size_t i = slices_at; i < captured_at; ++i) specs[i] = one_of(specs[i]);
  Program body = record_unseen(
      [&](const Tensors& at) {
        Tensors primals = part(at, slices_at, slices_at + carries + slices);
        append(primals, from(at, captured_at));
        Tensors of_outputs = spread(at, moving);
        append(of_outputs, spread(at, has_result, slices_at + carries + slices));
        const Tensors pulled = pull_program(*attrs.body, primals, wanted, of_outputs);
        const Tensors of_inputs = spread(pulled, wanted);
        const Tensors extra = spread(at, has_saved, slices_at + carries + slices + count(has_result));
        Tensors outputs;
        for (size_t i = 0; i < carries; ++i) {
          if (moving[i]) outputs.push_back(extra[i].defined() ? of_inputs[i] + extra[i] : of_inputs[i]);
        }
        for (size_t i = 0, sum = count(moving); i < around.size(); ++i) {
          if (around[i]) outputs.push_back(at[sum++] + of_inputs[carries + slices + i]);
        }
        for (size_t i = 0; i < slices; ++i) {
          if (sliding[i]) outputs.push_back(of_inputs[carries + i]);
        }
        return outputs;
      },
      specs);
  const ScanAttrs back{hold(std::move(body)),
                       static_cast<int>(slices_at),
                       static_cast<int>(captured_at - slices_at),
                       attrs.length,
                       !attrs.reverse,
                       false};
  const Tensors outputs = bind_all(primitives::scan, all, back, back.outputs());
  Tensors result = spread(outputs, moving);
  append(result, spread(outputs, sliding, slices_at));
  append(result, spread(outputs, around, count(moving)));
  return result;
}

std::vector<Linearity> scan_linearity(const Attrs& given, const std::vector<Linearity>& inputs) {
  const auto& attrs = given.as<ScanAttrs>();
  const auto carries = static_cast<size_t>(attrs.carries);
  std::vector<Linearity> at = inputs, outputs;
  for (bool changed = true; changed;) {
    outputs = linearity_of(*attrs.body, at);
    changed = false;
    for (size_t i = 0; i < carries; ++i) {
      const Linearity before = std::exchange(at[i], either(at[i], outputs[i]));
      changed |= at[i] != before;
    }
  }
  std::copy_n(at.begin(), carries, outputs.begin());
  if (attrs.saves) append(outputs, part(at, 0, carries));
  return outputs;
}

Tensors batch_scan(const BatchedCall& batched) {
  auto attrs = batched.call.attrs.as<ScanAttrs>();
  const auto carries = static_cast<size_t>(attrs.carries), slices = static_cast<size_t>(attrs.slices);
  const Program& body = *attrs.body;
  std::vector<bool> flags = batched.batched;
  const std::vector<bool> carry = settled(part(flags, 0, carries), [&](const std::vector<bool>& now) {
    std::copy(now.begin(), now.end(), flags.begin());
    return part(depends(body, flags), 0, carries);
  });
  std::copy(carry.begin(), carry.end(), flags.begin());
  std::vector<bool> kept = depends(body, flags);
  std::copy(carry.begin(), carry.end(), kept.begin());
  Tensors inputs = list(batched.call.inputs);
  for (size_t i = 0; i < carries; ++i) {
    if (carry[i]) inputs[i] = batched.lanes(i);
  }
  for (size_t i = carries; i < carries + slices; ++i) {
    if (flags[i]) inputs[i] = moveaxis(inputs[i], 0, 1);
  }
  attrs.body = hold(in_lanes(body, flags, kept, batched));
  if (attrs.saves) append(kept, carry);
  Tensors outputs = bind_all(primitives::scan, inputs, attrs, attrs.outputs());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!kept[i]) {
      outputs[i] = broadcast_to(outputs[i], times(outputs[i].spec(), batched.size).shape);
    } else if (i >= carries) {
      outputs[i] = moveaxis(outputs[i], 1, 0);
    }
  }
  return outputs;
}

}  // namespace

// | `scan` | $(c_{k+1}, y_k) = f(c_k, x_k)$ for $k = 0, 1, \dots$ | $(\dot c_{k+1}, \dot y_k) = f'(c_k, x_k)
// (\dot c_k, \dot x_k)$ | $(\bar c_k, \bar x_k) = f'(c_k, x_k)^T (\bar c_{k+1}, \bar y_k)$, from the last $k$
// to the first |
Primitive primitives::scan("scan", {.batching = batch_scan,
                                    .attrs = ScanAttrs{},
                                    .inputs = {0, kAnyNumber},
                                    .check = check_scan,
                                    .infer = infer_scan,
                                    .derivative = rule<push_scan, pull_scan, kAllInputs | kOutput>(),
                                    .evaluate = evaluate<unroll_scan>,
                                    .dispatch = dispatch<run_scan>,
                                    .num_outputs = kAnyNumber,
                                    .repeats = true});

Tensors scan_in_parts(const ScanAttrs& attrs, const Tensors& inputs, int64_t parts, int64_t stretch) {
  const ScanInputs given(inputs, attrs);
  const size_t carries = given.carry.size(), outputs = attrs.outputs();
  Tensors carry = given.carry;
  std::vector<Tensors> pieces(outputs);
  // Steps from `begin` to `end` in the order of the slices, in stretches of `together` steps.
  const auto run = [&](int64_t begin, int64_t end, int64_t together) {
    const int64_t count = (end - begin) / together;
    ScanAttrs part_of = attrs;
    part_of.length = count;
    part_of.saves = true;
    Tensors all = carry;
    for (const Tensor& slices : given.slices) {
      const Tensor mine = slice_axis(slices, 0, begin, end);
      all.push_back(together == 1 ? mine
                                  : reshape(mine, times(times(one_of(mine.spec()), together), count).shape));
    }
    append(all, given.captured);
    if (together > 1) {
      std::vector<Spec> specs = specs_of(all);
      for (size_t i = carries; i < carries + given.slices.size(); ++i) specs[i] = one_of(specs[i]);
      ScanAttrs inner = attrs;
      inner.length = together;
      inner.saves = true;
      const auto step = [&](const Tensors& at) {
        Tensors results = bind_all(primitives::scan, at, inner, inner.outputs());
        results.resize(outputs);
        return results;
      };
      part_of.body = hold(record_unseen(step, specs));
    }
    const Tensors results = bind_all(primitives::scan, all, part_of, part_of.outputs());
    carry = part(results, 0, carries);
    for (size_t i = carries; i < outputs; ++i) {
      Shape shape = results[i].shape();
      if (together > 1) shape.erase(0), shape[0] = end - begin;
      pieces[i].push_back(reshape(results[i], shape));
    }
  };
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t now = attrs.reverse ? parts - 1 - part : part;
    const int64_t begin = attrs.length * now / parts, end = attrs.length * (now + 1) / parts;
    const int64_t rest = (end - begin) % stretch;
    if (attrs.reverse && rest > 0) run(end - rest, end, 1);
    if (end - rest > begin) run(begin, end - rest, stretch);
    if (!attrs.reverse && rest > 0) run(end - rest, end, 1);
  }
  Tensors results = carry;
  for (size_t i = carries; i < outputs; ++i) {
    if (attrs.reverse) std::ranges::reverse(pieces[i]);
    results.push_back(concat(pieces[i], 0));
  }
  return results;
}

namespace {

const TellsLinearity of_scans(primitives::scan, scan_linearity);
const Hoists out_of_scans(hoisted_from_scans);
const PreparesCall prepared_scans(primitives::scan, prepared<PreparedScan>);

int64_t length_of(const Tensors& slices, std::optional<int64_t> length) {
  for (size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].ndim() == 0)
      fail<ShapeError>("[scan] slices ", i, " are ", describe(slices[i]), ", which has no axis");
    const int64_t extent = slices[i].size(0);
    if (length && *length != extent)
      fail<ShapeError>("[scan] slices ", i, " have ", extent, " steps but there are ", *length);
    length = extent;
  }
  if (!length) fail<ValueError>("[scan] nothing says how many steps there are (give slices, or a length)");
  if (*length < 0) fail<ValueError>("[scan] the length is ", *length);
  return *length;
}

// Whether reverse mode may ask for the carries.
bool any_taped(const Tensors& tensors) {
  return std::ranges::any_of(differentiating_traces(), [&](const Trace* trace) {
    return dynamic_cast<const Tape*>(trace) && std::ranges::any_of(tensors, [&](const Tensor& tensor) {
             return tensor.impl().link(trace->id()) != nullptr;
           });
  });
}

Scan scan_all(const Function& step, const Tensors& carry, const Tensors& slices, int64_t length,
              bool reverse) {
  std::vector<Spec> specs = specs_of(carry);
  for (const Tensor& slice : slices) specs.push_back(one_of(slice.spec()));
  Program body = record_unseen(step, specs);
  if (!body.writes.empty())
    fail<ValueError>("[scan] the step overwrites an argument (return the new value instead)");
  if (body.outputs.size() < carry.size())
    fail<ValueError>("[scan] the step returns ", body.outputs.size(),
                     " tensors, fewer than the carry has: ", carry.size());
  check_same_specs("scan", "carry", specs_of(body, body.outputs, 0, carry.size()), specs_of(carry));
  Tensors inputs = carry, captured;
  append(inputs, slices);
  capture({&body}, captured);
  append(inputs, captured);
  const ScanAttrs attrs{
      hold(std::move(body)), static_cast<int>(carry.size()), static_cast<int>(slices.size()), length, reverse,
      any_taped(inputs)};
  const Tensors outputs = bind_all(primitives::scan, inputs, attrs, attrs.outputs());
  return {part(outputs, 0, carry.size()), part(outputs, carry.size(), attrs.body->outputs.size())};
}

}  // namespace

Tensors lane_by_lane(const BatchedCall& batched) {
  const Call& call = batched.call;
  Tensors slices;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (batched.batched[i]) slices.push_back(call.inputs[i]);
  }
  const Function one = [&](const Tensors& lane) {
    Tensors inputs = list(call.inputs);
    for (size_t i = 0, next = 0; i < inputs.size(); ++i) {
      if (batched.batched[i]) inputs[i] = lane[next++];
    }
    return bind_all(call.primitive, inputs, call.attrs, call.outputs.size());
  };
  return scan(one, {}, slices).results;
}

Scan scan(const Function& step, const Tensors& carry, const Tensors& slices, const ScanOptions& options) {
  const int64_t length = length_of(slices, options.length);
  const int64_t stretch = options.checkpoint_every.value_or(length);
  if (options.checkpoint_every && stretch < 1)
    fail<ValueError>("[scan] checkpoint_every is ", stretch, " but must be positive");
  if (stretch >= length) return scan_all(step, carry, slices, length, options.reverse);
  // A scan over stretches, which keeps the carry of each, of scans; and one over what is left.
  const int64_t whole = length / stretch * stretch;
  const auto over = [&](int64_t begin, int64_t end, const Tensors& from_carry) {
    Tensors some;
    for (const Tensor& slice : slices) some.push_back(slice_axis(slice, 0, begin, end));
    return scan_all(step, from_carry, some, end - begin, options.reverse);
  };
  const auto over_stretches = [&](const Tensors& from_carry) {
    Tensors stretches;
    for (const Tensor& slice : slices) {
      Shape shape = times(one_of(slice.spec()), stretch).shape;
      shape.insert(0, length / stretch);
      stretches.push_back(reshape(slice_axis(slice, 0, 0, whole), shape));
    }
    const Function inner = [&](const Tensors& at) {
      Scan done = scan_all(step, part(at, 0, carry.size()), from(at, carry.size()), stretch, options.reverse);
      append(done.carry, done.results);
      return std::move(done.carry);
    };
    Scan done = scan_all(inner, from_carry, stretches, length / stretch, options.reverse);
    for (Tensor& result : done.results) {
      Shape shape = one_of(one_of(result.spec())).shape;
      shape.insert(0, whole);
      result = reshape(result, shape);
    }
    return done;
  };
  if (whole == length) return over_stretches(carry);
  const Scan first = options.reverse ? over(whole, length, carry) : over_stretches(carry);
  const Scan last = options.reverse ? over_stretches(first.carry) : over(whole, length, first.carry);
  const auto& [low, high] = options.reverse ? std::tie(last, first) : std::tie(first, last);
  Scan result{last.carry, {}};
  for (size_t i = 0; i < low.results.size(); ++i)
    result.results.push_back(concat({low.results[i], high.results[i]}, 0));
  return result;
}

}  // namespace tidu
