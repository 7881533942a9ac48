// Cutting a program with its derivative in two, and showing it to a tape.
#include "transforms/taped.h"

#include <algorithm>
#include <mutex>
#include <tuple>

#include "compile/held.h"
#include "compile/simplify.h"
#include "ops/convert.h"
#include "ops/shape.h"
#include "transforms/closure.h"
#include "transforms/custom.h"

namespace tidu {

namespace {

// Which variables depend on inputs from number `begin` on.
std::vector<bool> depending(const Program& program, size_t begin) {
  std::vector<bool> inputs(program.inputs.size(), true);
  std::fill_n(inputs.begin(), begin, false);
  return dependent_variables(program, inputs);
}

// The part of a program that gives what the other part, of the calls that depend on its inputs from `begin`
// on, needs: views and what reads nothing belong to both.
class Cut {
 public:
  // Its first outputs are the results.
  Cut(const Program& joint, size_t begin, size_t results)
      : joint_(joint), begin_(begin), results_(results), depends_(depending(joint, begin)) {
    maker_.resize(joint.variables.size(), -1);
    for (size_t i = 0; i < joint.instructions.size(); ++i) {
      for (int variable : joint.instructions[i].outputs) maker_[variable] = static_cast<int>(i);
    }
    in_backward_.resize(joint.instructions.size(), false);
    for (size_t i = 0; i < joint.instructions.size(); ++i) {
      const Program::Instruction& call = joint.instructions[i];
      if (!std::ranges::any_of(call.outputs, [&](int variable) { return depends_[variable]; })) continue;
      in_backward_[i] = true;
      for (int variable : call.inputs) need(variable);
    }
    for (size_t i = results; i < joint.outputs.size(); ++i) need(joint.outputs[i]);
  }

  Program forward() const {
    Program program = joint_;
    program.inputs.resize(begin_);
    std::erase_if(program.instructions, [&](const Program::Instruction& call) {
      return std::ranges::any_of(call.outputs, [&](int variable) { return depends_[variable]; });
    });
    program.outputs.resize(results_);
    program.outputs.insert(program.outputs.end(), kept_.begin(), kept_.end());
    remove_unused(program);
    return program;
  }

  // Outputs begin .. end - 1, which are no results, of what they read among the program's inputs and, after
  // those by number, among the kept values.
  std::pair<Program, std::vector<size_t>> backward(size_t begin, size_t end) const {
    Program program = joint_;
    std::vector<int> inputs = joint_.inputs;
    inputs.insert(inputs.end(), kept_.begin(), kept_.end());
    program.inputs.clear();
    program.instructions.clear();
    for (size_t i = 0; i < in_backward_.size(); ++i) {
      if (in_backward_[i]) program.instructions.push_back(joint_.instructions[i]);
    }
    program.outputs.assign(joint_.outputs.begin() + static_cast<std::ptrdiff_t>(begin),
                           joint_.outputs.begin() + static_cast<std::ptrdiff_t>(end));
    std::vector<size_t> read;
    const std::vector<bool> is_read = read_by(program);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!is_read[inputs[i]]) continue;
      read.push_back(i);
      program.inputs.push_back(inputs[i]);
    }
    remove_unused(program);
    return {program, read};
  }

 private:
  // Which variables the outputs of a program depend on.
  static std::vector<bool> read_by(const Program& program) {
    std::vector<bool> read(program.variables.size(), false);
    for (int variable : program.outputs) read[variable] = true;
    for (auto call = program.instructions.rbegin(); call != program.instructions.rend(); ++call) {
      if (std::ranges::none_of(call->outputs, [&](int variable) { return read[variable]; })) continue;
      for (int variable : call->inputs) read[variable] = true;
    }
    return read;
  }

  void need(int variable) {
    if (depends_[variable] || std::ranges::find(kept_, variable) != kept_.end()) return;
    if (maker_[variable] < 0) return;  // an input or a constant
    const Program::Instruction& call = joint_.instructions[maker_[variable]];
    if (!call.primitive->view && !call.inputs.empty()) return kept_.push_back(variable);
    in_backward_[maker_[variable]] = true;
    for (int input : call.inputs) need(input);
  }

  const Program& joint_;
  const size_t begin_, results_;
  const std::vector<bool> depends_;
  std::vector<int> maker_, kept_;
  std::vector<bool> in_backward_;
};

// One for each input, undefined where there is none.
Tensors spread_gradients(const Tensors& gradients, const std::vector<bool>& tracked, const Tensors& inputs) {
  std::vector<bool> has;
  for (size_t i = 0; i < inputs.size(); ++i)
    has.push_back(tracked[i] && is_differentiable(inputs[i].dtype()));
  return spread(gradients, has);
}

