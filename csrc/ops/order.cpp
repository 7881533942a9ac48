// Sorting, searching and counting.
#include "ops/order.h"

#include <array>
#include <bit>
#include <cmath>

#include "core/bind.h"
#include "core/trace.h"
#include "ops/checked.h"
#include "ops/complex.h"
#include "ops/composites.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/pointwise.h"
#include "ops/scan.h"
#include "ops/shape.h"

namespace tidu {
namespace {

int64_t bits_of(int64_t n) { return static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(n))); }

void check_rows(const SpecCall& call) {
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (call.inputs[i].shape.empty())
      fail<ShapeError>("[", call.primitive.name, "] takes rows (.., n), not ", call.inputs[i]);
  }
}

// Values alone need no places; where these are asked for, which costs more, is where a derivative is.
Tensor places_in_order(const Call& call) {
  const Tensor& rows = call.inputs[0];
  return bind(primitives::argsort, {rows},
              SortAttrs{call.attrs.as<SortRowsAttrs>().descending, rows.size(-1)});
}
const Custom sort_rule{
    .reads = [](Reads) -> Reads { return kInput0; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {take_along_axis(tangents[0], places_in_order(call), -1)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Tensor& g = cotangents[0];
      return {put_along_axis(zeros_like(g), places_in_order(call), g, -1)};
    },
};

}  // namespace

namespace primitives {

// | `sort` | $y_i = x_{p_i}$, in order | $\dot y_i = \dot x_{p_i}$ | $\bar x_{p_i} = \bar y_i$ |
Primitive sort("sort", {.batching = batch_by_fields,
                        .attrs = SortRowsAttrs{},
                        .infer =
                            [](const SpecCall& call, std::span<Spec> outputs) {
                              check_rows(call);
                              outputs[0] = call.inputs[0];
                            },
                        .derivative = sort_rule,
                        .flops =
                            [](const SpecCall&, std::span<const Spec> outputs) {
                              const Shape& shape = outputs[0].shape;
                              return Flops{.arithmetic = num_elements(shape) * bits_of(shape.back())};
                            }});

// | `argsort` | no derivative: 0 | | |
Primitive argsort("argsort", {.batching = batch_by_fields,
                              .attrs = SortAttrs{},
                              .check =
                                  [](const SpecCall& call, size_t) {
                                    check_rows(call);
                                    const int64_t count = call.attrs.as<SortAttrs>().count;
                                    require(count >= 0 && count <= call.inputs[0].shape.back(), call,
                                            "there are not as many elements");
                                  },
                              .infer =
                                  [](const SpecCall& call, std::span<Spec> outputs) {
                                    check_rows(call);
                                    outputs[0] = call.inputs[0];
                                    outputs[0].shape.back() = call.attrs.as<SortAttrs>().count;
                                    outputs[0].dtype = DType::int64;
                                  },
                              .derivative = Zero{},
                              .flops =
                                  [](const SpecCall& call, std::span<const Spec>) {
                                    return Flops{.arithmetic = num_elements(call.inputs[0].shape) *
                                                               bits_of(call.attrs.as<SortAttrs>().count)};
                                  }});

// | `searchsorted` | no derivative: 0 | | |
Primitive searchsorted("searchsorted",
                       {.batching = batch_by_fields,
                        .attrs = SearchAttrs{},
                        .inputs = 2,
                        .infer =
                            [](const SpecCall& call, std::span<Spec> outputs) {
                              check_rows(call);
                              const Spec &rows = call.inputs[0], &values = call.inputs[1];
                              Shape matching = values.shape;
                              matching.back() = rows.shape.back();
                              if (!(matching == rows.shape) || rows.dtype != values.dtype)
                                fail<ShapeError>(
                                    "[searchsorted] ", rows, " and ", values,
                                    " differ in dtype or leading axes (of one row, values have any shape)");
                              outputs[0] = {values.shape, DType::int64, values.device};
                            },
                        .derivative = Zero{},
                        .flops =
                            [](const SpecCall& call, std::span<const Spec> outputs) {
                              return Flops{.arithmetic = num_elements(outputs[0].shape) *
                                                         bits_of(call.inputs[0].shape.back())};
                            }});

}  // namespace primitives

