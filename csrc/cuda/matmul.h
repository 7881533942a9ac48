// How device cuda multiplies matrices.
#pragma once

#include <string_view>

namespace tidu::cuda {

// Whether float32 products on device cuda may use TF32: faster on tensor cores, but operands keep 10 of their
// 23 fraction bits. Off at first.
void set_allow_tf32(bool allow);
bool allow_tf32();

// What multiplies matrices on device cuda: cuBLAS wherever it can, our own kernels, or each where it is the
// better one. At first what TIDU_CUDA_MATMUL (cublas, tidu, auto) says, or automatic.
enum class MatmulLibrary { automatic, cublas, tidu };
MatmulLibrary matmul_library_from_name(std::string_view name);
const char* name_of(MatmulLibrary library);
void set_matmul(MatmulLibrary library);
MatmulLibrary matmul_library();

}  // namespace tidu::cuda
