// Functions of the host as calls.
#include "transforms/callback.h"

#include <algorithm>
#include <iostream>

#include "core/bind.h"
#include "core/escape.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/print.h"
#include "ops/shape.h"
#include "program/capture.h"
#include "transforms/closure.h"

namespace tidu {
namespace {

// One function is one object, however many calls hold it.
struct HostFunction {
  struct Held {
    Function function;
    std::vector<Spec> results;
    LanesOf lanes;
    std::vector<Ref<Storage>> outdated;  // what a compiled function has written to by then, as it seems
  };
  std::shared_ptr<const Held> held;

  const Held* operator->() const { return held.get(); }
  bool operator==(const HostFunction&) const = default;
};
uint64_t hash_value(const HostFunction& function) { return std::hash<const void*>()(function.held.get()); }

struct CallbackAttrs {
  HostFunction function;
  Dims lanes;  // the extents of the first axes of all inputs and outputs
  void fields(auto&& field) const { field("function", function), field("lanes", lanes); }
};

Spec in_lanes(Spec spec, const Dims& lanes) {
  for (int i = 0; i < lanes.size(); ++i) spec.shape.insert(i, lanes[i]);
  return spec;
}

void infer_callback(const SpecCall& call, std::span<Spec> outputs) {
  const auto& [function, lanes] = call.attrs.as<CallbackAttrs>();
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = in_lanes(function->results[i], lanes);
}

// The same memory, which the function must not write to: it is that of a program. That of a device, which has
// a queue, is copied.
Tensor read_only(const Tensor& x) {
  if (x.device().type != DeviceType::cpu) return copy(x);
  return Tensor::from_memory(x.raw_data(), x.shape(), x.strides(), x.dtype(), std::make_shared<Tensor>(x), {},
                             false);
}

// The function's results, which are as it was said that they would be.
Tensors checked(const HostFunction& function, const Tensors& arguments, const Dims& lanes) {
  Tensors given;
  for (const Tensor& argument : arguments) given.push_back(read_only(argument));
  const Tensors results = [&] {
    const Outdated until_the_end(function->outdated);
    return function->function(given);
  }();
  std::vector<Spec> want;
  for (const Spec& spec : function->results) want.push_back(in_lanes(spec, lanes));
  if (results.size() != want.size())
    fail<ValueError>("[pure_callback] the function gave ", results.size(), " tensors, not ", want.size());
  Tensors placed;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!(results[i].shape() == want[i].shape) || results[i].dtype() != want[i].dtype)
      fail<ShapeError>("[pure_callback] result ", i, " of the function is ", describe(results[i]),
                       " but was to be ", want[i], " (use reshape or astype, or say what it is)");
    const Tensor placed_there = to(results[i], want[i].device);
    placed.push_back(placed_there.impl().storage->writable() ? placed_there : copy(placed_there));
  }
  return placed;
}

Tensors call_back(const Call& call) {
  const auto& [function, lanes] = call.attrs.as<CallbackAttrs>();
  const Tensors inputs = list(call.inputs);
  if (lanes.empty() || function->lanes == LanesOf::all) return checked(function, inputs, lanes);
  int64_t count = 1;
  for (const int64_t extent : lanes) count *= extent;
  // Elements along one axis of all lanes.
  const auto joined = [&](const Tensor& tensor) {
    Shape shape{count};
    for (int i = lanes.size(); i < tensor.ndim(); ++i) shape.push_back(tensor.size(i));
    return reshape(tensor, shape);
  };
  Tensors flat, results;
  for (const Tensor& input : inputs) flat.push_back(joined(input));
  for (const Spec& spec : function->results) {
    const Spec all = in_lanes(spec, lanes);
    results.push_back(Tensor::empty(all.shape, all.dtype, all.device));
  }
  for (int64_t lane = 0; lane < count; ++lane) {
    Tensors arguments;
    for (const Tensor& input : flat) arguments.push_back(select(input, 0, lane));
    const Tensors one = checked(function, arguments, {});
    for (size_t i = 0; i < one.size(); ++i) {
      Tensor place = select(joined(results[i]), 0, lane);
      assign(place, one[i]);
    }
  }
  return results;
}

