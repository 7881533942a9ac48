// Indexing by tensors.
#include "ops/indexing.h"

#include <cmath>
#include <limits>

#include "base/few.h"
#include "core/bind.h"
#include "ops/checked.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/order.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {

PickedAxes picked_axes(const IndexAttrs& attrs, int x_ndim, int index_ndim) {
  PickedAxes picked;
  const int points = index_ndim - attrs.batch.size(), rank = x_ndim - attrs.axes.size() + points;
  if (rank > kMaxRank) fail<ShapeError>("a tensor has at most ", kMaxRank, " dimensions, not ", rank);
  int x = 0, index = 0;
  for (; picked.count < rank; ++picked.count) {
    PickedAxis& axis = picked.axes[picked.count];
    if (picked.count >= attrs.at && picked.count < attrs.at + points) {
      axis = {-1, index++};
      continue;
    }
    while (attrs.axes.contains(x)) ++x;
    axis = {x, attrs.batch.contains(x) ? index++ : -1};
    ++x;
  }
  return picked;
}

Shape picked_shape(const IndexAttrs& attrs, const Shape& x, const Shape& indices) {
  Shape shape;
  for (const PickedAxis axis : picked_axes(attrs, x.size(), indices.size()))
    shape.push_back(axis.x >= 0 ? x[axis.x] : indices[axis.index]);
  return shape;
}

void make_indices(std::span<Tensor> indices, const char* op) {
  for (Tensor& index : indices) {
    if (!is_integral(index.dtype()))
      fail<DTypeError>("[", op, "] indices must be integers, not ", describe(index));
    // Beyond those of int64 none is in any range; it would count from the end.
    if (index.dtype() == DType::uint64) index = minimum(index, std::numeric_limits<int64_t>::max());
    if (index.dtype() != DType::int64) index = astype(index, DType::int64);
  }
  if (indices.size() == 1) return;
  Shape shape = indices[0].shape();
  for (const Tensor& index : indices) shape = broadcast_shapes(shape, index.shape(), op);
  for (Tensor& index : indices) index = broadcast_to(index, shape);
}

