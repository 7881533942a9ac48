// What the runtime tells of a running kernel, and to whom: the instrumented build (check/checked.cpp)
// listens.
#pragma once

#include <driver_types.h>
#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <source_location>

// Constant for the compiler, as within one thread they are; execute.cpp sets them when it switches threads.
#pragma GCC visibility push(hidden)
#include <device_launch_parameters.h>
#pragma GCC visibility pop

namespace tidu::simt {

struct Allocation;

// A launch as queued: the kernel is called with `parameters`, which are copied if the launch must wait.
struct Launch {
  const char* kernel;
  dim3 grid, block;
  size_t shared_bytes;
  void* stream;
  std::source_location where;
  void (*call)(const void* parameters);
  const void* parameters;
  size_t parameter_bytes;
};

// What a block synchronises with, and what a warp exchanges.
enum class Collective : uint8_t {
  barrier,
  syncwarp,
  shuffle,
  ballot,
  match,
  reduce_add_signed,
  reduce_add,
  reduce_min_signed,
  reduce_min,
  reduce_max_signed,
  reduce_max,
  reduce_and,
  reduce_or,
  reduce_xor,
};

// Where execution is. `launch` is null outside kernels. Addresses of the running thread's stack and of the
// parameters are a kernel's own: no other thread sees them.
struct Running {
  const Launch* launch = nullptr;
  uint64_t launch_number = 0;       // launches run so far, over all
  uint64_t block_number = 0;        // blocks run so far, over all launches
  unsigned thread = 0;              // within the block; the warp is thread / 32, the lane thread % 32
  cudaError_t error = cudaSuccess;  // with which the launch ends
  const char* stack_low = nullptr;  // the running fibre's stack
  const char* stack_high = nullptr;
};
extern Running running;

// Where shared memory lies: as many bytes from the first variable on.
inline constexpr size_t kSharedArena = 1 << 20;

// A variable in the shared memory of the running block. The dynamic buffer is called "dynamic".
struct SharedRange {
  const char* name;
  char* base;
  size_t bytes;
};

// Listener of all that matters for races, initialisation and traffic. Every function has an empty default.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void launch_begin(const Launch&) {}
  virtual void launch_end(const Launch&) {}  // also of a launch that failed
  virtual void block_begin() {}
  virtual void block_end() {}
  virtual void shared_declared(const SharedRange&) {}  // at first use in a block: uninitialised from here
  virtual void barrier() {}                            // all living threads of the block have arrived
  virtual void warp_collective(unsigned /*warp*/, unsigned /*lanes*/, Collective) {}  // they all arrived
  virtual void allocated(const Allocation&) {}                        // uninitialised from here
  virtual void freed(const Allocation&) {}                            // still recorded, dead
  virtual void written(const void* /*base*/, size_t) {}               // by a runtime call, not by a kernel
  virtual void copied(void* /*to*/, const void* /*from*/, size_t) {}  // by a runtime call
};
extern Observer* observer;  // null where nobody listens

// The variable of the running block's shared memory that holds or precedes p, or null.
const SharedRange* shared_range(const void* p);

}  // namespace tidu::simt
