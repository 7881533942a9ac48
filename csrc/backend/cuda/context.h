// What an operation of the cuda backend is given to run on, and how it becomes a kernel of a primitive.
//
// The device memory of a call is known before it runs, so that a plan can hold it. An operation that takes
// some is therefore called twice: first with a context that only counts, where it takes all that it will take
// and returns, and then with one that gives it pieces of the call's workspace. So both ways are one piece of
// code.
#pragma once

#include <cuda_runtime.h>

#include "backend/backend.h"
#include "core/primitive.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/room.h"

namespace tidu::cuda {

// The stream, device and memory of one call.
class Context {
 public:
  // One that counts, for calls that were not begun.
  explicit Context(int device) : device_(device) {}

  // Whether the operation is only asked what memory it takes: it must not launch anything then.
  bool only_counts() const { return only_counts_; }
  // The bytes taken so far.
  size_t taken() const { return taken_; }

  // An error where it only counts.
  cudaStream_t stream() const;
  int device() const { return device_; }

  // Uninitialised device memory for this call alone. Where it only counts, an address of nothing.
  template <class T> T* workspace(size_t count) { return static_cast<T*>(take(count * sizeof(T))); }
  Room room(size_t bytes) { return {take(bytes), bytes}; }
  Tensor tensor(const Shape& shape, DType dtype);

  // Of Gpu::arrivals.
  unsigned* arrivals() const;

  // For kernels that may meet a value that they cannot use, such as an index out of range.
  FaultRecord fault_record() const { return fault_record_; }

 private:
  friend class CallScope;
  void* take(size_t bytes);

  cudaStream_t stream_ = nullptr;
  int device_;
  bool only_counts_ = true;
  char* memory_ = nullptr;
  size_t taken_ = 0;
  FaultRecord fault_record_;
};

// Computes a call by launches on context.stream(); returns the first error of any launch.
using Operation = cudaError_t (*)(const Call& call, Context& context);

// Runs an operation: chooses the device, waits for what its tensors need of other streams, names it for
// profilers and for error messages, and turns its error into an exception. Inputs that are numbers are
// written to memory for it, unless it passes them to its kernels by value.
void run(Operation operation, const Call& call, bool passes_numbers);

// The bytes of workspace that a call takes, of which some operations have none but for numbers.
size_t count_bytes(Operation operation, const Call& call);

// An operation that takes no memory.
template <Operation operation, bool passes_numbers = false> void set_operation(Primitive& primitive) {
  const auto bytes_of_numbers = [](const Call& call) {
    return count_bytes([](const Call&, Context&) { return cudaSuccess; }, call);
  };
  set_kernel(
      primitive, DeviceType::cuda, [](const Call& call) { run(operation, call, passes_numbers); },
      passes_numbers ? WorkspaceBytes() : bytes_of_numbers);
}

// One that does.
template <Operation operation> void set_counted_operation(Primitive& primitive) {
  set_kernel(
      primitive, DeviceType::cuda, [](const Call& call) { run(operation, call, false); },
      [](const Call& call) { return count_bytes(operation, call); });
}

}  // namespace tidu::cuda
