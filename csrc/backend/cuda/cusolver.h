// Factorisations by cuSOLVER, of batches of dense n x n matrices of float32 or float64 on the device.
// Verdicts
// (`info`, one int a matrix) stay on the device until require_... waits for them.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "base/dtype.h"

namespace tidu::cuda {

// Where the work goes, and what a message calls it: "[cholesky] float32(3, 8, 8) cuda:0".
struct SolverCall {
  int device;
  cudaStream_t stream;
  std::string what;
};

struct SquareMatrices {
  DType dtype;
  int64_t n, count;
  void* data;
};

// Right-hand sides: matrices whose `count` columns of n elements lie one after another.
struct Columns {
  void* data;
  int64_t count;
};

// Row-major matrices become their lower factors L with a = L L^T and zeros above the diagonal; only the lower
// triangle is read.
size_t cholesky_workspace(const SolverCall& call, const SquareMatrices& a);
void cholesky(const SolverCall& call, const SquareMatrices& a, void* workspace, int* info);
// b becomes x of L L^T x = b.
void cholesky_solve(const SolverCall& call, const SquareMatrices& lower, const Columns& b, int* info);
// Waits; a ValueError names the first matrix that was not positive definite.
void require_positive_definite(const SolverCall& call, const int* info, int64_t count);

// Column-major matrices become L (below the diagonal, ones on it left out) and U of P a = L U; for i from 0
// up, row i was exchanged with row pivots[i] - 1.
size_t lu_workspace(const SolverCall& call, const SquareMatrices& a);
void lu_factor(const SolverCall& call, const SquareMatrices& a, int* pivots, void* workspace, int* info);
// b becomes x of a x = b or, transposed, of a^T x = b (so factors of a row-major matrix serve too).
void lu_solve(const SolverCall& call, const SquareMatrices& lu, const int* pivots, bool transposed,
              const Columns& b, int* info);
// Waits; a ValueError names the first matrix that was singular.
void require_regular(const SolverCall& call, const int* info, int64_t count);

}  // namespace tidu::cuda
