// Losses and the functions behind the layers.
#include "nn/functional.h"

#include <cmath>

#include "ops/contract.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace tidu::nn {
namespace {

// Losses and layers of 16-bit floats are computed in float32 up to here and rounded once, to `dtype`.
Tensor reduce(const Tensor& losses, Reduction reduction, DType dtype) {
  switch (reduction) {
    case Reduction::mean: return astype(mean(losses), dtype);
    case Reduction::sum: return astype(sum(losses), dtype);
    case Reduction::none: return astype(losses, dtype);
  }
  fail<ValueError>("not a reduction: ", static_cast<int>(reduction));
}

void check_floating(const Tensor& x, const char* op, const char* what) {
  if (!is_floating(x.dtype()))
    fail<DTypeError>("[", op, "] ", what, " must be floating-point, not ", describe(x));
}

void check_same_shape(const Tensor& prediction, const Tensor& target, const char* op) {
  check_floating(prediction, op, "the prediction");
  if (prediction.shape() != target.shape()) {
    fail<ShapeError>("[", op, "] the prediction ", describe(prediction), " and the target ", describe(target),
                     " differ in shape (reshape one of them)");
  }
}

// In float32 where both have 16 bits.
Tensor residual_of(const Tensor& prediction, const Tensor& target, const char* op) {
  check_same_shape(prediction, target, op);
  return widened(prediction) - widened(target);
}

// x with its class axis last.
Tensor classes_last(const Tensor& x, const char* op) {
  check_floating(x, op, "the scores");
  if (x.ndim() == 0)
    fail<ShapeError>("[", op, "] needs a class axis: (C), (N, C) or (N, C, d1, ..), not ", describe(x));
  return x.ndim() > 2 ? moveaxis(x, 1, -1) : x;
}

void check_class_indices(const Tensor& targets, const Tensor& scores, const char* op) {
  if (!is_integral(targets.dtype()))
    fail<DTypeError>("[", op, "] class indices must be integers, not ", describe(targets));
  const Shape expected(scores.shape().begin(), scores.shape().end() - 1);
  if (targets.shape() != expected) {
    fail<ShapeError>("[", op, "] class indices ", describe(targets), " must have shape ", expected,
                     ": that of the scores without their class axis of ", scores.size(-1));
  }
}

// Of losses that are 0 where they do not count.
Tensor reduce_counted(const CountedLosses& of, bool all_count, Reduction reduction, DType dtype) {
  if (all_count || reduction != Reduction::mean) return reduce(of.losses, reduction, dtype);
  return astype(sum(of.losses) / sum(of.counts), dtype);
}

Tensor cross_entropy_with_probabilities(const Tensor& logits, const Tensor& given, Reduction reduction,
                                        double label_smoothing) {
  if (given.shape() != logits.shape()) {
    fail<ShapeError>("[cross_entropy] target probabilities ", describe(given), " and logits ",
                     describe(logits), " differ in shape (class indices must be integers)");
  }
  const Tensor scores = widened(classes_last(logits, "cross_entropy"));
  Tensor targets = widened(classes_last(given, "cross_entropy"));
  if (label_smoothing > 0) {
    const double uniform = label_smoothing / static_cast<double>(scores.size(-1));
    targets = targets * (1 - label_smoothing) + uniform;
  }
  return reduce(-sum(multiply_no_nan(log_softmax(scores), targets), Axes{-1}), reduction,
                promote(logits.dtype(), given.dtype()));
}

// log(p) and log(1 - p), but -100 with derivative 0 where they are below that.
Tensor bounded_log(const Tensor& p) {
  const Tensor low = p < 3.7200759760208361e-44;
  return where(p < 0, NAN, where(low, -100, log(where(low, 1, p))));
}
Tensor bounded_log_of_rest(const Tensor& p) {
  const Tensor high = p >= 1;
  return where(p > 1, NAN, where(high, -100, log1p(-where(high, 0, p))));
}

}  // namespace

Reduction reduction_from_name(std::string_view name) {
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  if (name == "none") return Reduction::none;
  fail<ValueError>("not a reduction: '", name, "' (use 'mean', 'sum' or 'none')");
}

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, Reduction reduction, double label_smoothing,
                     std::optional<int64_t> ignore_index) {
  if (!(label_smoothing >= 0 && label_smoothing <= 1))
    fail<ValueError>("[cross_entropy] label_smoothing must be in [0, 1], not ", label_smoothing);
  if (is_floating(targets.dtype()))
    return cross_entropy_with_probabilities(logits, targets, reduction, label_smoothing);
  const Tensor scores = classes_last(label_smoothing > 0 ? widened(logits) : logits, "cross_entropy");
  check_class_indices(targets, scores, "cross_entropy");
  CountedLosses rows = counted_cross_entropy(scores, targets, ignore_index);
  if (label_smoothing > 0) {
    const Tensor uniform = -mean(log_softmax(scores), Axes{-1});
    rows.losses =
        rows.losses * (1 - label_smoothing) + multiply_no_nan(uniform, rows.counts) * label_smoothing;
  }
  return reduce_counted(rows, !ignore_index, reduction, logits.dtype());
}

