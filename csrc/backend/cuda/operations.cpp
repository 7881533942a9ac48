// Fills the kernel slots of device cuda.
#include "backend/cuda/operations.h"

namespace tidu::cuda {

void register_all_operations() {}

}  // namespace tidu::cuda
