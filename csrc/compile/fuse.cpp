// Units of programs.
#include "compile/fuse.h"

#include "compile/outline.h"

namespace tidu {

std::vector<Unit> units_of(const Program& program, const Tensors& values) {
  std::vector<Unit> units;
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const Program::Instruction& call = program.instructions[i];
    if (!is_view(call, values)) units.push_back({{static_cast<int>(i)}, call.inputs, call.outputs});
  }
  return units;
}

}  // namespace tidu
