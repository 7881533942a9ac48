// The elements that a loop runs over, and how they are cut into tiles.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/shape.h"
#include "kernels/cpu/copy.h"

namespace tidu::cpu {

// Rows and columns of the loop, from an element on; where those are few of several planes.
struct Tile {
  int64_t begin, rows, columns, planes = 1;
  int64_t size() const { return planes * rows * columns; }
};

// The loop, its axes merged where the layout of every input allows it; at least two.
class Space {
  static constexpr int64_t kSquare = 32;  // rows of a tile that meets a transposed input

 public:
  Space(const Shape& shape, const std::vector<Strides>& inputs) : inputs_(inputs.size()) {
    for (int axis = 0; axis < shape.size(); ++axis) {
      size_ *= shape[axis];
      if (shape[axis] == 1) continue;
      if (extent_.empty() || !merges(inputs, axis, shape[axis])) {
        extent_.push_back(1);
        strides_.resize(strides_.size() + inputs_);
      }
      extent_.back() *= shape[axis];
      for (size_t k = 0; k < inputs_; ++k) strides_[strides_.size() - inputs_ + k] = inputs[k][axis];
    }
    while (extent_.size() < 2) {
      extent_.insert(0, 1);
      strides_.insert(strides_.begin(), inputs_, int64_t{extent_.size() == 1});
    }
    for (size_t k = 0; k < inputs_; ++k) {
      const auto [by_row, by_column] = strides(k);
      transposed_ |= std::abs(by_row) < std::abs(by_column) && std::abs(by_column) > 1 && rows() > 1;
    }
  }

  int64_t size() const { return size_; }
  int64_t columns() const { return extent_.back(); }
  bool transposed() const { return transposed_; }
  int64_t plane_stride(size_t input) const {
    return extent_.size() < 3 ? 0 : strides_[strides_.size() - 3 * inputs_ + input];
  }
  BlockStrides strides(size_t input) const { return {row_strides()[input], row_strides()[inputs_ + input]}; }
  bool is_row_major(size_t input) const {
    int64_t stride = 1;
    for (int axis = extent_.size(); axis-- > 0; stride *= extent_[axis]) {
      if (extent_[axis] > 1 && strides_[static_cast<size_t>(axis) * inputs_ + input] != stride) return false;
    }
    return true;
  }

  // Where an element is in each input, counted in elements.
  void locate(int64_t element, int64_t* offsets) const {
    std::fill_n(offsets, inputs_, 0);
    for (int axis = extent_.size(); axis-- > 0; element /= extent_[axis]) {
      const int64_t at = element % extent_[axis];
      for (size_t k = 0; k < inputs_; ++k)
        offsets[k] += at * strides_[static_cast<size_t>(axis) * inputs_ + k];
    }
  }

  // Rows of a tile that are whole, and how many together are cut into tiles of all of them.
  int64_t height(int64_t tile) const {
    return transposed_ ? std::max(kSquare, tile / columns()) : tile / columns();
  }

  // body(tile) for tiles of at most `room` elements that together are [begin, end).
  template <class Body> void for_tiles(int64_t begin, int64_t end, int64_t room, const Body& body) const {
    const int64_t most = height(room), plane = rows() * columns(),
                  planes = extent_.size() < 3 || transposed_ ? 1 : extent_[extent_.size() - 3];
    while (begin < end) {
      if (planes > 1 && 2 * plane <= std::min(room, end - begin) && begin % plane == 0) {
        const int64_t together =
            std::min({room / plane, (end - begin) / plane, planes - begin / plane % planes});
        body(Tile{begin, rows(), columns(), together});
        begin += together * plane;
        continue;
      }
      const int64_t column = begin % columns(), row = begin / columns() % rows();
      const int64_t height = column > 0 ? 0 : std::min({(end - begin) / columns(), rows() - row, most});
      if (height == 0) {
        const int64_t width = std::min({columns() - column, end - begin, room});
        body(Tile{begin, 1, width});
        begin += width;
        continue;
      }
      const int64_t width = std::min(columns(), room / height);
      for (int64_t j = 0; j < columns(); j += width)
        body(Tile{begin + j, height, std::min(width, columns() - j)});
      begin += height * columns();
    }
  }

 private:
  int64_t rows() const { return extent_[extent_.size() - 2]; }
  const int64_t* row_strides() const { return &strides_[strides_.size() - 2 * inputs_]; }
  bool merges(const std::vector<Strides>& inputs, int axis, int64_t extent) const {
    for (size_t k = 0; k < inputs_; ++k) {
      if (strides_[strides_.size() - inputs_ + k] != inputs[k][axis] * extent) return false;
    }
    return true;
  }

  size_t inputs_;
  int64_t size_ = 1;
  Dims extent_;
  std::vector<int64_t> strides_;  // of all inputs along the first axis, along the second ..
  bool transposed_ = false;
};

}  // namespace tidu::cpu
