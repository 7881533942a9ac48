// What the steps of scans need not compute: what no step changes is computed once, before the scan, and what
// an earlier scan computes at the same step, as that whose derivative it is, is handed over by that.
#include <map>
#include <set>

#include "compile/held.h"
#include "transforms/closure.h"
#include "transforms/control.h"
#include "transforms/scan.h"

namespace tidu {
namespace {

constexpr int64_t kMostBytes = 64 << 20;  // that are handed over, or computed before a scan

const ScanAttrs* as_scan(const Program::Instruction& call) {
  return call.primitive == &primitives::scan ? &call.attrs.as<ScanAttrs>() : nullptr;
}

// Views, and what is made of nothing, are not worth memory.
bool is_free(const Program::Instruction& call) { return call.inputs.empty() || call.primitive->view; }

// Nor is arithmetic, where what it is made of is there.
bool is_cheap(const Program& program, const Program::Instruction& call) {
  if (is_free(call)) return true;
  if (!call.primitive->pointwise) return false;
  const std::vector<Spec> inputs = specs_of(program, call.inputs, 0, call.inputs.size()),
                          outputs = specs_of(program, call.outputs, 0, call.outputs.size());
  return call.primitive->flops({*call.primitive, inputs, call.attrs}, outputs).transcendental == 0;
}

int64_t bytes_of(const Program& program, const std::vector<int>& variables) {
  int64_t bytes = 0;
  for (int variable : variables) {
    const Spec& spec = program.variables[variable];
    bytes += num_elements(spec.shape) * static_cast<int64_t>(size_of(spec.dtype));
  }
  return bytes;
}

// The values of those that are known which other calls or the program's outputs read; in the place of free
// ones those that they are made of. In order.
std::vector<int> known_and_read(const Program& program, const std::vector<bool>& is_known) {
  std::vector<bool> is_read(program.variables.size());
  for (int variable : program.outputs) is_read[variable] = true;
  std::vector<int> found;
  for (auto call = program.instructions.rbegin(); call != program.instructions.rend(); ++call) {
    const auto reads = [&](int variable) { return is_read[variable]; };
    if (std::ranges::none_of(call->outputs, reads) && !call->has_effect()) continue;
    if (!call->outputs.empty() && is_known[call->outputs[0]] && !is_free(*call)) {
      std::ranges::copy_if(call->outputs, std::back_inserter(found), reads);
    } else {
      for (int variable : call->inputs) is_read[variable] = true;
    }
  }
  std::ranges::reverse(found);
  return found;
}

// Has a scan take these values of its steps as inputs, the variables `from` of the program that it is in, and
// no inputs that no step reads.
void give(Program::Instruction& call, Program body, const std::vector<int>& values,
          const std::vector<int>& from, bool as_slices) {
  ScanAttrs attrs = *as_scan(call);
  std::erase_if(body.instructions, [&](const Program::Instruction& inner) {
    return std::ranges::any_of(inner.outputs,
                               [&](int variable) { return std::ranges::count(values, variable) > 0; });
  });
  const std::ptrdiff_t at = as_slices ? attrs.carries + attrs.slices : std::ssize(call.inputs);
  body.inputs.insert(body.inputs.begin() + at, values.begin(), values.end());
  call.inputs.insert(call.inputs.begin() + at, from.begin(), from.end());
  if (as_slices) attrs.slices += static_cast<int>(values.size());
  remove_unused(body);

  std::set<int> read(body.outputs.begin(), body.outputs.end());
  for (const Program::Instruction& inner : body.instructions)
    read.insert(inner.inputs.begin(), inner.inputs.end());
  std::vector<int> inputs, outside;
  const auto carries = static_cast<size_t>(attrs.carries), end = carries + static_cast<size_t>(attrs.slices);
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    if (i >= carries && !read.contains(body.inputs[i])) {
      attrs.slices -= i < end ? 1 : 0;
      continue;
    }
    inputs.push_back(body.inputs[i]);
    outside.push_back(call.inputs[i]);
  }
  body.inputs = std::move(inputs);
  call.inputs = std::move(outside);
  attrs.body = hold(std::move(body));
  call.attrs = attrs;
}

// Equal for constants that are equal for good.
std::string name_of(const Tensor& constant) {
  if (constant.is_abstract()) return str("unknown ", &constant.impl());
  const bool is_fixed = is_one_number(constant) && !constant.impl().storage->writable();
  std::string name = str(is_fixed ? "number " : "memory ", constant.spec(), ' ', constant.strides(), ' ');
  if (!is_fixed) return name + str(constant.raw_data());
  return name.append(static_cast<const char*>(constant.raw_data()), size_of(constant.dtype()));
}

// Numbers of values of programs: those of one number have the same bits. -1: none is known.
class Numbers {
 public:
  // From here on what has no number yet gets none.
  void close() { adds_ = false; }

