// Elements in other places: rolled, repeated, padded, on diagonals and grids.
#include "ops/arrange.h"

#include "ops/operations.h"

namespace tidu::python {
namespace {

constexpr const char* kWidths = "a width or (before, after) pairs of integers";

Tensor pad_with(const Tensor& x, const py::object& widths, const std::string& mode, const Scalar& value) {
  Dims low, high;
  const auto pair = [](const py::handle& item) {
    const auto both = read<Dims>(item, "pad", kWidths);
    if (both.size() < 1 || both.size() > 2)
      fail<ValueError>("[pad] a width is n or (before, after), not ", both);
    return std::pair(both[0], both.back());
  };
  if (py::isinstance<py::int_>(widths)) {
    low = high = Dims(x.ndim(), int64_from_object(widths.ptr()));
  } else {
    const auto items = read<py::sequence>(widths, "pad", kWidths);
    // One pair for every axis, by itself or alone in a sequence.
    const bool is_pair =
        py::len(items) == 2 && py::isinstance<py::int_>(items[0]) && py::isinstance<py::int_>(items[1]);
    const bool is_one = is_pair || py::len(items) == 1;
    const py::object all = is_pair ? py::object(items) : is_one ? py::object(items[0]) : py::none();
    for (size_t i = 0; i < (is_one ? static_cast<size_t>(x.ndim()) : py::len(items)); ++i) {
      const auto [before, after] = pair(is_one ? all : py::object(items[i]));
      low.push_back(before);
      high.push_back(after);
    }
  }
  if (mode == "constant") {
    const bool is_zero = value.to_double() == 0 && !std::signbit(value.to_double());
    return is_zero ? pad(x, low, high) : pad(x, low, high, value);
  }
  if (mode == "reflect") return pad(x, low, high, PadMode::reflect);
  if (mode == "symmetric") return pad(x, low, high, PadMode::symmetric);
  if (mode == "edge" || mode == "replicate") return pad(x, low, high, PadMode::edge);
  if (mode == "wrap" || mode == "circular") return pad(x, low, high, PadMode::wrap);
  fail<ValueError>("[pad] mode is '", mode,
                   "', not constant, reflect, symmetric, edge (replicate) or wrap (circular)");
}

Tensor repeat_by(const Tensor& x, const py::object& repeats, Axis axis) {
  if (py::isinstance<py::int_>(repeats)) return repeat(x, int64_from_object(repeats.ptr()), axis);
  return repeat(x, read<Tensor>(repeats, "repeat", "an integer or integers"), axis);
}

// The one tensor at least so large, or all of them.
template <int rank> py::object at_least_all(const py::args& args) {
  const auto tensors = read<Tensors>(args, "atleast", "tensors");
  if (tensors.size() == 1) return py::cast(at_least(rank, tensors[0]));
  py::list result;
  for (const Tensor& x : tensors) result.append(at_least(rank, x));
  return py::tuple(result);
}

Tensors grids(const py::args& args, const std::string& indexing) {
  if (indexing != "xy" && indexing != "ij")
    fail<ValueError>("[meshgrid] indexing is '", indexing, "', not 'xy' or 'ij'");
  return meshgrid(read<Tensors>(args, "meshgrid", "vectors"), indexing == "xy");
}

}  // namespace

void bind_arrangements(const Definitions& define) {
  define.both<roll>(
      "roll", "x, shift, axis=None",
      "Element i goes to place i + shift, from the end to the beginning, along one axis or each of "
      "several; without an axis in the order of all elements.");
  example("roll", "td.roll(td.tensor([1, 2, 3]), 1)", "tensor([3, 1, 2], dtype=int64)");
  define.function("rot90", &rot90, py::arg("x"), py::arg("k") = 1, py::arg("axes") = py::make_tuple(0, 1),
                  "Turned by k times 90 degrees from the first of the two axes towards the second.");
  example("rot90", "td.rot90(td.tensor([[1, 2], [3, 4]]))", "tensor([[2, 4],\n        [1, 3]], dtype=int64)");
  define.function<tile>("tile", "x, repetitions",
                        "x so many times along each axis; missing leading counts or axes are 1.");
  example("tile", "td.tile(td.tensor([1, 2]), 2)", "tensor([1, 2, 1, 2], dtype=int64)");
  for (const char* name : {"repeat", "repeat_interleave"}) {
    define.function(name, repeat_by, py::arg("x"), py::arg("repeats"), py::arg("axis") = py::none(),
                    "Each element so many times (an int, or an integer tensor with a count for each slice), "
                    "along the axis; without one of x as a vector. The counts of a tensor are read back.");
  }
  example("repeat", "td.repeat(td.tensor([1, 2]), 2)", "tensor([1, 1, 2, 2], dtype=int64)");
  example("repeat_interleave", "td.repeat_interleave(td.tensor([1, 2]), 2)",
          "tensor([1, 1, 2, 2], dtype=int64)");
  define.both(
      "unstack", [](const Tensor& x, int64_t axis) { return py::tuple(py::cast(unstack(x, axis))); },
      py::arg("axis") = 0, "A tuple of the slices along the axis, which goes. Views.");
  example("unstack", "td.unstack(td.tensor([[1, 2], [3, 4]]))",
          "(tensor([1, 2], dtype=int64), tensor([3, 4], dtype=int64))");
  define.both(
      "chunk",
      [](const Tensor& x, int64_t chunks, int64_t axis) {
        return py::tuple(py::cast(chunk(x, chunks, axis)));
      },
      py::arg("chunks"), py::arg("axis") = 0,
      "A tuple of at most so many consecutive parts of one extent, but for the last. Views.");
  example("chunk", "td.chunk(td.arange(5), 2)",
          "(tensor([0, 1, 2], dtype=int64), tensor([3, 4], dtype=int64))");
  define.function("atleast_1d", at_least_all<1>, "The tensors, a number as a vector of one.");
  example("atleast_1d", "td.atleast_1d(1.0).shape", "(1,)");
  define.function("atleast_2d", at_least_all<2>, "The tensors, a vector as a matrix of one row.");
  example("atleast_2d", "td.atleast_2d(td.tensor([1.0, 2.0])).shape", "(1, 2)");
  define.function("atleast_3d", at_least_all<3>,
                  "The tensors with at least three axes: (n) becomes (1, n, 1), (m, n) becomes (m, n, 1).");
  example("atleast_3d", "td.atleast_3d(td.zeros((2, 3))).shape", "(2, 3, 1)");
  define.both(
      "pad", pad_with, py::arg("pad_width"), py::arg("mode") = "constant",
      py::arg("constant_values") = Scalar(0),
      "More elements around x: n on every side, (before, after) on every axis, or such a pair for each. "
      "mode: constant_values; 'reflect' or 'symmetric', x mirrored without or with its ends; 'edge' "
      "('replicate'), the ends; 'wrap' ('circular'), x from the other side.");
  example("pad", "td.pad(td.tensor([1, 2]), 1)", "tensor([0, 1, 2, 0], dtype=int64)");
  define.function<diag>("diag", "x, k=0",
                        "The matrix with a vector on its k-th diagonal, or the k-th diagonal of a matrix.");
  example("diag", "td.diag(td.tensor([1, 2]))", "tensor([[1, 0],\n        [0, 2]], dtype=int64)");
  define.function<diag_embed>("diag_embed", "x, offset=0",
                              "Square matrices, zero but for the vectors (.., n) on a diagonal.");
  example("diag_embed", "td.diag_embed(td.tensor([1, 2]))", "tensor([[1, 0],\n        [0, 2]], dtype=int64)");
  define.function(
      "block_diag",
      [](const py::args& args) { return block_diag(read<Tensors>(args, "block_diag", "matrices")); },
      "The matrices (vectors as rows) along a diagonal, zeros elsewhere.");
  example("block_diag", "td.block_diag(td.ones((1, 1)), td.ones((1, 2)))",
          "tensor([[1., 0., 0.],\n"
          "        [0., 1., 1.]], dtype=float32)");
  const auto triangle = [&](const char* name, auto places, const char* doc) {
    define.function(
        name,
        [places](int64_t n, int64_t k, Axis m, const std::optional<Device>& device) {
          return py::tuple(py::cast(places(n, m.value_or(n), k, device.value_or(default_device()))));
        },
        py::arg("n"), py::arg("k") = 0, py::arg("m") = py::none(), py::kw_only(),
        py::arg("device") = py::none(), doc);
  };
  triangle("tril_indices", &tril_indices,
           "The int64 rows and columns of what is at most k right of the diagonal of an (n, m) matrix.");
  example("tril_indices", "td.tril_indices(2)",
          "(tensor([0, 1, 1], dtype=int64), tensor([0, 0, 1], dtype=int64))");
  triangle("triu_indices", &triu_indices,
           "The int64 rows and columns of what is not left of diagonal k of an (n, m) matrix.");
  example("triu_indices", "td.triu_indices(2)",
          "(tensor([0, 0, 1], dtype=int64), tensor([0, 1, 1], dtype=int64))");
  define.function(
      "meshgrid", [](const py::args& args, const std::string& indexing) { return grids(args, indexing); },
      py::arg("indexing") = "xy",
      "Each vector along an axis of its own, repeated along those of the others: vector i along axis i with "
      "indexing='ij'; with 'xy' the first two are swapped. Views.");
  example("meshgrid", "[x.shape for x in td.meshgrid(td.arange(2), td.arange(3), indexing=\"ij\")]",
          "[(2, 3), (2, 3)]");
  define.function(
      "cartesian_prod",
      [](const py::args& args) { return cartesian_prod(read<Tensors>(args, "cartesian_prod", "vectors")); },
      "All tuples of elements of the vectors, one a row, the last vector's running first.");
  example("cartesian_prod", "td.cartesian_prod(td.tensor([1, 2]), td.tensor([3, 4]))",
          "tensor([[1, 3],\n"
          "        [1, 4],\n"
          "        [2, 3],\n"
          "        [2, 4]], dtype=int64)");
  define.function(
      "vander", [](const Tensor& x, Axis columns, bool increasing) { return vander(x, columns, increasing); },
      py::arg("x"), py::arg("N") = py::none(), py::arg("increasing") = false,
      "The powers N - 1 down to 0 (or up) of the elements of vectors (.., n) as columns.");
  example("vander", "td.vander(td.tensor([2.0, 3.0]), 3)",
          "tensor([[4., 2., 1.],\n        [9., 3., 1.]], dtype=float32)");
}

}  // namespace tidu::python
