// Lists of elementwise steps that keep what they compute in vector registers: each step jumps to the next.
#pragma once

#include <string_view>

#include "kernels/cpu/elementwise.h"
#include "kernels/types.h"

namespace tidu::cpu {

// A list computes in float32 or float64, several vectors of elements at a time and then single ones. Its
// steps read and write arrays, which are named by their place in a table; all of them begin with the same
// element.
struct ListStep {
  // Of several vectors and of one.
  void (*wide)() = nullptr;
  void (*narrow)() = nullptr;
  int place = 0;
  // Of one that calls a tile function:
  TileFunction function = nullptr;
  int inputs[4] = {}, input_sizes[4] = {}, output = 0, output_size = 0;
};

enum class StepForm : uint8_t {
  load,           // the value from a place
  store,          // the value to a place
  call,           // a tile function from places to a place; no value is left
  end,            // of a list
  of_value,       // a row of ops/elementwise.def; of a binary one the value is the first operand
  of_place_first  // the same, the value being the second operand
};

// Without functions where lists do not compute the row in registers, or not in this build. At the place is an
// array, or one number.
ListStep list_step(StepForm form, std::string_view row, DType dtype, int place, bool number = false);

// Elements of one vector.
int64_t list_lanes(DType dtype);

// Runs a list on elements [begin, end) of its arrays, whole vectors.
void run_list(const ListStep* list, DType dtype, char* const* places, int64_t begin, int64_t end);

}  // namespace tidu::cpu