Tensor nll_loss(const Tensor& log_probabilities, const Tensor& targets, Reduction reduction,
                std::optional<int64_t> ignore_index) {
  const Tensor scores = classes_last(log_probabilities, "nll_loss");
  check_class_indices(targets, scores, "nll_loss");
  const int64_t classes = scores.size(-1);
  Tensor indices = astype(targets, DType::int64), counted;
  if (ignore_index) {
    counted = indices != *ignore_index;
    indices = where(counted, indices, 0);
  }
  if (!indices.is_abstract() && indices.numel() > 0) {
    const auto low = item<int64_t>(min(indices)), high = item<int64_t>(max(indices));
    if (low < 0 || high >= classes) {
      fail<IndexError>("[nll_loss] class index ", low < 0 ? low : high, " is out of range for ", classes,
                       " classes");
    }
  }
  const Tensor losses = -widened(squeeze(take_along_axis(scores, expand_dims(indices, -1), -1), {-1}));
  if (!ignore_index) return reduce(losses, reduction, scores.dtype());
  return reduce_counted({where(counted, losses, 0), astype(counted, losses.dtype())}, false, reduction,
                        scores.dtype());
}

Tensor binary_cross_entropy(const Tensor& probabilities, const Tensor& targets, Reduction reduction) {
  check_same_shape(probabilities, targets, "binary_cross_entropy");
  const Tensor p = widened(probabilities), t = widened(targets);
  return reduce(-(t * bounded_log(p) + (1 - t) * bounded_log_of_rest(p)), reduction,
                promote(probabilities.dtype(), targets.dtype()));
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& targets, Reduction reduction,
                                        const Tensor& pos_weight) {
  check_same_shape(logits, targets, "binary_cross_entropy_with_logits");
  DType dtype = promote(logits.dtype(), targets.dtype());
  const Tensor x = widened(logits), t = widened(targets);
  Tensor positive = t;
  if (pos_weight.defined()) {
    if (broadcast_shapes(pos_weight.shape(), logits.shape(), "binary_cross_entropy_with_logits") !=
        logits.shape()) {
      fail<ShapeError>("[binary_cross_entropy_with_logits] pos_weight ", describe(pos_weight),
                       " does not broadcast to the logits ", describe(logits));
    }
    positive = t * widened(pos_weight);
    dtype = promote(dtype, pos_weight.dtype());
  }
  return reduce(multiply_no_nan(softplus(-x), positive) + multiply_no_nan(softplus(x), 1 - t), reduction,
                dtype);
}

Tensor mse_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  const Tensor residual = residual_of(prediction, target, "mse_loss");
  return reduce(square(residual), reduction, promote(prediction.dtype(), target.dtype()));
}

Tensor l1_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  const Tensor residual = residual_of(prediction, target, "l1_loss");
  return reduce(abs(residual), reduction, promote(prediction.dtype(), target.dtype()));
}

Tensor huber_loss(const Tensor& prediction, const Tensor& target, double delta, Reduction reduction) {
  const Tensor residual = residual_of(prediction, target, "huber_loss");
  if (!(delta > 0)) fail<ValueError>("[huber_loss] delta must be positive, not ", delta);
  const Tensor distance = abs(residual);
  return reduce(where(distance <= delta, 0.5 * square(residual), delta * (distance - 0.5 * delta)), reduction,
                promote(prediction.dtype(), target.dtype()));
}

Tensor dropout(const Tensor& x, double p, const Tensor& key, bool training) {
  check_floating(x, "dropout", "the input");
  if (!(p >= 0 && p <= 1)) fail<ValueError>("[dropout] the probability p must be in [0, 1], not ", p);
  if (!training || p == 0) return x;
  if (p == 1) return where(false, x, 0);
  return where(random_bernoulli(key, 1 - p, x.shape()), astype(widened(x) * (1 / (1 - p)), x.dtype()), 0);
}

