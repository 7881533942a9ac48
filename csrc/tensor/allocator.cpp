// The caching allocator.
#include "tensor/allocator.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace tidu {
namespace {

// Multiples of 64 bytes up to 1 KiB (kSmall), then eight classes a power of two: at most an eighth is wasted.
size_t round_up(size_t bytes) {
  if (bytes <= 1024) return (bytes + 63) & ~size_t{63};
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

}  // namespace

void* Allocator::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  std::lock_guard lock(mutex_);
  const bool representable = bytes <= size_t{1} << 62;
  const size_t rounded = representable ? round_up(bytes) : bytes;
  void* data = nullptr;
  if (auto& blocks = blocks_of(rounded); !blocks.empty()) {
    data = blocks.back();
    blocks.pop_back();
    cached_bytes_ -= static_cast<int64_t>(rounded);
  } else {
    if (representable) data = reserve(rounded);
    if (data == nullptr) {
      fail<OutOfMemoryError>("out of memory on ", device_, ": asked for ", bytes, " bytes with ",
                             stats_.live_bytes, " live and ", stats_.reserved_bytes, " reserved of at most ",
                             limit_, " bytes (free tensors or use smaller batches)");
    }
  }
  ++stats_.allocations;
  stats_.live_bytes += static_cast<int64_t>(bytes);
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  return data;
}

void Allocator::deallocate(void* data, size_t bytes) noexcept {
  if (data == nullptr) return;
  std::lock_guard lock(mutex_);
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

void* Allocator::reserve(size_t rounded) {
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

std::vector<void*>& Allocator::blocks_of(size_t rounded) {
  return rounded <= kSmall ? small_[rounded / 64] : large_[rounded];
}

void Allocator::release_cached() {
  const auto release = [&](std::vector<void*>& blocks, size_t size) {
    for (void* block : blocks) raw_deallocate(block, size);
    blocks.clear();
  };
  for (size_t i = 0; i < small_.size(); ++i) release(small_[i], i * 64);
  for (auto& [size, blocks] : large_) release(blocks, size);
  stats_.reserved_bytes -= cached_bytes_;
  cached_bytes_ = 0;
}

MemoryStats Allocator::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void Allocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_bytes = stats_.live_bytes;
}

void Allocator::empty_cache() {
  std::lock_guard lock(mutex_);
  release_cached();
}

void Allocator::set_limit(int64_t bytes) {
  std::lock_guard lock(mutex_);
  limit_ = bytes;
  if (stats_.reserved_bytes > limit_) release_cached();
}

}  // namespace tidu
