// A caching allocator: freed blocks are kept by size class and handed out again. Devices say how raw memory
// is got.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/device.h"

namespace tidu {

struct MemoryStats {
  int64_t live_bytes = 0;      // in use by tensors, as asked for
  int64_t peak_bytes = 0;      // the highest live_bytes since the last reset
  int64_t reserved_bytes = 0;  // held from the system, in use or cached
  int64_t allocations = 0;     // calls of allocate so far
};

class Allocator {
 public:
  explicit Allocator(Device device, int64_t limit_bytes) : device_(device), limit_(limit_bytes) {}
  virtual ~Allocator() = default;

  // At least `bytes` bytes, aligned to 64; nullptr for 0 bytes. Where the system refuses or the limit is
  // reached, cached blocks are given back and it is tried once more; then OutOfMemoryError.
  void* allocate(size_t bytes);
  void deallocate(void* data, size_t bytes) noexcept;

  MemoryStats stats() const;
  void reset_peak();
  void empty_cache();
  // The most that may be reserved, in bytes; the default is the machine's memory.
  void set_limit(int64_t bytes);

 protected:
  virtual void* raw_allocate(size_t bytes) noexcept = 0;  // nullptr where there is none
  virtual void raw_deallocate(void* data, size_t bytes) noexcept = 0;

 private:
  std::vector<void*>& blocks_of(size_t rounded);
  void* reserve(size_t rounded);
  void release_cached();

  Device device_;
  int64_t limit_;
  mutable std::mutex mutex_;
  // Free blocks by rounded size: small ones, which are asked for most often, by index.
  static constexpr size_t kSmall = 1024;
  std::array<std::vector<void*>, kSmall / 64 + 1> small_;
  std::unordered_map<size_t, std::vector<void*>> large_;
  int64_t cached_bytes_ = 0;
  MemoryStats stats_;
};

}  // namespace tidu
