// An array whose length is said once, in place where it is short.
#pragma once

#include <cstddef>
#include <memory>

namespace tidu {

template <class T, size_t kFew> class Few {
 public:
  explicit Few(size_t size) : size_(size) {
    if (size > kFew) many_ = std::make_unique<T[]>(size);
  }
  Few(const Few&) = delete;
  // From here on it has no size.
  void clear() {
    for (T& value : *this) value = T();
    size_ = 0;
    many_ = nullptr;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return begin()[i]; }
  const T& operator[](size_t i) const { return begin()[i]; }
  T* begin() { return many_ ? many_.get() : few_; }
  T* end() { return begin() + size_; }
  const T* begin() const { return many_ ? many_.get() : few_; }
  const T* end() const { return begin() + size_; }

 private:
  size_t size_ = 0;
  std::unique_ptr<T[]> many_;
  T few_[kFew];
};

}  // namespace tidu
