// Functions that reverse mode computes a second time, as calls that hold their programs.
#include "transforms/control.h"

#include <cmath>
#include <map>
#include <set>

#include "autodiff/rules.h"
#include "compile/chain.h"
#include "compile/count.h"
#include "compile/outline.h"
#include "compile/simplify.h"
#include "program/interpret.h"
#include "transforms/closure.h"
#include "transforms/custom.h"
#include "transforms/scan.h"

namespace tidu {
namespace {

struct CheckpointAttrs {
  ProgramField program;
  void fields(auto&& field) const { field("program", program); }
};

void infer_checkpoint(const SpecCall& call, std::span<Spec> outputs) {
  const Program& program = *call.attrs.as<CheckpointAttrs>().program;
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = program.variables[program.outputs[i]];
}

void check_checkpoint(const SpecCall& call, size_t num_outputs) {
  const Program& program = *call.attrs.as<CheckpointAttrs>().program;
  check_held(call, program, specs_of(call), specs_of_outputs(program));
  require(num_outputs == program.outputs.size(), call, "it has another number of results");
}

Tensors run_checkpoint(const Call& call) { return (*call.attrs.as<CheckpointAttrs>().program)(call.inputs); }

Tensors push_checkpoint(const Call& call, Tangents tangents) {
  const Program& program = *call.attrs.as<CheckpointAttrs>().program;
  Jvp pushed = push_program(program, list(call.inputs), list(tangents));
  for (size_t i = 0; i < pushed.outputs.size(); ++i) {
    if (!is_differentiable(pushed.outputs[i].dtype())) pushed.tangents[i] = {};
  }
  return std::move(pushed.tangents);
}

Tensors pull_checkpoint(const Call& call, Cotangents cotangents, const InputSet& asked) {
  const Program& program = *call.attrs.as<CheckpointAttrs>().program;
  std::vector<bool> wanted;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    wanted.push_back(is_differentiable(call.inputs[i].dtype()) && asked.has(i));
  return spread(pull_reached(program, list(call.inputs), wanted, list(cotangents)), wanted);
}

std::vector<Linearity> checkpoint_linearity(const Attrs& attrs, const std::vector<Linearity>& inputs) {
  return linearity_of(*attrs.as<CheckpointAttrs>().program, inputs);
}

Tensors batch_checkpoint(const BatchedCall& batched) {
  const Program& program = *batched.call.attrs.as<CheckpointAttrs>().program;
  const std::vector<bool> all(batched.call.outputs.size(), true);
  return bind_all(primitives::checkpoint, list(batched.call.inputs),
                  CheckpointAttrs{hold(in_lanes(program, batched.batched, all, batched))}, all.size());
}

}  // namespace

// | `checkpoint` | $y = f(x)$ | $\dot y = f'(x) \dot x$ | $\bar x = f'(x)^T \bar y$, $f$ being computed again
// |
Primitive primitives::checkpoint("checkpoint",
                                 {.batching = batch_checkpoint,
                                  .attrs = CheckpointAttrs{},
                                  .inputs = {0, kAnyNumber},
                                  .check = check_checkpoint,
                                  .infer = infer_checkpoint,
                                  .derivative = rule<push_checkpoint, pull_checkpoint, kAllInputs>(),
                                  .evaluate = evaluate<run_checkpoint>,
                                  .dispatch = dispatch<run_checkpoint>,
                                  .num_outputs = kAnyNumber});

namespace {

const TellsLinearity of_checkpoints(primitives::checkpoint, checkpoint_linearity);

constexpr int kStages = 48;
constexpr int64_t kParts = 32;  // of a long scan

bool is_scan(const Program::Instruction& call) { return call.primitive == &primitives::scan; }

// What a call takes: operations, and bytes that it reads and writes.
double work_of(const Program& program, const Program::Instruction& call) {
  if (is_scan(call)) {
    const auto& attrs = call.attrs.as<ScanAttrs>();
    double step = 0;
    for (const Program::Instruction& inner : attrs.body->instructions) step += work_of(*attrs.body, inner);
    return step * static_cast<double>(attrs.length);
  }
  Program one;
  one.instructions = {{call.primitive, call.attrs, {}, {}}};
  const auto number = [&](int variable) {
    one.variables.push_back(program.variables[variable]);
    return static_cast<int>(one.variables.size()) - 1;
  };
  for (int variable : call.inputs) one.inputs.push_back(number(variable));
  for (int variable : call.outputs) one.outputs.push_back(number(variable));
  one.instructions[0].inputs = one.inputs;
  one.instructions[0].outputs = one.outputs;
  const Cost cost = cost_of(call.primitive->evaluate ? simplify(one) : one);
  return static_cast<double>(cost.flops.total() + cost.bytes);
}

int64_t bytes_of(const Program& program, const std::vector<int>& variables) {
  int64_t bytes = 0;
  for (int variable : variables) {
    const Spec& spec = program.variables[variable];
    bytes += num_elements(spec.shape) * static_cast<int64_t>(size_of(spec.dtype));
  }
  return bytes;
}

// What the reverse mode of a call needs beside what it keeps, where it runs programs that it holds: what they
// compute, and the carries of a scan that did not save them.
int64_t pulling_of(const Program& program, const Program::Instruction& call) {
  int64_t bytes = 0;
  if (is_scan(call) && !call.attrs.as<ScanAttrs>().saves) {
    const auto& attrs = call.attrs.as<ScanAttrs>();
    const std::vector<int> carry(call.inputs.begin(), call.inputs.begin() + attrs.carries);
    bytes += attrs.length * bytes_of(program, carry);
  }
  for (const auto& [name, value] : call.attrs.fields()) {
    const auto* held = std::get_if<std::shared_ptr<const Program>>(&value);
    if (!held || !*held) continue;
    const std::vector<Tensor> values = outline(**held);
    for (const Program::Instruction& inner : (*held)->instructions)
      bytes += (is_view(inner, values) ? 0 : bytes_of(**held, inner.outputs)) + pulling_of(**held, inner);
  }
  return bytes;
}

// A program as a chain: its instructions in order, cut into stages.
class ChainOf {
 public:
  explicit ChainOf(Program program) : program_(std::move(program)), values_(outline(program_)) {
    find_memory();
    find_kept();
    find_cuts();
    for (size_t i = 0; i + 1 < cuts_.size(); ++i) chain_.stages.push_back(measure(cuts_[i], cuts_[i + 1]));
    const auto stage_of = [&](int now) {
      return static_cast<int>(std::ranges::upper_bound(cuts_, now) - cuts_.begin()) - 1;
    };
    for (const auto& [storage, memory] : memory_) {
      const Handed value{stage_of(memory.first), stage_of(memory.last), memory.bytes};
      if (value.made < value.used) chain_.values.push_back(value);
    }
  }