  int of(const std::string& name) {
    const auto found = sources_.find(name);
    if (found != sources_.end()) return found->second;
    return adds_ ? sources_[name] = count_++ : -1;
  }

  // Of each variable of a program, whose inputs have these.
  std::vector<int> of(const Program& program, const std::vector<int>& inputs) {
    std::vector<int> numbers(program.variables.size(), -1);
    for (size_t i = 0; i < inputs.size(); ++i) numbers[program.inputs[i]] = inputs[i];
    for (const Program::Constant& constant : program.constants)
      numbers[constant.variable] = of(name_of(constant.value));
    for (const Program::Instruction& call : program.instructions) {
      if (call.primitive == &primitives::alias) {
        numbers[call.outputs[0]] = numbers[call.inputs[0]];
        continue;
      }
      // What a loop saves for its derivative is as much as that of all its steps.
      const ScanAttrs* const inner = as_scan(call);
      if (call.has_effect() || call.outputs.empty() || (inner && inner->saves)) continue;
      std::vector<int> of_inputs;
      for (int variable : call.inputs) of_inputs.push_back(numbers[variable]);
      if (std::ranges::find(of_inputs, -1) != of_inputs.end()) continue;
      const Spec& first = program.variables[call.outputs[0]];
      std::vector<Made>& alike = made_[{call.primitive, of_inputs}];
      auto found = std::ranges::find_if(
          alike, [&](const Made& other) { return other.attrs == call.attrs && other.first == first; });
      if (found == alike.end()) {
        if (!adds_) continue;
        found = alike.insert(alike.end(), {call.attrs, first, count_});
        count_ += static_cast<int>(call.outputs.size());
      }
      for (size_t k = 0; k < call.outputs.size(); ++k)
        numbers[call.outputs[k]] = found->number + static_cast<int>(k);
    }
    return numbers;
  }

 private:
  struct Made {
    Attrs attrs;
    Spec first;
    int number;  // of the first output
  };

  bool adds_ = true;
  int count_ = 0;
  std::map<std::string, int> sources_;
  std::map<std::pair<const Primitive*, std::vector<int>>, std::vector<Made>> made_;
};

std::string slice_of(int variable) { return str("slice of ", variable); }
std::string captured(int variable) { return str("captured ", variable); }

// Of values of one number the first one alone.
void rename(Program& program, const std::vector<int>& numbers) {
  std::map<int, int> first;
  const auto meet = [&](int variable) {
    if (numbers[variable] >= 0) first.try_emplace(numbers[variable], variable);
  };
  std::ranges::for_each(program.inputs, meet);
  for (const Program::Constant& constant : program.constants) meet(constant.variable);
  const auto renamed = [&](std::vector<int>& variables) {
    for (int& variable : variables) {
      if (numbers[variable] >= 0) variable = first.at(numbers[variable]);
    }
  };
  for (Program::Instruction& call : program.instructions) {
    renamed(call.inputs);
    std::ranges::for_each(call.outputs, meet);
  }
  renamed(program.outputs);
}

// What a step of a scan reads of that of an earlier one with as many steps: what both compute, but for what
// costs little where the rest is there.
class Sharing {
 public:
  Sharing(const Program::Instruction& maker, const Program::Instruction& reader)
      : made_by_(*as_scan(maker)->body), body_(*as_scan(reader)->body) {
    Numbers numbers;
    number_maker(numbers, maker);
    numbers.close();
    number_reader(numbers, maker, reader);
    rename(body_, numbers_);
    for (int number : numbers_) is_known_.push_back(number >= 0);
    makers_.resize(body_.variables.size(), nullptr);
    for (const Program::Instruction& call : body_.instructions) {
      for (int variable : call.outputs) makers_[variable] = &call;
    }
    values_ = known_and_read(body_, is_known_);
    for (size_t i = values_.size(); i-- > 0;) {
      const int value = values_[i];
      std::map<int, bool> known;
      values_.erase(values_.begin() + static_cast<std::ptrdiff_t>(i));
      if (!is_there(value, known)) values_.insert(values_.begin() + static_cast<std::ptrdiff_t>(i), value);
    }
  }

