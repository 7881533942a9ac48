// Reading and adding at indices.
#include "ops/operations.h"

namespace tidu::python {
namespace {

const Tensor& not_0d(const char* op, const Tensor& x) {
  if (x.ndim() == 0) fail<ShapeError>("[", op, "] has no coordinates of ", describe(x), " (use flatten)");
  return x;
}
Tensor argwhere(const Tensor& x) { return stack(nonzero(not_0d("argwhere", x)), 1); }
Tensor flatnonzero(const Tensor& x) { return nonzero(flatten(x))[0]; }

Tensor add_slices(const Tensor& x, int64_t axis, const Tensor& indices, const Tensor& updates, double alpha) {
  return scatter_add(x, indices, alpha == 1 ? updates : updates * Operand(alpha), axis);
}

Combining combining(const char* op, const std::string& name) {
  if (name == "sum") return Combining::sum;
  if (name == "prod") return Combining::prod;
  if (name == "mean") return Combining::mean;
  if (name == "amax") return Combining::amax;
  if (name == "amin") return Combining::amin;
  fail<ValueError>("[", op, "] reduce is '", name, "', not sum, prod, mean, amax or amin");
}

constexpr Tensor (*gather_along)(const Tensor&, int64_t, const Tensor&) = gather;
constexpr Tensor (*put_elements)(const Tensor&, int64_t, const Tensor&, const Tensor&) = scatter;
constexpr Tensor (*put_slices)(const Tensor&, const Tensor&, const Tensor&, int64_t) = scatter_set;

}  // namespace

void bind_indexing(const Definitions& define) {
  define.both<take>("take", "x, indices, axis=0",
                    "The slices at integer indices along an axis, which is replaced by the indices' shape.");
  define.both<take_along_axis>("take_along_axis", "x, indices, axis=-1",
                               "The elements that indices, of x's rank, name along an axis.");
  constexpr const char* kScatter = "x, indices, updates, axis=0";
  define.both<scatter_add>(
      "scatter_add", kScatter,
      "x with updates, broadcast to take(x, indices, axis), added at the indices; repeated "
      "indices add up.");
  define.both<put_slices>(
      "scatter_set", kScatter,
      "x with updates, broadcast to take(x, indices, axis), put at the indices; of a repeated "
      "index the last one\nstays.");
  define.both<scatter_multiply>(
      "scatter_multiply", kScatter,
      "x multiplied by updates, broadcast to take(x, indices, axis), at the indices.");
  define.both<scatter_min>(
      "scatter_min", kScatter,
      "The smallest of x and of updates, broadcast to take(x, indices, axis), at the indices.");
  define.both<scatter_max>(
      "scatter_max", kScatter,
      "The largest of x and of updates, broadcast to take(x, indices, axis), at the indices.");
  define.both<put_along_axis>("put_along_axis", "x, indices, values, axis=-1",
                              "x with the elements that indices, of x's rank, name along an axis replaced by "
                              "values; x stays as it is.");
  define.both(
      "nonzero", [](const Tensor& x) { return py::tuple(py::cast(nonzero(not_0d("nonzero", x)))); },
      "The coordinates of the elements that are not 0: one int64 vector an axis.");
  define.function<argwhere>("argwhere", "x",
                            "The coordinates of the elements that are not 0, one element a row.");
  define.function<flatnonzero>("flatnonzero", "x",
                               "The int64 places of the elements that are not 0 among all, row by row.");
  define.both<gather_along>("gather", "x, axis, indices",
                            "Element (.., i, ..) is x[.., indices[.., i, ..], ..]: indices have x's rank and "
                            "are at most as large on\n"
                            "the other axes (take_along_axis broadcasts instead).");
  define.both<put_elements>(
      "scatter", "x, axis, indices, updates",
      "x with the elements that gather reads replaced by the first elements of updates; x stays as it is.");
  define.both(
      "scatter_reduce",
      [](const Tensor& x, int64_t axis, const Tensor& indices, const Tensor& updates,
         const std::string& reduce, bool include_self) {
        return scatter_reduce(x, axis, indices, updates, combining("scatter_reduce", reduce), include_self);
      },
      py::arg("axis"), py::arg("indices"), py::arg("updates"), py::arg("reduce"),
      py::arg("include_self") = true,
      "x with the elements that gather reads combined with those of updates: reduce is 'sum', 'prod', "
      "'mean',\n"
      "'amax' or 'amin'. Without include_self what was there does not count.");
  define.function<add_slices>(
      "index_add", "x, axis, indices, updates, alpha=1.0",
      "x with alpha * updates added at the indices along an axis (see scatter_add); x stays as it is.");
  define.both<masked_select>("masked_select", "x, mask",
                             "The elements where a bool mask, broadcast, is true: a vector.");
  define.both(
      "masked_fill",
      [](const Tensor& x, const Tensor& mask, const py::object& value) {
        return masked_fill(x, mask, tensor_from_object(value.ptr(), std::nullopt, x.device()));
      },
      py::arg("mask"), py::arg("value"),
      "x with a number, converted to its dtype, where a bool mask, broadcast, is true.");
  const auto segments = [&](const char* name, Combining how, const char* doc) {
    define.function(
        name, [how](const Tensor& x, const Tensor& ids, Axis count) { return segment(x, ids, how, count); },
        py::arg("x"), py::arg("segment_ids"), py::arg("num_segments") = py::none(), doc);
  };
  segments(
      "segment_sum", Combining::sum,
      "The sums of slices of x (n, ..) whose integer of segment_ids (n) is the same: (num_segments, ..).\n"
      "Without num_segments the largest integer is read back.");
  segments("segment_prod", Combining::prod, "As segment_sum, products; of nothing 1.");
  segments("segment_mean", Combining::mean, "As segment_sum, means; of nothing NaN.");
  segments("segment_max", Combining::amax,
           "As segment_sum, the largest elements; of nothing -inf or the least integer.");
  segments("segment_min", Combining::amin,
           "As segment_sum, the smallest elements; of nothing inf or the largest integer.");
}

}  // namespace tidu::python
