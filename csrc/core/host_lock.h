// The lock of a language that calls this library, let go of while much is computed or waited for: the one
// place where Python's other threads get their turn.
#pragma once

#include <algorithm>

#include "core/primitive.h"

namespace tidu {

struct HostLock {
  void* (*release)() = nullptr;  // null where this thread does not hold it
  void (*acquire)(void* released) = nullptr;
  // Throws what a signal that has come asks for (Ctrl-C): for loops of many calls.
  void (*answer_signals)() = nullptr;
};
// Set by a binding before it makes the first call.
extern HostLock host_lock;

// For loops whose length a user gives.
inline void answer_signals() {
  if (host_lock.answer_signals) host_lock.answer_signals();
}

class Unlocked {
 public:
  static constexpr int64_t kMany = 1 << 15;  // elements that are worth it

  // While a kernel runs. A small one is over sooner than a lock changes hands.
  explicit Unlocked(const Call& call) : Unlocked(is_long(call.inputs) || is_long(call.outputs)) {}
  // While the elements of x are copied to the host, for which a device of its own must have computed them.
  explicit Unlocked(const Tensor& x) : Unlocked(x.numel() >= kMany || x.device().type != DeviceType::cpu) {}
  explicit Unlocked(bool worthwhile)
      : released_(worthwhile && host_lock.release ? host_lock.release() : nullptr) {}
  ~Unlocked() {
    if (released_) host_lock.acquire(released_);
  }
  Unlocked(const Unlocked&) = delete;

 private:
  static bool is_long(std::span<const Tensor> tensors) {
    return std::ranges::any_of(tensors, [](const Tensor& x) { return x.numel() >= kMany; });
  }

  void* released_;
};

}  // namespace tidu
