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
  switch (from) {
    case DType::bool_: return cast_function_from<bool>(to);
    case DType::int8: return cast_function_from<int8_t>(to);
    case DType::int16: return cast_function_from<int16_t>(to);
    case DType::int32: return cast_function_from<int32_t>(to);
    case DType::int64: return cast_function_from<int64_t>(to);
    case DType::uint8: return cast_function_from<uint8_t>(to);
    case DType::uint16: return cast_function_from<uint16_t>(to);
    case DType::uint32: return cast_function_from<uint32_t>(to);
    case DType::uint64: return cast_function_from<uint64_t>(to);
    case DType::float16: return cast_function_from<float16>(to);
    case DType::bfloat16: return cast_function_from<bfloat16>(to);
    case DType::float32: return cast_function_from<float>(to);
    case DType::float64: return cast_function_from<double>(to);
  }
  return nullptr;
}

}  // namespace tidu::cuda
