// Numbers in messages.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>

namespace tidu {

// A number with so many significant digits, as %g writes it.
inline std::string digits(double number, int count) {
  if (std::isnan(number)) return "nan";
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", count, number);
  return text;
}

}  // namespace tidu