constexpr size_t kMostSets = 8;  // of results that cotangents come to, which are prepared

// For each output of a program, the number of its family, among those that depend on a tracked input: outputs
// that share a call through which a derivative goes are of one. The first one where a value is given more
// than once; -1: no derivative, or an input as it is.
class Families {
 public:
  Families(const Program& program, const std::vector<bool>& tracked) : program_(program) {
    makers_.resize(program.variables.size(), -1);
    std::vector<bool> has_derivative(program.variables.size(), false);
    for (size_t i = 0; i < tracked.size(); ++i) has_derivative[program.inputs[i]] = tracked[i];
    for (size_t i = 0; i < program.instructions.size(); ++i) {
      const Program::Instruction& call = program.instructions[i];
      const Primitive* const primitive = call.primitive;
      const bool has_rule = primitive == &primitives::custom_vjp || primitive == &primitives::custom_jvp;
      if (!call.differentiable || (!has_rule && std::holds_alternative<Zero>(primitive->derivative)))
        continue;
      if (std::ranges::none_of(call.inputs, [&](int input) { return has_derivative[input]; })) continue;
      for (int variable : call.outputs) {
        has_derivative[variable] = is_differentiable(program.variables[variable].dtype);
        if (has_derivative[variable]) makers_[variable] = static_cast<int>(i);
      }
    }
    owners_.resize(program.instructions.size(), -1);
    for (size_t i = 0; i < program.outputs.size(); ++i) {
      heads_.push_back(static_cast<int>(i));
      const auto first = std::ranges::find(program.outputs, program.outputs[i]) - program.outputs.begin();
      if (static_cast<size_t>(first) == i) reach(program.outputs[i], static_cast<int>(i));
    }
  }

  // The first output of its family, where there is a derivative.
  int of(size_t output) const {
    const int variable = program_.outputs[output];
    return makers_[variable] < 0 ? -1 : head(owners_[makers_[variable]]);
  }

 private:
  int head(int output) const {
    while (heads_[output] != output) output = heads_[output];
    return output;
  }

  void reach(int variable, int output) {
    std::vector<int> waiting{variable};
    while (!waiting.empty()) {
      const int next = waiting.back();
      waiting.pop_back();
      if (makers_[next] < 0) continue;
      int& owner = owners_[makers_[next]];
      if (owner >= 0) {
        const int a = head(owner), b = head(output);
        heads_[std::max(a, b)] = std::min(a, b);
        continue;
      }
      owner = output;
      for (int input : program_.instructions[makers_[next]].inputs) waiting.push_back(input);
    }
  }

  const Program& program_;
  std::vector<int> makers_;  // the calls through which a derivative goes
  std::vector<int> owners_, heads_;
};

}  // namespace

// Inputs of a call as they were.
class Taped::Inputs {
 public:
  explicit Inputs(const Tensors& inputs) {
    for (const Tensor& input : inputs) {
      tensors_.push_back(twin(input, UINT64_MAX));
      for (Link* link = tensors_.back().impl().links.get(); link; link = link->next.get()) link->owned = {};
      versions_.push_back(input.impl().storage->version());
    }
  }

  size_t size() const { return tensors_.size(); }
  const Tensor& operator[](size_t i) const {
    if (tensors_[i].impl().storage->version() == versions_[i]) return tensors_[i];
    fail<GradientError>("[backward] an input of a compiled function, ", describe(tensors_[i]),
                        ", was overwritten in place after the call, but its derivative needs the value ",
                        "(write to a copy instead)");
  }

 private:
  Tensors tensors_;
  std::vector<uint64_t> versions_;
};

struct Taped::Parts {
  // The pullback of cotangents of one set of results.
  struct Backward {
    std::vector<bool> cotangents;
    std::vector<int> gradients;  // the inputs that they are of
    std::vector<size_t> reads;   // among inputs, cotangents and kept values, in this order
    std::unique_ptr<Executable> run;
  };

  Program program;
  std::vector<bool> tracked;
  std::vector<Spec> outputs;
  std::unique_ptr<Executable> forward;  // gives the results, and what is kept
  std::vector<Backward> backwards;

  const Backward* backward_of(const std::vector<bool>& cotangents) const {
    const auto found = std::ranges::find(backwards, cotangents, &Backward::cotangents);
    return found == backwards.end() ? nullptr : &*found;
  }
};

