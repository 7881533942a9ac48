// Which element of each window is the largest.
#include "ops/pooling.h"

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "kernels/convert.h"

namespace tidu::cpu {
namespace {

template <class T> void argmax_of_plane(const PoolingAxis (&axis)[kMaxSpatial], const T* x, int64_t* places) {
  using Real = Computed<T>;
  const int64_t row = axis[2].extent, plane = axis[1].extent * row;
  for (int64_t i = 0; i < axis[0].count; ++i) {
    const Window deep = axis[0].at(i);
    for (int64_t j = 0; j < axis[1].count; ++j) {
      const Window down = axis[1].at(j);
      for (int64_t k = 0; k < axis[2].count; ++k) {
        const Window across = axis[2].at(k);
        int64_t best = deep.begin * plane + down.begin * row + across.begin;
        Real largest = static_cast<Real>(x[best]);
        for (int64_t z = deep.begin; z < deep.end; z += deep.step) {
          for (int64_t y = down.begin; y < down.end; y += down.step) {
            for (int64_t at = across.begin; at < across.end; at += across.step) {
              const Real value = static_cast<Real>(x[z * plane + y * row + at]);
              if (value > largest || (value != value && largest == largest))
                largest = value, best = z * plane + y * row + at;
            }
          }
        }
        *places++ = best;
      }
    }
  }
}

void argmax_of_windows(const Call& call, Workspace& workspace) {
  const Tensor& output = call.outputs[0];
  if (output.numel() == 0) return;
  const Tensor x = row_major(call.inputs[0], workspace);
  if (workspace.counts()) return;
  const auto& attrs = call.attrs.as<PoolingAttrs>();
  const int rank = attrs.extents.size();
  PoolingAxis axis[kMaxSpatial];
  int64_t each = 1, windows = 1;
  for (int i = 0; i < rank; ++i) {
    PoolingAxis& here = axis[kMaxSpatial - rank + i];
    here = pooling_axis(x.shape(), attrs, i);
    each *= here.extent, windows *= here.count;
  }
  const int64_t planes = output.numel() / windows;
  int64_t* const places = output.data<int64_t>();
  visit_dtype(x.dtype(), [&]<class T>() {
    const T* const from = static_cast<const T*>(x.raw_data());
    parallel_ranges(planes, std::max<int64_t>(1, kGrain / each), 2 * x.numel(),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t i = begin; i < end; ++i)
                        argmax_of_plane(axis, from + i * each, places + i * windows);
                    });
  });
}

}  // namespace

void register_pooling_kernels() {
  set_kernel_with_workspace<argmax_of_windows>(primitives::argmax_of_windows);
}

}  // namespace tidu::cpu
