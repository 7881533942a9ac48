// What the libraries' factorisations lack: verdicts that become faults, exchanges of rows, and NaN that goes
// on. Row-major matrices of float32, float64 or complex numbers of these, one after another.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/fault.h"
#include "kernels/types.h"

namespace tidu::cuda {

struct Matrices {
  DType dtype;
  void* data;
  int64_t rows, columns, count;
};

// Zeroes what is above the diagonals of square matrices.
[[nodiscard]] cudaError_t keep_lower(cudaStream_t stream, const Matrices& a);
// Zeroes what is below the diagonals.
[[nodiscard]] cudaError_t keep_upper(cudaStream_t stream, const Matrices& a);

// A fault for each matrix whose info is not 0, but for the lost ones (none where `lost` is null).
[[nodiscard]] cudaError_t judge(cudaStream_t stream, const int* info, const int* lost, int64_t count,
                                MatrixFault fault, const FaultRecord& record);
// A fault for each square matrix with a zero on its diagonal.
[[nodiscard]] cudaError_t judge_diagonal(cudaStream_t stream, const Matrices& a, const FaultRecord& record);

// A fault for each matrix of bool that has a true element: what turns freely.
[[nodiscard]] cudaError_t judge_mask(cudaStream_t stream, const Matrices& wrong, const FaultRecord& record);

// Numbers from 1 as numbers from 0.
[[nodiscard]] cudaError_t number_pivots(cudaStream_t stream, const int* from, int64_t* to, int64_t count);
// Exchanges row i with row pivots[i], from the first on or, inversely, from the last.
[[nodiscard]] cudaError_t exchange_rows(cudaStream_t stream, const Matrices& a, const int64_t* pivots,
                                        bool inverse, const FaultRecord& record);

// Notes the matrices that are not finite, which become zero meanwhile; and makes their results NaN.
[[nodiscard]] cudaError_t set_aside(cudaStream_t stream, const Matrices& a, int* lost);
[[nodiscard]] cudaError_t lose(cudaStream_t stream, const Matrices& a, const int* lost);

// Complex numbers become their conjugates; real ones are left.
[[nodiscard]] cudaError_t conjugate(cudaStream_t stream, const Matrices& a);

// Turns vectors of equal values (kernels/turning.h): columns, or rows but for those of values that are
// nothing.
[[nodiscard]] cudaError_t turn_columns(cudaStream_t stream, const Matrices& vectors, const Matrices& values);
[[nodiscard]] cudaError_t turn_rows(cudaStream_t stream, const Matrices& vectors, const Matrices& values);

// Turns vectors of equal values into those that split along t (kernels/splitting.h), a thread a matrix.
[[nodiscard]] cudaError_t split_equal_values(cudaStream_t stream, const Matrices& values,
                                             const Matrices& left, const Matrices& right, const Matrices& t,
                                             bool singular, void* room);

}  // namespace tidu::cuda
