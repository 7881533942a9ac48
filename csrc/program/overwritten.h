// What stands in a program for a write under no_grad.
#pragma once

#include "core/primitive.h"

namespace tidu::primitives {

// (value, before): the value, with the derivative of what was there before. The write changed no derivative.
extern Primitive overwritten;

}  // namespace tidu::primitives
