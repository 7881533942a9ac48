// Which element of each window is the largest.
#include "kernels/cuda/pooling.h"

#include "kernels/convert.h"
#include "kernels/cuda/portable.h"

namespace tidu::cuda {
namespace {

constexpr int kThreads = 256;

// A thread has a window.
template <class T>
__global__ void __launch_bounds__(kThreads) argmax_kernel(const __grid_constant__ Pooling work) {
  using Real = Computed<T>;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const PoolingAxis *const deep = work.axis, *const down = work.axis + 1, *const across = work.axis + 2;
  const int64_t windows = deep->count * down->count * across->count, plane = i / windows,
                number = i - plane * windows;
  if (plane >= work.planes) return;
  const Window z = deep->at(number / (down->count * across->count)),
               y = down->at(number / across->count % down->count), x = across->at(number % across->count);
  const int64_t row = across->extent, layer = down->extent * row;
  const T* const from = static_cast<const T*>(work.x) + plane * deep->extent * layer;
  int64_t best = z.begin * layer + y.begin * row + x.begin;
  Real largest = static_cast<Real>(from[best]);
  for (int64_t k = z.begin; k < z.end; k += z.step) {
    for (int64_t j = y.begin; j < y.end; j += y.step) {
      for (int64_t at = x.begin; at < x.end; at += x.step) {
        const Real value = static_cast<Real>(from[k * layer + j * row + at]);
        if (value > largest || (value != value && largest == largest)) {
          largest = value;
          best = k * layer + j * row + at;
        }
      }
    }
  }
  work.places[i] = best;
}

}  // namespace

cudaError_t argmax_of_windows(cudaStream_t stream, const Pooling& work) {
  const int64_t count = work.planes * work.axis[0].count * work.axis[1].count * work.axis[2].count;
  if (count == 0) return cudaSuccess;
  return visit_dtype(work.dtype, [&]<class T>() {
    return launch<argmax_kernel<T>>(
        {static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream}, work);
  });
}

}  // namespace tidu::cuda