// --- Order

namespace {

// The elements along an axis that are the numbers `begin` to `end` in order. They are picked in rows, however
// those lie, so that neighbours are read together.
Picked pick(const Tensor& x, int axis, bool descending, int64_t begin, int64_t end) {
  const Tensor rows = moveaxis(x, axis, -1);
  Tensor places = bind(primitives::argsort, {rows}, SortAttrs{descending, end});
  if (begin > 0) places = slice_axis(places, -1, begin, end);
  return {moveaxis(take_along_axis(rows, places, -1), -1, axis), moveaxis(places, -1, axis)};
}

}  // namespace

Tensor argsort(const Tensor& x, int64_t axis, bool descending) {
  const int at = normalize_axis(axis, x.ndim(), "argsort");
  const Tensor order = bind(primitives::argsort, {moveaxis(x, at, -1)}, SortAttrs{descending, x.size(at)});
  return moveaxis(order, -1, at);
}

Tensor sort(const Tensor& x, int64_t axis, bool descending) {
  const int at = normalize_axis(axis, x.ndim(), "sort");
  // A derivative needs the places: found now, they are found once.
  if (is_tracked(x)) return pick(x, at, descending, 0, x.size(at)).values;
  return moveaxis(bind(primitives::sort, {moveaxis(x, at, -1)}, SortRowsAttrs{descending}), -1, at);
}

Tensor lexsort(const Tensors& columns) {
  if (columns.empty()) fail<ValueError>("[lexsort] takes at least one column");
  for (const Tensor& column : columns) {
    if (column.ndim() != 1 || !(column.shape() == columns[0].shape()))
      fail<ShapeError>("[lexsort] columns are vectors of one length: ", describe(column), " and ",
                       describe(columns[0]));
  }
  Tensor order = argsort(columns[0]);
  for (size_t i = 1; i < columns.size(); ++i) order = take(order, argsort(take(columns[i], order, 0)), 0);
  return order;
}

Picked topk(const Tensor& x, int64_t k, int64_t axis, bool largest) {
  const int at = normalize_axis(axis, x.ndim(), "topk");
  if (k < 0 || k > x.size(at))
    fail<ValueError>("[topk] there are no ", k, " elements along axis ", axis, " of ", describe(x));
  return pick(x, at, largest, 0, k);
}

Picked kthvalue(const Tensor& x, int64_t k, int64_t axis, bool keepdims) {
  const int at = normalize_axis(axis, x.ndim(), "kthvalue");
  if (k < 1 || k > x.size(at))
    fail<ValueError>("[kthvalue] there is no element ", k, " (of 1 to ", x.size(at), ") along axis ", axis,
                     " of ", describe(x));
  const auto [value, place] = pick(x, at, false, k - 1, k);
  return keepdims ? Picked{value, place} : Picked{squeeze(value, {at}), squeeze(place, {at})};
}

// --- Quantiles

namespace {

constexpr std::array kQuantileNames = {"linear",
                                       "lower",
                                       "higher",
                                       "nearest",
                                       "midpoint",
                                       "inverted_cdf",
                                       "averaged_inverted_cdf",
                                       "closest_observation",
                                       "interpolated_inverted_cdf",
                                       "hazen",
                                       "weibull",
                                       "median_unbiased",
                                       "normal_unbiased"};

// Where quantile q lies among `count` sorted elements, the first of which is at 0.
Tensor place_of(const Tensor& q, const Tensor& count, Quantile method) {
  const auto between = [&](double a, double b) { return (count + (1 - a - b)) * q + (a - 1); };
  switch (method) {
    case Quantile::inverted_cdf:
    case Quantile::averaged_inverted_cdf:
    case Quantile::interpolated_inverted_cdf: return between(0, 1);
    case Quantile::closest_observation: return between(0, 1) - 0.5;
    case Quantile::hazen: return between(0.5, 0.5);
    case Quantile::weibull: return between(0, 0);
    case Quantile::median_unbiased: return between(1.0 / 3, 1.0 / 3);
    case Quantile::normal_unbiased: return between(0.375, 0.375);
    default: return between(1, 1);
  }
}

// How much of the element after the place counts, from the place's fraction.
Tensor share_of_next(const Tensor& fraction, const Tensor& before, Quantile method) {
  const auto number = [&](const Tensor& condition) { return astype(condition, fraction.dtype()); };
  const auto even = [&] { return remainder(before, 2.0) == 0; };
  switch (method) {
    case Quantile::lower: return zeros_like(fraction);
    case Quantile::higher:
    case Quantile::inverted_cdf: return number(fraction > 0);
    case Quantile::nearest:
      return number(logical_or(fraction > 0.5, logical_and(fraction == 0.5, logical_not(even()))));
    case Quantile::midpoint: return 0.5 * number(fraction > 0);
    case Quantile::averaged_inverted_cdf: return 0.5 + 0.5 * number(fraction > 0);
    case Quantile::closest_observation: return number(logical_or(fraction != 0, even()));
    default: return fraction;
  }
}

}  // namespace

