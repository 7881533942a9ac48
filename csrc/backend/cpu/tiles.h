// What is done to a tile of a group: its calls as steps, whose values are in places of a table.
#pragma once

#include <optional>
#include <vector>

#include "backend/cpu/scratch.h"
#include "backend/cpu/space.h"
#include "backend/cpu/steps.h"
#include "backend/group.h"

namespace tidu::cpu {

struct Tiles {
  // What a step reads and writes is in places: constants, inputs, buffers, outputs.
  struct Step {
    TileFunction function;
    int inputs[4] = {-1, -1, -1, -1};
    int output = -1;
  };
  struct Array {
    int argument;
    int64_t size;         // of an element
    bool direct = true;   // written where it is
    bool single = false;  // read as a number: one element for all of the loop
  };
  // An output that is not written where it is computed.
  struct Store {
    int place, output;
  };

  std::vector<std::vector<Line>> constants;
  std::vector<Array> inputs, outputs;
  std::vector<Step> steps;
  std::vector<ListStep> list;  // the same steps as a list, where that is faster
  // With outputs past the caches, where those are aligned to lines; empty where none can be.
  std::vector<ListStep> streaming;
  DType list_dtype = DType::float32;
  std::vector<Store> stores;
  int64_t buffer_size = 0;  // in bytes
  int buffers = 0;
  // Of each output those of the inputs whose elements no step reads after it has written its own.
  std::vector<std::vector<bool>> may_be;
};

// For tiles of at most `room` elements; without a value where a step is none that tiles have.
std::optional<Tiles> tiles_of(const Group& group, const Space& space, int64_t room);

// Whether a call gives what it is given.
bool is_same_value(const Primitive* primitive);

}  // namespace tidu::cpu
