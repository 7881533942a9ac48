// Writing in place.
#include "ops/assign.h"

#include <algorithm>
#include <array>

#include "base/few.h"
#include "core/bind.h"
#include "core/escape.h"
#include "core/host_lock.h"
#include "ops/convert.h"
#include "ops/indexing.h"
#include "ops/shape.h"
#include "program/capture.h"
#include "program/recorder.h"

namespace tidu {
namespace primitives {

// | `assign` | overwrites its inputs: differentiating it is an error | | |
Primitive assign("assign", {.batching = batch_by_fields,
                            .attrs = SliceAttrs{},
                            .inputs = 2,
                            .infer =
                                [](const SpecCall& call, std::span<Spec>) {
                                  const Spec &x = call.inputs[0], &value = call.inputs[1];
                                  const Shape& shape =
                                      call.attrs.empty() ? x.shape : call.attrs.as<SliceAttrs>().sizes;
                                  if (shape != value.shape || x.dtype != value.dtype)
                                    fail<ShapeError>("[assign] ", value, " into ", shape, " of ", x);
                                },
                            .derivative = Opaque{"it overwrites its input (write with slice_update)"},
                            .on_complex = OnComplex::native,
                            .overwrites = true,
                            .pure = &slice_update,
                            .flops = no_flops});

// | `assign_points` | overwrites its inputs: differentiating it is an error | | |
Primitive assign_points("assign_points",
                        {.batching = batch_by_fields,
                         .attrs = IndexAttrs{},
                         .inputs = {3, kAnyNumber},
                         .infer = [](const SpecCall& call,
                                     std::span<Spec> none) { scatter_set.infer(call, none); },
                         .derivative = Opaque{"it overwrites its input (write with scatter_set)"},
                         .on_complex = OnComplex::parts,
                         .overwrites = true,
                         .pure = &scatter_set,
                         .flops = no_flops});

}  // namespace primitives

namespace {

void check_writable(const Tensor& x) {
  const auto is_here = [&x](const Trace* trace) { return trace->is_ambient() && x.impl().link(trace->id()); };
  if (x.impl().links && x.is_leaf() && std::ranges::any_of(differentiating_traces(), is_here)) {
    fail<GradientError>("[assign] ", describe(x),
                        " is a leaf that requires grad: writing in place would lose its gradient (use "
                        "no_grad, or a new tensor)");
  }
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) > 1 && x.strides()[i] == 0 && x.numel() > 0)
      fail<ValueError>("[assign] ", describe(x),
                       " is a broadcast view: its elements share memory (copy it first)");
  }
  if (!x.is_abstract() && !x.impl().storage->writable())
    fail<ValueError>("[assign] ", describe(x), " is read-only memory (copy it first)");
}

// All that the traces know of x, without its memory.
Tensor without_storage(const Tensor& x) {
  Tensor result = Tensor::abstract(x.shape(), x.dtype(), x.device());
  result.impl().links = std::move(twin(x, UINT64_MAX).impl().links);
  return result;
}

// Converts and broadcasts a value for a place; as in NumPy, a floating-point value does not go into an
// integer tensor.
Tensor fit(const Tensor& value, const Tensor& x, const Shape& shape) {
  if (is_inexact(value.dtype()) && !is_inexact(x.dtype())) {
    fail<DTypeError>("[assign] ", describe(value), " into ", describe(x),
                     " would lose its fraction (convert it with astype first)");
  }
  Tensor source = value;
  while (source.ndim() > shape.size() && source.size(0) == 1) source = squeeze(source, {0});
  return broadcast_to(astype(source, x.dtype()), shape);
}

// Whether two views of one shape are the same elements; the stride of an axis of extent 1 says nothing, and
// where there are none, neither do offset and strides.
bool same_elements(const Tensor& a, const Tensor& b) {
  bool same = a.impl().storage == b.impl().storage;
  if (a.numel() == 0) return same;
  same &= a.impl().offset == b.impl().offset;
  for (int i = 0; i < a.ndim(); ++i) same &= a.size(i) == 1 || a.strides()[i] == b.strides()[i];
  return same;
}

bool is_whole(const Shape& shape, const SliceAttrs& attrs) {
  bool whole = attrs.sizes == shape;
  for (int i = 0; i < shape.size(); ++i) whole &= shape[i] <= 1 || attrs.steps[i] == 1;
  return whole;
}

void check_tracked(const Tensor& x, bool is_current) {
  if (is_current) return;
  fail<GradientError>(
      "[assign] ", describe(x),
      " was overwritten in place through another view of its memory (take the view again after the write)");
}

// While a function is captured, what traces know of a tensor from outside they know of what stands for it.
template <class Write> void write_to(Tensor& x, const Write& write) {
  Capture* const capture = visible_capture();
  if (!capture) return write(x);
  Tensor known = capture->stand_in(x);
  const Tensor before = known;
  write(known);
  if (known.is_same(before)) return;
  capture->renew(known);
  if (before.is_same(x)) x = known;
}

