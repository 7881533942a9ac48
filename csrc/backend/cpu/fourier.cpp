// Discrete Fourier transforms along the last axis.
#include "kernels/cpu/fourier.h"

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/threads.h"
#include "ops/fourier.h"

namespace tidu::cpu {
namespace {

// Bytes of room that a thread keeps for its next call.
constexpr int64_t kMostKept = int64_t{1} << 20;

// transform(first row, how many, room) for all rows, some at a time.
template <class T, class Plan, class F>
void each_rows(const Plan& plan, int64_t rows, int64_t cost, const F& transform) {
  const int64_t width = fourier_width(plan, rows);
  parallel_ranges(rows, width, cost, [&](int64_t begin, int64_t end) {
    const int64_t bytes = fourier_room(plan, end - begin) * static_cast<int64_t>(sizeof(T));
    const Tensor large = bytes > kMostKept ? Tensor::empty({bytes}, DType::uint8) : Tensor();
    void* const room = large.defined() ? large.raw_data() : own_memory<Use::fourier>(bytes);
    transform(begin, end - begin, static_cast<T*>(room));
  });
}

template <class T> void transform(const Call& call) {
  const Tensor x = row_major(call.inputs[0]), &y = call.outputs[0];
  const int64_t n = x.size(-1);
  const bool inverse = call.attrs.as<FourierAttrs>().inverse;
  const auto plan = fourier_plan<T>(n);
  each_rows<T>(*plan, x.numel() / n, 8 * x.numel(), [&](int64_t row, int64_t count, T* room) {
    fourier(*plan, x.data<complex<T>>() + row * n, y.data<complex<T>>() + row * n, count, inverse, room);
  });
}

// From real numbers or to them.
template <class From, class To, class T> void transform_real(const Call& call, int64_t n) {
  const Tensor x = row_major(call.inputs[0]), &y = call.outputs[0];
  const auto plan = real_fourier_plan<T>(n);
  const int64_t rows = x.numel() / x.size(-1);
  each_rows<T>(*plan, rows, 4 * rows * n, [&](int64_t row, int64_t count, T* room) {
    fourier(*plan, x.data<From>() + row * x.size(-1), y.data<To>() + row * y.size(-1), count, room);
  });
}

void fourier(const Call& call) {
  if (call.inputs[0].numel() == 0) return;
  if (call.inputs[0].dtype() == DType::complex64) {
    transform<float>(call);
  } else {
    transform<double>(call);
  }
}

void real_fourier(const Call& call) {
  if (call.inputs[0].numel() == 0) return;
  const int64_t n = call.inputs[0].size(-1);
  if (call.inputs[0].dtype() == DType::float32) {
    transform_real<float, complex<float>, float>(call, n);
  } else {
    transform_real<double, complex<double>, double>(call, n);
  }
}

void fourier_to_real(const Call& call) {
  if (call.inputs[0].numel() == 0) return;
  const int64_t n = call.attrs.as<RealFourierAttrs>().n;
  if (call.inputs[0].dtype() == DType::complex64) {
    transform_real<complex<float>, float, float>(call, n);
  } else {
    transform_real<complex<double>, double, double>(call, n);
  }
}

}  // namespace

void register_fourier_kernels() {
  set_kernel(primitives::fourier, DeviceType::cpu, fourier);
  set_kernel(primitives::real_fourier, DeviceType::cpu, real_fourier);
  set_kernel(primitives::fourier_to_real, DeviceType::cpu, fourier_to_real);
}

}  // namespace tidu::cpu
