// Where each value of a program that is run many times has its memory.
#include "compile/memory.h"

#include <algorithm>
#include <unordered_map>

#include "compile/pieces.h"
#include "compile/plan.h"
#include "ops/creation.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

// Whether a call cannot fail once it has begun: others look at values, such as indices.
bool is_sure(const Primitive& primitive) {
  static const std::vector<const Primitive*> sure = [] {
    std::vector<const Primitive*> result{&primitives::matmul, &primitives::concat, &primitives::slice_update,
                                         &primitives::full, &primitives::arange};
    for (const ReduceRow& row : reduce_table()) result.push_back(row.primitive);
    return result;
  }();
  return primitive.pointwise || primitive.view || (primitive.overwrites && !primitive.pure) ||
         std::ranges::find(sure, &primitive) != sure.end();
}

class Planner {
 public:
  Planner(const Program& program, const Tensors& values, const std::vector<Unit>& units, bool in_place,
          bool pieces, std::span<const Donation> donations)
      : program_(program), values_(values), units_(units), end_(static_cast<int>(units.size())) {
    if (in_place) donations_ = donations;
    for (size_t i = 0; i < program.inputs.size(); ++i) add(program.inputs[i], Memory::argument, i, -1);
    for (size_t i = 0; i < program.constants.size(); ++i)
      add(program.constants[i].variable, Memory::constant, i, -1);
    for (int now = 0; now < end_; ++now) {
      for (int variable : units[now].outputs) add(variable, Memory::arena, 0, now);
    }
    for (size_t variable = 0; variable < values.size(); ++variable) {
      const auto found =
          values[variable].defined() ? found_.find(values[variable].impl().storage.get()) : found_.end();
      plan_.of.push_back(found == found_.end() ? -1 : found->second);
    }
    holders_.resize(plan_.memories.size());
    for (size_t variable = 0; variable < values.size(); ++variable) {
      if (plan_.of[variable] >= 0) holders_[plan_.of[variable]].push_back(static_cast<int>(variable));
    }
    find_last_reads();
    if (in_place) {
      for (int now = 0; now < end_; ++now) share(now);
    }
    for (int now = 0; pieces && now < end_; ++now) place_pieces(now);
    place_writes(in_place);
    place_results();
    place_arenas();
  }

  MemoryPlan take() { return std::move(plan_); }

 private:
  void add(int variable, Memory::Kind kind, size_t index, int now) {
    const Tensor& value = values_[variable];
    if (found_.emplace(value.impl().storage.get(), plan_.memories.size()).second)
      plan_.memories.push_back(
          {kind, static_cast<int>(index), 0, static_cast<int64_t>(value.nbytes()), value.device(), now, now});
  }

  Memory& memory(int variable) { return plan_.memories[plan_.of[variable]]; }

  void find_last_reads() {
    for (int now = 0; now < end_; ++now) {
      for (int variable : units_[now].inputs) {
        if (variable >= 0) memory(variable).last = now;
      }
    }
    for (int variable : program_.outputs) memory(variable).last = end_;
    for (const Program::Write& write : program_.writes) memory(write.variable).last = end_;
  }

  // Whether a variable is all of its memory, row-major.
  bool is_whole(int variable) {
    return values_[variable].is_contiguous() &&
           static_cast<int64_t>(values_[variable].nbytes()) == memory(variable).bytes;
  }

  // Whether output i of a unit may be written where the old value of some memory is, which it reads element
  // by element.
  bool may_overwrite(const Unit& unit, size_t i, int memory) {
    const auto reads = [&](int variable) { return variable >= 0 && plan_.of[variable] == memory; };
    const auto fits = [&](int variable) {
      return is_whole(variable) && values_[variable].spec() == values_[unit.outputs[i]].spec();
    };
    if (unit.group) {
      if (unit.group->outputs[i].reduction) return false;
      for (size_t k = 0; k < unit.inputs.size(); ++k) {
        if (reads(unit.inputs[k]) && !(fits(unit.inputs[k]) && unit.kernel->may_be(i, k))) return false;
      }
      return true;
    }
    const Primitive& primitive = *program_.instructions[unit.calls[0]].primitive;
    const auto read = primitive.pointwise      ? std::ranges::find_if(unit.inputs, reads)
                      : overwriting(primitive) ? unit.inputs.begin() + static_cast<std::ptrdiff_t>(i)
                                               : unit.inputs.end();
    return read != unit.inputs.end() && reads(*read) && fits(*read) &&
           std::ranges::count_if(unit.inputs, reads) == 1;
  }

