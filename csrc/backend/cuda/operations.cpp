// Fills the kernel slots of device cuda.
#include "backend/cuda/operations.h"

namespace tidu::cuda {

void register_all_operations() {
  register_elementwise_operations();
  register_shape_operations();
  register_creation_operations();
  register_indexing_operations();
  register_order_operations();
  register_matmul_operations();
  register_window_operations();
  register_linalg_operations();
  register_random_operations();
  register_update_operations();
  register_reduce_operations();
  register_scan_operations();
  register_softmax_operations();
  register_norm_operations();
  register_attention_operations();
}

}  // namespace tidu::cuda
