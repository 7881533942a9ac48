// Views, and what puts tensors together.
#include "ops/shape.h"

#include <algorithm>

#include "base/few.h"
#include "core/bind.h"
#include "core/trace.h"
#include "ops/arrange.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "program/overwritten.h"

namespace tidu {
namespace {

// The strides with which `x` can be seen in another shape of as many elements, if it can.
std::optional<Strides> strides_for(const Tensor& x, const Shape& shape) {
  if (x.is_contiguous()) return contiguous_strides(shape);
  Dims extents, spacing;  // x without its dimensions of extent 1, whose strides mean nothing
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) == 1) continue;
    extents.push_back(x.size(i));
    spacing.push_back(x.strides()[i]);
  }
  Strides strides(shape.size(), 1);
  int old = 0;
  for (int i = 0; i < shape.size() && old < extents.size();) {
    // Groups of old and new dimensions with the same product must each be evenly spaced in memory.
    int last = i + 1, old_last = old + 1;
    int64_t count = shape[i], old_count = extents[old];
    while (count != old_count) {
      if (count < old_count) {
        count *= shape[last++];
      } else {
        old_count *= extents[old_last++];
      }
    }
    for (int k = old; k + 1 < old_last; ++k) {
      if (spacing[k] != extents[k + 1] * spacing[k + 1]) return std::nullopt;
    }
    int64_t stride = spacing[old_last - 1];
    for (int k = last - 1; k >= i; --k) {
      strides[k] = stride;
      stride *= shape[k];
    }
    old = old_last;
    i = last;
  }
  return strides;
}

Tensor identity(const Call& call) {
  const Tensor& x = call.inputs[0];
  return x.view(x.shape(), x.strides(), x.impl().offset);
}

void infer_same(const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; }

Axes inverse(const Axes& axes) {
  Axes result(axes.size(), 0);
  for (int i = 0; i < axes.size(); ++i) result[static_cast<int>(axes[i])] = i;
  return result;
}

Tensor zeros_of(const Tensor& like, const Shape& shape) {
  return broadcast_to(zeros({}, like.dtype(), like.device()), shape);
}

void check_dtypes(const SpecCall& call) {
  const Spec &x = call.inputs[0], &update = call.inputs[1];
  if (x.dtype != update.dtype)
    fail<DTypeError>("[", call.primitive.name, "] dtypes differ: ", x, " and ", update);
}

// Calls visit(axis of the input, or -1 for a new one) for each axis of what is left.
template <class Visit> void visit_kept(int ndim, const Axes& dropped, const Axes& added, Visit&& visit) {
  int place = 0;
  const auto visit_added = [&] {
    for (; added.contains(place); ++place) visit(-1);
  };
  for (int i = 0; i < ndim; ++i) {
    if (dropped.contains(i)) continue;
    visit_added();
    visit(i);
    ++place;
  }
  visit_added();
}

void check_reshape(const SpecCall& call, size_t) {
  require(num_elements(call.attrs.as<ShapeAttrs>().shape) == num_elements(call.inputs[0].shape), call,
          "the shape has another number of elements");
}
bool can_broadcast(const Shape& x, const Shape& shape) {
  bool possible = x.size() <= shape.size();
  for (int i = 1; possible && i <= x.size(); ++i) {
    const int64_t extent = x[x.size() - i];
    possible = extent == shape[shape.size() - i] || extent == 1;
  }
  return possible;
}
void check_broadcast(const SpecCall& call, size_t) {
  require(can_broadcast(call.inputs[0].shape, call.attrs.as<ShapeAttrs>().shape), call,
          "it cannot be broadcast to that shape");
}
void check_concat(const SpecCall& call, size_t) {
  const Spec& first = call.inputs[0];
  const int axis = call.attrs.as<AxisAttrs>().axis;
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    Shape shape = call.inputs[i].shape;
    const bool has_axis = shape.size() == first.shape.size() && call.inputs[i].dtype == first.dtype;
    if (has_axis) shape[axis] = first.shape[axis];
    require(has_axis && shape == first.shape, call, "the shapes differ elsewhere than along the axis");
  }
}
void check_update(const SpecCall& call, size_t) {
  require(call.inputs[1].shape == call.attrs.as<SliceAttrs>().sizes, call,
          "the update does not have the shape of the slice");
}
// The axes that go have extent 1, and those that come have a place.
bool can_show(const Shape& shape, const SliceViewAttrs& attrs) {
  const auto& [part, dropped, added] = attrs;
  const int ndim = shape.size() - dropped.size() + added.size();
  const auto is_single = [&, &sizes = part.sizes](int64_t i) {
    return i >= 0 && i < shape.size() && sizes[static_cast<int>(i)] == 1;
  };
  const auto is_place = [&](int64_t i) { return i >= 0 && i < ndim; };
  return std::ranges::all_of(dropped, is_single) && std::ranges::all_of(added, is_place);
}
void check_slice_view(const SpecCall& call, size_t) {
  require(can_show(call.inputs[0].shape, call.attrs.as<SliceViewAttrs>()), call,
          "its axes cannot be dropped and added");
}

