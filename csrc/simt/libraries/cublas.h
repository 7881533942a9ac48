// What the emulated cuBLAS and its cuBLASLt share: handles, matrices and products.
#pragma once

#include <cublas_v2.h>

#include "simt/control.h"
#include "simt/libraries/library.h"

namespace tidu::simt {

Handles& cublas_handles();

inline cublasStatus_t refuse(const std::string& why, cublasStatus_t status = CUBLAS_STATUS_INVALID_VALUE) {
  report("cuBLAS: " + why);
  return status;
}

// An entry point that needs a handle: f(state) under the lock.
template <class F> cublasStatus_t with(cublasHandle_t handle, F f) {
  const std::lock_guard lock(runtime_lock());
  LibraryState* const state = cublas_handles().find(handle);
  if (!state) return refuse("not a handle, or one destroyed", CUBLAS_STATUS_NOT_INITIALIZED);
  if (sticky_error() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  return f(*state);
}

struct Matrix {
  const void* data;
  bool transposed;
  int rows, columns;  // in memory
  int leading;
  int64_t by_matrix;
};

// C = alpha A B + beta C.
struct Product {
  cudaDataType type;
  bool tf32;
  int m, n, k, count;
  double alpha, beta;
  Matrix a, b, c;
  const void* bias = nullptr;  // m elements, which each column of C begins as
};

// Whether the library multiplies matrices of this type with sums of that one.
bool has_combination(cudaDataType type, cublasComputeType_t compute);

// Adds the product to the work of the state's stream, unless its operands or the workspace are not to be
// used.
cublasStatus_t submit_product(const LibraryState& state, const Product& product);

}  // namespace tidu::simt