namespace {

Tensor bind_one(const Primitive& primitive, std::span<const Tensor> inputs, const Attrs& attrs) {
  Tensor output;
  bind(primitive, inputs, attrs, {&output, 1});
  return output;
}
Tensor bind_one(const Primitive& primitive, std::span<const Tensor> inputs, const IndexAttrs& attrs) {
  Attrs::OnStack<IndexAttrs> on_stack(attrs);
  return bind_one(primitive, inputs, on_stack.attrs());
}

// The shape of the elements of x that the index tensors from input `first` on pick.
Shape infer_picked(const SpecCall& call, size_t first) {
  const auto& attrs = call.attrs.as<IndexAttrs>();
  const Spec &x = call.inputs[0], &points = call.inputs[first];
  const auto wrong = [&](const char* what) {
    fail<ShapeError>("[", call.primitive.name, "] ", what, ": indices of shape ", points.shape, " with axes ",
                     attrs.axes, " and batch axes ", attrs.batch, " of ", x);
  };
  if (call.inputs.size() - first != static_cast<size_t>(attrs.axes.size()))
    wrong("as many index tensors as axes");
  for (size_t i = first; i < call.inputs.size(); ++i) {
    if (call.inputs[i].shape != points.shape) wrong("index tensors have one shape");
    if (call.inputs[i].dtype != DType::int64)
      fail<DTypeError>("[", call.primitive.name, "] indices must be int64, not ", call.inputs[i]);
  }
  Shape shape;
  for (const PickedAxis axis : picked_axes(attrs, x.shape.size(), points.shape.size())) {
    if (axis.x >= 0 && axis.index >= 0 && x.shape[axis.x] != points.shape[axis.index])
      wrong("batch axes differ");
    shape.push_back(axis.x >= 0 ? x.shape[axis.x] : points.shape[axis.index]);
  }
  return shape;
}

void infer_scatter(const SpecCall& call, std::span<Spec> outputs) {
  const Spec &x = call.inputs[0], &updates = call.inputs[1];
  const Shape picked = infer_picked(call, 2);
  if (updates.shape != picked || updates.dtype != x.dtype)
    fail<ShapeError>("[", call.primitive.name, "] updates must be ", x.dtype, picked, ", not ", updates);
  if (!outputs.empty()) outputs[0] = x;
}

void infer_numeric_scatter(const SpecCall& call, std::span<Spec> outputs) {
  infer_scatter(call, outputs);
  if (call.inputs[0].dtype == DType::bool_)
    fail<DTypeError>("[", call.primitive.name, "] is not computed in bool (convert it with astype first)");
}

// --- What the derivatives are made of. `call` scatters. Those of halves are computed in float and rounded
// once.

Tensor gather_at(const Call& call, const Tensor& x) {
  Few<Tensor, 4> inputs(call.inputs.size() - 1);
  std::ranges::copy(call.inputs.subspan(2), inputs.begin() + 1);
  inputs[0] = x;
  return bind_one(primitives::gather, inputs, call.attrs);
}
Tensor scatter_at(const Primitive& primitive, const Tensor& x, const Tensor& updates, const Call& call) {
  Few<Tensor, 4> inputs(call.inputs.size());
  std::ranges::copy(call.inputs.subspan(2), inputs.begin() + 2);
  inputs[0] = x;
  inputs[1] = updates;
  return bind_one(primitive, inputs, call.attrs);
}
Tensor rounded(const Tensor& x, const Call& call) { return astype(x, call.inputs[0].dtype()); }
Tensor constant(int value, const Tensor& like, const Shape& shape) {
  return broadcast_to(full({}, value, like.dtype(), like.device()), shape);
}

// Which updates stay where a place is named more than once, with extent 1 on the axes that x alone has.
Tensor last_ones(const Call& call) {
  const Tensor &x = call.inputs[0], &index = call.inputs[2];
  const auto& attrs = call.attrs.as<IndexAttrs>();
  Shape places = x.shape(), points;
  for (const PickedAxis axis : picked_axes(attrs, x.ndim(), index.ndim())) {
    if (axis.index < 0) places[axis.x] = 1;
    points.push_back(axis.index < 0 ? 1 : index.size(axis.index));
  }
  const Tensor number = reshape(arange(index.numel(), DType::int64, x.device()), points);
  const Tensor none = broadcast_to(zeros({}, DType::int64, x.device()), places);
  return gather_at(call, scatter_at(primitives::scatter_set, none, number, call)) == number;
}

// The shares that x and the updates have in the extreme, 1 shared equally among ties.
class Shares {
 public:
  explicit Shares(const Call& call)
      : call_(call),
        by_x_(hits(call.inputs[0], call.outputs[0])),
        by_updates_(hits(call.inputs[1], gather_at(call, call.outputs[0]))),
        count_(scatter_at(primitives::scatter_add, by_x_, by_updates_, call)) {}

  Tensor of_x() const { return by_x_ / count_; }
  Tensor of_updates() const { return by_updates_ / gather_at(call_, count_); }

 private:
  static Tensor hits(const Tensor& some, const Tensor& extreme) {
    const DType dtype = is_narrow(some.dtype()) ? DType::float32 : some.dtype();
    return astype(logical_or(some == extreme, isnan(some)), dtype);
  }

