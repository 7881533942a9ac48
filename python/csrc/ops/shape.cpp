// Views in other shapes, and tensors put together and taken apart.
#include "ops/operations.h"

namespace tidu::python {
namespace {

Tensor reshape_to(const Tensor& x, const Shape& shape, const std::optional<bool>& copy_wanted) {
  const Tensor result = reshape(x, shape);
  if (!copy_wanted) return result;
  const bool shared = result.impl().storage == x.impl().storage;
  if (!*copy_wanted && !shared)
    fail<ValueError>("[reshape] ", describe(x), " has a layout that becomes ", result.shape(),
                     " by a copy only (leave out copy=False)");
  return *copy_wanted && shared ? copy(result) : result;
}

// Axes start to end, inclusive, as one.
Tensor flatten_axes(const Tensor& x, int64_t start_axis, int64_t end_axis) {
  if (x.ndim() == 0) return reshape(x, {1});
  const int start = normalize_axis(start_axis, x.ndim(), "flatten"),
            end = normalize_axis(end_axis, x.ndim(), "flatten");
  if (start > end)
    fail<ValueError>("[flatten] start_axis ", start_axis, " lies behind end_axis ", end_axis, " of ",
                     describe(x));
  Shape shape(x.shape().begin(), x.shape().begin() + start + 1);
  for (int axis = start + 1; axis <= end; ++axis)
    shape.back() = product_of_extents(shape.back(), x.size(axis), "flatten");
  for (int axis = end + 1; axis < x.ndim(); ++axis) shape.push_back(x.size(axis));
  return reshape(x, shape);
}

Tensor squeeze_over(const Tensor& x, const Over& given) {
  if (given) return squeeze(x, *given);
  Axes axes;
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) == 1) axes.push_back(i);
  }
  return squeeze(x, axes);
}

Tensor flip_over(const Tensor& x, const Over& given) {
  if (given) return flip(x, *given);
  Axes axes;
  for (int i = 0; i < x.ndim(); ++i) axes.push_back(i);
  return flip(x, axes);
}

// With axis source[i] at place destination[i], and the others in order.
Tensor move_axes(const Tensor& x, const Axes& source, const Axes& destination) {
  if (source.size() != destination.size()) {
    fail<ValueError>("[moveaxis] source and destination name ", source.size(), " and ", destination.size(),
                     " axes");
  }
  const int rank = x.ndim();
  std::vector<int64_t> order(static_cast<size_t>(rank), -1), others;
  std::vector<bool> moves(static_cast<size_t>(rank));
  for (int i = 0; i < source.size(); ++i) {
    const auto from = static_cast<size_t>(normalize_axis(source[i], rank, "moveaxis")),
               to = static_cast<size_t>(normalize_axis(destination[i], rank, "moveaxis"));
    if (moves[from] || order[to] >= 0) fail<ValueError>("[moveaxis] an axis is named twice");
    moves[from] = true;
    order[to] = static_cast<int64_t>(from);
  }
  for (int i = 0; i < rank; ++i) {
    if (!moves[static_cast<size_t>(i)]) others.push_back(i);
  }
  Axes axes;
  auto next = others.begin();
  for (const int64_t from : order) axes.push_back(from >= 0 ? from : *next++);
  return permute_dims(x, axes);
}

Tensors split_into(const Tensor& x, const py::object& parts, int64_t axis) {
  if (!py::isinstance<py::int_>(parts))
    return split(x,
                 std::span<const int64_t>(
                     read<std::vector<int64_t>>(parts, "split", "a number of parts or their sizes")),
                 axis);
  const int64_t count = int64_from_object(parts.ptr());
  const int64_t extent = x.shape()[normalize_axis(axis, x.ndim(), "split")];
  if (count < 1 || extent % count != 0) {
    fail<ShapeError>("[split] extent ", extent, " of axis ", axis, " does not divide into ", count,
                     " equal parts");
  }
  const std::vector<int64_t> sizes(static_cast<size_t>(count), extent / count);
  return split(x, std::span<const int64_t>(sizes), axis);
}

Tensors broadcast_all(const py::args& args) {
  const auto tensors = read<Tensors>(args, "broadcast_arrays", "tensors");
  Shape shape;
  for (const Tensor& x : tensors) shape = broadcast_shapes(shape, x.shape(), "broadcast_arrays");
  Tensors result;
  for (const Tensor& x : tensors) result.push_back(broadcast_to(x, shape));
  return result;
}

}  // namespace

