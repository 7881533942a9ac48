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

}  // namespace tidu
