// A block of memory on one device, shared by all views of it.
#pragma once

#include <memory>

#include "base/device.h"
#include "base/ref.h"
#include "tensor/allocator.h"

namespace tidu {

class Storage : public RefCounted {
 public:
  // Memory from an allocator, given back with the last view.
  Storage(Device device, Allocator& allocator, size_t bytes)
      : device_(device), bytes_(bytes), data_(allocator.allocate(bytes)), allocator_(&allocator) {}
  // Memory of somebody else (a NumPy array, a DLPack capsule), kept alive by `owner`.
  Storage(Device device, void* data, size_t bytes, std::shared_ptr<void> owner, bool writable = true)
      : device_(device), writable_(writable), bytes_(bytes), data_(data), owner_(std::move(owner)) {}

  Device device() const { return device_; }
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  bool writable() const { return writable_; }

  // Counts the writes in place. A tensor remembers the count at which its value was defined; where the two
  // differ, somebody wrote through another view.
  uint64_t version() const { return version_; }
  // The last write whose value a derivative depends on.
  uint64_t traced_version() const { return traced_version_; }
  void bump_version() { ++version_; }
  void mark_traced() { traced_version_ = version_; }

 private:
  ~Storage() override {
    if (allocator_) allocator_->deallocate(data_, bytes_);
  }

  Device device_;
  bool writable_ = true;
  size_t bytes_;
  void* data_;
  Allocator* allocator_ = nullptr;
  std::shared_ptr<void> owner_;
  uint64_t version_ = 0;
  uint64_t traced_version_ = 0;
};

}  // namespace tidu
