// cuFFT on the host: rows of complex numbers, as far as the backend has them transformed, by the kernel of
// the cpu.
#include <cufft.h>

#include <map>

#include "kernels/cpu/fourier.h"
#include "simt/libraries/library.h"

namespace tidu::simt {
namespace {

cufftResult refuse(const std::string& why, cufftResult result = CUFFT_INVALID_VALUE) {
  report("cuFFT: " + why);
  return result;
}

struct Plan {
  LibraryState state;
  cufftType type;
  int64_t n = 0, rows = 0;  // 0: not made yet
};

std::map<cufftHandle, Plan>& plans() {
  static std::map<cufftHandle, Plan> all;
  return all;
}

template <class F> cufftResult with(cufftHandle handle, F f) {
  const std::lock_guard lock(runtime_lock());
  const auto found = plans().find(handle);
  if (found == plans().end()) return refuse("not a plan, or one destroyed", CUFFT_INVALID_PLAN);
  if (sticky_error() != cudaSuccess) return CUFFT_EXEC_FAILED;
  return f(found->second);
}

// A size that no caller would guess.
int64_t workspace_of(const Plan& plan) { return 16 * plan.n * plan.rows + 40; }

template <class T, class Number>
cufftResult transform(cufftHandle handle, cufftType type, Number* from, Number* to, int direction) {
  return with(handle, [&](const Plan& plan) {
    if (plan.n == 0 || plan.type != type || (direction != CUFFT_FORWARD && direction != CUFFT_INVERSE))
      return refuse("exec: a wrong argument, or a plan for another type");
    if (from == to) return refuse("exec: in place, which is not emulated", CUFFT_NOT_SUPPORTED);
    const auto rows = [&](const char* name, const Number* data) {
      return Operand{name, data, sizeof(Number), plan.n, plan.rows, plan.n};
    };
    const int64_t bytes = workspace_of(plan);
    for (const Operand& x : {rows("input", from), rows("output", to),
                             Operand{"work area", plan.state.workspace, 1, bytes, 1, bytes}}) {
      const std::string fault = fault_of(x, plan.state.device);
      if (!fault.empty()) return refuse("exec: " + fault);
    }
    const cudaError_t error = submit_to(plan.state, [=, n = plan.n, count = plan.rows,
                                                     workspace = plan.state.workspace] {
      scribble(workspace, static_cast<size_t>(bytes));
      const auto steps = cpu::fourier_plan<T>(n);
      std::vector<T> room(static_cast<size_t>(cpu::fourier_room(*steps, 1)));
      for (int64_t row = 0; row < count; ++row) {
        cpu::fourier(*steps, reinterpret_cast<const complex<T>*>(from + row * n),
                     reinterpret_cast<complex<T>*>(to + row * n), 1, direction == CUFFT_INVERSE, room.data());
      }
      wrote(to, sizeof(Number), n, count, n);
    });
    return error == cudaSuccess ? CUFFT_SUCCESS : CUFFT_EXEC_FAILED;
  });
}

}  // namespace
}  // namespace tidu::simt

using namespace tidu::simt;

extern "C" {

cufftResult cufftCreate(cufftHandle* handle) {
  if (!handle) return refuse("cufftCreate: no place for the handle");
  const std::lock_guard lock(runtime_lock());
  static cufftHandle last = 0x100;
  plans()[++last] = {{current_device()}, CUFFT_C2C};
  *handle = last;
  return CUFFT_SUCCESS;
}

cufftResult cufftDestroy(cufftHandle handle) {
  const std::lock_guard lock(runtime_lock());
  return plans().erase(handle) == 1 ? CUFFT_SUCCESS : refuse("cufftDestroy: not a plan", CUFFT_INVALID_PLAN);
}

cufftResult cufftSetAutoAllocation(cufftHandle handle, int allocate) {
  return with(handle, [&](Plan&) {
    return allocate == 0 ? CUFFT_SUCCESS : refuse("memory of its own is not emulated", CUFFT_NOT_SUPPORTED);
  });
}

cufftResult cufftMakePlanMany64(cufftHandle handle, int rank, long long* n, long long* inembed,
                                long long istride, long long idist, long long* onembed, long long ostride,
                                long long odist, cufftType type, long long batch, size_t* size) {
  return with(handle, [&](Plan& plan) {
    if (rank != 1 || !n || *n < 1 || batch < 1 || !size)
      return refuse("cufftMakePlanMany64: a wrong argument");
    if (inembed || onembed || istride != 1 || ostride != 1 || idist != *n || odist != *n ||
        (type != CUFFT_C2C && type != CUFFT_Z2Z))
      return refuse("cufftMakePlanMany64: a layout or type that is not emulated", CUFFT_NOT_SUPPORTED);
    // It allocates.
    if (refuse_in_capture("cufftMakePlanMany64") != cudaSuccess) return CUFFT_INTERNAL_ERROR;
    plan.type = type, plan.n = *n, plan.rows = batch;
    *size = static_cast<size_t>(workspace_of(plan));
    return CUFFT_SUCCESS;
  });
}

cufftResult cufftSetStream(cufftHandle handle, cudaStream_t stream) {
  return with(handle, [&](Plan& plan) {
    plan.state.stream = stream;
    return CUFFT_SUCCESS;
  });
}

cufftResult cufftSetWorkArea(cufftHandle handle, void* area) {
  return with(handle, [&](Plan& plan) {
    plan.state.workspace = area;
    return CUFFT_SUCCESS;
  });
}

cufftResult cufftExecC2C(cufftHandle handle, cufftComplex* from, cufftComplex* to, int direction) {
  return transform<float>(handle, CUFFT_C2C, from, to, direction);
}
cufftResult cufftExecZ2Z(cufftHandle handle, cufftDoubleComplex* from, cufftDoubleComplex* to,
                         int direction) {
  return transform<double>(handle, CUFFT_Z2Z, from, to, direction);
}

}  // extern "C"
