// Transposing functions that are linear.
#pragma once

#include "core/trace.h"
#include "program/program.h"

namespace tidu {

// A function that was to be transposed, but is no linear one, or cannot be recorded.
struct NotLinearError : GradientError {
  using GradientError::GradientError;
};

// The transpose of `linear`, a function of tensors of these specs, which is recorded to see that it is
// linear, and not run: from cotangents of its results to those of its arguments; undefined: zero.
Function transpose(const Function& linear, Specs like);

}  // namespace tidu
