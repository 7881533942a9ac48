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

template <class T> void transform(const Call& call) {
  const Tensor x = row_major(call.inputs[0]), &y = call.outputs[0];
  const int64_t n = x.size(-1), rows = x.numel() / n;
  const bool inverse = call.attrs.as<FourierAttrs>().inverse;
  const auto plan = fourier_plan<T>(n);
  const int64_t width = fourier_width(*plan, rows);
  parallel_ranges(rows, width, 8 * x.numel(), [&](int64_t begin, int64_t end) {
    const int64_t bytes = fourier_room(*plan, end - begin) * static_cast<int64_t>(sizeof(T));
    const Tensor large = bytes > kMostKept ? Tensor::empty({bytes}, DType::uint8) : Tensor();
    void* const room = large.defined() ? large.raw_data() : own_memory<Use::fourier>(bytes);
    fourier(*plan, x.data<complex<T>>() + begin * n, y.data<complex<T>>() + begin * n, end - begin, inverse,
            static_cast<T*>(room));
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

}  // namespace

void register_fourier_kernels() { set_kernel(primitives::fourier, DeviceType::cpu, fourier); }

}  // namespace tidu::cpu
