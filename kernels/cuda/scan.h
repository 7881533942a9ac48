// Cumulative scans along an axis of row-major arrays, in blocks that depend on the shape alone.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/types.h"

namespace tidu::cuda {

struct ScanTuning {
  static constexpr int kThreads = 256;
  // Lines, and threads for columns, that are enough for a GPU: they are scanned whole, and so read once.
  static constexpr int64_t kManyLines = 512, kManyColumns = 1 << 17;
  // Elements of other lines that one block of threads scans; one thread those of a column.
  static constexpr int64_t kLeastBlock = 4 * kThreads, kMostBlock = 64 * kThreads, kColumnBlock = 64;
  // Blocks that there should be before they grow.
  static constexpr int64_t kBlocks = 1024;
};

// y[f, i, c] = what x[f, 0 .. i, c] amounts to.
struct ScanWork {
  const void* x = nullptr;
  void* y = nullptr;
  int64_t frames = 1, n = 0, columns = 1;
  void* workspace = nullptr;  // of workspace_bytes()
  int64_t state_size = 0;

  int64_t block() const {
    using T = ScanTuning;
    if (frames * columns >= (columns == 1 ? T::kManyLines : T::kManyColumns)) return n;
    if (columns > 1) return T::kColumnBlock;
    const int64_t block = frames * n / T::kBlocks / T::kLeastBlock * T::kLeastBlock;
    return std::clamp(block, T::kLeastBlock, T::kMostBlock);
  }
  int64_t blocks() const { return (n + block() - 1) / block(); }
  // What each block amounts to.
  int64_t workspace_bytes() const { return blocks() > 1 ? frames * blocks() * columns * state_size : 0; }
};

using ScanFunction = cudaError_t (*)(cudaStream_t stream, const ScanWork& work);

struct ScanRow {
  ScanFunction function = nullptr;
  int64_t state_size = 0;
};

// Row `row` of csrc/ops/scan.def for elements of a dtype; no function where it does not take them.
ScanRow scan_row(int row, DType dtype);

}  // namespace tidu::cuda