// Calls the function where its arguments have values, unless a program is to do that when it runs.
void dispatch_callback(const Call& call) {
  const bool is_abstract = std::ranges::any_of(call.inputs, &Tensor::is_abstract);
  const bool is_deferred = call.primitive.effect && std::ranges::any_of(visible_traces(), [&](auto& visible) {
                             return visible.trace->defers(call.inputs);
                           });
  if (is_abstract || is_deferred) {
    std::vector<Spec> specs(call.outputs.size());
    infer_callback({call.primitive, call.inputs, call.attrs}, specs);
    for (size_t i = 0; i < specs.size(); ++i)
      call.outputs[i] = Tensor::unknown(specs[i].shape, specs[i].dtype, specs[i].device);
  } else {
    const VisibleTraces none(nullptr);
    const Tensors results = call_back(call);
    for (size_t i = 0; i < results.size(); ++i) call.outputs[i] = own(results[i]);
  }
  show(call);
}

Tensors batch_callback(const BatchedCall& batched) {
  auto attrs = batched.call.attrs.as<CallbackAttrs>();
  attrs.lanes.insert(0, batched.size);
  Tensors inputs, outputs(batched.call.outputs.size());
  for (size_t i = 0; i < batched.call.inputs.size(); ++i) inputs.push_back(batched.lanes(i));
  tidu::bind(batched.call.primitive, inputs, attrs, outputs);
  return outputs;
}

}  // namespace

namespace primitives {

constexpr Attributes::Unsaved kHost{"it calls a function of the host"};

// | `pure_callback` | what your function gives | none: `custom_jvp` around it | none: `custom_vjp` around it
// |
Primitive pure_callback("pure_callback",
                        {.batching = batch_callback,
                         .attrs = kHost,
                         .inputs = {0, kAnyNumber},
                         .infer = infer_callback,
                         .derivative = Opaque{"it computes outside of tidu (give a rule by custom_vjp or "
                                              "custom_jvp around it)"},
                         .dispatch = dispatch_callback,
                         .num_outputs = kAnyNumber,
                         .flops = no_flops});
// | `debug_callback` | no result | | |
Primitive debug_callback("debug_callback", {.batching = batch_callback,
                                            .attrs = kHost,
                                            .inputs = {0, kAnyNumber},
                                            .infer = infer_callback,
                                            .derivative = Zero{},
                                            .dispatch = dispatch_callback,
                                            .num_outputs = 0,
                                            .effect = true,
                                            .flops = no_flops});

}  // namespace primitives

namespace {

Attrs attrs_of(Function function, std::vector<Spec> results, LanesOf lanes) {
  const Capture* const capture = visible_capture();
  return CallbackAttrs{{std::make_shared<const HostFunction::Held>(HostFunction::Held{
                           std::move(function), std::move(results), lanes,
                           capture ? capture->overwritten() : std::vector<Ref<Storage>>()})},
                       {}};
}

}  // namespace

Tensors pure_callback(const Function& function, const std::vector<Spec>& results, const Tensors& arguments,
                      LanesOf lanes) {
  Tensors outputs(results.size());
  tidu::bind(primitives::pure_callback, arguments, attrs_of(function, results, lanes), outputs);
  return outputs;
}

void debug_callback(std::function<void(const Tensors&)> function, const Tensors& arguments) {
  const Function without_results = [function = std::move(function)](const Tensors& values) {
    function(values);
    return Tensors();
  };
  tidu::bind(primitives::debug_callback, arguments, attrs_of(without_results, {}, LanesOf::one), {});
}

void debug_print(const std::string& format, const Tensors& arguments) {
  const auto print = [format](const Tensors& values) {
    std::string line;
    size_t next = 0, begin = 0;
    for (size_t at; (at = format.find("{}", begin)) != std::string::npos && next < values.size();
         begin = at + 2) {
      line += format.substr(begin, at - begin) + str(values[next++]);
    }
    std::cout << line + format.substr(begin) + '\n' << std::flush;
  };
  debug_callback(print, arguments);
}

}  // namespace tidu
