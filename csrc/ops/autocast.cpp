// Mixed precision.
#include "ops/autocast.h"

#include <algorithm>

#include "base/error.h"
#include "ops/convert.h"

namespace tidu {
namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local Autocasting state;

bool concerns(const Tensor& x) {
  return state.enabled && (!state.device || x.device().type == *state.device);
}

}  // namespace

Autocasting autocasting() { return state; }

void set_autocasting(Autocasting now) {
  if (now.enabled && !is_narrow(now.dtype))
    fail<DTypeError>("[autocast] products are computed in bfloat16 or float16, not ", now.dtype);
  state = now;
}

void cast_operands(std::span<Tensor> operands) {
  if (!state.enabled) return;
  const bool fits = std::ranges::all_of(operands, [](const Tensor& x) {
    return !x.defined() || (concerns(x) && (is_narrow(x.dtype()) || x.dtype() == DType::float32));
  });
  for (Tensor& x : operands) {
    if (fits && x.defined()) x = astype(x, state.dtype);
  }
}

Tensor cast_to_precise(const Tensor& x) { return x.defined() ? astype(x, precise_type(x, x.dtype())) : x; }

DType precise_type(const Tensor& x, DType dtype) {
  return concerns(x) && is_narrow(dtype) ? DType::float32 : dtype;
}

}  // namespace tidu
