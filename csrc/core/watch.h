// What looks at calls as they run: the hook of diagnostics.
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
  // Runs the rule of a call, which computes tangents or cotangents from `given`.
  virtual Tensors derivative(const Call&, std::span<const Tensor>, const std::function<Tensors()>& rule) {
    return rule();
  }
  // A tape wrote a call down as a node of that number; later `pull` goes back through it.
  virtual void recorded(uint64_t) {}
  virtual void pull(uint64_t, const std::function<void()>& pull) { pull(); }

  // The one of this thread, or null.
  static Watch* active() { return count_.load(std::memory_order_relaxed) == 0 ? nullptr : current_; }
  // The one of all threads, or null: it is set by itself.
  static std::atomic<Watch*> of_all;

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
