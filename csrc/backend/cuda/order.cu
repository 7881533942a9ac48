// Sorting, and searching in what is sorted.
#include "kernels/order.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/portable.h"
#include "kernels/cuda/sort.h"
#include "ops/order.h"

namespace tidu::cuda {
namespace {

constexpr int kThreads = 256;

unsigned blocks_for(int64_t count) { return static_cast<unsigned>((count + kThreads - 1) / kThreads); }

__device__ __forceinline__ int64_t thread_number() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

template <class T, class Key>
__global__ void __launch_bounds__(kThreads)
    number_keys_kernel(const T* x, int64_t count, int64_t n, bool descending, bool apart, Key* keys,
                       int64_t* positions) {
  const int64_t i = thread_number();
  if (i >= count) return;
  const int64_t row = i / n;
  Key key = order_key(x[i], descending);
  if constexpr (sizeof(Key) > sizeof(OrderKey<T>)) {
    if (!apart) key |= static_cast<Key>(row) << (8 * sizeof(OrderKey<T>));
  }
  keys[i] = key;
  positions[i] = apart ? i : i - row * n;
}

__global__ void __launch_bounds__(kThreads)
    take_first_kernel(const int64_t* positions, int64_t n, int64_t count, int64_t total, int64_t* order) {
  const int64_t i = thread_number();
  if (i < total) order[i] = positions[i / count * n + i % count];
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    take_in_order_kernel(const T* x, const int64_t* positions, int64_t n, int64_t count, T* y) {
  const int64_t i = thread_number();
  if (i < count) y[i] = x[i / n * n + positions[i]];
}

// By which pairs that were sorted by number are sorted into their rows.
__global__ void __launch_bounds__(kThreads)
    number_rows_kernel(int64_t count, int64_t n, uint64_t* keys, int64_t* positions) {
  const int64_t i = thread_number();
  if (i >= count) return;
  const int64_t row = positions[i] / n;
  keys[i] = static_cast<uint64_t>(row);
  positions[i] -= row * n;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    search_rows_kernel(const T* rows, int64_t n, const T* values, int64_t count, int64_t each, bool right,
                       int64_t* places) {
  const int64_t i = thread_number();
  if (i < count) places[i] = place_in_order(rows + i / each * n, n, values[i], right);
}

// How rows of `n` numbers become pairs to sort: the keys are uint64_t if `wide`, else uint32_t. The position
// is that in the row, and the key holds the row above the number, where both fit; where they do not (`apart`)
// the position is that among all.
struct OrderedRows {
  const Tensor& x;
  int64_t n;
  bool descending, wide, apart;
};

cudaError_t number_keys(const OrderedRows& rows, void* keys, int64_t* positions, cudaStream_t stream) {
  const int64_t count = rows.x.numel();
  const Grid grid(blocks_for(count), kThreads, 0, stream);
  return visit_dtype(rows.x.dtype(), [&]<class T>() {
    const T* const x = static_cast<const T*>(rows.x.raw_data());
    if constexpr (sizeof(T) <= 4) {
      if (!rows.wide) {
        return launch<number_keys_kernel<T, uint32_t>>(grid, x, count, rows.n, rows.descending, rows.apart,
                                                       static_cast<uint32_t*>(keys), positions);
      }
    }
    return launch<number_keys_kernel<T, uint64_t>>(grid, x, count, rows.n, rows.descending, rows.apart,
                                                   static_cast<uint64_t*>(keys), positions);
  });
}

// Whole rows are sorted all at once, which is stable: by keys that hold number and row, or, where 64 bits are
// too few for both, by number and then by row.
cudaError_t sort_whole(const Tensor& x, bool descending, int64_t* order, Context& context) {
  const int64_t count = x.numel(), n = x.size(-1), row_count = count / n;
  const bool large = size_of(x.dtype()) == 8, apart = large && row_count > 1, wide = large || row_count > 1;
  const OrderedRows rows{x, n, descending, wide, apart};
  const auto size = static_cast<size_t>(count);
  const auto sort = [&]<class Key>() -> cudaError_t {
    Key* const keys = context.workspace<Key>(size);
    const Room room = context.room(sort_bytes<Key, int64_t>(count));
    if (context.only_counts()) return cudaSuccess;
    const cudaStream_t stream = context.stream();
    TIDU_TRY(number_keys(rows, keys, order, stream));
    TIDU_TRY(sort_pairs(stream, room, keys, order, count));
    if constexpr (sizeof(Key) == sizeof(uint64_t)) {
      if (!apart) return cudaSuccess;
      TIDU_TRY(launch<number_rows_kernel>({blocks_for(count), kThreads, 0, stream}, count, n, keys, order));
      return sort_pairs(stream, room, keys, order, count);
    }
    return cudaSuccess;
  };
  return wide ? sort.operator()<uint64_t>() : sort.operator()<uint32_t>();
}

cudaError_t sort_values(const Call& call, Context& context) {
  Tensor x = call.inputs[0];
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  TIDU_TRY(make_row_major(&x, context));
  int64_t* const positions = context.workspace<int64_t>(static_cast<size_t>(y.numel()));
  TIDU_TRY(sort_whole(x, call.attrs.as<SortRowsAttrs>().descending, positions, context));
  if (context.only_counts()) return cudaSuccess;
  return visit_dtype(x.dtype(), [&]<class T>() {
    return launch<take_in_order_kernel<T>>({blocks_for(y.numel()), kThreads, 0, context.stream()},
                                           static_cast<const T*>(x.raw_data()), positions, x.size(-1),
                                           y.numel(), static_cast<T*>(y.raw_data()));
  });
}

cudaError_t argsort(const Call& call, Context& context) {
  Tensor x = call.inputs[0];
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  TIDU_TRY(make_row_major(&x, context));
  const auto [descending, count] = call.attrs.as<SortAttrs>();
  const int64_t n = x.size(-1);
  if (count == n) return sort_whole(x, descending, y.data<int64_t>(), context);
  int64_t* const positions = context.workspace<int64_t>(static_cast<size_t>(x.numel()));
  TIDU_TRY(sort_whole(x, descending, positions, context));
  if (context.only_counts()) return cudaSuccess;
  return launch<take_first_kernel>({blocks_for(y.numel()), kThreads, 0, context.stream()}, positions, n,
                                   count, y.numel(), y.data<int64_t>());
}

cudaError_t searchsorted(const Call& call, Context& context) {
  Tensor sorted = call.inputs[0], values = call.inputs[1];
  if (values.numel() == 0) return cudaSuccess;
  TIDU_TRY(make_row_major(&sorted, context));
  TIDU_TRY(make_row_major(&values, context));
  if (context.only_counts()) return cudaSuccess;
  return visit_dtype(sorted.dtype(), [&]<class T>() {
    return launch<search_rows_kernel<T>>(
        {blocks_for(values.numel()), kThreads, 0, context.stream()}, static_cast<const T*>(sorted.raw_data()),
        sorted.size(-1), static_cast<const T*>(values.raw_data()), values.numel(), values.size(-1),
        call.attrs.as<SearchAttrs>().right, call.outputs[0].data<int64_t>());
  });
}

}  // namespace

void register_order_kernels() {
  set_counted_operation<sort_values>(primitives::sort);
  set_counted_operation<argsort>(primitives::argsort);
  set_counted_operation<searchsorted>(primitives::searchsorted);
}

}  // namespace tidu::cuda
