// Memory for a program's values.
#pragma once

#include "program/program.h"

namespace tidu {

// Memory that is needed from one call of a program to another, by number: that of a value until the last call
// that reads it (results: until the end), or the workspace of a kernel.
struct Lifetime {
  int64_t bytes;
  int first, last;
};
// Of all that running the program on row-major arguments allocates.
std::vector<Lifetime> lifetimes_of(const Program& program);

// The most bytes that are needed at once.
int64_t peak_bytes(std::span<const Lifetime> lifetimes);
// When they are first needed.
int peak_time(std::span<const Lifetime> lifetimes);

// So that memory behind them is aligned for any kernel.
int64_t aligned(int64_t bytes);

// Where each of them lies in one block of memory, such that none overlaps another of its time.
struct Placement {
  std::vector<int64_t> offsets;
  int64_t bytes = 0;
};
Placement placement_of(std::span<const Lifetime> lifetimes);

}  // namespace tidu
