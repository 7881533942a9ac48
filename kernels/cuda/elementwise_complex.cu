// The rows of the elementwise table for complex64 and complex128.
#include "kernels/cuda/elementwise.cuh"

namespace tidu::cuda {

template LoopFunction row_function<complex<float>>(int);
template LoopFunction row_function<complex<double>>(int);

}  // namespace tidu::cuda
