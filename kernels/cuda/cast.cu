// Finds the conversion between two dtypes; those from floating-point types.
#include "kernels/cuda/cast.cuh"

namespace tidu::cuda {

template LoopFunction cast_function_from<float16>(DType);
template LoopFunction cast_function_from<bfloat16>(DType);
template LoopFunction cast_function_from<float>(DType);
template LoopFunction cast_function_from<double>(DType);

extern template LoopFunction cast_function_from<bool>(DType);
extern template LoopFunction cast_function_from<int8_t>(DType);
extern template LoopFunction cast_function_from<int16_t>(DType);
extern template LoopFunction cast_function_from<int32_t>(DType);
extern template LoopFunction cast_function_from<int64_t>(DType);
extern template LoopFunction cast_function_from<uint8_t>(DType);
extern template LoopFunction cast_function_from<uint16_t>(DType);
extern template LoopFunction cast_function_from<uint32_t>(DType);
extern template LoopFunction cast_function_from<uint64_t>(DType);

LoopFunction cast_function(DType from, DType to) {
  return visit_dtype(from, [&]<class T>() { return cast_function_from<T>(to); });
}

}  // namespace tidu::cuda
