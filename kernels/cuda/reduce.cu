// Finds the row of a reduction.
#include "kernels/cuda/reduce.h"

namespace tidu::cuda {

ReduceKernel reduction_row(int row, DType dtype) {
  return visit_dtype(dtype, [&]<class T>() {
    return reduction_row<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>>(row);
  });
}

}  // namespace tidu::cuda
