// Images at places between their elements.
#include "nn/grid_sample.h"

#include "ops/composites.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/matmul.h"
#include "ops/shape.h"

namespace tidu::nn {
namespace {

// An element along one axis, for each place: which one it is, and by what it counts (undefined: 1).
struct Tap {
  Tensor at, weight;
};

// The axis of n elements, whose middles are 0 .. n-1.
struct Axis {
  int64_t n;
  GridSampleOptions options;

  Tensor from_grid(const Tensor& g) const {
    const auto extent = static_cast<double>(n);
    return options.align_corners ? (g + 1) * ((extent - 1) / 2) : ((g + 1) * extent - 1) / 2;
  }
  // A place in the image for one beyond.
  Tensor inside(const Tensor& c) const {
    const auto extent = static_cast<double>(n);
    Tensor place = c;
    if (options.padding == GridPadding::reflection) {
      const double low = options.align_corners ? 0 : -0.5, span = options.align_corners ? extent - 1 : extent;
      if (span == 0) return zeros_like(c);
      const Tensor far = abs(c - low), turns = floor(far / span), rest = far - turns * span;
      place = where(remainder(turns, 2.0) == 0, rest, span - rest) + low;
    }
    return options.padding == GridPadding::zeros ? c : clip(place, 0.0, extent - 1);
  }

  std::vector<Tap> taps(const Tensor& g) const {
    const Tensor c = from_grid(g);
    if (options.mode == GridMode::nearest) return {{round(inside(c)), {}}};
    if (options.mode == GridMode::bilinear) {
      const Tensor place = inside(c);
      Tensor first = floor(place);
      if (options.padding != GridPadding::zeros) {  // what lies on the last element has the slope before it
        if (n == 1) return {{first, {}}};
        first = minimum(first, static_cast<double>(n - 2));
      }
      const Tensor t = place - first;
      return {{first, 1 - t}, {first + 1, t}};
    }
    const Tensor first = floor(c), t = c - first;
    std::vector<Tap> result;
    for (int k = -1; k <= 2; ++k)
      result.push_back({inside(first + k), cubic(k == -1 || k == 0 ? t - k : k - t)});
    return result;
  }