  // Whether a result may be in the memory of an argument.
  bool is_donated(int argument, int result) const {
    return std::ranges::any_of(donations_, [&](const Donation& donation) {
      return donation.argument == argument && (donation.result < 0 || donation.result == result);
    });
  }
  // Whether a value may lie there once nobody reads the argument.
  bool may_be_in(int argument, int variable) const {
    return std::ranges::any_of(donations_, [&](const Donation& donation) {
      return donation.argument == argument &&
             (donation.result < 0 || program_.outputs[static_cast<size_t>(donation.result)] == variable);
    });
  }

  // Gives outputs the memory of inputs that nobody reads any more.
  void share(int now) {
    const Unit& unit = units_[now];
    std::vector<int> taken;
    for (size_t i = 0; i < unit.outputs.size(); ++i) {
      const int mine = plan_.of[unit.outputs[i]];
      const auto of_kind = [&](Memory::Kind kind) {
        return std::ranges::find_if(unit.inputs, [&](int variable) {
          if (variable < 0) return false;
          const int other = plan_.of[variable];
          const Memory& memory = plan_.memories[other];
          return memory.kind == kind && memory.last == now && memory.bytes > 0 &&
                 (kind == Memory::arena || may_be_in(memory.index, unit.outputs[i])) &&
                 std::ranges::find(taken, other) == taken.end() && may_overwrite(unit, i, other);
        });
      };
      auto theirs = of_kind(Memory::argument);
      if (theirs == unit.inputs.end()) theirs = of_kind(Memory::arena);
      if (theirs == unit.inputs.end()) continue;
      const int other = plan_.of[*theirs];
      taken.push_back(other);
      plan_.memories[other].last = plan_.memories[mine].last;
      plan_.memories[mine].bytes = 0;
      for (int variable : holders_[mine]) plan_.of[variable] = other;
      holders_[other].insert(holders_[other].end(), holders_[mine].begin(), holders_[mine].end());
      holders_[mine].clear();
    }
  }

  // What is put together of values is there before they are: each that is one stretch of it, and that nobody
  // reads afterwards, is made there.
  void place_pieces(int now) {
    const Unit& unit = units_[now];
    if (unit.calls.size() != 1 || unit.group || unit.held || unit.outputs.size() != 1 ||
        device_of(unit, values_).type != DeviceType::cpu)
      return;
    const Program::Instruction& call = program_.instructions[unit.calls[0]];
    Tensors inputs;
    for (int variable : unit.inputs) inputs.push_back(values_[variable]);
    Tensor output = values_[unit.outputs[0]];
    std::vector<Piece> pieces = pieces_of({*call.primitive, inputs, call.attrs, {&output, 1}});
    std::ranges::stable_sort(pieces, std::greater(), [](const Piece& piece) { return piece.to.numel(); });
    const bool is_new = memory(unit.outputs[0]).first == now;
    for (const Piece& piece : pieces) place(piece, unit.inputs[piece.input], unit.outputs[0], now, is_new);
  }

