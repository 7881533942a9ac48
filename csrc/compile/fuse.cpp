// Groups of elementwise calls, and an order for them.
#include "compile/fuse.h"

#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <unordered_map>

#include "compile/outline.h"
#include "compile/updates.h"
#include "core/trace.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/reduce.h"

namespace tidu {
namespace {

constexpr size_t kMostOperands = 24;
// Whether it can be a step of a loop: on devices whose kernels are made for loops an update is one, too.
bool is_pointwise(const Program::Instruction& call, const Tensors& values) {
  if (has_complex(call, values)) return false;
  return call.primitive->pointwise ||
         (updates_one(call) && values[call.outputs[0]].device().type != DeviceType::cpu);
}
bool is_again(const Program::Instruction& call, const std::vector<bool>& again) {
  return !again.empty() && !call.outputs.empty() && again[static_cast<size_t>(call.outputs[0])];
}

constexpr int64_t kSmall = 4096;  // elements, whose loop takes a device less time than its launch

bool is_reduction(const Primitive& primitive) {
  return std::ranges::any_of(reduce_table(), [&](const ReduceRow& row) {
    return row.primitive == &primitive && row.kind != ReduceRow::index;
  });
}

class Fuser {
 public:
  Fuser(const Program& program, const Tensors& values, const Fusing& fusing)
      : program_(program), values_(values), readers_(values.size(), 0) {
    for (const Program::Instruction& call : program.instructions) count_readers(call.inputs);
    count_readers(program.outputs);
    for (const Program::Write& write : program.writes) ++readers_[write.variable];
    for (const Program::Constant& constant : program.constants) {
      const Tensor& value = constant.value;
      if (is_one_number(value) && !is_complex(value.dtype()) && !value.impl().storage->writable())
        note_number(constant.variable, value);
    }
    gather(fusing);
    for (size_t unit = 0; fusing.groups && unit < units_.size(); ++unit) attach(unit);
    for (size_t unit = 0; fusing.products && unit < units_.size(); ++unit) attach_product(unit);
    prepare();
    if (fusing.products) take_products();
    if (fusing.groups) make_loops();
    sort();
    drop_unused();
  }

  std::vector<Unit> take() { return std::move(units_); }

 private:
  const Program::Instruction& call(int number) const { return program_.instructions[number]; }
  const Storage* storage_of(int variable) const { return values_[variable].impl().storage.get(); }
  void count_readers(const std::vector<int>& variables) {
    for (int variable : variables) ++readers_[variable];
  }
  void note_number(int variable, const Tensor& value) {
    std::memcpy(numbers_[storage_of(variable)].data(), value.raw_data(), size_of(value.dtype()));
  }

  // The groups on the cpu that have few operands as a whole, and whose values stay in a cache: however many
  // of them wait for each other, these need no memory outside.
  std::set<int> uncut(Groups& groups) const {
    struct Operands {
      std::set<int> outside;             // what is read of others
      std::unordered_map<int, int> own;  // how often what is made is read
      int64_t elements = 0;
    };
    constexpr int64_t kTile = 1024, kMostElements = 1 << 16;
    std::unordered_map<int, Operands> operands;
    for (int now = 0; now < static_cast<int>(program_.instructions.size()); ++now) {
      const int group = groups.of(now);
      if (group < 0) continue;
      Operands& of = operands[group];
      for (int variable : call(now).inputs) {
        if (groups.making(variable) == group) {
          ++of.own[variable];
        } else {
          of.outside.insert(variable);
        }
      }
      const int made = call(now).outputs[0];
      of.own.emplace(made, 0);
      const bool is_here = values_[made].device().type == DeviceType::cpu;
      of.elements += is_here ? std::min(kTile, values_[made].numel()) : kMostElements + 1;
    }
    std::set<int> result;
    for (const auto& [group, of] : operands) {
      const auto given =
          std::ranges::count_if(of.own, [&](const auto& made) { return readers_[made.first] > made.second; });
      if (of.elements <= kMostElements && of.outside.size() + static_cast<size_t>(given) <= kMostOperands)
        result.insert(group);
    }
    return result;
  }

