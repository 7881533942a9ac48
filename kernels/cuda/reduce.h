// Reductions of tensors of any layout, in trees that depend on shapes and alignment alone.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/cuda/walk.h"

namespace tidu::cuda {

struct ReduceTuning {
  static constexpr int kThreads = 256;
  // Elements that one block reduces: a thread then adds at most 64 of them one after another, so that
  // rounding errors grow as in a tree. Fewer where there would not be enough blocks to occupy a GPU.
  static constexpr int64_t kMaxTask = 64 * kThreads, kMinTask = kMaxTask / 4, kTasks = 1024;
  // Vectors in a row from which on it is worth a block, not a warp.
  static constexpr int64_t kBlockRow = 256;
  // Columns side by side in one block: narrow arrays whole, else whole cache lines of many rows, or where
  // there are few rows, of many columns.
  static constexpr int64_t kNarrow = 128, kTall = 64, kFlat = 256, kFewRows = 32;
  // Rows of one block, lest partial results (of argmax 16 bytes each) cost more than a small part of what is
  // read.
  static constexpr int64_t kMinRows = 256;
};

// One reduction of x into y. Results are numbered by `kept`, which says where each one's elements begin and
// where it is written; `reduced` walks the elements of one.
struct Reduce {
  const void* x = nullptr;
  void* y = nullptr;
  Walk kept = {}, reduced = {};
  // Neighbouring threads take neighbouring results, not neighbouring elements of one.
  bool columns = false;
  void* workspace = nullptr;  // of workspace_bytes()

  int64_t results() const { return kept.size(); }
  // Results side by side in one block.
  int64_t span() const {
    if (!columns) return 1;
    const int64_t wide = reduced.size() < ReduceTuning::kFewRows ? ReduceTuning::kFlat : ReduceTuning::kTall;
    return results() <= ReduceTuning::kNarrow ? results() : wide;
  }
  // How many elements of a result one block reduces. A power of two.
  int64_t chunk() const {
    const int64_t each = results() * reduced.size() / ReduceTuning::kTasks;
    const int64_t task = std::clamp(each, ReduceTuning::kMinTask, ReduceTuning::kMaxTask);
    int64_t chunk = columns ? ReduceTuning::kMinRows : 1;
    while (2 * chunk * span() <= task) chunk *= 2;
    return chunk;
  }
  // Partial results of each result, from as many blocks.
  int64_t splits() const { return std::max<int64_t>(1, (reduced.size() + chunk() - 1) / chunk()); }
  // The reduction of the partial results in the workspace.
  Reduce next() const {
    Reduce result{workspace, y, {}, {}, columns, nullptr};
    int64_t stride = columns ? 1 : splits();
    result.kept = kept;
    for (int d = kept.rank - 1; d >= 0; --d) {
      result.kept.in[d] = stride;
      stride *= kept.extent[d];
    }
    result.reduced.push_back(splits(), columns ? results() : 1, 0);
    return result;
  }
  // For partial results of at most 16 bytes.
  int64_t workspace_bytes() const {
    if (splits() == 1) return 0;
    return 16 * results() * splits() + next().workspace_bytes();
  }
};

// Each of the dtype of x; bool as the two numbers 0 and 1, which sum takes as or, prod as and. Sums and
// products of integers wrap, those of 16-bit floats are computed in float. NaN wins max and min. Of no
// elements: 0, 1, the lowest and the highest value. argmax and argmin yield int64, the index of the first
// extreme or the first NaN, and want `reduced` in its own order. logsumexp is for floats.
using ReduceFunction = cudaError_t(cudaStream_t stream, DType dtype, const Reduce& reduce);
[[nodiscard]] ReduceFunction sum, prod, max, min, argmax, argmin, logsumexp;

// Writes for each result, numbered in order, the largest element and the sum of exp(x - largest), a pair of
// float or double: what softmax needs of a row that does not fit a block's registers.
[[nodiscard]] ReduceFunction logsumexp_states;

}  // namespace tidu::cuda