// What is prepared: at first for the cotangents of all results of a family, then for those that came.
class Taped::Plan {
 public:
  Plan(const Program& program, Layouts layouts, std::vector<bool> tracked)
      : program_(program), tracked_(std::move(tracked)), strides_(layouts.begin(), layouts.end()) {
    const Families of_program(program, tracked_);
    std::vector<std::vector<size_t>> by_head(program.outputs.size());
    for (size_t i = 0; i < program.outputs.size(); ++i) {
      const int variable = program.outputs[i];
      const auto first =
          static_cast<size_t>(std::ranges::find(program.outputs, variable) - program.outputs.begin());
      const auto input = std::ranges::find(program.inputs, variable) - program.inputs.begin();
      same_.push_back(first);
      inputs_.push_back(static_cast<size_t>(input));
      if (first == i && of_program.of(i) >= 0) by_head[static_cast<size_t>(of_program.of(i))].push_back(i);
    }
    for (std::vector<size_t>& family : by_head) {
      if (family.empty()) continue;
      sets_.push_back({set_of(family), false});
      families_.push_back(std::move(family));
    }
    parts_ = prepared();
  }

  // Of outputs, which are different ones.
  const std::vector<std::vector<size_t>>& families() const { return families_; }
  // The first output that is the same value.
  size_t same(size_t output) const { return same_[output]; }
  // The input that is the same value, or their number.
  size_t input(size_t output) const { return inputs_[output]; }

  std::vector<bool> set_of(const std::vector<size_t>& outputs) const {
    std::vector<bool> set(program_.outputs.size(), false);
    for (size_t i : outputs) set[i] = true;
    return set;
  }

  std::shared_ptr<const Parts> parts() {
    const std::lock_guard lock(mutex_);
    if (!parts_) parts_ = prepared();
    return parts_;
  }

  void note(const std::vector<bool>& cotangents) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(sets_, cotangents, &Set::cotangents);
    if (found != sets_.end()) {
      found->came = true;
      return;
    }
    std::erase_if(sets_, [](const Set& set) { return !set.came; });
    if (sets_.size() == kMostSets) return;
    sets_.push_back({cotangents, true});
    parts_ = nullptr;
  }

 private:
  struct Set {
    std::vector<bool> cotangents;
    bool came;
  };

  std::shared_ptr<const Parts> prepared() const;

  const Program program_;
  const std::vector<bool> tracked_;
  const std::vector<Strides> strides_;
  std::vector<std::vector<size_t>> families_;
  std::vector<size_t> same_, inputs_;
  std::mutex mutex_;
  std::vector<Set> sets_;
  std::shared_ptr<const Parts> parts_;
};