  // Calls to units: those of a group to one, or, where they need too many operands, to several one after
  // another.
  void gather(const Fusing& fusing) {
    Groups groups(program_, values_, fusing.again);
    const std::set<int> whole = uncut(groups);
    struct Piece {
      size_t unit;
      std::set<int> outside;              // what it reads of others
      std::unordered_map<int, int> open;  // how often what it makes is still to be read
    };
    std::unordered_map<int, Piece> pieces;
    const auto add_to = [&](Piece& piece, int number) {
      for (int variable : call(number).inputs) {
        const auto open = piece.open.find(variable);
        if (open != piece.open.end()) {
          if (--open->second == 0) piece.open.erase(open);
        } else if (!makers_.contains(variable) || makers_.at(variable) != piece.unit) {
          piece.outside.insert(variable);
        }
      }
      for (int variable : call(number).outputs) {
        if (readers_[variable] > 0) piece.open[variable] = readers_[variable];
        makers_[variable] = piece.unit;
      }
      units_[piece.unit].calls.push_back(number);
    };
    const auto new_piece = [&] {
      units_.push_back({});
      is_pointwise_.insert(units_.size() - 1);
      return Piece{units_.size() - 1, {}, {}};
    };
    std::vector<int> again;  // of one shape
    const auto shape_of = [&](int number) { return values_[call(number).outputs[0]].shape(); };
    const auto add_apart = [&] {
      if (again.empty()) return;
      Piece piece = new_piece();
      for (int number : again) add_to(piece, number);
      again.clear();
    };
    for (int now = 0; now < static_cast<int>(program_.instructions.size()); ++now) {
      const auto& [primitive, attrs, inputs, outputs, differentiable, source] = call(now);
      if (is_view(call(now), values_)) {
        if (!again.empty() && inputs[0] == call(again.back()).outputs[0])
          add_apart();  // it is read otherwise
        continue;
      }
      if (primitive == &primitives::full) {
        const VisibleTraces none(nullptr);
        const auto& filled = attrs.as<FullAttrs>();
        note_number(outputs[0], full({}, filled.value, filled.dtype));
      }
      if (is_again(call(now), fusing.again)) {
        if (!again.empty() && shape_of(again.back()) != shape_of(now)) add_apart();
        again.push_back(now);
        continue;
      }
      const int group = fusing.groups ? groups.of(now) : -1;
      if (group < 0 || (!again.empty() && shape_of(again.back()) != shape_of(now))) add_apart();
      if (group < 0) {
        units_.push_back({{now}, inputs, outputs});
        for (int variable : outputs) makers_[variable] = units_.size() - 1;
        continue;
      }
      const auto fits = [&](const Piece& piece) {
        size_t operands = inputs.size() + 1;
        for (int number : again) operands += call(number).inputs.size();
        return whole.contains(group) || piece.outside.size() + piece.open.size() + operands <= kMostOperands;
      };
      auto found = pieces.find(group);
      if (found == pieces.end() || !fits(found->second))
        found = pieces.insert_or_assign(group, new_piece()).first;
      for (int number : again) add_to(found->second, number);
      again.clear();
      add_to(found->second, now);
    }
  }

  // A reduction goes to the group that makes what it reads, where the device has such loops.
  void attach(size_t number) {
    Unit& unit = units_[number];
    if (is_pointwise_.contains(number) || unit.calls.size() != 1 ||
        !is_reduction(*call(unit.calls[0]).primitive))
      return;
    const auto maker = makers_.find(unit.inputs[0]);
    if (maker == makers_.end() || !is_pointwise_.contains(maker->second)) return;
    std::vector<int> calls = units_[maker->second].calls;
    const Unit group = as_group(calls);
    calls.push_back(unit.calls[0]);
    const Unit both = as_group(calls);
    const auto output = std::ranges::find(both.outputs, unit.outputs[0]) - both.outputs.begin();
    const Device device = values_[unit.outputs[0]].device();
    if (both.inputs.size() + both.outputs.size() > kMostOperands ||
        !backend(device).reduces(*group.group, both.group->outputs[static_cast<size_t>(output)]))
      return;
    units_[maker->second].calls = std::move(calls);
    unit.calls.clear();
  }

