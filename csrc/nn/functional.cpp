// Losses and the functions behind the layers.
#include "nn/functional.h"

#include <cmath>

#include "core/trace.h"
#include "ops/autocast.h"
#include "ops/checked.h"
#include "ops/composites.h"
#include "ops/contract.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/indexing.h"
#include "ops/linalg.h"
#include "ops/pointwise.h"
#include "ops/random.h"
#include "ops/scan.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace tidu::nn {
namespace {

// Losses and layers of 16-bit floats are computed in float32 up to here and rounded once, to `dtype`.
Tensor reduce(const Tensor& losses, Reduction reduction, DType given) {
  const DType dtype = precise_type(losses, given);
  switch (reduction) {
    case Reduction::mean: return astype(mean(losses), dtype);
    case Reduction::sum: return astype(sum(losses), dtype);
    case Reduction::none: return astype(losses, dtype);
    case Reduction::batchmean: {
      const int64_t rows = losses.ndim() == 0 ? 1 : losses.size(0);
      return astype(sum(losses) / static_cast<double>(rows), dtype);
    }
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

// Losses times weights that broadcast to them.
Tensor weighted(const Tensor& losses, const Tensor& weight, const char* op) {
  if (!weight.defined()) return losses;
  if (broadcast_shapes(weight.shape(), losses.shape(), op) != losses.shape())
    fail<ShapeError>("[", op, "] the weight ", describe(weight), " does not broadcast to ", losses.shape());
  return losses * widened(weight);
}

DType dtype_of_all(std::initializer_list<Tensor> tensors) {
  DType dtype = DType::float16;
  bool first = true;
  for (const Tensor& x : tensors) {
    if (!x.defined() || !is_floating(x.dtype())) continue;
    dtype = first ? x.dtype() : promote(dtype, x.dtype());
    first = false;
  }
  return first ? kDefaultFloat : dtype;
}

// max(0, x), with derivative 1 at 0 as at the bounds of clip.
Tensor hinge(const Tensor& x) { return clip(x, 0, std::nullopt); }

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

void check_class_weight(const Tensor& weight, int64_t classes, const char* op) {
  if (weight.defined() && weight.shape() != Shape{classes})
    fail<ShapeError>("[", op, "] the weight ", describe(weight), " must be a vector of ", classes,
                     ", one for each class");
}

// Of losses that are 0 where they do not count.
Tensor reduce_counted(const CountedLosses& of, bool all_count, Reduction reduction, DType dtype) {
  if (all_count || reduction != Reduction::mean) return reduce(of.losses, reduction, dtype);
  return astype(sum(of.losses) / sum(of.counts), precise_type(of.losses, dtype));
}

// Targets, with class 0 for those that do not count, and which ones do; an undefined tensor where all do.
struct CountedTargets {
  Tensor indices, counted;
};
CountedTargets counted_targets(const Tensor& targets, int64_t classes, std::optional<int64_t> ignore_index,
                               const char* op) {
  Tensor indices = astype(targets, DType::int64), counted;
  if (ignore_index) {
    counted = indices != *ignore_index;
    indices = where(counted, indices, 0);
  }
  if (!indices.is_abstract() && indices.numel() > 0) {
    const VisibleTraces none(nullptr);  // a check is no part of what is recorded
    const auto low = item<int64_t>(min(indices)), high = item<int64_t>(max(indices));
    if (low < 0 || high >= classes) {
      fail<IndexError>("[", op, "] class index ", low < 0 ? low : high, " is out of range for ", classes,
                       " classes");
    }
  }
  return {indices, counted};
}

// The elements of rows, along their last axis, at one index each.
Tensor at_targets(const Tensor& rows, const Tensor& indices) {
  return squeeze(take_along_axis(rows, expand_dims(indices, -1), -1), {-1});
}

// What class indices weigh, 0 where they do not count.
Tensor weights_of(const CountedTargets& targets, const Tensor& weight) {
  const Tensor weights = take(widened(weight), targets.indices, 0);
  return targets.counted.defined() ? where(targets.counted, weights, 0) : weights;
}

Tensor cross_entropy_with_probabilities(const Tensor& logits, const Tensor& given, Reduction reduction,
                                        double label_smoothing, const Tensor& weight) {
  if (given.shape() != logits.shape()) {
    fail<ShapeError>("[cross_entropy] target probabilities ", describe(given), " and logits ",
                     describe(logits), " differ in shape (class indices must be integers)");
  }
  const Tensor scores = widened(classes_last(logits, "cross_entropy"));
  check_class_weight(weight, scores.size(-1), "cross_entropy");
  Tensor targets = widened(classes_last(given, "cross_entropy"));
  if (label_smoothing > 0) {
    const double uniform = label_smoothing / static_cast<double>(scores.size(-1));
    targets = targets * (1 - label_smoothing) + uniform;
  }
  if (weight.defined()) targets = targets * widened(weight);
  return reduce(-sum(multiply_no_nan(log_softmax(scores), targets), Axes{-1}), reduction,
                dtype_of_all({logits, given, weight}));
}

// Of class indices whose classes have weights.
Tensor weighted_cross_entropy(const Tensor& logits, const Tensor& given, Reduction reduction,
                              double label_smoothing, std::optional<int64_t> ignore_index,
                              const Tensor& weight) {
  const Tensor scores = widened(classes_last(logits, "cross_entropy"));
  check_class_indices(given, scores, "cross_entropy");
  check_class_weight(weight, scores.size(-1), "cross_entropy");
  const CountedTargets targets = counted_targets(given, scores.size(-1), ignore_index, "cross_entropy");
  const Tensor logs = log_softmax(scores), weights = weights_of(targets, weight);
  Tensor losses = -multiply_no_nan(at_targets(logs, targets.indices), weights);
  if (label_smoothing > 0) {
    Tensor uniform = -mean(multiply_no_nan(logs, widened(weight)), Axes{-1});
    if (targets.counted.defined()) uniform = where(targets.counted, uniform, 0);
    losses = losses * (1 - label_smoothing) + uniform * label_smoothing;
  }
  return reduce_counted({losses, weights}, false, reduction, dtype_of_all({logits, weight}));
}

}  // namespace

Reduction reduction_from_name(std::string_view name) {
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  if (name == "none") return Reduction::none;
  fail<ValueError>("not a reduction: '", name, "' (use 'mean', 'sum' or 'none')");
}

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, Reduction reduction, double label_smoothing,
                     std::optional<int64_t> ignore_index, const Tensor& weight) {
  if (!(label_smoothing >= 0 && label_smoothing <= 1))
    fail<ValueError>("[cross_entropy] label_smoothing must be in [0, 1], not ", label_smoothing);
  if (is_floating(targets.dtype()))
    return cross_entropy_with_probabilities(logits, targets, reduction, label_smoothing, weight);
  if (weight.defined())
    return weighted_cross_entropy(logits, targets, reduction, label_smoothing, ignore_index, weight);
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

Tensor nll_loss(const Tensor& log_probabilities, const Tensor& given, Reduction reduction,
                std::optional<int64_t> ignore_index, const Tensor& weight) {
  const Tensor scores = classes_last(log_probabilities, "nll_loss");
  check_class_indices(given, scores, "nll_loss");
  check_class_weight(weight, scores.size(-1), "nll_loss");
  const CountedTargets targets = counted_targets(given, scores.size(-1), ignore_index, "nll_loss");
  const Tensor losses = -widened(at_targets(scores, targets.indices));
  const DType dtype = dtype_of_all({scores, weight});
  if (weight.defined()) {
    const Tensor weights = weights_of(targets, weight);
    return reduce_counted({multiply_no_nan(losses, weights), weights}, false, reduction, dtype);
  }
  if (!ignore_index) return reduce(losses, reduction, dtype);
  return reduce_counted({where(targets.counted, losses, 0), astype(targets.counted, losses.dtype())}, false,
                        reduction, dtype);
}

Tensor binary_cross_entropy(const Tensor& probabilities, const Tensor& targets, Reduction reduction,
                            const Tensor& weight) {
  check_same_shape(probabilities, targets, "binary_cross_entropy");
  const Tensor losses = bernoulli_loss(widened(probabilities), widened(targets));
  return reduce(weighted(losses, weight, "binary_cross_entropy"), reduction,
                dtype_of_all({probabilities, targets, weight}));
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& targets, Reduction reduction,
                                        const Tensor& pos_weight, const Tensor& weight) {
  check_same_shape(logits, targets, "binary_cross_entropy_with_logits");
  const Tensor x = widened(logits), t = widened(targets);
  Tensor losses;
  if (!pos_weight.defined()) {
    losses = logistic_loss(x, t);
  } else {
    if (broadcast_shapes(pos_weight.shape(), logits.shape(), "binary_cross_entropy_with_logits") !=
        logits.shape()) {
      fail<ShapeError>("[binary_cross_entropy_with_logits] pos_weight ", describe(pos_weight),
                       " does not broadcast to the logits ", describe(logits));
    }
    const auto loss_of = [](const auto& logit, const auto& target, const auto& positive) {
      return multiply_no_nan(softplus(-logit), positive) + multiply_no_nan(softplus(logit), 1 - target);
    };
    losses = pointwise(loss_of, x, t, t * widened(pos_weight));
  }
  return reduce(weighted(losses, weight, "binary_cross_entropy_with_logits"), reduction,
                dtype_of_all({logits, targets, pos_weight, weight}));
}

Tensor mse_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  const Tensor residual = residual_of(prediction, target, "mse_loss");
  return reduce(square(residual), reduction, dtype_of_all({prediction, target}));
}

Tensor l1_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  const Tensor residual = residual_of(prediction, target, "l1_loss");
  return reduce(abs(residual), reduction, dtype_of_all({prediction, target}));
}

