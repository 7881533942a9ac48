// Device memory in stream order.
#include "backend/cuda/allocator.h"

#include <algorithm>
#include <limits>

#include "backend/cuda/error.h"
#include "backend/cuda/gpu.h"
#include "backend/cuda/graph.h"

namespace tidu::cuda {

PoolAllocator::PoolAllocator(Gpu& gpu) : gpu_(gpu), limit_(gpu.properties().memory_bytes) {
  check(cudaDeviceGetDefaultMemPool(&pool_, gpu.index()), "[cuda] the device's memory pool");
  uint64_t all = std::numeric_limits<uint64_t>::max();
  check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &all), "[cuda] the memory pool");
}

AllocatedMemory PoolAllocator::allocate(size_t bytes) {
  if (bytes == 0) return {};
  const Queue queue = gpu_.current_queue();
  if (queue == kCaptureQueue) return {gpu_.captured()->allocate(bytes), queue};
  const cudaStream_t stream = gpu_.stream(queue);
  std::unique_lock lock(mutex_);
  void* data = attempt(bytes, stream);
  if (!data) {
    // Freed memory of other streams can be had once their work is done.
    lock.unlock();
    const DeviceGuard guard(gpu_.index());
    gpu_.wait_for_all("[cuda] waiting for memory");
    lock.lock();
    trim(0);
    data = attempt(bytes, stream);
  }
  if (!data) {
    MemoryStats now = stats_;
    now.reserved_bytes = reserved();
    fail_out_of_memory(gpu_.name(), bytes, now, limit_);
  }
  ++stats_.allocations;
  stats_.live_bytes += static_cast<int64_t>(bytes);
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return {data, queue};
}

void* PoolAllocator::attempt(size_t bytes, cudaStream_t stream) {
  if (bytes > static_cast<size_t>(std::max<int64_t>(limit_ - stats_.live_bytes, 0))) return nullptr;
  if (limited_ && reserved() + static_cast<int64_t>(bytes) > limit_) {
    trim(limit_ - static_cast<int64_t>(bytes));
  }
  void* data = nullptr;
  const cudaError_t error = cudaMallocAsync(&data, bytes, stream);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(error, "[cuda] allocating memory");
  return data;
}

// Errors are of work issued earlier, and come up again where it is waited for.
void PoolAllocator::deallocate(void* data, size_t bytes, Queue queue) noexcept {
  if (!data) return;
  if (queue == kCaptureQueue) {  // the graph's, for as long as it lives
    if (Graph* const graph = gpu_.captured()) graph->deallocate(data);
    return;
  }
  std::lock_guard lock(mutex_);
  stats_.live_bytes -= static_cast<int64_t>(bytes);
  if (cudaFreeAsync(data, gpu_.stream(queue)) != cudaSuccess) cudaGetLastError();
}

MemoryStats PoolAllocator::stats() const {
  std::lock_guard lock(mutex_);
  MemoryStats stats = stats_;
  stats.reserved_bytes = reserved();
  return stats;
}

void PoolAllocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_bytes = stats_.live_bytes;
}

void PoolAllocator::empty_cache() {
  gpu_.synchronize();
  std::lock_guard lock(mutex_);
  trim(0);
}

void PoolAllocator::set_limit(int64_t bytes) {
  std::lock_guard lock(mutex_);
  limit_ = bytes;
  limited_ = bytes < gpu_.properties().memory_bytes;
  if (reserved() > limit_) trim(limit_);
}

void PoolAllocator::share_with(int device) {
  std::lock_guard lock(mutex_);
  if (shared_with_ >> device & 1) return;
  int possible = 0;
  check(cudaDeviceCanAccessPeer(&possible, device, gpu_.index()), "[cuda] access between devices");
  if (possible) {
    cudaMemAccessDesc access = {};
    access.location = {cudaMemLocationTypeDevice, {device}};
    access.flags = cudaMemAccessFlagsProtReadWrite;
    check(cudaMemPoolSetAccess(pool_, &access, 1), "[cuda] access between devices");
  }
  shared_with_ |= uint64_t{1} << device;
}

int64_t PoolAllocator::reserved() const {
  uint64_t bytes = 0;
  check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &bytes), "[cuda] the memory pool");
  return static_cast<int64_t>(bytes);
}

void PoolAllocator::trim(int64_t keep) {
  check(cudaMemPoolTrimTo(pool_, static_cast<size_t>(std::max<int64_t>(keep, 0))), "[cuda] the memory pool");
}

}  // namespace tidu::cuda