Quantile quantile_from_name(std::string_view name) {
  for (size_t i = 0; i < kQuantileNames.size(); ++i) {
    if (name == kQuantileNames[i]) return static_cast<Quantile>(i);
  }
  std::string names = kQuantileNames[0];
  for (size_t i = 1; i < kQuantileNames.size(); ++i) names += std::string(", ") + kQuantileNames[i];
  fail<ValueError>("[quantile] method is '", name, "', not one of ", names);
}

Tensor quantile(const Tensor& x, const Tensor& q, const Over& over, bool keepdims, Quantile method,
                bool ignore_nan) {
  if (!is_floating(q.dtype()) && q.dtype() != DType::bool_ && !is_integral(q.dtype()))
    fail<DTypeError>("[quantile] q is a number in [0, 1], not ", describe(q));
  if (is_complex(x.dtype())) fail_complex("quantile", x);
  const Axes axes = over ? normalize_axes(*over, x.ndim(), "quantile") : all_axes(x.ndim());
  // The rows that are reduced, last; the quantiles first.
  Axes order;
  Shape shape = q.shape(), kept;
  for (int i = 0; i < x.ndim(); ++i) {
    if (!axes.contains(i)) {
      order.push_back(i);
      kept.push_back(x.size(i));
    }
    if (keepdims || !axes.contains(i)) shape.push_back(axes.contains(i) ? 1 : x.size(i));
  }
  int64_t n = 1;
  for (const int64_t axis : axes) {
    order.push_back(axis);
    n *= x.size(static_cast<int>(axis));
  }
  if (n == 0) fail<ValueError>("[quantile] there are no elements over axes ", axes, " of ", describe(x));
  const DType dtype = is_floating(x.dtype()) ? x.dtype() : kDefaultFloat;
  kept.push_back(n);
  const Tensor rows = for_intermediates(reshape(permute_dims(x, order), kept));
  const Tensor sorted = sort(rows);
  kept.back() = 1;
  const Tensor count = ignore_nan ? astype(sum(logical_not(isnan(sorted)), Axes{-1}, true), DType::float64)
                                  : full(Shape(kept.size(), 1), n, DType::float64, x.device());

  const Tensor among = astype(flatten(q), DType::float64);
  const Tensor place = place_of(among, count, method), before = floor(place);
  const Tensor share = astype(share_of_next(place - before, before, method), sorted.dtype());
  // A NaN among the quantiles names no place.
  const auto element = [&](const Tensor& at) {
    const Tensor inside = maximum(minimum(where(isnan(at), 0.0, at), count - 1.0), 0.0);
    return take_along_axis(sorted, astype(stop_gradient(inside), DType::int64), -1);
  };
  const Tensor low = element(before), high = element(before + 1.0);
  const Tensor distance = where(logical_and(isinf(low), low == high), 0.0, high - low);
  // The element itself where it has the whole share: beside a large one the sum would lose it. The two by
  // their shares where their distance leaves the dtype's range.
  const Tensor apart = multiply_no_nan(low, 1 - share) + multiply_no_nan(high, share);
  const Tensor along = where(isinf(distance), apart, low + multiply_no_nan(distance, share));
  const Tensor value = where(share == 1, high, along);

  const Tensor known = ignore_nan ? count > 0.0 : logical_not(isnan(slice_axis(sorted, -1, n - 1, n)));
  const Tensor valid = logical_and(logical_and(among >= 0.0, among <= 1.0), known);
  return reshape(moveaxis(astype(where(valid, value, NAN), dtype), -1, 0), shape);
}

