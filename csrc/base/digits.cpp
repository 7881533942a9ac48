// Numbers as text from which they are read again.
#include "base/digits.h"

#include <bit>
#include <cstdint>
#include <limits>

namespace tidu {
namespace {

constexpr std::string_view kBits = "nan(0x";

template <class T, class... Format> bool read_all(std::string_view text, T& value, Format... format) {
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value, format...);
  return error == std::errc() && end == last;
}

}  // namespace

std::string exact(double number) {
  const auto bits = std::bit_cast<uint64_t>(number);
  if (!std::isnan(number) || bits == std::bit_cast<uint64_t>(std::numeric_limits<double>::quiet_NaN()))
    return shortest(number);
  char text[20];
  return std::string(kBits) + std::string(text, std::to_chars(text, text + sizeof text, bits, 16).ptr) + ")";
}

std::optional<double> number_from(std::string_view text) {
  double number = 0;
  if (text.starts_with(kBits) && text.ends_with(')')) {
    uint64_t bits = 0;
    text.remove_prefix(kBits.size());
    text.remove_suffix(1);
    number = read_all(text, bits, 16) ? std::bit_cast<double>(bits) : 0;
    return std::isnan(number) ? std::optional(number) : std::nullopt;
  }
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  return read_all(text, number) ? std::optional(number) : std::nullopt;
}

}  // namespace tidu
