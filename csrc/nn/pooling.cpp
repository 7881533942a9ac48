// Poolings and changes of size.
#include "nn/pooling.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/host_lock.h"
#include "nn/spatial.h"
#include "ops/arrange.h"
#include "ops/composites.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/pooling.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/unseen.h"

namespace tidu::nn {
namespace {

PoolingAttrs windows_of(const RankedName& op, int rank, const Tensor& x, const PoolingOptions& options) {
  check_images(op, x, rank);
  PoolingAttrs attrs;
  attrs.kernel = each_axis(op, "kernel_size", options.kernel, rank, 1);
  attrs.stride = options.stride.empty() ? attrs.kernel : each_axis(op, "stride", options.stride, rank, 1);
  attrs.low = each_axis(op, "padding", options.padding, rank, 0);
  attrs.dilation = each_axis(op, "dilation", options.dilation, rank, 1);
  for (int i = 0; i < rank; ++i) {
    const int64_t extent = x.size(i - rank), reach = (attrs.kernel[i] - 1) * attrs.dilation[i] + 1;
    const int64_t padding = attrs.low[i], stride = attrs.stride[i];
    const int64_t room = extent + 2 * padding - reach + (options.ceil_mode ? stride - 1 : 0);
    if (padding > reach / 2)
      fail<ValueError>("[", op, "] padding ", options.padding,
                       " is more than half of the window, which reaches over ", reach, " elements");
    if (room < 0)
      fail<ShapeError>("[", op, "] the window reaches over ", reach, " elements, more than the ",
                       extent + 2 * padding, " of ", describe(x), " with its padding");
    int64_t count = room / stride + 1;
    // The last window begins in x or in the padding before it.
    if (options.ceil_mode && (count - 1) * stride >= extent + padding) --count;
    attrs.extents.push_back(count);
  }
  return attrs;
}

using Function = std::function<Tensor(const Tensor&)>;

// The sum of f of what windows have along an axis, -rank to -1: of one element of each at a time, or of all
// that the only window has.
Tensor window_sum(const Tensor& x, int axis, const PoolingAttrs& attrs, const Function& f) {
  const size_t i = attrs.kernel.size() + axis;
  const int64_t kernel = attrs.kernel[i], stride = attrs.stride[i], count = attrs.extents[i];
  if (count == 1) return sum(f(slice_axis(x, axis, 0, kernel)), Axes{axis}, true);
  Tensor total;
  for (int64_t k = 0; k < kernel; ++k) {
    answer_signals();
    const Tensor term = f(slice_axis(x, axis, k, k + (count - 1) * stride + 1, stride));
    total = total.defined() ? total + term : term;
  }
  return total;
}

// A vector along one of the last axes.
Tensor along(const Tensor& vector, int axis) {
  Shape shape(-axis, 1);
  shape[0] = vector.size(0);
  return reshape(vector, shape);
}

// x with a number where windows reach beyond it.
Tensor padded(int rank, const Tensor& x, const PoolingAttrs& attrs, double value = 0) {
  Dims low(x.ndim(), 0), high(x.ndim(), 0);
  bool pads = false;
  for (int i = 0; i < rank; ++i) {
    const int axis = x.ndim() - rank + i;
    const int64_t reach =
        (attrs.extents[i] - 1) * attrs.stride[i] + (attrs.kernel[i] - 1) * attrs.dilation[i] + 1;
    low[axis] = attrs.low[i];
    high[axis] = std::max<int64_t>(0, reach - attrs.low[i] - x.size(axis));
    pads |= low[axis] > 0 || high[axis] > 0;
  }
  return pads ? pad(x, low, high, value) : x;
}

Tensor window_sums(int rank, const Tensor& x, const PoolingAttrs& attrs) {
  Tensor y = padded(rank, x, attrs);
  for (int axis = -rank; axis < 0; ++axis)
    y = window_sum(y, axis, attrs, [](const Tensor& part) { return part; });
  return y;
}

// The same of f of the elements, where f may know the windows: it gets what these have along all axes.
Tensor window_sums_of(const Function& f, const Tensor& x, int axis, const PoolingAttrs& attrs) {
  if (axis == 0) return f(x);
  return window_sum(x, axis, attrs,
                    [&](const Tensor& part) { return window_sums_of(f, part, axis + 1, attrs); });
}

// The largest element of each window of what is padded, the first of equal ones.
Tensor window_maxima(const Tensor& x, const PoolingAttrs& attrs) {
  const int rank = attrs.kernel.size();
  Tensor y = x;
  for (int axis = -rank; axis < 0; ++axis) {
    const size_t i = attrs.kernel.size() + axis;
    const int64_t reach = (attrs.extents[i] - 1) * attrs.stride[i] + 1;
    Tensor largest;
    for (int64_t k = 0; k < attrs.kernel[i]; ++k) {
      answer_signals();
      const int64_t first = k * attrs.dilation[i];
      const Tensor some = slice_axis(y, axis, first, first + reach, attrs.stride[i]);
      largest = largest.defined() ? maximum(some, largest) : some;
    }
    y = largest;
  }
  return y;
}

// The largest elements of windows, and if asked for, or if somebody looks, their places in planes.
Pooled picked(const RankedName& op, int rank, const Tensor& x, const PoolingAttrs& attrs, bool with_indices) {
  for (int i = 0; i < rank; ++i) {
    if (has_empty_window(pooling_axis(x.shape(), attrs, i)))
      fail<ShapeError>("[", op, "] a window of ", describe(x), " has no element");
  }
  // Of few elements the places are found as fast, and without lists of pieces.
  constexpr int64_t kMany = 1 << 12;
  if (!with_indices && x.numel() >= kMany && is_looped(x) && is_floating(x.dtype()) &&
      num_elements(attrs.kernel) > 1)
    return {contiguous(window_maxima(padded(rank, x, attrs, -INFINITY), attrs)), {}};
  const Tensor places = argmax_of_windows(x, attrs);
  const auto planes = [&](const Tensor& a) {
    Shape shape(a.shape().begin(), a.shape().end() - rank);
    shape.push_back(num_elements(Shape(a.shape().end() - rank, a.shape().end())));
    return reshape(a, shape);
  };
  return {reshape(take_along_axis(planes(x), planes(places), -1), places.shape()), places};
}

void check_floating(const auto& op, const Tensor& x) {
  if (!is_floating(x.dtype()))
    fail<DTypeError>("[", op, "] takes floating-point numbers, not ", describe(x), " (use astype)");
}

PoolingAttrs parts_of(const RankedName& op, int rank, const Tensor& x, const Sizes& size) {
  check_images(op, x, rank);
  if (size.size() != 1 && size.size() != static_cast<size_t>(rank))
    fail<ValueError>("[", op, "] output_size is a number or ", rank, " of them, not ", size.size());
  PoolingAttrs attrs;
  attrs.adaptive = true;
  for (int i = 0; i < rank; ++i) {
    const int64_t extent = x.size(i - rank),
                  count = size[size.size() == 1 ? 0 : static_cast<size_t>(i)].value_or(extent);
    if (count < 0) fail<ValueError>("[", op, "] output_size must not be negative: ", count);
    if (extent == 0 && count > 0)
      fail<ShapeError>("[", op, "] there are no parts of an empty axis: ", describe(x));
    attrs.extents.push_back(count);
  }
  return attrs;
}

}  // namespace

Pooled max_pool(int rank, const Tensor& x, const PoolingOptions& options, bool with_indices) {
  const RankedName op{"max_pool", rank};
  return picked(op, rank, x, windows_of(op, rank, x, options), with_indices);
}

Tensor avg_pool(int rank, const Tensor& x, const PoolingOptions& options, bool count_include_pad,
                std::optional<int64_t> divisor) {
  const RankedName op{"avg_pool", rank};
  check_floating(op, x);
  const PoolingAttrs attrs = windows_of(op, rank, x, options);
  if (divisor && *divisor == 0) fail<ValueError>("[", op, "] divisor_override must not be 0");
  const Tensor sums = window_sums(rank, widened(x), attrs);
  double each = 1;
  Tensor counts;  // where windows differ in how many elements they have
  for (int i = 0; i < rank; ++i) {
    const int64_t extent = x.size(i - rank), low = attrs.low[i],
                  past = count_include_pad ? extent + low : extent,
                  reach = (attrs.extents[i] - 1) * attrs.stride[i] + attrs.kernel[i] - low;
    each *= static_cast<double>(attrs.kernel[i]);
    if (reach <= past && (count_include_pad || low == 0)) continue;
    const Tensor begin = arange(attrs.extents[i], DType::int64, x.device()) * attrs.stride[i] - low;
    const Tensor from = count_include_pad ? begin : maximum(begin, 0);
    const Tensor elements =
        along(astype(minimum(begin + attrs.kernel[i], past) - from, sums.dtype()), i - rank);
    const Tensor share = elements / static_cast<double>(attrs.kernel[i]);
    counts = counts.defined() ? counts * share : share;
  }
  const Tensor means = sums / (divisor ? static_cast<double>(*divisor) : each);
  return astype(counts.defined() && !divisor ? means / counts : means, x.dtype());
}

Tensor lp_pool(int rank, const Tensor& x, double p, const PoolingOptions& options) {
  const RankedName op{"lp_pool", rank};
  check_floating(op, x);
  if (!(p > 0)) fail<ValueError>("[", op, "] the norm_type must be positive, not ", p);
  const PoolingAttrs attrs = windows_of(op, rank, x, options);
  const Tensor wide = widened(x);
  if (p == 1) return astype(window_sums(rank, wide, attrs), x.dtype());
  const Tensor sizes = abs(padded(rank, std::isinf(p) ? wide : stop_gradient(wide), attrs));
  const Tensor largest = window_maxima(sizes, attrs);
  if (std::isinf(p)) return astype(largest, x.dtype());
  // The largest power is made 1 beforehand, so that none that matters leaves the dtype's range. A window of
  // zeros gives a constant: it is computed as if it held ones.
  const Tensor scale = where(logical_and(largest > 0, largest < INFINITY), largest, 1);
  const Tensor vanishes = largest == 0;
  const auto power = [&](const Tensor& part) { return pow(where(vanishes, 1, part) / scale, p); };
  return astype(
      where(vanishes, 0, scale * pow(window_sums_of(power, padded(rank, wide, attrs), -rank, attrs), 1 / p)),
      x.dtype());
}

Pooled adaptive_max_pool(int rank, const Tensor& x, const Sizes& size) {
  const RankedName op{"adaptive_max_pool", rank};
  return picked(op, rank, x, parts_of(op, rank, x, size), true);
}

Tensor adaptive_avg_pool(int rank, const Tensor& x, const Sizes& size) {
  const RankedName op{"adaptive_avg_pool", rank};
  check_floating(op, x);
  const PoolingAttrs attrs = parts_of(op, rank, x, size);
  Tensor y = widened(x);
  for (int i = 0; i < rank; ++i) {
    const int axis = y.ndim() - rank + i;
    const PoolingAxis parts = pooling_axis(x.shape(), attrs, i);
    if (parts.count == 0) {
      y = slice_axis(y, axis, 0, 0);
    } else if (parts.extent % parts.count == 0) {
      Shape shape = y.shape();
      shape[axis] = parts.count;
      shape.insert(axis + 1, parts.extent / parts.count);
      y = mean(reshape(y, shape), Axes{axis + 1});
    } else if (parts.count > parts.extent) {
      // Each has one element or two neighbours: [k extent / count, (k + 1) extent / count) with both ends.
      const Tensor numbers = arange(parts.count, DType::int64, x.device()) * parts.extent;
      const Tensor last = floor_divide(numbers + (parts.extent - 1), parts.count);
      y = 0.5 * take(y, floor_divide(numbers, parts.count), axis) + 0.5 * take(y, last, axis);
    } else {
      Tensors means;
      for (int64_t k = 0; k < parts.count; ++k) {
        answer_signals();
        const Window part = parts.at(k);
        means.push_back(mean(slice_axis(y, axis, part.begin, part.end), Axes{axis}, true));
      }
      y = concat(means, axis);
    }
  }
  return astype(y, x.dtype());
}

namespace {

// x at `count` places along an axis, `step` of its elements apart, by default the even part of them.
Tensor resized(const Tensor& x, int axis, int64_t count, std::optional<double> given, Interpolation how,
               bool align_corners) {
  const int64_t extent = x.size(axis);
  const bool is_nearest = how == Interpolation::nearest;
  if (!given && (is_nearest || how == Interpolation::nearest_exact)) {
    // In integers: a quotient of floats may be rounded to below the element that it names.
    const Tensor halves = 2 * arange(count, DType::int64, x.device()) + (is_nearest ? 0 : 1);
    return take(x, floor_divide(halves * extent, 2 * count), axis);
  }
  const double step = given.value_or(static_cast<double>(extent) / static_cast<double>(count));
  const Tensor numbers = arange(count, DType::float64, x.device());
  const auto at = [&](const Tensor& places) {
    return take(x, clip(astype(places, DType::int64), int64_t{0}, extent - 1), axis);
  };
  if (is_nearest) return at(floor(numbers * step));
  if (how == Interpolation::nearest_exact) return at(floor((numbers + 0.5) * step));
  Tensor places = align_corners ? numbers * step : (numbers + 0.5) * step - 0.5;
  if (how == Interpolation::linear) places = maximum(places, 0.0);
  const Tensor before = floor(places), t = places - before;
  const auto term = [&](int64_t shift, const Tensor& weight) {
    return at(before + static_cast<double>(shift)) * along(astype(weight, x.dtype()), axis - x.ndim());
  };
  if (how == Interpolation::linear) return term(0, 1 - t) + term(1, t);
  constexpr double a = -0.75;
  const auto near = [&](const Tensor& d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [&](const Tensor& d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  return term(-1, far(t + 1)) + term(0, near(t)) + term(1, near(1 - t)) + term(2, far(2 - t));
}

}  // namespace

Tensor interpolate(const Tensor& x, const Dims& size, const std::vector<double>& scale, Interpolation how,
                   bool align_corners, bool recompute_scale) {
  constexpr const char* op = "interpolate";
  const int rank = x.ndim() - 2;
  if (rank < 1 || rank > 3)
    fail<ShapeError>("[interpolate] takes x (N, C, ..) of 3 to 5 axes, not ", describe(x));
  const bool weighs = how == Interpolation::linear || how == Interpolation::cubic;
  if (weighs) check_floating(op, x);
  if (align_corners && !weighs)
    fail<ValueError>("[interpolate] align_corners goes with modes that weigh neighbours");
  if (size.empty() == scale.empty()) fail<ValueError>("[interpolate] takes either size or scale_factor");
  if (!scale.empty() && scale.size() != 1 && scale.size() != static_cast<size_t>(rank))
    fail<ValueError>("[interpolate] scale_factor is a number or ", rank, " of them, not ", scale.size());
  const Dims wanted = size.empty() ? Dims() : each_axis(op, "size", size, rank, 1);
  struct Resizing {
    int axis;
    int64_t count;
    std::optional<double> step;
    double growth;
  };
  std::vector<Resizing> all;
  for (int i = 0; i < rank; ++i) {
    const int64_t extent = x.size(2 + i);
    const double factor = scale.empty() ? 0 : scale[scale.size() == 1 ? 0 : static_cast<size_t>(i)];
    if (!scale.empty() && !(factor > 0 && factor < 0x1p31))
      fail<ValueError>("[interpolate] scale_factor must be positive, not ", factor);
    const int64_t count =
        scale.empty() ? wanted[i] : static_cast<int64_t>(static_cast<double>(extent) * factor);
    if (extent == 0 || count < 1)
      fail<ShapeError>("[interpolate] axis ", 2 + i, " of ", describe(x), " would become ", count,
                       " elements");
    std::optional<double> step;
    if (align_corners)
      step = count > 1 ? static_cast<double>(extent - 1) / static_cast<double>(count - 1) : 0;
    else if (!scale.empty() && !recompute_scale)
      step = 1 / factor;
    all.push_back({2 + i, count, step, static_cast<double>(count) / static_cast<double>(extent)});
  }
  // What shrinks goes first; of those that grow alike the last, whose elements are taken one by one.
  std::ranges::stable_sort(all, {}, [](const Resizing& r) { return std::pair(r.growth, -r.axis); });
  Tensor y = weighs ? widened(x) : x;
  for (const Resizing& r : all) y = resized(y, r.axis, r.count, r.step, how, align_corners);
  return astype(y, x.dtype());
}

}  // namespace tidu::nn
