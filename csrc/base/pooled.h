// Memory for small objects that come and go by the million: each thread keeps what it freed for the next.
#pragma once

#include <cstddef>
#include <new>

namespace tidu {

// A base class of T that gives it such memory. Objects may be freed on other threads than they were made on.
template <class T> class Pooled {
 public:
  static void* operator new(size_t size) {
    if (size != sizeof(T) || !pool.first) return ::operator new(size);
    Free* const object = pool.first;
    pool.first = object->next;
    __builtin_prefetch(pool.first, 1);  // by the next call it is there, if it has left the caches
    --pool.count;
    return object;
  }
  static void operator delete(void* object, size_t size) noexcept {
    if (size != sizeof(T) || pool.count >= kMost) return ::operator delete(object);
    if (!pool.is_emptied_at_end) [[unlikely]]
      at_end_of_thread();
    pool.first = new (object) Free{pool.first};
    ++pool.count;
  }

 private:
  struct Free {
    Free* next;
  };
  struct Pool {
    Free* first = nullptr;
    size_t count = 0;
    bool is_emptied_at_end = false;
  };
  struct Emptier {
    ~Emptier() {
      pool.count = kMost;  // what is freed later still is not kept
      while (Free* const object = pool.first) {
        pool.first = object->next;
        ::operator delete(object);
      }
    }
  };
  static void at_end_of_thread() {
    static thread_local Emptier emptier;
    (void)emptier;
    pool.is_emptied_at_end = true;
  }

#ifdef __SANITIZE_ADDRESS__  // sees what is used after it was freed only where that is given back
  static constexpr size_t kMost = 0;
#else
  static constexpr size_t kMost = 8192;
#endif
  [[gnu::tls_model("initial-exec")]] static constinit inline thread_local Pool pool;
};

}  // namespace tidu