  const Chain& chain() const { return chain_; }

  // The program's results, of which reverse mode keeps what the steps say.
  Tensors operator()(std::span<const Step> steps, const Tensors& inputs) const {
    Tensors values(program_.variables.size());
    for (size_t i = 0; i < inputs.size(); ++i) values[program_.inputs[i]] = inputs[i];
    for (const Program::Constant& constant : program_.constants) values[constant.variable] = constant.value;
    run(steps, values);
    return at(values, program_.outputs);
  }

 private:
  // Runs the instructions of steps on values by variable.
  void run(std::span<const Step> steps, Tensors& values) const {
    for (const Step& step : steps) {
      const int begin = cuts_[step.begin], end = cuts_[step.end];
      if (step.again.empty()) {
        for (int now = begin; now < end; ++now) {
          const Program::Instruction& call = program_.instructions[now];
          const Tensors results = program_.run(call, values);
          for (size_t i = 0; i < results.size(); ++i) values[call.outputs[i]] = results[i];
        }
      } else {
        const auto [needed, left] = boundary(begin, end);
        const Function part_of = [&](const Tensors& inputs) {
          Tensors inside = values;  // constants among them
          for (size_t i = 0; i < needed.size(); ++i) inside[needed[i]] = inputs[i];
          run(step.again, inside);
          return at(inside, left);
        };
        const Tensors results = checkpoint(part_of, at(values, needed));
        for (size_t i = 0; i < left.size(); ++i) values[left[i]] = results[i];
      }
      for (int variable = 0; variable < static_cast<int>(values.size()); ++variable) {
        if (last_[variable] < end) values[variable] = {};
      }
    }
  }

  // Memory that the program allocates, from the call that does to the last that uses it; results stay.
  struct Memory {
    int64_t bytes;
    int first, last;
  };

  static Tensors at(const Tensors& values, const std::vector<int>& variables) {
    Tensors result;
    for (int variable : variables) result.push_back(values[variable]);
    return result;
  }