  const Program& body() const { return body_; }               // of the reader
  const std::vector<int>& values() const { return values_; }  // what it is to be given
  // The variable that is the same in the maker's body.
  int in_maker(int value) const {
    return static_cast<int>(std::ranges::find(of_maker_, numbers_[value]) - of_maker_.begin());
  }
  bool are_equal(int in_maker, int value) const { return of_maker_[in_maker] == numbers_[value]; }

 private:
  void number_maker(Numbers& numbers, const Program::Instruction& call) {
    const ScanAttrs& attrs = *as_scan(call);
    std::vector<int> inputs;
    for (int i = 0; i < std::ssize(call.inputs); ++i) {
      const int outside = call.inputs[static_cast<size_t>(i)];
      inputs.push_back(numbers.of(i < attrs.carries                  ? str("carry ", i)
                                  : i < attrs.carries + attrs.slices ? slice_of(outside)
                                                                     : captured(outside)));
    }
    of_maker_ = numbers.of(made_by_, inputs);
  }

  void number_reader(Numbers& numbers, const Program::Instruction& maker, const Program::Instruction& call) {
    const ScanAttrs& attrs = *as_scan(call);
    const auto carries = static_cast<size_t>(attrs.carries),
               end = carries + static_cast<size_t>(attrs.slices),
               of_maker = static_cast<size_t>(as_scan(maker)->carries), results = made_by_.outputs.size();
    std::vector<int> inputs(carries, -1);
    for (size_t i = carries; i < call.inputs.size(); ++i) {
      const int outside = call.inputs[i];
      const auto k = static_cast<size_t>(std::ranges::find(maker.outputs, outside) - maker.outputs.begin());
      inputs.push_back(i >= end                                    ? numbers.of(captured(outside))
                       : k < of_maker || k == maker.outputs.size() ? numbers.of(slice_of(outside))
                       : k < results                               ? of_maker_[made_by_.outputs[k]]
                                                                   : of_maker_[made_by_.inputs[k - results]]);
    }
    numbers_ = numbers.of(body_, inputs);
    for (size_t i = end; i < call.inputs.size(); ++i) is_fixed_.insert(body_.inputs[i]);
    for (const Program::Constant& constant : body_.constants) is_fixed_.insert(constant.variable);
    for (const Program::Instruction& inner : body_.instructions) {
      if (!inner.has_effect() &&
          std::ranges::all_of(inner.inputs, [&](int v) { return is_fixed_.contains(v); }))
        is_fixed_.insert(inner.outputs.begin(), inner.outputs.end());
    }
  }

  // Whether it is given, or costs little.
  bool is_there(int variable, std::map<int, bool>& known) const {
    const Program::Instruction* const maker = makers_[variable];
    if (!maker || is_fixed_.contains(variable) || std::ranges::count(values_, variable) > 0) return true;
    if (!is_known_[variable] || !is_cheap(body_, *maker)) return false;
    const auto [found, is_new] = known.try_emplace(variable, false);
    if (is_new)
      found->second = std::ranges::all_of(maker->inputs, [&](int input) { return is_there(input, known); });
    return found->second;
  }

  const Program& made_by_;
  Program body_;
  std::vector<int> of_maker_, numbers_;  // of the variables of both
  std::set<int> is_fixed_;               // what no step changes
  std::vector<bool> is_known_;
  std::vector<const Program::Instruction*> makers_;
  std::vector<int> values_;
};

void share(Program& program, Program::Instruction& maker, Program::Instruction& reader) {
  const ScanAttrs& reading = *as_scan(reader);
  const Sharing sharing(maker, reader);
  const std::vector<int>& values = sharing.values();
  if (values.empty() || bytes_of(sharing.body(), values) * reading.length > kMostBytes) return;
  ScanAttrs attrs = *as_scan(maker);
  Program body = *attrs.body;
  std::vector<int> from;
  for (int value : values) {
    size_t k = static_cast<size_t>(attrs.carries);
    while (k < body.outputs.size() && !sharing.are_equal(body.outputs[k], value)) ++k;
    if (k == body.outputs.size()) {
      body.outputs.push_back(sharing.in_maker(value));
      program.variables.push_back(times(body.variables[body.outputs[k]], attrs.length));
      maker.outputs.insert(maker.outputs.begin() + static_cast<std::ptrdiff_t>(k),
                           static_cast<int>(program.variables.size()) - 1);
    }
    from.push_back(maker.outputs[k]);
  }
  give(reader, sharing.body(), values, from, true);
  attrs.body = hold(std::move(body));
  maker.attrs = attrs;
}

// Moves calls out of the bodies of scans, before them.
class Mover {
 public:
  explicit Mover(Program program) : program_(std::move(program)) {
    std::vector<Program::Instruction> calls;
    calls.swap(program_.instructions);
    for (Program::Instruction& call : calls) {
      if (const ScanAttrs* const scan = as_scan(call); scan && scan->length > 1) move_from(call);
      program_.instructions.push_back(std::move(call));
    }
  }
  Program take() { return std::move(program_); }

