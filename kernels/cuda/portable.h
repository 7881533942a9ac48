// What differs between the two builds of a CUDA source: nvcc for a GPU, and the host compiler for the SIMT
// runtime (csrc/simt), which executes it on a machine without one. Every file of kernels/cuda includes this
// and keeps to it: scripts/lint.py refuses <<<>>>, raw __shared__ and raw vector accesses.
//
//   launch<kernel<T>>({grid, block, shared_bytes, stream}, args...)   cudaError_t of the launch
//   TIDU_SHARED(tile, float[32][33]);                                 a __shared__ array, seen by its name
//   TIDU_DYNAMIC_SHARED(buffer, float);                               float* to the launch's shared_bytes
//   load_vec<n>(p), store_vec(p, v), store_vec_shared(p, v)           one access of n elements, at most 16
//   bytes
//   loads_above()                                                     what is read before it is on its way
#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <source_location>
#include <type_traits>

#include "kernels/types.h"

#ifndef __CUDACC__
#include "simt/machine/device.h"
#endif

namespace tidu::cuda {

// Lanes of a warp, and all of them.
inline constexpr int kWarp = 32;
inline constexpr unsigned kFullMask = 0xffffffffu;

// Shape of a launch, and where in the sources it is.
struct Grid {
  dim3 blocks;
  dim3 threads;
  size_t shared_bytes;
  cudaStream_t stream;
  std::source_location where;

  Grid(dim3 blocks, dim3 threads, size_t shared_bytes, cudaStream_t stream,
       std::source_location where = std::source_location::current())
      : blocks(blocks), threads(threads), shared_bytes(shared_bytes), stream(stream), where(where) {}
};

#ifdef __CUDACC__

// A compiler would move each load down to where its value is wanted, so that one waits for the other.
__device__ __forceinline__ void loads_above() { asm volatile("" ::: "memory"); }

#define TIDU_INDEX(i, n) (i)
#define TIDU_SHARED(name, ...) __shared__ std::type_identity_t<__VA_ARGS__> name
#define TIDU_DYNAMIC_SHARED(name, type)                          \
  extern __shared__ __align__(16) unsigned char tidu_dynamic_[]; \
  type* const name = reinterpret_cast<type*>(tidu_dynamic_)

// Queues `kernel` on the stream. More than 48 KiB of dynamic shared memory is asked for as the hardware
// wants.
template <auto kernel, class... Args> [[nodiscard]] cudaError_t launch(const Grid& grid, Args... args) {
  if (grid.shared_bytes > 48 * 1024) {
    const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(grid.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid.blocks;
  config.blockDim = grid.threads;
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = grid.stream;
  return cudaLaunchKernelEx(&config, kernel, args...);
}

#else

inline void loads_above() {}

#define TIDU_INDEX(i, n) simt::index_within(i, n)
#define TIDU_SHARED(name, ...)                               \
  static ::tidu::simt::SharedVariable name##_shared_(#name); \
  std::type_identity_t<__VA_ARGS__>& name = name##_shared_.get<std::type_identity_t<__VA_ARGS__>>()
#define TIDU_DYNAMIC_SHARED(name, type) type* const name = ::tidu::simt::dynamic_shared<type>()

template <auto kernel, class... Args> [[nodiscard]] cudaError_t launch(const Grid& grid, Args... args) {
  return simt::launch<kernel>(grid.blocks, grid.threads, grid.shared_bytes, grid.stream, grid.where, args...);
}

#endif

// --- n elements moved in one access.

template <class T, int n> struct alignas(sizeof(T) * n) Vec {
  static_assert(sizeof(T) * n <= 16 && (n & (n - 1)) == 0);
  T data[n];
  TIDU_HD T& operator[](int i) { return data[TIDU_INDEX(i, n)]; }
  TIDU_HD const T& operator[](int i) const { return data[TIDU_INDEX(i, n)]; }
};

// The most elements that one access of 16 bytes moves.
template <class T> inline constexpr int kVec = 16 / static_cast<int>(sizeof(T));

// p is aligned to sizeof(T) * n.
template <int n, class T> __device__ __forceinline__ Vec<T, n> load_vec(const T* p) {
#ifdef __CUDACC__
  return *reinterpret_cast<const Vec<T, n>*>(p);
#else
  return simt::load_whole<Vec<T, n>>(p);
#endif
}

// To global memory. A compiler that meets the same elements stored one by one in another branch would merge
// the two into the latter, so what can be more than one word is stored by an instruction that it leaves
// whole.
template <int n, class T> __device__ __forceinline__ void store_vec(T* p, const Vec<T, n>& v) {
#ifdef __CUDACC__
  if constexpr (sizeof v == 16) {
    uint4 w;
    memcpy(&w, &v, sizeof v);
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p)), "r"(w.x),
                 "r"(w.y), "r"(w.z), "r"(w.w)
                 : "memory");
  } else if constexpr (sizeof v == 8) {
    uint2 w;
    memcpy(&w, &v, sizeof v);
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(p)), "r"(w.x), "r"(w.y)
                 : "memory");
  } else {
    *reinterpret_cast<Vec<T, n>*>(p) = v;
  }
#else
  simt::store_whole(p, v);
#endif
}

template <int n, class T> __device__ __forceinline__ void store_vec_shared(T* p, const Vec<T, n>& v) {
#ifdef __CUDACC__
  *reinterpret_cast<Vec<T, n>*>(p) = v;
#else
  simt::store_whole(p, v);
#endif
}

}  // namespace tidu::cuda