  const Call& call_;
  const Tensor by_x_, by_updates_, count_;
};

// Where rows lie together that have one key, the product of all rows before each one with its key.
Tensor products_before(const Tensor& rows, const Tensor& keys) {
  const int64_t n = rows.size(0);
  const auto moved = [&](const Tensor& x, int64_t by) {
    const Shape first = [&] {
      Shape shape = x.shape();
      shape[0] = by;
      return shape;
    }();
    const Tensor one_key = slice_axis(keys, 0, by, n) == slice_axis(keys, 0, 0, n - by);
    const Tensor one = constant(1, x, first);
    const Tensor rest = slice_axis(x, 0, 0, n - by);
    return concat({one, where(expand_dims(one_key, 1), rest, 1)}, 0);
  };
  Tensor result = moved(rows, 1);
  for (int64_t by = 1; by < n; by *= 2) result = result * moved(result, by);
  return result;
}

// The product of the updates at each place.
Tensor products(const Call& call) {
  const Tensor updates = widened(call.inputs[1]);
  return scatter_at(primitives::scatter_multiply, constant(1, updates, call.inputs[0].shape()), updates,
                    call);
}

// For each update the product of the others at its place: exact also where some are zero, to any order.
Tensor products_of_others(const Call& call) {
  const Tensor &x = call.inputs[0], updates = widened(call.inputs[1]);
  const auto& attrs = call.attrs.as<IndexAttrs>();
  const std::span<const Tensor> indices = call.inputs.subspan(2);
  if (updates.numel() == 0) return updates;
  // The places as numbers, one for each point, and the updates as rows, one for each point.
  const PickedAxes picked = picked_axes(attrs, x.ndim(), indices[0].ndim());
  Tensor place = zeros({}, DType::int64, x.device());
  Axes points, order;
  for (int i = 0; i < picked.count; ++i) {
    if (picked[i].index < 0) continue;
    points.push_back(i);
    if (picked[i].x < 0) continue;
    Shape along(indices[0].ndim(), 1);
    along[picked[i].index] = x.size(picked[i].x);
    place =
        place * x.size(picked[i].x) + reshape(arange(x.size(picked[i].x), DType::int64, x.device()), along);
  }
  for (size_t k = 0; k < indices.size(); ++k) {
    const int64_t extent = x.size(static_cast<int>(attrs.axes[static_cast<int>(k)]));
    place = place * extent + where(indices[k] < 0, indices[k] + extent, indices[k]);
  }
  order = points;
  for (int i = 0; i < updates.ndim(); ++i) {
    if (!points.contains(i)) order.push_back(i);
  }
  const Tensor ahead = permute_dims(updates, order);
  const Tensor rows = reshape(ahead, {indices[0].numel(), updates.numel() / indices[0].numel()});
  place = flatten(place);

  const Tensor by_place = argsort(place), back = argsort(by_place);
  const Tensor sorted = take(rows, by_place, 0), keys = take(place, by_place, 0);
  const Tensor after = flip(products_before(flip(sorted, {0}), flip(keys, {0})), {0});
  const Tensor others = reshape(take(products_before(sorted, keys) * after, back, 0), ahead.shape());
  Axes inverse(order.size(), 0);
  for (int i = 0; i < order.size(); ++i) inverse[static_cast<int>(order[i])] = i;
  return permute_dims(others, inverse);
}

const Custom extreme{
    .reads = [](Reads) -> Reads { return kAllInputs | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Shares shares(call);
      Tensor by_x, by_updates;
      if (tangents[0]) by_x = multiply_no_nan(tangents[0], shares.of_x());
      if (!tangents[1]) return {rounded(by_x, call)};
      by_updates = multiply_no_nan(tangents[1], shares.of_updates());
      if (!by_x) by_x = constant(0, by_updates, call.inputs[0].shape());
      return {rounded(scatter_at(primitives::scatter_add, by_x, by_updates, call), call)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const Shares shares(call);
      Tensors result(call.inputs.size());
      if (wanted & kInput0) result[0] = rounded(multiply_no_nan(cotangents[0], shares.of_x()), call);
      if (wanted & kInput1)
        result[1] = rounded(multiply_no_nan(gather_at(call, cotangents[0]), shares.of_updates()), call);
      return result;
    },
};

const Custom product{
    .reads = [](Reads wanted) -> Reads { return wanted & kInput1 ? kAllInputs : kAllInputs & ~kInput0; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor x = widened(call.inputs[0]);
      const Tensor by_x =
          tangents[0] ? multiply_no_nan(tangents[0], products(call)) : constant(0, x, x.shape());
      if (!tangents[1]) return {rounded(by_x, call)};
      const Tensor slope = gather_at(call, x) * products_of_others(call);
      const Tensor by_updates = multiply_no_nan(slope, tangents[1]);
      return {rounded(scatter_at(primitives::scatter_add, by_x, by_updates, call), call)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const Tensor& g = cotangents[0];
      Tensors result(call.inputs.size());
      if (wanted & kInput0) result[0] = rounded(multiply_no_nan(g, products(call)), call);
      if (wanted & kInput1) {
        const Tensor slope = gather_at(call, widened(call.inputs[0])) * products_of_others(call);
        result[1] = rounded(multiply_no_nan(gather_at(call, g), slope), call);
      }
      return result;
    },
    .linear = kInput0,
};

Tensors batch_nonzero(const BatchedCall&) {
  fail<TraceError>("[nonzero] each lane of vmap would find another number of elements (use where)");
}

Flops one_each_update(const SpecCall& call, std::span<const Spec>) {
  return {.arithmetic = num_elements(call.inputs[1].shape)};
}

// That picked_axes can be found, and no axis of x is named twice.
template <int first> void check_indices(const SpecCall& call, size_t) {
  const auto& [axes, batch, at] = call.attrs.as<IndexAttrs>();
  const int x = call.inputs[0].shape.size(), points = call.inputs[first].shape.size() - batch.size();
  const bool apart = std::ranges::none_of(batch, [&](int64_t axis) { return axes.contains(axis); });
  require(apart && points >= 0 && at <= x - axes.size(), call, "the axes do not fit");
}

constexpr Reads kIndices = kAllInputs & ~(kInput0 | kInput1);  // of a call that scatters

}  // namespace

namespace primitives {

// | `gather` | $y_i = x_{k_i}$ | $\dot y_i = \dot x_{k_i}$ | $\bar x_j = \sum_{i: k_i = j} \bar y_i$ |
Primitive gather("gather", {.batching = batch_by_fields,
                            .attrs = IndexAttrs{},
                            .inputs = {2, kAnyNumber},
                            .check = check_indices<1>,
                            .infer =
                                [](const SpecCall& call, std::span<Spec> outputs) {
                                  outputs[0].shape = infer_picked(call, 1);
                                  outputs[0].dtype = call.inputs[0].dtype;
                                },
                            .derivative = LinearMap{.linear = kInput0,
                                                    .reads = kAllInputs & ~kInput0,
                                                    .transpose =
                                                        [](const Call& call, Cotangents cotangents, int) {
                                                          Tensors inputs{constant(0, cotangents[0],
                                                                                  call.inputs[0].shape())};
                                                          inputs.insert(inputs.end(), call.inputs.begin(),
                                                                        call.inputs.end());
                                                          inputs[1] = cotangents[0];
                                                          return bind_one(scatter_add, inputs, call.attrs);
                                                        }},
                            .on_complex = OnComplex::parts,
                            .flops = no_flops});

// | `scatter_add` | $y_j = x_j + \sum_{i: k_i = j} u_i$ | $\dot y_j = \dot x_j + \sum_{i: k_i = j} \dot u_i$
// | $\bar x = \bar y$, $\bar u_i = \bar y_{k_i}$ |
Primitive scatter_add("scatter_add",
                      {.batching = batch_by_fields,
                       .attrs = IndexAttrs{},
                       .inputs = {3, kAnyNumber},
                       .check = check_indices<2>,
                       .infer = infer_numeric_scatter,
                       .derivative = LinearMap{.linear = kInput0 | kInput1,
                                               .reads = kIndices,
                                               .transpose =
                                                   [](const Call& call, Cotangents cotangents, int i) {
                                                     return i == 0 ? cotangents[0]
                                                                   : gather_at(call, cotangents[0]);
                                                   }},
                       .on_complex = OnComplex::parts,
                       .flops = one_each_update});

// | `scatter_set` | $y_j = u_i$ of the last $i$ with $k_i = j$, else $x_j$ | $\dot y_j = \dot u_i$ of that
// $i$, else $\dot x_j$ | $\bar u_i = \bar y_{k_i}$ where $i$ is the last, else 0; $\bar x_j = \bar y_j$ where
// no $k_i = j$, else 0 |
Primitive scatter_set("scatter_set",
                      {.batching = batch_by_fields,
                       .attrs = IndexAttrs{},
                       .inputs = {3, kAnyNumber},
                       .check = check_indices<2>,
                       .infer = infer_scatter,
                       .derivative = LinearMap{.linear = kInput0 | kInput1,
                                               .reads = kIndices,
                                               .transpose =
                                                   [](const Call& call, Cotangents cotangents, int i) {
                                                     if (i == 1)
                                                       return tidu::where(last_ones(call),
                                                                          gather_at(call, cotangents[0]), 0);
                                                     const Tensor zero =
                                                         constant(0, cotangents[0], call.inputs[1].shape());
                                                     return scatter_at(scatter_set, cotangents[0], zero,
                                                                       call);
                                                   }},
                       .on_complex = OnComplex::parts,
                       .flops = no_flops});

// | `scatter_multiply` | $y_j = x_j \prod_{i: k_i = j} u_i$ | by the product rule | $\bar x_j = \bar y_j
// \prod_{i: k_i = j} u_i$, $\bar u_i = \bar y_{k_i} x_{k_i} \prod_{l \neq i: k_l = k_i} u_l$ |
Primitive scatter_multiply("scatter_multiply", {.batching = batch_by_fields,
                                                .attrs = IndexAttrs{},
                                                .inputs = {3, kAnyNumber},
                                                .check = check_indices<2>,
                                                .infer = infer_numeric_scatter,
                                                .derivative = product,
                                                .flops = one_each_update});
// | `scatter_min` | $y_j = \min(x_j, u_i: k_i = j)$ | $\dot y_j = s_j \dot x_j + \sum_{i: k_i = j} s_i \dot
// u_i$ | $\bar x_j = s_j \bar y_j$, $\bar u_i = s_i \bar y_{k_i}$; the $s$ share 1 equally among what is
// equal to $y_j$ |
Primitive scatter_min("scatter_min", {.batching = batch_by_fields,
                                      .attrs = IndexAttrs{},
                                      .inputs = {3, kAnyNumber},
                                      .check = check_indices<2>,
                                      .infer = infer_numeric_scatter,
                                      .derivative = extreme,
                                      .flops = one_each_update});
// | `scatter_max` | $y_j = \max(x_j, u_i: k_i = j)$ | $\dot y_j = s_j \dot x_j + \sum_{i: k_i = j} s_i \dot
// u_i$ | $\bar x_j = s_j \bar y_j$, $\bar u_i = s_i \bar y_{k_i}$; $s$ as in scatter_min |
Primitive scatter_max("scatter_max", {.batching = batch_by_fields,
                                      .attrs = IndexAttrs{},
                                      .inputs = {3, kAnyNumber},
                                      .check = check_indices<2>,
                                      .infer = infer_numeric_scatter,
                                      .derivative = extreme,
                                      .flops = one_each_update});

// | `nonzero` | no derivative: 0 | | |
Primitive nonzero("nonzero",
                  {.batching = batch_nonzero,
                   .attrs = CountAttrs{},
                   .check =
                       [](const SpecCall& call, size_t) {
                         require(call.attrs.as<CountAttrs>().count >= 0, call,
                                 "a negative number of elements");
                       },
                   .infer =
                       [](const SpecCall& call, std::span<Spec> outputs) {
                         outputs[0].shape = {call.inputs[0].shape.size(), call.attrs.as<CountAttrs>().count};
                         outputs[0].dtype = DType::int64;
                       },
                   .derivative = Zero{},
                   .flops = flops_per_input<1>});

}  // namespace primitives

namespace {

Tensor scatter(const Primitive& primitive, const Tensor& x, const Tensor& updates,
               std::span<const Tensor> indices, const IndexAttrs& attrs) {
  Few<Tensor, 4> inputs(2 + indices.size());
  inputs[0] = x;
  std::ranges::copy(indices, inputs.begin() + 2);
  make_indices(std::span(inputs).subspan(2), primitive.name);
  inputs[1] = broadcast_to(astype(updates, x.dtype()), picked_shape(attrs, x.shape(), inputs[2].shape()));
  return bind_one(primitive, inputs, attrs);
}

Tensor gathered(const Tensor& x, std::span<const Tensor> indices, const IndexAttrs& attrs) {
  Few<Tensor, 4> inputs(1 + indices.size());
  inputs[0] = x;
  std::ranges::copy(indices, inputs.begin() + 1);
  make_indices(std::span(inputs).subspan(1), "gather");
  return bind_one(primitives::gather, inputs, attrs);
}

IndexAttrs along_axis(const Tensor& x, int64_t axis, const char* op) {
  const int at = normalize_axis(axis, x.ndim(), op);
  return {{at}, {}, at};
}

// x and indices broadcast where they share axes, which are all but one.
struct Paired {
  Tensor x, indices;
  IndexAttrs attrs;
};
Paired pair(const Tensor& x, const Tensor& indices, int64_t axis, const char* op) {
  if (x.ndim() != indices.ndim())
    fail<ShapeError>("[", op, "] ", describe(x), " and ", describe(indices), " differ in rank");
  IndexAttrs attrs = along_axis(x, axis, op);
  Shape x_shape = x.shape(), index_shape = indices.shape();
  x_shape[attrs.at] = index_shape[attrs.at] = 1;
  x_shape = index_shape = broadcast_shapes(x_shape, index_shape, op);
  x_shape[attrs.at] = x.size(attrs.at);
  index_shape[attrs.at] = indices.size(attrs.at);
  for (int i = 0; i < x.ndim(); ++i) {
    if (i != attrs.at) attrs.batch.push_back(i);
  }
  return {broadcast_to(x, x_shape), broadcast_to(indices, index_shape), attrs};
}

}  // namespace

Tensor gather(const Tensor& x, const Tensors& indices, const IndexAttrs& attrs) {
  return gathered(x, indices, attrs);
}
Tensor scatter_set(const Tensor& x, const Tensor& updates, const Tensors& indices, const IndexAttrs& attrs) {
  return scatter(primitives::scatter_set, x, updates, indices, attrs);
}

Tensor take(const Tensor& x, const Tensor& indices, int64_t axis) {
  Tensor points = indices;
  make_indices({&points, 1}, "take");
  return bind(primitives::gather, {x, points}, along_axis(x, axis, "take"));
}
Tensor take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis) {
  const Paired paired = pair(x, indices, axis, "take_along_axis");
  return gathered(paired.x, {&paired.indices, 1}, paired.attrs);
}
Tensor put_along_axis(const Tensor& x, const Tensor& indices, const Tensor& values, int64_t axis) {
  const Paired paired = pair(x, indices, axis, "put_along_axis");
  return scatter(primitives::scatter_set, paired.x, values, {&paired.indices, 1}, paired.attrs);
}

Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis) {
  return scatter(primitives::scatter_add, x, updates, {&indices, 1}, along_axis(x, axis, "scatter_add"));
}
Tensor scatter_set(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis) {
  return scatter(primitives::scatter_set, x, updates, {&indices, 1}, along_axis(x, axis, "scatter_set"));
}
Tensor scatter_multiply(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis) {
  return scatter(primitives::scatter_multiply, x, updates, {&indices, 1},
                 along_axis(x, axis, "scatter_multiply"));
}
Tensor scatter_min(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis) {
  return scatter(primitives::scatter_min, x, updates, {&indices, 1}, along_axis(x, axis, "scatter_min"));
}
Tensor scatter_max(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis) {
  return scatter(primitives::scatter_max, x, updates, {&indices, 1}, along_axis(x, axis, "scatter_max"));
}

