// Recording functions with all that changes from call to call, and running what was recorded.
#include "transforms/compile.h"

#include <algorithm>

#include "core/escape.h"
#include "grads/grads.h"
#include "ops/assign.h"
#include "ops/convert.h"

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

// Such a target was overwritten under no_grad: it had been refused else when that was recorded.
bool is_leaf(const Tensor& target) { return target.requires_grad() && target.is_leaf(); }

// Equal for arguments that one recording serves.
std::string kind_of(std::span<const Tensor> arguments) {
  std::string kind;
  const auto add = [&](const auto& value) {
    kind.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  for (const Tensor& argument : arguments) {
    add(argument.dtype()), add(argument.device().type), add(argument.device().index), add(argument.ndim());
    for (int i = 0; i < argument.ndim(); ++i) add(argument.size(i)), add(argument.strides()[i]);
    add(argument.requires_grad());
  }
  add(is_switched_off());
  return kind;
}

}  // namespace

Compiled::Compiled(const Function& function, std::span<const Tensor> like, std::vector<int> donated)
    : donated_(std::move(donated)) {
  const GradJournal journal;
  Captured captured = capture(
      [&](const Tensors& arguments) {
        for (size_t i = 0; i < arguments.size(); ++i) {
          Tensor argument = arguments[i];
          if (ambient_link(like[i])) argument.set_requires_grad();
        }
        const Tensors results = function(arguments);
        has_graph_ = std::ranges::any_of(results, has_graph) ||
                     std::ranges::any_of(visible_capture()->renewed(), has_graph);
        return results;
      },
      like);
  program_ = std::move(captured.program);
  closed_over_ = std::move(captured.closed_over);
  hooks_ = std::move(captured.hooks);
  must_have_no_grad_ = journal.must_have_none();
  leaf_changes_ = leaf_changes().load();
  for (const Tensor& tensor : closed_over_) {
    const auto hooks = hooks_of(tensor);
    closures_.push_back({tensor, tensor.requires_grad(), {hooks.begin(), hooks.end()}});
  }
  by_calls_ = program_;
  for (const Program::Write& write : by_calls_.writes) by_calls_.outputs.push_back(write.variable);
  by_calls_.writes.clear();
  for (const Tensor& argument : like) layouts_.push_back(argument.strides());
  for (const Tensor& tensor : closed_over_) layouts_.push_back(tensor.strides());
  executable_ = std::make_unique<Executable>(program_, layouts_, Passes(),
                                             std::vector<Donation>(donated_.begin(), donated_.end()));
}

// What would be lost with the memory, before anything is run.
void Compiled::check_donated(std::span<const Tensor> arguments) const {
  for (const int donated : donated_) {
    const Tensor& argument = arguments[static_cast<size_t>(donated)];
    if (differentiated(argument) != Differentiated::no)
      fail<ValueError>(
          "[compile] argument ", donated, ", ", describe(argument),
          ", is donated, but is being differentiated (donate x.detach().copy(), or do not donate it)");
    for (const Tensor& tensor : closed_over_) {
      if (tensor.impl().storage == argument.impl().storage)
        fail<ValueError>(
            "[compile] argument ", donated, ", ", describe(argument),
            ", is donated, but the function closes over its memory (pass it as the argument alone)");
    }
  }
}

// The traces that would miss what is computed unseen.
Compiled::Watchers Compiled::watchers(std::span<const Tensor> inputs) const {
  Watchers watchers;
  for (const VisibleTrace& visible : visible_traces()) {
    Trace& trace = *visible.trace;
    if (trace.differentiates()) {
      // Of what is closed over, the recording says whether results have a graph.
      const bool of_arguments = trace.is_ambient() && !has_graph_;
      const auto relevant = inputs.first(inputs.size() - (of_arguments ? closed_over_.size() : 0));
      const auto is_known = [&](const Tensor& input) { return input.impl().link(trace.id()) != nullptr; };
      if (std::ranges::none_of(relevant, is_known)) continue;
    }
    watchers.only = ++watchers.count == 1 && dynamic_cast<Tape*>(&trace) ? &trace : nullptr;
  }
  return watchers;
}

Tensors Compiled::run(const Tensors& inputs) const {
  // Where a program is recorded, values may be unknown though no trace is to see what is done here.
  if (std::ranges::any_of(inputs, &Tensor::is_abstract)) return run_by_calls(inputs);
  const auto [count, tape] = watchers(inputs);
  if (count == 0) return (*executable_)(inputs);
  return tape && program_.writes.empty() ? run_taped(inputs, *tape) : run_by_calls(inputs);
}

