// Running and printing programs.
#include "core/program.h"

#include <optional>

#include "core/bind.h"
#include "core/trace.h"

namespace tidu {
namespace {

// a .. z, aa, ab ..
std::string name_of_variable(int i) {
  std::string name(1, static_cast<char>('a' + i % 26));
  return i < 26 ? name : name_of_variable(i / 26 - 1) + name;
}

}  // namespace

Tensors Program::operator()(std::span<const Tensor> arguments) const {
  if (arguments.size() != inputs.size())
    fail<ValueError>("[program] takes ", inputs.size(), " arguments, not ", arguments.size());
  Tensors values(variables.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Variable& variable = variables[inputs[i]];
    const Tensor& argument = arguments[i];
    if (argument.shape() != variable.spec.shape || argument.dtype() != variable.spec.dtype ||
        !(argument.device() == variable.device)) {
      fail<ShapeError>("[program] argument ", i, " is ", describe(argument),
                       " but the program was recorded for ", variable.spec.dtype, variable.spec.shape, " ",
                       variable.device);
    }
    values[inputs[i]] = argument;
  }
  for (const Constant& constant : constants) values[constant.variable] = constant.value;
  Tensors operands, results;
  for (const Instruction& instruction : instructions) {
    std::optional<GradMode> off;
    if (!instruction.differentiable) off.emplace(false);
    operands.clear();
    for (int variable : instruction.inputs) operands.push_back(values[variable]);
    results.assign(instruction.outputs.size(), Tensor());
    tidu::bind(*instruction.primitive, operands, instruction.attrs, results);
    for (size_t i = 0; i < results.size(); ++i) values[instruction.outputs[i]] = results[i];
  }
  Tensors result;
  for (int variable : outputs) result.push_back(values[variable]);
  return result;
}

std::string Program::to_string() const {
  std::ostringstream out;
  const auto typed = [&](int i) {
    return str(name_of_variable(i), ":", variables[i].spec.dtype, variables[i].spec.shape);
  };
  out << "program(";
  for (size_t i = 0; i < inputs.size(); ++i) out << (i ? ", " : "") << typed(inputs[i]);
  out << ")\n";
  for (const Constant& constant : constants) out << "  " << typed(constant.variable) << " = constant\n";
  for (const Instruction& instruction : instructions) {
    out << "  ";
    for (size_t i = 0; i < instruction.outputs.size(); ++i)
      out << (i ? ", " : "") << typed(instruction.outputs[i]);
    out << " = " << instruction.primitive->name;
    if (!instruction.attrs.empty()) out << '[' << instruction.attrs.to_string() << ']';
    for (int variable : instruction.inputs) out << ' ' << name_of_variable(variable);
    out << '\n';
  }
  out << "  return";
  for (int variable : outputs) out << ' ' << name_of_variable(variable);
  out << '\n';
  return out.str();
}

}  // namespace tidu
