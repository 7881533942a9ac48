// Triangular parts of matrices: a thread an element.
#include "kernels/cuda/triangle.h"

#include <climits>

#include "kernels/cuda/portable.h"

namespace tidu::cuda {
namespace {

constexpr int kThreads = 256;

template <class T> __global__ void __launch_bounds__(kThreads) zero_upper(T* data, int64_t n, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count && i % n > i / n % n) data[i] = T(0);
}

}  // namespace

cudaError_t keep_lower(cudaStream_t stream, DType dtype, void* data, int64_t n, int64_t count) {
  const int64_t elements = n * n * count, blocks = (elements + kThreads - 1) / kThreads;
  if (blocks == 0) return cudaSuccess;
  if (blocks > INT_MAX) return cudaErrorInvalidConfiguration;
  const Grid grid{dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, stream};
  switch (dtype) {
    case DType::float32: return launch<zero_upper<float>>(grid, static_cast<float*>(data), n, elements);
    case DType::float64: return launch<zero_upper<double>>(grid, static_cast<double*>(data), n, elements);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace tidu::cuda