Tensor huber_loss(const Tensor& prediction, const Tensor& target, double delta, Reduction reduction) {
  const Tensor residual = residual_of(prediction, target, "huber_loss");
  if (!(delta > 0)) fail<ValueError>("[huber_loss] delta must be positive, not ", delta);
  return reduce(huber(residual, {delta}), reduction, promote(prediction.dtype(), target.dtype()));
}

Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target, double beta, Reduction reduction) {
  const Tensor residual = residual_of(prediction, target, "smooth_l1_loss");
  if (!(beta >= 0)) fail<ValueError>("[smooth_l1_loss] beta must be at least 0, not ", beta);
  // Some are 0 in what is computed in.
  const bool is_zero = residual.dtype() == DType::float64 ? beta == 0 : static_cast<float>(beta) == 0;
  return reduce(is_zero ? abs(residual) : huber(residual, {beta, beta}), reduction,
                dtype_of_all({prediction, target}));
}

Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction, bool log_target) {
  check_same_shape(x, target, "kl_div");
  check_floating(target, "kl_div", "the target");
  const Tensor logs = widened(x), t = widened(target);
  if (!log_target) return reduce(divergence_loss(logs, t), reduction, dtype_of_all({x, target}));
  // A target of 0 hides an infinite log probability, not one that is no number.
  const Tensor losses = multiply_no_nan(exp(t), t - logs) + where(isnan(logs), NAN, 0.0);
  return reduce(losses, reduction, dtype_of_all({x, target}));
}

