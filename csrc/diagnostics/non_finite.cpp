// Looking for the first NaN.
#include "diagnostics/non_finite.h"

#include "core/trace.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/print.h"
#include "ops/reduce.h"

namespace tidu {
namespace {

constexpr size_t kMostFound = 1000, kMostText = 400;

bool has_values(const Tensor& x) {
  return x.defined() && !x.is_abstract() && is_floating(x.dtype()) && x.numel() > 0;
}

std::string text_of(std::span<const Tensor> tensors) {
  std::string all;
  for (const Tensor& tensor : tensors) {
    if (!tensor.defined()) continue;
    std::string text = tensor.is_abstract() ? describe(tensor) : str(tensor);
    if (text.size() > kMostText) text = text.substr(0, kMostText) + " ..";
    all += (all.empty() ? "" : ", ") + str(tensor.dtype(), tensor.shape(), " ", text);
  }
  return all;
}

}  // namespace

NonFinite::Kinds NonFinite::kinds_of(std::span<const Tensor> tensors) const {
  Kinds kinds;
  for (const Tensor& tensor : tensors) {
    if (!has_values(tensor)) continue;
    kinds.nan |= item<bool>(any(isnan(tensor)));
    kinds.inf |= infinities_ && item<bool>(any(isinf(tensor)));
  }
  return kinds;
}

void NonFinite::run(const Call& call, const std::function<void()>& kernel) {
  std::optional<Kinds> before;
  if (call.primitive.overwrites) {
    const Watch::Scope quiet(nullptr);
    const VisibleTraces none(nullptr);
    before = kinds_of(call.inputs);
  }
  kernel();
  if (!call.inputs.empty()) look(call.primitive.name, call.inputs, before, call.outputs);
}

Tensors NonFinite::derivative(const Call& call, std::span<const Tensor> given,
                              const std::function<Tensors()>& rule) {
  if (call.primitive.evaluate || call.primitive.dispatch) return rule();  // whose calls are looked at
  Tensors results;
  {
    const Watch::Scope quiet(nullptr);
    results = rule();
  }
  Tensors inputs(call.inputs.begin(), call.inputs.end());
  inputs.insert(inputs.end(), given.begin(), given.end());
  look(str("the derivative of ", call.primitive.name), inputs, {}, results);
  return results;
}

void NonFinite::pull(uint64_t node, const std::function<void()>& pull) {
  const auto found = lines_.find(node);
  const Lines line([source = found == lines_.end() ? Lines::here() : found->second] { return source; });
  pull();
}

void NonFinite::look(const std::string& operation, std::span<const Tensor> inputs,
                     std::optional<Kinds> before, std::span<const Tensor> outputs) {
  const Watch::Scope quiet(nullptr);
  const VisibleTraces none(nullptr);
  const Kinds after = kinds_of(outputs);
  if (!after.any()) return;
  if (!before) before = kinds_of(inputs);
  NonFiniteCall call{.operation = operation, .source = Lines::here()};
  call.gave = after.nan && after.inf ? "NaN and inf" : after.nan ? "NaN" : "inf";
  call.made = (after.nan && !before->nan) || (after.inf && !before->any());
  if (!call.made && found_.size() >= kMostFound) return;
  call.inputs = text_of(inputs), call.outputs = text_of(outputs);
  found_.push_back(call);
  if (!call.made || !stops_) return;
  fail<NonFiniteError>("[detect_nan] ", call.source, call.source.file ? ": " : "", operation, " made ",
                       call.gave, " of ", before->inf ? "infinities" : "finite values", ": ", call.inputs,
                       " gave ", call.outputs);
}

}  // namespace tidu
