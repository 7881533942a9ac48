// Softmax, log-softmax and cross-entropy.
#include "kernels/cuda/softmax.h"

#include "backend/cuda/context.h"
#include "backend/cuda/kernels.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace tidu::cuda {
namespace {

// The items of `shape` in order, with their strides in two tensors.
Walk walk_of(const Shape& shape, const Strides& in, const Strides& out) {
  Walk walk;
  for (int i = 0; i < shape.size(); ++i) walk.push_back(shape[i], in[i], out[i]);
  return walk;
}

Dims without(Dims dims, int axis) {
  dims.erase(axis);
  return dims;
}

Softmax rows_of(const Call& call, int axis, const Tensor& y, Context& context) {
  const Tensor& x = call.inputs[0];
  if (!is_floating(x.dtype()))
    fail<DTypeError>("[", call.primitive.name, "] is of floating-point numbers, not ", describe(x));
  // A loss has no axis of its own in the output.
  const bool elements = y.ndim() == x.ndim();
  Softmax rows{.x = x.raw_data(), .y = y.raw_data()};
  rows.kept = walk_of(without(x.shape(), axis), without(x.strides(), axis),
                      elements ? without(y.strides(), axis) : y.strides());
  rows.n = x.size(axis);
  rows.x_stride = x.strides()[axis];
  rows.y_stride = elements ? y.strides()[axis] : 1;
  if (rows.kept.size() == 0 || rows.n == 0) return rows;
  if (const int64_t bytes = rows.workspace_bytes(x.dtype()); bytes > 0)
    rows.workspace = context.workspace<char>(static_cast<size_t>(bytes));
  return rows;
}

cudaError_t softmax(const Call& call, Context& context) {
  const auto& [axis, limit] = call.attrs.as<SoftmaxAttrs>();
  Softmax rows = rows_of(call, axis, call.outputs[0], context);
  rows.limit = limit;
  if (context.only_counts()) return cudaSuccess;
  return softmax(context.stream(), call.inputs[0].dtype(), rows);
}

cudaError_t log_softmax(const Call& call, Context& context) {
  const Softmax rows = rows_of(call, call.attrs.as<AxisAttrs>().axis, call.outputs[0], context);
  if (context.only_counts()) return cudaSuccess;
  return log_softmax(context.stream(), call.inputs[0].dtype(), rows);
}

// Pairs are two kernels, whose threads have no registers for what both make of a row.
cudaError_t log_softmax_with_softmax(const Call& call, Context& context) {
  const cudaError_t error = log_softmax(call, context);
  if (error != cudaSuccess) return error;
  const Softmax rows = rows_of(call, call.attrs.as<AxisAttrs>().axis, call.outputs[1], context);
  if (context.only_counts()) return cudaSuccess;
  return softmax(context.stream(), call.inputs[0].dtype(), rows);
}

template <cudaError_t (*function)(cudaStream_t, DType, const Softmax&, const Labels&)>
cudaError_t against_labels(const Call& call, Context& context) {
  const Tensor &logits = call.inputs[0], &labels = call.inputs[1];
  if (logits.size(-1) == 0 && labels.numel() > 0)
    fail<IndexError>("[", call.primitive.name, "] no label is one of 0 classes: ", describe(logits), ", ",
                     describe(labels));
  const Softmax rows = rows_of(call, logits.ndim() - 1, call.outputs[0], context);
  const auto& attrs = call.attrs.as<CrossEntropyAttrs>();
  Labels classes{.label = labels.data<int64_t>(),
                 .label_walk = walk_of(labels.shape(), labels.strides(), Strides(labels.ndim(), 0)),
                 .ignores = attrs.ignores,
                 .ignored = attrs.ignore_index,
                 .counts = call.outputs.size() > 1 ? call.outputs[1].raw_data() : nullptr,
                 .fault = context.fault_record()};
  if (call.inputs.size() > 2) {
    const Tensor& factor = call.inputs[2];
    if (factor.dtype() != (is_narrow(logits.dtype()) ? DType::float32 : logits.dtype()))
      fail<DTypeError>("[", call.primitive.name, "] factors ", describe(factor),
                       " must have the dtype of the losses of ", describe(logits));
    classes.factor = factor.raw_data();
    classes.factor_walk = walk_of(factor.shape(), factor.strides(), Strides(factor.ndim(), 0));
  }
  return context.only_counts() ? cudaSuccess : function(context.stream(), logits.dtype(), rows, classes);
}

cudaError_t cross_entropy_with_grad(const Call& call, Context& context) {
  const cudaError_t error = against_labels<cross_entropy>(
      {call.primitive, call.inputs.first(2), call.attrs, call.outputs.first(2)}, context);
  if (error != cudaSuccess) return error;
  return against_labels<cross_entropy_grad>(
      {call.primitive, call.inputs, call.attrs, call.outputs.subspan(2)}, context);
}

}  // namespace

void register_softmax_kernels() {
  set_counted_operation<softmax>(primitives::softmax);
  set_counted_operation<log_softmax>(primitives::log_softmax);
  set_counted_operation<against_labels<cross_entropy>>(primitives::softmax_cross_entropy);
  set_counted_operation<against_labels<cross_entropy_grad>>(primitives::softmax_cross_entropy_grad);
  set_counted_operation<cross_entropy_with_grad>(primitives::softmax_cross_entropy_with_grad);
  set_counted_operation<log_softmax_with_softmax>(primitives::log_softmax_with_softmax);
}

}  // namespace tidu::cuda