// The axis of lanes stays in front of those that broadcasting adds.
Tensors batch_broadcast(const BatchedCall& batched) {
  const Tensor& x = batched.call.inputs[0];
  const Shape& lane = batched.call.attrs.as<ShapeAttrs>().shape;
  Shape aligned(lane.size() + 1, 1), shape = lane;
  aligned[0] = batched.size;
  for (int i = 1; i < x.ndim(); ++i) aligned[aligned.size() - i] = x.size(-i);
  shape.insert(0, batched.size);
  return {broadcast_to(reshape(x, aligned), shape)};
}

}  // namespace

void check_slice(const Shape& shape, const SliceAttrs& attrs, const char* op) {
  const bool ranks = attrs.starts.size() == shape.size() && attrs.sizes.size() == shape.size() &&
                     attrs.steps.size() == shape.size();
  bool inside = ranks;
  for (int i = 0; inside && i < shape.size(); ++i) {
    const int64_t start = attrs.starts[i], size = attrs.sizes[i], step = attrs.steps[i];
    int64_t last = 0;
    const bool far =
        __builtin_mul_overflow(size - 1, step, &last) || __builtin_add_overflow(start, last, &last);
    inside =
        size == 0 || (size > 0 && start >= 0 && start < shape[i] && !far && last >= 0 && last < shape[i]);
    inside &= step != 0;
  }
  if (!inside) {
    fail<IndexError>("[", op, "] slice with starts ", attrs.starts, ", sizes ", attrs.sizes, ", steps ",
                     attrs.steps, " is not inside shape ", shape);
  }
}

Tensor slice_view(const Tensor& x, const SliceAttrs& attrs, const Axes& dropped, const Axes& added) {
  Shape shape;
  Strides strides;
  int64_t offset = x.impl().offset;
  for (int i = 0; i < x.ndim(); ++i) {
    if (attrs.sizes[i] > 0) offset += attrs.starts[i] * x.strides()[i];
  }
  visit_kept(x.ndim(), dropped, added, [&](int i) {
    shape.push_back(i < 0 ? 1 : attrs.sizes[i]);
    // The step along an axis of one element may be any.
    strides.push_back(i < 0 ? 1 : x.strides()[i] * (attrs.sizes[i] > 1 ? attrs.steps[i] : 1));
  });
  return x.view(shape, strides, offset);
}

