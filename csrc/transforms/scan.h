// Scans as calls that hold the program of a step.
#pragma once

#include "core/trace.h"
#include "program/program.h"

namespace tidu {

struct ScanAttrs {
  ProgramField body;
  int carries, slices;
  int64_t length;
  bool reverse;
  bool saves;  // the carry before each step, in further results
  void fields(auto&& field) const {
    field("carries", carries), field("slices", slices), field("length", length), field("reverse", reverse);
    field("saves", saves), field("body", body);
  }
  size_t results() const { return body->outputs.size() - static_cast<size_t>(carries); }
  size_t outputs() const { return body->outputs.size() + (saves ? static_cast<size_t>(carries) : 0); }
};

// The outputs of such a call, by scans of so many parts, one after the other, which save their carries; with
// a stretch, only before each stretch of so many steps, which are a scan in turn.
Tensors scan_in_parts(const ScanAttrs& attrs, const Tensors& inputs, int64_t parts, int64_t stretch = 1);

// The program with scans that compute less: what no step changes is computed before them, and what an earlier
// scan computes at the same step, as that whose derivative they are, is a further result of that.
Program hoisted_from_scans(Program program);

}  // namespace tidu
