// Sorting, searching and counting. What gives several tensors is named in tidu/_order.py.
#include "ops/order.h"

#include "ops/checked.h"

#include "ops/operations.h"

namespace tidu::python {
namespace {

Tensor sort_along(const Tensor& x, int64_t axis, bool descending, bool) { return sort(x, axis, descending); }
Tensor argsort_along(const Tensor& x, int64_t axis, bool descending, bool) {
  return argsort(x, axis, descending);
}

// kth is a place, or several, along the axis.
void check_places(const char* op, const Tensor& x, const Dims& kth, int64_t axis) {
  const int64_t n = x.size(normalize_axis(axis, x.ndim(), op));
  for (const int64_t k : kth) {
    if (k < -n || k >= n)
      fail<ValueError>("[", op, "] kth ", k, " is out of range for axis ", axis, " of ", describe(x));
  }
}
Tensor partition(const Tensor& x, const Dims& kth, int64_t axis) {
  check_places("partition", x, kth, axis);
  return sort(x, axis);
}
Tensor argpartition(const Tensor& x, const Dims& kth, int64_t axis) {
  check_places("argpartition", x, kth, axis);
  return argsort(x, axis);
}

Tensor search(const Tensor& rows, const Tensor& values, const std::string& side,
              const std::optional<Tensor>& sorter) {
  if (side != "left" && side != "right")
    fail<ValueError>("[searchsorted] side is 'left' or 'right', not '", side, "'");
  return searchsorted(rows, values, side == "right", sorter);
}

Tensor bucketize(const Tensor& x, const Tensor& boundaries, bool right) {
  if (boundaries.ndim() != 1)
    fail<ShapeError>("[bucketize] boundaries are a sorted vector, not ", describe(boundaries));
  const auto falls = [](const Tensor& bounds) {
    const Tensor one = slice_axis(bounds, 0, {}, -1), next = slice_axis(bounds, 0, 1, {});
    return logical_not(logical_or(one <= next, isnan(next)));  // NaN stands last
  };
  const Tensor sorted = boundaries.size(0) < 2
                            ? boundaries
                            : checked(boundaries, falls, "bucketize", "the boundaries do not ascend");
  return searchsorted(sorted, x, right);
}
Tensor digitize(const Tensor& x, const Tensor& bins, bool right) { return bucketize(x, bins, !right); }

Tensor median_over(const Tensor& x, const Over& axes, bool keepdims) { return median(x, axes, keepdims); }
Tensor nanmedian_over(const Tensor& x, const Over& axes, bool keepdims) {
  return median(x, axes, keepdims, true);
}

py::tuple picked(const Picked& picked) { return py::make_tuple(picked.values, picked.indices); }

}  // namespace

void bind_order(const Definitions& define) {
  constexpr const char* kSort = "x, axis=-1, descending=False, stable=True";
  define.both<sort_along>(
      "sort", kSort, "The elements along an axis in order; NaN last, also when descending. Always stable.");
  example("sort", "td.sort(td.tensor([3, 1, 2]), descending=True)", "tensor([3, 2, 1], dtype=int64)");
  define.both<argsort_along>("argsort", kSort,
                             "The int64 places along an axis of the elements in the order of sort.");
  example("argsort", "td.argsort(td.tensor([3, 1, 2]))", "tensor([1, 2, 0], dtype=int64)");
  define.function("lexsort", &lexsort, py::arg("keys"),
                  "The order of vectors by the last one, equal elements by the one before it, and so on.");
  example("lexsort", "td.lexsort([td.tensor([2, 1, 3]), td.tensor([0, 0, -1])])",
          "tensor([2, 1, 0], dtype=int64)");
  define.function<partition>(
      "partition", "x, kth, axis=-1",
      "Elements with those in front that are not larger than the kth: all are sorted.");
  example("partition", "td.partition(td.tensor([3, 1, 2]), 1)[1]", "tensor(2, dtype=int64)");
  define.function<argpartition>("argpartition", "x, kth, axis=-1",
                                "The places of the elements in the order of partition.");
  example("argpartition", "td.argpartition(td.tensor([3, 1, 2]), 1)[1]", "tensor(2, dtype=int64)");
  define.function("searchsorted", search, py::arg("x1"), py::arg("x2"), py::kw_only(),
                  py::arg("side") = "left", py::arg("sorter") = py::none(),
                  "Where each value of x2 goes into sorted x1 (.., n), before equal elements or, with\n"
                  "side='right', after them. x2 has any shape where x1 is a vector, else x1's leading axes.\n"
                  "`sorter` is the argsort of an x1 that is not sorted.");
  example("searchsorted", "td.searchsorted(td.tensor([1.0, 2.0, 3.0]), td.tensor([0.5, 2.5]))",
          "tensor([0, 2], dtype=int64)");
  define.function<bucketize>(
      "bucketize", "x, boundaries, right=False",
      "The i with boundaries[i - 1] < x <= boundaries[i]; with `right`, as in PyTorch,\n"
      "boundaries[i - 1] <= x < boundaries[i]. The boundaries ascend.");
  example("bucketize", "td.bucketize(td.tensor([0.5, 2.5]), td.tensor([1.0, 2.0, 3.0]))",
          "tensor([0, 2], dtype=int64)");
  define.function<digitize>("digitize", "x, bins, right=False",
                            "The i with bins[i - 1] <= x < bins[i]; with `right`, as in NumPy,\n"
                            "bins[i - 1] < x <= bins[i]. The bins ascend.");
  example("digitize", "td.digitize(td.tensor([0.5, 2.5]), td.tensor([1.0, 2.0, 3.0]))",
          "tensor([0, 2], dtype=int64)");
  constexpr const char* kOver = "x, axis=None, keepdims=False";
  define.both<median_over>(
      "median", kOver,
      "The middle element over the axes (all by default), the mean of the middle two of an\n"
      "even number; NaN where any is.");
  example("median", "td.median(td.tensor([1.0, 5.0, 2.0]))", "tensor(2., dtype=float32)");
  define.function<nanmedian_over>("nanmedian", kOver, "The median of what is not NaN; NaN of nothing else.");
  example("nanmedian", "td.nanmedian(td.tensor([1.0, td.nan, 2.0]))", "tensor(1.5, dtype=float32)");
  define.function(
      "bincount", &bincount, py::arg("x"), py::arg("weights") = py::none(), py::arg("minlength") = 0,
      py::arg("length") = py::none(),
      "How often 0, 1 .. occur in a vector of integers, or the sums of their weights. `length` says\n"
      "how many counts there are, and nothing is read back; other integers are an IndexError.");
  example("bincount", "td.bincount(td.tensor([0, 2, 2]))", "tensor([1, 0, 2], dtype=int64)");

  define.function("_topk", [](const Tensor& x, int64_t k, int64_t axis, bool largest) {
    return picked(topk(x, k, axis, largest));
  });
  define.function("_kthvalue", [](const Tensor& x, int64_t k, int64_t axis, bool keepdims) {
    return picked(kthvalue(x, k, axis, keepdims));
  });
  define.function("_quantile", [](const Tensor& x, const Tensor& q, const std::optional<Dims>& axes,
                                  bool keepdims, const std::string& method, bool ignore_nan) {
    return quantile(x, q, axes ? Over(*axes) : Over(), keepdims, quantile_from_name(method), ignore_nan);
  });
  define.function("_unique", [](const Tensor& x, Axis axis, bool equal_nan) {
    const auto [values, indices, inverse, counts] = unique(x, axis, equal_nan);
    return py::make_tuple(values, indices, inverse, counts);
  });
  define.function("_histogram_edges", &histogram_edges);
  define.function("_histogram", &histogram);
}

}  // namespace tidu::python
