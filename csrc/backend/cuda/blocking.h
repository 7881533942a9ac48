// Whether each operation is waited for.
#pragma once

namespace tidu::cuda {

bool is_blocking();  // at first as the environment variable TIDU_CUDA_BLOCKING says
void set_blocking(bool blocking);

}  // namespace tidu::cuda
