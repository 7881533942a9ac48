// What of a program is run at once.
#pragma once

#include "core/group.h"
#include "core/program.h"

namespace tidu {

// One call, or several as a group.
struct Unit {
  std::vector<int> calls;            // numbers of instructions
  std::vector<int> inputs, outputs;  // variables, as the call or the group has them; -1 for a number
  std::optional<Group> group{};
};

// Each call of a program that is no view, on its own.
std::vector<Unit> units_of(const Program& program, const Tensors& values);

}  // namespace tidu
