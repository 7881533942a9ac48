// The operations of device cuda, registered group by group.
#pragma once

namespace tidu::cuda {

void register_all_operations();

void register_elementwise_operations();
void register_shape_operations();
void register_creation_operations();
void register_indexing_operations();
void register_order_operations();
void register_matmul_operations();
void register_window_operations();
void register_linalg_operations();
void register_random_operations();
void register_update_operations();
void register_reduce_operations();
void register_scan_operations();
void register_softmax_operations();
void register_norm_operations();
void register_attention_operations();

}  // namespace tidu::cuda
