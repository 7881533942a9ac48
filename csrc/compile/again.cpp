// What can be made again, and the program that does it.
#include "compile/again.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "ops/creation.h"

namespace tidu {
namespace {

constexpr size_t kMostCalls = 4;        // that make a value
constexpr int64_t kLeastOfPeak = 64;    // the part of the peak that it must be
constexpr size_t kMostUnits = 1 << 12;  // of a program that is looked at

class Remaker {
 public:
  Remaker(const Program& program, const std::vector<bool>& again, const Tensors& values,
          const std::vector<Unit>& units, const MemoryPlan& plan)
      : program_(program),
        again_(again),
        values_(values),
        units_(units),
        plan_(plan),
        makers_(values.size(), -1) {
    if (units.size() > kMostUnits || plan.arenas.empty()) return;
    const auto& arena = *std::ranges::max_element(plan.arenas, {}, &MemoryPlan::Arena::bytes);
    peak_ = arena.at;
    unit_of_.resize(program.instructions.size(), -1);
    for (size_t now = 0; now < units.size(); ++now) {
      for (int call : units[now].calls) unit_of_[static_cast<size_t>(call)] = static_cast<int>(now);
      for (int variable : units[now].inputs) {
        if (variable >= 0) readers_[storage_of(variable)].insert(static_cast<int>(now));
      }
    }
    for (const std::vector<int>* given : {&program.inputs, &program.outputs}) {
      for (int variable : *given) given_.insert(storage_of(variable));
    }
    for (const Program::Write& write : program.writes) given_.insert(storage_of(write.variable));
    for (size_t i = 0; i < program.instructions.size(); ++i) {
      for (int variable : program.instructions[i].outputs) makers_[variable] = static_cast<int>(i);
    }
    for (size_t i = 0; i < program.instructions.size(); ++i) {
      const std::vector<int>& made = program.instructions[i].outputs;
      if (unit_of_[i] >= 0 && made.size() == 1) consider(made[0], arena);
    }
  }

  std::optional<MadeAgain> take() {
    if (chosen_.empty()) return {};
    MadeAgain result{program_, again_};
    result.program.instructions.clear();
    for (size_t i = 0; i < program_.instructions.size(); ++i) {
      Program::Instruction call = program_.instructions[i];
      for (int& variable : call.inputs) {
        const auto chosen = unit_of_[i] >= peak_ ? chosen_.find(storage_of(variable)) : chosen_.end();
        if (chosen == chosen_.end()) continue;
        for (int number : chosen->second) add(result, number, true);
        chosen->second.clear();
        variable = name_of(result, variable);
      }
      result.program.instructions.push_back(std::move(call));
    }
    result.again.resize(result.program.variables.size());
    drop_unread(result.program);
    put_before_readers(result);
    return result;
  }

 private:
  // As remove_unused does, but variables keep their numbers.
  static void drop_unread(Program& program) {
    std::vector<bool> is_read(program.variables.size());
    for (int variable : program.outputs) is_read[variable] = true;
    for (const Program::Write& write : program.writes) is_read[write.variable] = true;
    std::vector<Program::Instruction> kept;
    for (auto call = program.instructions.rbegin(); call != program.instructions.rend(); ++call) {
      const auto reads = [&](int variable) { return is_read[variable]; };
      if (std::ranges::none_of(call->outputs, reads) && !call->has_effect()) continue;
      for (int variable : call->inputs) is_read[variable] = true;
      kept.push_back(std::move(*call));
    }
    program.instructions.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  }

  // What makes values again goes right before the first call that reads them, whose group it joins. Where it
  // was added there may be others by now: what had read it was itself made again elsewhere, and dropped.
  static void put_before_readers(MadeAgain& made) {
    std::map<int, Program::Instruction> waiting;  // by what they make
    std::vector<Program::Instruction> placed;
    const auto place = [&](const auto& self, Program::Instruction call) -> void {
      for (int variable : call.inputs) {
        if (auto maker = waiting.extract(variable)) self(self, std::move(maker.mapped()));
      }
      placed.push_back(std::move(call));
    };
    for (Program::Instruction& call : made.program.instructions) {
      const int output = call.outputs.empty() ? -1 : call.outputs[0];
      if (output >= 0 && made.again[static_cast<size_t>(output)]) {
        waiting.emplace(output, std::move(call));
      } else {
        place(place, std::move(call));
      }
    }
    made.program.instructions = std::move(placed);
  }

  const Storage* storage_of(int variable) const { return values_[variable].impl().storage.get(); }

