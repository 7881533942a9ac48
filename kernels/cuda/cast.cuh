// Makes the conversions from one type to all others.
#pragma once

#include "kernels/convert.h"
#include "kernels/cuda/cast.h"
#include "kernels/cuda/map.cuh"

namespace tidu::cuda {

template <class To, class From> struct Conversion {
  static __device__ __forceinline__ To apply(From x) { return convert<To>(x); }
};

template <class To, class From> constexpr LoopFunction conversion() {
  if constexpr (std::is_same_v<To, From>) {
    return nullptr;
  } else {
    return &map<Conversion<To, From>, To, From>;
  }
}

template <class From, class... To> LoopFunction pick_conversion(DType to) {
  static constexpr LoopFunction functions[] = {conversion<To, From>()...};
  return functions[static_cast<int>(to)];
}

template <class From> LoopFunction cast_function_from(DType to) {
  return pick_conversion<From, bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
                         float16, bfloat16, float, double>(to);
}

}  // namespace tidu::cuda