  void find_memory() {
    const int end = static_cast<int>(program_.instructions.size());
    first_.assign(values_.size(), -1);
    last_.assign(values_.size(), -1);
    const auto use = [&](int variable, int now) {
      last_[variable] = now;
      const auto found = memory_.find(storage(variable));
      if (found != memory_.end()) found->second.last = now;
    };
    for (int now = 0; now < end; ++now) {
      const Program::Instruction& call = program_.instructions[now];
      for (int variable : call.outputs) {
        first_[variable] = now;
        if (!is_view(call, values_))
          memory_[storage(variable)] = {static_cast<int64_t>(values_[variable].nbytes()), now, now};
        use(variable, now);
      }
      for (int variable : call.inputs) use(variable, now);
    }
    for (int variable : program_.outputs) {
      last_[variable] = end;
      memory_.erase(storage(variable));  // kept by who called
    }
  }
  const Storage* storage(int variable) const { return values_[variable].impl().storage.get(); }

  // Bytes that are needed after a call and were made in a stage.
  int64_t live_after(int now, int stage_begin) const {
    int64_t bytes = 0;
    for (const auto& [storage, memory] : memory_) {
      if (memory.first >= stage_begin && memory.first <= now && memory.last > now) bytes += memory.bytes;
    }
    return bytes;
  }

  // What the rule of a call keeps, of the memory that the program allocates.
  template <class Keep> void for_kept(const Program::Instruction& call, const Keep& keep) const {
    Tensors inputs = at(values_, call.inputs), outputs = at(values_, call.outputs);
    Reads tracked = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (is_differentiable(inputs[i].dtype())) tracked |= input_bit(i);
    }
    // What a rule of the user's own keeps is not known before it runs.
    const bool is_ruled =
        call.primitive == &primitives::custom_vjp || call.primitive == &primitives::custom_jvp;
    const Reads reads =
        is_ruled ? kAllInputs | kOutput : kept_of({*call.primitive, inputs, call.attrs, outputs}, tracked);
    const auto keep_memory = [&](int variable) {
      const auto found = memory_.find(storage(variable));
      if (found != memory_.end()) keep(*found);
    };
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (reads & input_bit(i)) keep_memory(call.inputs[i]);
    }
    if (reads & kOutput) std::ranges::for_each(call.outputs, keep_memory);
  }

  void find_kept() {
    for (const Program::Instruction& call : program_.instructions)
      for_kept(call, [&](const auto& memory) { kept_.insert(memory.first); });
  }

  // Whether a call leaves what the next one alone reads, that no rule keeps, and in place of which that
  // leaves as much, which would be handed over just as well.
  bool is_passing(int now) const {
    int next = now + 1;
    const int end = static_cast<int>(program_.instructions.size());
    while (next < end && is_view(program_.instructions[next], values_)) ++next;
    return next < end && live_after(now, 0) == live_after(next, 0) &&
           std::ranges::any_of(memory_, [&](const auto& memory) {
             return memory.second.first <= now && memory.second.last == next && !kept_.contains(memory.first);
           });
  }

  // Between all instructions but those that belong together or, if there are many, where least is live in
  // each of equal shares of the work.
  void find_cuts() {
    const int end = static_cast<int>(program_.instructions.size());
    double total = 0;
    for (const Program::Instruction& call : program_.instructions)
      work_.push_back(total += is_view(call, values_) ? 0 : work_of(program_, call));
    cuts_ = {0};
    int64_t least = INT64_MAX;
    int best = 0;
    for (int now = 0; now < end; ++now) {
      const int64_t live = live_after(now, 0);
      if (live <= least && !is_passing(now)) least = live, best = now + 1;
      const bool share_ends =
          end <= kStages || work_[now] * kStages >= total * static_cast<double>(cuts_.size());
      if (now + 1 == end) {
        cuts_.push_back(end);
      } else if (share_ends && best > cuts_.back()) {
        cuts_.push_back(best);
        least = INT64_MAX;
      }
    }
  }

  Stage measure(int begin, int end) const {
    Stage stage;
    stage.cost = work_[end - 1] - (begin > 0 ? work_[begin - 1] : 0);
    std::map<const Storage*, int64_t> kept;
    for (const auto& [storage, memory] : memory_) {
      if (memory.first >= begin && memory.first < end && memory.last >= end) kept[storage] = memory.bytes;
    }
    for (int now = begin; now < end; ++now) {
      stage.working = std::max(stage.working, live_after(now, begin) + freed_at(now, begin));
      const Program::Instruction& call = program_.instructions[now];
      stage.pulling = std::max(stage.pulling, pulling_of(program_, call));
      for_kept(call, [&](const auto& memory) {
        if (memory.second.first >= begin) kept[memory.first] = memory.second.bytes;
      });
    }
    for (const auto& [storage, bytes] : kept) stage.residuals += bytes;
    return stage;
  }

