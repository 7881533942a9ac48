// Conversions from bool and the integers.
#include "kernels/cuda/cast.cuh"

namespace tidu::cuda {

template LoopFunction cast_function_from<bool>(DType);
template LoopFunction cast_function_from<int8_t>(DType);
template LoopFunction cast_function_from<int16_t>(DType);
template LoopFunction cast_function_from<int32_t>(DType);
template LoopFunction cast_function_from<int64_t>(DType);
template LoopFunction cast_function_from<uint8_t>(DType);
template LoopFunction cast_function_from<uint16_t>(DType);
template LoopFunction cast_function_from<uint32_t>(DType);
template LoopFunction cast_function_from<uint64_t>(DType);

}  // namespace tidu::cuda
