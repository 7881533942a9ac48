// Numbers in messages.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace tidu {

// A number with so many significant digits, as %g writes it.
inline std::string digits(double number, int count) {
  if (std::isnan(number)) return "nan";
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", count, number);
  return text;
}

// As few digits as tell the number from all others of its type: "0.1", "1e-05", "3", "-0", "inf", "nan".
template <class T> std::string shortest(T number) {
  if (std::isnan(number)) return "nan";
  char text[40];
  return std::string(text, std::to_chars(text, text + sizeof text, number).ptr);
}

// The same, but of the NaN that has these bits alone "nan(0xfff8000000000000)"; and the number again, if the
// text is one.
std::string exact(double number);
std::optional<double> number_from(std::string_view text);

}  // namespace tidu
