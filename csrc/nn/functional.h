// Losses and the functions behind the layers. All are written in ops, so they can be differentiated to any
// order.
#pragma once

#include <optional>
#include <string_view>

#include "ops/norm.h"

namespace tidu::nn {

// What a loss does with the loss of each element. The mean of no elements is NaN; batchmean, of kl_div, is
// the sum divided by the size of the first axis.
enum class Reduction : uint8_t { mean, sum, none, batchmean };
Reduction reduction_from_name(std::string_view name);  // "mean", "sum" or "none"; throws ValueError

// --- Classification. The class axis is the last of logits (N, C) or (C), and the second of (N, C, d1, ..).

// The cross-entropy of softmax(logits) with targets that are
// - class indices, integers of the shape of the logits without the class axis: -log_softmax(logits)[target].
//   Where the target is `ignore_index` the loss is 0, and the mean is taken over the other elements;
// - or probabilities, floating-point of the logits' shape: -sum_c target_c log_softmax(logits)_c.
// `label_smoothing` e in [0, 1] mixes the target distribution with the uniform one: (1 - e) target + e / C
// (Szegedy et al. 2016, section 7). `weight` (C) multiplies what each class contributes; the mean over class
// indices then divides by the weights of the targets.
// ShapeError where the shapes do not fit, IndexError where a class index is outside [0, C).
Tensor cross_entropy(const Tensor& logits, const Tensor& targets, Reduction reduction = Reduction::mean,
                     double label_smoothing = 0, std::optional<int64_t> ignore_index = -100,
                     const Tensor& weight = {});

// -log_probabilities[target] along the class axis: cross_entropy for what log_softmax gave.
Tensor nll_loss(const Tensor& log_probabilities, const Tensor& targets, Reduction reduction = Reduction::mean,
                std::optional<int64_t> ignore_index = -100, const Tensor& weight = {});

// `weight` here and below multiplies the loss of each element, to whose shape it broadcasts.
//
// -(t log(p) + (1 - t) log(1 - p)) of probabilities p and targets t of one shape. The logarithms are held at
// -100 or above, so the loss is finite and its gradient 0 there; a p outside [0, 1] gives NaN.
Tensor binary_cross_entropy(const Tensor& probabilities, const Tensor& targets,
                            Reduction reduction = Reduction::mean, const Tensor& weight = {});

// binary_cross_entropy of sigmoid(x), without overflow or cancellation for any finite x:
// w t softplus(-x) + (1 - t) softplus(x). `pos_weight` w broadcasts to the logits' shape; left out, 1.
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& targets,
                                        Reduction reduction = Reduction::mean, const Tensor& pos_weight = {},
                                        const Tensor& weight = {});

// The sum over the other classes c of weight_t max(0, margin - x_t + x_c)^p / C, p 1 or 2, of scores x (N, C)
// or (C) and class indices t.
Tensor multi_margin_loss(const Tensor& scores, const Tensor& targets, int64_t p = 1, double margin = 1,
                         const Tensor& weight = {}, Reduction reduction = Reduction::mean);
// The sum over target classes t and others c of max(0, 1 - x_t + x_c) / C; rows of targets, shaped as the
// scores (N, C) or (C), list class indices up to the first that is negative.
Tensor multilabel_margin_loss(const Tensor& scores, const Tensor& targets,
                              Reduction reduction = Reduction::mean);
// The mean over the last axis of binary_cross_entropy_with_logits.
Tensor multilabel_soft_margin_loss(const Tensor& logits, const Tensor& targets, const Tensor& weight = {},
                                   Reduction reduction = Reduction::mean);
// log(1 + exp(-t x)) of targets t, 1 or -1.
Tensor soft_margin_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
// x where the target is 1, max(0, margin - x) where it is -1.
Tensor hinge_embedding_loss(const Tensor& x, const Tensor& target, double margin = 1,
                            Reduction reduction = Reduction::mean);

// --- Regression: predictions and targets of one shape (not broadcast: (n) with (n, 1) is a mistake).

Tensor mse_loss(const Tensor& prediction, const Tensor& target,
                Reduction reduction = Reduction::mean);  // (p - t)^2
