// Poolings and changes of size, along the last `rank` axes of x (N, C, ..), or (C, ..) for one image.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/primitive.h"

namespace tidu::nn {

// One number for all axes, or one for each. Windows lie `stride` apart, which is their size if left out;
// with ceil_mode the last one may reach over the padding behind x.
struct PoolingOptions {
  Dims kernel, stride = {}, padding = {0}, dilation = {1};
  bool ceil_mode = false;
};

// The largest element of each window, NaN where there is one, and the int64 place of the first such element,
// counted row by row over the pooled axes of x. The derivative is that element's. Indices that nobody asks
// for may be undefined: without them values are found faster.
struct Pooled {
  Tensor values, indices;
};
Pooled max_pool(int rank, const Tensor& x, const PoolingOptions& options, bool with_indices = true);

// The mean of each window, over the elements that it has in x and, with count_include_pad, in the padding; or
// the sum divided by a number. Windows of neighbours: there is no dilation.
Tensor avg_pool(int rank, const Tensor& x, const PoolingOptions& options, bool count_include_pad = true,
                std::optional<int64_t> divisor = {});
// (the sum over each window of x^p)^(1 / p), of p = inf the largest magnitude
Tensor lp_pool(int rank, const Tensor& x, double p, const PoolingOptions& options);

// The same of parts of x, as many along each axis as `size` says; part i of n is [floor(i s / n),
// ceil((i + 1) s / n)) of s elements. A size that is left out is that of x.
using Sizes = std::vector<std::optional<int64_t>>;
Pooled adaptive_max_pool(int rank, const Tensor& x, const Sizes& size);
Tensor adaptive_avg_pool(int rank, const Tensor& x, const Sizes& size);

// x at other places between its elements.
enum class Interpolation : uint8_t { nearest, nearest_exact, linear, cubic };
// `size` elements along each axis, or floor(scale s) where it is empty. Elements are cells, the first and the
// last of which lie at the edges, unless `align_corners` puts their middles there. Linear and cubic weights
// (Keys 1981, a = -0.75) need floating-point numbers.
Tensor interpolate(const Tensor& x, const Dims& size, const std::vector<double>& scale, Interpolation how,
                   bool align_corners = false, bool recompute_scale = false);

}  // namespace tidu::nn
