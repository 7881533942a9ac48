// Matrix products and triangular systems by cuBLAS.
#pragma once

#include "backend/cuda/context.h"
#include "kernels/cuda/linalg.h"

namespace tidu::cuda {

// Row-major c = a @ b + bias for a batch of matrices: rows of a transposed operand are its columns in memory,
// `leading` elements apart.
struct Gemm {
  struct Matrix {
    const void* data;
    bool transposed;
    int64_t leading, by_batch;
  };
  DType dtype;  // floating
  int64_t m, n, k;
  Matrix a, b;
  void* bias;  // n neighbours, added to each row; null where there is none
  void* c;     // contiguous
  int64_t batches;
};

// Issues the product to the context's stream; `call` is what a message names. float32 is computed as TF32
// only where allow_tf32() says so. Nothing is issued and the result is cudaErrorNotSupported where the
// library cannot do it: its extents are 32-bit integers, and it may lack an algorithm that adds the bias to a
// product in 16 bits before it rounds.
cudaError_t multiply_by_cublas(const Gemm& gemm, const Call& call, Context& context, Room room);
Room room_to_multiply(const Gemm& gemm, const Call& call, Context& context);
// Whether the result may be that.
bool may_refuse(const Gemm& gemm);

// Triangular systems a x = b, or a^T x = b, for matrices a that are row-major as b is, which becomes x.
struct Triangular {
  Matrices a;
  bool upper, transposed, unit_diagonal;
  Matrices b;
};
void solve_by_cublas(const Triangular& system, const Call& call, Context& context, Room room);
Room room_to_solve(const Call& call, Context& context);

}  // namespace tidu::cuda