std::shared_ptr<const Taped::Parts> Taped::Plan::prepared() const {
  auto parts = std::make_shared<Parts>();
  parts->program = program_;
  // What it does besides is done with the values, and not again for derivatives.
  std::erase_if(parts->program.instructions, [](const auto& call) { return call.outputs.empty(); });
  parts->tracked = tracked_;
  parts->outputs = specs_of_outputs(program_);
  const size_t n = program_.inputs.size(), results = program_.outputs.size();
  std::vector<Spec> specs = specs_of(program_, program_.inputs, 0, n);
  std::vector<Strides> strides = strides_;
  for (size_t i = strides.size(); i < n; ++i) strides.push_back(contiguous_strides(specs[i].shape));
  for (const Spec& output : parts->outputs) {
    specs.push_back(output);
    strides.push_back(contiguous_strides(output.shape));
  }
  Program joint = record_unseen(
      [&](const Tensors& in) {
        const Tensors inputs(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
        const Vjp at_inputs = differentiate(program_, inputs, tracked_);
        Tensors all = at_inputs.outputs;
        for (const Set& set : sets_) {
          Tensors cotangents(results);
          for (size_t i = 0; i < results; ++i) cotangents[i] = set.cotangents[i] ? in[n + i] : Tensor();
          const Tensors gradients = spread_gradients(at_inputs.pullback(cotangents), tracked_, inputs);
          Parts::Backward backward;
          backward.cotangents = set.cotangents;
          for (size_t i = 0; i < n; ++i) {
            if (!gradients[i].defined()) continue;
            backward.gradients.push_back(static_cast<int>(i));
            all.push_back(gradients[i]);
          }
          parts->backwards.push_back(std::move(backward));
        }
        return all;
      },
      specs);
  joint = hoisted(simplify(joint, Loops::kept, strides));
  const Cut cut(joint, n, results);
  const Program forward = cut.forward();
  for (size_t i = results; i < forward.outputs.size(); ++i)
    strides.push_back(contiguous_strides(forward.variables[forward.outputs[i]].shape));
  parts->forward = std::make_unique<Executable>(forward, std::span(strides).first(n));
  size_t begin = results;
  for (Parts::Backward& backward : parts->backwards) {
    const size_t end = begin + backward.gradients.size();
    Program program;
    std::tie(program, backward.reads) = cut.backward(begin, end);
    std::vector<Strides> of_backward;
    for (size_t i : backward.reads) of_backward.push_back(strides[i]);
    backward.run = std::make_unique<Executable>(program, of_backward);
    begin = end;
  }
  return parts;
}

Taped::Taped(const Program& program, Layouts layouts, std::vector<bool> tracked)
    : plan_(std::make_shared<Plan>(program, layouts, std::move(tracked))) {}

// What the tape is shown: the results of one family.
class Taped::Call : public CustomCall {
 public:
  Call(const Tensors& inputs, std::shared_ptr<const Inputs> held, std::shared_ptr<Plan> plan,
       std::shared_ptr<const Parts> parts, const std::vector<size_t>& family, const Tensors& results)
      : CustomCall(inputs),
        held_(std::move(held)),
        plan_(std::move(plan)),
        parts_(std::move(parts)),
        family_(family) {
    const size_t count = parts_->outputs.size(), first = inputs.size() + count;
    for (size_t i : family) outputs_.push_back(results[i]);
    kept_.resize(results.size() - count);
    for (const Parts::Backward& backward : parts_->backwards) {
      if (!is_mine(backward)) continue;
      for (size_t i : backward.reads) {
        if (i >= first) kept_[i - first] = results[count + i - first];
      }
    }
  }

  const Tensors& outputs() override { return outputs_; }

  Function pullback() override {
    return [held = held_, kept = kept_, plan = plan_, parts = parts_,
            family = family_](const Tensors& of_family) {
      const Inputs& inputs = *held;
      const size_t n = inputs.size();
      std::vector<bool> came(parts->outputs.size(), false);
      Tensors cotangents(came.size());
      for (size_t k = 0; k < family.size(); ++k) {
        came[family[k]] = of_family[k].defined();
        cotangents[family[k]] = of_family[k];
      }
      const Parts::Backward* const backward = parts->backward_of(came);
      plan->note(came);
      if (!backward || !visible_traces().empty()) {
        // Somebody differentiates the derivative, by the inputs too; or nobody was prepared.
        Tensors values;
        for (size_t i = 0; i < n; ++i) values.push_back(inputs[i]);
        const Vjp at_inputs = differentiate(parts->program, values, parts->tracked);
        return spread_gradients(at_inputs.pullback(cotangents), parts->tracked, values);
      }
      Tensors arguments, of_inputs(n);
      for (size_t i : backward->reads) {
        arguments.push_back(i < n                 ? inputs[i]
                            : i < n + came.size() ? contiguous(cotangents[i - n])
                                                  : kept[i - n - came.size()]);
      }
      const Tensors gradients = (*backward->run)(arguments);
      for (size_t i = 0; i < gradients.size(); ++i) of_inputs[backward->gradients[i]] = gradients[i];
      return of_inputs;
    };
  }

  Tensors push(const Tensors&) override { fail_on_other_traces(); }
  Tensors push_at(const Tensors&, const Tensors&) override { fail_on_other_traces(); }
  Closed close() override { fail_on_other_traces(); }
  Tensors captured() override { return {}; }

 private:
  [[noreturn]] static void fail_on_other_traces() {
    throw std::logic_error("[compile] a call for reverse mode was shown to another trace");
  }
  bool is_mine(const Parts::Backward& backward) const {
    return std::ranges::any_of(family_, [&](size_t i) { return backward.cotangents[i]; });
  }

  const std::shared_ptr<const Inputs> held_;
  const std::shared_ptr<Plan> plan_;
  const std::shared_ptr<const Parts> parts_;
  const std::vector<size_t> family_;
  Tensors outputs_, kept_;
};

Tensors Taped::operator()(const Tensors& inputs, Trace& tape) const {
  const std::shared_ptr<const Parts> parts = plan_->parts();
  Tensors results = (*parts->forward)(inputs);
  const auto held = std::make_shared<const Inputs>(inputs);
  for (const std::vector<size_t>& family : plan_->families()) {
    Call call(inputs, held, plan_, parts, family, results);
    tape.record_custom(call, true);
  }
  results.resize(parts->outputs.size());
  // What is an input, or given more than once, is one tensor to the tape.
  for (size_t i = 0; i < results.size(); ++i) {
    const size_t input = plan_->input(i), same = plan_->same(i);
    const Tensor& first = input < inputs.size() ? inputs[input] : results[same];
    const Link* const link = first.impl().link(tape.id());
    if (link && !first.is_same(results[i])) set_link(results[i], tape.id(), link->value, link->index);
  }
  return results;
}

}  // namespace tidu
