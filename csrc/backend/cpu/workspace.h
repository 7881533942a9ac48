// What a kernel needs beside its operands while it runs.
#pragma once

#include <algorithm>
#include <atomic>

#include "backend/backend.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/threads.h"

namespace tidu::cpu {

// A call's workspace, taken piece by piece; or only counts what would be taken, so that the same walk through
// a kernel's steps says how much it needs.
class Workspace {
 public:
  static Workspace counting() { return Workspace(nullptr, true); }
  explicit Workspace(void* memory) : Workspace(memory, false) {}

  bool counts() const { return counts_; }
  int64_t taken() const { return taken_; }
  // The most that was taken at once.
  int64_t most() const { return std::max(most_, taken_); }
  // What was taken since then is free again.
  void give_back(int64_t taken) {
    most_ = most();
    taken_ = taken;
  }

  char* take(int64_t bytes) {
    char* const here = counts_ ? nullptr : memory_ + taken_;
    taken_ += rounded(bytes);
    return here;
  }
  template <class T> T* take(int64_t count) {
    return reinterpret_cast<T*>(take(count * static_cast<int64_t>(sizeof(T))));
  }
  // A row-major one; of no memory where this only counts.
  Tensor tensor(const Shape& shape, DType dtype) {
    const Tensor result = Tensor::abstract(shape, dtype);
    char* const data = take(static_cast<int64_t>(result.nbytes()));
    return counts_ ? result : Tensor::from_memory(data, shape, result.strides(), dtype, nullptr);
  }

 private:
  Workspace(void* memory, bool counts) : memory_(static_cast<char*>(memory)), counts_(counts) {}

  char* memory_;
  bool counts_;
  int64_t taken_ = 0, most_ = 0;
};

// How many of `tasks` run at once where each needs a room of its own: as many as this process had cores at
// first, however many threads there are. So the number of rooms is known before they run.
int64_t most_at_once(int64_t tasks);

// body(i, room) for each i in 0 .. tasks, no two at once with the same of the rooms 0 .. most_at_once(tasks).
template <class Body> void parallel_with_rooms(int64_t tasks, int64_t work, const Body& body) {
  std::atomic<int64_t> next = 0;
  parallel_for(most_at_once(tasks), work, [&](int64_t room) {
    for (int64_t i = next++; i < tasks; i = next++) body(i, room);
  });
}

// Sets a kernel that takes all that it needs from its workspace, and then returns where that only counts.
template <void (*kernel)(const Call& call, Workspace& workspace)>
void set_kernel_with_workspace(Primitive& primitive) {
  set_kernel(
      primitive, DeviceType::cpu,
      [](const Call& call) {
        Workspace workspace(call.workspace);
        kernel(call, workspace);
      },
      [](const Call& call) {
        Workspace workspace = Workspace::counting();
        kernel(call, workspace);
        return static_cast<size_t>(workspace.most());
      });
}

}  // namespace tidu::cpu
