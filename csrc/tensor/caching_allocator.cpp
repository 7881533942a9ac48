// The caching allocator.
#include "tensor/caching_allocator.h"

#include <algorithm>
#include <bit>

namespace tidu {
namespace {

// Multiples of 64 bytes up to 1 KiB (kSmall), then eight classes a power of two: at most an eighth is wasted.
size_t round_up(size_t bytes) {
  if (bytes <= 1024) return (bytes + 63) & ~size_t{63};
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

}  // namespace

AllocatedMemory CachingAllocator::allocate(size_t bytes) {
  if (bytes == 0) return {};
  const std::lock_guard lock(mutex_);
  const bool representable = bytes <= size_t{1} << 62;
  const size_t rounded = representable ? round_up(bytes) : bytes;
  void* data = nullptr;
  if (auto& blocks = blocks_of(rounded); !blocks.empty()) {
    data = blocks.back();
    blocks.pop_back();
    cached_bytes_ -= static_cast<int64_t>(rounded);
  } else {
    if (representable) data = reserve(rounded);
    if (data == nullptr) fail_out_of_memory(device_, bytes, stats_, limit_);
  }
  ++stats_.allocations;
  stats_.live_bytes += static_cast<int64_t>(bytes);
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return {data};
}

void CachingAllocator::deallocate(void* data, size_t bytes, Queue) noexcept {
  if (data == nullptr) return;
  const std::lock_guard lock(mutex_);
  const size_t rounded = round_up(bytes);
  stats_.live_bytes -= static_cast<int64_t>(bytes);
  // What is cached beyond a quarter of the limit goes back to the system, so that other programs can live
  // beside this one.
  if (cached_bytes_ + static_cast<int64_t>(rounded) <= limit_ / 4) {
    try {
      blocks_of(rounded).push_back(data);
      cached_bytes_ += static_cast<int64_t>(rounded);
      return;
    } catch (const std::bad_alloc&) {}
  }
  raw_deallocate(data, rounded);
  stats_.reserved_bytes -= static_cast<int64_t>(rounded);
}

void* CachingAllocator::reserve(size_t rounded) {
  const auto attempt = [&]() -> void* {
    if (static_cast<int64_t>(rounded) > limit_ - stats_.reserved_bytes) return nullptr;
    return raw_allocate(rounded);
  };
  void* data = attempt();
  if (data == nullptr && cached_bytes_ > 0) {
    release_cached();
    data = attempt();
  }
  if (data != nullptr) stats_.reserved_bytes += static_cast<int64_t>(rounded);
  return data;
}

std::vector<void*>& CachingAllocator::blocks_of(size_t rounded) {
  return rounded <= kSmall ? small_[rounded / 64] : large_[rounded];
}

void CachingAllocator::release_cached() {
  const auto release = [&](std::vector<void*>& blocks, size_t size) {
    for (void* block : blocks) raw_deallocate(block, size);
    blocks.clear();
  };
  for (size_t i = 0; i < small_.size(); ++i) release(small_[i], i * 64);
  for (auto& [size, blocks] : large_) release(blocks, size);
  stats_.reserved_bytes -= cached_bytes_;
  cached_bytes_ = 0;
}

MemoryStats CachingAllocator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void CachingAllocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  stats_.peak_bytes = stats_.live_bytes;
}

void CachingAllocator::empty_cache() {
  const std::lock_guard lock(mutex_);
  release_cached();
}

void CachingAllocator::set_limit(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
  if (stats_.reserved_bytes > limit_) release_cached();
}

}  // namespace tidu
