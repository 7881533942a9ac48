// The kernels of the cpu device, registered group by group.
#pragma once

namespace tidu::cpu {

void register_elementwise_kernels();
void register_shape_kernels();
void register_creation_kernels();
void register_reduce_kernels();
void register_scan_kernels();
void register_softmax_kernels();
void register_norm_kernels();
void register_matmul_kernels();
void register_convolution_kernels();
void register_pooling_kernels();
void register_linalg_kernels();
void register_indexing_kernels();
void register_order_kernels();
void register_random_kernels();
void register_update_kernels();

}  // namespace tidu::cpu
