// The rows of the elementwise table for the unsigned integers.
#include "kernels/cuda/elementwise.cuh"

namespace tidu::cuda {

template LoopFunction row_function<uint8_t>(int);
template LoopFunction row_function<uint16_t>(int);
template LoopFunction row_function<uint32_t>(int);
template LoopFunction row_function<uint64_t>(int);

}  // namespace tidu::cuda