  void place(const Piece& piece, int variable, int result, int now, bool is_new) {
    constexpr int64_t kSmall = 1 << 14;  // bytes, which may be there for longer than the most of their parts
    const int number = plan_.of[variable], whole = plan_.of[result];
    if (number < 0 || number == whole || !piece.from.is_contiguous() || !piece.to.is_contiguous()) return;
    Memory& part = plan_.memories[number];
    if (part.kind != Memory::arena || part.last != now || part.bytes == 0 || part.whole >= 0) return;
    const Memory& of = plan_.memories[whole];
    const size_t element = size_of(piece.to.dtype());
    if (!consists_of(number, element) || !consists_of(whole, element)) return;
    const auto size = static_cast<int64_t>(element);
    const int64_t begin = piece.to.impl().offset * size,
                  end = begin + static_cast<int64_t>(piece.to.nbytes()),
                  at = begin - piece.from.impl().offset * size;
    // What else is in its memory goes nowhere that others go.
    if (std::max<int64_t>(at, 0) < begin || std::min(at + part.bytes, of.bytes) > end) return;
    const bool is_inside = at >= 0 && at + part.bytes <= of.bytes;
    if (is_new) {
      if (of.kind != Memory::arena || (!is_inside && of.last == end_)) return;
      if (of.bytes > kSmall && 2 * part.bytes < of.bytes && part.first < of.first) return;
    } else if (!is_inside || !is_free(whole, begin, end, number, now)) {
      return;
    }
    part.whole = whole;
    part.at = at;
    if (!is_inside) reach(whole, at, at + part.bytes);
    for (int i = whole; i >= 0; i = plan_.memories[i].whole) {
      Memory& around = plan_.memories[i];
      around.first = std::min(around.first, plan_.memories[number].first);
    }
  }

  // Whether all that a memory holds has elements of this size, so that what begins at one of them does at one
  // of all: a part of complex numbers may begin at one that is half of theirs.
  bool consists_of(int memory, size_t element) const {
    return std::ranges::all_of(holders_[memory],
                               [&](int variable) { return size_of(values_[variable].dtype()) == element; });
  }

  // Makes a memory a part of one that reaches from before its beginning to behind its end.
  void reach(int number, int64_t begin, int64_t end) {
    if (plan_.memories[number].whole < 0) {
      plan_.memories[number].whole = static_cast<int>(plan_.memories.size());
      plan_.memories.push_back(Memory(plan_.memories[number]));
      plan_.memories.back().whole = -1;
    }
    Memory& part = plan_.memories[number];
    Memory& around = plan_.memories[part.whole];
    const int64_t before = std::max<int64_t>(0, -begin - part.at);
    part.at += before;
    around.bytes = std::max(around.bytes + before, part.at + end);
  }

  // Whether bytes of a memory are read no more when units begin to make the value in another one that a later
  // unit writes there, but where its elements are made of those.
  bool is_free(int memory, int64_t begin, int64_t end, int value, int now) {
    constexpr int kFar = 64;  // units that are looked at
    const int first = plan_.memories[value].first;
    if (first < plan_.memories[memory].first || now - first > kFar) return false;
    const auto is_apart = [&](int variable) {
      const Tensor& x = values_[variable];
      const int64_t from = x.impl().offset * static_cast<int64_t>(size_of(x.dtype()));
      return x.is_contiguous() && (from + static_cast<int64_t>(x.nbytes()) <= begin || from >= end);
    };
    const auto is_of = [&](int variable) { return variable >= 0 && plan_.of[variable] == memory; };
    for (int i = first; i < now; ++i) {
      const Unit& unit = units_[i];
      if (std::ranges::any_of(unit.outputs, is_of)) return false;
      for (size_t k = 0; k < unit.inputs.size(); ++k) {
        if (!is_of(unit.inputs[k]) || is_apart(unit.inputs[k])) continue;
        const bool is_elementwise = unit.group ? k < unit.group->inputs.size()
                                               : program_.instructions[unit.calls[0]].primitive->pointwise;
        if (i > first || !is_elementwise) return false;
        const Tensor& x = values_[unit.inputs[k]];
        const auto is_same = [&](size_t output) {
          if (unit.group && (unit.group->outputs[output].reduction || !unit.kernel->may_be(output, k)))
            return false;
          return x.spec() == values_[unit.outputs[output]].spec() && x.is_contiguous() &&
                 x.impl().offset * static_cast<int64_t>(size_of(x.dtype())) == begin;
        };
        for (size_t output = 0; output < unit.outputs.size(); ++output) {
          if (plan_.of[unit.outputs[output]] == value && !is_same(output)) return false;
        }
      }
    }
    return true;
  }

