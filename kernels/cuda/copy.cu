// Copies between layouts.
#include "kernels/cuda/copy.h"

#include "kernels/cuda/map.cuh"

namespace tidu::cuda {
namespace {

template <class Word> struct Same {
  static __device__ __forceinline__ Word apply(Word x) { return x; }
};

}  // namespace

cudaError_t copy(cudaStream_t stream, size_t size, const Loop& loop) {
  switch (size) {
    case 1: return map<Same<uint8_t>, uint8_t, uint8_t>(stream, loop);
    case 2: return map<Same<uint16_t>, uint16_t, uint16_t>(stream, loop);
    case 4: return map<Same<uint32_t>, uint32_t, uint32_t>(stream, loop);
    case 8: return map<Same<uint64_t>, uint64_t, uint64_t>(stream, loop);
    default: return map<Same<complex<double>>, complex<double>, complex<double>>(stream, loop);
  }
}

}  // namespace tidu::cuda