  // A product goes to the group that alone reads it, where the device goes on from parts of the one to parts
  // of the other.
  void attach_product(size_t number) {
    Unit& unit = units_[number];
    if (unit.calls.size() != 1 || call(unit.calls[0]).primitive != &primitives::matmul) return;
    const int product = unit.outputs[0];
    const auto readers_in = [&](const Unit& group) {
      int count = 0;
      for (int other : group.calls)
        count += static_cast<int>(std::ranges::count(call(other).inputs, product));
      return count;
    };
    for (const size_t reader : is_pointwise_) {
      Unit& group = units_[reader];
      if (group.calls.empty() || readers_in(group) != readers_[product] || readers_[product] == 0) continue;
      const bool has_product = call(group.calls[0]).primitive == &primitives::matmul;
      if (has_product || values_[product].shape() != values_[call(group.calls[0]).outputs[0]].shape()) return;
      std::vector<int> calls{unit.calls[0]};
      calls.insert(calls.end(), group.calls.begin(), group.calls.end());
      const Unit both = as_group(calls);
      if (both.inputs.size() + both.outputs.size() > kMostOperands ||
          !backend(values_[product].device()).multiplies(*both.group))
        return;
      group.calls = std::move(calls);
      unit.calls.clear();
      return;
    }
  }

  Unit as_group(const std::vector<int>& calls) const {
    Unit unit{calls, {}, {}};
    Group group{values_[call(calls[0]).outputs[0]].shape(), {}, {}, {}};
    std::unordered_map<int, int> made, read, numbered;  // variables
    for (int number : calls) {
      for (int variable : call(number).outputs) made[variable] = 0;
    }
    const bool has_product = call(calls[0]).primitive == &primitives::matmul;
    if (has_product) {
      const int product = call(calls[0]).outputs[0];
      numbered[product] = 0;
      unit.inputs.push_back(-1);
      group.inputs.push_back({values_[product].dtype(), values_[product].strides()});
      group.product = {0, values_[call(calls[0]).inputs[0]].size(-1), {}};
    }
    for (int number : calls) {
      if (has_product && number == calls[0]) continue;
      for (int variable : call(number).inputs) {
        ++read[variable];
        if (made.contains(variable) || numbered.contains(variable)) continue;
        numbered[variable] = static_cast<int>(unit.inputs.size());
        const auto number_of = numbers_.find(storage_of(variable));
        const bool is_number = number_of != numbers_.end();
        unit.inputs.push_back(is_number ? -1 : variable);
        const bool is_clock = variable == clock_of(call(number));
        group.inputs.push_back({values_[variable].dtype(),
                                is_clock ? Strides(group.shape.size(), 0) : values_[variable].strides()});
        if (is_number) group.inputs.back().number = number_of->second;
      }
    }
    for (int number : calls) {
      const Program::Instruction& made_by = call(number);
      if (has_product && number == calls[0]) {
        for (int variable : made_by.inputs) {
          unit.inputs.push_back(variable);
          group.product->factors.push_back({values_[variable].dtype(), values_[variable].strides()});
        }
        continue;
      }
      const int result = made_by.outputs[0];
      if (!is_pointwise(made_by, values_)) {
        group.outputs.push_back(
            {numbered[made_by.inputs[0]], made_by.primitive, made_by.attrs, values_[result].dtype()});
        unit.outputs.push_back(result);
        continue;
      }
      std::vector<int> inputs;
      for (int variable : made_by.inputs) inputs.push_back(numbered[variable]);
      for (size_t i = 0; i < made_by.outputs.size(); ++i) {
        const int made_now = made_by.outputs[i];
        const DType dtype = values_[made_now].dtype();
        numbered[made_now] = static_cast<int>(group.inputs.size() + group.steps.size());
        group.steps.push_back({made_by.primitive, made_by.attrs, dtype, inputs, static_cast<int>(i)});
        if (readers_[made_now] <= read[made_now]) continue;
        group.outputs.push_back({numbered[made_now], nullptr, {}, dtype});
        unit.outputs.push_back(made_now);
      }
    }
    unit.group = std::move(group);
    return unit;
  }

