// Images at places between their elements.
#pragma once

#include <string_view>

#include "core/primitive.h"

namespace tidu::nn {

enum class GridMode : uint8_t { bilinear, nearest, bicubic };
enum class GridPadding : uint8_t { zeros, border, reflection };
GridMode grid_mode_from_name(std::string_view name);  // throw ValueError
GridPadding grid_padding_from_name(std::string_view name);

struct GridSampleOptions {
  GridMode mode = GridMode::bilinear;
  GridPadding padding = GridPadding::zeros;
  bool align_corners = false;
};
// x (N, C, H, W) at places grid (N, h, w, 2), of which the last axis has column and row in [-1, 1]: (N, C, h,
// w); or x (N, C, D, H, W) at (N, d, h, w, 3). -1 and 1 are the outer edges of the first and the last element
// or, with align_corners, their middles. bilinear weights the elements around, bicubic (of 4 axes alone, Keys
// 1981 with a = -3/4) sixteen of them, nearest takes one. Beyond the image are zeros, its border, or its
// reflection. Derivatives by x and grid (nearest: 0 by grid).
Tensor grid_sample(const Tensor& x, const Tensor& grid, const GridSampleOptions& options = {});

// The grid (N, H, W, 2) of affine maps theta (N, 2, 3) for images of size (N, C, H, W); or (N, D, H, W, 3) of
// theta (N, 3, 4).
Tensor affine_grid(const Tensor& theta, const Shape& size, bool align_corners = false);

}  // namespace tidu::nn
