// Makes the loops that kernels are launched over from tensors.
#include "backend/cuda/loops.h"

#include <cstdlib>
#include <cstring>
#include <numeric>

namespace tidu::cuda {

static_assert(kMaxDims >= kMaxRank);

Loops::Loops(const Shape& shape, std::span<const StridedMemory> views, int64_t limit)
    : operands_(static_cast<int>(views.size())) {
  for (int k = 0; k < operands_; ++k) {
    data_[k] = views[static_cast<size_t>(k)].data;
    size_[k] = views[static_cast<size_t>(k)].size;
    is_number_[k] = views[static_cast<size_t>(k)].is_number;
  }
  const Strides& written = views.back().strides;
  int order[kMaxDims];
  std::iota(order, order + shape.size(), 0);
  std::stable_sort(order, order + shape.size(),
                   [&](int a, int b) { return std::abs(written[a]) > std::abs(written[b]); });
  for (int i = 0; i < shape.size(); ++i) {
    const int axis = order[i];
    if (shape[axis] == 1) continue;
    if (rank_ > 0 && merges(views, axis, shape[axis])) {
      extent_[rank_ - 1] *= shape[axis];
    } else {
      extent_[rank_++] = shape[axis];
    }
    for (int k = 0; k < operands_; ++k) stride_[k][rank_ - 1] = views[static_cast<size_t>(k)].strides[axis];
  }
  if (rank_ == 0) {
    extent_[rank_++] = 1;
    for (int k = 0; k < operands_; ++k) stride_[k][0] = 0;
  }
  int64_t inside = 1;  // 0 beside an empty dimension, which leaves none of the others anything to do
  const auto room = [&] { return limit / std::max<int64_t>(inside, 1); };
  for (cut_ = rank_ - 1; cut_ > 0 && extent_[cut_] <= room(); --cut_) inside *= extent_[cut_];
  piece_ = std::min(extent_[cut_], room());
  loops_ = inside == 0 || piece_ == 0 ? 0 : (extent_[cut_] + piece_ - 1) / piece_;
  for (int d = 0; d < cut_; ++d) loops_ *= extent_[d];
}

bool Loops::merges(std::span<const StridedMemory> views, int axis, int64_t extent) const {
  for (int k = 0; k < operands_; ++k) {
    if (stride_[k][rank_ - 1] != views[static_cast<size_t>(k)].strides[axis] * extent) return false;
  }
  return true;
}

Loop Loops::operator[](int64_t i) const {
  Loop loop;
  int64_t offset[kMaxOperands] = {};
  const int64_t pieces = (extent_[cut_] + piece_ - 1) / piece_, begin = i % pieces * piece_;
  const int64_t cut_extent = std::min(piece_, extent_[cut_] - begin);
  i /= pieces;
  for (int k = 0; k < operands_; ++k) offset[k] = begin * stride_[k][cut_];
  for (int d = cut_ - 1; d >= 0; --d) {
    for (int k = 0; k < operands_; ++k) offset[k] += i % extent_[d] * stride_[k][d];
    i /= extent_[d];
  }
  loop.rank = rank_ - cut_;
  int64_t count = 1;
  for (int d = 0; d < loop.rank; ++d) {
    const int from = rank_ - 1 - d;
    const int64_t extent = from == cut_ ? cut_extent : extent_[from];
    loop.extent[d] = Divisor(static_cast<uint32_t>(extent));
    for (int k = 0; k < operands_; ++k) loop.stride[k][d] = stride_[k][from];
    count *= extent;
  }
  loop.count = static_cast<uint32_t>(count);
  for (int k = 0; k < operands_; ++k) {
    if (is_number_[k]) {
      std::memcpy(loop.number[k], data_[k], size_[k]);
    } else {
      loop.data[k] = static_cast<char*>(data_[k]) + offset[k] * static_cast<int64_t>(size_[k]);
    }
  }
  return loop;
}

}  // namespace tidu::cuda
