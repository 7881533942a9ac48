// Counting operations, traffic and memory.
#include "compile/count.h"

#include <algorithm>
#include <set>

#include "compile/fuse.h"
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
  cost.arena_bytes = placement_of(lifetimes).bytes;
  return cost;
}

}  // namespace tidu