namespace primitives {

// | `reshape` | the elements of $x$ in another shape | $\dot x$, reshaped | $\bar y$ in the shape of $x$ |
Primitive reshape("reshape", {.batching = batch_by_fields,
                              .attrs = ShapeAttrs{},
                              .check = check_reshape,
                              .infer =
                                  [](const SpecCall& call, std::span<Spec> outputs) {
                                    const Spec& x = call.inputs[0];
                                    outputs[0] = {call.attrs.as<ShapeAttrs>().shape, x.dtype, x.device};
                                  },
                              .derivative = LinearMap{.transpose =
                                                          [](const Call& call, Cotangents cotangents, int) {
                                                            return tidu::reshape(cotangents[0],
                                                                                 call.inputs[0].shape());
                                                          }},
                              .view =
                                  [](const Call& call) {
                                    const Tensor& x = call.inputs[0];
                                    const Shape& shape = call.attrs.as<ShapeAttrs>().shape;
                                    if (const auto strides = strides_for(x, shape))
                                      return x.view(shape, *strides, x.impl().offset);
                                    const VisibleTraces none(nullptr);
                                    return tidu::copy(x).view(shape, contiguous_strides(shape), 0);
                                  },
                              .update_view =
                                  [](const Call& call, const Tensor& value) {
                                    return tidu::reshape(value, call.inputs[0].shape());
                                  },
                              .view_may_copy = true});

// | `permute_dims` | the axes of $x$ in another order | $\dot x$, permuted | $\bar y$, permuted back |
Primitive permute_dims("permute_dims",
                       {.batching = batch_by_fields,
                        .attrs = PermuteAttrs{},
                        .infer =
                            [](const SpecCall& call, std::span<Spec> outputs) {
                              const Spec& x = call.inputs[0];
                              outputs[0] = {{}, x.dtype, x.device};
                              for (int64_t axis : call.attrs.as<PermuteAttrs>().axes)
                                outputs[0].shape.push_back(x.shape[static_cast<int>(axis)]);
                            },
                        .derivative = LinearMap{.transpose =
                                                    [](const Call& call, Cotangents cotangents, int) {
                                                      return tidu::permute_dims(
                                                          cotangents[0],
                                                          inverse(call.attrs.as<PermuteAttrs>().axes));
                                                    }},
                        .view =
                            [](const Call& call) {
                              const Tensor& x = call.inputs[0];
                              Shape shape;
                              Strides strides;
                              for (int64_t axis : call.attrs.as<PermuteAttrs>().axes) {
                                shape.push_back(x.size(static_cast<int>(axis)));
                                strides.push_back(x.strides()[static_cast<int>(axis)]);
                              }
                              return x.view(shape, strides, x.impl().offset);
                            },
                        .update_view =
                            [](const Call& call, const Tensor& value) {
                              return tidu::permute_dims(value, inverse(call.attrs.as<PermuteAttrs>().axes));
                            }});

// | `broadcast_to` | $x$, repeated | $\dot x$, repeated | $\bar y$, summed over what was repeated |
Primitive broadcast_to(
    "broadcast_to",
    {.batching = batch_broadcast,
     .attrs = ShapeAttrs{},
     .check = check_broadcast,
     .infer =
         [](const SpecCall& call, std::span<Spec> outputs) {
           const Spec& x = call.inputs[0];
           outputs[0] = {call.attrs.as<ShapeAttrs>().shape, x.dtype, x.device};
         },
     .derivative = LinearMap{.transpose = [](const Call& call, Cotangents cotangents,
                                             int) { return sum_to(cotangents[0], call.inputs[0].shape()); }},
     .view =
         [](const Call& call) {
           const Tensor& x = call.inputs[0];
           const Shape& shape = call.attrs.as<ShapeAttrs>().shape;
           Strides strides(shape.size(), 0);
           const int added = shape.size() - x.ndim();
           for (int i = 0; i < x.ndim(); ++i)
             strides[added + i] = x.shape()[i] == shape[added + i] ? x.strides()[i] : 0;
           return x.view(shape, strides, x.impl().offset);
         },
     .update_view =
         [](const Call& call, const Tensor& value) {
           const Tensor& x = call.inputs[0];
           if (x.numel() != value.numel()) {
             fail<ValueError>("[assign] into a view of ", describe(value), ", which repeats the elements of ",
                              describe(x), ": in recorded code one is not written through another (write to ",
                              "what was broadcast, or to a copy)");
           }
           return tidu::reshape(value, x.shape());
         }});

// | `slice` | a part of $x$ | that part of $\dot x$ | $\bar y$ in that part of zeros |
Primitive slice("slice",
                {.batching = batch_by_fields,
                 .attrs = SliceViewAttrs{},
                 .check = check_slice_view,
                 .infer =
                     [](const SpecCall& call, std::span<Spec> outputs) {
                       const Spec& x = call.inputs[0];
                       const auto& [part, dropped, added] = call.attrs.as<SliceViewAttrs>();
                       check_slice(x.shape, part, "slice");
                       Shape& shape = outputs[0].shape;
                       visit_kept(x.shape.size(), dropped, added,
                                  [&, &sizes = part.sizes](int i) { shape.push_back(i < 0 ? 1 : sizes[i]); });
                       outputs[0].dtype = x.dtype;
                     },
                 .derivative = LinearMap{.transpose =
                                             [](const Call& call, Cotangents cotangents, int) {
                                               const SliceAttrs& part = call.attrs.as<SliceViewAttrs>().part;
                                               return tidu::slice_update(
                                                   zeros_of(cotangents[0], call.inputs[0].shape()),
                                                   tidu::reshape(cotangents[0], part.sizes), part.starts,
                                                   part.steps);
                                             }},
                 .view =
                     [](const Call& call) {
                       const auto& [part, dropped, added] = call.attrs.as<SliceViewAttrs>();
                       return slice_view(call.inputs[0], part, dropped, added);
                     },
                 .update_view =
                     [](const Call& call, const Tensor& value) {
                       const SliceAttrs& part = call.attrs.as<SliceViewAttrs>().part;
                       return tidu::slice_update(call.inputs[0], tidu::reshape(value, part.sizes),
                                                 part.starts, part.steps);
                     }});

// | `alias` | $y = x$ | $\dot y = \dot x$ | $\bar x = \bar y$ |
Primitive alias("alias", {.batching = batch_by_fields,
                          .attrs = kNoAttrs,
                          .infer = infer_same,
                          .derivative = LinearMap{.transpose = [](const Call&, Cotangents cotangents,
                                                                  int) { return cotangents[0]; }},
                          .view = identity,
                          .update_view = [](const Call&, const Tensor& value) { return value; },
                          .pointwise = true});

// | `stop_gradient` | $y = x$ | $\dot y = 0$ | $\bar x = 0$ |
Primitive stop_gradient("stop_gradient",
                        {.batching = batch_by_fields,
                         .attrs = kNoAttrs,
                         .infer = infer_same,
                         .derivative = Zero{},
                         .view = identity,
                         .update_view = [](const Call&, const Tensor& value) { return value; },
                         .pointwise = true});

// | `overwritten` | $y = x$, written under `no_grad` over $b$ | $\dot y = \dot b$ | $\bar x = 0$, $\bar b =
// \bar y$ |
Primitive overwritten("overwritten", {.batching = batch_by_fields,
                                      .attrs = kNoAttrs,
                                      .inputs = 2,
                                      .infer =
                                          [](const SpecCall& call, std::span<Spec> outputs) {
                                            require(call.inputs[0] == call.inputs[1], call,
                                                    "its inputs differ");
                                            outputs[0] = call.inputs[0];
                                          },
                                      .derivative = Elementwise{{Partial{}, Partial{Partial::one}}},
                                      .view = identity,
                                      .update_view = [](const Call&, const Tensor& value) { return value; }});

// | `concat` | $x_1, x_2, \dots$ in a row | $\dot x_1, \dot x_2, \dots$ in a row | $\bar x_i$: its part of
// $\bar y$ |
Primitive concat("concat", {.batching = batch_by_fields,
                            .attrs = AxisAttrs{},
                            .inputs = {1, kAnyNumber},
                            .check = check_concat,
                            .infer =
                                [](const SpecCall& call, std::span<Spec> outputs) {
                                  const int axis = call.attrs.as<AxisAttrs>().axis;
                                  outputs[0] = call.inputs[0];
                                  int64_t& extent = outputs[0].shape[axis] = 0;
                                  for (size_t i = 0; i < call.inputs.size(); ++i) {
                                    if (__builtin_add_overflow(extent, call.inputs[i].shape[axis], &extent))
                                      fail<ShapeError>("[concat] the extents along axis ", axis,
                                                       " add up to over 2^63");
                                  }
                                },
                            .derivative = LinearMap{.linear = kAllInputs,
                                                    .transpose =
                                                        [](const Call& call, Cotangents cotangents, int i) {
                                                          const int axis = call.attrs.as<AxisAttrs>().axis;
                                                          int64_t start = 0;
                                                          for (int k = 0; k < i; ++k)
                                                            start += call.inputs[k].size(axis);
                                                          return slice_axis(
                                                              cotangents[0], axis, start,
                                                              start + call.inputs[i].size(axis));
                                                        }},
                            .on_complex = OnComplex::native,
                            .flops = no_flops});

// | `slice_update` | $x$, but $u$ in a part | $\dot x$, but $\dot u$ in that part | $\bar x$: $\bar y$, but 0
// in that part; $\bar u$: that part of $\bar y$ |
Primitive slice_update("slice_update",
                       {.batching = batch_by_fields,
                        .attrs = SliceAttrs{},
                        .inputs = 2,
                        .check = check_update,
                        .infer =
                            [](const SpecCall& call, std::span<Spec> outputs) {
                              check_dtypes(call);
                              check_slice(call.inputs[0].shape, call.attrs.as<SliceAttrs>(), "slice_update");
                              outputs[0] = call.inputs[0];
                            },
                        .derivative = LinearMap{.linear = kInput0 | kInput1,
                                                .transpose =
                                                    [](const Call& call, Cotangents cotangents, int i) {
                                                      const auto& attrs = call.attrs.as<SliceAttrs>();
                                                      if (i == 1)
                                                        return tidu::slice(cotangents[0], attrs.starts,
                                                                           attrs.sizes, attrs.steps);
                                                      return tidu::slice_update(
                                                          cotangents[0], zeros_of(cotangents[0], attrs.sizes),
                                                          attrs.starts, attrs.steps);
                                                    }},
                        .on_complex = OnComplex::native,
                        .flops = no_flops});

}  // namespace primitives