Tensor median(const Tensor& x, const Over& axes, bool keepdims, bool ignore_nan) {
  return quantile(x, full({}, 0.5, DType::float64, x.device()), axes, keepdims, Quantile::linear, ignore_nan);
}

// --- Search

Tensor searchsorted(const Tensor& rows, const Tensor& values, bool right,
                    const std::optional<Tensor>& sorter) {
  if (rows.ndim() == 0) fail<ShapeError>("[searchsorted] takes rows (.., n), not ", describe(rows));
  const DType dtype = promote(rows.dtype(), values.dtype());
  if (sorter && !(sorter->shape() == rows.shape()))
    fail<ShapeError>("[searchsorted] the sorter ", describe(*sorter), " is no order of ", describe(rows));
  const Tensor sorted = astype(sorter ? take_along_axis(rows, *sorter, -1) : rows, dtype);
  const bool any_shape = rows.ndim() == 1;
  const Tensor sought = astype(any_shape ? flatten(values) : values, dtype);
  const Tensor places = bind(primitives::searchsorted, {sorted, sought}, SearchAttrs{right});
  return any_shape ? reshape(places, values.shape()) : places;
}

// --- Distinct elements

namespace {

// Of rows (n, ..) that are sorted, which ones differ from the one before them.
Tensor differs_from_last(const Tensor& sorted, bool equal_nan) {
  const int64_t n = sorted.size(0);
  const Tensor later = slice_axis(sorted, 0, 1, n), earlier = slice_axis(sorted, 0, 0, n - 1);
  Tensor differs = later != earlier;
  if (equal_nan && is_floating(sorted.dtype()))
    differs = logical_and(differs, logical_not(logical_and(isnan(later), isnan(earlier))));
  return sorted.ndim() == 1 ? differs : any(differs, Axes{1});
}

}  // namespace

Unique unique(const Tensor& x, std::optional<int64_t> axis, bool equal_nan) {
  const int at = axis ? normalize_axis(*axis, x.ndim(), "unique") : 0;
  const Tensor slices = axis ? moveaxis(x, at, 0) : flatten(x);
  const int64_t n = slices.size(0);
  const Shape inverse_shape = axis ? Shape{n} : x.shape();
  const auto numbers = [&](int64_t count) { return arange(count, DType::int64, x.device()); };
  if (n == 0) return {copy(axis ? x : slices), numbers(0), reshape(numbers(0), inverse_shape), numbers(0)};

  // Complex numbers are rows of their parts, and where NaN are equal, those are that have one.
  Tensor order, rows = slices;
  if (is_complex(x.dtype())) {
    const Scalar nan(std::complex<double>(NAN, NAN));
    rows = view_as_real(equal_nan ? where(isnan(slices), nan, slices) : slices);
  }
  if (rows.ndim() == 1) {
    order = argsort(rows);
  } else {
    rows = reshape(rows, {n, rows.numel() / n});
    Tensors columns;
    for (int64_t i = rows.size(1); i-- > 0;) columns.push_back(select(rows, 1, i));
    order = columns.empty() ? numbers(n) : lexsort(columns);
  }
  const Tensor one = full({1}, true, DType::bool_, x.device());
  const Tensor first = concat({one, differs_from_last(take(rows, order, 0), equal_nan)}, 0);
  const Tensor starts = nonzero(first)[0], indices = take(order, starts, 0);
  const Tensor rank = cumulative_sum(astype(first, DType::int64), 0) - 1;
  const Tensor end = full({1}, n, DType::int64, x.device());
  return {axis ? moveaxis(take(slices, indices, 0), 0, at) : take(slices, indices, 0), indices,
          reshape(scatter_set(numbers(n), order, rank, 0), inverse_shape), diff(concat({starts, end}, 0))};
}

// --- Counts

