// A block of memory on one device, shared by all views of it.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>

#include "base/device.h"
#include "base/pooled.h"
#include "base/ref.h"
#include "tensor/allocator.h"

namespace tidu {

class Storage : public RefCounted, public Pooled<Storage> {
 public:
  // Memory from an allocator, given back with the last view.
  Storage(Device device, Allocator& allocator, size_t bytes)
      : Storage(device, allocator, bytes, allocator.allocate(bytes)) {}
  // What is written down as born_during() of memory that this thread takes from allocators; at first 0.
  static uint64_t& now() {
    [[gnu::tls_model("initial-exec")]] static constinit thread_local uint64_t number = 0;
    return number;
  }
  // Memory of somebody else (a NumPy array, a DLPack capsule), kept alive by `owner`.
  Storage(Device device, void* data, size_t bytes, std::shared_ptr<void> owner, bool writable)
      : device_(device), writable_(writable), data_(data), bytes_(bytes), owner_(std::move(owner)) {}
  // No memory: that of tensors whose values are not known while a program is recorded. Its views and writes
  // are told apart all the same.
  explicit Storage(Device device) : device_(device), is_unknown_(true), data_(nullptr), bytes_(0) {}
  // A number, at most 8 bytes, that a device's kernels are given by value.
  Storage(Device device, const void* number, size_t bytes)
      : device_(device), writable_(false), is_number_(true), data_(number_), bytes_(bytes) {
    std::memcpy(number_, number, bytes);
  }

  Device device() const { return device_; }
  uint64_t born_during() const { return born_during_; }
  // Whether data() is on the host, and the device has no memory for it.
  bool is_number() const { return is_number_; }
  bool is_unknown() const { return is_unknown_; }
  // Whether the memory is an allocator's, and nobody else's.
  bool is_own() const { return allocator_ != nullptr; }
  // That of a tensor whose memory was donated: it stands for none, and counts as overwritten, so that calls
  // look at it.
  static Ref<Storage> donated(Device device) {
    auto result = make_ref<Storage>(device);
    result->is_donated_ = true;
    result->bump_version();
    return result;
  }
  bool is_donated() const { return is_donated_; }
  // A value that is not known was written to it.
  void forget() { is_unknown_ = true; }
  void* data() const { return data_; }
  // Memory of somebody else in place of that of somebody else: all views follow.
  void point_at(void* data) { data_ = data; }
  size_t bytes() const { return bytes_; }
  bool writable() const { return writable_; }

  // The queue that last used the memory. A backend with queues lets the next user wait for it.
  Queue queue() const { return queue_.load(std::memory_order_relaxed); }
  void set_queue(Queue queue) { queue_.store(queue, std::memory_order_relaxed); }

  // Counts the writes in place. A tensor remembers the count at which its value was defined; where the two
  // differ, somebody wrote through another view.
  uint64_t version() const { return version_; }
  // The last write whose value a derivative depends on.
  uint64_t traced_version() const { return traced_version_; }
  void bump_version() { ++version_; }
  void mark_traced() { traced_version_ = version_; }

 private:
  Storage(Device device, Allocator& allocator, size_t bytes, AllocatedMemory block)
      : device_(device),
        queue_(block.queue),
        data_(block.data),
        allocator_(&allocator),
        bytes_(bytes),
        born_during_(now()) {}
  ~Storage() override {
    if (allocator_) allocator_->deallocate(data_, bytes_, queue());
  }

  // What calls look at comes first.
  Device device_;
  bool writable_ = true, is_number_ = false, is_unknown_ = false, is_donated_ = false;
  std::atomic<Queue> queue_ = 0;
  void* data_;
  uint64_t version_ = 0;
  Allocator* allocator_ = nullptr;
  size_t bytes_;
  uint64_t traced_version_ = 0;
  uint64_t born_during_ = 0;
  std::shared_ptr<void> owner_;
  alignas(8) char number_[8];
};

}  // namespace tidu