namespace {}  // namespace

Tensor reshape(const Tensor& x, const Shape& requested) {
  Shape shape = requested;
  if (const auto free = std::ranges::find(shape, -1); free != shape.end()) {
    *free = 1;
    const bool is_one_free = std::ranges::none_of(shape, [](int64_t size) { return size < 0; });
    const int64_t rest = is_one_free ? num_elements(shape) : 0;
    if (rest == 0 || x.numel() % rest != 0)
      fail<ShapeError>("[reshape] ", describe(x), " with ", x.numel(), " elements cannot take shape ",
                       requested);
    *free = x.numel() / rest;
  }
  if (num_elements(shape) != x.numel()) {
    fail<ShapeError>("[reshape] ", describe(x), " with ", x.numel(), " elements cannot take shape ",
                     requested, " with ", num_elements(shape));
  }
  return shape == x.shape() ? x : bind(primitives::reshape, {x}, ShapeAttrs{shape});
}

Tensor flatten(const Tensor& x) { return reshape(x, {x.numel()}); }

Tensor permute_dims(const Tensor& x, const Axes& axes) {
  Axes order;
  for (int64_t axis : axes) order.push_back(normalize_axis(axis, x.ndim(), "permute_dims"));
  Axes sorted = order;
  std::sort(sorted.begin(), sorted.end());
  const Axes all = all_axes(x.ndim());
  if (!(sorted == all))
    fail<ValueError>("[permute_dims] axes ", axes, " are not a permutation of the ", x.ndim(), " axes of ",
                     describe(x));
  return order == all ? x : bind(primitives::permute_dims, {x}, PermuteAttrs{order});
}

