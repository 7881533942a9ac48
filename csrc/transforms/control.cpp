// Loops and branches as calls that hold programs.
//
// A rule is again such a call: its program is recorded from the derivative of the program that the call
// holds. What the programs close over and a trace knows is an input of the call, so every transform finds it.
#include "transforms/control.h"

#include <algorithm>

#include "core/bind.h"
#include "core/program.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "transforms/closure.h"
#include "transforms/vmap.h"

namespace tidu {
namespace {

// --- Lists

template <class T> std::vector<T> part(const std::vector<T>& all, size_t begin, size_t end) {
  return {all.begin() + static_cast<int64_t>(begin), all.begin() + static_cast<int64_t>(end)};
}
template <class T> std::vector<T> from(const std::vector<T>& all, size_t begin) {
  return part(all, begin, all.size());
}
Tensors list(std::span<const Tensor> tensors) { return {tensors.begin(), tensors.end()}; }
template <class T> void append(std::vector<T>& all, const std::vector<T>& more) {
  all.insert(all.end(), more.begin(), more.end());
}
std::vector<Spec> specs_of(const Tensors& tensors) {
  std::vector<Spec> specs;
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec());
  return specs;
}
Tensors defined_of(const Tensors& tensors) {
  Tensors result = tensors;
  std::erase_if(result, [](const Tensor& tensor) { return !tensor.defined(); });
  return result;
}
// The next of `tensors` for each place that `has` one, undefined elsewhere.
Tensors spread(const Tensors& tensors, const std::vector<bool>& has, size_t first = 0) {
  Tensors result(has.size());
  for (size_t i = 0; i < has.size(); ++i) {
    if (has[i]) result[i] = tensors.at(first++);
  }
  return result;
}
size_t count(const std::vector<bool>& flags) { return static_cast<size_t>(std::ranges::count(flags, true)); }
std::vector<bool> which_defined(const Tensors& tensors) {
  std::vector<bool> result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.defined());
  return result;
}
std::vector<bool> which_float(const Tensors& tensors) {
  std::vector<bool> result;
  for (const Tensor& tensor : tensors) result.push_back(is_differentiable(tensor.dtype()));
  return result;
}

// The specs of a program's inputs or outputs from number `begin` on.
std::vector<Spec> specs_of(const Program& program, const std::vector<int>& variables, size_t begin,
                           size_t end) {
  std::vector<Spec> specs;
  for (size_t i = begin; i < end; ++i) specs.push_back(program.variables[variables[i]]);
  return specs;
}
Spec times(Spec spec, int64_t length) {
  spec.shape.insert(0, length);
  return spec;
}
Spec one_of(Spec spec) {
  spec.shape.erase(0);
  return spec;
}

ProgramField field_of(Program program) { return {shared(std::move(program))}; }

Tensors bind_all(const Primitive& primitive, const Tensors& inputs, const Attrs& attrs, size_t outputs) {
  Tensors result(outputs);
  tidu::bind(primitive, inputs, attrs, result);
  return result;
}

template <Tensors (*compute)(const Call&)> void evaluate(const Call& call) {
  std::ranges::copy(compute(call), call.outputs.begin());
}
// Computes, unseen, where all inputs have values, and shows the call: where one has none, nothing says which
// way it goes. The results get identities of their own: a program may return an input or a constant.
template <Tensors (*compute)(const Call&)> void dispatch(const Call& call) {
  if (std::ranges::any_of(call.inputs, &Tensor::is_abstract)) {
    std::vector<Spec> specs(call.outputs.size());
    call.primitive.infer({call.primitive, call.inputs, call.attrs}, specs);
    for (size_t i = 0; i < specs.size(); ++i)
      call.outputs[i] = Tensor::unknown(specs[i].shape, specs[i].dtype, specs[i].device);
  } else {
    const VisibleTraces none(nullptr);
    const Tensors results = compute(call);
    for (size_t i = 0; i < results.size(); ++i) call.outputs[i] = alias(results[i]);
  }
  show(call);
}

