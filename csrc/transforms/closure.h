// Functions recorded to be held by a call: as programs that take all they close over as further inputs.
#pragma once

#include "autodiff/transforms.h"
#include "core/program.h"

namespace tidu {

// Everything that the programs close over and a trace knows becomes an input of each of them, after those
// that it has, and is appended to `captured`.
void capture(std::initializer_list<Program*> programs, Tensors& captured);

// Without what is of no use.
std::shared_ptr<const Program> shared(Program program);

// The function for arguments of these specs, recorded unseen by other traces, before anything is captured.
Program record_unseen(const Function& function, Specs like);

// A program with a part of its inputs differentiated. Tangents and cotangents are aligned with inputs and
// outputs; an undefined one is zero.
Jvp push_program(const Program& program, const Tensors& inputs, const Tensors& tangents);
struct Pulled {
  Tensors outputs;
  Tensors cotangents;  // of the inputs that are wanted
};
Pulled pull_program(const Program& program, const Tensors& inputs, const std::vector<bool>& wanted,
                    const Tensors& cotangents);

}  // namespace tidu