// Writes as the function itself would: where a derivative depends on a value, what was written to has the
// identity of the value from then on.
Tensors Compiled::run_by_calls(const Tensors& inputs) const {
  check_apart(inputs, program_);
  Tensors results = by_calls_(inputs);
  const auto first = results.begin() + static_cast<std::ptrdiff_t>(program_.outputs.size());
  Tensors values(first, results.end());
  results.erase(first, results.end());
  for (Tensor& result : results) {  // of constants, which may be written to by nobody
    if (!result.is_abstract() && !result.impl().storage->writable()) result = copy(result);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const Tensor& target = inputs[program_.writes[i].input];
    std::optional<GradMode> off;
    if (is_leaf(target)) off.emplace(false);
    check_assign(target, values[i]);
    const bool is_read_later = std::ranges::any_of(program_.writes, [&](const Program::Write& write) {
      return inputs[write.input].impl().storage == values[i].impl().storage;
    });
    if (is_read_later) values[i] = copy(values[i]);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const Tensor& target = inputs[program_.writes[i].input];
    Tensor written = target;
    std::optional<GradMode> off;
    if (is_leaf(target)) off.emplace(false);
    assign(written, values[i]);
    if (written.is_same(target)) continue;
    take_identity(target, written);
    target.impl().version = written.impl().version;
  }
  return results;
}

Tensors Compiled::run_taped(const Tensors& inputs, Trace& tape) const {
  std::vector<bool> tracked;
  for (const Tensor& input : inputs) tracked.push_back(input.impl().link(tape.id()) != nullptr);
  const Taped* taped = nullptr;
  {
    const std::lock_guard lock(mutex_);
    auto found = taped_.find(tracked);
    if (found == taped_.end()) found = taped_.emplace(tracked, Taped(program_, layouts_, tracked)).first;
    taped = &found->second;
  }
  return (*taped)(inputs, tape);
}

std::string Compiled::why_stale() const {
  for (const RecordedHook& hook : hooks_) {
    if (std::string reason = hook.why_stale(); !reason.empty()) return reason;
  }
  for (const Tensor& tensor : closed_over_) {
    if (is_outdated(tensor))
      return "a tensor that it closes over was overwritten with what is differentiated";
  }
  const uint64_t now = leaf_changes();
  if (now == leaf_changes_) return "";
  for (const Closure& closure : closures_) {
    if (closure.tensor.requires_grad() != closure.requires_grad)
      return "requires_grad of a tensor that it closes over was changed";
    const auto is_same = [](const auto& hook, const auto& before) { return hook == before.lock(); };
    if (!std::ranges::equal(hooks_of(closure.tensor), closure.hooks, is_same))
      return "a tensor that it closes over has other hooks of its gradient";
  }
  leaf_changes_ = now;
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

std::string Compiled::explain() const {
  std::string text = executable_->explain();
  if (donated_.empty()) return text;
  const int64_t without = Executable(program_, layouts_).peak_bytes();
  text += "donated:";
  for (const int argument : donated_) text += str(" argument ", argument);
  return text + str("; a first call allocates ", executable_->peak_bytes(), " bytes, without donation ",
                    without, '\n');
}

Tensors Compiled::operator()(std::span<const Tensor> arguments, bool advance) const {
  for (const Ref<Node>& leaf : must_have_no_grad_) {
    if (grad_of(*leaf).defined()) {
      fail<ValueError>(
          "[compile] a tensor that the function closes over has a grad from before the call, to ",
          "which it would add (call zero_grad first, in the function or before it)");
    }
  }
  for (const RecordedHook& hook : hooks_) hook.before();
  Tensors inputs(arguments.begin(), arguments.end());
  inputs.insert(inputs.end(), closed_over_.begin(), closed_over_.end());
  for (const Tensor& input : inputs) check_thread(input, "compile");
  check_donated(arguments);
  Tensors results = run(inputs);
  for (const RecordedHook& hook : hooks_) {
    if (advance) hook.after();
  }
  return results;
}

Function compile(Function function, std::vector<int> donated) {
  struct Cache {
    std::mutex mutex;
    std::map<std::string, std::shared_ptr<const Compiled>> recordings;
  };
  return [function = std::move(function), donated = std::move(donated),
          cache = std::make_shared<Cache>()](const Tensors& arguments) {
    if (visible_capture()) return function(arguments);
    for (const int argument : donated) {
      if (argument < 0 || argument >= std::ssize(arguments))
        fail<ValueError>("[compile] there is no argument ", argument, " to donate, of ", arguments.size());
    }
    const std::string kind = kind_of(arguments);
    std::shared_ptr<const Compiled> compiled;
    {
      const std::lock_guard lock(cache->mutex);
      compiled = cache->recordings[kind];
    }
    if (!compiled || !compiled->why_stale().empty()) {
      compiled = std::make_shared<const Compiled>(function, arguments, donated);
      const std::lock_guard lock(cache->mutex);
      cache->recordings[kind] = compiled;
    }
    return (*compiled)(arguments);
  };
}

}  // namespace tidu