  // Groups that the device does not take are calls.
  void prepare() {
    std::vector<Unit> prepared;
    for (Unit& unit : units_) {
      if (unit.calls.size() > 1) {
        Unit group = as_group(unit.calls);
        group.kernel = backend(values_[call(unit.calls[0]).outputs[0]].device()).prepare(*group.group);
        if (group.kernel) {
          prepared.push_back(std::move(group));
          continue;
        }
      }
      for (int number : unit.calls) prepared.push_back({{number}, call(number).inputs, call(number).outputs});
    }
    units_ = std::move(prepared);
  }

  // Products go to the call that alone reads them, where the device computes them there.
  void take_products() {
    std::unordered_map<int, size_t> makers;
    for (size_t i = 0; i < units_.size(); ++i) {
      const Unit& unit = units_[i];
      const bool is_product = unit.calls.size() == 1 && unit.inputs.size() == 2 &&
                              call(unit.calls[0]).primitive == &primitives::matmul;
      if (!is_product || values_[unit.inputs[0]].numel() == 0 || values_[unit.inputs[1]].numel() == 0)
        continue;
      if (readers_[unit.outputs[0]] == 1) makers[unit.outputs[0]] = i;
    }
    for (Unit& unit : units_) {
      if (unit.calls.size() != 1) continue;
      const Program::Instruction& reader = call(unit.calls[0]);
      std::vector<Spec> specs;
      for (int variable : reader.inputs) specs.push_back(program_.variables[variable]);
      for (size_t i = 0; i < reader.inputs.size(); ++i) {
        const auto maker = makers.find(reader.inputs[i]);
        if (maker == makers.end() ||
            !backend(specs[i].device).takes_factors({*reader.primitive, specs, reader.attrs}, i))
          continue;
        Unit& product = units_[maker->second];
        unit.products.push_back({i, product.calls[0]});
        unit.calls.push_back(product.calls[0]);
        unit.inputs[i] = -1;
        unit.inputs.insert(unit.inputs.end(), product.inputs.begin(), product.inputs.end());
        product.calls.clear();
      }
    }
    std::erase_if(units_, [](const Unit& unit) { return unit.calls.empty(); });
  }

  // On the cpu one small call takes less time as a loop that knows its operands.
  void make_loops() {
    for (Unit& unit : units_) {
      if (unit.calls.size() != 1) continue;
      const Program::Instruction& only = call(unit.calls[0]);
      const auto is_here = [&](int variable) {
        return values_[variable].device().type == DeviceType::cpu && values_[variable].numel() <= kSmall;
      };
      if (!is_pointwise(only, values_) || !is_here(only.outputs[0]) ||
          !std::ranges::all_of(only.inputs, is_here))
        continue;
      Unit group = as_group(unit.calls);
      if (group.outputs.empty()) continue;
      group.kernel = backend(Device()).prepare(*group.group);
      if (group.kernel) unit = std::move(group);
    }
  }

  bool is_small(const Unit& unit) const {
    int64_t elements = 0;
    for (const std::vector<int>* variables : {&unit.inputs, &unit.outputs}) {
      for (int variable : *variables) {
        if (variable < 0) continue;
        if (values_[variable].device().type == DeviceType::cpu) return false;
        elements = std::max(elements, values_[variable].numel());
      }
    }
    return elements <= kSmall;
  }