Tensor bincount(const Tensor& x, const std::optional<Tensor>& weights, int64_t minlength,
                std::optional<int64_t> length) {
  if (x.ndim() != 1 || !is_integral(x.dtype()))
    fail<DTypeError>("[bincount] counts a vector of integers, not ", describe(x));
  if (weights && !(weights->shape() == x.shape()))
    fail<ShapeError>("[bincount] ", describe(*weights), " is no weight for each of ", describe(x));
  if (minlength < 0 || length.value_or(0) < 0)
    fail<ValueError>("[bincount] the number of counts, ", std::min(minlength, length.value_or(0)),
                     ", is negative");
  Tensor numbers = astype(x, DType::int64);
  if (length) {
    numbers = checked_indices(numbers, std::max(*length, minlength), "bincount");
  } else {
    const bool any = numbers.numel() > 0;
    const auto ends =
        any ? to_vector<int64_t>(stack({min(numbers), max(numbers)}, 0)) : std::vector<int64_t>{0, -1};
    if (ends[0] < 0)
      fail<ValueError>("[bincount] counts integers from 0 on, and ", describe(x), " has ", ends[0]);
    length = std::min(ends[1], INT64_MAX - 1) + 1;
  }
  const Tensor ones = weights ? widened(*weights) : full({}, 1, DType::int64, x.device());
  const Tensor none = zeros({std::max(*length, minlength)}, ones.dtype(), x.device());
  const Tensor counts = scatter_add(none, numbers, ones, 0);
  return weights ? astype(counts, weights->dtype()) : counts;
}

Tensor histogram_edges(const Tensor& x, int64_t bins, const std::optional<std::pair<double, double>>& range) {
  if (bins < 1) fail<ValueError>("[histogram] the number of bins, ", bins, ", is not positive");
  if (range && !(range->first <= range->second && std::isfinite(range->second - range->first)))
    fail<ValueError>("[histogram] the range from ", range->first, " to ", range->second, " is none");
  // Edges between large integers are not float32.
  const DType dtype = is_floating(x.dtype()) ? x.dtype() : intermediate_type(x.dtype());
  const bool of_x = !range && x.numel() > 0;
  const auto number = [&](double value) { return full({}, value, DType::float64, x.device()); };
  const Tensor low = of_x ? astype(min(x), DType::float64) : number(range ? range->first : 0);
  const Tensor high = of_x ? astype(max(x), DType::float64) : number(range ? range->second : 1);
  // The last is the largest element, whatever the steps up to it round to.
  const Tensor half = where(low == high, 0.5, 0.0), first = low - half, last = high + half;
  const Tensor step = (last - first) / static_cast<double>(bins);
  const Tensor others = first + arange(bins, DType::float64, x.device()) * step;
  return astype(concat({others, reshape(last, {1})}, 0), dtype);
}

Tensor histogram(const Tensor& x, const Tensor& given, const std::optional<Tensor>& weights, bool density) {
  if (given.ndim() != 1 || given.size(0) < 2)
    fail<ShapeError>("[histogram] edges are a vector of at least two numbers, not ", describe(given));
  const auto falls = [](const Tensor& edges) {
    return logical_not(slice_axis(edges, 0, {}, -1) <= slice_axis(edges, 0, 1, {}));
  };
  const Tensor edges =
      checked(given, falls, "histogram",
              "the edges do not ascend, or the elements that they are found by are not finite");
  if (weights && !(weights->shape() == x.shape()))
    fail<ShapeError>("[histogram] ", describe(*weights), " is no weight for each of ", describe(x));
  const int64_t bins = edges.size(0) - 1;
  const Tensor values = flatten(x), last = select(edges, 0, bins);
  // Counted with what lies before the first edge, in front, and after the last.
  const Tensor place = where(values == last, bins, searchsorted(edges, values, true));
  const Tensor counts =
      slice_axis(bincount(place, weights ? std::optional(flatten(*weights)) : std::nullopt, 0, bins + 2), 0,
                 1, bins + 1);
  if (!density) return counts;
  const DType dtype = is_floating(counts.dtype())  ? counts.dtype()
                      : is_floating(edges.dtype()) ? edges.dtype()
                                                   : kDefaultFloat;
  const Tensor shares = astype(counts, is_narrow(dtype) ? DType::float32 : dtype);
  return astype(shares / (sum(shares) * diff(widened(edges))), dtype);
}

}  // namespace tidu
