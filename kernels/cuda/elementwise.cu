// Finds the function of a row of the elementwise table.
#include "kernels/cuda/elementwise.h"

namespace tidu::cuda {

LoopFunction elementwise_function(int row, DType dtype) {
  if (dtype == DType::complex64) return row_function<complex<float>>(row);
  if (dtype == DType::complex128) return row_function<complex<double>>(row);
  return visit_dtype(dtype, [&]<class T>() { return row_function<T>(row); });
}

}  // namespace tidu::cuda
