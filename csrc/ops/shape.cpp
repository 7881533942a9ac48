// Changing shape, layout, dtype and device.
#include "ops/shape.h"

#include <algorithm>
#include <numeric>

#include "core/backend.h"
#include "core/bind.h"
#include "core/trace.h"
#include "ops/creation.h"
#include "ops/reduce.h"

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

Tensor pass_through(const Call&, const Tensor& cotangent, int) { return cotangent; }

Axes inverse(const Axes& axes) {
  Axes result(axes.size(), 0);
  for (int i = 0; i < axes.size(); ++i) result[static_cast<int>(axes[i])] = i;
  return result;
}

Tensor slice_view(const Tensor& x, const SliceAttrs& attrs) {
  Strides strides = x.strides();
  int64_t offset = x.impl().offset;
  for (int i = 0; i < x.ndim(); ++i) {
    if (attrs.sizes[i] > 0) offset += attrs.starts[i] * strides[i];
    strides[i] *= attrs.steps[i];
  }
  return x.view(attrs.sizes, strides, offset);
}

void check_slice(const Shape& shape, const SliceAttrs& attrs, const char* op) {
  const bool ranks = attrs.starts.size() == shape.size() && attrs.sizes.size() == shape.size() &&
                     attrs.steps.size() == shape.size();
  bool inside = ranks;
  for (int i = 0; inside && i < shape.size(); ++i) {
    const int64_t last = attrs.starts[i] + (attrs.sizes[i] - 1) * attrs.steps[i];
    inside = attrs.sizes[i] == 0 || (attrs.sizes[i] > 0 && attrs.starts[i] >= 0 &&
                                     attrs.starts[i] < shape[i] && last >= 0 && last < shape[i]);
    inside &= attrs.steps[i] != 0;
  }
  if (!inside) {
    fail<IndexError>("[", op, "] slice with starts ", attrs.starts, ", sizes ", attrs.sizes, ", steps ",
                     attrs.steps, " is not inside shape ", shape);
  }
}

}  // namespace

