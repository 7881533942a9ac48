// What mutants.py writes into the copies of the sources that it breaks: each function takes the number of a
// mutant, does what the source said unless that mutant is chosen, and notes that its place was reached.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <type_traits>
#include <utility>

namespace mutants {

inline constexpr int kMost = 1 << 16;
inline constinit int chosen = -1;
inline constinit unsigned char unread[kMost] = {};
inline constinit unsigned char* reached = unread;

// Before every other initialiser. Each library has it, which does no harm.
[[gnu::constructor(101)]] inline void read_environment() {
  if (const char* number = std::getenv("TIDU_MUTANT")) chosen = std::atoi(number);
  const char* file = std::getenv("TIDU_MUTANTS_REACHED");
  const int fd = file ? ::open(file, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0 || reached != unread) return;
  void* memory = ::mmap(nullptr, kMost, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) reached = static_cast<unsigned char*>(memory);
  ::close(fd);
}

inline bool look_up(int id) {
  reached[id] = 1;
  return id == chosen;
}
// In functions that may be constant expressions, but not where they are: a constant has no turn.
constexpr bool on(int id) { return id < 0 ? false : look_up(id); }
constexpr int one(int id) { return on(id) ? 1 : 0; }
constexpr int sign(int id) { return on(id) ? -1 : 1; }
constexpr bool flip(int id, bool condition) { return on(id) != condition; }

template <class T> constexpr T min(int id, const T& a, const T& b) { return (b < a) != on(id) ? b : a; }
template <class T> constexpr T max(int id, const T& a, const T& b) { return (a < b) != on(id) ? b : a; }

// `a OP mutants::name(id) OP b` has the precedence of `a OP b`.
#define MUTANT_OPERATOR(name, first, second, broken)                          \
  struct name {                                                               \
    int id;                                                                   \
  };                                                                          \
  template <class A> struct name##_left {                                     \
    A&& a;                                                                    \
    int id;                                                                   \
  };                                                                          \
  template <class A> constexpr name##_left<A> operator first(A&& a, name m) { \
    return {std::forward<A>(a), m.id};                                        \
  }                                                                           \
  template <class A, class B>                                                 \
  requires requires(A && a, B && b) {                                         \
    broken(a, b);                                                             \
    sound_##name(a, b);                                                       \
  }                                                                           \
  constexpr auto operator second(name##_left<A> left, B&& b) {                \
    using Result = std::remove_cvref_t<decltype(sound_##name(left.a, b))>;    \
    return on(left.id) ? static_cast<Result>(broken(left.a, b))               \
                       : static_cast<Result>(sound_##name(left.a, b));        \
  }

#define MUTANT_FUNCTION(name, expression) \
  template <class A, class B> constexpr auto name(A&& a, B&& b)->decltype(expression) { return expression; }
MUTANT_FUNCTION(sound_less, a < b)
MUTANT_FUNCTION(sound_less_equal, a <= b)
MUTANT_FUNCTION(sound_greater, a > b)
MUTANT_FUNCTION(sound_greater_equal, a >= b)
MUTANT_FUNCTION(sound_equal, a == b)
MUTANT_FUNCTION(sound_unequal, a != b)
MUTANT_FUNCTION(sound_plus, a + b)
MUTANT_FUNCTION(sound_minus, a - b)
MUTANT_FUNCTION(sound_times, a* b)
MUTANT_FUNCTION(sound_over, a / b)
MUTANT_FUNCTION(sound_modulo, a % b)
MUTANT_FUNCTION(first_of, (static_cast<void>(b), a))

// Relations are written a <less(id)> b and so on: (a < less(id)) > b.
MUTANT_OPERATOR(less, <, >, sound_less_equal)
MUTANT_OPERATOR(less_equal, <, >, sound_less)
MUTANT_OPERATOR(greater, <, >, sound_greater_equal)
MUTANT_OPERATOR(greater_equal, <, >, sound_greater)
MUTANT_OPERATOR(equal, ==, ==, sound_unequal)
MUTANT_OPERATOR(unequal, ==, ==, sound_equal)
MUTANT_OPERATOR(plus, +, +, sound_minus)
MUTANT_OPERATOR(minus, +, +, sound_plus)
MUTANT_OPERATOR(times, *, *, sound_plus)
MUTANT_OPERATOR(over, *, *, sound_times)
MUTANT_OPERATOR(modulo, *, *, first_of)

}  // namespace mutants
