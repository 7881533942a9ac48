// Calls of an optimiser's step for some parameters each.
#include "compile/updates.h"

#include <algorithm>

#include "backend/backend.h"
#include "ops/matmul.h"
#include "ops/shape.h"
#include "ops/update.h"

namespace tidu {
namespace {

class Splitter {
 public:
  Splitter(const Program& program, std::span<const Tensor> values)
      : result_(program), values_(values), makers_(values.size(), nullptr), readers_(values.size(), 0) {
    for (const Program::Instruction& call : program.instructions) {
      for (int variable : call.outputs) makers_[static_cast<size_t>(variable)] = &call;
      count_readers(call.inputs);
    }
    count_readers(program.outputs);
    for (const Program::Write& write : program.writes) count_readers({write.variable});
    result_.instructions.clear();
    for (const Program::Instruction& call : program.instructions) {
      if (!visit_update(*call.primitive, call.attrs, [&](const auto& attrs) { split(call, attrs); }))
        result_.instructions.push_back(call);
    }
  }

  Program take() { return std::move(result_); }

 private:
  void count_readers(const std::vector<int>& variables) {
    for (int variable : variables) ++readers_[static_cast<size_t>(variable)];
  }

  bool is_applied_as_computed(int gradient) const {
    const auto at = static_cast<size_t>(gradient);
    const Program::Instruction* const maker = makers_[at];
    if (!maker || maker->primitive != &primitives::matmul || readers_[at] != 1) return false;
    const Tensor& value = values_[at];
    if (value.device().type == DeviceType::cpu) return false;
    Group group{
        .shape = value.shape(), .inputs = {{value.dtype(), value.strides()}}, .steps = {}, .outputs = {}};
    group.product = {0, values_[static_cast<size_t>(maker->inputs[0])].size(-1), {}};
    for (int variable : maker->inputs) {
      const Tensor& factor = values_[static_cast<size_t>(variable)];
      group.product->factors.push_back({factor.dtype(), factor.strides()});
    }
    return backend(value.device()).multiplies(group);
  }

  template <class Attributes> void split(const Program::Instruction& call, const Attributes& attrs) {
    const size_t gradients = call.inputs.size() - (attrs.clocked ? 1 : 0) - static_cast<size_t>(attrs.count);
    std::vector<int> together;
    std::vector<std::vector<int>> calls;
    for (int i = 0; i < attrs.count; ++i) {
      const bool apart = is_applied_as_computed(call.inputs[gradients + static_cast<size_t>(i)]);
      apart ? calls.push_back({i}) : together.push_back(i);
    }
    if (calls.empty()) return result_.instructions.push_back(call);
    // The clock of a call is rows of the whole one at even distances.
    for (size_t begin = 0, end = 0; begin < together.size(); begin = end) {
      end = std::min(begin + 2, together.size());
      const int step = end > begin + 1 ? together[begin + 1] - together[begin] : 1;
      while (end < together.size() && together[end] - together[end - 1] == step) ++end;
      calls.emplace_back(together.begin() + static_cast<std::ptrdiff_t>(begin),
                         together.begin() + static_cast<std::ptrdiff_t>(end));
    }
    for (const std::vector<int>& parameters : calls) add(call, attrs, parameters);
  }

  template <class Attributes>
  void add(const Program::Instruction& call, Attributes attrs, const std::vector<int>& parameters) {
    const int count = attrs.count;
    attrs.count = static_cast<int>(parameters.size());
    Program::Instruction part{call.primitive, attrs, {}, {}, call.differentiable, call.source};
    const size_t groups = (call.inputs.size() - (attrs.clocked ? 1 : 0)) / static_cast<size_t>(count);
    for (size_t group = 0; group < groups; ++group) {
      for (int i : parameters) part.inputs.push_back(call.inputs[group * static_cast<size_t>(count) + i]);
    }
    for (size_t group = 0; group + 1 < groups; ++group) {
      for (int i : parameters) part.outputs.push_back(call.outputs[group * static_cast<size_t>(count) + i]);
    }
    if (attrs.clocked) part.inputs.push_back(rows_of(call.inputs.back(), parameters, call));
    result_.instructions.push_back(std::move(part));
  }

  int rows_of(int clock, const std::vector<int>& parameters, const Program::Instruction& call) {
    Spec rows = result_.variables[static_cast<size_t>(clock)];
    const auto count = static_cast<int64_t>(parameters.size());
    SliceViewAttrs attrs;
    attrs.part.starts = {parameters[0], 0};
    attrs.part.sizes = {count, rows.shape[1]};
    attrs.part.steps = {count > 1 ? parameters[1] - parameters[0] : 1, 1};
    rows.shape[0] = count;
    result_.variables.push_back(rows);
    const int made = static_cast<int>(result_.variables.size()) - 1;
    result_.instructions.push_back(
        {&primitives::slice, attrs, {clock}, {made}, call.differentiable, call.source});
    return made;
  }

  Program result_;
  const std::span<const Tensor> values_;
  std::vector<const Program::Instruction*> makers_;
  std::vector<int> readers_;
};

}  // namespace

bool updates_one(const Program::Instruction& call) {
  int count = 0;
  visit_update(*call.primitive, call.attrs, [&](const auto& attrs) { count = attrs.count; });
  return count == 1;
}

int clock_of(const Program::Instruction& call) {
  int clock = -1;
  visit_update(*call.primitive, call.attrs, [&](const auto& attrs) {
    if (attrs.clocked) clock = call.inputs.back();
  });
  return clock;
}

Program with_updates_apart(const Program& program, std::span<const Tensor> values) {
  return Splitter(program, values).take();
}

}  // namespace tidu
