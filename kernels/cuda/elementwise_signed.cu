// The rows of the elementwise table for bool and the signed integers.
#include "kernels/cuda/elementwise.cuh"

namespace tidu::cuda {

template LoopFunction row_function<bool>(int);
template LoopFunction row_function<int8_t>(int);
template LoopFunction row_function<int16_t>(int);
template LoopFunction row_function<int32_t>(int);
template LoopFunction row_function<int64_t>(int);

}  // namespace tidu::cuda