Tensor l1_loss(const Tensor& prediction, const Tensor& target,
               Reduction reduction = Reduction::mean);  // |p - t|
// d^2 / 2 where d = |p - t| is at most delta, else delta (d - delta / 2) (Huber 1964).
Tensor huber_loss(const Tensor& prediction, const Tensor& target, double delta = 1,
                  Reduction reduction = Reduction::mean);
// d^2 / (2 beta) where d = |p - t| is below beta, else d - beta / 2; l1_loss where beta is 0.
Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target, double beta = 1,
                      Reduction reduction = Reduction::mean);
// t (log(t) - x) of log-probabilities x and probabilities t, or exp(t) (t - x) of log-probabilities t.
Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean,
              bool log_target = false);
// (log(v) + (p - t)^2 / v) / 2 of variances v, held at eps or above, that broadcast to the predictions or
// lack their last axis; `full` adds log(2 pi) / 2.
Tensor gaussian_nll_loss(const Tensor& prediction, const Tensor& target, const Tensor& variance,
                         bool full = false, double eps = 1e-6, Reduction reduction = Reduction::mean);
// exp(x) - t x, or x - t log(x + eps) without log_input; `full` adds Stirling's log(t!) where t > 1.
Tensor poisson_nll_loss(const Tensor& x, const Tensor& target, bool log_input = true, bool full = false,
                        double eps = 1e-8, Reduction reduction = Reduction::mean);

// --- Distances

// The p-norm along the last axis of a - b + eps.
Tensor pairwise_distance(const Tensor& a, const Tensor& b, double p = 2, double eps = 1e-6,
                         bool keepdims = false);
// The cosine of the angle between a and b along the axis; norms are held at eps or above.
Tensor cosine_similarity(const Tensor& a, const Tensor& b, int64_t axis = 1, double eps = 1e-8);
// x divided by its p-norm along the axis, held at eps or above.
Tensor normalize(const Tensor& x, double p = 2, int64_t axis = 1, double eps = 1e-12);
// 1 - cosine where the target is 1, max(0, cosine - margin) where it is -1, along the last axis.
Tensor cosine_embedding_loss(const Tensor& a, const Tensor& b, const Tensor& target, double margin = 0,
                             Reduction reduction = Reduction::mean);
// max(0, margin - t (a - b)) of targets t, 1 or -1.
Tensor margin_ranking_loss(const Tensor& a, const Tensor& b, const Tensor& target, double margin = 0,
                           Reduction reduction = Reduction::mean);
// max(0, margin + d(anchor, positive) - d(anchor, negative)), d being pairwise_distance; with `swap` the
// negative is at its distance from the positive where that is less.
Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           double margin = 1, double p = 2, double eps = 1e-6, bool swap = false,
                           Reduction reduction = Reduction::mean);

// --- Layers

// In training, each element becomes 0 with probability p, else x / (1 - p); otherwise x itself.
Tensor dropout(const Tensor& x, double p, const Tensor& key, bool training = true);

using tidu::layer_norm, tidu::rms_norm;

// Rows of weight (count, dim) at integer indices of any shape: indices.shape + (dim,). IndexError outside
// [-count, count).
Tensor embedding(const Tensor& indices, const Tensor& weight);

// sum over i and j of x1[.., i] weight[o, i, j] x2[.., j], + bias[o], which may be undefined.
Tensor bilinear(const Tensor& x1, const Tensor& x2, const Tensor& weight, const Tensor& bias = {});

// Windows of the last two axes: how large they are, how far their elements and they themselves lie apart, and
// how many zeros there are around x.
struct Windows {
  int64_t kernel[2], dilation[2] = {1, 1}, padding[2] = {0, 0}, stride[2] = {1, 1};
};
// (.., c, h, w) to the elements of each window as a column: (.., c * kernel[0] * kernel[1], windows).
Tensor unfold(const Tensor& x, const Windows& windows);
// Columns as unfold gives them, added up where they came from: (.., c, height, width).
Tensor fold(const Tensor& x, int64_t height, int64_t width, const Windows& windows);

}  // namespace tidu::nn
