// In what calls that hold programs are linear.
#pragma once

#include <vector>

#include "program/program.h"

namespace tidu {

// What a value is to a function that is to be linear in some of its arguments, the others fixed: it does not
// depend on them, is 0 whatever they are, or is linear in them.
enum class Linearity : uint8_t { fixed, zero, linear };

// What the outputs of a program are where its inputs are such, or all its variables. A NotLinearError where
// one is none of the three. Defined in transpose.cpp.
std::vector<Linearity> linearity_of(const Program& program, const std::vector<Linearity>& inputs);
std::vector<Linearity> linearity_of_variables(const Program& program, const std::vector<Linearity>& inputs);
// Of a value that is one or the other.
Linearity either(Linearity a, Linearity b);

// The same of the outputs of a call, by its attributes. Files that define primitives which hold programs say
// it of them.
using TellLinearity = std::vector<Linearity> (*)(const Attrs& attrs, const std::vector<Linearity>& inputs);
struct TellsLinearity {
  TellsLinearity(const Primitive& primitive, TellLinearity tell);
};

}  // namespace tidu
