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

// Thrust asks for all of its memory in one piece, before it launches anything. So what it needs is found out
// by giving it none.
struct Needed {
  size_t bytes;
};
struct RoomAllocator {
  using value_type = char;
  Room room;
  char* allocate(size_t bytes) {
    if (bytes > room.bytes) throw Needed{bytes};
    return static_cast<char*>(room.data);
  }
  void deallocate(char*, size_t) {}
};

// Queues what body(policy) has Thrust do, in memory of which there must be as much as thrust_bytes says.
template <class Body> [[nodiscard]] cudaError_t run_thrust(cudaStream_t stream, Room room, const Body& body) {
  try {
    RoomAllocator allocator{room};
    body(thrust::cuda::par_nosync(allocator).on(stream));
  } catch (const thrust::system_error& error) {
    return static_cast<cudaError_t>(error.code().value());
  } catch (const Needed&) { return cudaErrorMemoryAllocation; }
  return cudaSuccess;
}

// The host form needs at most `of_host` bytes.
template <class Body> size_t thrust_bytes(size_t /*of_host*/, const Body& body) {
  try {
    RoomAllocator allocator{};
    body(thrust::cuda::par_nosync(allocator));
  } catch (const Needed& needed) { return needed.bytes; }
  return 0;
}

#else

struct RoomAllocator {
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
  RoomAllocator allocator{memory, memory + bytes};
  body(thrust::cpp::par(allocator));
}

template <class Body> [[nodiscard]] cudaError_t run_thrust(cudaStream_t stream, Room room, const Body& body) {
  return launch<thrust_kernel<Body> >({1, 1, 0, stream}, body, static_cast<char*>(room.data), room.bytes);
}

template <class Body> size_t thrust_bytes(size_t of_host, const Body&) { return of_host; }

#endif

}  // namespace tidu::cuda