  bool is_cheap(const Program::Instruction& call) const {
    if (!call.primitive->pointwise || call.inputs.empty() || is_view(call, values_) ||
        has_complex(call, values_))
      return false;
    std::vector<Spec> inputs;
    for (int variable : call.inputs) inputs.push_back(program_.variables[variable]);
    const Spec& output = program_.variables[call.outputs[0]];
    return call.primitive->flops({*call.primitive, inputs, call.attrs}, {&output, 1}).transcendental == 0;
  }

  // Whether a value is in memory when a unit runs, which comes after it is made, or needs none.
  bool is_there(int variable, int now) const {
    const int made = plan_.of[static_cast<size_t>(variable)];
    if (made < 0)
      return makers_[variable] >= 0 &&
             program_.instructions[static_cast<size_t>(makers_[variable])].primitive == &primitives::full;
    if (chosen_.contains(storage_of(variable))) return false;
    const auto readers = readers_.find(storage_of(variable));
    return plan_.memories[static_cast<size_t>(made)].kind != Memory::arena ||
           (readers != readers_.end() && *readers->second.rbegin() >= now);
  }

  // Adds the calls that make a value of what is there, in their order; false where there are none such.
  bool collect(int variable, int now, std::vector<int>& calls) const {
    const int maker = makers_[variable];
    if (maker < 0 || calls.size() == kMostCalls) return false;
    const Program::Instruction& call = program_.instructions[static_cast<size_t>(maker)];
    if (!is_cheap(call)) return false;
    for (int input : call.inputs) {
      if (!is_there(input, now) && !collect(input, now, calls)) return false;
    }
    if (std::ranges::find(calls, maker) == calls.end()) calls.push_back(maker);
    return true;
  }

  void consider(int variable, const MemoryPlan::Arena& arena) {
    const Storage* const storage = storage_of(variable);
    const int made = plan_.of[static_cast<size_t>(variable)];
    const auto readers = readers_.find(storage);
    if (made < 0 || readers == readers_.end() || given_.contains(storage)) return;
    const Memory& memory = plan_.memories[static_cast<size_t>(made)];
    const int first = unit_of_[static_cast<size_t>(makers_[variable])];
    const auto later = readers->second.lower_bound(peak_);
    if (memory.kind != Memory::arena || !(memory.device == arena.device) || first >= peak_ ||
        later == readers->second.end() || std::next(later) != readers->second.end() ||
        memory.bytes * kLeastOfPeak < arena.peak || (*later == peak_ && !can_be_within_peak(variable)))
      return;
    std::vector<int> calls;
    if (collect(variable, *later, calls)) chosen_.emplace(storage, std::move(calls));
  }

  // Whether the loop that runs at the peak can make it element by element.
  bool can_be_within_peak(int variable) const {
    const Unit& unit = units_[static_cast<size_t>(peak_)];
    if (!unit.group || unit.group->shape != values_[variable].shape()) return false;
    const auto elements = std::span(unit.inputs).first(unit.group->inputs.size());  // and no factors
    return std::ranges::find(elements, variable) != elements.end();
  }

  // A call once more, of and for variables with names of their own.
  void add(MadeAgain& result, int number, bool again) {
    Program::Instruction call = program_.instructions[static_cast<size_t>(number)];
    if (names_.contains(call.outputs[0])) return;
    for (int& variable : call.inputs) {
      if (const auto name = names_.find(variable); name != names_.end()) variable = name->second;
    }
    for (int& variable : call.outputs) {
      result.program.variables.push_back(Spec(program_.variables[variable]));
      variable = names_[variable] = static_cast<int>(result.program.variables.size()) - 1;
      result.again.resize(result.program.variables.size());
      result.again.back() = again;
    }
    result.program.instructions.push_back(std::move(call));
  }

  // Of a value that was made again, or of a view of it.
  int name_of(MadeAgain& result, int variable) {
    if (!names_.contains(variable)) {
      const int maker = makers_[variable];
      name_of(result, program_.instructions[static_cast<size_t>(maker)].inputs[0]);
      add(result, maker, false);
    }
    return names_[variable];
  }

  const Program& program_;
  const std::vector<bool>& again_;
  const Tensors& values_;
  const std::vector<Unit>& units_;
  const MemoryPlan& plan_;
  int peak_ = -1;                                      // a unit
  std::vector<int> makers_, unit_of_;                  // the call of each variable, the unit of each call
  std::map<const Storage*, std::set<int>> readers_;    // units
  std::set<const Storage*> given_;                     // to the program, or by it
  std::map<const Storage*, std::vector<int>> chosen_;  // with the calls that are still to make it
  std::map<int, int> names_;                           // of variables that were made again
};

}  // namespace

std::optional<MadeAgain> with_values_made_again(const Program& program, const std::vector<bool>& again,
                                                const Tensors& values, const std::vector<Unit>& units,
                                                const MemoryPlan& plan) {
  return Remaker(program, again, values, units, plan).take();
}

}  // namespace tidu
