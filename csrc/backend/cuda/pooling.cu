// Which element of each window is the largest.
#include "ops/pooling.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/convert.h"
#include "kernels/cuda/portable.h"
#include "kernels/windows.h"

namespace tidu::cuda {
namespace {

// Of row-major planes of x.
struct Pooling {
  DType dtype = DType::float32;
  int64_t planes = 0;
  PoolingAxis axis[kMaxSpatial] = {};
  const void* x = nullptr;
  int64_t* places = nullptr;
};

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

cudaError_t argmax(const Call& call, Context& context) {
  const Tensor& out = call.outputs[0];
  if (out.numel() == 0) return cudaSuccess;
  Tensor x = call.inputs[0];
  TIDU_TRY(make_row_major(&x, context));
  if (context.only_counts()) return cudaSuccess;
  const auto& attrs = call.attrs.as<PoolingAttrs>();
  const int rank = attrs.extents.size();
  const auto blocks = static_cast<unsigned>((out.numel() + kThreads - 1) / kThreads);
  Pooling work{.dtype = x.dtype(), .planes = out.numel(), .x = x.raw_data(), .places = out.data<int64_t>()};
  for (int i = 0; i < rank; ++i) {
    PoolingAxis& axis = work.axis[kMaxSpatial - rank + i];
    axis = pooling_axis(x.shape(), attrs, i);
    work.planes /= axis.count;
  }
  return visit_dtype(work.dtype, [&]<class T>() {
    return launch<argmax_kernel<T>>({blocks, kThreads, 0, context.stream()}, work);
  });
}

}  // namespace

void register_pooling_kernels() { set_counted_operation<argmax>(primitives::argmax_of_windows); }

}  // namespace tidu::cuda
