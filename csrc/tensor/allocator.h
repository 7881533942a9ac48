// Where the memory of a device comes from.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/device.h"

namespace tidu {

struct MemoryStats {
  int64_t live_bytes = 0;      // in use by tensors, as asked for
  int64_t peak_bytes = 0;      // the highest live_bytes since the last reset
  int64_t reserved_bytes = 0;  // held from the system, in use or cached
  int64_t allocations = 0;     // calls of allocate so far
};

// Work of a device that runs in order, such as a stream of cuda. 0 is none: the cpu's work is done when the
// call returns.
using Queue = uint32_t;

struct AllocatedMemory {
  void* data = nullptr;
  Queue queue = 0;  // in whose order the memory may be used
};

class Allocator {
 public:
  virtual ~Allocator() = default;

  // At least `bytes` bytes, aligned to 64; nullptr for 0 bytes. Where there is no more, or not within the
  // limit, cached memory is given back and it is tried once more; then OutOfMemoryError.
  virtual AllocatedMemory allocate(size_t bytes) = 0;
  // Takes memory back once the work in `queue`, which used it last, is done; does not wait for that.
  virtual void deallocate(void* data, size_t bytes, Queue queue) noexcept = 0;

  virtual MemoryStats stats() const = 0;
  virtual void reset_peak() = 0;
  virtual void empty_cache() = 0;
  // The most that may be reserved, in bytes; the default is the device's memory.
  virtual void set_limit(int64_t bytes) = 0;
};

// Of a device, which is loaded at its first use. Defined in backend, where devices are found.
Allocator& allocator_of(Device device);

[[noreturn]] void fail_out_of_memory(Device device, size_t bytes, const MemoryStats& stats, int64_t limit);

}  // namespace tidu
