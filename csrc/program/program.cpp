// Running and comparing programs.
#include "program/program.h"

#include <algorithm>

#include "backend/backend.h"
#include "base/few.h"
#include "core/bind.h"
#include "core/host_lock.h"
#include "program/recorder.h"

namespace tidu {

namespace {

void run_into(const Program& program, const Program::Instruction& instruction, std::span<const Tensor> values,
              std::span<Tensor> results) {
  std::optional<Lines> line;
  if (Lines::are_asked_for() && instruction.source.file) line.emplace([&] { return instruction.source; });
  std::optional<GradMode> off;
  if (!instruction.differentiable) off.emplace(false);
  Few<Tensor, 4> operands(instruction.inputs.size());
  std::ranges::transform(instruction.inputs, operands.begin(),
                         [&](int variable) { return values[variable]; });
  const Primitive& primitive = *instruction.primitive;
  // A variable keeps its value.
  for (size_t i = 0; primitive.overwrites && i < results.size(); ++i)
    operands[i] = bind(primitives::copy, {operands[i]});
  const Device device = results.empty() ? Device() : program.variables[instruction.outputs[0]].device;
  tidu::bind(primitive, operands, instruction.attrs, results, device);
}

}  // namespace

Tensors Program::operator()(std::span<const Tensor> arguments) const {
  answer_signals();  // a loop may call it without end
  if (arguments.size() != inputs.size())
    fail<ValueError>("[program] takes ", inputs.size(), " arguments, not ", arguments.size());
  const bool has_layout = std::ranges::any_of(
      instructions, [](const Instruction& instruction) { return instruction.primitive->view_may_copy; });
  Tensors values(variables.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Tensor& argument = arguments[i];
    const Spec& spec = variables[inputs[i]];
    if (!(argument.spec() == spec)) {
      fail<ShapeError>("[program] argument ", i, " is ", describe(argument),
                       " but the program was recorded for ", spec);
    }
    values[inputs[i]] = argument;
  }
  for (const Constant& constant : constants) values[constant.variable] = constant.value;
  const std::vector<size_t> last_uses = this->last_uses();
  for (size_t now = 0; now < instructions.size(); ++now) {
    const Instruction& instruction = instructions[now];
    Few<Tensor, 2> results(instruction.outputs.size());
    run_into(*this, instruction, values, results);
    for (size_t i = 0; i < results.size(); ++i) values[instruction.outputs[i]] = std::move(results[i]);
    for (const std::vector<int>* variables : {&instruction.inputs, &instruction.outputs}) {
      for (int variable : *variables) {
        if (last_uses[variable] <= now) values[variable] = {};
      }
    }
  }
  Tensors result;
  result.reserve(outputs.size());
  for (int variable : outputs) {
    Tensor one = values[variable];
    // A view of such an argument may have been recorded as a copy of a row-major one.
    const bool is_view = has_layout && std::ranges::any_of(arguments, [&](const Tensor& argument) {
                           return !argument.is_contiguous() && argument.impl().storage == one.impl().storage;
                         });
    result.push_back(is_view ? bind(primitives::copy, {one}) : one);
  }
  const auto is_written_to = [&](const Tensor& value) {
    return std::ranges::any_of(writes, [&](const Write& write) {
      return value.impl().storage == arguments[write.input].impl().storage;
    });
  };
  for (const Write& write : writes) {
    Tensor& value = values[write.variable];
    if (is_written_to(value)) value = bind(primitives::copy, {value});
  }
  for (const Write& write : writes)
    bind(primitives::assign, {arguments[write.input], values[write.variable]});
  return result;
}

std::map<std::string, Tensor> Program::by_name(const std::map<std::string, Tensor>& arguments) const {
  const auto name = [](const std::vector<std::string>& names, size_t i) {
    return names.empty() ? std::to_string(i) : names[i];
  };
  Tensors ordered;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto found = arguments.find(name(names.inputs, i));
    if (found == arguments.end())
      fail<ValueError>("[program] argument ", name(names.inputs, i), " is missing (it is ",
                       variables[inputs[i]], ")");
    ordered.push_back(found->second);
  }
  if (arguments.size() != inputs.size()) {
    for (const auto& [given, value] : arguments) {
      bool known = false;
      for (size_t i = 0; i < inputs.size(); ++i) known |= name(names.inputs, i) == given;
      if (!known) fail<ValueError>("[program] there is no argument ", given, ": ", describe(value));
    }
  }
  const Tensors results = (*this)(ordered);
  std::map<std::string, Tensor> result;
  for (size_t i = 0; i < results.size(); ++i) result[name(names.outputs, i)] = results[i];
  return result;
}

