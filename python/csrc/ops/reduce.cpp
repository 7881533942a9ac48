// Reductions over axes.
#include "ops/operations.h"

namespace tidu::python {
namespace {

// Small integers are added up in 64 bits, of which the dtype keeps the low ones.
template <Tensor (*F)(const Tensor&, const Over&, bool)>
Tensor reduced_in(const Tensor& x, const Over& axis, bool keepdims, Type dtype) {
  return dtype ? astype(F(astype(x, *dtype), axis, keepdims), *dtype) : F(x, axis, keepdims);
}

}  // namespace

void bind_reductions(const Definitions& define) {
  const auto axis = py::arg("axis") = py::none();
  const auto keepdims = py::arg("keepdims") = false;
  const auto dtype = py::arg("dtype") = py::none();
  define.both(
      "sum", reduced_in<sum>, axis, keepdims, dtype,
      "The sum over the axes (all by default), of x converted to `dtype` and in it. Without one the sum of "
      "bool and\nsmall integers is int64, of unsigned ones uint64.");
  define.both("prod", reduced_in<prod>, axis, keepdims, dtype,
              "The product over the axes (all by default), with dtypes as in `sum`.");
  define.both("mean", tidu::mean, axis, keepdims, "The mean over the axes (all by default).");
  define.both("var", tidu::var, axis, py::arg("correction") = 0.0, keepdims,
              "The mean squared deviation over the axes, divided by n - correction.");
  define.both("std", tidu::std, axis, py::arg("correction") = 0.0, keepdims, "The square root of var.");
  define.both("max", tidu::max, axis, keepdims,
              "The largest element, NaN where any is; equal elements share the gradient.");
  define.both("min", tidu::min, axis, keepdims,
              "The smallest element, NaN where any is; equal elements share the gradient.");
  define.both("any", tidu::any, axis, keepdims, "Whether any element is true (not 0).");
  define.both("all", tidu::all, axis, keepdims, "Whether all elements are true (not 0).");
  define.both("logsumexp", tidu::logsumexp, axis, keepdims, "log(sum(exp(x))), without overflow.");
  define.both(
      "argmax", [](const Tensor& x, Axis a, bool keep) { return argmax(x, a, keep); }, axis, keepdims,
      "The int64 index of the first largest element along the axis, or of the flattened tensor.");
  define.both(
      "argmin", [](const Tensor& x, Axis a, bool keep) { return argmin(x, a, keep); }, axis, keepdims,
      "The int64 index of the first smallest element along the axis, or of the flattened tensor.");
}

}  // namespace tidu::python