// Overwrites elements of x by a primitive that also reads `from`, unless they have their values `already`.
// Where a derivative depends on it, x becomes what `pure` gives.
template <class T, class Pure>
void write(Tensor& x, bool already, const Primitive& primitive, std::span<Tensor> from, const T& attrs,
           const Pure& pure) {
  check_thread(x, "assign");
  for (const Tensor& input : from) check_thread(input, "assign");
  const Storage& storage = *x.impl().storage;
  const bool current = x.impl().version == storage.version() || already;
  const bool tracked = is_tracked(x) || std::ranges::any_of(from, is_tracked);
  if (tracked) check_tracked(x, current);
  Tensor identity;
  if (tracked) identity = pure();
  if (!already) {
    Few<Tensor, 4> inputs(1 + from.size());
    inputs[0] = recorded_twin(x);
    for (size_t i = 0; i < from.size(); ++i) {
      // What lies in the same memory could be read after it was overwritten.
      if (from[i].impl().storage == x.impl().storage) from[i] = copy(from[i]);
      inputs[i + 1] = recorded_twin(from[i]);
    }
    Attrs::OnStack<T> on_stack(attrs);
    Tensor written;
    bind(primitive, inputs, on_stack.attrs(), {&written, 1});
  }
  if (tracked) {
    Tensor written = recorded_twin(x);
    take_identity(written, identity);
    written.impl().storage->mark_traced();
    x = std::move(written);
  }
  if (current) {
    x.impl().version = storage.version();
    x.impl().wrote = true;
  }
}

}  // namespace

void check_assign(const Tensor& x, const Tensor& value) {
  check_writable(x);
  for (const Tensor& tensor : {x, value}) check_thread(tensor, "assign");
  if (is_tracked(x) || is_tracked(value)) check_tracked(x, x.impl().version == x.impl().storage->version());
  for (const VisibleTrace& visible : visible_traces()) {
    const Trace& trace = *visible.trace;
    if (!trace.differentiates() && !x.impl().link(trace.id()) && trace.defers(std::array{x, value}))
      fail_on_outside("assign", x);
  }
}

void assign(Tensor& x, const Tensor& value) {
  assign_slice(x, value, Dims(x.ndim(), 0), x.shape(), Dims(x.ndim(), 1));
}

void assign_slice(Tensor& x, const Tensor& value, const Dims& starts, const Dims& sizes, const Dims& steps) {
  const SliceAttrs attrs{starts, sizes, steps};
  check_slice(x.shape(), attrs, "assign");
  Tensor update = fit(value, x, sizes);
  check_writable(x);
  // `x[i] += 1` takes the view x[i], writes to it, and assigns it to where it lies already: the one write
  // that x has not seen.
  write_to(x, [&](Tensor& known) {
    const uint64_t version = known.impl().storage->version();
    const bool already = same_elements(update, slice_view(known, attrs)) && update.impl().wrote &&
                         update.impl().version == version && known.impl().version + 1 == version;
    write(known, already, primitives::assign, {&update, 1}, attrs, [&] {
      return is_whole(known.shape(), attrs)
                 ? alias(update)
                 : slice_update(without_storage(known), without_storage(update), starts, steps);
    });
  });
}

void assign_points(Tensor& x, const Tensor& value, const Tensors& indices, const IndexAttrs& attrs) {
  Few<Tensor, 4> from(1 + indices.size());
  from[0] = value;
  std::ranges::copy(indices, from.begin() + 1);
  make_indices(std::span(from).subspan(1), "assign");
  from[0] = fit(value, x, picked_shape(attrs, x.shape(), from[1].shape()));
  check_writable(x);
  write_to(x, [&](Tensor& known) {
    write(known, false, primitives::assign_points, from, attrs, [&] {
      Few<Tensor, 4> inputs(1 + from.size());
      inputs[0] = without_storage(known);
      inputs[1] = without_storage(from[0]);
      std::copy(from.begin() + 1, from.end(), inputs.begin() + 2);
      Tensor result;
      bind(primitives::scatter_set, inputs, attrs, {&result, 1});
      return result;
    });
  });
}

bool assign_over(Tensor& x, const Primitive& row, const Operand& y) {
  if (y.later() || (!y.tensor() && (!is_floating(x.dtype()) || y.scalar_kind() == Kind::complex)))
    return false;
  const Tensor other = y.tensor()
                           ? *y.tensor()
                           : number_like(x, y.scalar().to_double()).view(x.shape(), Strides(x.ndim(), 0), 0);
  const auto is_plain = [](const Tensor& tensor) {
    return tensor.defined() && !tensor.impl().links && !tensor.is_abstract() && !is_seen(tensor);
  };
  const bool fits = x.device().type == DeviceType::cpu && x.is_contiguous() && x.spec() == other.spec() &&
                    !is_complex(x.dtype());
  const Kernel kernel =
      row.kernels[static_cast<int>(DeviceType::cpu)];  // null before the first tensor was made
  if (!kernel || !fits || !is_plain(x) || !is_plain(other)) return false;
  Storage& storage = *x.impl().storage;
  if (other.impl().storage == x.impl().storage && !same_elements(x, other)) return false;
  check_writable(x);
  Tensor result = x;
  const std::array inputs{x, other};
  const Call call{row, inputs, {}, {&result, 1}};
  const Unlocked unlocked(call);
  kernel(call);
  storage.bump_version();
  x.impl().version = storage.version();
  x.impl().wrote = true;
  return true;
}

}  // namespace tidu