void bind_shape(const Definitions& define) {
  define.function<reshape_to>("reshape", "x, shape, copy=None",
                              "The same values in another shape, of which one extent may be -1; a view where "
                              "the layout allows, with\n"
                              "copy=True always new memory, and with copy=False else a ValueError.");
  example("reshape", "td.reshape(td.arange(4), (2, 2))", "tensor([[0, 1],\n        [2, 3]], dtype=int64)");
  define.variadic_method<reshape>("reshape", "x, shape",
                                  "The same values in another shape: reshape(2, -1) or reshape((2, -1)).");
  define.function<permute_dims>("permute_dims", "x, axes", "A view with axis i taken from axes[i].");
  example("permute_dims", "td.permute_dims(td.zeros((2, 3, 4)), (2, 0, 1)).shape", "(4, 2, 3)");
  define.variadic_method<permute_dims>("permute_dims", "x, axes", "A view with axis i taken from axes[i].");
  define.both<flatten_axes>(
      "flatten", "x, start_axis=0, end_axis=-1",
      "All elements as a vector, or the axes from start_axis to end_axis as one; a view where "
      "the layout allows.");
  example("flatten", "td.flatten(td.tensor([[1, 2], [3, 4]]))", "tensor([1, 2, 3, 4], dtype=int64)");
  define.both<swapaxes>("swapaxes", "x, axis1, axis2", "A view with two axes swapped.");
  example("swapaxes", "td.swapaxes(td.zeros((2, 3, 4)), 0, 2).shape", "(4, 3, 2)");
  define.both("moveaxis", move_axes, py::arg("source"), py::arg("destination"),
              "A view with one axis, or each of a tuple of axes, moved to another place.");
  example("moveaxis", "td.moveaxis(td.zeros((2, 3, 4)), 0, -1).shape", "(3, 4, 2)");
  define.both<matrix_transpose>("matrix_transpose", "x", "A view with the last two axes swapped.");
  example("matrix_transpose", "td.matrix_transpose(td.tensor([[1, 2], [3, 4]]))",
          "tensor([[1, 3],\n"
          "        [2, 4]], dtype=int64)");
  define.both<broadcast_to>("broadcast_to", "x, shape",
                            "A view in which extents of 1 and missing leading ones are repeated.");
  example("broadcast_to", "td.broadcast_to(td.tensor([1, 2]), (2, 2))",
          "tensor([[1, 2],\n        [1, 2]], dtype=int64)");
  define.function("broadcast_arrays", broadcast_all, "Views of the tensors broadcast against each other.");
  example("broadcast_arrays", "[x.shape for x in td.broadcast_arrays(td.zeros((2, 1)), td.zeros(3))]",
          "[(2, 3), (2, 3)]");
  define.both<expand_dims>("expand_dims", "x, axis", "A view with a new axis of extent 1.");
  example("expand_dims", "td.expand_dims(td.tensor([1, 2]), 0).shape", "(1, 2)");
  define.both<squeeze_over>("squeeze", "x, axis=None",
                            "A view without the axes (by default all) of extent 1.");
  example("squeeze", "td.squeeze(td.zeros((1, 2, 1))).shape", "(2,)");
  define.both<flip_over>("flip", "x, axis=None", "A view in reverse order along the axes (by default all).");
  example("flip", "td.flip(td.tensor([1, 2, 3]))", "tensor([3, 2, 1], dtype=int64)");
  define.function(
      "concat",
      [](Tensors tensors, Axis at) {
        if (at) return concat(tensors, *at);
        for (Tensor& x : tensors) x = flatten(x);
        return concat(tensors, 0);
      },
      py::arg("tensors"), py::arg("axis") = 0,
      "The tensors one after another along an axis; with None all of them flattened.");
  example("concat", "td.concat([td.tensor([1, 2]), td.tensor([3])])", "tensor([1, 2, 3], dtype=int64)");
  define.function(
      "stack", [](const Tensors& tensors, int64_t axis) { return stack(tensors, axis); }, py::arg("tensors"),
      py::arg("axis") = 0, "The tensors along a new axis.");
  example("stack", "td.stack([td.tensor([1, 2]), td.tensor([3, 4])])",
          "tensor([[1, 2],\n        [3, 4]], dtype=int64)");
  define.both("split", split_into, py::arg("sizes"), py::arg("axis") = 0,
              "Parts along an axis: `sizes` of them equal, or of the sizes given. Views.");
  example("split", "td.split(td.arange(4), 2)", "[tensor([0, 1], dtype=int64), tensor([2, 3], dtype=int64)]");
}

}  // namespace tidu::python
