// Matrix products on the device: tiles through shared memory, and kernels for matrices times few vectors.
// Any strides, any dtype. Each sum has a fixed order, so equal calls give equal bits.
#pragma once

#include <cuda_runtime.h>

#ifndef __CUDACC_RTC__
#include <cstddef>
#include <string>
#include <vector>
#endif

#include "kernels/types.h"

namespace tidu::cuda {

// Matrices of a batch with two axes: element (row, column) of matrix (i, j) lies
// row * by_row + column * by_column + i * by_batch[0] + j * by_batch[1] elements from data.
struct MatrixView {
  const void* data;
  int64_t by_row, by_column;
  int64_t by_batch[2];
};

// out = a @ b + bias for m x k and k x n matrices; out is contiguous.
struct MatmulProblem {
  DType dtype = DType::float32;
  int64_t m = 0, n = 0, k = 0;
  int64_t batch[2] = {1, 1};
  MatrixView a = {}, b = {};
  void* out = nullptr;
  const void* bias = nullptr;  // n neighbours

  int64_t batches() const { return batch[0] * batch[1]; }
};

// large is 128 x 64 (float32), medium 64 x 64, small 32 x 32, narrow 128 x 16; sliced is 16 x 16, and the
// warps of a block share out k; vector does without tiles for at most four columns. narrow and vector see the
// transposed product where that has fewer columns.
enum class MatmulKernel : uint8_t { large, medium, small, narrow, sliced, vector };

// Splits of k begin at multiples of this, which all vectors of elements divide.
inline constexpr int64_t kSplitStep = 32;

struct MatmulPlan {
  MatmulKernel kernel;
  int splits = 1;  // of k; their sums are added in order by the one that comes last
};

// Of what a plan splits: tiles, or rows.
inline constexpr int kMaxArrivals = 512;

// By shape and dtype alone: the largest tile of which there are enough blocks, and splits of k where even the
// smallest has too few.
MatmulPlan plan_matmul(const MatmulProblem& problem);

// Bytes of workspace that the plan needs: for sums, in any state.
size_t matmul_workspace(const MatmulProblem& problem, const MatmulPlan& plan);

// `arrivals`: kMaxArrivals counts, which are 0 before and afterwards; for one product at a time.
[[nodiscard]] cudaError_t matmul(cudaStream_t stream, const MatmulProblem& problem, const MatmulPlan& plan,
                                 void* workspace, unsigned* arrivals);

#ifndef __CUDACC_RTC__

// How a text computes a product by tiles: by "multiply_tile<..>"(block, product, finished) of kernels/cuda/
// matmul_tile.cuh in blocks of so many threads, where these are the bytes of `product`, a Product<T>.
struct TiledProduct {
  std::string function;  // empty where it is not computed by tiles
  std::vector<std::byte> product;
  unsigned blocks = 0, threads = 0;
  size_t shared_bytes = 0;  // of dynamic shared memory
  size_t vector_out = 0;    // the place of that flag among the bytes
};
inline constexpr size_t kProductBytes = 192;
// Arguments as of matmul().
TiledProduct tiled_product(const MatmulProblem& problem, const MatmulPlan& plan, void* workspace,
                           unsigned* arrivals);

#endif

}  // namespace tidu::cuda
