// A few elements on the stack, and the rows of elementwise.def for them: what is written in terms of ops is
// computed of them without tensors. They run the cpu's tile functions, so the bits are those of the calls.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "kernels/cpu/elementwise.h"
#include "ops/elementwise.h"

namespace tidu::handful {

// A row's tile functions by dtype, which the cpu's kernels set.
template <Primitive& row> inline const TileFunction* tiles = nullptr;

// body(context, begin, end) for ranges of `total` elements, on the threads of the cpu's kernels, which set
// it.
inline void (*over_elements)(int64_t total, void (*body)(const void* context, int64_t begin, int64_t end),
                             const void* context) = nullptr;

// The dtype of elements that are known to be T.
template <class T> struct TypeOf {
  constexpr operator DType() const { return dtype_of<T>; }
};

inline constexpr int64_t kMost = 512;

template <class T> class Handful {
 public:
  // In memory of somebody else.
  Handful(const void* data, int64_t size) : data_(static_cast<const T*>(data)), size_(size) {}
  Handful(T number, int64_t size) : data_(own_), size_(size) { std::fill_n(own_, size, number); }
  template <class... X> Handful(TileFunction tile, int64_t size, const X*... operands) : Handful(own_, size) {
    const void* const inputs[] = {operands...};
    tile(inputs, own_, size);
  }
  Handful(const Handful& other) : Handful(other.data_, other.size_) {
    if (other.data_ == other.own_) data_ = std::copy_n(other.own_, size_, own_) - size_;
  }
  Handful& operator=(const Handful&) = delete;

  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  static TypeOf<T> dtype() { return {}; }

 private:
  const T* data_;
  int64_t size_;
  alignas(64) T own_[kMost];  // as vectors are, which would lie in two lines of the cache
};

// --- Numbers among operands take the type and the size of the others.

template <class X> struct ElementOf { using Type = void; };
template <class T> struct ElementOf<Handful<T>> { using Type = T; };
template <class X> inline constexpr bool is_number = std::is_void_v<typename ElementOf<X>::Type>;
template <class A, class B>
concept Operands = !(is_number<A> && is_number<B>);
template <class A, class B> using Common = typename ElementOf<std::conditional_t<is_number<A>, B, A>>::Type;

// A number again and again. A thread keeps the last few, since each handful of a loop meets the same ones; a
// row reads it before another is asked for.
template <class T> const T* repeated(T number) {
  struct Entry {
    bool is_set = false;
    T elements[kMost];
  };
  thread_local const auto recent = std::make_unique<Entry[]>(16);
  const auto bits = std::bit_cast<std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>(number);
  Entry& entry = recent[static_cast<uint64_t>(bits) * 0x9e3779b97f4a7c15u >> 60];
  if (!entry.is_set || std::memcmp(&entry.elements[0], &number, sizeof number) != 0) {
    std::fill_n(entry.elements, kMost, number);
    entry.is_set = true;
  }
  return entry.elements;
}

template <class T, class X> decltype(auto) spread(const X& x, [[maybe_unused]] int64_t size) {
  if constexpr (is_number<X>) {
    return Handful<T>(static_cast<const void*>(repeated(static_cast<T>(x))), size);
  } else {
    return (x);
  }
}
template <class A, class B> int64_t common_size(const A& a, const B& b) {
  if constexpr (is_number<A>) {
    return b.size();
  } else {
    return a.size();
  }
}

// --- The rows.

template <class T> using same = T;
template <class T> using boolean = bool;
template <Primitive& row, class T> TileFunction tile() {
  return tiles<row>[static_cast<size_t>(dtype_of<T>)];
}

#define UNARY(name, types, result, ...)                             \
  template <class T> Handful<result<T>> name(const Handful<T>& x) { \
    return {tile<primitives::name, T>(), x.size(), x.data()};       \
  }
#define UNARY_WITH(name, ...)                                                                   \
  template <class T> Handful<T> name(const Handful<T>& x, const name##_parameters<double>& p) { \
    return {tile<primitives::name, T>(), x.size(), x.data(), &p};                               \
  }
#define BINARY(name, types, result, ...)                                                              \
  template <class A, class B>                                                                         \
  requires Operands<A, B> Handful<result<Common<A, B>>> name(const A& a, const B& b) {                \
    using T = Common<A, B>;                                                                           \
    const int64_t size = common_size(a, b);                                                           \
    return {tile<primitives::name, T>(), size, spread<T>(a, size).data(), spread<T>(b, size).data()}; \
  }
#define TERNARY(name, ...)                                                                             \
  template <class A, class B>                                                                          \
  requires Operands<A, B> Handful<Common<A, B>> name(const Handful<bool>& c, const A& a, const B& b) { \
    using T = Common<A, B>;                                                                            \
    return {tile<primitives::name, T>(), c.size(), c.data(), spread<T>(a, c.size()).data(),            \
            spread<T>(b, c.size()).data()};                                                            \
  }
#include "ops/elementwise.def"

template <class T> Handful<T> operator-(const Handful<T>& x) { return negative(x); }
#define TIDU_OPERATOR(symbol, name) \
  template <class A, class B>       \
  requires Operands<A, B>           \
  auto operator symbol(const A& a, const B& b) { return name(a, b); }
TIDU_OPERATOR(+, add)
TIDU_OPERATOR(-, subtract)
TIDU_OPERATOR(*, multiply)
TIDU_OPERATOR(/, divide)
TIDU_OPERATOR(==, equal)
TIDU_OPERATOR(!=, not_equal)
TIDU_OPERATOR(<, less)
TIDU_OPERATOR(<=, less_equal)
TIDU_OPERATOR(>, greater)
TIDU_OPERATOR(>=, greater_equal)
#undef TIDU_OPERATOR

// --- What else is asked for.

template <class T> const Handful<T>& widened(const Handful<T>& x) { return x; }
template <class T> bool is_kept_narrow(const Handful<T>&) { return false; }
template <class T> const Handful<T>& real(const Handful<T>& x) { return x; }
template <class T> const Handful<T>& stop_gradient(const Handful<T>& x) { return x; }
template <class T> Handful<T> number_like(const Handful<T>& x, double value) {
  return {static_cast<T>(value), x.size()};
}
template <class T> Handful<T> astype(const Handful<bool>& x, TypeOf<T>) {
  return where(x, T(1), Handful<T>(T(0), x.size()));
}

}  // namespace tidu::handful
