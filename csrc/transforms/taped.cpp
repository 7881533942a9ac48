// Cutting a program with its derivative in two, and showing it to a tape.
#include "transforms/taped.h"

#include <algorithm>

#include "compile/simplify.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"
#include "transforms/closure.h"

namespace tidu {

struct Taped::Parts {
  Program program;
  std::vector<bool> tracked;
  std::vector<Spec> outputs;
  std::vector<bool> shown;     // which outputs some gradient depends on: the others are no tape's business
  std::vector<int> gradients;  // the inputs that they are of
  // What the pullback reads beside cotangents: inputs, and after the results of `forward` what it keeps.
  std::vector<size_t> kept_inputs;
  std::unique_ptr<Executable> forward, backward;
};

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

  // Of cotangents, inputs and kept values.
  Program backward() const {
    Program program = joint_;
    program.inputs.erase(program.inputs.begin(),
                         program.inputs.begin() + static_cast<std::ptrdiff_t>(begin_));
    for (size_t i : kept_inputs_) program.inputs.push_back(joint_.inputs[i]);
    program.inputs.insert(program.inputs.end(), kept_.begin(), kept_.end());
    program.instructions.clear();
    for (size_t i = 0; i < in_backward_.size(); ++i) {
      if (in_backward_[i]) program.instructions.push_back(joint_.instructions[i]);
    }
    program.outputs.erase(program.outputs.begin(),
                          program.outputs.begin() + static_cast<std::ptrdiff_t>(results_));
    remove_unused(program);
    return program;
  }

  const std::vector<size_t>& kept_inputs() const { return kept_inputs_; }

 private:
  void need(int variable) {
    if (depends_[variable] || std::ranges::find(kept_, variable) != kept_.end()) return;
    for (size_t i = 0; i < begin_; ++i) {
      if (joint_.inputs[i] != variable) continue;
      if (std::ranges::find(kept_inputs_, i) == kept_inputs_.end()) kept_inputs_.push_back(i);
      return;
    }
    if (maker_[variable] < 0) return;  // a constant
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
  std::vector<size_t> kept_inputs_;
};

struct Kept {
  Tensor tensor;
  uint64_t version;
};

}  // namespace