  // Each unit after those that make what it reads, and calls with effects in their order; else by its last
  // call.
  void sort() {
    std::unordered_map<const Storage*, size_t> makers;
    for (size_t i = 0; i < units_.size(); ++i) {
      for (int variable : units_[i].outputs) makers[storage_of(variable)] = i;
    }
    std::vector<std::vector<size_t>> readers(units_.size());
    std::vector<int> waits(units_.size(), 0);
    const auto add_edge = [&](size_t from, size_t to) {
      readers[from].push_back(to);
      ++waits[to];
    };
    std::optional<size_t> last_effect;
    for (size_t i = 0; i < units_.size(); ++i) {
      for (int variable : units_[i].inputs) {
        const auto maker = variable < 0 ? makers.end() : makers.find(storage_of(variable));
        if (maker != makers.end()) add_edge(maker->second, i);
      }
      if (!call(units_[i].calls[0]).has_effect()) continue;
      if (last_effect) add_edge(*last_effect, i);
      last_effect = i;
    }
    using Entry = std::pair<int, size_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
    // Copies between devices as early as they can be, so that what one device does stays together.
    const auto push = [&](size_t i) {
      const bool between = std::ranges::any_of(units_[i].inputs, [&](int variable) {
        return variable >= 0 && !units_[i].outputs.empty() &&
               !(values_[variable].device() == values_[units_[i].outputs[0]].device());
      });
      ready.emplace(between ? -1 : std::ranges::max(units_[i].calls), i);
    };
    for (size_t i = 0; i < units_.size(); ++i) {
      if (waits[i] == 0) push(i);
    }
    // On a device small work follows small work where it can, so that it can be one launch.
    std::vector<Entry> passed_over;
    bool was_small = false;
    const auto next = [&] {
      while (was_small && !is_small(units_[ready.top().second])) {
        passed_over.push_back(ready.top());
        ready.pop();
        if (ready.empty()) break;
      }
      const bool found = !ready.empty();
      const size_t now = found ? ready.top().second : passed_over.front().second;
      if (found) ready.pop();
      for (size_t i = found ? 0 : 1; i < passed_over.size(); ++i) ready.push(passed_over[i]);
      passed_over.clear();
      was_small = is_small(units_[now]);
      return now;
    };
    std::vector<Unit> sorted;
    while (!ready.empty()) {
      const size_t now = next();
      for (size_t reader : readers[now]) {
        if (--waits[reader] == 0) push(reader);
      }
      sorted.push_back(std::move(units_[now]));
    }
    if (sorted.size() != units_.size()) fail<std::logic_error>("groups of calls wait for each other");
    units_ = std::move(sorted);
  }

  // What only groups read, as a number.
  void drop_unused() {
    std::set<const Storage*> used;
    for (int variable : program_.outputs) used.insert(storage_of(variable));
    for (const Program::Write& write : program_.writes) used.insert(storage_of(write.variable));
    std::vector<Unit> kept;
    for (auto unit = units_.rbegin(); unit != units_.rend(); ++unit) {
      const bool is_used = std::ranges::any_of(
          unit->outputs, [&](int variable) { return used.contains(storage_of(variable)); });
      if (!is_used && !call(unit->calls[0]).has_effect()) continue;
      for (int variable : unit->inputs) {
        if (variable >= 0) used.insert(storage_of(variable));
      }
      kept.push_back(std::move(*unit));
    }
    units_.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  }

