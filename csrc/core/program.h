// A recorded computation: a linear list of primitive calls on numbered variables, each of which has one
// value.
#pragma once

#include <memory>
#include <string>

#include "core/primitive.h"

namespace tidu {

struct Program {
  struct Instruction {
    const Primitive* primitive;
    Attrs attrs;
    std::vector<int> inputs, outputs;
    bool differentiable = true;  // false: recorded under GradMode(false)

    // Whether it, or a program that it holds, does something besides giving values.
    bool has_effect() const { return primitive->effect || attrs.has_effect(); }

    bool operator==(const Instruction&) const = default;
  };
  struct Constant {
    int variable;
    Tensor value;

    bool operator==(const Constant& other) const {
      return variable == other.variable && value.is_same(other.value);
    }
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

  bool operator==(const Program&) const = default;

  // Runs the instructions through bind, so that live traces see them. Arguments must match the inputs in
  // shape, dtype and device. Which values share memory was fixed for row-major arguments: one that is laid
  // out otherwise is copied first where that could change it. So is one that the program writes to, which
  // gets its new value at the end. Values go after their last use.
  Tensors operator()(std::span<const Tensor> arguments) const;

  // The results of one instruction, whose inputs have values.
  Tensors run(const Instruction& instruction, std::span<const Tensor> values) const;

  // The number of the last instruction that reads each variable; of results that of instructions.
  std::vector<size_t> last_uses() const;

  // One line an instruction: "c:float32(3,) = multiply a b".
  std::string to_string() const;
};

// Removes the instructions and constants of which no output and no effect, directly or not, makes use.
void remove_unused(Program& program);

// Whether the elements of a constant share one number, at raw_data() on the host.
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
std::ostream& operator<<(std::ostream& out, const ProgramField& field);

}  // namespace tidu
