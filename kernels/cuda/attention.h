// Scaled dot-product attention of row-major queries, keys and values.
#pragma once

#include <cuda_runtime.h>

#include "kernels/types.h"

namespace tidu::cuda {

struct AttentionTuning {
  // Queries and keys of a tile, threads of a block, and columns of the result that a block has.
  static constexpr int kTile = 32, kThreads = 128, kColumns = 64;
};

struct Attention {
  static constexpr int kMaxAxes = 12;

  const void *q = nullptr, *k = nullptr, *v = nullptr;
  const void *g = nullptr, *y = nullptr;  // the cotangent of y beside it, of a gradient
  const void* mask = nullptr;             // null, or bools, or numbers of the dtype, in any layout
  bool is_boolean = false, causal = false;
  double scale = 1;
  int64_t batches = 0, queries = 0, keys = 0, depth = 0, width = 0;
  int axes = 0;  // of the batches, outermost first
  uint32_t size[kMaxAxes] = {};
  int64_t stride[kMaxAxes] = {}, by_query = 0, by_key = 0;  // of the mask
  void* sums = nullptr;                                     // logsumexp of the scores, in what is computed in
  void *y_out = nullptr, *dq = nullptr, *dk = nullptr, *dv = nullptr;
};

// y_out and sums.
[[nodiscard]] cudaError_t attention(cudaStream_t stream, DType dtype, const Attention& work);
// Those of dq, dk and dv that are not null, where g is the cotangent of y.
[[nodiscard]] cudaError_t attention_grad(cudaStream_t stream, DType dtype, const Attention& work);

}  // namespace tidu::cuda
