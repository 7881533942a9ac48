// Reductions over axes.
#include "ops/operations.h"

namespace tidu::python {
namespace {

// Small integers are added up in 64 bits, of which the dtype keeps the low ones.
template <Tensor (*F)(const Tensor&, const Over&, bool)>
Tensor reduced_in(const Tensor& x, const Over& axis, bool keepdims, Type dtype) {
  return dtype ? astype(F(astype(x, *dtype), axis, keepdims), *dtype) : F(x, axis, keepdims);
}

constexpr const char* kOver = "x, axis=None, keepdims=False";

}  // namespace

void bind_reductions(const Definitions& define) {
  define.both<reduced_in<sum>>(
      "sum", "x, axis=None, keepdims=False, dtype=None",
      "The sum over the axes (all by default), of x converted to `dtype` and in it. Without one the sum of "
      "bool and\nsmall integers is int64, of unsigned ones uint64.");
  define.both<reduced_in<prod>>("prod", "x, axis=None, keepdims=False, dtype=None",
                                "The product over the axes (all by default), with dtypes as in `sum`.");
  define.both<mean>("mean", kOver, "The mean over the axes (all by default).");
  define.both<var>("var", "x, axis=None, correction=0.0, keepdims=False",
                   "The mean squared deviation over the axes, divided by n - correction.");
  define.both<tidu::std>("std", "x, axis=None, correction=0.0, keepdims=False", "The square root of var.");
  define.both<tidu::max>("max", kOver,
                         "The largest element, NaN where any is; equal elements share the gradient.");
  define.both<tidu::min>("min", kOver,
                         "The smallest element, NaN where any is; equal elements share the gradient.");
  define.both<any>("any", kOver, "Whether any element is true (not 0).");
  define.both<all>("all", kOver, "Whether all elements are true (not 0).");
  define.both<logsumexp>("logsumexp", kOver, "log(sum(exp(x))), without overflow.");
  define.both<argmax>(
      "argmax", kOver,
      "The int64 index of the first largest element along the axis, or of the flattened tensor.");
  define.both<argmin>(
      "argmin", kOver,
      "The int64 index of the first smallest element along the axis, or of the flattened tensor.");
}

}  // namespace tidu::python
