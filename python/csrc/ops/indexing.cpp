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
  example("take", "td.take(td.tensor([10, 20, 30]), td.tensor([2, 0]))", "tensor([30, 10], dtype=int64)");
  define.both<take_along_axis>("take_along_axis", "x, indices, axis=-1",
                               "The elements that indices, of x's rank, name along an axis.");
  example("take_along_axis", "td.take_along_axis(td.tensor([[3, 1], [2, 4]]), td.tensor([[1], [0]]))",
          "tensor([[1],\n"
          "        [2]], dtype=int64)");
  constexpr const char* kScatter = "x, indices, updates, axis=0";
  define.both<scatter_add>(
      "scatter_add", kScatter,
      "x with updates, broadcast to take(x, indices, axis), added at the indices; repeated "
      "indices add up.");
  example("scatter_add", "td.scatter_add(td.zeros(3), td.tensor([0, 0, 2]), td.tensor([1.0, 2.0, 5.0]))",
          "tensor([3., 0., 5.], dtype=float32)");
  define.both<put_slices>(
      "scatter_set", kScatter,
      "x with updates, broadcast to take(x, indices, axis), put at the indices; of a repeated "
      "index the last one\nstays.");
  example("scatter_set", "td.scatter_set(td.zeros(3), td.tensor([0, 2]), td.tensor([1.0, 5.0]))",
          "tensor([1., 0., 5.], dtype=float32)");
  define.both<scatter_multiply>(
      "scatter_multiply", kScatter,
      "x multiplied by updates, broadcast to take(x, indices, axis), at the indices.");
  example("scatter_multiply", "td.scatter_multiply(td.ones(3), td.tensor([0, 0]), td.tensor([2.0, 3.0]))",
          "tensor([6., 1., 1.], dtype=float32)");
  define.both<scatter_min>(
      "scatter_min", kScatter,
      "The smallest of x and of updates, broadcast to take(x, indices, axis), at the indices.");
  example("scatter_min", "td.scatter_min(td.ones(2), td.tensor([0, 1]), td.tensor([0.5, 2.0]))",
          "tensor([0.5, 1. ], dtype=float32)");
  define.both<scatter_max>(
      "scatter_max", kScatter,
      "The largest of x and of updates, broadcast to take(x, indices, axis), at the indices.");
  example("scatter_max", "td.scatter_max(td.ones(2), td.tensor([0, 1]), td.tensor([0.5, 2.0]))",
          "tensor([1., 2.], dtype=float32)");
  define.both<put_along_axis>("put_along_axis", "x, indices, values, axis=-1",
                              "x with the elements that indices, of x's rank, name along an axis replaced by "
                              "values; x stays as it is.");
  example("put_along_axis", "td.put_along_axis(td.zeros((2, 2)), td.tensor([[1], [0]]), 5.0, axis=1)",
          "tensor([[0., 5.],\n"
          "        [5., 0.]], dtype=float32)");
  define.both(
      "nonzero", [](const Tensor& x) { return py::tuple(py::cast(nonzero(not_0d("nonzero", x)))); },
      "The coordinates of the elements that are not 0: one int64 vector an axis.");
  example("nonzero", "td.nonzero(td.tensor([0, 7, 0, 9]))", "(tensor([1, 3], dtype=int64),)");
  define.function<argwhere>("argwhere", "x",
                            "The coordinates of the elements that are not 0, one element a row.");
  example("argwhere", "td.argwhere(td.tensor([[0, 1], [2, 0]]))",
          "tensor([[0, 1],\n        [1, 0]], dtype=int64)");
  define.function<flatnonzero>("flatnonzero", "x",
                               "The int64 places of the elements that are not 0 among all, row by row.");
  example("flatnonzero", "td.flatnonzero(td.tensor([[0, 1], [2, 0]]))", "tensor([1, 2], dtype=int64)");
  define.function(
      "unravel_index",
      [](const Tensor& indices, const Dims& shape) {
        return py::tuple(py::cast(unravel_index(indices, shape)));
      },
      py::arg("indices"), py::arg("shape"),
      "The coordinates, one tensor an axis, of elements of which `indices` are the places row by row.");
  example("unravel_index", "td.unravel_index(td.tensor([5, 2]), (2, 3))",
          "(tensor([1, 0], dtype=int64), tensor([2, 2], dtype=int64))");
  define.both<gather_along>("gather", "x, axis, indices",
                            "Element (.., i, ..) is x[.., indices[.., i, ..], ..]: indices have x's rank and "
                            "are at most as large on\n"
                            "the other axes (take_along_axis broadcasts instead).");
  example("gather", "td.gather(td.tensor([[1, 2], [3, 4]]), 1, td.tensor([[0], [1]]))",
          "tensor([[1],\n"
          "        [4]], dtype=int64)");
  define.both<put_elements>(
      "scatter", "x, axis, indices, updates",
      "x with the elements that gather reads replaced by the first elements of updates; x stays as it is.");
  example("scatter", "td.scatter(td.zeros((2, 2)), 1, td.tensor([[0], [1]]), td.tensor([[5.0], [6.0]]))",
          "tensor([[5., 0.],\n"
          "        [0., 6.]], dtype=float32)");
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
  example("scatter_reduce",
          "td.scatter_reduce(td.zeros(2), 0, td.tensor([0, 0, 1]), td.tensor([1.0, 2.0, 3.0]), \"sum\")",
          "tensor([3., 3.], dtype=float32)");
  define.function<add_slices>(
      "index_add", "x, axis, indices, updates, alpha=1.0",
      "x with alpha * updates added at the indices along an axis (see scatter_add); x stays as it is.");
  example("index_add", "td.index_add(td.zeros(3), 0, td.tensor([0, 2]), td.tensor([1.0, 2.0]))",
          "tensor([1., 0., 2.], dtype=float32)");
  define.both<masked_select>("masked_select", "x, mask",
                             "The elements where a bool mask, broadcast, is true: a vector.");
  example("masked_select", "td.masked_select(td.tensor([1, 2, 3]), td.tensor([True, False, True]))",
          "tensor([1, 3], dtype=int64)");
  define.both(
      "masked_fill",
      [](const Tensor& x, const Tensor& mask, const py::object& value) {
        return masked_fill(x, mask, tensor_from_object(value.ptr(), std::nullopt, x.device()));
      },
      py::arg("mask"), py::arg("value"),
      "x with a number, converted to its dtype, where a bool mask, broadcast, is true.");
  example("masked_fill", "td.masked_fill(td.tensor([1, 2, 3]), td.tensor([True, False, True]), 0)",
          "tensor([0, 2, 0], dtype=int64)");
  const auto segments = [&](const char* name, Combining how, const char* doc) {
    define.function(
        name, [how](const Tensor& x, const Tensor& ids, Axis count) { return segment(x, ids, how, count); },
        py::arg("x"), py::arg("segment_ids"), py::arg("num_segments") = py::none(), doc);
  };
  segments(
      "segment_sum", Combining::sum,
      "The sums of slices of x (n, ..) whose integer of segment_ids (n) is the same: (num_segments, ..).\n"
      "Without num_segments the largest integer is read back.");
  example("segment_sum", "td.segment_sum(td.tensor([1.0, 2.0, 3.0]), td.tensor([0, 0, 1]), 2)",
          "tensor([3., 3.], dtype=float32)");
  segments("segment_prod", Combining::prod, "As segment_sum, products; of nothing 1.");
  example("segment_prod", "td.segment_prod(td.tensor([2.0, 3.0, 4.0]), td.tensor([0, 0, 1]), 2)",
          "tensor([6., 4.], dtype=float32)");
  segments("segment_mean", Combining::mean, "As segment_sum, means; of nothing NaN.");
  example("segment_mean", "td.segment_mean(td.tensor([1.0, 2.0, 3.0]), td.tensor([0, 0, 1]), 2)",
          "tensor([1.5, 3. ], dtype=float32)");
  segments("segment_max", Combining::amax,
           "As segment_sum, the largest elements; of nothing -inf or the least integer.");
  example("segment_max", "td.segment_max(td.tensor([1.0, 2.0, 3.0]), td.tensor([0, 0, 1]), 2)",
          "tensor([2., 3.], dtype=float32)");
  segments("segment_min", Combining::amin,
           "As segment_sum, the smallest elements; of nothing inf or the largest integer.");
  example("segment_min", "td.segment_min(td.tensor([1.0, 2.0, 3.0]), td.tensor([0, 0, 1]), 2)",
          "tensor([1., 3.], dtype=float32)");
}

}  // namespace tidu::python
