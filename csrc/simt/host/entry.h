// What every entry point of the CUDA runtime begins with: one lock, the current device, errors that stay.
#pragma once

#include <cuda_runtime.h>

#include <mutex>
#include <string>

#include "simt/machine/memory.h"
#include "simt/machine/report.h"

namespace tidu::simt {

// Kernels and runtime calls of all threads take turns.
std::recursive_mutex& runtime_lock();

// Of the calling thread.
int& current_device();
cudaError_t& last_error();
// A kernel failed: each later call returns this error, as on a GPU.
cudaError_t& sticky_error();

// A function of the host that a stream calls: it may not call the runtime.
void call_host(cudaHostFn_t f, void* data);
bool in_host_function();

// An entry point: f under the lock, unless an earlier kernel failed; remembers its error.
template <class F> cudaError_t entry(F f) {
  const std::lock_guard lock(runtime_lock());
  cudaError_t error = sticky_error();
  if (in_host_function()) error = cudaErrorNotPermitted;
  if (error == cudaSuccess) error = device_count() == 0 ? cudaErrorNoDevice : f();
  if (error != cudaSuccess) last_error() = error;
  return error;
}

// The error of a wrong call, with a text that says why.
inline cudaError_t wrong(const std::string& why, cudaError_t error = cudaErrorInvalidValue) {
  report(why);
  return error;
}

inline bool no_such_device(int device) { return device < 0 || device >= device_count(); }

}  // namespace tidu::simt
