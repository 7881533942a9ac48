// Changing dtype, device and layout.
#include "ops/convert.h"

#include "backend/backend.h"
#include "core/bind.h"
#include "core/host_lock.h"
#include "core/trace.h"
#include "ops/complex.h"
#include "ops/creation.h"

namespace tidu {
namespace {

// Between any two devices: the same on each.
void transfer(const Call& call) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (x.numel() == 0) return;
  const VisibleTraces none(nullptr);
  const Tensor source = contiguous(x);
  if (x.device().type == y.device().type) {
    backend(y.device()).copy(source, y);
  } else if (y.device().type == DeviceType::cpu) {
    const Unlocked unlocked(source);
    backend(x.device()).copy_to_host(y.raw_data(), source);
  } else {
    backend(y.device()).copy_from_host(y, source.raw_data());
  }
}

}  // namespace

namespace primitives {

// | `astype` | $y = x$, rounded to another dtype | $\dot y = \dot x$ | $\bar x = \bar y$ |
Primitive astype("astype", {.batching = batch_by_fields,
                            .attrs = DTypeAttrs{},
                            .check =
                                [](const SpecCall& call, size_t) {
                                  require(!is_complex(call.attrs.as<DTypeAttrs>().dtype), call,
                                          "complex numbers are made of their parts");
                                },
                            .infer =
                                [](const SpecCall& call, std::span<Spec> outputs) {
                                  const Spec& x = call.inputs[0];
                                  outputs[0] = {x.shape, call.attrs.as<DTypeAttrs>().dtype, x.device};
                                },
                            .derivative = LinearMap{.transpose =
                                                        [](const Call& call, Cotangents cotangents, int) {
                                                          return tidu::astype(cotangents[0],
                                                                              call.inputs[0].dtype());
                                                        }},
                            .pointwise = true,
                            .flops = no_flops});

// | `to` | $y = x$ on another device | $\dot y = \dot x$ | $\bar x = \bar y$ |
Primitive to("to", {.batching = batch_by_fields,
                    .attrs = DeviceAttrs{},
                    .infer =
                        [](const SpecCall& call, std::span<Spec> outputs) {
                          const Spec& x = call.inputs[0];
                          outputs[0] = {x.shape, x.dtype, call.attrs.as<DeviceAttrs>().device};
                        },
                    .derivative = LinearMap{.transpose =
                                                [](const Call& call, Cotangents cotangents, int) {
                                                  return tidu::to(cotangents[0], call.inputs[0].device());
                                                }},
                    .pointwise = true,
                    .on_complex = OnComplex::native,
                    .flops = no_flops});

// | `copy` | $y = x$ | $\dot y = \dot x$ | $\bar x = \bar y$ |
Primitive copy("copy",
               {.batching = batch_by_fields,
                .attrs = kNoAttrs,
                .infer = [](const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; },
                .derivative = LinearMap{.transpose = [](const Call&, Cotangents cotangents,
                                                        int) { return cotangents[0]; }},
                .pointwise = true,
                .on_complex = OnComplex::native,
                .flops = no_flops});

}  // namespace primitives

namespace {

const bool registered = [] {
  for (const DeviceType type : {DeviceType::cpu, DeviceType::cuda})
    set_kernel(primitives::to, type, transfer);
  return true;
}();

}  // namespace

Tensor astype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  if (is_complex(dtype)) {
    if (is_complex(x.dtype())) return view_as_complex(astype(view_as_real(x), part_of(dtype)));
    return complex_from(astype(x, part_of(dtype)), full({}, 0, part_of(dtype), x.device()));
  }
  if (is_complex(x.dtype())) {
    if (dtype == DType::bool_) return x != 0;
    fail<DTypeError>("[astype] ", describe(x), " to ", dtype,
                     " would drop the imaginary part (take real, imag or abs first)");
  }
  return bind(primitives::astype, {x}, DTypeAttrs{dtype});
}
Tensor to(const Tensor& x, Device device) {
  return x.device() == device ? x : bind(primitives::to, {x}, DeviceAttrs{device});
}
Tensor contiguous(const Tensor& x) { return x.is_contiguous() ? x : copy(x); }
Tensor copy(const Tensor& x) { return bind(primitives::copy, {x}); }
Tensor widened(const Tensor& x) { return is_narrow(x.dtype()) ? astype(x, DType::float32) : x; }

}  // namespace tidu
