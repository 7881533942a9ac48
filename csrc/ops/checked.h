// Demands on values, which hold as well where these are known only when a program runs.
#pragma once

#include "ops/linalg.h"

namespace tidu {

struct CheckedAttrs {
  Caller caller, why;
  void fields(auto&& field) const { field("caller", caller), field("why", why); }
};

namespace primitives {
// CheckedAttrs, (wrong, x): x, and a ValueError where the mask, of matrices, has a true element.
extern Primitive checked;
}  // namespace primitives

// x, of which `is_wrong` must be true of no element: else a ValueError "[op] why". Both are literals.
Tensor checked(const Tensor& x, Tensor (*is_wrong)(const Tensor& x), const char* op, const char* why);

}  // namespace tidu