Taped::Taped(const Program& program, Layouts layouts, std::vector<bool> tracked) {
  auto parts = std::make_shared<Parts>();
  parts->program = program;
  parts->tracked = std::move(tracked);
  parts->outputs = specs_of_outputs(program);
  const size_t n = program.inputs.size(), results = program.outputs.size();
  std::vector<Spec> specs = specs_of(program, program.inputs, 0, n);
  std::vector<Strides> strides(layouts.begin(), layouts.end());
  for (size_t i = strides.size(); i < n; ++i) strides.push_back(contiguous_strides(specs[i].shape));
  for (const Spec& output : parts->outputs) {
    if (!is_differentiable(output.dtype)) continue;
    specs.push_back(output);
    strides.push_back(contiguous_strides(output.shape));
  }
  Program joint = record_unseen(
      [&](const Tensors& in) {
        const Tensors inputs(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
        Tensors cotangents, all = program(inputs);
        for (size_t i = 0, next = n; i < results; ++i)
          cotangents.push_back(is_differentiable(parts->outputs[i].dtype) ? in[next++] : Tensor());
        const Tensors gradients = pull_program(program, inputs, parts->tracked, cotangents);
        size_t next = 0;
        for (size_t i = 0; i < n; ++i) {
          if (!parts->tracked[i] || !is_differentiable(specs[i].dtype)) continue;
          if (gradients[next].defined()) {
            parts->gradients.push_back(static_cast<int>(i));
            all.push_back(gradients[next]);
          }
          ++next;
        }
        return all;
      },
      specs);
  for (size_t i = 0, next = n; i < results; ++i) {
    const bool has_cotangent = is_differentiable(parts->outputs[i].dtype);
    std::vector<bool> alone(joint.inputs.size(), false);
    if (has_cotangent) alone[next++] = true;
    const std::vector<bool> reached = depends(joint, alone);
    parts->shown.push_back(has_cotangent && std::find(reached.begin() + static_cast<std::ptrdiff_t>(results),
                                                      reached.end(), true) != reached.end());
  }
  joint = simplify(joint, Loops::kept, strides);
  const Cut cut(joint, n, results);
  parts->kept_inputs = cut.kept_inputs();
  const Program forward = cut.forward(), backward = cut.backward();
  std::vector<Strides> of_backward(strides.begin() + static_cast<std::ptrdiff_t>(n), strides.end());
  for (size_t i : parts->kept_inputs) of_backward.push_back(strides[i]);
  for (size_t i = of_backward.size(); i < backward.inputs.size(); ++i)
    of_backward.push_back(contiguous_strides(backward.variables[backward.inputs[i]].shape));
  parts->forward = std::make_unique<Executable>(forward, std::span(strides).first(n), Passes(),
                                                Executable::Recorded::for_layouts);
  parts->backward =
      std::make_unique<Executable>(backward, of_backward, Passes(), Executable::Recorded::for_layouts);
  parts_ = std::move(parts);
}

// What the tape is shown.
class Taped::Call : public CustomCall {
 public:
  Call(Tensors inputs, std::shared_ptr<const Parts> parts)
      : CustomCall(std::move(inputs)), parts_(std::move(parts)) {
    outputs_ = (*parts_->forward)(inputs_);
    kept_.assign(outputs_.begin() + static_cast<std::ptrdiff_t>(parts_->outputs.size()), outputs_.end());
    outputs_.resize(parts_->outputs.size());
    all_ = outputs_;
    std::erase_if(outputs_, [&, i = size_t{0}](const Tensor&) mutable { return !parts_->shown[i++]; });
  }

  const Tensors& all() const { return all_; }

  const Tensors& outputs() override { return outputs_; }

  Function pullback() override {
    std::vector<Kept> inputs;
    for (const Tensor& input : inputs_) {
      const Tensor same = twin(input, UINT64_MAX);
      for (Link* link = same.impl().links.get(); link; link = link->next.get()) link->owned = {};
      inputs.push_back({same, input.impl().storage->version()});
    }
    return [inputs = std::move(inputs), kept = kept_, parts = parts_](const Tensors& of_shown) {
      Tensors cotangents;
      for (size_t i = 0, next = 0; i < parts->outputs.size(); ++i)
        cotangents.push_back(parts->shown[i] ? of_shown[next++] : Tensor());
      Tensors of_inputs(inputs.size()), values;
      for (const Kept& input : inputs) {
        values.push_back(input.tensor);
        if (input.tensor.impl().storage->version() == input.version) continue;
        fail<GradientError>("[backward] an input of a compiled function, ", describe(input.tensor),
                            ", was overwritten in place after the call, but its derivative may need the ",
                            "value (write to a copy instead)");
      }
      if (!visible_traces().empty()) {
        // Somebody differentiates the derivative, by the inputs too.
        const Tensors gradients = pull_program(parts->program, values, parts->tracked, cotangents);
        size_t next = 0;
        for (size_t i = 0; i < values.size(); ++i) {
          if (parts->tracked[i] && is_differentiable(values[i].dtype())) of_inputs[i] = gradients[next++];
        }
        return of_inputs;
      }
      Tensors arguments;
      for (size_t i = 0; i < cotangents.size(); ++i) {
        const Spec& spec = parts->outputs[i];
        if (!is_differentiable(spec.dtype)) continue;
        arguments.push_back(cotangents[i].defined() ? contiguous(cotangents[i])
                                                    : zeros(spec.shape, spec.dtype, spec.device));
      }
      for (size_t i : parts->kept_inputs) arguments.push_back(values[i]);
      arguments.insert(arguments.end(), kept.begin(), kept.end());
      const Tensors gradients = (*parts->backward)(arguments);
      for (size_t i = 0; i < gradients.size(); ++i) of_inputs[parts->gradients[i]] = gradients[i];
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

  const std::shared_ptr<const Parts> parts_;
  Tensors all_, outputs_, kept_;
};

Tensors Taped::operator()(const Tensors& inputs, Trace& tape) const {
  Call call(inputs, parts_);
  if (!call.outputs().empty()) tape.record_custom(call, true);
  return call.all();
}

}  // namespace tidu
