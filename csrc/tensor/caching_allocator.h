// An allocator that keeps freed blocks by size class and hands them out again. Devices whose memory is free
// as soon as it is given back say how raw memory is got.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tensor/allocator.h"

namespace tidu {

// A lock that is held for moments. It costs half of what a std::mutex does, and each tensor pays it twice.
class BriefLock {
 public:
  void lock() {
    while (is_taken_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  }
  void unlock() { is_taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> is_taken_ = false;
};

class CachingAllocator : public Allocator {
 public:
  explicit CachingAllocator(Device device, int64_t limit_bytes) : device_(device), limit_(limit_bytes) {}

  AllocatedMemory allocate(size_t bytes) final;
  void deallocate(void* data, size_t bytes, Queue) noexcept final;
  MemoryStats stats() const final;
  void reset_peak() final;
  void empty_cache() final;
  void set_limit(int64_t bytes) final;

  // A fork copies this as it is, also where another thread is changing it: these go around it.
  void lock_for_fork() { mutex_.lock(); }
  void unlock_after_fork() { mutex_.unlock(); }

 protected:
  virtual void* raw_allocate(size_t bytes) noexcept = 0;  // nullptr where there is none
  virtual void raw_deallocate(void* data, size_t bytes) noexcept = 0;

 private:
  std::vector<void*>& blocks_of(size_t rounded);
  void* reserve(size_t rounded);
  void release_cached();

  Device device_;
  int64_t limit_;
  mutable BriefLock mutex_;
  // Free blocks by rounded size: small ones, which are asked for most often, by index.
  static constexpr size_t kSmall = 1024;
  std::array<std::vector<void*>, kSmall / 64 + 1> small_;
  std::unordered_map<size_t, std::vector<void*>> large_;
  int64_t cached_bytes_ = 0;
  MemoryStats stats_;
};

}  // namespace tidu
