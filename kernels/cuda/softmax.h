// Softmax, log-softmax and cross-entropy along one axis of tensors of any layout.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/fault.h"
#include "kernels/cuda/reduce.h"

namespace tidu::cuda {

struct SoftmaxTuning {
  // Threads of a block: of one that holds a long row, and of others.
  static constexpr int kLongThreads = 1024, kThreads = 256;
  // 32-bit registers of a thread for elements, in rows short and longer.
  static constexpr int kFew = 16, kMany = 32;
  // Elements of rows, one behind the other, that a thread has to itself.
  static constexpr int kShort = 32;
  // Threads that share a column, and how many elements each of them holds before there are more.
  static constexpr int kMaxHeight = 8, kEach = 8;
  // Those of a thread of a block: fewer where they are moved one at a time, whose
  // addresses take registers.
  static constexpr int held(bool wide) { return wide ? kMany : kMany / 2; }
  // Elements of a row that a block can hold.
  static constexpr int64_t capacity(DType dtype, bool wide) {
    return kLongThreads * held(wide) / (dtype == DType::float64 ? 2 : 1);
  }
};

// One row for each item of `kept`: its elements in x, and where it begins in y.
struct Softmax {
  const void* x = nullptr;
  void* y = nullptr;
  Walk kept = {};
  int64_t n = 0, x_stride = 1, y_stride = 1;  // of the elements of a row
  void* workspace = nullptr;                  // of workspace_bytes(dtype)
  bool limit = false;                         // of softmax: as csrc/ops/softmax.h says of softmax_limit

  // Whether a row lies in a block's registers, so that x is read only once.
  bool fits(DType dtype, bool wide) const {
    return n <= SoftmaxTuning::capacity(dtype, wide) && y_stride == 1;
  }
  // Whether the rows are short ones that lie one behind the other, also in y if that has their elements.
  bool is_short(bool to_elements) const {
    const bool follow =
        kept.rank == 0 || (kept.rank == 1 && kept.in[0] == n && (!to_elements || kept.out[0] == n));
    return n <= SoftmaxTuning::kShort && follow && x_stride == 1 && y_stride == 1;
  }
  bool column_fits(DType dtype) const {
    const int held = SoftmaxTuning::kMany / (dtype == DType::float64 ? 2 : 1);
    return n <= SoftmaxTuning::kMaxHeight * held && y_stride > 1;
  }
  // What finds the largest element and the sum of a row that does not fit.
  Reduce states() const {
    Reduce result{.x = x, .y = workspace, .kept = kept};
    result.reduced.push_back(n, x_stride, 0);
    result.columns =
        kept.rank > 0 && kept.in[kept.rank - 1] != 0 && std::abs(kept.in[kept.rank - 1]) < std::abs(x_stride);
    result.workspace = static_cast<char*>(workspace) + 16 * kept.size();
    return result;
  }
  int64_t workspace_bytes(DType dtype) const {
    const bool direct = fits(dtype, false) || column_fits(dtype);
    return direct ? 0 : 16 * kept.size() + states().workspace_bytes();
  }
};

// The class of each row and where the factor of its gradient is; both are numbered as `kept` is.
struct Labels {
  const int64_t* label = nullptr;
  Walk label_walk = {};
  bool ignores = false;  // rows of the label `ignored`, which do not count
  int64_t ignored = 0;
  void* counts = nullptr;        // 1 for a row that counts, else 0, one after the other
  const void* factor = nullptr;  // as counts and losses of the type that is computed in
  Walk factor_walk = {};
  FaultRecord fault = {};
};

// As in SciPy: a row with NaN gives NaN, and so does softmax of one with inf or of nothing but -inf.
[[nodiscard]] cudaError_t softmax(cudaStream_t stream, DType dtype, const Softmax& rows);
[[nodiscard]] cudaError_t log_softmax(cudaStream_t stream, DType dtype, const Softmax& rows);

// y: logsumexp(x) - x[label], one a row; 0 in a row that does not count. Another label that is no class is a
// fault.
[[nodiscard]] cudaError_t cross_entropy(cudaStream_t stream, DType dtype, const Softmax& rows,
                                        const Labels& labels);
// y: (softmax(x) - one_hot(label)) * factor; 0 in a row that does not count or whose factor is 0
[[nodiscard]] cudaError_t cross_entropy_grad(cudaStream_t stream, DType dtype, const Softmax& rows,
                                             const Labels& labels);

}  // namespace tidu::cuda
