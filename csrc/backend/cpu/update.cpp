// The optimisers' update steps: each parameter's arrays in pieces, over all threads.
#include "backend/cpu/update.h"

#include <algorithm>
#include <memory>

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

// The products among a call's gradients, in the workspace.
class Products {
 public:
  Products(int64_t parameters, size_t products, Workspace& workspace)
      : of_(workspace.take<const Product*>(parameters)),
        memory_(workspace.take<Product>(static_cast<int64_t>(products))) {
    if (!workspace.counts()) std::fill_n(of_, parameters, nullptr);
  }
  Products(const Products&) = delete;
  ~Products() { std::destroy_n(memory_, count_); }

  void add(int64_t parameter, const Factors& factors, Workspace& workspace) {
    if (workspace.counts()) {
      const Product counted(factors.a, factors.b, Tensor(), workspace);
      return;
    }
    of_[parameter] = new (memory_ + count_) Product(factors.a, factors.b, Tensor(), workspace);
    ++count_;
  }
  // Null where it is none.
  const Product* operator[](int64_t parameter) const { return of_[parameter]; }

 private:
  const Product** of_;
  Product* memory_;
  size_t count_ = 0;
};

// Calls step(functions, s, arrays, n), s saying what is done to the parameter, for pieces of each parameter;
// arrays[k] is its tensor in group k, the last one being the gradient. 16-bit parameters and gradients are
// stepped in float, a tile at a time. Of a gradient that is a product a piece is a patch of that.
template <class Attributes, class Step>
void for_parameters(const Call& call, std::span<const Factors> factors, Workspace& workspace,
                    const Step& step) {
  const auto& attrs = call.attrs.as<Attributes>();
  const int64_t count = attrs.count;
  const auto inputs = call.inputs.first(call.inputs.size() - (attrs.clocked ? 1 : 0));
  const auto tensors = static_cast<int64_t>(inputs.size());
  const int groups = static_cast<int>(tensors / std::max<int64_t>(count, 1));
  using StepOf = decltype(step_of(attrs));
  StepOf* const steps = workspace.take<StepOf>(count);
  int64_t* const first_piece = workspace.take<int64_t>(count + 1);
  char** const data = workspace.take<char*>(tensors);
  const auto row_major_data = [&](const Tensor& x) {
    const Tensor dense = row_major(x, workspace);
    return workspace.counts() ? nullptr : static_cast<char*>(dense.raw_data());
  };
  for (int64_t i = 0; i < tensors; ++i) {
    char* const of_tensor = inputs[i].defined() ? row_major_data(inputs[i]) : nullptr;
    if (!workspace.counts()) data[i] = of_tensor;
  }
  const auto* const rows =
      attrs.clocked ? reinterpret_cast<const ClockRow*>(row_major_data(call.inputs.back())) : nullptr;
  Products products(count, factors.size(), workspace);
  for (const Factors& of_gradient : factors)
    products.add(static_cast<int64_t>(of_gradient.input) % count, of_gradient, workspace);
  if (workspace.counts()) return;
  int64_t total = 0;
  first_piece[0] = 0;
  for (int64_t i = 0; i < count; ++i) {
    steps[i] = step_of(attrs);
    if (rows) steps[i].set(rows[i]);
    total += inputs[i].numel();
    if (products[i]) total += products[i]->patches() * products[i]->work();
    first_piece[i + 1] =
        first_piece[i] + (products[i] ? products[i]->patches() : (inputs[i].numel() + kGrain - 1) / kGrain);
  }
  const auto run = [&](int64_t index) {
    const int64_t parameter = std::upper_bound(first_piece, first_piece + count + 1, index) - first_piece - 1,
                  piece = index - first_piece[parameter];
    const Product* const product = products[parameter];
    const DType dtype = inputs[parameter].dtype();
    const auto& s = steps[parameter];
    void* arrays[kMaxGroups];
    const auto point_at = [&](int64_t i) {
      for (int k = 0; k < groups; ++k) {
        const int64_t number = k * count + parameter;
        if (data[number])
          arrays[k] = data[number] + i * static_cast<int64_t>(size_of(inputs[number].dtype()));
      }
    };
    if (product) {
      const auto size = static_cast<int64_t>(size_of(dtype));
      const Product::Patch patch = product->patch(piece);
      const int64_t height = patch.rows, width = patch.columns;
      char* const gradient = own_memory<Use::product>(height * width * size);
      product->compute(piece, gradient, width);
      const bool is_flat = width == product->columns();
      const UpdateFunctions functions = update_functions(dtype);
      point_at(patch.first);
      arrays[groups - 1] = gradient;
      for (int64_t row = 0; row < (is_flat ? 1 : height); ++row) {
        step(functions, s, arrays, groups, is_flat ? height * width : width);
        for (int k = 0; k < groups; ++k)
          arrays[k] = static_cast<char*>(arrays[k]) + (k + 1 < groups ? product->columns() : width) * size;
      }
      return;
    }
    const int64_t begin = piece * kGrain, n = std::min(kGrain, inputs[parameter].numel() - begin);
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
  parallel_for(first_piece[count], total, run);
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const Tensor& x = call.outputs[i];
    if (data[i] == x.raw_data()) continue;
    copy_elements(Tensor::from_memory(data[i], x.shape(), contiguous_strides(x.shape()), x.dtype(), nullptr),
                  x);
  }
}

void sgd_update(const Call& call, std::span<const Factors> factors, Workspace& workspace) {
  for_parameters<SgdAttrs>(call, factors, workspace,
                           [](const UpdateFunctions& f, const SgdStep& s, void* const* x, int groups,
                              int64_t n) { f.sgd(s, x[0], groups == 3 ? x[1] : nullptr, x[groups - 1], n); });
}

void adam_update(const Call& call, std::span<const Factors> factors, Workspace& workspace) {
  for_parameters<AdamAttrs>(call, factors, workspace,
                            [](const UpdateFunctions& f, const AdamStep& s, void* const* x, int, int64_t n) {
                              f.adam(s, x[0], x[1], x[2], x[3], n);
                            });
}

void rmsprop_update(const Call& call, std::span<const Factors> factors, Workspace& workspace) {
  for_parameters<RmspropAttrs>(
      call, factors, workspace,
      [](const UpdateFunctions& f, const RmspropStep& s, void* const* x, int groups, int64_t n) {
        f.rmsprop(s, x[0], x[1], groups == 4 ? x[2] : nullptr, x[groups - 1], n);
      });
}

using Update = void (*)(const Call&, std::span<const Factors>, Workspace&);
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

void run_with_factors(const Call& call, std::span<const Factors> factors, Workspace& workspace) {
  if (&call.primitive == &primitives::add) return add_product(call, factors[0], workspace);
  update_of(call.primitive)(call, factors, workspace);
}

namespace {

template <Update update> void without_factors(const Call& call, Workspace& workspace) {
  update(call, {}, workspace);
}

}  // namespace

void register_update_kernels() {
  set_kernel_with_workspace<without_factors<sgd_update>>(primitives::sgd_update);
  set_kernel_with_workspace<without_factors<adam_update>>(primitives::adam_update);
  set_kernel_with_workspace<without_factors<rmsprop_update>>(primitives::rmsprop_update);
}

}  // namespace tidu::cpu
