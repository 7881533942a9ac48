// What running a program costs, counted on the program.
#pragma once

#include "program/program.h"

namespace tidu {

struct Cost {
  int64_t calls = 0;  // of kernels
  Flops flops;
  // Moved at least: each input of a call read once, and each output written once.
  int64_t bytes = 0;
  // The same where elementwise calls of one shape that make and use a value are one pass over memory.
  int64_t bytes_in_groups = 0;
  int64_t argument_bytes = 0;  // of arguments and constants
  // Needed at once beside these, by values until their last use and by workspaces of kernels ..
  int64_t peak_bytes = 0;
  int64_t arena_bytes = 0;  // .. and by an arena in which all have fixed places
};

// Of a program on row-major arguments, as it is: simplify() comes first where equal calls are to count once.
Cost cost_of(const Program& program);

}  // namespace tidu
