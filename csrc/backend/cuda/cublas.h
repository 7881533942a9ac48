// Matrix products by cuBLAS.
#pragma once

#include "backend/cuda/context.h"

namespace tidu::cuda {

// Row-major c = a @ b, or c + a @ b, for a batch of matrices: rows of a transposed operand are its columns in
// memory, `leading` elements apart.
struct Gemm {
  struct Matrix {
    const void* data;
    bool transposed;
    int64_t leading, by_batch;
  };
  DType dtype;  // floating
  int64_t m, n, k;
  Matrix a, b;
  void* c;  // contiguous
  int64_t batches;
  bool adds = false;  // to what is in c
};

// Whether the library takes it: its extents are 32-bit integers.
bool fits_cublas(const Gemm& gemm);

// Issues the product to the context's stream; `call` is what a message names. float32 is computed as TF32
// only where allow_tf32() says so.
void multiply_by_cublas(const Gemm& gemm, const Call& call, Context& context);

}  // namespace tidu::cuda
