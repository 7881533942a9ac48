// Rows of any layout and dtype, shown to kernels of contiguous rows.
#pragma once

#include <algorithm>

#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/cast.h"

namespace tidu::cpu {

// A tensor cut into boxes of neighbouring indices, each with at most `room` elements: all of the axes from
// `cut` on and a piece of the one before.
class Boxes {
 public:
  Boxes(const Tensor& x, int64_t room) : x_(x), cut_(x.ndim()) {
    while (cut_ > 0 && inner_ * x.size(cut_ - 1) <= room) inner_ *= x.size(--cut_);
    if (cut_ == 0) return;
    extent_ = x.size(cut_ - 1);
    piece_ = std::max<int64_t>(1, std::min(extent_, room / inner_));
    pieces_ = (extent_ + piece_ - 1) / piece_;
    for (int i = 0; i + 1 < cut_; ++i) outer_ *= x.size(i);
  }

  int64_t count() const { return outer_ * pieces_; }
  // Elements of all axes from the cut on.
  int64_t inner() const { return inner_; }

  struct Box {
    int64_t first, size;  // elements in row-major order
    Tensor view;
  };
  Box operator[](int64_t i) const {
    const int64_t begin = i % pieces_ * piece_, length = std::min(piece_, extent_ - begin),
                  outer = i / pieces_;
    Shape shape;
    Strides strides;
    int64_t offset = x_.impl().offset;
    if (cut_ > 0) {
      shape.push_back(length);
      strides.push_back(x_.strides()[cut_ - 1]);
      offset += begin * strides[0];
    }
    for (int k = cut_; k < x_.ndim(); ++k) {
      shape.push_back(x_.size(k));
      strides.push_back(x_.strides()[k]);
    }
    for (int64_t k = cut_ - 2, index = outer; k >= 0; --k) {
      const int axis = static_cast<int>(k);
      offset += index % x_.size(axis) * x_.strides()[axis];
      index /= x_.size(axis);
    }
    return {(outer * extent_ + begin) * inner_, length * inner_, x_.view(shape, strides, offset)};
  }

 private:
  const Tensor& x_;
  int cut_;
  int64_t inner_ = 1, extent_ = 1, piece_ = 1, pieces_ = 1, outer_ = 1;
};

// Rows of n elements of x, whose last axes they are, one after another in memory and in `dtype`: x itself
// where it is like that, else small copies of it, each in memory of its thread. Where even one row is too
// long to be copied, pieces of it are shown.
class Rows {
 public:
  Rows(const Tensor& x, int64_t n, DType dtype)
      : x_(x), n_(n), dtype_(dtype), size_(static_cast<int64_t>(size_of(dtype))), boxes_(x, room(n, size_)) {}

  bool direct() const { return x_.is_contiguous() && x_.dtype() == dtype_; }
  // Of each row; 1 where whole rows are shown.
  int64_t pieces() const { return direct() || boxes_.inner() >= n_ ? 1 : boxes_.count() / (x_.numel() / n_); }

  // body(rows, first, count, length) for groups of `count` rows of `length` elements from row, or piece,
  // `first` on; groups of about `grain` elements where there is a choice.
  template <class Body> void for_each(int64_t grain, const Body& body) const {
    const int64_t work = 2 * x_.numel();
    if (direct()) {
      const char* const data = static_cast<const char*>(x_.raw_data());
      parallel_ranges(
          x_.numel() / n_, std::max<int64_t>(1, grain / n_), work,
          [&](int64_t begin, int64_t end) { body(data + begin * n_ * size_, begin, end - begin, n_); });
      return;
    }
    const bool whole = pieces() == 1;
    parallel_for(boxes_.count(), work, [&](int64_t i) {
      const auto [first, count, view] = boxes_[i];
      const Tensor copy = Tensor::from_memory(own_memory<Use::rows>(count * size_), view.shape(),
                                              contiguous_strides(view.shape()), dtype_, nullptr);
      if (view.dtype() == dtype_) {
        copy_elements(view, copy);
      } else {
        launch_tiles(cast_function(view.dtype(), dtype_), {&view, 1}, copy, false);
      }
      const auto* memory = static_cast<const char*>(copy.raw_data());
      if (whole) {
        body(memory, first / n_, count / n_, n_);
      } else {
        body(memory, i, 1, count);
      }
    });
  }

 private:
  // Elements of a box: of a first-level cache, but as many rows as share a line of memory where they lie
  // across it.
  static int64_t room(int64_t n, int64_t size) {
    constexpr int64_t kFirstLevel = 32768, kSecondLevel = 1 << 20, kLine = 64;
    const int64_t wide = n * kLine / size;
    return std::max(kFirstLevel / size, wide * size <= kSecondLevel ? wide : 0);
  }

  const Tensor& x_;
  int64_t n_;
  DType dtype_;
  int64_t size_;
  Boxes boxes_;
};

}  // namespace tidu::cpu
