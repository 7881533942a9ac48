// Cumulative scans along any axis.
#include "kernels/cuda/scan.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/operations.h"
#include "ops/scan.h"
#include "ops/shape.h"

namespace tidu::cuda {
namespace {

// Rows in the order of the table.
template <size_t row> cudaError_t scan(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  Tensor x = call.inputs[0];
  TIDU_TRY(make_row_major(&x, context.stream()));
  const int axis = call.attrs.as<AxisAttrs>().axis;
  const ScanRow function = scan_row(row, x.dtype());
  ScanWork work{.x = x.raw_data(), .y = y.raw_data(), .n = x.size(axis), .state_size = function.state_size};
  for (int i = axis + 1; i < x.ndim(); ++i) work.columns *= x.size(i);
  work.frames = x.numel() / (work.n * work.columns);
  if (const int64_t bytes = work.workspace_bytes(); bytes > 0)
    work.workspace = context.workspace<char>(static_cast<size_t>(bytes));
  return function.function(context.stream(), work);
}

template <size_t... row> void register_rows(Primitive* const* primitives, std::index_sequence<row...>) {
  (set_operation<scan<row>>(*primitives[row]), ...);
}

}  // namespace

void register_scan_operations() {
  Primitive* const table[] = {
#define SCAN(name, ...) &primitives::name,
#include "ops/scan.def"
  };
  register_rows(table, std::make_index_sequence<std::size(table)>());
}

}  // namespace tidu::cuda
