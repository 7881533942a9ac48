// The state that all entry points share.
#include "simt/host/entry.h"

#include "simt/control.h"

namespace tidu::simt {

namespace {

thread_local int device_of_thread = 0;
thread_local cudaError_t error_of_thread = cudaSuccess;
bool host_function_runs = false;

}  // namespace

std::recursive_mutex& runtime_lock() {
  static std::recursive_mutex& lock = *new std::recursive_mutex;
  return lock;
}

int& current_device() { return device_of_thread; }
cudaError_t& last_error() { return error_of_thread; }
cudaError_t& sticky_error() {
  static cudaError_t error = cudaSuccess;
  return error;
}

void clear_error() {
  const std::lock_guard lock(runtime_lock());
  sticky_error() = last_error() = cudaSuccess;
}

void call_host(cudaHostFn_t f, void* data) {
  if (sticky_error() != cudaSuccess) return;
  host_function_runs = true;
  f(data);
  host_function_runs = false;
}
bool in_host_function() { return host_function_runs; }

}  // namespace tidu::simt
