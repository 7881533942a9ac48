// Reductions over any axes.
#include "kernels/cuda/reduce.h"

#include <vector>

#include "backend/cuda/context.h"
#include "backend/cuda/kernels.h"
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

// Rows whose results are numbers of elements, so that the order of these matters.
constexpr bool kCounts[] = {
#define REDUCTION(...) false,
#define INDEX(...) true,
#include "ops/reduce.def"
};

// Rows in the order of the table.
template <size_t row> Reduce work_of(const Call& call) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  const auto& [reduced_axes, correction] = call.attrs.as<ReduceAttrs>();
  std::vector<Axis> kept, reduced;
  for (int i = 0, axis = 0; i < x.ndim(); ++i) {
    if (reduced_axes.contains(i)) {
      reduced.push_back({x.size(i), x.strides()[i], 0});
    } else {
      kept.push_back({x.size(i), x.strides()[i], y.strides()[axis++]});
    }
  }
  sort_for_reading(kept);
  if (!kCounts[row]) sort_for_reading(reduced);
  Reduce work{.x = x.raw_data(),
              .y = y.raw_data(),
              .kept = walk_of(kept),
              .reduced = walk_of(reduced),
              .state_size = reduction_row(row, x.dtype()).state_size,
              .whole = {y.numel() == 0 ? 0 : x.numel() / y.numel(), correction}};
  work.columns = inner_stride(work.kept) < inner_stride(work.reduced);
  return work;
}

template <size_t row> cudaError_t reduce_axes(const Call& call, Context& context) {
  Reduce work = work_of<row>(call);
  if (work.results() > 0)
    work.workspace = context.workspace<char>(static_cast<size_t>(work.workspace_bytes()));
  if (context.only_counts()) return cudaSuccess;
  return reduction_row(row, call.inputs[0].dtype()).function(context.stream(), work);
}

template <size_t... row> void register_rows(Primitive* const* primitives, std::index_sequence<row...>) {
  (set_counted_operation<reduce_axes<row>>(*primitives[row]), ...);
}

}  // namespace

void register_reduce_kernels() {
  Primitive* const table[] = {
#define REDUCTION(name, ...) &primitives::name,
#include "ops/reduce.def"
  };
  register_rows(table, std::make_index_sequence<std::size(table)>());
}

}  // namespace tidu::cuda