Tensor gaussian_nll_loss(const Tensor& prediction, const Tensor& target, const Tensor& variance, bool full,
                         double eps, Reduction reduction) {
  const Tensor residual = residual_of(prediction, target, "gaussian_nll_loss");
  if (!(eps > 0)) fail<ValueError>("[gaussian_nll_loss] eps must be positive, not ", eps);
  check_floating(variance, "gaussian_nll_loss", "the variance");
  const Shape& shape = prediction.shape();
  Tensor v = widened(variance);
  if (v.ndim() > 0 && v.ndim() + 1 == prediction.ndim() && v.shape() == Shape(shape.begin(), shape.end() - 1))
    v = expand_dims(v, -1);
  if (broadcast_shapes(v.shape(), shape, "gaussian_nll_loss") != shape)
    fail<ShapeError>("[gaussian_nll_loss] the variance ", describe(variance), " does not broadcast to ",
                     describe(prediction));
  v = checked(
      v, [](const Tensor& x) { return x < 0; }, "gaussian_nll_loss", "a variance is negative");
  v = clip(v, eps, std::nullopt);
  const Tensor losses = 0.5 * (log(v) + residual * (residual / v));
  constexpr double rest = 0.91893853320467274178;  // log(2 pi) / 2
  return reduce(full ? losses + rest : losses, reduction, dtype_of_all({prediction, target, variance}));
}

