// Convolutions.
#include "nn/convolution.h"

#include "core/bind.h"
#include "nn/spatial.h"
#include "ops/autocast.h"
#include "ops/convert.h"
#include "ops/convolution.h"
#include "ops/shape.h"

namespace tidu::nn {
namespace {

// What both have: x (N, G, C, ..), the weight, whose first axis is cut into groups, and the bias.
struct Operands {
  Tensor x, weight, bias;
  bool one_image;
};

Operands operands_of(const RankedName& op, int rank, const Tensor& x, const Tensor& weight,
                     const Tensor& bias, int64_t groups, bool transposed) {
  check_images(op, x, rank);
  const char* const form =
      transposed ? "(C, outputs / groups, kernel ..)" : "(outputs, C / groups, kernel ..)";
  if (weight.ndim() != rank + 2)
    fail<ShapeError>("[", op, "] the weight ", describe(weight), " must have ", rank + 2, " axes: ", form);
  const int64_t channels = x.size(-rank - 1), first = weight.size(0);
  if (groups < 1 || channels % groups != 0 || first % groups != 0)
    fail<ValueError>("[", op, "] ", groups, " groups do not divide the ", channels, " channels of ",
                     describe(x),
                     transposed ? "" : str(" and the ", first, " outputs of ", describe(weight)));
  if (transposed ? first != channels : weight.size(1) != channels / groups)
    fail<ShapeError>("[", op, "] the weight ", describe(weight), " does not fit ", describe(x), " in ",
                     groups, " groups: ", form);
  const int64_t outputs = transposed ? weight.size(1) * groups : first;
  if (bias.defined() && bias.shape() != Shape{outputs})
    fail<ShapeError>("[", op, "] the bias ", describe(bias), " must have shape (", outputs,
                     "), one for each output");
  DType dtype = promote(x.dtype(), weight.dtype());
  if (bias.defined()) dtype = promote(dtype, bias.dtype());
  if (!is_floating(dtype))
    fail<DTypeError>("[", op, "] takes floating-point tensors, not ", describe(x), " and ", describe(weight),
                     " (use astype)");
  Shape parts{x.ndim() == rank + 2 ? x.size(0) : 1, groups, channels / groups};
  Shape kernels{groups, first / groups, weight.size(1)};
  for (int i = -rank; i < 0; ++i) {
    if (weight.size(i) == 0)
      fail<ShapeError>("[", op, "] the kernel of ", describe(weight), " has no elements");
    parts.push_back(x.size(i)), kernels.push_back(weight.size(i));
  }
  Shape ones(rank + 2, 1);
  ones[0] = groups, ones[1] = outputs / groups;
  return {reshape(astype(x, dtype), parts), reshape(astype(weight, dtype), kernels),
          bias.defined() ? reshape(astype(bias, dtype), ones) : bias, x.ndim() == rank + 1};
}

Tensor apply(const Operands& given, const Tensor& kernel, const ConvolutionAttrs& attrs) {
  const Tensor y = given.bias.defined() ? bind(primitives::convolution, {given.x, kernel, given.bias}, attrs)
                                        : bind(primitives::convolution, {given.x, kernel}, attrs);
  Shape shape{y.size(1) * y.size(2)};
  if (!given.one_image) shape.insert(0, y.size(0));
  for (int64_t extent : attrs.extents) shape.push_back(extent);
  return reshape(y, shape);
}

}  // namespace

Tensor convolution(int rank, const Tensor& given_x, const Tensor& given_weight, const Tensor& given_bias,
                   const ConvolutionOptions& options) {
  const RankedName op{"conv", rank};
  Tensor cast[] = {given_x, given_weight, given_bias};
  cast_operands(cast);
  const Tensor &x = cast[0], &weight = cast[1], &bias = cast[2];
  const Operands given = operands_of(op, rank, x, weight, bias, options.groups, false);
  ConvolutionAttrs attrs{.stride = each_axis(op, "stride", options.stride, rank, 1),
                         .dilation = each_axis(op, "dilation", options.dilation, rank, 1),
                         .spread = Dims(rank, 1)};
  const Dims padding = each_axis(op, "padding", options.padding.value_or(Dims{0}), rank, 0);
  for (int i = 0; i < rank; ++i) {
    const int64_t extent = x.size(i - rank), reach = (weight.size(i - rank) - 1) * attrs.dilation[i] + 1;
    if (!options.padding && attrs.stride[i] != 1)
      fail<ValueError>("[", op, "] padding 'same' takes stride 1, not ", options.stride);
    const int64_t padded = options.padding ? extent + 2 * padding[i] : extent + reach - 1;
    if (padded < reach)
      fail<ShapeError>("[", op, "] the kernel of ", describe(weight), " reaches over ", reach,
                       " elements, more than the ", padded, " of ", describe(x), " with its padding");
    attrs.low.push_back(options.padding ? padding[i] : (reach - 1) / 2);
    attrs.extents.push_back((padded - reach) / attrs.stride[i] + 1);
  }
  return apply(given, given.weight, attrs);
}

Tensor transposed_convolution(int rank, const Tensor& given_x, const Tensor& given_weight,
                              const Tensor& given_bias, const TransposedOptions& options) {
  const RankedName op{"conv_transpose", rank};
  Tensor cast[] = {given_x, given_weight, given_bias};
  cast_operands(cast);
  const Tensor &x = cast[0], &weight = cast[1], &bias = cast[2];
  const Operands given = operands_of(op, rank, x, weight, bias, options.groups, true);
  ConvolutionAttrs attrs{.stride = Dims(rank, 1),
                         .dilation = each_axis(op, "dilation", options.dilation, rank, 1),
                         .spread = each_axis(op, "stride", options.stride, rank, 1)};
  const Dims padding = each_axis(op, "padding", options.padding, rank, 0),
             more = each_axis(op, "output_padding", options.output_padding, rank, 0);
  Axes turned;
  for (int i = 0; i < rank; ++i) {
    const int64_t reach = (weight.size(i - rank) - 1) * attrs.dilation[i];
    if (more[i] >= std::max(attrs.spread[i], attrs.dilation[i]))
      fail<ValueError>("[", op, "] output_padding ", options.output_padding, " must be less than stride ",
                       options.stride, " or dilation ", options.dilation);
    const int64_t extent = (x.size(i - rank) - 1) * attrs.spread[i] - 2 * padding[i] + reach + more[i] + 1;
    if (extent < 1)
      fail<ShapeError>("[", op, "] padding ", options.padding, " leaves nothing of what ", describe(x),
                       " becomes");
    attrs.low.push_back(reach - padding[i]);
    attrs.extents.push_back(extent);
    turned.push_back(3 + i);
  }
  return apply(given, swapaxes(flip(given.weight, turned), 1, 2), attrs);
}

}  // namespace tidu::nn