namespace {

// The part of x that indices of its rank reach on the other axes.
Tensor reached(const char* op, const Tensor& x, const Tensor& indices, int at) {
  Dims sizes = x.shape();
  bool fits = x.ndim() == indices.ndim();
  for (int i = 0; fits && i < x.ndim(); ++i) {
    if (i == at) continue;
    fits = indices.size(i) <= x.size(i);
    sizes[i] = indices.size(i);
  }
  if (!fits)
    fail<ShapeError>("[", op, "] indices ", describe(indices), " must have the rank of ", describe(x),
                     " and be no larger on other axes than ", at, " (take_along_axis broadcasts)");
  return slice(x, Dims(x.ndim(), 0), sizes, Dims(x.ndim(), 1));
}

// x with what scatter(part, updates) makes of its part that the indices reach.
template <class Scatter>
Tensor scatter_part(const char* op, const Tensor& x, int64_t axis, const Tensor& indices,
                    const Tensor& updates, const Scatter& scatter) {
  IndexAttrs attrs = along_axis(x, axis, op);
  for (int i = 0; i < x.ndim(); ++i) {
    if (i != attrs.at) attrs.batch.push_back(i);
  }
  const Tensor part = reached(op, x, indices, attrs.at);
  Tensor values = updates;
  if (updates.ndim() > 0) {
    bool fits = updates.ndim() == indices.ndim();
    for (int i = 0; fits && i < indices.ndim(); ++i) fits = indices.size(i) <= updates.size(i);
    if (!fits)
      fail<ShapeError>("[", op, "] ", describe(updates), " has no element for each index of ",
                       describe(indices));
    values = slice(updates, Dims(x.ndim(), 0), indices.shape(), Dims(x.ndim(), 1));
  }
  const Tensor result = scatter(part, values, attrs);
  if (part.shape() == x.shape()) return result;
  return slice_update(x, result, Dims(x.ndim(), 0), Dims(x.ndim(), 1));
}

// What a combination of nothing is: for extremes what every number is beyond.
Scalar of_nothing(Combining how, DType dtype) {
  if (how == Combining::prod) return 1;
  if (how != Combining::amax && how != Combining::amin) return 0;
  const bool least = how == Combining::amax;
  return visit_dtype(dtype, [&]<class T>() -> Scalar {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      return least ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
    } else {
      return least ? -INFINITY : INFINITY;
    }
  });
}