 private:
  void move_from(Program::Instruction& scan) {
    const ScanAttrs& attrs = *as_scan(scan);
    const Program& body = *attrs.body;
    const auto moving = static_cast<std::ptrdiff_t>(attrs.carries) + attrs.slices;
    std::vector<bool> is_fixed(body.variables.size(), false);
    for (auto input = body.inputs.begin() + moving; input != body.inputs.end(); ++input)
      is_fixed[*input] = true;
    for (const Program::Constant& constant : body.constants) is_fixed[constant.variable] = true;
    for (const Program::Instruction& call : body.instructions) {
      const bool is =
          !call.has_effect() && std::ranges::all_of(call.inputs, [&](int v) { return is_fixed[v]; });
      for (int variable : call.outputs) is_fixed[variable] = is;
    }
    const std::vector<int> values = known_and_read(body, is_fixed);
    if (values.empty() || bytes_of(body, values) > kMostBytes) return;

    Program moved = body;  // gives the values
    moved.outputs = values;
    std::erase_if(moved.instructions, [&](const Program::Instruction& call) {
      return call.outputs.empty() || !is_fixed[call.outputs[0]];
    });
    remove_unused(moved);
    std::vector<int> names(moved.variables.size(), -1), from;
    for (size_t i = static_cast<size_t>(moving); i < moved.inputs.size(); ++i)
      names[moved.inputs[i]] = scan.inputs[i];
    for (const Program::Constant& constant : moved.constants) {
      const auto known = std::ranges::find_if(program_.constants, [&](const auto& other) {
        return name_of(other.value) == name_of(constant.value);
      });
      if (known != program_.constants.end()) {
        names[constant.variable] = known->variable;
      } else {
        names[constant.variable] = add(constant.value.spec());
        program_.constants.push_back({names[constant.variable], constant.value, constant.version});
      }
    }
    for (Program::Instruction call : moved.instructions) {
      for (int& variable : call.inputs) variable = names[variable];
      const auto same = std::ranges::find_if(moved_, [&](const Program::Instruction& other) {
        return !call.inputs.empty() && other.primitive == call.primitive && other.inputs == call.inputs &&
               other.attrs == call.attrs;
      });
      if (same != moved_.end()) {
        for (size_t k = 0; k < call.outputs.size(); ++k) names[call.outputs[k]] = same->outputs[k];
        continue;
      }
      for (int& variable : call.outputs) variable = names[variable] = add(moved.variables[variable]);
      program_.instructions.push_back(call);
      moved_.push_back(std::move(call));
    }
    for (int variable : moved.outputs) from.push_back(names[variable]);
    give(scan, body, values, from, false);
  }

  int add(const Spec& spec) {
    program_.variables.push_back(spec);
    return static_cast<int>(program_.variables.size()) - 1;
  }

  Program program_;
  std::vector<Program::Instruction> moved_;
};

}  // namespace

Program hoisted_from_scans(Program program) {
  for (size_t j = 0; j < program.instructions.size(); ++j) {
    for (size_t i = 0; i < j; ++i) {
      const ScanAttrs* const reader = as_scan(program.instructions[j]);
      const ScanAttrs* const maker = as_scan(program.instructions[i]);
      if (reader && maker && reader->length == maker->length && maker->length > 1)
        share(program, program.instructions[i], program.instructions[j]);
    }
  }
  return Mover(std::move(program)).take();
}

}  // namespace tidu