namespace primitives {

Primitive reshape(
    "reshape",
    [](const Call& call) {
      const Tensor& x = call.inputs[0];
      const Shape& shape = call.attrs.as<ShapeAttrs>().shape;
      return x.view(shape, *strides_for(x, shape), x.impl().offset);
    },
    Linear{.transpose = [](const Call& call, const Tensor& cotangent, int) {
      return tidu::reshape(cotangent, call.inputs[0].shape());
    }});

Primitive permute_dims(
    "permute_dims",
    [](const Call& call) {
      const Tensor& x = call.inputs[0];
      const Axes& axes = call.attrs.as<AxesAttrs>().axes;
      Shape shape;
      Strides strides;
      for (int64_t axis : axes) {
        shape.push_back(x.shape()[static_cast<int>(axis)]);
        strides.push_back(x.strides()[static_cast<int>(axis)]);
      }
      return x.view(shape, strides, x.impl().offset);
    },
    Linear{.transpose = [](const Call& call, const Tensor& cotangent, int) {
      return tidu::permute_dims(cotangent, inverse(call.attrs.as<AxesAttrs>().axes));
    }});

Primitive broadcast_to(
    "broadcast_to",
    [](const Call& call) {
      const Tensor& x = call.inputs[0];
      const Shape& shape = call.attrs.as<ShapeAttrs>().shape;
      Strides strides(shape.size(), 0);
      const int added = shape.size() - x.ndim();
      for (int i = 0; i < x.ndim(); ++i)
        strides[added + i] = x.shape()[i] == shape[added + i] ? x.strides()[i] : 0;
      return x.view(shape, strides, x.impl().offset);
    },
    Linear{.transpose = [](const Call& call, const Tensor& cotangent, int) {
      return sum_to(cotangent, call.inputs[0].shape());
    }});

Primitive slice(
    "slice", [](const Call& call) { return slice_view(call.inputs[0], call.attrs.as<SliceAttrs>()); },
    Linear{.transpose = [](const Call& call, const Tensor& cotangent, int) {
      const auto& attrs = call.attrs.as<SliceAttrs>();
      const Tensor zero =
          tidu::broadcast_to(zeros({}, cotangent.dtype(), cotangent.device()), call.inputs[0].shape());
      return tidu::slice_update(zero, cotangent, attrs.starts, attrs.steps);
    }});

Primitive alias("alias", identity, Linear{.transpose = pass_through});

Primitive stop_gradient("stop_gradient", identity, Zero{});

Primitive to(
    "to",
    [](const Call& call) {
      const Tensor& x = call.inputs[0];
      const Device device = call.attrs.as<DeviceAttrs>().device;
      if (x.is_abstract()) return Tensor::abstract(x.shape(), x.dtype(), device);
      const VisibleTraces none(nullptr);
      Tensor result = Tensor::empty(x.shape(), x.dtype(), device);
      if (x.numel() == 0) return result;
      const Tensor source = contiguous(x);
      if (x.device().type == device.type) {
        backend(device).copy(source, result);
      } else if (device.type == DeviceType::cpu) {
        backend(x.device()).copy_to_host(result.raw_data(), source);
      } else {
        backend(device).copy_from_host(result, source.raw_data());
      }
      return result;
    },
    Linear{.transpose = [](const Call& call, const Tensor& cotangent, int) {
      return tidu::to(cotangent, call.inputs[0].device());
    }});

Primitive astype(
    "astype",
    [](const Call& call, Spec* outputs) {
      outputs[0] = {call.inputs[0].shape(), call.attrs.as<DTypeAttrs>().dtype};
    },
    Linear{.transpose = [](const Call& call, const Tensor& cotangent, int) {
      return tidu::astype(cotangent, call.inputs[0].dtype());
    }});

Primitive copy(
    "copy",
    [](const Call& call, Spec* outputs) {
      outputs[0] = {call.inputs[0].shape(), call.inputs[0].dtype()};
    },
    Linear{.transpose = pass_through});

Primitive concat(
    "concat",
    [](const Call& call, Spec* outputs) {
      const int axis = call.attrs.as<AxisAttrs>().axis;
      Shape shape = call.inputs[0].shape();
      shape[axis] = 0;
      for (const Tensor& input : call.inputs) shape[axis] += input.size(axis);
      outputs[0] = {shape, call.inputs[0].dtype()};
    },
    Linear{.linear = kAllInputs, .transpose = [](const Call& call, const Tensor& cotangent, int i) {
             const int axis = call.attrs.as<AxisAttrs>().axis;
             int64_t start = 0;
             for (int k = 0; k < i; ++k) start += call.inputs[k].size(axis);
             return slice_axis(cotangent, axis, start, start + call.inputs[i].size(axis));
           }});

Primitive slice_update(
    "slice_update",
    [](const Call& call, Spec* outputs) {
      const Tensor &x = call.inputs[0], &update = call.inputs[1];
      if (x.dtype() != update.dtype())
        fail<DTypeError>("[slice_update] dtypes differ: ", describe(x), " and ", describe(update));
      outputs[0] = {x.shape(), x.dtype()};
    },
    Linear{.linear = kInput0 | kInput1, .transpose = [](const Call& call, const Tensor& cotangent, int i) {
             const auto& attrs = call.attrs.as<SliceAttrs>();
             if (i == 1) return tidu::slice(cotangent, attrs.starts, attrs.sizes, attrs.steps);
             const Tensor zero =
                 tidu::broadcast_to(zeros({}, cotangent.dtype(), cotangent.device()), attrs.sizes);
             return tidu::slice_update(cotangent, zero, attrs.starts, attrs.steps);
           }});

Primitive assign = Primitive::in_place("assign", [](const Call& call, Spec*) {
  const Tensor &x = call.inputs[0], &value = call.inputs[1];
  if (x.shape() != value.shape() || x.dtype() != value.dtype())
    fail<ShapeError>("[assign] ", describe(value), " into ", describe(x));
});

}  // namespace primitives

Tensor reshape(const Tensor& x, const Shape& requested) {
  Shape shape = requested;
  const auto free = std::find(shape.begin(), shape.end(), -1);
  if (free != shape.end()) {
    *free = 1;
    const int64_t rest = num_elements(shape);
    if (rest == 0 || x.numel() % rest != 0)
      fail<ShapeError>("[reshape] ", describe(x), " with ", x.numel(), " elements cannot take shape ",
                       requested);
    *free = x.numel() / rest;
  }
  if (num_elements(shape) != x.numel()) {
    fail<ShapeError>("[reshape] ", describe(x), " with ", x.numel(), " elements cannot take shape ",
                     requested, " with ", num_elements(shape));
  }
  if (shape == x.shape()) return x;
  return bind(primitives::reshape, {strides_for(x, shape) ? x : copy(x)}, ShapeAttrs{shape});
}

Tensor flatten(const Tensor& x) { return reshape(x, {x.numel()}); }

Tensor permute_dims(const Tensor& x, const Axes& axes) {
  Axes order;
  for (int64_t axis : axes) order.push_back(normalize_axis(axis, x.ndim(), "permute_dims"));
  Axes sorted = order;
  std::sort(sorted.begin(), sorted.end());
  Axes all;
  for (int i = 0; i < x.ndim(); ++i) all.push_back(i);
  if (!(sorted == all))
    fail<ValueError>("[permute_dims] axes ", axes, " are not a permutation of the ", x.ndim(), " axes of ",
                     describe(x));
  return order == all ? x : bind(primitives::permute_dims, {x}, AxesAttrs{order});
}

