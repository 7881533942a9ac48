// Demands on values, which hold as well where these are known only when a program runs.
#pragma once

#include "ops/linalg.h"

namespace tidu {

struct CheckedAttrs {
  Caller caller, why;
  bool index = false;  // the error is an IndexError
  void fields(auto&& field) const { field("caller", caller), field("why", why), field("index", index); }

  [[noreturn]] void fail_with(const std::string& what) const {
    if (index) fail<IndexError>(what);
    fail<ValueError>(what);
  }
};

namespace primitives {
// CheckedAttrs, (wrong, x): x, and the error where the mask, of matrices, has a true element.
extern Primitive checked;
}  // namespace primitives

// x, of which `is_wrong` must be true of no element: else a ValueError "[op] why". Both are literals. Device
// cuda is not waited for: the error comes when it is.
Tensor checked(const Tensor& x, Tensor (*is_wrong)(const Tensor& x), const char* op, const char* why);
// Integers as int64, each of which must be in [0, extent): else an IndexError.
Tensor checked_indices(const Tensor& indices, int64_t extent, const char* op);

}  // namespace tidu