// Which outputs of a program depend on inputs of the set.
std::vector<bool> depends(const Program& program, const std::vector<bool>& inputs) {
  std::vector<bool> moves(program.variables.size());
  for (size_t i = 0; i < inputs.size(); ++i) moves[program.inputs[i]] = inputs[i];
  for (const Program::Instruction& call : program.instructions) {
    const bool any = std::ranges::any_of(call.inputs, [&](int variable) { return moves[variable]; });
    for (int variable : call.outputs) moves[variable] = any;
  }
  std::vector<bool> result;
  for (int variable : program.outputs) result.push_back(moves[variable]);
  return result;
}

// The flags of a carry, of which more are set until a step sets no more.
template <class After> std::vector<bool> settled(std::vector<bool> carry, const After& after_step) {
  for (;;) {
    const std::vector<bool> after = after_step(carry);
    bool changed = false;
    for (size_t i = 0; i < carry.size(); ++i) {
      changed |= after[i] && !carry[i];
      carry[i] = carry[i] || after[i];
    }
    if (!changed) return carry;
  }
}

// A program for many lanes, where the inputs of `batched` and the outputs of `kept` have them.
Program in_lanes(const Program& program, const std::vector<bool>& batched, const std::vector<bool>& kept,
                 int64_t size) {
  std::vector<Spec> specs;
  for (size_t i = 0; i < batched.size(); ++i) {
    const Spec& spec = program.variables[program.inputs[i]];
    specs.push_back(batched[i] ? times(spec, size) : spec);
  }
  return record_unseen(
      [&](const Tensors& inputs) {
        std::vector<Lanes> lanes;
        for (size_t i = 0; i < inputs.size(); ++i)
          lanes.push_back({batched[i] ? Lanes::apart : Lanes::shared, inputs[i]});
        const LaneRun run(size);
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

// --- scan

struct ScanAttrs {
  ProgramField body;
  int carries, slices;
  int64_t length;
  bool reverse;
  bool saves;  // the carry before each step, in further results
  void fields(auto&& field) const {
    field("carries", carries), field("slices", slices), field("length", length), field("reverse", reverse);
    field("saves", saves), field("body", body);
  }
  size_t results() const { return body->outputs.size() - static_cast<size_t>(carries); }
  size_t outputs() const { return body->outputs.size() + (saves ? static_cast<size_t>(carries) : 0); }
};

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

Tensors run_scan(const Call& call) {
  const auto& attrs = call.attrs.as<ScanAttrs>();
  const ScanInputs inputs(list(call.inputs), attrs);
  const size_t carries = inputs.carry.size();
  std::vector<Spec> specs(call.outputs.size());
  infer_scan({call.primitive, call.inputs, call.attrs}, specs);
  Tensors results = inputs.carry;
  for (size_t i = carries; i < specs.size(); ++i)
    results.push_back(Tensor::empty(specs[i].shape, specs[i].dtype, specs[i].device));
  for (int64_t step = 0; step < attrs.length; ++step) {
    const int64_t at = attrs.reverse ? attrs.length - 1 - step : step;
    const auto keep = [&](size_t i, const Tensor& value) {
      Tensor place = select(results[i], 0, at);
      assign(place, value);
    };
    Tensors arguments = part(results, 0, carries);
    for (size_t i = 0; attrs.saves && i < carries; ++i) keep(attrs.body->outputs.size() + i, arguments[i]);
    for (const Tensor& slice : inputs.slices) arguments.push_back(select(slice, 0, at));
    append(arguments, inputs.captured);
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
  const std::vector<bool> moving = which_float(inputs.carry), sliding = which_defined(tangents.slices),
                          around = which_defined(tangents.captured);
  const size_t carries = inputs.carry.size(), slices = inputs.slices.size();
  std::vector<bool> result_moves;
  for (const Spec& spec : specs_of(*attrs.body, attrs.body->outputs, carries, attrs.body->outputs.size()))
    result_moves.push_back(is_differentiable(spec.dtype));

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
  const ScanAttrs both{field_of(std::move(body)),
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
Tensors pull_scan(const Call& call, Cotangents given, Reads wanted_bits) {
  const auto& attrs = call.attrs.as<ScanAttrs>();
  const ScanInputs inputs(list(call.inputs), attrs);
  const size_t carries = inputs.carry.size(), slices = inputs.slices.size(), results = attrs.results();
  std::vector<bool> wanted;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    wanted.push_back(is_differentiable(call.inputs[i].dtype()) &&
                     (i < carries || (wanted_bits & input_bit(i))));
  const std::vector<bool> moving = part(wanted, 0, carries),
                          sliding = part(wanted, carries, carries + slices),
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
        const Pulled pulled = pull_program(*attrs.body, primals, wanted, of_outputs);
        const Tensors of_inputs = spread(pulled.cotangents, wanted);
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
  const ScanAttrs back{field_of(std::move(body)),
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
  attrs.body = field_of(in_lanes(body, flags, kept, batched.size));
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

// --- cond

struct CondAttrs {
  ProgramField on_true, on_false;
  void fields(auto&& field) const { field("on_true", on_true), field("on_false", on_false); }
};

void infer_cond(const SpecCall& call, std::span<Spec> outputs) {
  const Program& program = *call.attrs.as<CondAttrs>().on_true;
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = program.variables[program.outputs[i]];
}

Tensors run_cond(const Call& call) {
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const ProgramField& taken = item<bool>(call.inputs[0]) ? on_true : on_false;
  return (*taken)(call.inputs.subspan(1));
}

// A branch each from the derivative of each.
template <class Derive> Tensors branch_on(const Call& call, const Tensors& operands, const Derive& derive) {
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const std::vector<Spec> specs = specs_of(operands);
  const auto derived = [&](const Program& program) {
    return field_of(record_unseen([&](const Tensors& at) { return derive(program, at); }, specs));
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

Tensors pull_cond(const Call& call, Cotangents given, Reads wanted_bits) {
  std::vector<bool> wanted;
  for (size_t i = 1; i < call.inputs.size(); ++i)
    wanted.push_back(is_differentiable(call.inputs[i].dtype()) && (wanted_bits & input_bit(i)));
  const Tensors cotangents = list(given);
  const std::vector<bool> has = which_defined(cotangents);
  Tensors operands = list(call.inputs.subspan(1));
  append(operands, defined_of(cotangents));
  const Tensors pulled = branch_on(call, operands, [&](const Program& program, const Tensors& at) {
    return pull_program(program, part(at, 0, wanted.size()), wanted, spread(at, has, wanted.size()))
        .cotangents;
  });
  Tensors result{Tensor()};
  append(result, spread(pulled, wanted));
  return result;
}

// Elements of lanes where the predicate of the lane holds, else others.
Tensor choose(const Tensor& predicate, const Tensor& a, const Tensor& b) {
  Shape shape(a.ndim(), 1);
  shape[0] = predicate.size(0);
  return where(reshape(predicate, shape), a, b);
}

Tensors batch_cond(const BatchedCall& batched) {
  const Call& call = batched.call;
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const std::vector<bool> flags = from(batched.batched, 1), kept(call.outputs.size(), true);
  const Program if_true = in_lanes(*on_true, flags, kept, batched.size),
                if_false = in_lanes(*on_false, flags, kept, batched.size);
  if (!batched.batched[0])
    return bind_all(primitives::cond, list(call.inputs), CondAttrs{field_of(if_true), field_of(if_false)},
                    kept.size());
  const Tensors operands = list(call.inputs.subspan(1));
  Tensors result;
  const Tensors a = if_true(operands), b = if_false(operands);
  for (size_t i = 0; i < a.size(); ++i) result.push_back(choose(call.inputs[0], a[i], b[i]));
  return result;
}

// --- while_loop

struct WhileAttrs {
  ProgramField condition, body;  // of (carry.., captured..)
  void fields(auto&& field) const { field("condition", condition), field("body", body); }
  size_t carries() const { return body->outputs.size(); }
};

void infer_while(const SpecCall& call, std::span<Spec> outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = call.inputs[i];
}

Tensors run_while(const Call& call) {
  const auto& attrs = call.attrs.as<WhileAttrs>();
  Tensors now = list(call.inputs);
  while (item<bool>((*attrs.condition)(now)[0])) std::ranges::copy((*attrs.body)(now), now.begin());
  now.resize(attrs.carries());
  return now;
}

Tensors push_while(const Call& call, Tangents given) {
  const auto& attrs = call.attrs.as<WhileAttrs>();
  const size_t carries = attrs.carries();
  const Tensors inputs = list(call.inputs), tangents = list(given), captured = from(inputs, carries);
  const std::vector<bool> moving = which_float(part(inputs, 0, carries)),
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
  const WhileAttrs both{field_of(std::move(condition)), field_of(std::move(body))};
  return spread(bind_all(primitives::while_loop, all, both, both.carries()), moving, carries);
}

Tensors pull_while(const Call&, Cotangents, Reads) {
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
  std::copy(carry.begin(), carry.end(), flags.begin());
  Tensors inputs = list(batched.call.inputs);
  for (size_t i = 0; i < carries; ++i) {
    if (carry[i]) inputs[i] = batched.lanes(i);
  }
  Program condition = in_lanes(*attrs.condition, flags, {apart}, batched.size),
          body = in_lanes(*attrs.body, flags, carry, batched.size);
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
                             WhileAttrs{field_of(std::move(condition)), field_of(std::move(body))}, carries);
  for (size_t i = 0; i < carries; ++i) {
    if (!carry[i]) outputs[i] = broadcast_to(outputs[i], times(outputs[i].spec(), batched.size).shape);
  }
  return outputs;
}

// --- checkpoint

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
                  CheckpointAttrs{field_of(in_lanes(program, batched.batched, all, batched.size))},
                  all.size());
}

template <auto push, auto pull, Reads read> Custom rule() {
  return {.reads = [](Reads) -> Reads { return read; }, .jvp = push, .vjp = pull};
}

}  // namespace

namespace primitives {

Primitive scan("scan", {.batching = batch_scan,
                        .infer = infer_scan,
                        .derivative = rule<push_scan, pull_scan, kAllInputs | kOutput>(),
                        .evaluate = evaluate<unroll_scan>,
                        .dispatch = dispatch<run_scan>,
                        .num_outputs = kAnyNumber});
Primitive cond("cond", {.batching = batch_cond,
                        .infer = infer_cond,
                        .derivative = rule<push_cond, pull_cond, kAllInputs>(),
                        .evaluate = evaluate<run_cond>,
                        .dispatch = dispatch<run_cond>,
                        .num_outputs = kAnyNumber});
Primitive while_loop("while_loop", {.batching = batch_while,
                                    .infer = infer_while,
                                    .derivative = rule<push_while, pull_while, kAllInputs>(),
                                    .evaluate = evaluate<run_while>,
                                    .dispatch = dispatch<run_while>,
                                    .num_outputs = kAnyNumber});
Primitive checkpoint("checkpoint", {.batching = batch_checkpoint,
                                    .infer = infer_checkpoint,
                                    .derivative = rule<push_checkpoint, pull_checkpoint, kAllInputs>(),
                                    .evaluate = evaluate<run_checkpoint>,
                                    .dispatch = dispatch<run_checkpoint>,
                                    .num_outputs = kAnyNumber});

}  // namespace primitives

// --- The functions

namespace {

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

bool any_tracked(const Tensors& tensors) { return std::ranges::any_of(tensors, is_tracked); }

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
  const ScanAttrs attrs{field_of(std::move(body)),
                        static_cast<int>(carry.size()),
                        static_cast<int>(slices.size()),
                        length,
                        reverse,
                        any_tracked(inputs)};
  const Tensors outputs = bind_all(primitives::scan, inputs, attrs, attrs.outputs());
  return {part(outputs, 0, carry.size()), part(outputs, carry.size(), attrs.body->outputs.size())};
}

}  // namespace

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
  const CondAttrs attrs{field_of(std::move(if_true)), field_of(std::move(if_false))};
  return bind_all(primitives::cond, inputs, attrs, attrs.on_true->outputs.size());
}

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
  return bind_all(primitives::while_loop, inputs,
                  WhileAttrs{field_of(std::move(goes_on)), field_of(std::move(step))}, carry.size());
}

Tensors checkpoint(const Function& function, const Tensors& arguments) {
  Program program = record_unseen(function, specs_of(arguments));
  if (!program.writes.empty()) fail<ValueError>("[checkpoint] the function overwrites an argument");
  Tensors inputs = arguments, captured;
  capture({&program}, captured);
  append(inputs, captured);
  const CheckpointAttrs attrs{field_of(std::move(program))};
  return bind_all(primitives::checkpoint, inputs, attrs, attrs.program->outputs.size());
}

}  // namespace tidu