  // Whether what one memory is to hold may be made in another one from the beginning: that is read no more
  // then, or element by element where the first value of the one is made.
  bool may_replace(int made, int old) {
    const int first = plan_.memories[made].first, last = plan_.memories[old].last;
    if (last != first) return last < first;
    const Unit& unit = units_[first];
    for (size_t i = 0; i < unit.outputs.size(); ++i) {
      if (plan_.of[unit.outputs[i]] == made) return may_overwrite(unit, i, old);
    }
    return false;
  }

  // A value is made in the argument that it is written to, if the old value is not read after that, and
  // nothing can go wrong after that.
  void place_writes(bool in_place) {
    int sure_from = end_;
    while (sure_from > 0 && std::ranges::all_of(units_[sure_from - 1].calls, [&](int call) {
             return is_sure(*program_.instructions[call].primitive);
           }))
      --sure_from;
    for (const auto& [input, variable] : program_.writes) {
      const int target = program_.inputs[input];
      if (variable == target) continue;
      Memory& made = memory(variable);
      if (in_place && made.kind == Memory::arena && made.first >= sure_from && is_whole(variable) &&
          is_whole(target) && may_replace(plan_.of[variable], plan_.of[target])) {
        made.kind = Memory::argument;
        made.index = input;
      } else {
        plan_.writes.push_back({variable, input});
      }
    }
  }

  void place_results() {
    for (size_t i = 0; i < program_.outputs.size(); ++i) {
      const int variable = program_.outputs[i];
      Memory& made = memory(variable);
      const int result = static_cast<int>(i);
      if (made.kind == Memory::arena && is_whole(variable)) {
        const int argument = free_argument(result, made);
        made.kind = argument < 0 ? Memory::result : Memory::argument;
        made.index = argument < 0 ? result : argument;
        if (argument < 0) continue;
      }
      if (made.kind == Memory::argument && is_whole(variable) && is_free(made.index) &&
          is_donated(made.index, result)) {
        plan_.taken.push_back({result, made.index});
      } else {
        plan_.results.push_back({variable, result});
      }
    }
  }

  bool is_free(int argument) const {
    return std::ranges::find(plan_.taken, argument, &MemoryPlan::Taking::argument) == plan_.taken.end();
  }

  // A donated argument as large as a result, whose value is read no more when that begins to be made; or -1.
  int free_argument(int result, const Memory& made) {
    for (const Donation& donation : donations_) {
      const int variable = program_.inputs[static_cast<size_t>(donation.argument)];
      const Memory& old = memory(variable);
      if (is_donated(donation.argument, result) && is_free(donation.argument) &&
          old.kind == Memory::argument && old.bytes == made.bytes && old.device == made.device &&
          is_whole(variable) &&
          may_replace(plan_.of[program_.outputs[static_cast<size_t>(result)]], plan_.of[variable]))
        return donation.argument;
    }
    return -1;
  }