Tensor swapaxes(const Tensor& x, int64_t a, int64_t b) {
  Axes axes = all_axes(x.ndim());
  std::swap(axes[normalize_axis(a, x.ndim(), "swapaxes")], axes[normalize_axis(b, x.ndim(), "swapaxes")]);
  return permute_dims(x, axes);
}

Tensor moveaxis(const Tensor& x, int64_t from, int64_t to) {
  const int source = normalize_axis(from, x.ndim(), "moveaxis"),
            target = normalize_axis(to, x.ndim(), "moveaxis");
  Axes axes = all_axes(x.ndim());
  axes.erase(source);
  axes.insert(target, source);
  return permute_dims(x, axes);
}

Tensor matrix_transpose(const Tensor& x) {
  if (x.ndim() < 2) fail<ShapeError>("[matrix_transpose] needs at least 2 dimensions, not ", describe(x));
  return swapaxes(x, -2, -1);
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (!can_broadcast(x.shape(), shape))
    fail<ShapeError>("[broadcast_to] ", describe(x), " cannot be broadcast to ", shape);
  return bind(primitives::broadcast_to, {x}, ShapeAttrs{shape});
}

Tensor expand_dims(const Tensor& x, int64_t axis) {
  Shape shape = x.shape();
  shape.insert(normalize_axis(axis, x.ndim() + 1, "expand_dims"), 1);
  return reshape(x, shape);
}

