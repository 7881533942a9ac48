// What looks at the calls of a thread as they run.
#pragma once

#include <atomic>
#include <functional>
#include <utility>

#include "core/primitive.h"

namespace tidu {

class Watch {
 public:
  virtual ~Watch() = default;
  // Runs the kernel, which computes the call.
  virtual void run(const Call& call, const std::function<void()>& kernel) = 0;

  // The one of this thread, or null.
  static Watch* active() { return count_.load(std::memory_order_relaxed) == 0 ? nullptr : current_; }

  // Makes `watch`, which may be null, the one of this thread.
  class Scope {
   public:
    explicit Scope(Watch* watch) : outer_(std::exchange(current_, watch)) {
      count_.fetch_add(1, std::memory_order_relaxed);
    }
    ~Scope() {
      count_.fetch_sub(1, std::memory_order_relaxed);
      current_ = outer_;
    }
    Scope(const Scope&) = delete;

   private:
    Watch* const outer_;
  };

 private:
  static std::atomic<int> count_;  // of scopes, on all threads
  static thread_local Watch* current_;
};

}  // namespace tidu
