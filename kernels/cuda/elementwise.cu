// Finds the function of a row of the elementwise table.
#include "kernels/cuda/elementwise.h"

namespace tidu::cuda {

LoopFunction elementwise_function(int row, DType dtype) {
  switch (dtype) {
    case DType::bool_: return row_function<bool>(row);
    case DType::int8: return row_function<int8_t>(row);
    case DType::int16: return row_function<int16_t>(row);
    case DType::int32: return row_function<int32_t>(row);
    case DType::int64: return row_function<int64_t>(row);
    case DType::uint8: return row_function<uint8_t>(row);
    case DType::uint16: return row_function<uint16_t>(row);
    case DType::uint32: return row_function<uint32_t>(row);
    case DType::uint64: return row_function<uint64_t>(row);
    case DType::float16: return row_function<float16>(row);
    case DType::bfloat16: return row_function<bfloat16>(row);
    case DType::float32: return row_function<float>(row);
    case DType::float64: return row_function<double>(row);
  }
  return nullptr;
}

}  // namespace tidu::cuda
