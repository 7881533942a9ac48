// The optimisers' update steps: each parameter's arrays in pieces, over all threads.
#include "ops/update.h"

#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "core/backend.h"
#include "kernels/cpu/cast.h"
#include "kernels/cpu/update.h"

namespace tidu::cpu {
namespace {

constexpr int kMaxGroups = 4;

// Calls step(functions, s, arrays, n), s saying what is done to the parameter, for pieces of each parameter;
// arrays[k] is its tensor in group k, the last one being the gradient. 16-bit parameters and gradients are
// stepped in float, a tile at a time.
template <class Attributes, class Step> void for_parameters(const Call& call, const Step& step) {
  struct Piece {
    int parameter;
    int64_t begin;
  };
  const auto& attrs = call.attrs.as<Attributes>();
  const int count = attrs.count;
  Tensors inputs;
  for (const Tensor& input : call.inputs) inputs.push_back(row_major(input));
  Tensor clock;
  if (attrs.clocked) {
    clock = inputs.back();
    inputs.pop_back();
  }
  const int groups = static_cast<int>(inputs.size()) / std::max(count, 1);
  const auto* rows = clock.defined() ? static_cast<const ClockRow*>(clock.raw_data()) : nullptr;
  std::vector steps(static_cast<size_t>(count), step_of(attrs));
  std::vector<Piece> pieces;
  int64_t total = 0;
  for (int i = 0; i < count; ++i) {
    if (rows) steps[static_cast<size_t>(i)].set(rows[i]);
    total += inputs[i].numel();
    for (int64_t begin = 0; begin < inputs[i].numel(); begin += kGrain) pieces.push_back({i, begin});
  }
  const auto run = [&](int64_t index) {
    const auto [parameter, begin] = pieces[static_cast<size_t>(index)];
    const DType dtype = inputs[parameter].dtype();
    const auto& s = steps[static_cast<size_t>(parameter)];
    const int64_t n = std::min(kGrain, inputs[parameter].numel() - begin);
    void* arrays[kMaxGroups];
    const auto point_at = [&](int64_t i) {
      for (int k = 0; k < groups; ++k) {
        const Tensor& x = inputs[k * count + parameter];
        arrays[k] = static_cast<char*>(x.raw_data()) + i * static_cast<int64_t>(size_of(x.dtype()));
      }
    };
    if (!is_narrow(dtype)) {
      point_at(begin);
      return step(update_functions(dtype), s, arrays, groups, n);
    }
    constexpr int64_t tile = 1024;
    alignas(64) float wide[2][tile];
    for (int64_t i = 0; i < n; i += tile) {
      const int64_t here = std::min(tile, n - i);
      point_at(begin + i);
      void *const p = arrays[0], *const g = arrays[groups - 1];
      cast_function(dtype, DType::float32)(&p, wide[0], here);
      cast_function(dtype, DType::float32)(&g, wide[1], here);
      arrays[0] = wide[0];
      arrays[groups - 1] = wide[1];
      step(update_functions(DType::float32), s, arrays, groups, here);
      cast_function(DType::float32, dtype)(&arrays[0], p, here);
    }
  };
  parallel_for(static_cast<int64_t>(pieces.size()), total, run);
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    if (!inputs[i].is_same(call.outputs[i])) copy_elements(inputs[i], call.outputs[i]);
  }
}

void sgd_update(const Call& call) {
  for_parameters<SgdAttrs>(
      call, [](const UpdateFunctions& f, const SgdStep& s, void* const* x, int groups, int64_t n) {
        f.sgd(s, x[0], groups == 3 ? x[1] : nullptr, x[groups - 1], n);
      });
}

void adam_update(const Call& call) {
  for_parameters<AdamAttrs>(call, [](const UpdateFunctions& f, const AdamStep& s, void* const* x, int,
                                     int64_t n) { f.adam(s, x[0], x[1], x[2], x[3], n); });
}

void rmsprop_update(const Call& call) {
  for_parameters<RmspropAttrs>(
      call, [](const UpdateFunctions& f, const RmspropStep& s, void* const* x, int groups, int64_t n) {
        f.rmsprop(s, x[0], x[1], groups == 4 ? x[2] : nullptr, x[groups - 1], n);
      });
}

}  // namespace

void register_update_kernels() {
  set_kernel(primitives::sgd_update, DeviceType::cpu, sgd_update);
  set_kernel(primitives::adam_update, DeviceType::cpu, adam_update);
  set_kernel(primitives::rmsprop_update, DeviceType::cpu, rmsprop_update);
}

}  // namespace tidu::cpu
