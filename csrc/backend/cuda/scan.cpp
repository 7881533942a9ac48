// Cumulative scans along any axis.
#include "kernels/cuda/scan.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "ops/scan.h"
#include "ops/shape.h"

namespace tidu::cuda {
namespace {

// Rows in the order of the table.
template <size_t row> ScanWork work_of(const Call& call) {
  const Tensor& x = call.inputs[0];
  const int axis = call.attrs.as<AxisAttrs>().axis;
  ScanWork work{.n = x.size(axis), .state_size = scan_row(row, x.dtype()).state_size};
  for (int i = axis + 1; i < x.ndim(); ++i) work.columns *= x.size(i);
  if (x.numel() > 0) work.frames = x.numel() / (work.n * work.columns);
  return work;
}

template <size_t row> cudaError_t scan(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  Tensor x = call.inputs[0];
  TIDU_TRY(make_row_major(&x, context));
  ScanWork work = work_of<row>(call);
  work.workspace = context.workspace<char>(static_cast<size_t>(work.workspace_bytes()));
  if (context.only_counts()) return cudaSuccess;
  work.x = x.raw_data();
  work.y = y.raw_data();
  return scan_row(row, x.dtype()).function(context.stream(), work);
}

template <size_t... row> void register_rows(Primitive* const* primitives, std::index_sequence<row...>) {
  (set_counted_operation<scan<row>>(*primitives[row]), ...);
}

}  // namespace

void register_scan_kernels() {
  Primitive* const table[] = {
#define SCAN(name, ...) &primitives::name,
#include "ops/scan.def"
  };
  register_rows(table, std::make_index_sequence<std::size(table)>());
}

}  // namespace tidu::cuda
