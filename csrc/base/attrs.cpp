// Attributes as data: checks by the meaning of fields, and text.
#include "base/attrs.h"

#include "base/digits.h"

namespace tidu {

bool attr::are_axes(const Dims& axes, int rank) {
  bool seen[kMaxRank] = {};
  for (int64_t axis : axes) {
    if (axis < 0 || axis >= rank || std::exchange(seen[axis], true)) return false;
  }
  return true;
}

bool attr::are_extents(const Dims& extents) {
  int64_t count = 1;
  bool empty = false, fits = true;
  for (int64_t extent : extents) {
    if (extent < 0) return false;
    empty |= extent == 0;
    fits &= !__builtin_mul_overflow(count, extent, &count);
  }
  return fits || empty;
}

std::string text_of(const AttrValue& value) {
  struct Text {
    std::string operator()(std::monostate) const { return "host function"; }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return shortest(value); }
    std::string operator()(const std::string& value) const { return value; }
    std::string operator()(const std::vector<int64_t>& values) const { return str(Dims(values)); }
    std::string operator()(const std::shared_ptr<const Program>&) const { return "a program"; }
  };
  return std::visit(Text(), value);
}

std::string Attrs::to_string() const {
  std::string text;
  for (const auto& [name, value] : fields()) {
    if (std::holds_alternative<std::shared_ptr<const Program>>(value)) continue;
    text += (text.empty() ? "" : ", ") + (name + ("=" + text_of(value)));
  }
  return text;
}

}  // namespace tidu
