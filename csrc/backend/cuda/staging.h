// Copies between pageable host memory and a device, in chunks through pinned buffers, so that the two halves
// of the way overlap.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <mutex>

namespace tidu::cuda {

class Staging {
 public:
  // Returns when the host memory may be used again; the device has the bytes in stream order.
  void to_device(void* device, const void* host, size_t bytes, cudaStream_t stream);
  // Returns when the host has the bytes.
  void to_host(void* host, const void* device, size_t bytes, cudaStream_t stream);

 private:
  static constexpr size_t kChunk = size_t{1} << 20;
  static constexpr size_t kSlots = 4;
  struct Slot {
    char* buffer = nullptr;
    cudaEvent_t done = nullptr;  // when the device no longer uses the buffer
  };

  Slot& free_slot();

  std::mutex mutex_;
  std::array<Slot, kSlots> slots_;
  size_t next_ = 0;
};

}  // namespace tidu::cuda