bool Program::Constant::operator==(const Constant& other) const {
  if (variable != other.variable || !(value.spec() == other.value.spec())) return false;
  return value.is_same(other.value) || host_bytes(value) == host_bytes(other.value);
}

Tensors Program::run(const Instruction& instruction, std::span<const Tensor> values) const {
  Tensors results(instruction.outputs.size());
  run_into(*this, instruction, values, results);
  return results;
}

std::vector<size_t> Program::last_uses() const {
  std::vector<size_t> result(variables.size(), 0);
  for (size_t now = 0; now < instructions.size(); ++now) {
    for (int variable : instructions[now].inputs) result[variable] = now;
  }
  for (int variable : outputs) result[variable] = instructions.size();
  for (const Write& write : writes) result[write.variable] = instructions.size();
  return result;
}

std::vector<int> remove_and_renumber(Program& program) {
  std::vector<int> names(program.variables.size(), -1);  // at first 0 for those that are used
  const auto use = [&](const std::vector<int>& variables) {
    for (int variable : variables) names[variable] = 0;
  };
  use(program.inputs);
  use(program.outputs);
  for (const Program::Write& write : program.writes) names[write.variable] = 0;
  const auto is_unused = [&](int variable) { return names[variable] < 0; };
  std::vector<Program::Instruction> kept;
  for (auto it = program.instructions.rbegin(); it != program.instructions.rend(); ++it) {
    if (std::ranges::all_of(it->outputs, is_unused) && !it->has_effect()) continue;
    use(it->inputs);
    use(it->outputs);
    kept.push_back(std::move(*it));
  }
  program.instructions.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  std::erase_if(program.constants, [&](const auto& constant) { return is_unused(constant.variable); });

  // Numbers in the order in which a reader meets them.
  std::vector<Spec> specs;
  std::ranges::fill(names, -1);
  const auto rename = [&](int& variable) {
    if (names[variable] < 0) {
      names[variable] = static_cast<int>(specs.size());
      specs.push_back(program.variables[variable]);
    }
    variable = names[variable];
  };
  std::ranges::for_each(program.inputs, rename);
  for (Program::Constant& constant : program.constants) rename(constant.variable);
  for (Program::Instruction& instruction : program.instructions) {
    std::ranges::for_each(instruction.inputs, rename);
    std::ranges::for_each(instruction.outputs, rename);
  }
  std::ranges::for_each(program.outputs, rename);
  for (Program::Write& write : program.writes) rename(write.variable);
  program.variables = std::move(specs);
  return names;
}

void remove_unused(Program& program) { remove_and_renumber(program); }

std::string host_bytes(const Tensor& tensor) {
  std::string bytes(tensor.nbytes(), '\0');
  if (bytes.empty()) return bytes;
  const VisibleTraces none(nullptr);
  const Tensor dense = tensor.is_contiguous() && !tensor.impl().storage->is_number()
                           ? tensor
                           : bind(primitives::copy, {tensor});
  backend(tensor.device()).copy_to_host(bytes.data(), dense);
  return bytes;
}

bool is_one_number(const Tensor& value) {
  if (value.is_abstract() || value.numel() == 0) return false;
  for (int i = 0; i < value.ndim(); ++i) {
    if (value.size(i) > 1 && value.strides()[i] != 0) return false;
  }
  return value.device().type == DeviceType::cpu || value.impl().storage->is_number();
}

bool is_all(const Tensor& value, int number) {
  return is_one_number(value) && !is_complex(value.dtype()) && visit_dtype(value.dtype(), [&]<class T>() {
           return *static_cast<const T*>(value.raw_data()) == T(number);
         });
}

uint64_t hash_value(const ProgramField& field) {
  uint64_t hash = field->instructions.size();
  for (const Program::Instruction& instruction : field->instructions)
    hash = (hash ^ reinterpret_cast<uintptr_t>(instruction.primitive) ^ instruction.attrs.hash()) *
           0x9e3779b97f4a7c15u;
  return hash;
}

bool has_effect(const ProgramField& field) {
  return std::ranges::any_of(field->instructions, &Program::Instruction::has_effect);
}

}  // namespace tidu
