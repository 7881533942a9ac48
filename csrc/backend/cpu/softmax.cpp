// Softmax, log-softmax and cross-entropy.
#include "ops/softmax.h"

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "base/few.h"
#include "kernels/cpu/softmax.h"
#include "ops/shape.h"

namespace tidu::cpu {
namespace {

DType computing_type(DType dtype) { return dtype == DType::float64 ? dtype : DType::float32; }

// Rows that one thread takes at a time; an exponential is worth two elements of simpler work.
int64_t row_grain(int64_t n) { return std::max<int64_t>(1, kGrain / 2 / std::max<int64_t>(n, 1)); }

constexpr int64_t kWidth = 64;  // columns that a task takes at least: vectors of several lines of the cache

// Row-major, in the dtype that the kernels compute in.
Tensor dense(const Tensor& x, Workspace& workspace) {
  return converted(x, computing_type(x.dtype()), workspace);
}

// A view with axis last.
Tensor with_axis_last(const Tensor& x, int axis) {
  if (axis == x.ndim() - 1) return x;
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(axis);
  strides.erase(axis);
  shape.push_back(x.shape()[axis]);
  strides.push_back(x.strides()[axis]);
  return x.view(shape, strides, x.impl().offset);
}

// The function of SoftmaxFunctions that writes what a call gives.
enum class Result { softmax, limit, log, log_and_softmax };

template <Result result> void over_rows(const Call& call, int axis, Workspace& workspace) {
  const Tensor x = dense(with_axis_last(call.inputs[0], axis), workspace);
  const int64_t n = x.size(-1), rows = x.numel() / n;
  const bool direct = axis == call.inputs[0].ndim() - 1 && call.outputs[0].dtype() == x.dtype();
  Few<Tensor, 2> results(call.outputs.size());
  for (size_t i = 0; i < results.size(); ++i)
    results[i] = direct ? call.outputs[i] : workspace.tensor(x.shape(), x.dtype());
  if (workspace.counts()) return;
  const SoftmaxFunctions functions = softmax_functions(x.dtype());
  const int64_t row_bytes = n * static_cast<int64_t>(size_of(x.dtype()));
  parallel_ranges(rows, row_grain(n), 2 * rows * n, [&](int64_t begin, int64_t end) {
    const auto at = [&](const Tensor& tensor) {
      return static_cast<char*>(tensor.raw_data()) + begin * row_bytes;
    };
    if constexpr (result == Result::log_and_softmax) {
      functions.log_softmax_with_softmax(at(x), at(results[0]), at(results[1]), end - begin, n);
    } else {
      const auto function = result == Result::softmax ? functions.softmax
                            : result == Result::limit ? functions.softmax_limit
                                                      : functions.log_softmax;
      function(at(x), at(results[0]), end - begin, n);
    }
  });
  for (size_t i = 0; i < results.size() && !direct; ++i)
    deliver(results[i], with_axis_last(call.outputs[i], axis));
}

template <Result result> void softmax(const Call& call, int axis, Workspace& workspace) {
  constexpr int64_t kFewColumns = 16;
  const Tensor& given = call.inputs[0];
  if (given.numel() == 0) return;
  int64_t columns = 1;
  for (int i = axis + 1; i < given.ndim(); ++i) columns *= given.size(i);
  if (columns < kFewColumns) return over_rows<result>(call, axis, workspace);
  const Tensor x = dense(given, workspace);
  Few<Tensor, 2> results(call.outputs.size());
  for (size_t i = 0; i < results.size(); ++i) results[i] = room_for(call.outputs[i], x.dtype(), workspace);
  if (workspace.counts()) return;
  const int64_t n = x.size(axis), frames = x.numel() / (n * columns),
                size = static_cast<int64_t>(size_of(x.dtype())),
                width = (row_grain(n) + kWidth - 1) / kWidth * kWidth, pieces = (columns + width - 1) / width;
  const auto function = softmax_functions(x.dtype()).softmax_columns;
  parallel_for(frames * pieces, 2 * x.numel(), [&](int64_t task) {
    const int64_t column = task % pieces * width, first = task / pieces * n * columns + column;
    const auto at = [&](const Tensor& tensor) {
      return static_cast<char*>(tensor.raw_data()) + first * size;
    };
    void* const log_y = result < Result::log ? nullptr : at(results[0]);
    void* const y = result == Result::log ? nullptr : at(results[results.size() - 1]);
    function(at(x), log_y, y, result == Result::limit, n, columns, std::min(width, columns - column));
  });
  for (size_t i = 0; i < results.size(); ++i) deliver(results[i], call.outputs[i]);
}

void softmax(const Call& call, Workspace& workspace) {
  const auto& [axis, limit] = call.attrs.as<SoftmaxAttrs>();
  (limit ? softmax<Result::limit> : softmax<Result::softmax>)(call, axis, workspace);
}

template <Result result> void log_softmax(const Call& call, Workspace& workspace) {
  softmax<result>(call, call.attrs.as<AxisAttrs>().axis, workspace);
}

// Row-major labels, each checked to be a class; -1 in rows that do not count.
const int64_t* checked_labels(const Call& call, int64_t classes, Workspace& workspace) {
  const auto& attrs = call.attrs.as<CrossEntropyAttrs>();
  const int64_t rows = call.inputs[1].numel();
  int64_t* const to = workspace.take<int64_t>(rows);
  const Tensor given = row_major(call.inputs[1], workspace);
  if (workspace.counts()) return to;
  const int64_t* from = given.data<int64_t>();
  for (int64_t i = 0; i < rows; ++i) {
    const bool counts = attrs.counts(from[i]);
    if (counts && (from[i] < 0 || from[i] >= classes)) {
      fail<IndexError>("[", call.primitive.name, "] label ", from[i], " is not one of ", classes,
                       " classes: ", describe(call.inputs[0]), ", ", describe(call.inputs[1]));
    }
    to[i] = counts ? from[i] : -1;
  }
  return to;
}

// 1 for each label that is a class, else 0.
void write_counts(const int64_t* labels, const Tensor& output, Workspace& workspace) {
  const Tensor counts = room_for(output, DType::float32, workspace);
  if (workspace.counts()) return;
  std::transform(labels, labels + counts.numel(), counts.data<float>(),
                 [](int64_t label) { return label < 0 ? 0.0f : 1.0f; });
  deliver(counts, output);
}

// (logits, labels, and perhaps g) -> losses, counts and gradient, or what of these a call gives.
template <bool has_losses, bool has_gradient> void cross_entropy(const Call& call, Workspace& workspace) {
  const Tensor& logits = call.inputs[0];
  const int64_t n = logits.size(-1), rows = call.inputs[1].numel();
  const int64_t* const labels = checked_labels(call, n, workspace);
  if (has_losses && rows > 0) write_counts(labels, call.outputs[1], workspace);
  if (rows == 0 || (!has_losses && n == 0)) return;
  const Tensor x = dense(logits, workspace);
  const SoftmaxFunctions functions = softmax_functions(x.dtype());
  const int64_t size = static_cast<int64_t>(size_of(x.dtype()));
  const auto part_of = [&](const Tensor& tensor, int64_t element) {
    return tensor.defined() ? static_cast<char*>(tensor.raw_data()) + element * size : nullptr;
  };
  Tensor losses, gradient, weights;
  int64_t g_stride = 1;
  if (has_losses) losses = room_for(call.outputs[0], x.dtype(), workspace);
  if (has_gradient) {
    // The mean's gradient is one number for all rows: no need to spread it.
    const Tensor& g = call.inputs[2];
    const bool uniform =
        g.dtype() == x.dtype() && std::ranges::all_of(g.strides(), [](int64_t s) { return s == 0; });
    weights = uniform ? g : dense(g, workspace);
    g_stride = uniform ? 0 : 1;
    gradient = room_for(call.outputs.back(), x.dtype(), workspace);
  }
  if (workspace.counts()) return;
  parallel_ranges(rows, row_grain(n), 2 * rows * n, [&](int64_t begin, int64_t end) {
    const char* const from = part_of(x, begin * n);
    const int64_t* const label = labels + begin;
    char *const loss = part_of(losses, begin), *const g = part_of(weights, begin * g_stride),
                *const y = part_of(gradient, begin * n);
    if constexpr (!has_gradient) {
      functions.cross_entropy(from, label, loss, end - begin, n);
    } else if constexpr (!has_losses) {
      functions.cross_entropy_grad(from, label, g, g_stride, y, end - begin, n);
    } else {
      functions.cross_entropy_with_grad(from, label, g, g_stride, loss, y, end - begin, n);
    }
  });
  if (has_losses) deliver(losses, call.outputs[0]);
  if (has_gradient) deliver(gradient, call.outputs.back());
}

}  // namespace

void register_softmax_kernels() {
  set_kernel_with_workspace<softmax>(primitives::softmax);
  set_kernel_with_workspace<log_softmax<Result::log>>(primitives::log_softmax);
  set_kernel_with_workspace<cross_entropy<true, false>>(primitives::softmax_cross_entropy);
  set_kernel_with_workspace<cross_entropy<false, true>>(primitives::softmax_cross_entropy_grad);
  set_kernel_with_workspace<log_softmax<Result::log_and_softmax>>(primitives::log_softmax_with_softmax);
  set_kernel_with_workspace<cross_entropy<true, true>>(primitives::softmax_cross_entropy_with_grad);
}

}  // namespace tidu::cpu
