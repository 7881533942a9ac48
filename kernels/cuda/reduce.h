// Reductions of tensors of any layout, in trees that depend on shapes and alignment alone.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/cuda/walk.h"
#include "kernels/reduction.h"

namespace tidu::cuda {

struct ReduceTuning {
  static constexpr int kThreads = 256;
  // Elements that one block reduces: a thread then adds at most 64 of them one after another, so that
  // rounding errors grow as in a tree. Fewer where there would not be enough blocks to occupy a GPU.
  static constexpr int64_t kMaxTask = 64 * kThreads, kMinTask = kMaxTask / 4, kTasks = 1024;
  // Vectors in a row from which on it is worth a block, not a warp; more where the rows alone occupy a GPU.
  static constexpr int64_t kManyRows = 4096;
  static constexpr int64_t block_row(int64_t rows) { return rows < kManyRows ? 256 : 1024; }
  // Columns side by side in one block: narrow arrays whole, else whole cache lines of many rows, or where
  // there are few rows, of many columns; down to the least while there are too few blocks.
  static constexpr int64_t kNarrow = 128, kTall = 64, kFlat = 256, kFewRows = 32, kLeast = 16;
  static constexpr int64_t kFewBlocks = 128;
  // Rows of one block, lest partial results (of var 16 bytes each) cost more than a small part of what is
  // read, and their pass more than what it saves.
  static constexpr int64_t kMinRows = 512;
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
  int64_t state_size = 16;    // of partial results, in bytes
  reduction::Whole whole = {};

  int64_t results() const { return kept.size(); }
  // Results side by side in one block, where there is enough of them.
  int64_t widest() const {
    if (!columns) return 1;
    const int64_t wide = reduced.size() < ReduceTuning::kFewRows ? ReduceTuning::kFlat : ReduceTuning::kTall;
    return results() <= ReduceTuning::kNarrow ? results() : wide;
  }
  int64_t span() const {
    using T = ReduceTuning;
    int64_t span = widest();
    const int64_t rows = std::min(reduced.size(), chunk());
    for (int64_t less = T::kTall; columns && less >= T::kLeast; less /= 2) {
      // Each thread still has one access of its own.
      const bool worthwhile = less < span && less * rows >= 4 * T::kThreads;
      if (worthwhile && (results() + span - 1) / span * splits() < T::kFewBlocks) span = less;
    }
    return span;
  }
  // How many elements of a result one block reduces. A power of two.
  int64_t chunk() const {
    const int64_t each = results() * reduced.size() / ReduceTuning::kTasks;
    const int64_t task = std::clamp(each, ReduceTuning::kMinTask, ReduceTuning::kMaxTask);
    int64_t chunk = columns ? ReduceTuning::kMinRows : 1;
    while (2 * chunk * widest() <= task) chunk *= 2;
    return chunk;
  }
  // Partial results of each result, from as many blocks.
  int64_t splits() const { return std::max<int64_t>(1, (reduced.size() + chunk() - 1) / chunk()); }
  // The reduction of the partial results in the workspace.
  Reduce next() const {
    Reduce result = *this;
    result.x = workspace;
    result.workspace = static_cast<char*>(workspace) + partial_bytes();
    result.reduced = {};
    int64_t stride = columns ? 1 : splits();
    for (int d = kept.rank - 1; d >= 0; --d) {
      result.kept.in[d] = stride;
      stride *= kept.extent[d];
    }
    result.reduced.push_back(splits(), columns ? results() : 1, 0);
    return result;
  }
  int64_t partial_bytes() const { return (state_size * results() * splits() + 31) / 32 * 32; }
  int64_t workspace_bytes() const { return splits() == 1 ? 0 : partial_bytes() + next().workspace_bytes(); }
};

using ReduceFunction = cudaError_t (*)(cudaStream_t stream, const Reduce& reduce);

struct ReduceKernel {
  ReduceFunction function = nullptr;
  int64_t state_size = 0;
};

// Row `row` of csrc/ops/reduce.def for elements of a dtype; no function where it does not take them. argmax
// and argmin want `reduced` in its own order.
ReduceKernel reduction_row(int row, DType dtype);

// Its part for one C++ type (not bool, which is read as uint8_t): each is compiled by itself.
template <class T> ReduceKernel reduction_row(int row);

// Writes for each result, numbered in order, the largest element and the sum of exp(x - largest), a pair of
// float or double: what softmax needs of a row that does not fit a block's registers.
[[nodiscard]] cudaError_t logsumexp_states(cudaStream_t stream, DType dtype, const Reduce& reduce);

}  // namespace tidu::cuda
