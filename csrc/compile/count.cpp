// Counting operations, traffic and memory.
#include "compile/count.h"

#include <algorithm>
#include <set>

#include "compile/outline.h"
#include "compile/plan.h"

namespace tidu {
namespace {

// What one pass over all elements reads or writes.
int64_t bytes_of(const Tensor& value) {
  int64_t count = 1;
  for (int i = 0; i < value.ndim(); ++i) {
    if (value.strides()[i] != 0 || value.size(i) == 0) count *= value.size(i);
  }
  return count * static_cast<int64_t>(size_of(value.dtype()));
}

Flops flops_of(const Program& program, const Program::Instruction& call) {
  const Primitive& primitive = *call.primitive;
  if (!primitive.flops) fail<std::logic_error>("[", primitive.name, "] does not say what it costs");
  std::vector<Spec> inputs, outputs;
  for (int variable : call.inputs) inputs.push_back(program.variables[variable]);
  for (int variable : call.outputs) outputs.push_back(program.variables[variable]);
  return primitive.flops({primitive, inputs, call.attrs}, outputs);
}

// Elementwise calls of one shape, each of which uses what another one makes. Each group has a time, and what
// it makes is read from memory at later times alone: so no group waits for itself.
class Groups {
 public:
  Groups(const Program& program, const Tensors& values)
      : of_(program.instructions.size(), -1), maker_(values.size(), -1) {
    std::vector<int> ready(values.size(), 0);  // from when on a value is in memory
    for (int now = 0; now < static_cast<int>(of_.size()); ++now) {
      const Program::Instruction& call = program.instructions[now];
      const bool view = is_view(call, values);
      const bool groups = call.primitive->pointwise && !view;
      const auto joins = [&](int variable) {
        return groups && maker_[variable] >= 0 && of_[maker_[variable]] >= 0 &&
               values[variable].shape() == values[call.outputs[0]].shape();
      };
      int time = 0;
      for (int variable : call.inputs)
        time = std::max(time, joins(variable) ? times_[root(of_[maker_[variable]])] : ready[variable]);
      if (groups) {
        of_[now] = static_cast<int>(parents_.size());
        parents_.push_back(of_[now]);
        times_.push_back(time);
        for (int variable : call.inputs) {
          if (!joins(variable)) continue;
          const int other = root(of_[maker_[variable]]);
          if (times_[other] == time) parents_[other] = root(of_[now]);
        }
      }
      for (int variable : call.outputs) {
        maker_[variable] = now;
        ready[variable] = view ? time : time + 1;
      }
    }
  }

  // The group of a call, or -1.
  int of(int call) { return of_[call] < 0 ? -1 : root(of_[call]); }
  // The group that makes a value, or -1.
  int making(int variable) { return maker_[variable] < 0 ? -1 : of(maker_[variable]); }

 private:
  int root(int group) {
    while (parents_[group] != group) group = parents_[group] = parents_[parents_[group]];
    return group;
  }

  std::vector<int> of_, maker_;  // the group of each call, the call that makes each variable
  std::vector<int> parents_, times_;
};

int64_t bytes_in_groups(const Program& program, const Tensors& values) {
  Groups groups(program, values);
  std::set<std::pair<int, int>> read;  // variables by groups
  std::set<int> written;
  int64_t bytes = 0;
  const auto leaves = [&](int variable) {
    if (groups.making(variable) >= 0 && written.insert(variable).second) bytes += bytes_of(values[variable]);
  };
  for (int now = 0; now < static_cast<int>(program.instructions.size()); ++now) {
    const Program::Instruction& call = program.instructions[now];
    const int group = groups.of(now);
    const bool view = is_view(call, values);
    for (int variable : std::set<int>(call.inputs.begin(), call.inputs.end())) {
      if (group >= 0 && groups.making(variable) == group) continue;
      leaves(variable);
      if (view || (group >= 0 && !read.insert({group, variable}).second)) continue;
      bytes += bytes_of(values[variable]);
    }
    if (group >= 0 || view) continue;
    for (int variable : call.outputs) bytes += bytes_of(values[variable]);
  }
  for (int variable : program.outputs) leaves(variable);
  for (const Program::Write& write : program.writes) leaves(write.variable);
  return bytes;
}

}  // namespace

Cost cost_of(const Program& program) {
  Cost cost;
  const Tensors values = outline(program);
  for (const Program::Instruction& call : program.instructions) {
    if (is_view(call, values)) continue;
    ++cost.calls;
    if (!call.primitive->view) cost.flops += flops_of(program, call);
    for (int variable : std::set<int>(call.inputs.begin(), call.inputs.end()))
      cost.bytes += bytes_of(values[variable]);
    for (int variable : call.outputs) cost.bytes += bytes_of(values[variable]);
  }
  cost.bytes_in_groups = bytes_in_groups(program, values);
  for (int variable : program.inputs) cost.argument_bytes += bytes_of(values[variable]);
  for (const Program::Constant& constant : program.constants)
    cost.argument_bytes += bytes_of(values[constant.variable]);
  const std::vector<Lifetime> lifetimes = lifetimes_of(program);
  cost.peak_bytes = peak_bytes(lifetimes);
  cost.arena_bytes = arena_for(lifetimes).bytes;
  return cost;
}

}  // namespace tidu
