// What a CUDA source sees in place of the compiler's built-ins when the host compiler builds it for the SIMT
// runtime: thread indices, barriers, warp exchanges, atomics, shared memory and launches.
#pragma once

#include <cuda_runtime.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include "simt/machine/hooks.h"
#include "simt/machine/report.h"

namespace tidu::simt {

using Where = std::source_location;

// --- Launches.

// Of the host (host/launch.cpp), which runs it when its stream comes to it.
cudaError_t queue_launch(const Launch& launch);

// "softmax<float>" of the text by which the compiler names an instantiation.
template <auto kernel> const char* kernel_name() { return __PRETTY_FUNCTION__; }

template <auto kernel, class... P> struct Trampoline {
  using Parameters = std::tuple<std::remove_cv_t<P>...>;

  __attribute__((no_sanitize("thread"))) static void call(const void* parameters) {
    call(*static_cast<const Parameters*>(parameters), std::index_sequence_for<P...>());
  }
  template <size_t... i>
  __attribute__((no_sanitize("thread"))) static void call(const Parameters& p, std::index_sequence<i...>) {
    kernel(std::get<i>(p)...);
  }
};

template <auto kernel, class... P, class... Args>
cudaError_t launch_with(void (*)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                        Where where, Args&&... args) {
  static_assert(sizeof...(P) == sizeof...(Args), "the launch gives more or fewer arguments than the kernel");
  static_assert((std::is_trivially_copyable_v<std::remove_cv_t<P>> && ...), "kernels take plain values");
  const typename Trampoline<kernel, P...>::Parameters parameters(static_cast<P>(args)...);
  return queue_launch({kernel_name<kernel>(), grid, block, shared_bytes, stream, where,
                       &Trampoline<kernel, P...>::call, &parameters, sizeof(parameters)});
}

template <auto kernel, class... Args>
cudaError_t launch(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, Where where,
                   const Args&... args) {
  return launch_with<kernel>(kernel, grid, block, shared_bytes, stream, where, args...);
}

// --- Shared memory.

// Memory of the running block for the variable whose place is `base`, or where it is from here on.
void* declare_shared(const char* name, size_t bytes);
void* dynamic_shared_bytes();

// One __shared__ variable of a kernel: each block has its own, uninitialised at its first use.
class SharedVariable {
 public:
  constexpr explicit SharedVariable(const char* name) : name_(name) {}
  template <class T> T& get() {
    if (block_ != running.block_number) {
      block_ = running.block_number;
      base_ = declare_shared(name_, sizeof(T));
    }
    return *static_cast<T*>(base_);
  }

 private:
  const char* name_;
  void* base_ = nullptr;
  uint64_t block_ = 0;
};

template <class T> T* dynamic_shared() { return static_cast<T*>(dynamic_shared_bytes()); }

// --- One access of 1 to 16 bytes, which the instrumentation sees whole. All that touches memory for a kernel
// is always inlined: it belongs to the kernel's instrumented code and to its line.

template <size_t bytes> struct Word;
template <> struct Word<1> { using type [[gnu::may_alias]] = unsigned char; };
template <> struct Word<2> { using type [[gnu::may_alias]] = unsigned short; };
template <> struct Word<4> { using type [[gnu::may_alias]] = unsigned; };
template <> struct Word<8> { using type [[gnu::may_alias]] = unsigned long; };
template <> struct Word<16> { typedef long long type __attribute__((vector_size(16), may_alias)); };

// The checked build finds this by itself, and says the line.
inline void require_aligned([[maybe_unused]] const void* p, [[maybe_unused]] size_t bytes) {
#ifndef TIDU_SIMT_CHECKED
  if ((reinterpret_cast<uintptr_t>(p) & (bytes - 1)) != 0) fail("misaligned vector access");
#endif
}

// Ends the kernel because it uses element i of n; of a checked build.
[[noreturn]] void fail_index(int64_t i, int64_t n);

// i, an index of n elements. The compiler's own check lets a reference be made to what comes after them.
__forceinline__ int index_within(int i, [[maybe_unused]] int n) {
#ifdef TIDU_SIMT_CHECKED
  if (i == n) fail_index(i, n);
#endif
  return i;
}

template <class V> __forceinline__ V load_whole(const void* p) {
  require_aligned(p, sizeof(V));
  typename Word<sizeof(V)>::type word = *static_cast<const typename Word<sizeof(V)>::type*>(p);
  return __builtin_bit_cast(V, word);
}
template <class V> __forceinline__ void store_whole(void* p, const V& v) {
  require_aligned(p, sizeof(V));
  *static_cast<typename Word<sizeof(V)>::type*>(p) = __builtin_bit_cast(typename Word<sizeof(V)>::type, v);
}

// --- Barriers and exchanges.

enum class Vote : uint8_t { none, any, all, count };
int barrier(Vote vote, bool predicate, Where where);

// Waits until all living lanes of the mask have come. A shuffle returns the value of lane `source`, a ballot
// the lanes that gave a value other than 0, a reduction the reduced value.
uint64_t collect(Collective what, unsigned mask, uint64_t value, unsigned source, Where where);

template <class T> uint64_t to_word(T value) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "CUDA exchanges values of 4 and 8 bytes: convert to int, float, long long or double first");
  if constexpr (sizeof(T) == 4) return std::bit_cast<uint32_t>(value);
  if constexpr (sizeof(T) == 8) return std::bit_cast<uint64_t>(value);
}
template <class T> T from_word(uint64_t word) {
  if constexpr (sizeof(T) == 4) return std::bit_cast<T>(static_cast<uint32_t>(word));
  if constexpr (sizeof(T) == 8) return std::bit_cast<T>(word);
}
template <class T> T shuffle(unsigned mask, T value, unsigned source, Where where) {
  return from_word<T>(collect(Collective::shuffle, mask, to_word(value), source, where));
}
inline unsigned lane() { return running.thread % 32; }
// First lane of the segment of `width` lanes in which this one is.
inline unsigned segment(int width) { return lane() & ~(static_cast<unsigned>(width) - 1); }

