// Small vectors of dimensions: shapes, strides and axes, held in place so that a tensor needs no extra
// allocation.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <ostream>
#include <span>

#include "base/error.h"

namespace tidu {

inline constexpr int kMaxRank = 12;

class Dims {
 public:
  Dims() {}  // and not the default, of which Dims{} would be filled with zeros first
  Dims(std::initializer_list<int64_t> values) : Dims(values.begin(), values.end()) {}
  Dims(std::span<const int64_t> values) : Dims(values.begin(), values.end()) {}
  Dims(int64_t count, int64_t value) {
    grow_to(count);
    for (int i = 0; i < size_; i += kFew) std::fill_n(values_ + i, kFew, value);
  }
  template <std::input_iterator It> Dims(It first, It last) {
    for (; first != last; ++first) push_back(*first);
  }
  Dims(const Dims& other) noexcept { *this = other; }
  Dims& operator=(const Dims& other) noexcept {
    size_ = other.size_;
    // Few at a time and without a call: few shapes are longer.
    for (int i = 0; i < size_; i += kFew) std::memcpy(values_ + i, other.values_ + i, kFew * sizeof *values_);
    return *this;
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t& operator[](int i) { return values_[i]; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t& back() { return values_[size_ - 1]; }
  int64_t back() const { return values_[size_ - 1]; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + size_; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + size_; }
  operator std::span<const int64_t>() const { return {values_, static_cast<size_t>(size_)}; }

  void push_back(int64_t value) {
    grow_to(size_ + 1);
    values_[size_ - 1] = value;
  }
  void insert(int at, int64_t value) {
    push_back(value);
    std::rotate(values_ + at, values_ + size_ - 1, values_ + size_);
  }
  void erase(int at) {
    std::copy(values_ + at + 1, values_ + size_, values_ + at);
    --size_;
  }
  bool contains(int64_t value) const { return std::find(begin(), end(), value) != end(); }
  bool operator==(const Dims& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

 private:
  void grow_to(int64_t size) {
    if (size > kMaxRank) fail<ShapeError>("a tensor has at most ", kMaxRank, " dimensions, not ", size);
    size_ = static_cast<int>(size);
  }

  static constexpr int kFew = 4;
  static_assert(kMaxRank % kFew == 0);

  int size_ = 0;
  int64_t values_[kMaxRank];
};

using Shape = Dims;
using Strides = Dims;  // in elements; may be negative, or 0 where a dimension is broadcast
using Axes = Dims;

// The axes 0 .. rank - 1.
Axes all_axes(int rank);

// The number of elements of a shape; throws ShapeError where it does not fit 63 bits.
int64_t num_elements(const Shape& shape);

// Strides of the row-major layout.
Strides contiguous_strides(const Shape& shape);
// The same where they are to be, and the number of elements.
int64_t lay_out(const Shape& shape, Strides& strides);

// The common shape of two broadcast operands (the NumPy rule), or a ShapeError that names `op`.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op);

// An axis in [-rank, rank) as one in [0, rank), else an IndexError that names `op`.
int normalize_axis(int64_t axis, int rank, const char* op);

// Axes normalised, sorted and checked to be distinct.
Axes normalize_axes(const Axes& axes, int rank, const char* op);

// Writes "(2, 3)".
std::ostream& operator<<(std::ostream& out, const Dims& dims);

}  // namespace tidu
