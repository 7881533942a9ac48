// Sorting, and searching in what is sorted.
#include "kernels/cuda/order.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/sort.h"
#include "ops/order.h"

namespace tidu::cuda {
namespace {

// All rows are sorted at once, which is stable: by keys that hold number and row, or, where 64 bits are too
// few for both, by number and then by row.
cudaError_t argsort(const Call& call, Context& context) {
  Tensor x = call.inputs[0];
  const int64_t count = x.numel();
  if (count == 0) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(make_row_major(&x, stream));
  const int64_t n = x.size(-1), row_count = count / n;
  const bool large = size_of(x.dtype()) == 8, apart = large && row_count > 1, wide = large || row_count > 1;
  const OrderedRows rows{x.dtype(), x.raw_data(), count, n, call.attrs.as<SortAttrs>().descending, wide};
  int64_t* const order = call.outputs[0].data<int64_t>();
  const auto size = static_cast<size_t>(count);
  if (!wide) {
    uint32_t* const keys = context.workspace<uint32_t>(size);
    TIDU_TRY(number_keys(stream, rows, apart, keys, order));
    return sort_pairs(stream, context.scratch(), keys, order, count);
  }
  uint64_t* const keys = context.workspace<uint64_t>(size);
  TIDU_TRY(number_keys(stream, rows, apart, keys, order));
  TIDU_TRY(sort_pairs(stream, context.scratch(), keys, order, count));
  if (!apart) return cudaSuccess;
  TIDU_TRY(number_rows(stream, count, n, keys, order));
  return sort_pairs(stream, context.scratch(), keys, order, count);
}

cudaError_t searchsorted(const Call& call, Context& context) {
  Tensor sorted = call.inputs[0], values = call.inputs[1];
  if (values.numel() == 0) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(make_row_major(&sorted, stream));
  TIDU_TRY(make_row_major(&values, stream));
  return search_rows(stream, sorted.dtype(), sorted.raw_data(), sorted.size(-1), values.raw_data(),
                     values.numel(), values.size(-1), call.attrs.as<SearchAttrs>().right,
                     call.outputs[0].data<int64_t>());
}

}  // namespace

void register_order_kernels() {
  set_operation<argsort>(primitives::argsort);
  set_operation<searchsorted>(primitives::searchsorted);
}

}  // namespace tidu::cuda
