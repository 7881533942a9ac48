// Reductions over any axes.
#include "kernels/cuda/reduce.h"

#include <vector>

#include "backend/cuda/context.h"
#include "backend/cuda/operations.h"
#include "ops/reduce.h"

namespace tidu::cuda {
namespace {

struct Axis {
  int64_t extent, in, out;
};

// Neighbours in memory become neighbours; what is read again and again stays outside.
void sort_for_reading(std::vector<Axis>& axes) {
  const auto size = [](int64_t stride) { return stride == 0 ? INT64_MAX : std::abs(stride); };
  std::ranges::stable_sort(axes, [&](const Axis& a, const Axis& b) { return size(a.in) > size(b.in); });
}

Walk walk_of(const std::vector<Axis>& axes) {
  Walk walk;
  for (const Axis& axis : axes) walk.push_back(axis.extent, axis.in, axis.out);
  return walk;
}

int64_t inner_stride(const Walk& walk) {
  const int64_t stride = walk.rank > 0 ? walk.in[walk.rank - 1] : 0;
  return stride == 0 ? INT64_MAX : std::abs(stride);
}

template <ReduceFunction reduce> cudaError_t reduce_axes(const Call& call, Context& context) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  const Axes& reduced_axes = call.attrs.as<ReduceAttrs>().axes;
  std::vector<Axis> kept, reduced;
  for (int i = 0, axis = 0; i < x.ndim(); ++i) {
    if (reduced_axes.contains(i)) {
      reduced.push_back({x.size(i), x.strides()[i], 0});
    } else {
      kept.push_back({x.size(i), x.strides()[i], y.strides()[axis++]});
    }
  }
  sort_for_reading(kept);
  sort_for_reading(reduced);
  Reduce work{.x = x.raw_data(), .y = y.raw_data(), .kept = walk_of(kept), .reduced = walk_of(reduced)};
  if (work.results() == 0) return cudaSuccess;
  work.columns = inner_stride(work.kept) < inner_stride(work.reduced);
  if (const int64_t bytes = work.workspace_bytes(); bytes > 0)
    work.workspace = context.workspace<char>(static_cast<size_t>(bytes));
  return reduce(context.stream(), x.dtype(), work);
}

cudaError_t log_sum_exp(const Call& call, Context& context) {
  if (!is_floating(call.inputs[0].dtype()))
    fail<DTypeError>("[logsumexp] is of floating-point numbers, not ", describe(call.inputs[0]));
  return reduce_axes<logsumexp>(call, context);
}

}  // namespace

void register_reduce_operations() {
  set_operation<reduce_axes<sum>>(primitives::sum);
  set_operation<reduce_axes<prod>>(primitives::prod);
  set_operation<reduce_axes<max>>(primitives::max);
  set_operation<reduce_axes<min>>(primitives::min);
  set_operation<reduce_axes<max>>(primitives::any);
  set_operation<reduce_axes<min>>(primitives::all);
  set_operation<reduce_axes<argmax>>(primitives::argmax);
  set_operation<reduce_axes<argmin>>(primitives::argmin);
  set_operation<log_sum_exp>(primitives::logsumexp);
}

}  // namespace tidu::cuda
