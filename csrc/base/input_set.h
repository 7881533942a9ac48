// Which inputs of a call are meant.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tidu {

inline constexpr size_t kOwnBits = 29;
constexpr uint32_t input_bit(size_t i) { return 1u << (i < kOwnBits ? i : kOwnBits); }

// Tells inputs apart however many there are. As a number it has bit 29 where any of those that share it are
// in the set; of such a number all of these are.
class InputSet {
 public:
  InputSet() = default;
  InputSet(uint32_t bits) : bits_(bits) {}

  void add(size_t i) {
    bits_ |= input_bit(i);
    if (i < kOwnBits) return;
    others_.resize(std::max(others_.size(), i - kOwnBits + 1));
    others_[i - kOwnBits] = true;
  }
  bool has(size_t i) const {
    if (i < kOwnBits || others_.empty()) return (bits_ & input_bit(i)) != 0;
    return i - kOwnBits < others_.size() && others_[i - kOwnBits];
  }
  operator uint32_t() const { return bits_; }
  bool operator==(const InputSet&) const = default;

 private:
  uint32_t bits_ = 0;
  std::vector<bool> others_;
};

}  // namespace tidu