// Threads take turns on one thread of the host, so that only the compiler has to keep the order.
inline void fence() { __asm__ volatile("" ::: "memory"); }

// Atomic read-modify-write as a loop over compare-and-swap.
template <class T, class F> __forceinline__ T atomic_update(T* address, F update) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (
      !__atomic_compare_exchange_n(address, &old, update(old), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return old;
}

}  // namespace tidu::simt

// NOLINTBEGIN: from here on, the names of CUDA.
#ifndef __launch_bounds__
#define __launch_bounds__(...)
#endif
#define TIDU_SIMT_WHERE ::tidu::simt::Where where = ::tidu::simt::Where::current()

inline void __syncthreads(TIDU_SIMT_WHERE) { tidu::simt::barrier(tidu::simt::Vote::none, false, where); }
inline int __syncthreads_or(int p, TIDU_SIMT_WHERE) {
  return tidu::simt::barrier(tidu::simt::Vote::any, p != 0, where);
}
inline int __syncthreads_and(int p, TIDU_SIMT_WHERE) {
  return tidu::simt::barrier(tidu::simt::Vote::all, p != 0, where);
}
inline int __syncthreads_count(int p, TIDU_SIMT_WHERE) {
  return tidu::simt::barrier(tidu::simt::Vote::count, p != 0, where);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, TIDU_SIMT_WHERE) {
  tidu::simt::collect(tidu::simt::Collective::syncwarp, mask, 0, 0, where);
}

template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32, TIDU_SIMT_WHERE) {
  const unsigned within = static_cast<unsigned>(source) & (static_cast<unsigned>(width) - 1);
  return tidu::simt::shuffle(mask, value, tidu::simt::segment(width) + within, where);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, TIDU_SIMT_WHERE) {
  const unsigned lane = tidu::simt::lane(), first = tidu::simt::segment(width);
  return tidu::simt::shuffle(mask, value, lane >= first + delta ? lane - delta : lane, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, TIDU_SIMT_WHERE) {
  const unsigned lane = tidu::simt::lane(),
                 last = tidu::simt::segment(width) + static_cast<unsigned>(width) - 1;
  return tidu::simt::shuffle(mask, value, lane + delta <= last ? lane + delta : lane, where);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, TIDU_SIMT_WHERE) {
  const unsigned lane = tidu::simt::lane(), source = lane ^ static_cast<unsigned>(bits);
  const unsigned end = tidu::simt::segment(width) + static_cast<unsigned>(width);
  return tidu::simt::shuffle(mask, value, source < end ? source : lane, where);
}

inline unsigned __ballot_sync(unsigned mask, int p, TIDU_SIMT_WHERE) {
  return static_cast<unsigned>(tidu::simt::collect(tidu::simt::Collective::ballot, mask, p != 0, 0, where));
}
inline int __any_sync(unsigned mask, int p, TIDU_SIMT_WHERE) {
  return tidu::simt::collect(tidu::simt::Collective::ballot, mask, p != 0, 0, where) != 0;
}
inline int __all_sync(unsigned mask, int p, TIDU_SIMT_WHERE) {
  return tidu::simt::collect(tidu::simt::Collective::ballot, mask, p == 0, 0, where) == 0;
}
template <class T> unsigned __match_any_sync(unsigned mask, T value, TIDU_SIMT_WHERE) {
  return static_cast<unsigned>(
      tidu::simt::collect(tidu::simt::Collective::match, mask, tidu::simt::to_word(value), 0, where));
}
// The lanes that happen to run together are never known: here it is each lane alone.
inline unsigned __activemask() { return 1u << tidu::simt::lane(); }

#define TIDU_SIMT_REDUCE(name, type, what)                                                                \
  inline type __reduce_##name##_sync(unsigned mask, type value, TIDU_SIMT_WHERE) {                        \
    return static_cast<type>(                                                                             \
        tidu::simt::collect(tidu::simt::Collective::what, mask, static_cast<unsigned>(value), 0, where)); \
  }
