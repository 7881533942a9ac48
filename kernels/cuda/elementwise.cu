// Finds the function of a row of the elementwise table.
#include "kernels/cuda/elementwise.h"

namespace tidu::cuda {

LoopFunction elementwise_function(int row, DType dtype) {
  return visit_dtype(dtype, [&]<class T>() { return row_function<T>(row); });
}

}  // namespace tidu::cuda
