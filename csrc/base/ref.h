// Intrusive reference counting: one word in the object, no control block, and a type may say how its last
// reference goes.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <utility>

namespace tidu {

class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void retain() const noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  // The first reference: nobody else knows the object yet.
  void retain_first() const noexcept { count_.store(1, std::memory_order_relaxed); }
  void release() const noexcept {
    // Nobody can add to the last reference, so it need not be counted down: that costs as much as the rest.
    if (use_count() == 1 || count_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      const_cast<RefCounted*>(this)->destroy();
  }
  int64_t use_count() const noexcept { return count_.load(std::memory_order_acquire); }

 protected:
  virtual ~RefCounted() = default;
  virtual void destroy() noexcept { delete this; }

 private:
  mutable std::atomic<int64_t> count_{0};
};

template <class T> class Ref {
 public:
  Ref() = default;
  Ref(T* object) noexcept : object_(object) {
    if (object_) object_->retain();
  }
  // Of an object that another reference is counted for.
  struct Counted {};
  Ref(T* object, Counted) noexcept : object_(object) {}
  Ref(const Ref& other) noexcept : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <std::derived_from<T> U> Ref(Ref<U>&& other) noexcept : object_(other.give_up()) {}
  ~Ref() {
    if (object_) object_->release();
  }
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }

  T* get() const noexcept { return object_; }
  // The object, whose reference the caller has now.
  T* give_up() noexcept { return std::exchange(object_, nullptr); }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  bool operator==(const Ref& other) const noexcept { return object_ == other.object_; }

 private:
  T* object_ = nullptr;
};

template <class T, class... Args> Ref<T> make_ref(Args&&... args) {
  T* object;
  if constexpr (sizeof...(Args) == 0) {
    object = new T;  // T() would fill all of it with zeros first
  } else {
    object = new T(std::forward<Args>(args)...);
  }
  object->retain_first();
  return Ref<T>(object, typename Ref<T>::Counted{});
}

}  // namespace tidu