TIDU_SIMT_REDUCE(add, int, reduce_add_signed)
TIDU_SIMT_REDUCE(add, unsigned, reduce_add)
TIDU_SIMT_REDUCE(min, int, reduce_min_signed)
TIDU_SIMT_REDUCE(min, unsigned, reduce_min)
TIDU_SIMT_REDUCE(max, int, reduce_max_signed)
TIDU_SIMT_REDUCE(max, unsigned, reduce_max)
TIDU_SIMT_REDUCE(and, unsigned, reduce_and)
TIDU_SIMT_REDUCE(or, unsigned, reduce_or)
TIDU_SIMT_REDUCE(xor, unsigned, reduce_xor)
#undef TIDU_SIMT_REDUCE
#undef TIDU_SIMT_WHERE

inline void __threadfence() { tidu::simt::fence(); }
inline void __threadfence_block() { tidu::simt::fence(); }
inline void __threadfence_system() { tidu::simt::fence(); }

#define TIDU_SIMT_ATOMIC(type)                                                                             \
  __forceinline__ type atomicAdd(type* p, type v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }   \
  __forceinline__ type atomicExch(type* p, type v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); } \
  __forceinline__ type atomicAnd(type* p, type v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }   \
  __forceinline__ type atomicOr(type* p, type v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }     \
  __forceinline__ type atomicXor(type* p, type v) { return __atomic_fetch_xor(p, v, __ATOMIC_RELAXED); }   \
  __forceinline__ type atomicMin(type* p, type v) {                                                        \
    return tidu::simt::atomic_update(p, [v](type old) { return v < old ? v : old; });                      \
  }                                                                                                        \
  __forceinline__ type atomicMax(type* p, type v) {                                                        \
    return tidu::simt::atomic_update(p, [v](type old) { return v > old ? v : old; });                      \
  }                                                                                                        \
  __forceinline__ type atomicCAS(type* p, type expected, type v) {                                         \
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);               \
    return expected;                                                                                       \
  }
TIDU_SIMT_ATOMIC(int)
TIDU_SIMT_ATOMIC(unsigned)
TIDU_SIMT_ATOMIC(unsigned long long)
#undef TIDU_SIMT_ATOMIC
__forceinline__ int atomicSub(int* p, int v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }
__forceinline__ unsigned atomicSub(unsigned* p, unsigned v) {
  return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED);
}
__forceinline__ unsigned atomicInc(unsigned* p, unsigned limit) {
  return tidu::simt::atomic_update(p, [limit](unsigned old) { return old >= limit ? 0 : old + 1; });
}
__forceinline__ unsigned atomicDec(unsigned* p, unsigned limit) {
  return tidu::simt::atomic_update(
      p, [limit](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
}

// Loads and stores with a cache hint are loads and stores; those of the second-level cache, in which blocks
// meet, are atomic.
template <class T> __forceinline__ T __ldg(const T* p) { return *p; }
template <class T> __forceinline__ T __ldcs(const T* p) { return *p; }
template <class T> __forceinline__ T __ldcg(const T* p) {
  T value;
  __atomic_load(p, &value, __ATOMIC_RELAXED);
  return value;
}
template <class T> __forceinline__ void __stcs(T* p, T v) { *p = v; }
template <class T> __forceinline__ void __stcg(T* p, T v) { __atomic_store(p, &v, __ATOMIC_RELAXED); }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1u) << (31 - i);
  return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline int __mulhi(int a, int b) { return static_cast<int>(int64_t{a} * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((uint64_t{high} << 32 | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (shift & 31));
}
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }

#define TIDU_SIMT_MIN_MAX(type)                             \
  inline type min(type a, type b) { return b < a ? b : a; } \
  inline type max(type a, type b) { return a < b ? b : a; }
TIDU_SIMT_MIN_MAX(int)
TIDU_SIMT_MIN_MAX(unsigned)
TIDU_SIMT_MIN_MAX(long)
TIDU_SIMT_MIN_MAX(unsigned long)
TIDU_SIMT_MIN_MAX(long long)
TIDU_SIMT_MIN_MAX(unsigned long long)
#undef TIDU_SIMT_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
// NOLINTEND
