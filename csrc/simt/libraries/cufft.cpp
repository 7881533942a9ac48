// cuFFT on the host: rows of complex and of real numbers, as far as the backend has them transformed, by the
// kernels of the cpu.
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

// Numbers of a row of input and of output.
struct Lengths {
  int64_t from, to;
};
Lengths lengths_of(cufftType type, int64_t n) {
  const bool from_half = type == CUFFT_C2R || type == CUFFT_Z2D,
             to_half = type == CUFFT_R2C || type == CUFFT_D2Z;
  return {from_half ? n / 2 + 1 : n, to_half ? n / 2 + 1 : n};
}

// transform(steps, from, to, room) of each row by the steps that make(n) gives.
template <class T, class From, class To, class Make, class Transform>
cufftResult run(cufftHandle handle, cufftType type, From* from, To* to, const Make& make,
                const Transform& transform) {
  return with(handle, [&](const Plan& plan) {
    if (plan.n == 0 || plan.type != type) return refuse("exec: a plan for another type");
    if (static_cast<void*>(from) == to)
      return refuse("exec: in place, which is not emulated", CUFFT_NOT_SUPPORTED);
    for (const void* data : {static_cast<void*>(from), static_cast<void*>(to)}) {
      if (reinterpret_cast<uintptr_t>(data) % (2 * sizeof(T)) != 0)
        return refuse("exec: memory that is not aligned as complex numbers are");
    }
    const auto [length, result] = lengths_of(type, plan.n);
    const int64_t bytes = workspace_of(plan);
    for (const MatrixArgument& x : {MatrixArgument{"input", from, sizeof(From), length, plan.rows, length},
                                    MatrixArgument{"output", to, sizeof(To), result, plan.rows, result},
                                    MatrixArgument{"work area", plan.state.workspace, 1, bytes, 1, bytes}}) {
      const std::string fault = fault_of(x, plan.state.device);
      if (!fault.empty()) return refuse("exec: " + fault);
    }
    const cudaError_t error =
        submit_to(plan.state, [=, n = plan.n, count = plan.rows, workspace = plan.state.workspace] {
          scribble(workspace, static_cast<size_t>(bytes));
          const auto steps = make(n);
          std::vector<T> room(static_cast<size_t>(cpu::fourier_room(*steps, 1)));
          for (int64_t row = 0; row < count; ++row)
            transform(*steps, from + row * length, to + row * result, room.data());
          wrote(to, sizeof(To), result, count, result);
        });
    return error == cudaSuccess ? CUFFT_SUCCESS : CUFFT_EXEC_FAILED;
  });
}

template <class T, class Number>
cufftResult transform(cufftHandle handle, cufftType type, Number* from, Number* to, int direction) {
  if (direction != CUFFT_FORWARD && direction != CUFFT_INVERSE) return refuse("exec: no direction");
  return run<T>(handle, type, from, to, &cpu::fourier_plan<T>,
                [=](const auto& steps, const Number* x, Number* y, T* room) {
                  cpu::fourier(steps, reinterpret_cast<const complex<T>*>(x),
                               reinterpret_cast<complex<T>*>(y), 1, direction == CUFFT_INVERSE, room);
                });
}

template <class T, class Number>
cufftResult transform_real(cufftHandle handle, cufftType type, T* from, Number* to) {
  return run<T>(handle, type, from, to, &cpu::real_fourier_plan<T>,
                [](const auto& steps, const T* x, Number* y, T* room) {
                  cpu::fourier(steps, x, reinterpret_cast<complex<T>*>(y), 1, room);
                });
}

template <class T, class Number>
cufftResult transform_to_real(cufftHandle handle, cufftType type, Number* from, T* to) {
  return run<T>(handle, type, from, to, &cpu::real_fourier_plan<T>,
                [](const auto& steps, Number* x, T* y, T* room) {
                  const int64_t inputs = steps.n / 2 + 1;
                  cpu::fourier(steps, reinterpret_cast<const complex<T>*>(x), y, 1, room);
                  scribble(x, static_cast<size_t>(inputs) * sizeof(Number));  // as cuFFT may
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
    const auto [from, to] = lengths_of(type, *n);
    if (inembed || onembed || istride != 1 || ostride != 1 || idist != from || odist != to)
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
cufftResult cufftExecR2C(cufftHandle handle, cufftReal* from, cufftComplex* to) {
  return transform_real<float>(handle, CUFFT_R2C, from, to);
}
cufftResult cufftExecD2Z(cufftHandle handle, cufftDoubleReal* from, cufftDoubleComplex* to) {
  return transform_real<double>(handle, CUFFT_D2Z, from, to);
}
cufftResult cufftExecC2R(cufftHandle handle, cufftComplex* from, cufftReal* to) {
  return transform_to_real<float>(handle, CUFFT_C2R, from, to);
}
cufftResult cufftExecZ2D(cufftHandle handle, cufftDoubleComplex* from, cufftDoubleReal* to) {
  return transform_to_real<double>(handle, CUFFT_Z2D, from, to);
}

}  // extern "C"
