// Convolutions.
#include "ops/convolution.h"

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

namespace tidu {
namespace {

constexpr int kAhead = 3;  // axes before the spatial ones

Dims spatial(const Shape& shape) { return Dims(shape.begin() + kAhead, shape.end()); }

void check(const SpecCall& call, size_t) {
  const Spec &x = call.inputs[0], &kernel = call.inputs[1];
  const auto& attrs = call.attrs.as<ConvolutionAttrs>();
  const int rank = x.shape.size() - kAhead;
  require(rank >= 1 && rank <= kMaxSpatial && kernel.shape.size() == x.shape.size() && is_floating(x.dtype) &&
              kernel.dtype == x.dtype && kernel.shape[0] == x.shape[1] && kernel.shape[2] == x.shape[2],
          call, "the kernel does not fit");
  constexpr int64_t kMost = int64_t{1} << 31;  // products of two are numbers
  const auto between = [&](const Dims& values, int64_t least) {
    return values.size() == rank &&
           std::ranges::all_of(values, [&](int64_t value) { return value >= least && value < kMost; });
  };
  require(between(attrs.stride, 1) && between(attrs.dilation, 1) && between(attrs.spread, 1) &&
              between(attrs.extents, 0) && between(attrs.low, -kMost) && between(spatial(x.shape), 0) &&
              between(spatial(kernel.shape), 0),
          call, "windows are counted by numbers of 32 bits");
  if (call.inputs.size() < 3) return;
  Shape shape(kAhead + rank - 1, 1);
  shape[0] = kernel.shape[0], shape[1] = kernel.shape[1];
  require(call.inputs[2].shape == shape && call.inputs[2].dtype == x.dtype, call, "the bias does not fit");
}

void infer(const SpecCall& call, std::span<Spec> outputs) {
  const Shape &x = call.inputs[0].shape, &kernel = call.inputs[1].shape;
  Shape shape{x[0], x[1], kernel[1]};
  for (int64_t extent : call.attrs.as<ConvolutionAttrs>().extents) shape.push_back(extent);
  outputs[0].shape = shape;
  outputs[0].dtype = call.inputs[0].dtype;
}

// a <- (axis [0], axis [1], axis [2], the spatial ones)
Tensor ordered(const Tensor& a, std::initializer_list<int64_t> ahead) {
  Axes axes = all_axes(a.ndim());
  std::ranges::copy(ahead, axes.begin());
  return permute_dims(a, axes);
}

Tensor transpose(const Call& call, const Tensor& cotangent, int i) {
  const auto& attrs = call.attrs.as<ConvolutionAttrs>();
  const Tensor &x = call.inputs[0], &kernel = call.inputs[1];
  if (i == 0) {
    // Outputs and x change places, so stride and spread do; the kernel runs backwards.
    Axes turned;
    ConvolutionAttrs back{attrs.spread, {}, attrs.dilation, attrs.stride, spatial(x.shape())};
    for (int axis = kAhead; axis < x.ndim(); ++axis) {
      const int at = axis - kAhead;
      turned.push_back(axis);
      back.low.push_back((kernel.size(axis) - 1) * attrs.dilation[at] - attrs.low[at]);
    }
    return bind(primitives::convolution, {cotangent, ordered(flip(kernel, turned), {0, 2, 1})}, back);
  }
  // Outputs and kernel change places, so stride and dilation do, and what was summed over is the batch.
  const ConvolutionAttrs back{attrs.dilation, attrs.low, attrs.stride, attrs.spread, spatial(kernel.shape())};
  return ordered(bind(primitives::convolution, {ordered(x, {2, 1, 0}), ordered(cotangent, {1, 2, 0})}, back),
                 {1, 2, 0});
}

// Lanes of both are groups, lanes of one of them are more of its images or outputs.
Tensors batch_convolution(const BatchedCall& batched) {
  const Call& call = batched.call;
  const auto& attrs = call.attrs.as<ConvolutionAttrs>();
  const bool many_x = batched.batched[0], many_kernel = batched.batched[1];
  const bool has_bias = call.inputs.size() > 2, many_bias = has_bias && batched.batched[2];
  const int64_t lanes = batched.size;
  // The axis of lanes, moved before `axis`, and that one as one, and the reverse.
  const auto joined = [&](const Tensor& a, int axis) {
    const Tensor moved = moveaxis(a, 0, axis);
    Shape shape = moved.shape();
    shape[axis] *= shape[axis + 1];
    shape.erase(axis + 1);
    return reshape(moved, shape);
  };
  const auto parted = [&](const Tensor& a, int axis) {
    Shape shape = a.shape();
    shape[axis] /= lanes;
    shape.insert(axis, lanes);
    return moveaxis(reshape(a, shape), axis, 0);
  };
  Tensor y;
  bool added = false;
  if (many_x && many_kernel) {
    y = parted(bind(primitives::convolution, {joined(call.inputs[0], 1), joined(call.inputs[1], 0)}, attrs),
               1);
  } else if (many_x) {
    const Tensor x = joined(call.inputs[0], 0);
    added = has_bias && !many_bias;
    y = parted(added ? bind(primitives::convolution, {x, call.inputs[1], call.inputs[2]}, attrs)
                     : bind(primitives::convolution, {x, call.inputs[1]}, attrs),
               0);
  } else if (many_kernel) {
    y = parted(bind(primitives::convolution, {call.inputs[0], joined(call.inputs[1], 1)}, attrs), 2);
  } else {
    y = bind(primitives::convolution, {call.inputs[0], call.inputs[1]}, attrs);
  }
  if (has_bias && !added) y = y + (many_bias ? expand_dims(call.inputs[2], 1) : call.inputs[2]);
  return {y};
}

}  // namespace

ConvolutionAxis convolution_axis(const Specs& inputs, const ConvolutionAttrs& attrs, int i) {
  return {.extent = inputs[0].shape[kAhead + i],
          .kernel = inputs[1].shape[kAhead + i],
          .count = attrs.extents[i],
          .stride = attrs.stride[i],
          .low = attrs.low[i],
          .dilation = attrs.dilation[i],
          .spread = attrs.spread[i]};
}

namespace primitives {

// | `convolution` | $y_{nki} = b_k + \sum_{cj} w_{kcj} x_{ncq}$, $i s + j d - l = q a$ with stride $s$,
// dilation $d$, padding $l$, spread $a$ | $\dot y = \dot x \star w + x \star \dot w + \dot b$ | $\bar x_{ncq}
// = \sum_{ki} \bar y_{nki} w_{kcj}$ and $\bar w_{kcj} = \sum_{ni} \bar y_{nki} x_{ncq}$ over the same pairs,
// which are convolutions; $\bar b_k = \sum_{ni} \bar y_{nki}$ |
Primitive convolution("convolution",
                      {.batching = batch_convolution,
                       .attrs = ConvolutionAttrs{},
                       .inputs = {2, 3},
                       .check = check,
                       .infer = infer,
                       .derivative = Multilinear{.addends = kInput2, .transpose = transpose},
                       .flops = [](const SpecCall& call, std::span<const Spec> outputs) {
                         // Of elements that lie apart, a window meets as many fewer.
                         const int64_t n = num_elements(outputs[0].shape),
                                       kernels = call.inputs[1].shape[0] * call.inputs[1].shape[1];
                         const int64_t each = kernels > 0 ? num_elements(call.inputs[1].shape) / kernels : 0;
                         int64_t apart = 1;
                         for (int64_t spread : call.attrs.as<ConvolutionAttrs>().spread) apart *= spread;
                         return Flops{.multiply_adds = n * each / apart,
                                      .arithmetic = call.inputs.size() > 2 ? n : 0};
                       }});

}  // namespace primitives

}  // namespace tidu
