// Device memory in stream order, from the device's default memory pool, which keeps what is freed.
#pragma once

#include <cuda_runtime.h>

#include <mutex>

#include "tensor/allocator.h"

namespace tidu::cuda {

class Gpu;

class PoolAllocator final : public Allocator {
 public:
  explicit PoolAllocator(Gpu& gpu);

  AllocatedMemory allocate(size_t bytes) override;
  void deallocate(void* data, size_t bytes, Queue queue) noexcept override;
  MemoryStats stats() const override;
  void reset_peak() override;
  void empty_cache() override;
  void set_limit(int64_t bytes) override;

  // Lets another device read the pool's memory, where the hardware can; copies between them are direct then.
  void share_with(int device);

 private:
  void* attempt(size_t bytes, cudaStream_t stream);
  int64_t reserved() const;
  void trim(int64_t keep);

  Gpu& gpu_;
  cudaMemPool_t pool_ = nullptr;
  int64_t limit_;
  bool limited_ = false;  // below the device's memory
  mutable std::mutex mutex_;
  MemoryStats stats_;
  uint64_t shared_with_ = 0;  // a bit a device
};

}  // namespace tidu::cuda
