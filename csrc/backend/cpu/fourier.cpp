// Discrete Fourier transforms along the last axis.
#include "kernels/cpu/fourier.h"

#include <algorithm>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "ops/fourier.h"

namespace tidu::cpu {
namespace {

// transform(first row, how many, room) for all rows, some at a time.
template <class T, class Plan, class F>
void each_rows(const Plan& plan, int64_t rows, int64_t cost, Workspace& workspace, const F& transform) {
  const int64_t width = fourier_width(plan, rows), tasks = (rows + width - 1) / width,
                room = fourier_room(plan, width);
  T* const rooms = workspace.take<T>(most_at_once(tasks) * room);
  if (workspace.counts()) return;
  parallel_with_rooms(tasks, cost, [&](int64_t task, int64_t own) {
    const int64_t begin = task * width;
    transform(begin, std::min(width, rows - begin), rooms + own * room);
  });
}

template <class T> void transform(const Call& call, Workspace& workspace) {
  const Tensor x = row_major(call.inputs[0], workspace), &y = call.outputs[0];
  const int64_t n = x.size(-1);
  const bool inverse = call.attrs.as<FourierAttrs>().inverse;
  const auto plan = fourier_plan<T>(n);
  each_rows<T>(*plan, x.numel() / n, 8 * x.numel(), workspace, [&](int64_t row, int64_t count, T* room) {
    fourier(*plan, x.data<complex<T>>() + row * n, y.data<complex<T>>() + row * n, count, inverse, room);
  });
}

// From real numbers or to them.
template <class From, class To, class T>
void transform_real(const Call& call, int64_t n, Workspace& workspace) {
  const Tensor x = row_major(call.inputs[0], workspace), &y = call.outputs[0];
  const auto plan = real_fourier_plan<T>(n);
  const int64_t rows = x.numel() / x.size(-1);
  each_rows<T>(*plan, rows, 4 * rows * n, workspace, [&](int64_t row, int64_t count, T* room) {
    fourier(*plan, x.data<From>() + row * x.size(-1), y.data<To>() + row * y.size(-1), count, room);
  });
}

void fourier(const Call& call, Workspace& workspace) {
  if (call.inputs[0].numel() == 0) return;
  if (call.inputs[0].dtype() == DType::complex64) {
    transform<float>(call, workspace);
  } else {
    transform<double>(call, workspace);
  }
}

void real_fourier(const Call& call, Workspace& workspace) {
  if (call.inputs[0].numel() == 0) return;
  const int64_t n = call.inputs[0].size(-1);
  if (call.inputs[0].dtype() == DType::float32) {
    transform_real<float, complex<float>, float>(call, n, workspace);
  } else {
    transform_real<double, complex<double>, double>(call, n, workspace);
  }
}

void fourier_to_real(const Call& call, Workspace& workspace) {
  if (call.inputs[0].numel() == 0) return;
  const int64_t n = call.attrs.as<RealFourierAttrs>().n;
  if (call.inputs[0].dtype() == DType::complex64) {
    transform_real<complex<float>, float, float>(call, n, workspace);
  } else {
    transform_real<complex<double>, double, double>(call, n, workspace);
  }
}

}  // namespace

void register_fourier_kernels() {
  set_kernel_with_workspace<fourier>(primitives::fourier);
  set_kernel_with_workspace<real_fourier>(primitives::real_fourier);
  set_kernel_with_workspace<fourier_to_real>(primitives::fourier_to_real);
}

}  // namespace tidu::cpu