const Primitive& primitive_of(Combining how) {
  switch (how) {
    case Combining::prod: return primitives::scatter_multiply;
    case Combining::amax: return primitives::scatter_max;
    case Combining::amin: return primitives::scatter_min;
    default: return primitives::scatter_add;
  }
}

// x combined with the updates at the places that each index tensor names.
Tensor combined(const Tensor& x, const Tensor& updates, const Tensor& indices, const IndexAttrs& attrs,
                Combining how, bool include_self) {
  const Tensor one = full({}, 1, DType::int64, x.device());
  const auto count = [&](bool self) {
    return scatter(primitives::scatter_add, full(x.shape(), self ? 1 : 0, DType::int64, x.device()), one,
                   {&indices, 1}, attrs);
  };
  Tensor base = x;
  if (!include_self) base = where(count(false) > 0, of_nothing(how, x.dtype()), x);
  base = astype(base, x.dtype());
  if (how != Combining::mean) return scatter(primitive_of(how), base, updates, {&indices, 1}, attrs);
  const Tensor sum = scatter(primitives::scatter_add, widened(base), updates, {&indices, 1}, attrs);
  const Tensor divisor = astype(maximum(count(include_self), 1), sum.dtype());
  return astype(is_inexact(sum.dtype()) ? sum / divisor : floor_divide(sum, divisor), x.dtype());
}

}  // namespace

