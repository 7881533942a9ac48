// Sorting, and searching in what is sorted.
#include "kernels/cuda/order.h"

#include "kernels/cuda/portable.h"
#include "kernels/order.h"

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

}  // namespace

cudaError_t number_keys(cudaStream_t stream, const OrderedRows& rows, bool apart, void* keys,
                        int64_t* positions) {
  const Grid grid(blocks_for(rows.count), kThreads, 0, stream);
  return visit_dtype(rows.dtype, [&]<class T>() {
    const T* const x = static_cast<const T*>(rows.x);
    if constexpr (sizeof(T) <= 4) {
      if (!rows.wide) {
        return launch<number_keys_kernel<T, uint32_t>>(grid, x, rows.count, rows.n, rows.descending, apart,
                                                       static_cast<uint32_t*>(keys), positions);
      }
    }
    return launch<number_keys_kernel<T, uint64_t>>(grid, x, rows.count, rows.n, rows.descending, apart,
                                                   static_cast<uint64_t*>(keys), positions);
  });
}

cudaError_t number_rows(cudaStream_t stream, int64_t count, int64_t n, uint64_t* keys, int64_t* positions) {
  return launch<number_rows_kernel>({blocks_for(count), kThreads, 0, stream}, count, n, keys, positions);
}

cudaError_t search_rows(cudaStream_t stream, DType dtype, const void* rows, int64_t n, const void* values,
                        int64_t count, int64_t each, bool right, int64_t* places) {
  return visit_dtype(dtype, [&]<class T>() {
    return launch<search_rows_kernel<T>>({blocks_for(count), kThreads, 0, stream},
                                         static_cast<const T*>(rows), n, static_cast<const T*>(values), count,
                                         each, right, places);
  });
}

}  // namespace tidu::cuda