Tensor poisson_nll_loss(const Tensor& x, const Tensor& target, bool log_input, bool full, double eps,
                        Reduction reduction) {
  check_same_shape(x, target, "poisson_nll_loss");
  const Tensor rate = widened(x), t = widened(target);
  Tensor losses = log_input ? exp(rate) - t * rate : rate - t * log(rate + eps);
  if (full) {
    const Tensor large = where(t > 1, t, 1);
    losses = losses + where(t > 1, large * log(large) - large + 0.5 * log(6.28318530717958647693 * large), 0);
  }
  return reduce(losses, reduction, dtype_of_all({x, target}));
}

Tensor multi_margin_loss(const Tensor& scores, const Tensor& given, int64_t p, double margin,
                         const Tensor& weight, Reduction reduction) {
  check_floating(scores, "multi_margin_loss", "the scores");
  if (scores.ndim() < 1 || scores.ndim() > 2 || scores.size(-1) == 0)
    fail<ShapeError>("[multi_margin_loss] takes scores (N, C) or (C), not ", describe(scores));
  if (p != 1 && p != 2) fail<ValueError>("[multi_margin_loss] p must be 1 or 2, not ", p);
  const int64_t classes = scores.size(-1);
  check_class_indices(given, scores, "multi_margin_loss");
  check_class_weight(weight, classes, "multi_margin_loss");
  const CountedTargets targets = counted_targets(given, classes, {}, "multi_margin_loss");
  const Tensor x = widened(scores), at = expand_dims(at_targets(x, targets.indices), -1);
  const Tensor lacking = hinge(margin - at + x);
  const Tensor others = is_class(targets.indices, classes);
  Tensor losses =
      sum(where(others, 0, p == 1 ? lacking : square(lacking)), Axes{-1}) / static_cast<double>(classes);
  if (weight.defined()) losses = losses * weights_of(targets, weight);
  return reduce(losses, reduction, dtype_of_all({scores, weight}));
}

Tensor multilabel_margin_loss(const Tensor& scores, const Tensor& targets, Reduction reduction) {
  check_same_shape(scores, targets, "multilabel_margin_loss");
  if (scores.ndim() < 1 || scores.ndim() > 2 || scores.size(-1) == 0)
    fail<ShapeError>("[multilabel_margin_loss] takes scores (N, C) or (C), not ", describe(scores));
  if (!is_integral(targets.dtype()))
    fail<DTypeError>("[multilabel_margin_loss] class indices must be integers, not ", describe(targets));
  const int64_t classes = scores.size(-1);
  const Tensor given = astype(targets, DType::int64);
  const Tensor listed = cummin(astype(given >= 0, DType::int32), -1) > 0;
  const Tensor indices =
      counted_targets(where(listed, given, 0), classes, {}, "multilabel_margin_loss").indices;
  const Tensor x = widened(scores), marks = logical_and(is_class(indices, classes),
                                                        expand_dims(listed, -1));  // (.., listed, classes)
  const Tensor is_target = any(marks, Axes{-2});
  const Tensor lacking = hinge(1 - expand_dims(take_along_axis(x, indices, -1), -1) + expand_dims(x, -2));
  const Tensor counts = logical_and(expand_dims(listed, -1), logical_not(expand_dims(is_target, -2)));
  const Tensor losses = sum(where(counts, lacking, 0), Axes{-2, -1}) / static_cast<double>(classes);
  return reduce(losses, reduction, scores.dtype());
}

Tensor multilabel_soft_margin_loss(const Tensor& logits, const Tensor& targets, const Tensor& weight,
                                   Reduction reduction) {
  if (logits.ndim() == 0)
    fail<ShapeError>("[multilabel_soft_margin_loss] takes logits (.., C), not ", describe(logits));
  check_same_shape(logits, targets, "multilabel_soft_margin_loss");
  const Tensor losses = binary_cross_entropy_with_logits(widened(logits), widened(targets), Reduction::none);
  return reduce(mean(weighted(losses, weight, "multilabel_soft_margin_loss"), Axes{-1}), reduction,
                dtype_of_all({logits, targets, weight}));
}

