// The kernel behind all operations that make elements from their position alone.
#pragma once

#include "kernels/cuda/portable.h"

namespace tidu::cuda {

inline constexpr int kGenerateThreads = 256;

// y[v n + j] = make(v)[j], make giving Vec<T, n>; y is aligned for that.
template <class Make, class T, int n>
__global__ void __launch_bounds__(kGenerateThreads)
    generate_kernel(const __grid_constant__ Make make, T* y, int64_t count) {
  const int64_t v = static_cast<int64_t>(blockIdx.x) * kGenerateThreads + threadIdx.x;
  const int64_t begin = v * n;
  if (begin >= count) return;
  const Vec<T, n> made = make(v);
  if (count - begin >= n) return store_vec<n>(y + begin, made);
#pragma unroll
  for (int j = 0; j + 1 < n; ++j) {
    if (j < count - begin) y[begin + j] = made[j];
  }
}

template <class T, int n, class Make>
cudaError_t generate(cudaStream_t stream, const Make& make, T* y, int64_t count) {
  constexpr int64_t share = kGenerateThreads * n;
  return launch<generate_kernel<Make, T, n>>(
      {static_cast<unsigned>((count + share - 1) / share), kGenerateThreads, 0, stream}, make, y, count);
}

}  // namespace tidu::cuda
