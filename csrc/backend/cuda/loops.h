// Makes the loops that kernels are launched over (kernels/cuda/loop.h) from tensors.
#pragma once

#include "kernels/cuda/loop.h"
#include "tensor/tensor.h"

namespace tidu::cuda {

// Memory seen with some strides, in elements; or a number.
struct StridedMemory {
  StridedMemory(void* data, const Strides& strides, size_t size) : data(data), strides(strides), size(size) {}
  StridedMemory(const Tensor& x) : StridedMemory(x.raw_data(), x.strides(), size_of(x.dtype())) {
    is_number = x.impl().storage->is_number();
  }

  void* data;  // of a number on the host
  Strides strides;
  size_t size;  // of an element
  bool is_number = false;
};

// The loops that together treat each element of `shape` once, for views of that shape, the last of which is
// written. Dimensions are merged where every view's layout allows, and ordered so that the output is written
// along memory. There is one loop unless there are more elements than a launch takes, and none for no
// elements.
class Loops {
 public:
  Loops(const Shape& shape, std::span<const StridedMemory> views, int64_t limit = kMaxLaunch);
  Loops(const Shape& shape, std::initializer_list<StridedMemory> views, int64_t limit = kMaxLaunch)
      : Loops(shape, std::span(views.begin(), views.size()), limit) {}

  int64_t size() const { return loops_; }
  Loop operator[](int64_t i) const;

 private:
  bool merges(std::span<const StridedMemory> views, int axis, int64_t extent) const;

  int operands_;
  int rank_ = 0;
  int64_t extent_[kMaxDims];  // the innermost last
  int64_t stride_[kMaxOperands][kMaxDims];
  void* data_[kMaxOperands];
  size_t size_[kMaxOperands];
  bool is_number_[kMaxOperands];
  // A loop takes `piece_` of dimension `cut_` and all of those inside it.
  int cut_ = 0;
  int64_t piece_ = 1, loops_ = 1;
};

}  // namespace tidu::cuda