  // Of an element at a distance in [0, 2] (Keys 1981).
  static Tensor cubic(const Tensor& d) {
    constexpr double a = -0.75;
    const Tensor near = ((a + 2) * d - (a + 3)) * d * d + 1;
    const Tensor far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    return where(d <= 1, near, far);
  }
};

}  // namespace

GridMode grid_mode_from_name(std::string_view name) {
  if (name == "bilinear") return GridMode::bilinear;
  if (name == "nearest") return GridMode::nearest;
  if (name == "bicubic") return GridMode::bicubic;
  fail<ValueError>("[grid_sample] mode is 'bilinear', 'nearest' or 'bicubic', not '", std::string(name), "'");
}

GridPadding grid_padding_from_name(std::string_view name) {
  if (name == "zeros") return GridPadding::zeros;
  if (name == "border") return GridPadding::border;
  if (name == "reflection") return GridPadding::reflection;
  fail<ValueError>("[grid_sample] padding_mode is 'zeros', 'border' or 'reflection', not '",
                   std::string(name), "'");
}

Tensor grid_sample(const Tensor& x, const Tensor& grid, const GridSampleOptions& options) {
  constexpr const char* op = "grid_sample";
  const int rank = x.ndim() - 2;
  if ((rank != 2 && rank != 3) || grid.ndim() != x.ndim() || grid.size(-1) != rank ||
      grid.size(0) != x.size(0))
    fail<ShapeError>("[", op,
                     "] takes x (N, C, H, W) and a grid (N, h, w, 2), or x (N, C, D, H, W) and a grid "
                     "(N, d, h, w, 3), not ",
                     describe(x), " and ", describe(grid));
  if (!is_floating(x.dtype()) || !is_floating(grid.dtype()))
    fail<DTypeError>("[", op, "] x and grid must be floating-point, not ", describe(x), " and ",
                     describe(grid));
  if (options.mode == GridMode::bicubic && rank != 2)
    fail<ValueError>("[", op, "] mode 'bicubic' takes x of 4 axes, not ", describe(x));
  int64_t elements = 1, places = 1;
  for (int axis = 0; axis < rank; ++axis) elements *= x.size(axis + 2), places *= grid.size(axis + 1);
  Shape shape = grid.shape();
  shape.erase(shape.size() - 1);
  shape.insert(1, x.size(1));
  if (elements == 0 && num_elements(shape) > 0)
    fail<ShapeError>("[", op, "] there is nothing to sample in ", describe(x));
  const int64_t lanes = x.size(0), channels = x.size(1);
  // All channels of an element are one row; behind those of an image is one of zeros, for what is outside.
  const bool has_outside = options.padding == GridPadding::zeros;
  const int64_t rows = elements + has_outside;
  Tensor values = moveaxis(widened(reshape(x, {lanes, channels, elements})), 1, 2);
  if (has_outside) values = concat({values, zeros({lanes, 1, channels}, values.dtype(), x.device())}, 1);
  values = reshape(contiguous(values), {lanes * rows, channels});
  const Tensor at = reshape(widened(grid), {lanes, places, rank});

  // The elements around each place, as numbers in the image (lanes, places): all combinations of taps.
  struct Corner {
    Tensor index, weight, holds;
  };
  std::vector<Corner> corners(1);
  for (int axis = 0; axis < rank; ++axis) {
    const Axis along{x.size(axis + 2), options};
    std::vector<Corner> next;
    for (const Tap& tap : along.taps(select(at, 2, rank - 1 - axis))) {
      const Tensor within = logical_and(tap.at >= 0, tap.at <= static_cast<double>(along.n - 1));
      const Tensor index = astype(where(within, tap.at, 0), DType::int64);
      for (const Corner& corner : corners) {
        const bool is_first = !corner.index.defined();
        next.push_back({is_first ? index : corner.index * along.n + index,
                        !tap.weight.defined()      ? corner.weight
                        : !corner.weight.defined() ? tap.weight
                                                   : corner.weight * tap.weight,
                        is_first ? within : logical_and(corner.holds, within)});
      }
    }
    corners = std::move(next);
  }
  const Tensor first = reshape(arange(lanes, DType::int64, x.device()) * rows, {lanes, 1});
  Tensor y;
  for (const Corner& corner : corners) {
    const Tensor index = has_outside ? where(corner.holds, corner.index, elements) : corner.index;
    Tensor part = take(values, reshape(lanes == 1 ? index : index + first, {lanes * places}), 0);
    if (corner.weight.defined()) part = part * reshape(corner.weight, {lanes * places, 1});
    y = y.defined() ? y + part : part;
  }
  return astype(reshape(moveaxis(reshape(y, {lanes, places, channels}), 2, 1), shape), x.dtype());
}

Tensor affine_grid(const Tensor& theta, const Shape& size, bool align_corners) {
  constexpr const char* op = "affine_grid";
  const int rank = size.size() - 2;
  if ((rank != 2 && rank != 3) || theta.shape() != Shape{size[0], rank, rank + 1})
    fail<ShapeError>("[", op,
                     "] takes theta (N, 2, 3) for a size (N, C, H, W), or (N, 3, 4) for (N, C, D, H, W), "
                     "not ",
                     describe(theta), " for ", size);
  if (!is_floating(theta.dtype()))
    fail<DTypeError>("[", op, "] theta must be floating-point, not ", describe(theta));
  const Shape places(size.begin() + 2, size.end());
  const DType dtype = widened(theta).dtype();
  Tensors coordinates;
  for (int axis = rank - 1; axis >= 0; --axis) {
    const int64_t n = places[axis];
    const auto extent = static_cast<double>(std::max<int64_t>(n, 1));
    const double last = n == 1 ? 0 : align_corners ? 1 : (extent - 1) / extent;
    Shape shape(rank, 1);
    shape[axis] = n;
    coordinates.push_back(
        broadcast_to(reshape(linspace(-last, last, n, dtype, theta.device()), shape), places));
  }
  coordinates.push_back(ones(places, dtype, theta.device()));
  const int64_t count = num_elements(places);
  const Tensor base = reshape(stack(coordinates, -1), {count, rank + 1});
  Shape shape{size[0]};
  for (const int64_t n : places) shape.push_back(n);
  shape.push_back(rank);
  return astype(reshape(matmul(base, matrix_transpose(widened(theta))), shape), theta.dtype());
}

}  // namespace tidu::nn