Tensor squeeze(const Tensor& x, const Axes& axes) {
  const Axes gone = normalize_axes(axes, x.ndim(), "squeeze");
  Shape shape;
  for (int i = 0; i < x.ndim(); ++i) {
    if (!gone.contains(i)) {
      shape.push_back(x.size(i));
    } else if (x.size(i) != 1) {
      fail<ShapeError>("[squeeze] axis ", i, " of ", describe(x), " has extent ", x.size(i), ", not 1");
    }
  }
  return reshape(x, shape);
}

Tensor slice(const Tensor& x, const Dims& starts, const Dims& sizes, const Dims& steps, const Axes& dropped,
             const Axes& added) {
  return slice(x, SliceViewAttrs{{starts, sizes, steps}, dropped, added});
}

Tensor slice(const Tensor& x, const SliceViewAttrs& attrs) {
  const auto& [part, dropped, added] = attrs;
  check_slice(x.shape(), part, "slice");
  if (!can_show(x.shape(), attrs)) {
    fail<IndexError>("[slice] of sizes ", part.sizes, " the axes ", dropped, " cannot be dropped and ", added,
                     " added");
  }
  return bind(primitives::slice, {x}, attrs);
}

Tensor slice_axis(const Tensor& x, int64_t axis_, std::optional<int64_t> start, std::optional<int64_t> stop,
                  int64_t step) {
  const int axis = normalize_axis(axis_, x.ndim(), "slice");
  if (step == 0) fail<ValueError>("[slice] the step must not be 0");
  const int64_t extent = x.size(axis), low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
  const auto bound = [&](std::optional<int64_t> value, int64_t otherwise) {
    return value ? std::clamp(*value < 0 ? *value + extent : *value, low, high) : otherwise;
  };
  const int64_t first = bound(start, step > 0 ? low : high), last = bound(stop, step > 0 ? high : low);
  // Written so that no step, however large, overflows.
  const int64_t count =
      (step > 0 ? last > first : last < first) ? (last - first - (step > 0 ? 1 : -1)) / step + 1 : 0;
  Dims starts(x.ndim(), 0), sizes = x.shape(), steps(x.ndim(), 1);
  starts[axis] = first;
  sizes[axis] = count;
  steps[axis] = step;
  return slice(x, starts, sizes, steps);
}

Tensor select(const Tensor& x, int64_t axis_, int64_t i) {
  const int axis = normalize_axis(axis_, x.ndim(), "select");
  const int64_t extent = x.size(axis);
  if (i < -extent || i >= extent)
    fail<IndexError>("[select] index ", i, " is out of range for axis ", axis, " of ", describe(x));
  const int64_t place = i < 0 ? i + extent : i;
  if (!is_seen(x)) {  // then a view is all that a call would make
    Shape shape = x.shape();
    Strides strides = x.strides();
    shape.erase(axis), strides.erase(axis);
    return x.view(shape, strides, x.impl().offset + place * x.strides()[axis]);
  }
  SliceViewAttrs attrs{{attr::Starts(x.ndim(), 0), x.shape(), attr::Steps(x.ndim(), 1)}, {axis}, {}};
  attrs.part.starts[axis] = place;
  attrs.part.sizes[axis] = 1;
  return bind(primitives::slice, {x}, attrs);  // inside, as was looked at
}

const Tensor Tensor::operator[](int64_t i) const { return select(*this, 0, i); }

