// Lists of elementwise steps that keep what they compute in vector registers: each step jumps to the next.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cpu/elementwise.h"
#include "kernels/types.h"

namespace tidu::cpu {

// A list computes in float32 or float64, several vectors of elements at a time and then single ones. Its
// steps read and write arrays, which are named by their place in a table; all of them begin with the same
// element. A bool array is bytes, as everywhere; of the value in registers all bits or none.
struct ListStep {
  // Of several vectors and of one.
  void (*wide)() = nullptr;
  void (*narrow)() = nullptr;
  int places[3] = {};
  // Of one that calls a tile function:
  TileFunction function = nullptr;
  int inputs[4] = {}, input_sizes[4] = {}, output = 0, output_size = 0;
};

enum class StepForm : uint8_t {
  load,    // the value from a place
  store,   // the value to a place
  stream,  // the same past the caches, to a place that is aligned to lines
  call,    // a tile function from places to a place; no value is left
  end,     // of a list
  row      // the value by a row of ops/elementwise.def, by "copy" or, from and to bool, by "astype"
};

// The value in registers, what is at a place, or that times what is at the last operand's place: of a sum or
// difference, beside the value. After the operand of a row with parameters comes the array of these. Of
// `where` one operand is the value.
struct ListOperand {
  enum Kind : uint8_t { held, array, number, times_array, times_number } kind = held;
  int place = 0;
};

// Without functions where lists do not compute the row of such operands in registers, or not in this build.
// `flags`: the first operand, or what is loaded or stored, is bool.
ListStep list_step(StepForm form, DType dtype, std::string_view row = {}, bool flags = false,
                   std::span<const ListOperand> operands = {});

// Elements of one vector.
int64_t list_lanes(DType dtype);

// Runs a list on elements [begin, end) of its arrays, whole vectors.
void run_list(const ListStep* list, DType dtype, char* const* places, int64_t begin, int64_t end);

}  // namespace tidu::cpu