Tensor soft_margin_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  check_same_shape(x, target, "soft_margin_loss");
  return reduce(softplus(-widened(x) * widened(target)), reduction, dtype_of_all({x, target}));
}

Tensor hinge_embedding_loss(const Tensor& x, const Tensor& target, double margin, Reduction reduction) {
  check_same_shape(x, target, "hinge_embedding_loss");
  const Tensor distance = widened(x);
  const Tensor losses = where(target != 1, hinge(margin - distance), 0) + where(target != -1, distance, 0);
  return reduce(losses, reduction, dtype_of_all({x, target}));
}

Tensor pairwise_distance(const Tensor& a, const Tensor& b, double p, double eps, bool keepdims) {
  check_floating(a, "pairwise_distance", "the input");
  const Tensor difference = widened(a) - widened(b) + eps;
  return astype(linalg::vector_norm(difference, Axes{-1}, keepdims, p), dtype_of_all({a, b}));
}

Tensor cosine_similarity(const Tensor& a, const Tensor& b, int64_t axis, double eps) {
  check_floating(a, "cosine_similarity", "the input");
  const Tensor x = widened(a), y = widened(b);
  const Axes along = {normalize_axis(
      axis, static_cast<int>(broadcast_shapes(a.shape(), b.shape(), "cosine_similarity").size()),
      "cosine_similarity")};
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), "cosine_similarity");
  const auto unit = [&](const Tensor& given) {
    return linalg::unit_vectors(broadcast_to(given, shape), along, 2, eps);
  };
  return astype(sum(unit(x) * unit(y), along), dtype_of_all({a, b}));
}

Tensor normalize(const Tensor& x, double p, int64_t axis, double eps) {
  check_floating(x, "normalize", "the input");
  return rounded_once(x, [&](const Tensor& y) { return linalg::unit_vectors(y, Axes{axis}, p, eps); });
}

Tensor cosine_embedding_loss(const Tensor& a, const Tensor& b, const Tensor& target, double margin,
                             Reduction reduction) {
  check_same_shape(a, b, "cosine_embedding_loss");
  if (a.ndim() == 0 || target.shape() != Shape(a.shape().begin(), a.shape().end() - 1)) {
    fail<ShapeError>("[cosine_embedding_loss] the target ", describe(target),
                     " must have the shape of the inputs ", describe(a), " without their last axis");
  }
  const Tensor cosine = cosine_similarity(widened(a), widened(b), -1);
  const Tensor losses = where(target == 1, 1 - cosine, 0) + where(target == -1, hinge(cosine - margin), 0);
  return reduce(losses, reduction, dtype_of_all({a, b}));
}

Tensor margin_ranking_loss(const Tensor& a, const Tensor& b, const Tensor& target, double margin,
                           Reduction reduction) {
  check_same_shape(a, b, "margin_ranking_loss");
  check_same_shape(a, target, "margin_ranking_loss");
  const Tensor lacking = hinge(margin - widened(target) * (widened(a) - widened(b)));
  return reduce(lacking, reduction, dtype_of_all({a, b}));
}

Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           double margin, double p, double eps, bool swap, Reduction reduction) {
  if (!(margin > 0)) fail<ValueError>("[triplet_margin_loss] the margin must be positive, not ", margin);
  check_same_shape(anchor, positive, "triplet_margin_loss");
  check_same_shape(anchor, negative, "triplet_margin_loss");
  const Tensor a = widened(anchor), near = widened(positive), far = widened(negative);
  const Tensor to_near = pairwise_distance(a, near, p, eps);
  Tensor to_far = pairwise_distance(a, far, p, eps);
  if (swap) to_far = minimum(to_far, pairwise_distance(near, far, p, eps));
  return reduce(hinge(margin + to_near - to_far), reduction, dtype_of_all({anchor, positive, negative}));
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
