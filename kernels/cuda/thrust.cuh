// Calling Thrust: for a GPU on a stream of ours and with memory of ours; in the SIMT runtime, whose device
// has no Thrust of its own, the algorithms for the host, run by a kernel of one thread, so that they come in
// stream order and their accesses are checked as any kernel's.
#pragma once

#include "kernels/cuda/portable.h"
#include "kernels/cuda/sort.h"

#ifdef __CUDACC__
#include <thrust/system/cuda/execution_policy.h>
#include <thrust/system_error.h>
#else
#define THRUST_DEVICE_SYSTEM THRUST_DEVICE_SYSTEM_CPP
#include <thrust/system/cpp/execution_policy.h>
#endif

namespace tidu::cuda {

#ifdef __CUDACC__

struct ScratchAllocator {
  using value_type = char;
  Scratch scratch;
  char* allocate(size_t bytes) { return static_cast<char*>(scratch.allocate(scratch.owner, bytes)); }
  void deallocate(char*, size_t) {}
};

// Queues what body(policy) has Thrust do. Its host form needs at most `bytes` of temporary memory.
template <class Body>
[[nodiscard]] cudaError_t run_thrust(cudaStream_t stream, Scratch scratch, size_t /*bytes*/,
                                     const Body& body) {
  try {
    ScratchAllocator allocator{scratch};
    body(thrust::cuda::par_nosync(allocator).on(stream));
  } catch (const thrust::system_error& error) { return static_cast<cudaError_t>(error.code().value()); }
  return cudaSuccess;
}

#else

struct ScratchPieces {
  using value_type = char;
  char* next;
  char* end;
  char* allocate(size_t bytes) {
    const size_t rounded = (bytes + 15) / 16 * 16;
    if (static_cast<size_t>(end - next) < rounded) simt::fail("Thrust wants more memory than was set aside");
    next += rounded;
    return next - rounded;
  }
  void deallocate(char*, size_t) {}
};

template <class Body> __global__ void thrust_kernel(Body body, char* memory, size_t bytes) {
  ScratchPieces pieces{memory, memory + bytes};
  body(thrust::cpp::par(pieces));
}

template <class Body>
[[nodiscard]] cudaError_t run_thrust(cudaStream_t stream, Scratch scratch, size_t bytes, const Body& body) {
  char* const memory = bytes > 0 ? static_cast<char*>(scratch.allocate(scratch.owner, bytes)) : nullptr;
  return launch<thrust_kernel<Body> >({1, 1, 0, stream}, body, memory, bytes);
}

#endif

}  // namespace tidu::cuda