Tensor swapaxes(const Tensor& x, int64_t a, int64_t b) {
  Axes axes;
  for (int i = 0; i < x.ndim(); ++i) axes.push_back(i);
  std::swap(axes[normalize_axis(a, x.ndim(), "swapaxes")], axes[normalize_axis(b, x.ndim(), "swapaxes")]);
  return permute_dims(x, axes);
}

Tensor moveaxis(const Tensor& x, int64_t from, int64_t to) {
  const int source = normalize_axis(from, x.ndim(), "moveaxis"),
            target = normalize_axis(to, x.ndim(), "moveaxis");
  Axes axes;
  for (int i = 0; i < x.ndim(); ++i) axes.push_back(i);
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
  bool possible = x.ndim() <= shape.size();
  for (int i = 1; possible && i <= x.ndim(); ++i)
    possible = x.size(-i) == shape[shape.size() - i] || x.size(-i) == 1;
  if (!possible) fail<ShapeError>("[broadcast_to] ", describe(x), " cannot be broadcast to ", shape);
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

Tensor slice(const Tensor& x, const Dims& starts, const Dims& sizes, const Dims& steps) {
  const SliceAttrs attrs{starts, sizes, steps};
  check_slice(x.shape(), attrs, "slice");
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
  const int64_t count = step > 0 ? (last - first + step - 1) / step : (last - first + step + 1) / step;
  Dims starts(x.ndim(), 0), sizes = x.shape(), steps(x.ndim(), 1);
  starts[axis] = first;
  sizes[axis] = std::max<int64_t>(count, 0);
  steps[axis] = step;
  return slice(x, starts, sizes, steps);
}

Tensor select(const Tensor& x, int64_t axis_, int64_t i) {
  const int axis = normalize_axis(axis_, x.ndim(), "select");
  const int64_t index =
      normalize_axis(i, static_cast<int>(std::min<int64_t>(x.size(axis), INT32_MAX)), "select");
  return squeeze(slice_axis(x, axis, index, index + 1), {axis});
}

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
  const SliceAttrs attrs{starts, update.shape(), steps};
  check_slice(x.shape(), attrs, "slice_update");
  return bind(primitives::slice_update, {x, update}, attrs);
}

Tensor concat(const Tensors& tensors, int64_t axis_) {
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
  Tensors inputs;
  for (const Tensor& tensor : tensors) inputs.push_back(astype(tensor, dtype));
  Tensor output;
  bind(primitives::concat, inputs, AxisAttrs{axis}, {&output, 1});
  return output;
}

Tensor stack(const Tensors& tensors, int64_t axis) {
  if (tensors.empty()) fail<ValueError>("[stack] needs at least one tensor");
  const int at = normalize_axis(axis, tensors[0].ndim() + 1, "stack");
  Tensors expanded;
  for (const Tensor& tensor : tensors) {
    if (tensor.shape() != tensors[0].shape())
      fail<ShapeError>("[stack] shapes differ: ", tensors[0].shape(), " and ", tensor.shape());
    expanded.push_back(expand_dims(tensor, at));
  }
  return concat(expanded, at);
}

Tensors split(const Tensor& x, const Dims& sizes, int64_t axis_) {
  const int axis = normalize_axis(axis_, x.ndim(), "split");
  if (std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) != x.size(axis)) {
    fail<ShapeError>("[split] sizes ", sizes, " do not add up to extent ", x.size(axis), " of axis ", axis);
  }
  Tensors parts;
  int64_t start = 0;
  for (int64_t size : sizes) {
    parts.push_back(slice_axis(x, axis, start, start + size));
    start += size;
  }
  return parts;
}

Tensor pad(const Tensor& x, const Dims& low, const Dims& high) {
  if (low.size() != x.ndim() || high.size() != x.ndim())
    fail<ShapeError>("[pad] ", low, " and ", high, " must name each axis of ", describe(x));
  Shape shape = x.shape();
  for (int i = 0; i < x.ndim(); ++i) {
    if (low[i] < 0 || high[i] < 0) fail<ValueError>("[pad] widths must not be negative: ", low, ", ", high);
    shape[i] += low[i] + high[i];
  }
  const Tensor zero = broadcast_to(zeros({}, x.dtype(), x.device()), shape);
  return slice_update(zero, x, low, Dims(x.ndim(), 1));
}

