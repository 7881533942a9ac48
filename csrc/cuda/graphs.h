// Whether compiled functions issue their work for device cuda as graphs.
#pragma once

namespace tidu::cuda {

// At first as the environment variable TIDU_CUDA_GRAPHS says (0: not), else they do.
void set_graphs(bool on);
bool uses_graphs();

}  // namespace tidu::cuda
