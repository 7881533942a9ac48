// Complex numbers and their parts.
//
// Gradients are those of a real loss L by the parts of z: dL/dRe + i dL/dIm. So the transpose of a function
// that is linear over the reals is its adjoint in the inner product Re(conj(a) b), and the views of parts are
// their own.
#include "ops/complex.h"

#include "core/bind.h"
#include "core/trace.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void infer_parts(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  if (!is_complex(x.dtype)) fail<DTypeError>("[view_as_real] takes complex numbers, not ", x);
  outputs[0] = {x.shape, part_of(x.dtype), x.device};
  outputs[0].shape.push_back(2);
}

void infer_complex(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  if (x.dtype != DType::float32 && x.dtype != DType::float64)
    fail<DTypeError>("[view_as_complex] takes float32 or float64, not ", x);
  if (x.shape.empty() || x.shape[x.shape.size() - 1] != 2)
    fail<ShapeError>("[view_as_complex] the last axis must hold the two parts: ", x);
  outputs[0] = {x.shape, complex_of(x.dtype), x.device};
  outputs[0].shape.erase(x.shape.size() - 1);
}

// Whether the parts lie side by side, and each pair a whole number of pairs from every other.
bool lies_in_pairs(const Tensor& x) {
  const int last = x.ndim() - 1;
  bool pairs = x.strides()[last] == 1 && x.impl().offset % 2 == 0;
  for (int i = 0; i < last; ++i) pairs &= x.size(i) <= 1 || x.strides()[i] % 2 == 0;
  return pairs && !(x.impl().storage && x.impl().storage->is_number());
}

Tensor pairs(const Tensor& given) {
  const VisibleTraces none(nullptr);
  const Tensor x = lies_in_pairs(given) ? given : copy(given);
  Shape shape;
  Strides strides;
  for (int i = 0; i + 1 < x.ndim(); ++i) {
    shape.push_back(x.size(i));
    strides.push_back(x.strides()[i] / 2);
  }
  return x.view(shape, strides, x.impl().offset / 2, complex_of(x.dtype()));
}

}  // namespace

namespace primitives {

// | `view_as_real` | complex $x$ as pairs of its parts | $\dot x$ as pairs | $\bar y$ as complex numbers |
Primitive view_as_real(
    "view_as_real",
    {.batching = batch_by_fields,
     .attrs = kNoAttrs,
     .infer = infer_parts,
     .derivative = LinearMap{.transpose = [](const Call&, Cotangents cotangents,
                                             int) { return tidu::view_as_complex(cotangents[0]); }},
     .view = [](const Call& call) { return call.inputs[0].parts(); },
     .update_view = [](const Call&, const Tensor& value) { return tidu::view_as_complex(value); }});

// | `view_as_complex` | pairs of numbers as complex $x$ | $\dot x$ as complex numbers | $\bar y$ as pairs |
Primitive view_as_complex(
    "view_as_complex",
    {.batching = batch_by_fields,
     .attrs = kNoAttrs,
     .infer = infer_complex,
     .derivative = LinearMap{.transpose = [](const Call&, Cotangents cotangents,
                                             int) { return tidu::view_as_real(cotangents[0]); }},
     .view = [](const Call& call) { return pairs(call.inputs[0]); },
     .update_view = [](const Call&, const Tensor& value) { return tidu::view_as_real(value); },
     .view_may_copy = true});

}  // namespace primitives

namespace {

// Views are not inferred when they are bound.
Tensor bind_checked(const Primitive& primitive, const Tensor& x) {
  Spec output;
  primitive.infer({primitive, std::span(&x, 1), Attrs()}, {&output, 1});
  return bind(primitive, {x});
}

Tensor part(const Tensor& x, int64_t i) { return select(view_as_real(x), -1, i); }

}  // namespace

void fail_complex(const char* op, const Tensor& x) {
  fail<DTypeError>("[", op, "] is not defined for complex numbers: ", describe(x),
                   " (take real, imag or abs)");
}

Tensor view_as_real(const Tensor& x) { return bind_checked(primitives::view_as_real, x); }
Tensor view_as_complex(const Tensor& x) { return bind_checked(primitives::view_as_complex, x); }

Tensor complex_from(const Tensor& real, const Tensor& imaginary) {
  const DType dtype = promote(real.dtype(), imaginary.dtype());
  if (!is_floating(dtype))
    fail<DTypeError>("[complex] takes floating-point parts, not ", describe(real), " and ",
                     describe(imaginary));
  const Shape shape = broadcast_shapes(real.shape(), imaginary.shape(), "complex");
  const auto as_part = [&](const Tensor& x) {
    return broadcast_to(astype(x, part_of(complex_of(dtype))), shape);
  };
  return view_as_complex(stack({as_part(real), as_part(imaginary)}, -1));
}

Tensor real(const Tensor& x) { return is_complex(x.dtype()) ? part(x, 0) : x; }
Tensor imag(const Tensor& x) { return is_complex(x.dtype()) ? part(x, 1) : zeros_like(x); }

Tensor angle(const Tensor& x) {
  if (is_complex(x.dtype())) return atan2(part(x, 1), part(x, 0));
  const Tensor floating = is_floating(x.dtype()) ? x : astype(x, kDefaultFloat);
  return where(isnan(floating), floating, where(floating < 0, 3.14159265358979323846, zeros_like(floating)));
}

Tensor complex_abs(const Tensor& x) { return hypot(part(x, 0), part(x, 1)); }

Tensor complex_sign(const Tensor& x) {
  const Tensor size = expand_dims(complex_abs(x), -1), is_zero = size == 0;
  return view_as_complex(where(is_zero, 0, view_as_real(x) / where(is_zero, 1, size)));
}

}  // namespace tidu
