// Calls that put values together, as copies of their parts.
#pragma once

#include "program/program.h"

namespace tidu {

// A part of an input, and where it goes in the result.
struct Piece {
  size_t input;
  Tensor from, to;
};

// All that the result of a call is made of, without empty parts; none where the call does more than that.
std::vector<Piece> pieces_of(const Call& call);

// Whether both are the same elements of the same memory.
bool lies_there(const Piece& piece);

}  // namespace tidu
