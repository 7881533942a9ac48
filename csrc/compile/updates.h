// The optimisers' update steps in a program.
#pragma once

#include "program/program.h"

namespace tidu {

// Whether a call updates one parameter, element by element, as kernels of groups can.
bool updates_one(const Program::Instruction& call);
// The clock among its inputs, or -1.
int clock_of(const Program::Instruction& call);

// The program with a call of its own for each parameter whose gradient is a product of matrices that nobody
// else reads, where the device can apply it as it computes it; `values` are those of its variables.
Program with_updates_apart(const Program& program, std::span<const Tensor> values);

}  // namespace tidu
