// Softmax, log-softmax and cross-entropy.
#include "ops/softmax.h"

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/softmax.h"
#include "ops/shape.h"

namespace tidu::cpu {
namespace {

DType computing_type(DType dtype) { return dtype == DType::float64 ? dtype : DType::float32; }

// Rows that one thread takes at a time; an exponential is worth two elements of simpler work.
int64_t row_grain(int64_t n) { return std::max<int64_t>(1, kGrain / 2 / std::max<int64_t>(n, 1)); }

// Row-major, in the dtype that the kernels compute in.
Tensor dense(const Tensor& x) { return converted(x, computing_type(x.dtype())); }

// Writes a computed tensor to where it belongs.
void deliver(const Tensor& result, const Tensor& output) {
  if (result.is_same(output)) return;
  const Tensor rounded = converted(result, output.dtype());
  copy_elements(rounded, output);
}

// A view with axis last.
Tensor with_axis_last(const Tensor& x, int axis) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(axis);
  strides.erase(axis);
  shape.push_back(x.shape()[axis]);
  strides.push_back(x.strides()[axis]);
  return x.view(shape, strides, x.impl().offset);
}

using RowFunction = void (*)(const void* x, void* y, int64_t rows, int64_t n);

void over_rows(RowFunction function, const Call& call, int axis) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return;
  const Tensor x = dense(with_axis_last(call.inputs[0], axis));
  const int64_t n = x.size(-1), rows = x.numel() / n;
  const bool direct = axis == y.ndim() - 1 && y.dtype() == x.dtype();
  const Tensor result = direct ? y : Tensor::empty(x.shape(), x.dtype(), x.device());
  const char* from = static_cast<const char*>(x.raw_data());
  char* to = static_cast<char*>(result.raw_data());
  const int64_t row_bytes = n * static_cast<int64_t>(size_of(x.dtype()));
  parallel_ranges(rows, row_grain(n), 2 * rows * n, [&](int64_t begin, int64_t end) {
    function(from + begin * row_bytes, to + begin * row_bytes, end - begin, n);
  });
  if (!direct) deliver(result, with_axis_last(y, axis));
}

void softmax(const Call& call) {
  const auto& [axis, limit] = call.attrs.as<SoftmaxAttrs>();
  const SoftmaxFunctions functions = softmax_functions(computing_type(call.inputs[0].dtype()));
  over_rows(limit ? functions.softmax_limit : functions.softmax, call, axis);
}

void log_softmax(const Call& call) {
  over_rows(softmax_functions(computing_type(call.inputs[0].dtype())).log_softmax, call,
            call.attrs.as<AxisAttrs>().axis);
}

// Row-major labels, each checked to be a class; -1 in rows that do not count.
Tensor checked_labels(const Call& call, int64_t classes) {
  const auto& attrs = call.attrs.as<CrossEntropyAttrs>();
  const Tensor given = row_major(call.inputs[1]);
  const Tensor labels = Tensor::empty(given.shape(), DType::int64);
  const int64_t* from = given.data<int64_t>();
  int64_t* to = labels.data<int64_t>();
  for (int64_t i = 0; i < labels.numel(); ++i) {
    const bool counts = attrs.counts(from[i]);
    if (counts && (from[i] < 0 || from[i] >= classes)) {
      fail<IndexError>("[", call.primitive.name, "] label ", from[i], " is not one of ", classes,
                       " classes: ", describe(call.inputs[0]), ", ", describe(call.inputs[1]));
    }
    to[i] = counts ? from[i] : -1;
  }
  return labels;
}

// 1 for each label that is a class, else 0.
void write_counts(const Tensor& labels, const Tensor& output) {
  const Tensor counts = Tensor::empty(output.shape(), DType::float32);
  std::transform(labels.data<int64_t>(), labels.data<int64_t>() + labels.numel(), counts.data<float>(),
                 [](int64_t label) { return label < 0 ? 0.0f : 1.0f; });
  deliver(counts, output);
}

void softmax_cross_entropy(const Call& call) {
  const Tensor &logits = call.inputs[0], &output = call.outputs[0];
  const int64_t n = logits.size(-1), rows = output.numel();
  const Tensor labels = checked_labels(call, n);
  if (rows == 0) return;
  write_counts(labels, call.outputs[1]);
  const Tensor x = dense(logits);
  const Tensor losses =
      output.dtype() == x.dtype() ? output : Tensor::empty(output.shape(), x.dtype(), x.device());
  const auto function = softmax_functions(x.dtype()).cross_entropy;
  const int64_t size = static_cast<int64_t>(size_of(x.dtype()));
  parallel_ranges(rows, row_grain(n), 2 * rows * n, [&](int64_t begin, int64_t end) {
    function(static_cast<const char*>(x.raw_data()) + begin * n * size, labels.data<int64_t>() + begin,
             static_cast<char*>(losses.raw_data()) + begin * size, end - begin, n);
  });
  deliver(losses, output);
}

void softmax_cross_entropy_grad(const Call& call) {
  const Tensor &logits = call.inputs[0], &output = call.outputs[0];
  const int64_t n = logits.size(-1);
  const Tensor labels = checked_labels(call, n);
  if (output.numel() == 0) return;
  const int64_t rows = output.numel() / n;
  const Tensor x = dense(logits);
  // The mean's gradient is one number for all rows: no need to spread it.
  const Tensor& g = call.inputs[2];
  const bool uniform =
      g.dtype() == x.dtype() && std::ranges::all_of(g.strides(), [](int64_t s) { return s == 0; });
  const Tensor weights = uniform ? g : dense(g);
  const Tensor result =
      output.dtype() == x.dtype() ? output : Tensor::empty(output.shape(), x.dtype(), x.device());
  const auto function = softmax_functions(x.dtype()).cross_entropy_grad;
  const int64_t size = static_cast<int64_t>(size_of(x.dtype())), g_stride = uniform ? 0 : 1;
  parallel_ranges(rows, row_grain(n), 2 * rows * n, [&](int64_t begin, int64_t end) {
    function(static_cast<const char*>(x.raw_data()) + begin * n * size, labels.data<int64_t>() + begin,
             static_cast<const char*>(weights.raw_data()) + begin * g_stride * size, g_stride,
             static_cast<char*>(result.raw_data()) + begin * n * size, end - begin, n);
  });
  deliver(result, output);
}

}  // namespace

void register_softmax_kernels() {
  set_kernel(primitives::softmax, DeviceType::cpu, softmax);
  set_kernel(primitives::log_softmax, DeviceType::cpu, log_softmax);
  set_kernel(primitives::softmax_cross_entropy, DeviceType::cpu, softmax_cross_entropy);
  set_kernel(primitives::softmax_cross_entropy_grad, DeviceType::cpu, softmax_cross_entropy_grad);
}

}  // namespace tidu::cpu
