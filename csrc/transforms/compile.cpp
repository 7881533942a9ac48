// Recording functions with all that changes from call to call, and running what was recorded.
#include "transforms/compile.h"

#include <algorithm>

#include "core/escape.h"

namespace tidu {
namespace {

const Link* ambient_link(const Tensor& tensor) { return tensor.impl().link(Tape::ambient().id()); }

// Whether backward() of the tensor would find its graph.
bool has_graph(const Tensor& tensor) {
  const Link* const link = ambient_link(tensor);
  if (!link) return false;
  Node& node = *static_cast<Node*>(link->value.get());
  if (!node.pin()) return false;
  node.unpin();
  return true;
}

// Equal for arguments that one recording serves.
std::string kind_of(std::span<const Tensor> arguments) {
  std::string kind;
  const auto add = [&](const auto& value) {
    kind.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  for (const Tensor& argument : arguments) {
    add(argument.dtype()), add(argument.device().type), add(argument.device().index), add(argument.ndim());
    for (int i = 0; i < argument.ndim(); ++i) add(argument.size(i)), add(argument.strides()[i]);
  }
  add(is_grad_enabled());
  return kind;
}

}  // namespace

Compiled::Compiled(const Function& function, std::span<const Tensor> like) {
  const GradJournal journal;
  Captured captured = capture(
      [&](const Tensors& arguments) {
        const Tensors results = function(arguments);
        has_graph_ = std::ranges::any_of(results, has_graph);
        return results;
      },
      like);
  program_ = std::move(captured.program);
  closed_over_ = std::move(captured.closed_over);
  hooks_ = std::move(captured.hooks);
  must_have_no_grad_ = journal.must_have_none();
}

// Whether some trace would miss what is computed unseen.
bool Compiled::is_watched(std::span<const Tensor> inputs) const {
  for (const VisibleTrace& visible : visible_traces()) {
    if (!visible.trace->differentiates()) return true;
    // Of what is closed over, the recording says whether results have a graph.
    const bool of_arguments = visible.trace->is_ambient() && !has_graph_;
    const auto relevant = inputs.first(inputs.size() - (of_arguments ? closed_over_.size() : 0));
    const uint64_t id = visible.trace->id();
    if (std::ranges::any_of(relevant, [&](const Tensor& input) { return input.impl().link(id) != nullptr; }))
      return true;
  }
  return false;
}

std::string Compiled::why_stale() const {
  for (const RecordedHook& hook : hooks_) {
    if (std::string reason = hook.why_stale(); !reason.empty()) return reason;
  }
  return "";
}

Tensors Compiled::written(std::span<const Tensor> arguments) const {
  const size_t num_arguments = program_.inputs.size() - closed_over_.size();
  Tensors result;
  for (const Program::Write& write : program_.writes) {
    const auto i = static_cast<size_t>(write.input);
    result.push_back(i < num_arguments ? arguments[i] : closed_over_[i - num_arguments]);
  }
  return result;
}

std::string Compiled::explain() const { return program_.to_string(); }

Tensors Compiled::operator()(std::span<const Tensor> arguments, bool advance) const {
  for (const Ref<Node>& leaf : must_have_no_grad_) {
    if (leaf->grad.value.defined()) {
      fail<ValueError>("[compile] a tensor that the function closes over has a grad from before the call, to ",
                       "which it would add (call zero_grad first, in the function or before it)");
    }
  }
  for (const RecordedHook& hook : hooks_) hook.before();
  Tensors inputs(arguments.begin(), arguments.end());
  inputs.insert(inputs.end(), closed_over_.begin(), closed_over_.end());
  for (const Tensor& input : inputs) check_thread(input, "compile");
  Tensors results;
  if (is_watched(inputs)) {
    results = program_(inputs);
  } else {
    const VisibleTraces none(nullptr);
    results = program_(inputs);
  }
  for (const RecordedHook& hook : hooks_) {
    if (advance) hook.after();
  }
  return results;
}

Function compile(Function function) {
  struct Cache {
    std::mutex mutex;
    std::map<std::string, std::shared_ptr<const Compiled>> recordings;
  };
  return [function = std::move(function), cache = std::make_shared<Cache>()](const Tensors& arguments) {
    const std::string kind = kind_of(arguments);
    std::shared_ptr<const Compiled> compiled;
    {
      const std::lock_guard lock(cache->mutex);
      compiled = cache->recordings[kind];
    }
    if (!compiled || !compiled->why_stale().empty()) {
      compiled = std::make_shared<const Compiled>(function, arguments);
      const std::lock_guard lock(cache->mutex);
      cache->recordings[kind] = compiled;
    }
    return (*compiled)(arguments);
  };
}

}  // namespace tidu