Tensor gather(const Tensor& x, int64_t axis, const Tensor& indices) {
  const int at = normalize_axis(axis, x.ndim(), "gather");
  return take_along_axis(reached("gather", x, indices, at), indices, at);
}

Tensor scatter(const Tensor& x, int64_t axis, const Tensor& indices, const Tensor& updates) {
  return scatter_part("scatter", x, axis, indices, updates,
                      [&](const Tensor& part, const Tensor& values, const IndexAttrs& attrs) {
                        return scatter_set(part, values, {indices}, attrs);
                      });
}

Tensor scatter_reduce(const Tensor& x, int64_t axis, const Tensor& indices, const Tensor& updates,
                      Combining how, bool include_self) {
  return scatter_part("scatter_reduce", x, axis, indices, updates,
                      [&](const Tensor& part, const Tensor& values, const IndexAttrs& attrs) {
                        return combined(part, values, indices, attrs, how, include_self);
                      });
}

Tensor segment(const Tensor& x, const Tensor& given, Combining how, std::optional<int64_t> count) {
  if (given.ndim() != 1 || x.ndim() == 0 || x.size(0) != given.numel())
    fail<ShapeError>("[segment] ", describe(given), " does not name a segment for each slice of ",
                     describe(x));
  if (!count)
    count =
        given.numel() == 0 ? 0 : std::max<int64_t>(1 + std::min(item<int64_t>(max(given)), INT64_MAX - 1), 0);
  if (*count < 0) fail<ValueError>("[segment] the number of segments, ", *count, ", is negative");
  const Tensor segments = checked_indices(given, *count, "segment");
  Shape shape = x.shape();
  shape[0] = *count;
  const IndexAttrs attrs = along_axis(x, 0, "segment");
  const bool is_mean = how == Combining::mean;
  if (is_mean && !is_inexact(x.dtype()))
    return astype(segment(for_intermediates(x), segments, how, count), kDefaultFloat);
  const Tensor values = is_mean ? widened(x) : x;
  const Tensor base = full(shape, of_nothing(how, x.dtype()), values.dtype(), x.device());
  const Tensor result = scatter(primitive_of(how), base, values, {&segments, 1}, attrs);
  if (!is_mean) return result;
  const Tensor none = zeros({*count}, DType::int64, x.device());
  Shape each(x.ndim(), 1);
  each[0] = *count;
  const Tensor counts = scatter_add(none, segments, ones({}, DType::int64, x.device()), 0);
  return astype(result / astype(reshape(counts, each), values.dtype()), x.dtype());
}

