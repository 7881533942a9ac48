// Options of optimisers that are out of range: a ValueError that names them.
#pragma once

#include "base/error.h"

namespace tidu::optim {

inline void check_range(double value, bool fits, const char* what) {
  if (!fits) fail<ValueError>("[optimizer] ", what, " is out of range: ", value);
}
inline void check_not_negative(double value, const char* what) { check_range(value, value >= 0, what); }
inline void check_fraction(double value, const char* what) {
  check_range(value, value >= 0 && value < 1, what);
}

}  // namespace tidu::optim
