// What is known of a program's values before there are any: shapes, layouts, and which share memory.
#pragma once

#include "program/program.h"

namespace tidu {

// An abstract tensor with the layout of `value`.
Tensor outline_of(const Tensor& value);
// The results of a call on abstract tensors. Nothing is computed.
Tensors outline(const Program& program, const Program::Instruction& call, std::span<const Tensor> values);
// How the elements of each argument lie; none: all are row-major.
using Layouts = std::span<const Strides>;
Tensor outline_of_input(const Program& program, size_t input, Layouts layouts);
// An abstract tensor for each variable of a program. Those that share memory share a storage.
Tensors outline(const Program& program, Layouts layouts = {});

// Whether a call gives another view of its first input, and neither computes nor moves anything.
bool is_view(const Program::Instruction& call, std::span<const Tensor> values);

// Whether a call reads or makes complex numbers, of which loops of several calls know nothing.
bool has_complex(const Program::Instruction& call, std::span<const Tensor> values);

}  // namespace tidu
