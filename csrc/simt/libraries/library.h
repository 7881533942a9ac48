// What the emulated libraries share: checked handles and operands, and work on the handle's stream.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include "simt/host/entry.h"
#include "simt/host/stream.h"
#include "simt/machine/hooks.h"

namespace tidu::simt {

// What a library's handle stands for.
struct LibraryState {
  int device;
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;  // of the user; null for the library's own
  size_t workspace_bytes = 0;
};

// The live handles of a library. Numbers that never come again, so that one destroyed is never taken for
// another.
class Handles {
 public:
  void* create() {
    const std::lock_guard lock(runtime_lock());
    states_[++last_] = {current_device()};
    return reinterpret_cast<void*>(last_);
  }
  bool destroy(void* handle) {
    const std::lock_guard lock(runtime_lock());
    return states_.erase(reinterpret_cast<uintptr_t>(handle)) == 1;
  }
  LibraryState* find(void* handle) {
    const auto found = states_.find(reinterpret_cast<uintptr_t>(handle));
    return found == states_.end() ? nullptr : &found->second;
  }

 private:
  std::map<uintptr_t, LibraryState> states_;
  uintptr_t last_ = 0x1000;
};

// A column-major matrix, or `count` of them `by_matrix` elements apart.
struct MatrixArgument {
  const char* name;
  const void* data;
  size_t element;  // bytes
  int64_t rows, columns, leading;
  int64_t by_matrix = 0, count = 1;
};

// Why a function may not use the operand, or an empty text: its leading dimension must be as large as its
// columns are long, it must be aligned to its elements, and lie wholly inside one live allocation of the
// device.
inline std::string fault_of(const MatrixArgument& x, int device) {
  if (x.leading < std::max<int64_t>(1, x.rows)) {
    return std::string(x.name) + ": the leading dimension " + std::to_string(x.leading) +
           " is less than the number of rows " + std::to_string(x.rows);
  }
  if (x.rows == 0 || x.columns == 0 || x.count == 0) return {};
  const auto begin = reinterpret_cast<uintptr_t>(x.data);
  if (begin % x.element != 0) return std::string(x.name) + ": not aligned to its elements" + describe(x.data);
  const int64_t batches = x.by_matrix * (x.count - 1);
  const int64_t last = (x.columns - 1) * x.leading + x.rows + std::max<int64_t>(batches, 0);
  const auto* const from =
      static_cast<const char*>(x.data) + std::min<int64_t>(batches, 0) * static_cast<int64_t>(x.element);
  const auto* const to = static_cast<const char*>(x.data) + last * static_cast<int64_t>(x.element);
  const Allocation* const in = allocation_at(from);
  if (!in) return std::string(x.name) + ": not device memory";
  if (!in->live) return std::string(x.name) + ": memory that was freed" + describe(from);
  if (in->device != device) return std::string(x.name) + ": memory of another device" + describe(from);
  if (to > in->base + in->bytes) return std::string(x.name) + ": ends outside its memory" + describe(to - 1);
  return {};
}

// Adds f to the work of the handle's stream. Like a kernel, it does not run after one that failed.
template <class F> cudaError_t submit_to(const LibraryState& state, F f) {
  const std::shared_ptr<Stream> stream = find_stream(state.stream);
  if (!stream) return wrong("the library handle's stream was destroyed", cudaErrorInvalidResourceHandle);
  return submit(stream, [f = std::move(f)] {
    if (sticky_error() != cudaSuccess) return;
    const DeviceAccess access;
    f();
  });
}

// Scratch memory holds nothing that anyone may count on.
inline void scribble(void* workspace, size_t bytes) {
  if (workspace) std::memset(workspace, 0xFF, std::min<size_t>(bytes, 4096));
}

// Tells whoever listens that the library wrote a matrix.
inline void wrote(const void* data, size_t element, int64_t rows, int64_t columns, int64_t leading) {
  if (!observer) return;
  for (int64_t column = 0; column < columns; ++column) {
    observer->written(static_cast<const char*>(data) + column * leading * static_cast<int64_t>(element),
                      static_cast<size_t>(rows) * element);
  }
}

}  // namespace tidu::simt
