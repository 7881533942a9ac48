// The optimisers' update steps: each parameter's arrays in pieces, over all threads.
#include "backend/cpu/update.h"

#include <memory>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/matmul.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/cast.h"
#include "kernels/cpu/update.h"
#include "ops/elementwise.h"
#include "ops/update.h"

namespace tidu::cpu {
namespace {

constexpr int kMaxGroups = 4;

// Calls step(functions, s, arrays, n), s saying what is done to the parameter, for pieces of each parameter;
// arrays[k] is its tensor in group k, the last one being the gradient. 16-bit parameters and gradients are
// stepped in float, a tile at a time. Of a gradient that is a product a piece is a block of that.
template <class Attributes, class Step>
void for_parameters(const Call& call, std::span<const Factors> factors, const Step& step) {
  struct Piece {
    int parameter;
    int64_t begin;  // or the block
    const Product* product = nullptr;
  };
  const auto& attrs = call.attrs.as<Attributes>();
  const int count = attrs.count;
  Tensors inputs;
  for (const Tensor& input : call.inputs) inputs.push_back(input.defined() ? row_major(input) : input);
  Tensor clock;
  if (attrs.clocked) {
    clock = inputs.back();
    inputs.pop_back();
  }
  const int groups = static_cast<int>(inputs.size()) / std::max(count, 1);
  const auto* rows = clock.defined() ? static_cast<const ClockRow*>(clock.raw_data()) : nullptr;
  std::vector steps(static_cast<size_t>(count), step_of(attrs));
  std::vector<std::unique_ptr<const Product>> products(static_cast<size_t>(count));
  for (const auto& [input, a, b] : factors)
    products[input % static_cast<size_t>(count)] = std::make_unique<const Product>(a, b);
  std::vector<Piece> pieces;
  int64_t total = 0;
  for (int i = 0; i < count; ++i) {
    if (rows) steps[static_cast<size_t>(i)].set(rows[i]);
    total += inputs[i].numel();
    if (const Product* const product = products[static_cast<size_t>(i)].get()) {
      total += product->blocks() * product->work();
      for (int64_t block = 0; block < product->blocks(); ++block) pieces.push_back({i, block, product});
      continue;
    }
    for (int64_t begin = 0; begin < inputs[i].numel(); begin += kGrain) pieces.push_back({i, begin});
  }
  const auto run = [&](int64_t index) {
    const auto [parameter, begin, product] = pieces[static_cast<size_t>(index)];
    const DType dtype = inputs[parameter].dtype();
    const auto& s = steps[static_cast<size_t>(parameter)];
    void* arrays[kMaxGroups];
    const auto point_at = [&](int64_t i) {
      for (int k = 0; k < groups; ++k) {
        const Tensor& x = inputs[k * count + parameter];
        if (x.defined())
          arrays[k] = static_cast<char*>(x.raw_data()) + i * static_cast<int64_t>(size_of(x.dtype()));
      }
    };
    if (product) {
      const auto size = static_cast<int64_t>(size_of(dtype));
      const Product::Block block = product->block(begin);
      const int64_t height = block.rows, width = block.columns;
      char* const gradient = own_memory<Use::product>(height * width * size);
      product->compute(begin, gradient, width);
      const bool is_flat = width == product->columns();
      const UpdateFunctions functions = update_functions(dtype);
      point_at(block.first);
      arrays[groups - 1] = gradient;
      for (int64_t row = 0; row < (is_flat ? 1 : height); ++row) {
        step(functions, s, arrays, groups, is_flat ? height * width : width);
        for (int k = 0; k < groups; ++k)
          arrays[k] = static_cast<char*>(arrays[k]) + (k + 1 < groups ? product->columns() : width) * size;
      }
      return;
    }
    const int64_t n = std::min(kGrain, inputs[parameter].numel() - begin);
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

void sgd_update(const Call& call, std::span<const Factors> factors) {
  for_parameters<SgdAttrs>(
      call, factors, [](const UpdateFunctions& f, const SgdStep& s, void* const* x, int groups, int64_t n) {
        f.sgd(s, x[0], groups == 3 ? x[1] : nullptr, x[groups - 1], n);
      });
}

void adam_update(const Call& call, std::span<const Factors> factors) {
  for_parameters<AdamAttrs>(call, factors,
                            [](const UpdateFunctions& f, const AdamStep& s, void* const* x, int, int64_t n) {
                              f.adam(s, x[0], x[1], x[2], x[3], n);
                            });
}

void rmsprop_update(const Call& call, std::span<const Factors> factors) {
  for_parameters<RmspropAttrs>(
      call, factors,
      [](const UpdateFunctions& f, const RmspropStep& s, void* const* x, int groups, int64_t n) {
        f.rmsprop(s, x[0], x[1], groups == 4 ? x[2] : nullptr, x[groups - 1], n);
      });
}

using Update = void (*)(const Call&, std::span<const Factors>);
Update update_of(const Primitive& primitive) {
  if (&primitive == &primitives::sgd_update) return sgd_update;
  if (&primitive == &primitives::adam_update) return adam_update;
  return &primitive == &primitives::rmsprop_update ? rmsprop_update : nullptr;
}

}  // namespace

bool takes_factors(const SpecCall& call, size_t input) {
  const DType dtype = call.inputs[input].dtype;
  if (&call.primitive == &primitives::add) return input == 1 && is_floating(dtype) && !is_narrow(dtype);
  const auto is_gradient = [&]<class Attributes>() {
    const auto& attrs = call.attrs.as<Attributes>();
    const size_t end = call.inputs.size() - (attrs.clocked ? 1 : 0);
    return input < end && input + static_cast<size_t>(attrs.count) >= end;
  };
  const bool is_one = &call.primitive == &primitives::sgd_update    ? is_gradient.operator()<SgdAttrs>()
                      : &call.primitive == &primitives::adam_update ? is_gradient.operator()<AdamAttrs>()
                      : &call.primitive == &primitives::rmsprop_update
                          ? is_gradient.operator()<RmspropAttrs>()
                          : false;
  return is_one && !is_narrow(dtype);
}

void run_with_factors(const Call& call, std::span<const Factors> factors) {
  if (&call.primitive == &primitives::add) return add_product(call, factors[0]);
  update_of(call.primitive)(call, factors);
}

void register_update_kernels() {
  set_kernel(primitives::sgd_update, DeviceType::cpu, [](const Call& call) { sgd_update(call, {}); });
  set_kernel(primitives::adam_update, DeviceType::cpu, [](const Call& call) { adam_update(call, {}); });
  set_kernel(primitives::rmsprop_update, DeviceType::cpu, [](const Call& call) { rmsprop_update(call, {}); });
}

}  // namespace tidu::cpu
