// Elements by their order: sorted, ranked, sought, told apart and counted. NaN comes last, also where the
// largest element comes first; equal elements stay in order. Where an element goes is no function that has a
// derivative: values are differentiated as elements that were picked.
#pragma once

#include <optional>

#include "ops/reduce.h"

namespace tidu {

Tensor sort(const Tensor& x, int64_t axis = -1, bool descending = false);
// The int64 places of the elements in x, in the order of sort.
Tensor argsort(const Tensor& x, int64_t axis = -1, bool descending = false);
// The order of columns (n) by the last of them, equal ones by the one before it, and so on.
Tensor lexsort(const Tensors& columns);

// Elements along an axis, and their int64 places there.
struct Picked {
  Tensor values, indices;
};
// The k largest elements, the largest first, or the k smallest.
Picked topk(const Tensor& x, int64_t k, int64_t axis = -1, bool largest = true);
// The k-th smallest element, k from 1 on.
Picked kthvalue(const Tensor& x, int64_t k, int64_t axis = -1, bool keepdims = false);

// What lies between two of n sorted elements, by its place among them: (n - 1) q, or as Hyndman and Fan
// (1996) number the ways to estimate the quantiles of a population.
enum class Quantile : uint8_t {
  linear,                     // 7, (n - 1) q: on the line between the two
  lower,                      // of these the first,
  higher,                     // the second,
  nearest,                    // the nearer one, of two alike that with the even number,
  midpoint,                   // the mean
  inverted_cdf,               // 1
  averaged_inverted_cdf,      // 2
  closest_observation,        // 3
  interpolated_inverted_cdf,  // 4
  hazen,                      // 5
  weibull,                    // 6
  median_unbiased,            // 8
  normal_unbiased             // 9
};
Quantile quantile_from_name(std::string_view name);

// The quantiles `q` in [0, 1] of the elements over the axes (all by default): q.shape, then the other axes.
// NaN where an element is NaN, unless `ignore_nan`, and where q is outside. Differentiable by x and, between
// elements, by q.
Tensor quantile(const Tensor& x, const Tensor& q, const Over& axes = {}, bool keepdims = false,
                Quantile method = Quantile::linear, bool ignore_nan = false);
// The quantile 0.5: of an even number of elements the mean of the middle two.
Tensor median(const Tensor& x, const Over& axes = {}, bool keepdims = false, bool ignore_nan = false);

// Where each value would go into the sorted rows (.., n) so that they stay sorted: before equal elements, or
// with `right` after them. Values (.., m) have the rows' leading axes, or any shape where there is one row.
// `sorter` holds the argsort of rows that are not sorted.
Tensor searchsorted(const Tensor& rows, const Tensor& values, bool right = false,
                    const std::optional<Tensor>& sorter = {});

// The distinct elements, sorted, or the distinct slices along an axis; where the first of each is; which one
// each element is, in x's shape; how many there are of each. Their number is read back. A gradient goes to
// the first of equal elements. Complex numbers are sorted by the real part, then by the imaginary one.
struct Unique {
  Tensor values, indices, inverse, counts;
};
Unique unique(const Tensor& x, std::optional<int64_t> axis = {}, bool equal_nan = true);

// How often 0, 1 .. occur in integers that are not negative, or the sums of their weights; at least
// `minlength` counts. The largest integer is read back, unless `length` says how many counts there are.
Tensor bincount(const Tensor& x, const std::optional<Tensor>& weights = {}, int64_t minlength = 0,
                std::optional<int64_t> length = {});

// How many elements, or which sum of weights, there are between sorted edges, the last one included; as a
// density its integral is 1.
Tensor histogram(const Tensor& x, const Tensor& edges, const std::optional<Tensor>& weights = {},
                 bool density = false);
// The edges of `bins` even ones from the smallest to the largest element, or between two numbers.
Tensor histogram_edges(const Tensor& x, int64_t bins = 10,
                       const std::optional<std::pair<double, double>>& range = {});

struct SortAttrs {
  bool descending;
  int64_t count;  // of the first ones, which are wanted
  void fields(auto&& field) const { field("descending", descending), field("count", count); }
};
struct SortRowsAttrs {
  bool descending;
  void fields(auto&& field) const { field("descending", descending); }
};
struct SearchAttrs {
  bool right;
  void fields(auto&& field) const { field("right", right); }
};
namespace primitives {
extern Primitive sort;          // (rows), SortRowsAttrs: the elements of each row (.., n)
extern Primitive argsort;       // (rows), SortAttrs: of each row (.., n) the first (.., count)
extern Primitive searchsorted;  // (rows, values), SearchAttrs: (.., n) and (.., m)
}  // namespace primitives

}  // namespace tidu