  // Bytes that a call was the last to use.
  int64_t freed_at(int now, int stage_begin) const {
    int64_t bytes = 0;
    for (const auto& [storage, memory] : memory_) {
      if (memory.first >= stage_begin && memory.last == now) bytes += memory.bytes;
    }
    return bytes;
  }

  // The variables that instructions use and did not make, and those that they made and others use.
  std::pair<std::vector<int>, std::vector<int>> boundary(int begin, int end) const {
    std::vector<bool> is_constant(values_.size()), seen(values_.size());
    for (const Program::Constant& constant : program_.constants) is_constant[constant.variable] = true;
    std::vector<int> needed, left;
    for (int now = begin; now < end; ++now) {
      for (int variable : program_.instructions[now].inputs) {
        if (first_[variable] >= begin || is_constant[variable] || seen[variable]) continue;
        seen[variable] = true;
        needed.push_back(variable);
      }
      for (int variable : program_.instructions[now].outputs) {
        if (last_[variable] >= end) left.push_back(variable);
      }
    }
    return {needed, left};
  }

  const Program program_;
  const Tensors values_;
  std::map<const Storage*, Memory> memory_;
  std::set<const Storage*> kept_;  // by rules
  std::vector<int> first_, last_;  // the instruction that makes a variable and the last to use it
  std::vector<double> work_;       // up to each instruction
  std::vector<int> cuts_;
  Chain chain_;
};

// The same with long scans in parts, which are stages of their own; where there is a stretch to each, it is
// such that a part and its stretches have as many steps.
Program with_scans_in_parts(const Program& program, bool in_stretches) {
  const Function in_parts = [&](const Tensors& inputs) {
    return interpret(program, inputs, [&](size_t now, const Tensors& values) {
      const Program::Instruction& call = program.instructions[now];
      if (!is_scan(call) || call.attrs.as<ScanAttrs>().length <= 1) return program.run(call, values);
      const auto& attrs = call.attrs.as<ScanAttrs>();
      const int64_t parts = std::min<int64_t>(attrs.length, kParts);
      const double steps = static_cast<double>(attrs.length) / static_cast<double>(parts);
      Tensors given;
      for (int variable : call.inputs) given.push_back(values[variable]);
      return scan_in_parts(attrs, given, parts,
                           in_stretches ? std::max<int64_t>(std::lround(std::sqrt(steps)), 1) : 1);
    });
  };
  return record_unseen(in_parts, specs_of(program, program.inputs, 0, program.inputs.size()));
}

Tensors run_within(const Program& program, const Tensors& inputs, int64_t budget) {
  std::vector<ChainOf> ways;
  ways.emplace_back(program);
  std::optional<std::vector<Step>> steps = best_steps(ways[0].chain(), budget);
  const bool has_scans = std::ranges::any_of(program.instructions, is_scan);
  for (const bool in_stretches : {false, true}) {
    if (steps || !has_scans) break;
    ways.emplace_back(with_scans_in_parts(program, in_stretches));
    steps = best_steps(ways.back().chain(), budget);
  }
  if (!steps) {
    const auto is_enough = [&](int64_t bytes) {
      return std::ranges::any_of(
          ways, [&](const ChainOf& way) { return best_steps(way.chain(), bytes).has_value(); });
    };
    int64_t too_few = std::max<int64_t>(budget, 0), enough = std::max<int64_t>(2 * too_few, 512);
    while (!is_enough(enough)) enough *= 2;
    while (enough - too_few > enough / 512 + 1) {
      const int64_t middle = too_few + (enough - too_few) / 2;
      (is_enough(middle) ? enough : too_few) = middle;
    }
    fail<ValueError>("[checkpoint] reverse mode cannot do with a budget of ", budget, " bytes: it needs ",
                     enough);
  }
  return ways.back()(*steps, inputs);
}

}  // namespace

Tensors checkpoint(const Function& function, const Tensors& arguments, std::optional<int64_t> budget) {
  Program program = record_unseen(function, specs_of(arguments));
  if (!program.writes.empty()) fail<ValueError>("[checkpoint] the function overwrites an argument");
  Tensors inputs = arguments, captured;
  capture({&program}, captured);
  append(inputs, captured);
  if (budget) return run_within(program, inputs, *budget);
  const CheckpointAttrs attrs{hold(std::move(program))};
  return bind_all(primitives::checkpoint, inputs, attrs, attrs.program->outputs.size());
}

}  // namespace tidu
