// Programs for readers.
#include <algorithm>
#include <set>

#include "base/digits.h"
#include "program/program.h"

namespace tidu {
namespace {

// a .. z, aa, ab ..
std::string letters(int i) {
  std::string name(1, static_cast<char>('a' + i % 26));
  return i < 26 ? name : letters(i / 26 - 1) + name;
}

std::string text_of_element(DType dtype, const void* element) {
  if (is_complex(dtype)) {
    const void* const imaginary = static_cast<const char*>(element) + size_of(part_of(dtype));
    const std::string text = text_of_element(part_of(dtype), imaginary);
    return text_of_element(part_of(dtype), element) + (text[0] == '-' ? "" : "+") + text + "j";
  }
  return visit_dtype(dtype, [&]<class T>() -> std::string {
    const T number = *static_cast<const T*>(element);
    if constexpr (std::is_same_v<T, bool>) {
      return number ? "true" : "false";
    } else if constexpr (std::is_integral_v<T>) {
      return std::to_string(number);
    } else if constexpr (is_half<T>) {
      return digits(static_cast<float>(number), 4);
    } else {
      return shortest(number);
    }
  });
}

// From axis `axis` on: "[[1, 2], [3, 4]]". Moves `element` behind what it wrote.
std::string text_of_elements(const Spec& spec, int axis, const char*& element) {
  if (axis == spec.shape.size())
    return text_of_element(spec.dtype, std::exchange(element, element + size_of(spec.dtype)));
  std::string text = "[";
  for (int64_t i = 0; i < spec.shape[axis]; ++i)
    text += (i ? ", " : "") + text_of_elements(spec, axis + 1, element);
  return text + "]";
}

// The one number that all elements are, or few elements.
std::string text_of_constant(const Tensor& value) {
  constexpr int64_t kFew = 8;
  if (is_one_number(value)) return text_of_element(value.dtype(), value.raw_data());
  if (value.is_abstract() || value.numel() > kFew || value.numel() == 0) return "constant";
  const std::string bytes = host_bytes(value);
  const char* element = bytes.data();
  return text_of_elements(value.spec(), 0, element);
}

// Writes one program, each line after the indent.
class Text {
 public:
  Text(std::ostream& out, const Program& program, std::string indent)
      : out_(out), program_(program), indent_(std::move(indent)) {
    std::set<std::string> taken;
    for (size_t i = 0; i < program.names.inputs.size(); ++i) {
      const std::string& name = program.names.inputs[i];
      if (taken.insert(name).second) names_[program.inputs[i]] = name;
    }
    int next = 0;
    for (int i = 0; i < static_cast<int>(program.variables.size()); ++i) {
      while (taken.contains(letters(next))) ++next;
      if (!names_.contains(i)) names_[i] = letters(next);
      ++next;
    }
  }

  void write() {
    std::vector<std::string> inputs, outputs;
    for (int variable : program_.inputs) inputs.push_back(typed(variable));
    out_ << "program(" << lines_of(inputs) << ")\n";
    for (const Program::Constant& constant : program_.constants)
      line() << typed(constant.variable) << " = " << text_of_constant(constant.value) << '\n';
    for (const Program::Instruction& instruction : program_.instructions) write(instruction);
    for (const Program::Write& write : program_.writes)
      line() << "write " << names_[program_.inputs[write.input]] << " = " << names_[write.variable] << '\n';
    const std::vector<std::string>& names = program_.names.outputs;
    const bool is_named = !names.empty() && names != std::vector<std::string>{"result"};
    for (size_t i = 0; i < program_.outputs.size(); ++i)
      outputs.push_back((is_named ? names[i] + ": " : "") + names_[program_.outputs[i]]);
    line() << (outputs.empty() ? "return" : "return ") << lines_of(outputs) << '\n';
  }

 private:
  std::ostream& line() { return out_ << indent_ << "  "; }

  std::string typed(int variable) {
    const Spec& spec = program_.variables[variable];
    const std::string where = spec.device == Device() ? "" : str('@', spec.device);
    return str(names_[variable], ':', spec.dtype, spec.shape, where);
  }
  std::string list(const std::vector<int>& variables, std::string (Text::*text)(int)) {
    std::string result;
    for (int variable : variables) result += (result.empty() ? "" : ", ") + (this->*text)(variable);
    return result;
  }

  // Beside each other, or, where that is too long, each on a line of its own.
  std::string lines_of(const std::vector<std::string>& parts) const {
    constexpr size_t kLine = 100;
    size_t length = 0;
    for (const std::string& part : parts) length += part.size() + 2;
    std::string text;
    for (const std::string& part : parts)
      text += (length > kLine ? "\n" + indent_ + "    " : text.empty() ? "" : " ") + part + ",";
    if (!text.empty()) text.pop_back();
    return text;
  }

  void write(const Program::Instruction& instruction) {
    line() << list(instruction.outputs, &Text::typed) << (instruction.outputs.empty() ? "" : " = ")
           << instruction.primitive->name;
    if (const std::string attrs = instruction.attrs.to_string(); !attrs.empty()) out_ << '[' << attrs << ']';
    for (int variable : instruction.inputs) out_ << ' ' << names_[variable];
    if (instruction.source.file) out_ << "  # " << instruction.source;
    out_ << '\n';
    for (const auto& [name, value] : instruction.attrs.fields()) {
      const auto* const held = std::get_if<std::shared_ptr<const Program>>(&value);
      if (!held || !*held) continue;
      line() << "  " << name << " = ";
      Text(out_, **held, indent_ + "    ").write();
    }
  }

  std::ostream& out_;
  const Program& program_;
  const std::string indent_;
  std::map<int, std::string> names_;
};

}  // namespace

std::string Program::to_string() const {
  std::ostringstream out;
  Text(out, *this, "").write();
  return out.str();
}

std::string describe(const Program::Instruction& instruction, size_t number) {
  const char* const comma = instruction.source.file ? ", " : "";
  return str("instruction ", number, " (", instruction.primitive->name, comma, instruction.source, ")");
}

}  // namespace tidu
