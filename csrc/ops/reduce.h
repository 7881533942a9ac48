// Reductions over axes. No axes given means all; `keepdims` leaves reduced axes with extent 1.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

// Which axes; left out, all of them.
using Over = std::optional<Axes>;

// bool and small integers are summed in int64 (uint64 if unsigned).
Tensor sum(const Tensor& x, const Over& axes = {}, bool keepdims = false);
Tensor prod(const Tensor& x, const Over& axes = {}, bool keepdims = false);
// Floating-point results; integers are averaged in float32. Of no elements: NaN.
Tensor mean(const Tensor& x, const Over& axes = {}, bool keepdims = false);
// The mean squared deviation, divided by n - correction.
Tensor var(const Tensor& x, const Over& axes = {}, double correction = 0, bool keepdims = false);
Tensor std(const Tensor& x, const Over& axes = {}, double correction = 0, bool keepdims = false);
// NaN where any element is. Equal extreme elements share the gradient. Of no elements: an error.
Tensor max(const Tensor& x, const Over& axes = {}, bool keepdims = false);
Tensor min(const Tensor& x, const Over& axes = {}, bool keepdims = false);
Tensor any(const Tensor& x, const Over& axes = {}, bool keepdims = false);
Tensor all(const Tensor& x, const Over& axes = {}, bool keepdims = false);
// The int64 index of the first extreme element (of the first NaN) along an axis; left out, of the flattened
// tensor.
Tensor argmax(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
Tensor argmin(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
// log(sum(exp(x))), without overflow; -inf of no elements.
Tensor logsumexp(const Tensor& x, const Over& axes = {}, bool keepdims = false);

// The sum over what broadcasting `shape` to x's shape repeated.
Tensor sum_to(const Tensor& x, const Shape& shape);

struct ReduceAttrs {
  attr::Axes axes;  // sorted; the output lacks them
  void fields(auto&& field) const { field("axes", axes); }
};
namespace primitives {
extern Primitive sum, prod, max, min, any, all,
    logsumexp;                    // ReduceAttrs; sum and prod of the dtype they yield, any and all of bool
extern Primitive argmax, argmin;  // ReduceAttrs with one axis; int64
}  // namespace primitives

}  // namespace tidu
