// What an operation of the cuda backend is given to run on, and how it becomes a kernel of a primitive.
#pragma once

#include <cuda_runtime.h>

#include "backend/backend.h"
#include "core/primitive.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/sort.h"

namespace tidu::cuda {

// The stream and device of one call.
class Context {
 public:
  cudaStream_t stream() const { return stream_; }
  int device() const { return device_; }

  // Uninitialised device memory for this call alone, given back in stream order once the call was issued.
  template <class T> T* workspace(size_t count) {
    return static_cast<T*>(workspace_bytes(count * sizeof(T)));
  }

  Scratch scratch() {
    return {[](void* owner, size_t bytes) { return static_cast<Context*>(owner)->workspace_bytes(bytes); },
            this};
  }

  // Of Gpu::arrivals.
  unsigned* arrivals() const;

  // For kernels that may meet a value that they cannot use, such as an index out of range.
  FaultRecord fault_record() const { return fault_record_; }

 private:
  friend class CallScope;
  void* workspace_bytes(size_t bytes);

  cudaStream_t stream_ = nullptr;
  int device_ = 0;
  FaultRecord fault_record_;
  Tensors workspaces_;
};

// Computes a call by launches on context.stream(); returns the first error of any launch.
using Operation = cudaError_t (*)(const Call& call, Context& context);

// Runs an operation: chooses the device, waits for what its tensors need of other streams, names it for
// profilers and for error messages, and turns its error into an exception. Inputs that are numbers are
// written to memory for it, unless it passes them to its kernels by value.
void run(Operation operation, const Call& call, bool passes_numbers);

template <Operation operation, bool passes_numbers = false>
void set_operation(Primitive& primitive, WorkspaceBytes workspace = nullptr) {
  set_kernel(
      primitive, DeviceType::cuda, [](const Call& call) { run(operation, call, passes_numbers); }, workspace);
}

}  // namespace tidu::cuda