Tensor embedding(const Tensor& indices, const Tensor& weight) {
  if (weight.ndim() != 2)
    fail<ShapeError>("[embedding] the weight must have shape (count, dim), not ", describe(weight));
  return take(weight, indices, 0);
}

Tensor bilinear(const Tensor& x1, const Tensor& x2, const Tensor& weight, const Tensor& bias) {
  if (weight.ndim() != 3 || x1.ndim() == 0 || x2.ndim() == 0 || weight.size(1) != x1.size(-1) ||
      weight.size(2) != x2.size(-1))
    fail<ShapeError>("[bilinear] weight (outputs, n1, n2) does not fit (.., n1) and (.., n2): ",
                     describe(weight), ", ", describe(x1), ", ", describe(x2));
  const Tensor y = linalg::einsum("...i,oij,...j->...o", {x1, weight, x2});
  return bias.defined() ? y + bias : y;
}

namespace {

// Where the elements of windows lie in (h, w) padded: (kernel[0] * kernel[1], windows).
struct Places {
  Places(const char* op, int64_t height, int64_t width, const Windows& windows, Device device)
      : rows(height + 2 * windows.padding[0]), columns(width + 2 * windows.padding[1]) {
    int64_t counts[2];
    for (int i = 0; i < 2; ++i) {
      const int64_t extent = i == 0 ? rows : columns,
                    reach = windows.dilation[i] * (windows.kernel[i] - 1) + 1;
      if (windows.kernel[i] < 1 || windows.dilation[i] < 1 || windows.stride[i] < 1 ||
          windows.padding[i] < 0 || reach > extent)
        fail<ValueError>("[", op, "] there are no windows of kernel ", windows.kernel[i], ", dilation ",
                         windows.dilation[i], " and stride ", windows.stride[i], " in an extent of ", extent,
                         " (with the padding)");
      counts[i] = (extent - reach) / windows.stride[i] + 1;
    }
    const auto along = [&](int i) {
      const Tensor begin = arange(counts[i], DType::int64, device) * windows.stride[i];
      return expand_dims(arange(windows.kernel[i], DType::int64, device) * windows.dilation[i], 1) + begin;
    };
    const Tensor down = reshape(along(0), {windows.kernel[0], 1, counts[0], 1});
    const Tensor across = reshape(along(1), {1, windows.kernel[1], 1, counts[1]});
    indices =
        reshape(down * columns + across, {windows.kernel[0] * windows.kernel[1], counts[0] * counts[1]});
  }
  int64_t rows, columns;
  Tensor indices;
};

// Zeros around the last two axes.
Tensor padded(const Tensor& x, const int64_t (&padding)[2]) {
  Dims around(x.ndim(), 0);
  for (int i = 0; i < 2; ++i) around[x.ndim() - 2 + i] = padding[i];
  return pad(x, around, around);
}

}  // namespace

Tensor unfold(const Tensor& x, const Windows& windows) {
  if (x.ndim() < 3) fail<ShapeError>("[unfold] takes (.., channels, height, width), not ", describe(x));
  const Places places("unfold", x.size(-2), x.size(-1), windows, x.device());
  Shape flat(x.shape().begin(), x.shape().end() - 2), columns(x.shape().begin(), x.shape().end() - 3);
  flat.push_back(places.rows * places.columns);
  columns.push_back(x.size(-3) * places.indices.size(0));
  columns.push_back(places.indices.size(1));
  return reshape(take(reshape(padded(x, windows.padding), flat), places.indices, -1), columns);
}

Tensor fold(const Tensor& x, int64_t height, int64_t width, const Windows& windows) {
  const Places places("fold", height, width, windows, x.device());
  const int64_t each = places.indices.size(0), count = places.indices.size(1);
  if (x.ndim() < 2 || x.size(-2) % each != 0 || x.size(-1) != count)
    fail<ShapeError>("[fold] ", describe(x), " does not hold ", count, " windows of ", each,
                     " elements in each channel: (.., channels * ", each, ", ", count, ")");
  Shape ahead(x.shape().begin(), x.shape().end() - 2);
  ahead.push_back(x.size(-2) / each);
  Shape parts = ahead, flat = ahead, image = ahead;
  parts.push_back(each);
  parts.push_back(count);
  flat.push_back(places.rows * places.columns);
  image.push_back(places.rows);
  image.push_back(places.columns);
  const Tensor sum = scatter_add(zeros(flat, x.dtype(), x.device()), places.indices, reshape(x, parts), -1);
  const auto [down, across] = windows.padding;
  return slice_axis(slice_axis(reshape(sum, image), -2, down, down + height), -1, across, across + width);
}

}  // namespace tidu::nn
