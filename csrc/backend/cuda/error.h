// Errors of the CUDA runtime as exceptions.
#pragma once

#include <cuda_runtime.h>

#include <string>

namespace tidu::cuda {

// Writes "CUDA error 700 (cudaErrorIllegalAddress: an illegal memory access was encountered)".
std::string describe(cudaError_t error);

// Whether the error may be that of work issued earlier, which is found when it is waited for.
bool is_of_earlier_work(cudaError_t error);

// Throws what became of `what` ("[synchronize] cuda:0"): DeviceError, or OutOfMemoryError.
[[noreturn]] void fail_cuda(cudaError_t error, const std::string& what);

// For calls that only fail where the device has failed; `what` is a callable that makes the text.
template <class What> void check(cudaError_t error, const What& what) {
  if (error != cudaSuccess) [[unlikely]]
    fail_cuda(error, what());
}
inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) [[unlikely]]
    fail_cuda(error, what);
}

// The calling thread's CUDA device in this scope; afterwards what it was.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    cudaGetDevice(&previous_);
    changed_ = previous_ != device;
    if (changed_) check(cudaSetDevice(device), "[cuda] choosing a device");
  }
  ~DeviceGuard() {
    if (changed_) cudaSetDevice(previous_);
  }
  DeviceGuard(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

}  // namespace tidu::cuda
