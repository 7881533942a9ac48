// Finding pairs, and putting calls that wait for one behind it.
#include "compile/pairs.h"

#include <algorithm>

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"
#include "ops/softmax.h"
#include "program/recorder.h"

namespace tidu {
namespace {

using Instruction = Program::Instruction;

// What stands for both, whose inputs are those of the second one, which begin with those of the first one.
struct Pair {
  const Primitive *first, *second, *both;
  bool (*agree)(const Attrs& first, const Attrs& second);
};
const Pair kPairs[] = {
    {&primitives::softmax_cross_entropy, &primitives::softmax_cross_entropy_grad,
     &primitives::softmax_cross_entropy_with_grad, [](const Attrs& a, const Attrs& b) { return a == b; }},
    {&primitives::log_softmax, &primitives::softmax, &primitives::log_softmax_with_softmax,
     [](const Attrs& a, const Attrs& b) {
       const auto& [axis, limit] = b.as<SoftmaxAttrs>();
       return a.as<AxisAttrs>().axis == axis && !limit;
     }},
};

const Pair* pair_of(const Instruction& first, const Instruction& second) {
  const auto found = std::ranges::find_if(kPairs, [&](const Pair& pair) {
    return first.primitive == pair.first && second.primitive == pair.second &&
           std::equal(first.inputs.begin(), first.inputs.end(), second.inputs.begin()) &&
           pair.agree(first.attrs, second.attrs);
  });
  return found == std::end(kPairs) ? nullptr : found;
}

bool meet(const std::vector<int>& some, const std::vector<int>& others) {
  return std::ranges::any_of(some, [&](int variable) { return std::ranges::count(others, variable) > 0; });
}

// Makes one call of two, at the place of the later one; calls between that read what the earlier one gives
// come after it. Not where the later one is among these, nor where one of them has an effect.
bool joined(std::vector<Instruction>& calls, size_t early, size_t late, const Instruction& both) {
  std::vector<int> made = calls[early].outputs;
  std::vector<Instruction> before, after;
  for (size_t i = early + 1; i <= late; ++i) {
    const bool waits = meet(calls[i].inputs, made);
    if (waits && (i == late || calls[i].has_effect())) return false;
    if (waits) made.insert(made.end(), calls[i].outputs.begin(), calls[i].outputs.end());
    if (i < late) (waits ? after : before).push_back(calls[i]);
  }
  before.push_back(both);
  std::ranges::move(after, std::ranges::move(before, calls.begin() + static_cast<std::ptrdiff_t>(early)).out);
  calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(late));
  return true;
}

// The program with which rows count computed before the cross-entropy that is call number `at`, so that what
// waits for their number alone does not wait for that.
Program with_counts_apart(Program program, size_t at) {
  const Instruction loss = program.instructions[at];
  const Spec counts = program.variables[loss.outputs[1]];
  const auto& attrs = loss.attrs.as<CrossEntropyAttrs>();
  Program parts = record(
      [&](const Tensors& in) {
        return Tensors{attrs.ignores ? astype(in[0] != attrs.ignore_index, counts.dtype)
                                     : full(counts.shape, 1, counts.dtype, counts.device)};
      },
      std::vector<Spec>{program.variables[loss.inputs[1]]});
  std::vector<int> names(parts.variables.size(), -1);
  names[parts.inputs[0]] = loss.inputs[1];
  names[parts.outputs[0]] = loss.outputs[1];
  const auto renamed = [&](int variable) {
    if (names[variable] < 0) {
      names[variable] = static_cast<int>(program.variables.size());
      program.variables.push_back(parts.variables[variable]);
    }
    return names[variable];
  };
  for (const Program::Constant& constant : parts.constants)
    program.constants.push_back({renamed(constant.variable), constant.value});
  for (Instruction& call : parts.instructions) {
    call.source = loss.source;
    std::ranges::transform(call.inputs, call.inputs.begin(), renamed);
    std::ranges::transform(call.outputs, call.outputs.begin(), renamed);
  }
  program.variables.push_back(counts);
  program.instructions[at].outputs[1] = static_cast<int>(program.variables.size()) - 1;
  program.instructions.insert(program.instructions.begin() + static_cast<std::ptrdiff_t>(at),
                              parts.instructions.begin(), parts.instructions.end());
  return program;
}

}  // namespace

Program with_pairs(Program program) {
  for (size_t late = 0; late < program.instructions.size(); ++late) {
    const Instruction& last = program.instructions[late];
    const auto is_of_pair = [&](const Pair& pair) {
      return last.primitive == pair.first || last.primitive == pair.second;
    };
    if (std::ranges::none_of(kPairs, is_of_pair) ||
        program.variables[last.outputs[0]].device.type != DeviceType::cpu)
      continue;
    for (size_t early = 0; early < late; ++early) {
      const std::vector<Instruction>& calls = program.instructions;
      const bool in_order = pair_of(calls[early], calls[late]) != nullptr;
      const size_t first = in_order ? early : late, second = in_order ? late : early;
      const Pair* const pair = pair_of(calls[first], calls[second]);
      if (!pair) continue;
      const auto join = [&](Program joint, size_t more) {
        Instruction both = joint.instructions[first + more];
        both.primitive = pair->both;
        both.inputs = joint.instructions[second + more].inputs;
        const std::vector<int>& outputs = joint.instructions[second + more].outputs;
        both.outputs.insert(both.outputs.end(), outputs.begin(), outputs.end());
        if (!joined(joint.instructions, early + more, late + more, both)) return false;
        program = std::move(joint);
        return true;
      };
      bool done = join(program, 0);
      if (!done && in_order && pair->first == &primitives::softmax_cross_entropy) {
        Program apart = with_counts_apart(program, first);
        const size_t more = apart.instructions.size() - calls.size();
        done = join(std::move(apart), more);
      }
      if (done) {
        late = early;  // what was between comes again
        break;
      }
    }
  }
  return program;
}

}  // namespace tidu
