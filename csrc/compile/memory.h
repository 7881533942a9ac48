// Where each value of a program that is run many times has its memory.
#pragma once

#include "compile/fuse.h"
#include "compile/outline.h"

namespace tidu {

// Memory that values share: of an argument, a constant or a result, by number, or a part of an arena.
struct Memory {
  enum Kind : uint8_t { argument, constant, arena, result } kind;
  int index;
  int64_t offset;  // in the arena, in bytes
  int64_t bytes;
  Device device;
  int first, last;  // units that make and read what it holds; what is given back is read after the last unit
  // The number of one that it is a part of, and how many bytes after the beginning of that; it may begin
  // before that, or end behind it, where that is itself a part. -1: of none.
  int whole = -1;
  int64_t at = 0;

  bool is_same_place(const Memory& other) const {
    return kind == other.kind && index == other.index && offset == other.offset;
  }
};

// An argument whose value nobody reads after the call: its memory is free for what the call gives, result
// number `result` alone or, where that is -1, any.
struct Donation {
  int argument, result = -1;
};

struct MemoryPlan {
  struct Arena {
    Device device;
    int64_t bytes;
    int64_t peak;  // that are in use at once
    int at;        // the first unit where they are
  };
  // A value that is copied to a result, or written to an argument, after the last unit.
  struct Copy {
    int variable, to;
  };
  // A result that is made in the memory of a donated argument.
  struct Taking {
    int result, argument;
  };

  std::vector<Memory> memories;
  std::vector<int> of;             // the memory of each variable; -1: it needs none
  std::vector<Memory> workspaces;  // of each unit
  std::vector<Arena> arenas;       // one for each device
  std::vector<Copy> results, writes;
  std::vector<Taking> taken;

  // Whether what a variable shows was made where it is a part of another value.
  bool is_part(int variable) const { return of[variable] >= 0 && (*this)[variable].whole >= 0; }
  const Memory& operator[](int variable) const { return memories[of[variable]]; }
};

// With `in_place`, a value takes the memory of one that is read for the last time where it is made, element
// by element, what is written to an argument is made there, and results take the memory of donated arguments;
// else no memory that holds a value is written to. With `pieces`, what is put together of values on the cpu
// has those that nobody reads after that made where they go.
MemoryPlan plan_memory(const Program& program, const Tensors& values, const std::vector<Unit>& units,
                       bool in_place, bool pieces, std::span<const Donation> donations = {});

// Where a unit is run.
Device device_of(const Unit& unit, const Tensors& values);

// Whether a call may write what it makes over its first input, as a primitive that overwrites does; null:
// not.
const Primitive* overwriting(const Primitive& primitive);

}  // namespace tidu