Tensor is_class(const Tensor& indices, int64_t classes) {
  return expand_dims(astype(indices, DType::int64), -1) == arange(classes, DType::int64, indices.device());
}

Tensors unravel_index(const Tensor& indices, const Shape& shape) {
  Tensor rest = checked_indices(indices, num_elements(shape), "unravel_index");
  Tensors coordinates(static_cast<size_t>(shape.size()));
  for (int i = shape.size(); i-- > 0; rest = floor_divide(rest, shape[i]))
    coordinates[static_cast<size_t>(i)] = remainder(rest, shape[i]);
  return coordinates;
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  if (mask.dtype() != DType::bool_)
    fail<DTypeError>("[masked_select] the mask is bool, not ", describe(mask),
                     " (compare it with something)");
  const Shape shape = broadcast_shapes(x.shape(), mask.shape(), "masked_select");
  const Tensor places = nonzero(flatten(broadcast_to(mask, shape)))[0];
  return take(flatten(broadcast_to(x, shape)), places, 0);
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value) {
  if (mask.dtype() != DType::bool_)
    fail<DTypeError>("[masked_fill] the mask is bool, not ", describe(mask), " (compare it with something)");
  if (value.ndim() > 0)
    fail<ShapeError>("[masked_fill] the value has shape (), not ", describe(value), " (use where)");
  return where(mask, astype(value, x.dtype()), x);
}

Tensors nonzero(const Tensor& x) {
  const Tensor mask = astype(x, DType::bool_);
  const int64_t count = item<int64_t>(sum(mask));
  const Tensor coordinates = bind(primitives::nonzero, {mask}, CountAttrs{count});
  Tensors result(static_cast<size_t>(mask.ndim()));
  for (size_t axis = 0; axis < result.size(); ++axis)
    result[axis] = select(coordinates, 0, static_cast<int64_t>(axis));
  return result;
}

}  // namespace tidu
