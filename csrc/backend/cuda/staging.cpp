// Copies between host and device through pinned buffers.
#include "backend/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "backend/cuda/error.h"

namespace tidu::cuda {
namespace {

constexpr const char* kToDevice = "[copy] from the host to the device";
constexpr const char* kToHost = "[copy] from the device to the host";

}  // namespace

// The slot used longest ago, once the device is done with it.
Staging::Slot& Staging::free_slot() {
  Slot& slot = slots_[next_++ % kSlots];
  if (!slot.done) check(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming), "[copy] an event");
  if (slot.buffer) {
    check(cudaEventSynchronize(slot.done), "[copy] waiting for an earlier one");
    return slot;
  }
  void* buffer = nullptr;
  check(cudaHostAlloc(&buffer, kChunk, cudaHostAllocPortable), "[copy] pinned memory");
  slot.buffer = static_cast<char*>(buffer);
  return slot;
}

void Staging::to_device(void* device, const void* host, size_t bytes, cudaStream_t stream) {
  std::lock_guard lock(mutex_);
  for (size_t begin = 0; begin < bytes; begin += kChunk) {
    const size_t size = std::min(kChunk, bytes - begin);
    Slot& slot = free_slot();
    std::memcpy(slot.buffer, static_cast<const char*>(host) + begin, size);
    check(cudaMemcpyAsync(static_cast<char*>(device) + begin, slot.buffer, size, cudaMemcpyHostToDevice,
                          stream),
          kToDevice);
    check(cudaEventRecord(slot.done, stream), kToDevice);
  }
}

void Staging::to_host(void* host, const void* device, size_t bytes, cudaStream_t stream) {
  std::lock_guard lock(mutex_);
  std::array<Slot*, kSlots> pending;
  size_t issued = 0;
  for (size_t arrived = 0; arrived < bytes; arrived += kChunk) {
    for (; issued < bytes && issued < arrived + kSlots * kChunk; issued += kChunk) {
      Slot& slot = free_slot();
      const size_t size = std::min(kChunk, bytes - issued);
      check(cudaMemcpyAsync(slot.buffer, static_cast<const char*>(device) + issued, size,
                            cudaMemcpyDeviceToHost, stream),
            kToHost);
      check(cudaEventRecord(slot.done, stream), kToHost);
      pending[issued / kChunk % kSlots] = &slot;
    }
    Slot& slot = *pending[arrived / kChunk % kSlots];
    check(cudaEventSynchronize(slot.done), kToHost);
    std::memcpy(static_cast<char*>(host) + arrived, slot.buffer, std::min(kChunk, bytes - arrived));
  }
}

}  // namespace tidu::cuda
