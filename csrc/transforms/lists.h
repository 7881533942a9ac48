// Lists of tensors and of flags, of which the inputs and outputs of calls that hold programs are put
// together.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace tidu {

template <class T> std::vector<T> part(const std::vector<T>& all, size_t begin, size_t end) {
  return {all.begin() + static_cast<int64_t>(begin), all.begin() + static_cast<int64_t>(end)};
}
template <class T> std::vector<T> from(const std::vector<T>& all, size_t begin) {
  return part(all, begin, all.size());
}
inline Tensors list(std::span<const Tensor> tensors) { return {tensors.begin(), tensors.end()}; }
template <class T> void append(std::vector<T>& all, const std::vector<T>& more) {
  all.insert(all.end(), more.begin(), more.end());
}
inline std::vector<Spec> specs_of(const Tensors& tensors) {
  std::vector<Spec> specs;
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec());
  return specs;
}
inline Tensors defined_of(const Tensors& tensors) {
  Tensors result = tensors;
  std::erase_if(result, [](const Tensor& tensor) { return !tensor.defined(); });
  return result;
}
// The next of `tensors` for each place that `has` one, undefined elsewhere.
inline Tensors spread(const Tensors& tensors, const std::vector<bool>& has, size_t first = 0) {
  Tensors result(has.size());
  for (size_t i = 0; i < has.size(); ++i) {
    if (has[i]) result[i] = tensors.at(first++);
  }
  return result;
}
inline size_t count(const std::vector<bool>& flags) {
  return static_cast<size_t>(std::ranges::count(flags, true));
}
inline std::vector<bool> which_defined(const Tensors& tensors) {
  std::vector<bool> result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.defined());
  return result;
}
inline std::vector<bool> which_float(const Tensors& tensors) {
  std::vector<bool> result;
  for (const Tensor& tensor : tensors) result.push_back(is_differentiable(tensor.dtype()));
  return result;
}
// The spec of so many along a new axis 0, and of one of them.
inline Spec times(Spec spec, int64_t length) {
  spec.shape.insert(0, length);
  return spec;
}
inline Spec one_of(Spec spec) {
  spec.shape.erase(0);
  return spec;
}

// The flags of a carry, of which more are set until a step sets no more.
template <class After> std::vector<bool> settled(std::vector<bool> carry, const After& after_step) {
  for (;;) {
    const std::vector<bool> after = after_step(carry);
    bool changed = false;
    for (size_t i = 0; i < carry.size(); ++i) {
      changed |= after[i] && !carry[i];
      carry[i] = carry[i] || after[i];
    }
    if (!changed) return carry;
  }
}

}  // namespace tidu