  void place_arenas() {
    for (int now = 0; now < end_; ++now) {
      const Device device = device_of(units_[now], values_);
      plan_.workspaces.push_back({Memory::arena, 0, 0, workspace_bytes(units_[now]), device, now, now});
    }
    std::vector<Memory*> placed;
    for (Memory& memory : plan_.memories) {
      if (memory.kind == Memory::arena && memory.whole < 0) placed.push_back(&memory);
    }
    // Calls on devices with queues borrow theirs as they are issued.
    for (int now = 0; now < end_; ++now) {
      Memory& memory = plan_.workspaces[now];
      if (memory.device.type == DeviceType::cpu || units_[now].held) placed.push_back(&memory);
    }
    for (Memory* memory : placed) {
      const auto known = std::ranges::find(plan_.arenas, memory->device, &MemoryPlan::Arena::device);
      memory->index = static_cast<int>(known - plan_.arenas.begin());
      if (known == plan_.arenas.end()) plan_.arenas.push_back({memory->device, 0, 0, 0});
    }
    for (size_t i = 0; i < plan_.arenas.size(); ++i) {
      std::vector<Lifetime> lifetimes;
      for (const Memory* memory : placed) {
        const bool is_here = memory->index == static_cast<int>(i);
        lifetimes.push_back({is_here ? memory->bytes : 0, memory->first, memory->last});
      }
      const Placement placement = placement_of(lifetimes);
      for (size_t k = 0; k < placed.size(); ++k) {
        if (placed[k]->index == static_cast<int>(i)) placed[k]->offset = placement.offsets[k];
      }
      plan_.arenas[i].bytes = placement.bytes;
      plan_.arenas[i].peak = peak_bytes(lifetimes);
      plan_.arenas[i].at = peak_time(lifetimes);
    }
    for (Memory& memory : plan_.memories) {
      if (memory.whole < 0) continue;
      const Memory* around = &memory;
      int64_t at = 0;
      for (; around->whole >= 0; around = &plan_.memories[around->whole]) at += around->at;
      memory.kind = around->kind;
      memory.index = around->index;
      memory.offset = around->offset + at;
    }
  }

  int64_t workspace_bytes(const Unit& unit) {
    if (unit.held) return unit.held->bytes;
    if (unit.group) return static_cast<int64_t>(unit.kernel->workspace_bytes());
    if (unit.outputs.empty()) return 0;
    const Program::Instruction& call = program_.instructions[unit.calls[0]];
    const auto device = static_cast<size_t>(values_[unit.outputs[0]].device().type);
    const Primitive* const writer = overwriting(*call.primitive);
    if (unit.products.empty() && !call.primitive->workspaces[device] &&
        !(writer && writer->workspaces[device]))
      return 0;
    Tensors inputs, outputs;
    for (int variable : unit.inputs) inputs.push_back(variable < 0 ? Tensor() : values_[variable]);
    for (int variable : unit.outputs) outputs.push_back(values_[variable]);
    if (const std::vector<Factors> factors = take_factors(unit, inputs); !factors.empty()) {
      const Call with_factors{*call.primitive, inputs, call.attrs, outputs};
      return static_cast<int64_t>(backend(outputs[0].device()).workspace_bytes(with_factors, factors));
    }
    if (shows_parts({*call.primitive, inputs, call.attrs, outputs})) {
      inputs = shown_to_kernels(*call.primitive, inputs);
      outputs = shown_to_kernels(*call.primitive, outputs);
    }
    // Of the call, and of what may run in its place.
    size_t most = 0;
    for (const Primitive* primitive : {call.primitive, writer}) {
      const WorkspaceBytes bytes = primitive ? primitive->workspaces[device] : nullptr;
      if (bytes) most = std::max(most, bytes({*primitive, inputs, call.attrs, outputs}));
    }
    return static_cast<int64_t>(most);
  }

  const Program& program_;
  const Tensors& values_;
  const std::vector<Unit>& units_;
  const int end_;
  std::span<const Donation> donations_;
  std::unordered_map<const Storage*, int> found_;
  std::vector<std::vector<int>> holders_;  // the variables of each memory
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory(const Program& program, const Tensors& values, const std::vector<Unit>& units,
                       bool in_place, bool pieces, std::span<const Donation> donations) {
  return Planner(program, values, units, in_place, pieces, donations).take();
}

Device device_of(const Unit& unit, const Tensors& values) {
  for (const std::vector<int>* variables : {&unit.outputs, &unit.inputs}) {
    for (int variable : *variables) {
      if (variable >= 0) return values[variable].device();
    }
  }
  return {};
}

const Primitive* overwriting(const Primitive& primitive) {
  if (primitive.overwrites) return &primitive;
  static const auto found = [] {
    std::unordered_map<const Primitive*, const Primitive*> result;
    for (const Primitive* other : all_primitives()) {
      if (other->pure) result[other->pure] = other;
    }
    return result;
  }();
  const auto writer = found.find(&primitive);
  return writer == found.end() ? nullptr : writer->second;
}

}  // namespace tidu