Tensor astype(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : bind(primitives::astype, {x}, DTypeAttrs{dtype});
}
Tensor to(const Tensor& x, Device device) {
  return x.device() == device ? x : bind(primitives::to, {x}, DeviceAttrs{device});
}
Tensor contiguous(const Tensor& x) { return x.is_contiguous() ? x : copy(x); }
Tensor copy(const Tensor& x) { return bind(primitives::copy, {x}); }
Tensor alias(const Tensor& x) { return bind(primitives::alias, {x}); }
Tensor stop_gradient(const Tensor& x) { return bind(primitives::stop_gradient, {x}); }

namespace {

void check_writable(const Tensor& x) {
  for (const Trace* trace : differentiating_traces()) {
    const Link* link = x.impl().link(trace->id());
    if (trace->id() == 0 && link && x.is_leaf()) {
      fail<GradientError>("[assign] ", describe(x),
                          " is a leaf that requires grad: writing in place would lose its gradient (use "
                          "no_grad, or a new tensor)");
    }
  }
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) > 1 && x.strides()[i] == 0)
      fail<ValueError>("[assign] ", describe(x),
                       " is a broadcast view: its elements share memory (copy it first)");
  }
  if (!x.is_abstract() && !x.impl().storage->writable())
    fail<ValueError>("[assign] ", describe(x), " is read-only memory (copy it first)");
}

// Writes without being seen by any trace.
void write(const Tensor& target, const Tensor& value) {
  const VisibleTraces none(nullptr);
  // A value that lies in the same memory could be read after it was overwritten.
  const bool may_overlap = target.impl().storage == value.impl().storage;
  bind(primitives::assign, {target, may_overlap ? copy(value) : value});
}

// x's memory, seen by the traces as `identity`.
Tensor with_identity(const Tensor& x, const Tensor& identity) {
  Tensor result = x.view(x.shape(), x.strides(), x.impl().offset);
  result.impl().links = std::move(alias(identity).impl().links);
  result.impl().storage->mark_traced();
  return result;
}

Tensor without_storage(const Tensor& x) {
  Tensor result = Tensor::abstract(x.shape(), x.dtype(), x.device());
  result.impl().links = copy_links(x, UINT64_MAX);
  return result;
}

// Converts and broadcasts a value for a place; as in NumPy, a floating-point value does not go into an
// integer tensor.
Tensor fit(const Tensor& value, const Tensor& x, const Shape& shape) {
  if (is_floating(value.dtype()) && !is_floating(x.dtype())) {
    fail<DTypeError>("[assign] ", describe(value), " into ", describe(x),
                     " would lose its fraction (convert it with astype first)");
  }
  Tensor source = value;
  while (source.ndim() > shape.size() && source.size(0) == 1) source = squeeze(source, {0});
  return broadcast_to(astype(source, x.dtype()), shape);
}

// Whether two views of one shape are the same elements; the stride of an axis of extent 1 says nothing.
bool same_elements(const Tensor& a, const Tensor& b) {
  bool same = a.impl().storage == b.impl().storage && a.impl().offset == b.impl().offset;
  for (int i = 0; i < a.ndim(); ++i) same &= a.size(i) == 1 || a.strides()[i] == b.strides()[i];
  return same;
}

}  // namespace

void assign(Tensor& x, const Tensor& value) {
  assign_slice(x, value, Dims(x.ndim(), 0), x.shape(), Dims(x.ndim(), 1));
}

void assign_slice(Tensor& x, const Tensor& value, const Dims& starts, const Dims& sizes, const Dims& steps) {
  const SliceAttrs attrs{starts, sizes, steps};
  check_slice(x.shape(), attrs, "assign");
  const Tensor update = fit(value, x, sizes);
  check_writable(x);
  const bool whole = sizes == x.shape();
  if (x.is_abstract() || update.is_abstract()) {  // a program has no memory to write to
    x = whole ? alias(update) : slice_update(x, update, starts, steps);
    return;
  }
  const uint64_t before = x.impl().version;
  const Tensor target = slice_view(x, attrs);
  const TensorImpl& source = update.impl();
  const Storage& storage = *target.impl().storage;
  // `x[i] += 1` takes the view x[i], writes to it, and assigns it to where it lies already.
  const bool in_place_already =
      same_elements(update, target) && source.version == storage.version() && before + 1 == storage.version();
  const bool current = before == storage.version() || in_place_already;
  if (!is_tracked(x) && !is_tracked(update)) {
    if (!in_place_already) write(target, update);
    if (current) x.impl().version = storage.version();
    return;
  }
  if (!current) {
    fail<GradientError>(
        "[assign] ", describe(x),
        " was overwritten in place through another view of its memory (take the view again after the write)");
  }
  const Tensor identity =
      whole ? update : slice_update(without_storage(x), without_storage(update), starts, steps);
  if (!in_place_already) write(target, update);
  x = with_identity(x, identity);
}

}  // namespace tidu
