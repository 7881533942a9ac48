// A recorded computation: a linear list of primitive calls on numbered variables, each of which has one
// value.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/source_line.h"
#include "core/primitive.h"

namespace tidu {

struct Program {
  // For readers, as the lines of its calls are.
  struct Names {
    std::vector<std::string> inputs, outputs;  // as many as there are, or none
    std::string trees;                         // how the host language arranges them, in words of its own

    bool operator==(const Names&) const { return true; }
  };

  struct Instruction {
    const Primitive* primitive;
    Attrs attrs;
    std::vector<int> inputs, outputs;
    bool differentiable = true;  // false: recorded under GradMode(false)
    SourceLine source{};

    // Whether it, or a program that it holds, does something besides giving values.
    bool has_effect() const { return primitive->effect || attrs.has_effect(); }

    bool operator==(const Instruction&) const = default;
  };
  struct Constant {
    int variable;
    Tensor value;
    std::optional<uint64_t> version{};  // of its memory, where it must still be that for derivatives

    bool operator==(const Constant& other) const;  // bit for bit
  };
  // Argument number `input` is overwritten with a variable at the end.
  struct Write {
    int input, variable;

    bool operator==(const Write&) const = default;
  };

  std::vector<Spec> variables;
  std::vector<int> inputs, outputs;
  std::vector<Constant> constants;  // values from outside the function
  std::vector<Instruction> instructions;
  std::vector<Write> writes;
  Names names{};

  bool operator==(const Program&) const = default;

  // Runs the instructions through bind, so that live traces see them. Arguments must match the inputs in
  // shape, dtype and device, and may be laid out in any way: what may have been recorded as a copy of a
  // row-major one is a copy where it is a result. Those that the program writes to get their new values at
  // the end. Values go after their last use.
  Tensors operator()(std::span<const Tensor> arguments) const;

  // The same by names. Those of arguments and results are the ones that it was saved with, or else their
  // numbers.
  std::map<std::string, Tensor> by_name(const std::map<std::string, Tensor>& arguments) const;

  // The results of one instruction, whose inputs have values.
  Tensors run(const Instruction& instruction, std::span<const Tensor> values) const;

  // The number of the last instruction that reads each variable; of results that of instructions.
  std::vector<size_t> last_uses() const;

  // One line an instruction, "c:float32(3,) = multiply a b  # net.py:7", and below it the programs that it
  // holds.
  std::string to_string() const;

  // A ValueError that names the instruction where the program is none that a recorder makes: a variable that
  // has no value yet, a call that its primitive does not take, a spec that does not follow.
  void verify() const;

  // One file, docs/program-format.md, written atomically. A ValueError names what cannot be saved. Defined in
  // io.
  void save(const std::string& path) const;
  // A verified program; with `device` moved there. A file that is damaged or of a newer version is a
  // FileError. Defined in io.
  static Program load(const std::string& path, std::optional<Device> device = {});
};
// What errors call an instruction: "instruction 3 (matmul, net.py:7)".
std::string describe(const Program::Instruction& instruction, size_t number);

// Removes the instructions and constants of which no output and no effect, directly or not, makes use.
void remove_unused(Program& program);

// The elements of a constant, row-major, from its device.
std::string host_bytes(const Tensor& value);
// Whether they share one number, at raw_data() on the host.
bool is_one_number(const Tensor& value);
// Whether they share this one.
bool is_all(const Tensor& value, int number);

// A program as an attribute.
struct ProgramField {
  std::shared_ptr<const Program> program;

  const Program& operator*() const { return *program; }
  const Program* operator->() const { return program.get(); }
  bool operator==(const ProgramField& other) const {
    return program == other.program || (program && other.program && *program == *other.program);
  }
};
uint64_t hash_value(const ProgramField& field);
bool has_effect(const ProgramField& field);
inline bool fits(const ProgramField& field, const Shape&) { return field.program != nullptr; }
inline AttrValue to_value(const ProgramField& field) { return field.program; }
inline void from_value(ProgramField& field, const AttrValue& value) {
  field.program = std::get<std::shared_ptr<const Program>>(value);
}

}  // namespace tidu