Tensor flip(const Tensor& x, const Axes& axes) {
  Dims starts(x.ndim(), 0), steps(x.ndim(), 1);
  for (int64_t axis : normalize_axes(axes, x.ndim(), "flip")) {
    const int i = static_cast<int>(axis);
    starts[i] = std::max<int64_t>(x.size(i) - 1, 0);
    steps[i] = -1;
  }
  return slice(x, starts, x.shape(), steps);
}

Tensor slice_update(const Tensor& x, const Tensor& update, const Dims& starts, const Dims& steps) {
  return bind(primitives::slice_update, {x, update}, SliceAttrs{starts, update.shape(), steps});
}

Tensor concat(std::span<const Tensor> tensors, int64_t axis_) {
  if (tensors.empty()) fail<ValueError>("[concat] needs at least one tensor");
  const Tensor& first = tensors[0];
  if (first.ndim() == 0) fail<ShapeError>("[concat] 0-d tensors cannot be concatenated (use stack)");
  const int axis = normalize_axis(axis_, first.ndim(), "concat");
  DType dtype = first.dtype();
  for (const Tensor& tensor : tensors) {
    dtype = promote(dtype, tensor.dtype());
    bool fits = tensor.ndim() == first.ndim();
    for (int i = 0; fits && i < first.ndim(); ++i) fits = i == axis || tensor.size(i) == first.size(i);
    if (!fits)
      fail<ShapeError>("[concat] shapes ", first.shape(), " and ", tensor.shape(),
                       " differ elsewhere than along axis ", axis);
  }
  const bool alike = std::ranges::all_of(tensors, [&](const Tensor& x) { return x.dtype() == dtype; });
  Few<Tensor, 4> converted(alike ? 0 : tensors.size());
  for (size_t i = 0; i < converted.size(); ++i) converted[i] = astype(tensors[i], dtype);
  const AxisAttrs attrs{axis};
  Attrs::OnStack<AxisAttrs> on_stack(attrs);
  Tensor output;
  bind(primitives::concat, alike ? tensors : std::span<const Tensor>(converted), on_stack.attrs(),
       {&output, 1});
  return output;
}
Tensor concat(std::initializer_list<Tensor> tensors, int64_t axis) {
  return concat(std::span(tensors.begin(), tensors.size()), axis);
}

Tensor stack(std::span<const Tensor> tensors, int64_t axis) {
  if (tensors.empty()) fail<ValueError>("[stack] needs at least one tensor");
  const int at = normalize_axis(axis, tensors[0].ndim() + 1, "stack");
  Few<Tensor, 4> expanded(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].shape() != tensors[0].shape())
      fail<ShapeError>("[stack] shapes differ: ", tensors[0].shape(), " and ", tensors[i].shape());
    expanded[i] = expand_dims(tensors[i], at);
  }
  return concat(expanded, at);
}
Tensor stack(std::initializer_list<Tensor> tensors, int64_t axis) {
  return stack(std::span(tensors.begin(), tensors.size()), axis);
}

Tensors split(const Tensor& x, const Dims& sizes, int64_t axis) {
  return split(x, std::span<const int64_t>(sizes), axis);
}

Tensor pad(const Tensor& x, const Dims& low, const Dims& high) {
  if (low.size() != x.ndim() || high.size() != x.ndim())
    fail<ShapeError>("[pad] ", low, " and ", high, " must name each axis of ", describe(x));
  Shape shape = x.shape();
  for (int i = 0; i < x.ndim(); ++i) {
    if (low[i] < 0 || high[i] < 0) fail<ValueError>("[pad] widths must not be negative: ", low, ", ", high);
    if (__builtin_add_overflow(shape[i], low[i], &shape[i]) ||
        __builtin_add_overflow(shape[i], high[i], &shape[i]))
      fail<ShapeError>("[pad] axis ", i, " of ", describe(x), " would have more than 2^63 elements");
  }
  const Tensor zero = broadcast_to(zeros({}, x.dtype(), x.device()), shape);
  return slice_update(zero, x, low, Dims(x.ndim(), 1));
}

Tensor alias(const Tensor& x) { return bind(primitives::alias, {x}); }
Tensor stop_gradient(const Tensor& x) { return bind(primitives::stop_gradient, {x}); }

}  // namespace tidu