  const Program& program_;
  const Tensors& values_;
  std::vector<int> readers_;  // how often each variable is read
  std::unordered_map<const Storage*, std::array<char, 8>> numbers_;
  std::unordered_map<int, size_t> makers_;  // the unit that makes each variable
  std::set<size_t> is_pointwise_;           // units
  std::vector<Unit> units_;
};

}  // namespace

Groups::Groups(const Program& program, const Tensors& values, const std::vector<bool>& again)
    : of_(program.instructions.size(), -1), makers_(values.size(), -1) {
  std::vector<int> ready(values.size(), 0);                   // from when on a value is in memory
  std::map<std::pair<int, std::vector<int64_t>>, int> small;  // a group of each time and shape
  int effects = 0;                                            // from when on the next one can come
  std::vector<int> made_again;                                // for the next call
  for (int now = 0; now < static_cast<int>(of_.size()); ++now) {
    const Program::Instruction& call = program.instructions[now];
    const bool view = is_view(call, values);
    const bool groups = is_pointwise(call, values) && !view && !is_again(call, again) &&
                        std::ranges::all_of(call.inputs, [&](int input) {
                          return values[input].device() == values[call.outputs[0]].device();
                        });
    const auto joins = [&](int variable) {
      return groups && makers_[variable] >= 0 && of_[makers_[variable]] >= 0 &&
             values[variable].shape() == values[call.outputs[0]].shape() &&
             values[variable].device() == values[call.outputs[0]].device();
    };
    // What makes values again joins the group of the call that reads them, or is a group of its own, all of
    // which waits for the last.
    const bool reads_again = !made_again.empty() && !is_again(call, again) &&
                             (!view || makers_[call.inputs[0]] == made_again.back());
    const auto goes_along = [&](int other) {
      const int variable = program.instructions[other].outputs[0];
      return groups && values[variable].shape() == values[call.outputs[0]].shape();
    };
    if (reads_again) {
      const auto ready_of = [&](int other) -> int& { return ready[program.instructions[other].outputs[0]]; };
      const int last = ready_of(*std::ranges::max_element(made_again, {}, ready_of));
      for (int other : made_again) {
        if (!goes_along(other)) ready_of(other) = last;
      }
    }
    int time = call.has_effect() ? effects : 0;
    for (int variable : call.inputs)
      time = std::max(time, joins(variable) ? times_[root(of_[makers_[variable]])] : ready[variable]);
    if (call.has_effect()) effects = time + 1;
    if (groups) {
      of_[now] = static_cast<int>(parents_.size());
      parents_.push_back(of_[now]);
      times_.push_back(time);
      for (int variable : call.inputs) {
        if (!joins(variable)) continue;
        const int other = root(of_[makers_[variable]]);
        if (times_[other] == time) parents_[other] = root(of_[now]);
      }
      // Small ones that have nothing to do with each other are one launch.
      const Tensor& value = values[call.outputs[0]];
      if (value.numel() <= kSmall) {
        std::vector<int64_t> place(value.shape().begin(), value.shape().end());
        place.push_back(value.device().index);
        // What is not computed in registers does not go with what is.
        const bool is_here = value.device().type == DeviceType::cpu;
        place.push_back(is_here ? static_cast<int64_t>(value.dtype()) : -1);
        const auto [other, is_new] = small.try_emplace({time, std::move(place)}, of_[now]);
        if (!is_new && root(other->second) != root(of_[now])) parents_[root(other->second)] = root(of_[now]);
      }
    }
    for (int variable : call.outputs) {
      makers_[variable] = now;
      // What is made of nothing waits for nobody.
      const bool at_once = view || (call.inputs.empty() && !call.has_effect());
      ready[variable] = at_once ? time : time + 1;
    }
    if (is_again(call, again)) made_again.push_back(now);
    if (reads_again) {
      for (int other : made_again) {
        if (!goes_along(other)) continue;
        of_[other] = of_[now];
        ready[program.instructions[other].outputs[0]] = time + 1;
      }
      made_again.clear();
    }
  }
}

int Groups::root(int group) {
  while (parents_[group] != group) group = parents_[group] = parents_[parents_[group]];
  return group;
}

std::vector<Factors> take_factors(const Unit& unit, Tensors& inputs) {
  std::vector<Factors> factors;
  const size_t begin = inputs.size() - 2 * unit.products.size();
  for (size_t i = 0; i < unit.products.size(); ++i)
    factors.push_back({unit.products[i].input, inputs[begin + 2 * i], inputs[begin + 2 * i + 1]});
  inputs.resize(begin);
  return factors;
}

std::vector<Unit> units_of(const Program& program, const Tensors& values, const Fusing& fusing) {
  return Fuser(program, values, fusing).take();
}

}  // namespace tidu
