// Layer 6 as tidu._core._training: losses, initialisers, fused updates, readers, the batch loader, files.
#include <pybind11/stl/filesystem.h>

#include "callables.h"
#include "data/csv.h"
#include "data/fashion_mnist.h"
#include "data/idx.h"
#include "data/loader.h"
#include "io/safetensors.h"
#include "nn/activations.h"
#include "nn/attention.h"
#include "nn/ctc.h"
#include "nn/functional.h"
#include "nn/grid_sample.h"
#include "nn/init.h"
#include "nn/recurrent.h"
#include "ops/attention.h"
#include "ops/update.h"
#include "optim/clip.h"
#include "optim/formulas.h"
#include "optim/least_squares.h"
#include "optim/minimize.h"
#include "optim/root.h"
#include "optim/standard_errors.h"

namespace tidu::python {
namespace {

using OptionalTensor = std::optional<Tensor>;

void bind_activations(py::module_& m) {
  const auto x = py::arg("x");
  const auto plain = [&](const char* name, Tensor (*function)(const Tensor&), const char* doc) {
    m.def(name, function, x, doc);
  };
  m.def(
      "gelu",
      [](const Tensor& x, const std::string& approximate) {
        if (approximate == "none") return gelu(x);
        if (approximate == "tanh") return gelu_tanh(x);
        fail<ValueError>("[gelu] approximate must be 'none' or 'tanh', not '", approximate, "'");
      },
      x, py::arg("approximate") = "none",
      "x Phi(x), Phi being the normal distribution function, or its approximation by tanh.");
  example("_training.gelu", "td.nn.functional.gelu(td.tensor([-1.0, 2.0]), \"tanh\")",
          "tensor([-0.158808 ,  1.9545978], dtype=float32)");
  m.def(
      "softplus",
      [](const Tensor& x, double beta, std::optional<double> threshold) {
        return beta == 1 && !threshold ? softplus(x) : nn::softplus(x, beta, threshold);
      },
      x, py::arg("beta") = 1.0, py::arg("threshold") = py::none(),
      "log(1 + exp(beta x)) / beta, without overflow. Where beta x exceeds the threshold x itself, as "
      "PyTorch "
      "has it\nfrom 20 on; without one nothing is approximated.");
  example("_training.softplus", "td.nn.functional.softplus(td.tensor([0.0, 30.0]), beta=2.0)",
          "tensor([ 0.3465736, 30.       ], dtype=float32)");
  plain("selu", nn::selu, "1.0507 elu(x, 1.6733), which keeps mean 0 and variance 1.");
  example("_training.selu", "td.nn.functional.selu(td.tensor([-1.0, 2.0]))",
          "tensor([-1.1113307,  2.101402 ], dtype=float32)");
  m.def("celu", nn::celu, x, py::arg("alpha") = 1.0, "x where x > 0, else alpha (exp(x / alpha) - 1).");
  example("_training.celu", "td.nn.functional.celu(td.tensor([-1.0, 2.0]))",
          "tensor([-0.63212055,  2.        ], dtype=float32)");
  plain("logsigmoid", log_sigmoid, "log(1 / (1 + exp(-x))), which is log_sigmoid.");
  example("_training.logsigmoid", "td.nn.functional.logsigmoid(td.tensor([0.0, -200.0]))",
          "tensor([  -0.6931472, -200.       ], dtype=float32)");
  plain("relu6", nn::relu6, "x held in [0, 6]; the derivative at both bounds is 0.");
  example("_training.relu6", "td.nn.functional.relu6(td.tensor([-1.0, 3.0, 8.0]))",
          "tensor([0., 3., 6.], dtype=float32)");
  plain("hardsigmoid", nn::hardsigmoid, "relu6(x + 3) / 6.");
  example("_training.hardsigmoid", "td.nn.functional.hardsigmoid(td.tensor([-4.0, 0.0, 1.5]))",
          "tensor([0.  , 0.5 , 0.75], dtype=float32)");
  plain("hardswish", nn::hardswish, "x relu6(x + 3) / 6.");
  example("_training.hardswish", "td.nn.functional.hardswish(td.tensor([-4.0, 0.0, 3.0]))",
          "tensor([0., 0., 3.], dtype=float32)");
  plain("softsign", nn::softsign, "x / (1 + |x|).");
  example("_training.softsign", "td.nn.functional.softsign(td.tensor([-1.0, 3.0]))",
          "tensor([-0.5 ,  0.75], dtype=float32)");
  plain("tanhshrink", nn::tanhshrink, "x - tanh(x).");
  example("_training.tanhshrink", "td.nn.functional.tanhshrink(td.tensor([0.0, 1.0]))",
          "tensor([0.        , 0.23840576], dtype=float32)");
  m.def("softshrink", nn::softshrink, x, py::arg("lambd") = 0.5,
        "x moved by lambd towards 0, and 0 where |x| <= lambd.");
  example("_training.softshrink", "td.nn.functional.softshrink(td.tensor([-1.0, 0.3]))",
          "tensor([-0.5,  0. ], dtype=float32)");
  m.def("hardshrink", nn::hardshrink, x, py::arg("lambd") = 0.5, "x, and 0 where |x| <= lambd.");
  example("_training.hardshrink", "td.nn.functional.hardshrink(td.tensor([-1.0, 0.3]))",
          "tensor([-1.,  0.], dtype=float32)");
  m.def("threshold", nn::threshold, x, py::arg("threshold"), py::arg("value"),
        "x where it exceeds the threshold, else the value.");
  example("_training.threshold", "td.nn.functional.threshold(td.tensor([0.5, 2.0]), 1.0, -1.0)",
          "tensor([-1.,  2.], dtype=float32)");
  m.def("prelu", nn::prelu, x, py::arg("weight"),
        "x where x > 0, else weight x: one weight, or a vector with one for each channel, axis 1.");
  example("_training.prelu", "td.nn.functional.prelu(td.tensor([-1.0, 2.0]), td.tensor([0.25]))",
          "tensor([-0.25,  2.  ], dtype=float32)");
  m.def("glu", nn::glu, x, py::arg("axis") = -1,
        "The first half along the axis times the sigmoid of the second.");
  example("_training.glu", "td.nn.functional.glu(td.tensor([1.0, 2.0, 0.0, 0.0]))",
          "tensor([0.5, 1. ], dtype=float32)");
  m.def("softmin", nn::softmin, x, py::arg("axis") = -1, "softmax(-x) along the axis.");
  example("_training.softmin", "td.nn.functional.softmin(td.tensor([0.0, 0.0]))",
          "tensor([0.5, 0.5], dtype=float32)");
}

using nn::reduction_from_name;

void bind_likelihoods(py::module_& m) {
  m.def(
      "kl_div",
      [](const Tensor& x, const Tensor& target, const std::string& reduction, bool log_target) {
        const auto how = reduction == "batchmean" ? nn::Reduction::batchmean : reduction_from_name(reduction);
        return nn::kl_div(x, target, how, log_target);
      },
      py::arg("x"), py::arg("target"), py::arg("reduction") = "mean", py::arg("log_target") = false,
      "t (log(t) - x) of log-probabilities x and probabilities t of one shape, or exp(t) (t - x) of "
      "log-probabilities t.\nThe reduction may also be \"batchmean\": the sum divided by the size of the "
      "first "
      "axis.");
  example(
      "_training.kl_div",
      "td.nn.functional.kl_div(td.log(td.tensor([0.5, 0.5])), td.tensor([0.25, 0.75]), reduction=\"sum\")",
      "tensor(0.13081202, dtype=float32)");
  m.def(
      "gaussian_nll_loss",
      [](const Tensor& prediction, const Tensor& target, const Tensor& var, bool full, double eps,
         const std::string& reduction) {
        return nn::gaussian_nll_loss(prediction, target, var, full, eps, reduction_from_name(reduction));
      },
      py::arg("prediction"), py::arg("target"), py::arg("var"), py::arg("full") = false,
      py::arg("eps") = 1e-6, py::arg("reduction") = "mean",
      "(log(var) + (p - t)^2 / var) / 2, with var held at eps or above; `full` adds log(2 pi) / 2. The "
      "variances broadcast\nto the predictions or lack their last axis; a negative one is a ValueError.");
  example("_training.gaussian_nll_loss",
          "td.nn.functional.gaussian_nll_loss(td.tensor([0.0]), td.tensor([1.0]), td.tensor([1.0]))",
          "tensor(0.5, dtype=float32)");
  m.def(
      "poisson_nll_loss",
      [](const Tensor& x, const Tensor& target, bool log_input, bool full, double eps,
         const std::string& reduction) {
        return nn::poisson_nll_loss(x, target, log_input, full, eps, reduction_from_name(reduction));
      },
      py::arg("x"), py::arg("target"), py::arg("log_input") = true, py::arg("full") = false,
      py::arg("eps") = 1e-8, py::arg("reduction") = "mean",
      "exp(x) - t x, or without log_input x - t log(x + eps); `full` adds Stirling's log(t!) where t > 1.");
  example("_training.poisson_nll_loss",
          "td.nn.functional.poisson_nll_loss(td.tensor([0.0]), td.tensor([2.0]))",
          "tensor(1., dtype=float32)");
}

void bind_margins(py::module_& m) {
  m.def(
      "multi_margin_loss",
      [](const Tensor& scores, const Tensor& targets, int64_t p, double margin, const OptionalTensor& weight,
         const std::string& reduction) {
        return nn::multi_margin_loss(scores, targets, p, margin, weight.value_or(Tensor()),
                                     reduction_from_name(reduction));
      },
      py::arg("scores"), py::arg("targets"), py::arg("p") = 1, py::arg("margin") = 1.0,
      py::arg("weight") = py::none(), py::arg("reduction") = "mean",
      "The sum over the other classes c of weight[t] max(0, margin - x[t] + x[c])^p / C, p 1 or 2, of scores "
      "x (N, C) or\n(C) and class indices t.");
  example("_training.multi_margin_loss",
          "td.nn.functional.multi_margin_loss(td.tensor([[1.0, 0.5]]), td.tensor([0]))",
          "tensor(0.25, dtype=float32)");
  const auto plain = [&](const char* name, Tensor (*loss)(const Tensor&, const Tensor&, nn::Reduction),
                         const char* doc) {
    m.def(
        name,
        [loss](const Tensor& x, const Tensor& target, const std::string& reduction) {
          return loss(x, target, reduction_from_name(reduction));
        },
        py::arg("x"), py::arg("target"), py::arg("reduction") = "mean", doc);
  };
  plain(
      "multilabel_margin_loss", nn::multilabel_margin_loss,
      "The sum over target classes t and others c of max(0, 1 - x[t] + x[c]) / C; rows of targets, shaped as "
      "the scores\n(N, C) or (C), list class indices up to the first that is negative.");
  example("_training.multilabel_margin_loss",
          "td.nn.functional.multilabel_margin_loss(td.tensor([[0.5, 0.0, 1.0]]), td.tensor([[2, -1, 0]]))",
          "tensor(0.16666667, dtype=float32)");
  plain("soft_margin_loss", nn::soft_margin_loss, "log(1 + exp(-t x)) of targets t, 1 or -1.");
  example("_training.soft_margin_loss", "td.nn.functional.soft_margin_loss(td.tensor([0.0]), td.tensor([1]))",
          "tensor(0.6931472, dtype=float32)");
  m.def(
      "multilabel_soft_margin_loss",
      [](const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
         const std::string& reduction) {
        return nn::multilabel_soft_margin_loss(logits, targets, weight.value_or(Tensor()),
                                               reduction_from_name(reduction));
      },
      py::arg("logits"), py::arg("targets"), py::arg("weight") = py::none(), py::arg("reduction") = "mean",
      "The mean over the last axis of binary_cross_entropy_with_logits.");
  example("_training.multilabel_soft_margin_loss",
          "td.nn.functional.multilabel_soft_margin_loss(td.tensor([[0.0, 0.0]]), td.tensor([[1.0, 0.0]]))",
          "tensor(0.6931472, dtype=float32)");
  m.def(
      "hinge_embedding_loss",
      [](const Tensor& x, const Tensor& target, double margin, const std::string& reduction) {
        return nn::hinge_embedding_loss(x, target, margin, reduction_from_name(reduction));
      },
      py::arg("x"), py::arg("target"), py::arg("margin") = 1.0, py::arg("reduction") = "mean",
      "x where the target is 1, max(0, margin - x) where it is -1.");
  example("_training.hinge_embedding_loss",
          "td.nn.functional.hinge_embedding_loss(td.tensor([0.5, 0.5]), td.tensor([1, -1]))",
          "tensor(0.5, dtype=float32)");
  m.def(
      "margin_ranking_loss",
      [](const Tensor& x1, const Tensor& x2, const Tensor& target, double margin,
         const std::string& reduction) {
        return nn::margin_ranking_loss(x1, x2, target, margin, reduction_from_name(reduction));
      },
      py::arg("x1"), py::arg("x2"), py::arg("target"), py::arg("margin") = 0.0, py::arg("reduction") = "mean",
      "max(0, margin - t (x1 - x2)) of targets t, 1 or -1.");
  example("_training.margin_ranking_loss",
          "td.nn.functional.margin_ranking_loss(td.tensor([1.0]), td.tensor([2.0]), td.tensor([1]))",
          "tensor(1., dtype=float32)");
}

void bind_distances(py::module_& m) {
  m.def("pairwise_distance", nn::pairwise_distance, py::arg("x1"), py::arg("x2"), py::arg("p") = 2.0,
        py::arg("eps") = 1e-6, py::arg("keepdims") = false,
        "The p-norm along the last axis of x1 - x2 + eps.");
  example("_training.pairwise_distance",
          "td.nn.functional.pairwise_distance(td.tensor([[0.0, 0.0]]), td.tensor([[3.0, 4.0]]))",
          "tensor([4.999999], dtype=float32)");
  m.def("cosine_similarity", nn::cosine_similarity, py::arg("x1"), py::arg("x2"), py::arg("axis") = 1,
        py::arg("eps") = 1e-8,
        "The cosine of the angle between x1 and x2 along the axis; norms are held at eps or above.");
  example("_training.cosine_similarity",
          "td.nn.functional.cosine_similarity(td.tensor([[1.0, 0.0]]), td.tensor([[1.0, 1.0]]))",
          "tensor([0.70710677], dtype=float32)");
  m.def("normalize", nn::normalize, py::arg("x"), py::arg("p") = 2.0, py::arg("axis") = 1,
        py::arg("eps") = 1e-12, "x divided by its p-norm along the axis, held at eps or above.");
  example("_training.normalize", "td.nn.functional.normalize(td.tensor([[3.0, 4.0]]))",
          "tensor([[0.6, 0.8]], dtype=float32)");
  m.def(
      "cosine_embedding_loss",
      [](const Tensor& x1, const Tensor& x2, const Tensor& target, double margin,
         const std::string& reduction) {
        return nn::cosine_embedding_loss(x1, x2, target, margin, reduction_from_name(reduction));
      },
      py::arg("x1"), py::arg("x2"), py::arg("target"), py::arg("margin") = 0.0, py::arg("reduction") = "mean",
      "1 - cosine where the target is 1, max(0, cosine - margin) where it is -1, along the last axis.");
  example("_training.cosine_embedding_loss",
          "td.nn.functional.cosine_embedding_loss(td.tensor([[1.0, 0.0]]), td.tensor([[0.0, 1.0]]), "
          "td.tensor([1]))",
          "tensor(1., dtype=float32)");
  m.def(
      "ctc_loss",
      [](const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
         const Tensor& target_lengths, int64_t blank, const std::string& reduction, bool zero_infinity) {
        return nn::ctc_loss(log_probs, targets, input_lengths, target_lengths,
                            {blank, nn::reduction_from_name(reduction), zero_infinity});
      },
      py::arg("log_probs"), py::arg("targets"), py::arg("input_lengths"), py::arg("target_lengths"),
      py::arg("blank") = 0, py::arg("reduction") = "mean", py::arg("zero_infinity") = false,
      "-log of the probability of all paths that spell a target, a path being a class for each step, of "
      "which "
      "repeated\nones count once and blanks not at all: log_probs (T, N, C) or (T, C), targets (N, S) or all "
      "in one "
      "vector, lengths (N).\nThe mean divides each loss by the length of its target. zero_infinity: the loss "
      "of a "
      "target that no path spells is 0.");
  m.def(
      "triplet_margin_loss",
      [](const Tensor& anchor, const Tensor& positive, const Tensor& negative, double margin, double p,
         double eps, bool swap, const std::string& reduction) {
        return nn::triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap,
                                       reduction_from_name(reduction));
      },
      py::arg("anchor"), py::arg("positive"), py::arg("negative"), py::arg("margin") = 1.0,
      py::arg("p") = 2.0, py::arg("eps") = 1e-6, py::arg("swap") = false, py::arg("reduction") = "mean",
      "max(0, margin + d(anchor, positive) - d(anchor, negative)), d being pairwise_distance; with `swap` "
      "the "
      "negative is\nat its distance from the positive where that is less.");
  example("_training.triplet_margin_loss",
          "td.nn.functional.triplet_margin_loss(td.tensor([[0.0]]), td.tensor([[1.0]]), td.tensor([[3.0]]))",
          "tensor(0., dtype=float32)");
}

void bind_losses(py::module_& m) {
  m.def(
      "cross_entropy",
      [](const Tensor& logits, const Tensor& targets, const std::string& reduction, double label_smoothing,
         std::optional<int64_t> ignore_index, const OptionalTensor& weight) {
        return nn::cross_entropy(logits, targets, reduction_from_name(reduction), label_smoothing,
                                 ignore_index, weight.value_or(Tensor()));
      },
      py::arg("logits"), py::arg("targets"), py::arg("reduction") = "mean", py::arg("label_smoothing") = 0.0,
      py::arg("ignore_index") = -100, py::arg("weight") = py::none(),
      R"(The cross-entropy of softmax(logits) with targets. The class axis is the last of logits (N, C) or (C), and the
second of (N, C, d1, ..). Targets are

- class indices, integers of the shape of the logits without the class axis: -log_softmax(logits)[target]. Where
  the target is `ignore_index` the loss is 0, and the mean is taken over the others;
- or probabilities, floating-point of the logits' shape: -sum_c target_c log_softmax(logits)_c.

`label_smoothing` e mixes the targets with the uniform distribution: (1 - e) target + e / C. `weight`, one number
for each class, multiplies what that class contributes; the mean over class indices then divides by the weights of
the targets. `reduction` is "mean", "sum" or "none". ShapeError where shapes do not fit, IndexError for a class index out of range.)");
  example("_training.cross_entropy",
          "td.nn.functional.cross_entropy(td.tensor([[2.0, 0.0], [0.0, 1.0]]), td.tensor([0, 1]))",
          "tensor(0.22009486, dtype=float32)");
  m.def(
      "nll_loss",
      [](const Tensor& log_probabilities, const Tensor& targets, const std::string& reduction,
         std::optional<int64_t> ignore_index, const OptionalTensor& weight) {
        return nn::nll_loss(log_probabilities, targets, reduction_from_name(reduction), ignore_index,
                            weight.value_or(Tensor()));
      },
      py::arg("log_probabilities"), py::arg("targets"), py::arg("reduction") = "mean",
      py::arg("ignore_index") = -100, py::arg("weight") = py::none(),
      "-weight[target] log_probabilities[target] along the class axis: cross_entropy for what log_softmax "
      "gave.");
  example("_training.nll_loss", "td.nn.functional.nll_loss(td.log(td.tensor([[0.5, 0.5]])), td.tensor([1]))",
          "tensor(0.6931472, dtype=float32)");
  m.def(
      "binary_cross_entropy",
      [](const Tensor& probabilities, const Tensor& targets, const std::string& reduction,
         const OptionalTensor& weight) {
        return nn::binary_cross_entropy(probabilities, targets, reduction_from_name(reduction),
                                        weight.value_or(Tensor()));
      },
      py::arg("probabilities"), py::arg("targets"), py::arg("reduction") = "mean",
      py::arg("weight") = py::none(),
      "-(t log(p) + (1 - t) log(1 - p)) of probabilities p and targets t of one shape, the logarithms held "
      "at -100 or above.\n`weight` multiplies the losses, to whose shape it broadcasts.");
  example("_training.binary_cross_entropy",
          "td.nn.functional.binary_cross_entropy(td.tensor([0.5, 0.5]), td.tensor([1.0, 0.0]))",
          "tensor(0.6931472, dtype=float32)");
  m.def(
      "binary_cross_entropy_with_logits",
      [](const Tensor& logits, const Tensor& targets, const std::string& reduction,
         const OptionalTensor& pos_weight, const OptionalTensor& weight) {
        return nn::binary_cross_entropy_with_logits(logits, targets, reduction_from_name(reduction),
                                                    pos_weight.value_or(Tensor()), weight.value_or(Tensor()));
      },
      py::arg("logits"), py::arg("targets"), py::arg("reduction") = "mean",
      py::arg("pos_weight") = py::none(), py::arg("weight") = py::none(),
      "binary_cross_entropy of sigmoid(logits), without overflow or cancellation: w t softplus(-x) + (1 - t) "
      "softplus(x).\n`pos_weight` w broadcasts to the logits' shape; left out, it is 1. `weight` multiplies "
      "the "
      "losses.");
  example("_training.binary_cross_entropy_with_logits",
          "td.nn.functional.binary_cross_entropy_with_logits(td.tensor([0.0, 0.0]), td.tensor([1.0, 0.0]))",
          "tensor(0.6931472, dtype=float32)");
  const auto regression = [&](const char* name, Tensor (*loss)(const Tensor&, const Tensor&, nn::Reduction),
                              const char* doc) {
    m.def(
        name,
        [loss](const Tensor& prediction, const Tensor& target, const std::string& reduction) {
          return loss(prediction, target, reduction_from_name(reduction));
        },
        py::arg("prediction"), py::arg("target"), py::arg("reduction") = "mean", doc);
  };
  regression("mse_loss", nn::mse_loss, "(p - t)^2 of predictions and targets of one shape.");
  example("_training.mse_loss", "td.nn.functional.mse_loss(td.tensor([1.0, 2.0]), td.tensor([1.0, 4.0]))",
          "tensor(2., dtype=float32)");
  regression("l1_loss", nn::l1_loss, "|p - t| of predictions and targets of one shape.");
  example("_training.l1_loss", "td.nn.functional.l1_loss(td.tensor([1.0, 2.0]), td.tensor([1.5, 2.0]))",
          "tensor(0.25, dtype=float32)");
  m.def(
      "huber_loss",
      [](const Tensor& prediction, const Tensor& target, double delta, const std::string& reduction) {
        return nn::huber_loss(prediction, target, delta, reduction_from_name(reduction));
      },
      py::arg("prediction"), py::arg("target"), py::arg("delta") = 1.0, py::arg("reduction") = "mean",
      "d^2 / 2 where d = |p - t| is at most delta, else delta (d - delta / 2); p and t have one shape.");
  example("_training.huber_loss", "td.nn.functional.huber_loss(td.tensor([0.0, 3.0]), td.tensor([1.0, 0.0]))",
          "tensor(1.5, dtype=float32)");
  m.def(
      "smooth_l1_loss",
      [](const Tensor& prediction, const Tensor& target, const std::string& reduction, double beta) {
        return nn::smooth_l1_loss(prediction, target, beta, reduction_from_name(reduction));
      },
      py::arg("prediction"), py::arg("target"), py::arg("reduction") = "mean", py::arg("beta") = 1.0,
      "d^2 / (2 beta) where d = |p - t| is below beta, else d - beta / 2; l1_loss where beta is 0.");
  example("_training.smooth_l1_loss",
          "td.nn.functional.smooth_l1_loss(td.tensor([0.0, 3.0]), td.tensor([1.0, 0.0]))",
          "tensor(1.5, dtype=float32)");
  bind_likelihoods(m);
  bind_margins(m);
  bind_distances(m);
}

// A number for both of two axes, or one for each.
std::pair<int64_t, int64_t> pair(const char* op, const char* what, const Dims& given) {
  if (given.size() < 1 || given.size() > 2)
    fail<ValueError>("[", op, "] ", what, " is a number or two, not ", given);
  return {given[0], given.back()};
}

nn::Windows windows(const char* op, const Dims& kernel, const Dims& dilation, const Dims& padding,
                    const Dims& stride) {
  const auto [k0, k1] = pair(op, "kernel_size", kernel);
  const auto [d0, d1] = pair(op, "dilation", dilation);
  const auto [p0, p1] = pair(op, "padding", padding);
  const auto [s0, s1] = pair(op, "stride", stride);
  return {{k0, k1}, {d0, d1}, {p0, p1}, {s0, s1}};
}

void bind_recurrence(py::module_& m) {
  const auto weights_of = [](const Tensor& weight_ih, const Tensor& weight_hh, const OptionalTensor& bias_ih,
                             const OptionalTensor& bias_hh, const OptionalTensor& weight_hr) {
    return nn::RecurrentWeights{weight_ih, weight_hh, bias_ih.value_or(Tensor()), bias_hh.value_or(Tensor()),
                                weight_hr.value_or(Tensor())};
  };
  m.def(
      "recurrent_step",
      [weights_of](const std::string& kind, const Tensor& x, const Tensors& state, const Tensor& weight_ih,
                   const Tensor& weight_hh, const OptionalTensor& bias_ih, const OptionalTensor& bias_hh) {
        return nn::recurrent_step(nn::recurrence_from_name(kind), x, state,
                                  weights_of(weight_ih, weight_hh, bias_ih, bias_hh, {}));
      },
      py::arg("kind"), py::arg("x"), py::arg("state"), py::arg("weight_ih"), py::arg("weight_hh"),
      py::arg("bias_ih"), py::arg("bias_hh"), "The next state.");
  m.def(
      "recurrent",
      [weights_of](const std::string& kind, const Tensor& x, const Tensors& state, const Tensor& weight_ih,
                   const Tensor& weight_hh, const OptionalTensor& bias_ih, const OptionalTensor& bias_hh,
                   const OptionalTensor& weight_hr, bool reverse) {
        const nn::Recurred found =
            nn::recurrent(nn::recurrence_from_name(kind), x, state,
                          weights_of(weight_ih, weight_hh, bias_ih, bias_hh, weight_hr), reverse);
        return std::pair(found.h, found.state);
      },
      py::arg("kind"), py::arg("x"), py::arg("state"), py::arg("weight_ih"), py::arg("weight_hh"),
      py::arg("bias_ih"), py::arg("bias_hh"), py::arg("weight_hr"), py::arg("reverse"),
      "h of every step and the last state.");
}

void bind_layers(py::module_& m) {
  m.def(
      "linear",
      [](const Tensor& x, const Tensor& weight, const OptionalTensor& bias) {
        return linear(x, weight, bias.value_or(Tensor()));
      },
      py::arg("x"), py::arg("weight"), py::arg("bias") = py::none(),
      "x @ weight^T + bias, the weight of shape (outputs, inputs), the bias of (outputs) or None.");
  example("_training.linear",
          "td.nn.functional.linear(td.tensor([[1.0, 2.0]]), td.tensor([[3.0, 4.0]]), td.tensor([0.5]))",
          "tensor([[11.5]], dtype=float32)");
  m.def("dropout", &nn::dropout, py::arg("x"), py::arg("p"), py::arg("key"), py::arg("training") = true,
        "In training, each element is 0 with probability p, else x / (1 - p); otherwise x itself.");
  example("_training.dropout", "td.nn.functional.dropout(td.ones(4), 0.5, td.random.key(0), training=False)",
          "tensor([1., 1., 1., 1.], dtype=float32)");
  m.def(
      "attention",
      [](const Tensor& query, const Tensor& key, const Tensor& value, const OptionalTensor& mask, bool causal,
         std::optional<double> scale) {
        return scaled_dot_product_attention(query, key, value, mask.value_or(Tensor()), causal, scale);
      },
      py::arg("query"), py::arg("key"), py::arg("value"), py::arg("mask"), py::arg("causal"),
      py::arg("scale"), "softmax(scale query key^T + mask) value, without a matrix of weights.");
  m.def(
      "attention_weights",
      [](const Tensor& query, const Tensor& key, const OptionalTensor& mask, bool causal,
         std::optional<double> scale) {
        return nn::attention_weights(query, key, mask.value_or(Tensor()), causal, scale);
      },
      py::arg("query"), py::arg("key"), py::arg("mask") = py::none(), py::arg("causal") = false,
      py::arg("scale") = py::none(), "softmax(scale query key^T + mask), in float32 or float64.");
  m.def(
      "layer_norm",
      [](const Tensor& x, const Shape& shape, const OptionalTensor& weight, const OptionalTensor& bias,
         double eps) {
        return nn::layer_norm(x, shape, weight.value_or(Tensor()), bias.value_or(Tensor()), eps);
      },
      py::arg("x"), py::arg("shape"), py::arg("weight") = py::none(), py::arg("bias") = py::none(),
      py::arg("eps") = 1e-5,
      "(x - mean) / sqrt(var + eps) * weight + bias over the trailing axes, which have `shape`; the variance "
      "is the biased one.");
  example("_training.layer_norm", "td.nn.functional.layer_norm(td.tensor([[1.0, 3.0]]), (2,))",
          "tensor([[-0.999995,  0.999995]], dtype=float32)");
  m.def(
      "rms_norm",
      [](const Tensor& x, const Shape& shape, const OptionalTensor& weight, double eps) {
        return nn::rms_norm(x, shape, weight.value_or(Tensor()), eps);
      },
      py::arg("x"), py::arg("shape"), py::arg("weight") = py::none(), py::arg("eps") = 1e-5,
      "x / sqrt(mean(x^2) + eps) * weight over the trailing axes, which have `shape`.");
  example("_training.rms_norm", "td.nn.functional.rms_norm(td.tensor([[3.0, 4.0]]), (2,))",
          "tensor([[0.8485278, 1.1313704]], dtype=float32)");
  m.def(
      "bilinear",
      [](const Tensor& x1, const Tensor& x2, const Tensor& weight, const OptionalTensor& bias) {
        return nn::bilinear(x1, x2, weight, bias.value_or(Tensor()));
      },
      py::arg("x1"), py::arg("x2"), py::arg("weight"), py::arg("bias") = py::none(),
      "The sum of x1[.., i] weight[o, i, j] x2[.., j] over i and j, + bias[o]: (.., outputs).");
  example("_training.bilinear",
          "td.nn.functional.bilinear(td.ones((1, 2)), td.ones((1, 3)), td.ones((4, 2, 3)))",
          "tensor([[6., 6., 6., 6.]], dtype=float32)");
  const auto dilation = py::arg_v("dilation", Dims{1}, "1"), padding = py::arg_v("padding", Dims{0}, "0"),
             stride = py::arg_v("stride", Dims{1}, "1");
  m.def(
      "unfold",
      [](const Tensor& x, const Dims& kernel, const Dims& dilation, const Dims& padding, const Dims& stride) {
        return nn::unfold(x, windows("unfold", kernel, dilation, padding, stride));
      },
      py::arg("x"), py::arg("kernel_size"), dilation, padding, stride,
      "The windows of x (.., channels, height, width) as columns: (.., channels * kernel, windows).");
  example("_training.unfold", "td.nn.functional.unfold(td.ones((1, 1, 3, 3)), 2).shape", "(1, 4, 4)");
  m.def(
      "fold",
      [](const Tensor& x, const Dims& size, const Dims& kernel, const Dims& dilation, const Dims& padding,
         const Dims& stride) {
        const auto [height, width] = pair("fold", "output_size", size);
        return nn::fold(x, height, width, windows("fold", kernel, dilation, padding, stride));
      },
      py::arg("x"), py::arg("output_size"), py::arg("kernel_size"), dilation, padding, stride,
      "Columns as unfold gives them, added up where they came from: (.., channels, height, width).");
  example("_training.fold", "td.nn.functional.fold(td.ones((1, 4, 4)), (3, 3), (2, 2))",
          "tensor([[[[1., 2., 1.],\n"
          "          [2., 4., 2.],\n"
          "          [1., 2., 1.]]]], dtype=float32)");
  m.def(
      "grid_sample",
      [](const Tensor& x, const Tensor& grid, const std::string& mode, const std::string& padding_mode,
         bool align_corners) {
        return nn::grid_sample(
            x, grid,
            {nn::grid_mode_from_name(mode), nn::grid_padding_from_name(padding_mode), align_corners});
      },
      py::arg("x"), py::arg("grid"), py::arg("mode") = "bilinear", py::arg("padding_mode") = "zeros",
      py::arg("align_corners") = false,
      "x (N, C, H, W) at places grid (N, h, w, 2), column and row in [-1, 1], or x (N, C, D, H, W) at (N, d, "
      "h, w, "
      "3):\n(N, C, h, w). -1 and 1 are the outer edges or, with align_corners, the middles of the first and "
      "the "
      "last element.\nmode is 'bilinear', 'nearest' or 'bicubic' (4 axes); beyond the image are 'zeros', its "
      "'border' or its 'reflection'.");
  example("_training.grid_sample",
          "td.nn.functional.grid_sample(td.tensor([[[[1.0, 3.0]]]]), td.tensor([[[[0.0, 0.0]]]]))",
          "tensor([[[[2.]]]], dtype=float32)");
  m.def("affine_grid", &nn::affine_grid, py::arg("theta"), py::arg("size"), py::arg("align_corners") = false,
        "The grid (N, H, W, 2) of affine maps theta (N, 2, 3) for images of size (N, C, H, W), as "
        "grid_sample takes "
        "it;\nor (N, D, H, W, 3) of theta (N, 3, 4).");
  example("_training.affine_grid",
          "td.nn.functional.affine_grid(td.tensor([[[1.0, 0, 0], [0, 1, 0]]]), (1, 1, 1, 2))",
          "tensor([[[[-0.5,  0. ],\n"
          "          [ 0.5,  0. ]]]], dtype=float32)");
  m.def("embedding", &nn::embedding, py::arg("indices"), py::arg("weight"),
        "Rows of weight (count, size) at integer indices of any shape: indices.shape + (size,).");
  example("_training.embedding",
          "td.nn.functional.embedding(td.tensor([2, 0]), td.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]))",
          "tensor([[4., 5.],\n"
          "        [0., 1.]], dtype=float32)");
}

nn::Fan fan_from_name(const std::string& name) {
  if (name == "fan_in") return nn::Fan::in;
  if (name == "fan_out") return nn::Fan::out;
  fail<ValueError>("[init] mode must be 'fan_in' or 'fan_out', not '", name, "'");
}

void bind_initialisers(py::module_& m) {
  const auto xavier = [&](const char* name, auto make, const char* doc) {
    m.def(name, make, py::arg("key"), py::arg("shape"), py::arg("gain") = 1.0,
          py::arg_v("dtype", kDefaultFloat, "'float32'"), doc);
  };
  const auto kaiming = [&](const char* name, auto make, const char* doc) {
    m.def(
        name,
        [make](const Tensor& key, const Shape& shape, double gain, const std::string& mode, DType dtype) {
          return make(key, shape, gain, fan_from_name(mode), dtype);
        },
        py::arg("key"), py::arg("shape"), py::arg("gain") = nn::kReluGain, py::arg("mode") = "fan_in",
        py::arg_v("dtype", kDefaultFloat, "'float32'"), doc);
  };
  xavier("xavier_uniform", &nn::xavier_uniform,
         "Uniform in [-a, a) with a = gain sqrt(6 / (fan_in + fan_out)) for a weight (outputs, inputs, ..).");
  example("_training.xavier_uniform",
          "bool(td.all(td.abs(td.nn.init.xavier_uniform(td.random.key(0), (3, 3))) <= 1))", "True");
  xavier(
      "xavier_normal", &nn::xavier_normal,
      "Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)) for a weight (outputs, inputs, ..).");
  example("_training.xavier_normal", "td.nn.init.xavier_normal(td.random.key(0), (3, 2)).shape", "(3, 2)");
  kaiming(
      "kaiming_uniform", &nn::kaiming_uniform,
      "Uniform in [-a, a) with a = gain sqrt(3 / fan); the default gain, sqrt(2), is that of relu. `mode` "
      "is \"fan_in\" or \"fan_out\".");
  example("_training.kaiming_uniform", "td.nn.init.kaiming_uniform(td.random.key(0), (3, 2)).shape",
          "(3, 2)");
  kaiming(
      "kaiming_normal", &nn::kaiming_normal,
      "Normal with standard deviation gain / sqrt(fan); the default gain, sqrt(2), is that of relu. `mode` "
      "is \"fan_in\" or \"fan_out\".");
  example("_training.kaiming_normal", "td.nn.init.kaiming_normal(td.random.key(0), (3, 2)).shape", "(3, 2)");
}

// The updates overwrite leaves that require grad, of which no derivative may know.
void update(const Primitive& primitive, const Tensors& state, const Tensors& gradients, const Attrs& attrs,
            const py::object& clock) {
  check_gradients(gradients);
  const GradMode off(false);
  apply_update(primitive, state, gradients, attrs, clock.is_none() ? Tensor() : clock.cast<Tensor>());
}

// The options of a group of parameters but lr, which formulas are given apart.
class ParamGroup {
 public:
  explicit ParamGroup(const py::dict& options) : options_(options) {}
  template <class T = double> T at(const char* name) const { return py::cast<T>(options_[name]); }
  double beta(size_t i) const { return at<std::array<double, 2>>("betas")[i]; }

 private:
  const py::dict& options_;
};

// name(group, lr, t, p, g, *slots): the parameter and the slots after a step.
void bind_formula(py::module_& m, const char* name,
                  const std::function<Tensors(const ParamGroup& group, const optim::Advance& at)>& advanced) {
  m.def(name, [advanced](const py::dict& group, const Tensor& lr, const Tensor& t, const Tensor& p,
                         const Tensor& g, const py::args& slots) {
    return to_list(advanced(ParamGroup(group), {lr, t, p, g, to_tensors(slots)}));
  });
}

void bind_formulas(py::module_& m) {
  using optim::Advance;
  bind_formula(m, "sgd_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(optim::SGDOptions{.momentum = group.at("momentum"),
                                             .weight_decay = group.at("weight_decay"),
                                             .nesterov = group.at<bool>("nesterov")},
                           at);
  });
  for (const bool decoupled : {false, true}) {
    bind_formula(m, decoupled ? "adamw_formula" : "adam_formula",
                 [decoupled](const ParamGroup& group, const Advance& at) {
                   return optim::advanced(optim::AdamOptions{.beta1 = group.beta(0),
                                                             .beta2 = group.beta(1),
                                                             .eps = group.at("eps"),
                                                             .weight_decay = group.at("weight_decay")},
                                          at, decoupled);
                 });
  }
  bind_formula(m, "rmsprop_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(optim::RMSpropOptions{.alpha = group.at("alpha"),
                                                 .eps = group.at("eps"),
                                                 .weight_decay = group.at("weight_decay"),
                                                 .momentum = group.at("momentum")},
                           at);
  });
  bind_formula(m, "adagrad_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(optim::AdagradOptions{.lr_decay = group.at("lr_decay"),
                                                 .weight_decay = group.at("weight_decay"),
                                                 .eps = group.at("eps")},
                           at);
  });
  bind_formula(m, "adadelta_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(
        optim::AdadeltaOptions{
            .rho = group.at("rho"), .eps = group.at("eps"), .weight_decay = group.at("weight_decay")},
        at);
  });
  bind_formula(m, "adamax_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(optim::AdamaxOptions{.beta1 = group.beta(0),
                                                .beta2 = group.beta(1),
                                                .eps = group.at("eps"),
                                                .weight_decay = group.at("weight_decay")},
                           at);
  });
  bind_formula(m, "nadam_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(
        optim::NAdamOptions{.beta1 = group.beta(0),
                            .beta2 = group.beta(1),
                            .eps = group.at("eps"),
                            .weight_decay = group.at("weight_decay"),
                            .momentum_decay = group.at("momentum_decay"),
                            .decoupled_weight_decay = group.at<bool>("decoupled_weight_decay")},
        at);
  });
  bind_formula(m, "radam_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(
        optim::RAdamOptions{.beta1 = group.beta(0),
                            .beta2 = group.beta(1),
                            .eps = group.at("eps"),
                            .weight_decay = group.at("weight_decay"),
                            .decoupled_weight_decay = group.at<bool>("decoupled_weight_decay")},
        at);
  });
  bind_formula(m, "lion_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(
        optim::LionOptions{
            .beta1 = group.beta(0), .beta2 = group.beta(1), .weight_decay = group.at("weight_decay")},
        at);
  });
  bind_formula(m, "muon_formula", [](const ParamGroup& group, const Advance& at) {
    return optim::advanced(
        optim::MuonOptions{
            .weight_decay = group.at("weight_decay"),
            .momentum = group.at("momentum"),
            .nesterov = group.at<bool>("nesterov"),
            .ns_coefficients = group.at<std::array<double, 3>>("ns_coefficients"),
            .eps = group.at("eps"),
            .ns_steps = group.at<int64_t>("ns_steps"),
            .match_rms_adamw = group.at<std::optional<std::string>>("adjust_lr_fn") == "match_rms_adamw"},
        at);
  });
  m.def("orthogonalize", [](const Tensor& matrix, int64_t steps, double a, double b, double c, double eps) {
    return optim::orthogonalize(matrix, steps, {a, b, c}, eps);
  });
}

void bind_updates(py::module_& m) {
  m.def("sgd_update", [](const Tensors& state, const Tensors& gradients, double lr, double momentum,
                         double weight_decay, bool nesterov, bool first, const py::object& clock) {
    update(primitives::sgd_update, state, gradients,
           SgdAttrs{static_cast<int>(gradients.size()), lr, momentum, weight_decay, nesterov, first,
                    !clock.is_none()},
           clock);
  });
  m.def("adam_update",
        [](const Tensors& state, const Tensors& gradients, double lr, double beta1, double beta2, double eps,
           double weight_decay, bool decoupled, int64_t step, const py::object& clock) {
          update(primitives::adam_update, state, gradients,
                 AdamAttrs{static_cast<int>(gradients.size()), lr, beta1, beta2, eps, weight_decay, decoupled,
                           step, !clock.is_none()},
                 clock);
        });
  m.def("rmsprop_update", [](const Tensors& state, const Tensors& gradients, double lr, double alpha,
                             double eps, double weight_decay, double momentum, const py::object& clock) {
    update(primitives::rmsprop_update, state, gradients,
           RmspropAttrs{static_cast<int>(gradients.size()), lr, alpha, eps, weight_decay, momentum,
                        !clock.is_none()},
           clock);
  });
  m.def("check_gradients", &check_gradients);
  bind_formulas(m);
  m.def("new_clock", [](int64_t count) { return filled_by_hooks({count, 4}); });
  m.def("set_clock",
        [](const Tensor& clock, double lr, const std::vector<int64_t>& steps, double beta1, double beta2) {
          auto* const rows = static_cast<ClockRow*>(clock.raw_data());
          for (size_t i = 0; i < steps.size(); ++i) rows[i] = clock_row(lr, steps[i], beta1, beta2);
        });
}

void bind_clipping(py::module_& m) {
  const auto tensors_of = [](const py::object& params) {
    if (is_tensor(params.ptr())) return Tensors{tensor_of(params.ptr())};
    const py::list all =
        py::isinstance<py::iterable>(params) ? py::list(params) : py::list(py::make_tuple(params));
    return read<Tensors>(all, "clip_grad", "parameters");
  };
  m.def(
      "clip_grad_norm_",
      [tensors_of](const py::object& params, double max_norm) {
        return optim::clip_grad_norm(tensors_of(params), max_norm);
      },
      py::arg("params"), py::arg("max_norm"),
      "Scales the gradients by min(1, max_norm / (norm + 1e-6)), where norm is the Euclidean norm of all of "
      "them "
      "together, and returns the norm.");
  example("_training.clip_grad_norm_",
          "p = td.zeros(2, requires_grad=True)\n"
          "(p * td.tensor([3.0, 4.0])).sum().backward()\n"
          "td.optim.clip_grad_norm_([p], 1.0)",
          "tensor(5., dtype=float32)");
  m.def(
      "clip_grad_value_",
      [tensors_of](const py::object& params, double max_value) {
        optim::clip_grad_value(tensors_of(params), max_value);
      },
      py::arg("params"), py::arg("max_value"),
      "Holds each element of the gradients in [-max_value, max_value].");
  example("_training.clip_grad_value_",
          "p = td.zeros(2, requires_grad=True)\n"
          "(p * td.tensor([3.0, -4.0])).sum().backward()\n"
          "td.optim.clip_grad_value_([p], 1.0)\n"
          "p.grad",
          "tensor([ 1., -1.], dtype=float32)");
}

constexpr std::pair<const char*, optim::Method> kMethods[] = {
    {"lbfgs", optim::Method::lbfgs},
    {"newton-cg", optim::Method::newton_cg},
    {"gradient-descent", optim::Method::gradient_descent},
    {"gradient-flow", optim::Method::gradient_flow},
};

constexpr std::pair<const char*, optim::LeastSquaresMethod> kLeastSquaresMethods[] = {
    {"lm", optim::LeastSquaresMethod::lm},
    {"gauss-newton", optim::LeastSquaresMethod::gauss_newton},
};

py::tuple fields_of(const optim::Report& report) {
  return py::make_tuple(to_list(report.x), report.value, report.gradient_norm, report.iterations,
                        report.f_evaluations, report.gradient_evaluations, report.hvp_evaluations,
                        report.converged, report.reason);
}

py::tuple fields_of(const optim::LeastSquaresReport& report) {
  return py::make_tuple(to_list(report.x), report.cost, report.gradient_norm, report.iterations,
                        report.f_evaluations, report.jacobian_evaluations, report.curvature_evaluations,
                        report.converged, report.reason, report.residuals, report.jacobian);
}

py::tuple fields_of(const optim::RootReport& report) {
  return py::make_tuple(to_list(report.x), report.values, report.jacobian, report.norm, report.iterations,
                        report.f_evaluations, report.jacobian_evaluations, report.curvature_evaluations,
                        report.converged, report.reason);
}

template <class T> T method_of(const std::string& wanted, const auto& methods) {
  for (const auto& [name, method] : methods) {
    if (name == wanted) return method;
  }
  return {};
}

// A dictionary of options by name; None stands for the default.
class Options {
 public:
  Options(std::string op, py::dict given) : op_(std::move(op)), given_(std::move(given)) {}

  void real(const char* name, auto& place) const {
    if (has(name)) place = py::float_(py::object(given_[name]));
  }
  void integer(const char* name, auto& place) const {
    if (!has(name)) return;
    const py::object value = given_[name];
    if (!PyLong_Check(value.ptr()))
      fail<ValueError>("[", op_, "] ", name, " is ", py::str(value).cast<std::string>(),
                       ", but must be an integer");
    place = value.cast<int64_t>();
  }
  void boolean(const char* name, bool& place) const {
    if (has(name)) place = py::bool_(py::object(given_[name]));
  }
  // Called with the fields of a report.
  template <class Report> void callback(const char* name, std::function<bool(const Report&)>& place) const {
    if (!has(name)) return;
    place = [held = keep(py::object(given_[name]).ptr())](const Report& report) {
      const WithLock locked;
      return call_with(held, py::make_tuple(fields_of(report))).template cast<bool>();
    };
  }

 private:
  bool has(const char* name) const { return given_.contains(name) && !given_[name].is_none(); }

  std::string op_;
  py::dict given_;
};

optim::MinimizeOptions minimize_options(const std::string& op, const std::string& method,
                                        const py::dict& given) {
  optim::MinimizeOptions options{.method = method_of<optim::Method>(method, kMethods)};
  const Options read(op, given);
  read.integer("max_iter", options.max_iter);
  read.integer("history_size", options.history_size);
  read.real("gtol", options.gtol);
  read.real("radius", options.radius);
  read.real("time", options.time);
  read.real("rtol", options.rtol);
  read.real("atol", options.atol);
  read.callback("callback", options.callback);
  return options;
}

optim::LeastSquaresOptions least_squares_options(const std::string& op, const std::string& method,
                                                 const py::dict& given) {
  optim::LeastSquaresOptions options{.method =
                                         method_of<optim::LeastSquaresMethod>(method, kLeastSquaresMethods)};
  const Options read(op, given);
  read.integer("max_iter", options.max_iter);
  read.real("ftol", options.ftol);
  read.real("xtol", options.xtol);
  read.real("gtol", options.gtol);
  read.real("radius", options.radius);
  read.boolean("acceleration", options.acceleration);
  read.callback("callback", options.callback);
  return options;
}

optim::RootOptions root_options(const py::dict& given) {
  optim::RootOptions options;
  const Options read("root", given);
  read.integer("max_iter", options.max_iter);
  read.real("tol", options.tol);
  read.real("radius", options.radius);
  read.callback("callback", options.callback);
  return options;
}

void bind_minimisation(py::module_& m) {
  m.def("minimize", [](const py::function& function, const py::object& x, const std::string& method,
                       const py::dict& options) {
    return fields_of(optim::minimize(as_scalar_function(function), to_tensors(x),
                                     minimize_options("minimize", method, options)));
  });
  m.def("argmin", [](const py::function& function, const py::object& x0, const std::string& method,
                     const py::dict& options, const py::object& tangent_solve) {
    return to_list(implicit::argmin(as_scalar_function(function), to_tensors(x0),
                                    minimize_options("argmin", method, options), as_solver(tangent_solve)));
  });
  m.def("standard_errors", [](const py::function& function, const py::object& x) {
    return to_list(optim::standard_errors(as_scalar_function(function), to_tensors(x)));
  });
  py::class_<optim::Minimizer>(m, "Minimizer")
      .def(py::init([](const py::object& parameters, const std::string& method, const py::dict& options,
                       const std::string& name) {
        return new optim::Minimizer(to_tensors(parameters), minimize_options(name, method, options), name);
      }))
      .def("step",
           [](optim::Minimizer& minimizer, const py::function& closure) {
             return minimizer.step([&, held = keep(closure.ptr())] {
               const WithLock locked;
               const py::object loss = call(held);
               if (is_tensor(loss.ptr())) return tensor_of(loss.ptr());
               throw py::type_error(str("[", minimizer.name(), "] the closure must return the loss, one ",
                                        "element, not ", Py_TYPE(loss.ptr())->tp_name));
             });
           })
      .def_property_readonly("report", [](const optim::Minimizer& m) { return fields_of(m.report()); })
      .def("state", &optim::Minimizer::state)
      .def("load_state", &optim::Minimizer::load_state);
}

void bind_least_squares(py::module_& m) {
  m.def("least_squares", [](const py::function& function, const py::object& x, const std::string& method,
                            const py::dict& options) {
    return fields_of(optim::least_squares(as_function(function), to_tensors(x),
                                          least_squares_options("least_squares", method, options)));
  });
  m.def("root", [](const py::function& function, const py::object& x, const py::dict& options) {
    return fields_of(optim::root(as_function(function), to_tensors(x), root_options(options)));
  });
  m.def("covariance_of", [](const Tensor& residuals, const Tensor& jacobian, const py::object& x) {
    return optim::covariance_of(residuals, jacobian, to_tensors(x));
  });
  m.def("standard_errors_of", [](const Tensor& residuals, const Tensor& jacobian, const py::object& x) {
    return to_list(optim::standard_errors_of(residuals, jacobian, to_tensors(x)));
  });
  m.def("residual_standard_errors", [](const py::function& function, const py::object& x) {
    return to_list(optim::residual_standard_errors(as_function(function), to_tensors(x)));
  });
  py::class_<optim::Fitter>(m, "Fitter")
      .def(py::init([](const py::object& parameters, const std::string& method, const py::dict& options,
                       const std::string& name) {
        return new optim::Fitter(to_tensors(parameters), least_squares_options(name, method, options), name);
      }))
      .def("step",
           [](optim::Fitter& fitter, const py::function& closure) {
             return fitter.step([&, held = keep(closure.ptr())] {
               const WithLock locked;
               return to_tensors(call(held));
             });
           })
      .def_property_readonly("report", [](const optim::Fitter& fitter) { return fields_of(fitter.report()); })
      .def("state", &optim::Fitter::state)
      .def("load_state", &optim::Fitter::load_state);
}

void bind_files(py::module_& m) {
  m.def("save_safetensors", &io::save, py::arg("path"), py::arg("tensors"), py::arg("metadata"));
  m.def("load_safetensors", [](const io::Path& path, Device device) {
    io::Saved saved = io::load(path, device);
    return std::pair(std::move(saved.tensors), std::move(saved.metadata));
  });
}

// A loader whose thread may call Python. Nobody waits for a batch without answering signals, nor for one that
// nobody wants any more.
class Loader {
 public:
  Loader(const data::TensorDataset& dataset, data::LoaderOptions options)
      : loader_(dataset, std::move(options)) {}
  Loader(int64_t size, const py::function& gather, data::LoaderOptions options)
      : loader_(size, as_gather(gather), std::move(options)) {}
  ~Loader() { loader_.abandon(); }

  std::optional<Tensors> next() {
    const WithoutLock unlocked;
    while (!loader_.wait_for(std::chrono::milliseconds(50))) answer_signals();
    return loader_.next();
  }
  void seek(int64_t epoch, int64_t batch) {
    loader_.abandon();
    loader_.seek({epoch, batch});
  }
  int64_t num_batches() const { return loader_.num_batches(); }

 private:
  static data::Gather as_gather(const py::function& gather) {
    return [held = keep(gather.ptr())](const Tensor& indices) {
      const WithLock locked;
      return call_with(held, py::make_tuple(indices)).cast<Tensors>();
    };
  }

  data::DataLoader loader_;
};

void bind_data(py::module_& m) {
  py::class_<data::TensorDataset>(m, "TensorDataset")
      .def(py::init<Tensors>())
      .def("__len__", &data::TensorDataset::size);
  const auto options = [](const Tensor& key, int64_t batch_size, bool shuffle, bool drop_last, int prefetch) {
    data::LoaderOptions result;
    result.batch_size = batch_size;
    result.shuffle = shuffle;
    result.key = key;
    result.drop_last = drop_last;
    result.prefetch = prefetch;
    return result;
  };
  py::class_<Loader>(m, "DataLoader")
      .def(py::init([options](const data::TensorDataset& dataset, const Tensor& key, int64_t batch_size,
                              bool shuffle, bool drop_last, int prefetch) {
        return new Loader(dataset, options(key, batch_size, shuffle, drop_last, prefetch));
      }))
      .def(py::init([options](int64_t size, py::function gather, const Tensor& key, int64_t batch_size,
                              bool shuffle, bool drop_last, int prefetch) {
        return new Loader(size, std::move(gather), options(key, batch_size, shuffle, drop_last, prefetch));
      }))
      .def("__len__", &Loader::num_batches)
      .def("next", &Loader::next)
      .def("seek", &Loader::seek);

  m.attr("FASHION_MNIST_ROOT") = data::FashionMnist::kDefaultRoot;
  m.attr("FASHION_MNIST_CLASSES") = data::FashionMnist::kClasses;
  m.def("fashion_mnist", [](bool train, const io::Path& root) {
    data::FashionMnist half = data::fashion_mnist(train, root);
    return std::pair(half.images, half.labels);
  });
  m.def(
      "read_idx", [](const io::Path& path) { return data::read_idx(path); }, py::arg("path"),
      "The tensor in an IDX file (the format of MNIST), plain or gzipped. A damaged file is an OSError that "
      "says "
      "what is wrong with it.");
  example("_training.read_idx",
          "import pathlib, tempfile\n"
          "path = pathlib.Path(tempfile.mkdtemp(), \"bytes\")\n"
          "_ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 7]))\n"
          "td.data.read_idx(path)",
          "tensor([5, 7], dtype=uint8)");
  py::class_<data::CsvTable>(m, "CsvTable", "What read_csv gives.")
      .def_readonly("values", &data::CsvTable::values, "(rows, columns), without the label column.")
      .def_readonly("columns", &data::CsvTable::columns, "The columns' names; empty without a header.")
      .def_property_readonly(
          "labels",
          [](const data::CsvTable& table) {
            return table.labels.defined() ? std::optional(table.labels) : std::nullopt;
          },
          "(rows); of text labels the positions in `classes`. None without a label column.")
      .def_readonly("classes", &data::CsvTable::classes, "The distinct text labels in alphabetical order.");
  m.def(
      "read_csv",
      [](const io::Path& path, const std::string& delimiter, bool header,
         const std::optional<std::variant<std::string, int64_t>>& label_column, DType dtype) {
        if (delimiter.size() != 1)
          fail<ValueError>("[read_csv] the delimiter must be one character, not '", delimiter, "'");
        data::CsvOptions options;
        options.delimiter = delimiter[0];
        options.header = header;
        options.dtype = dtype;
        if (label_column)
          std::visit([&](const auto& column) { options.label_column = column; }, *label_column);
        return data::read_csv(path, options);
      },
      py::arg("path"), py::arg("delimiter") = ",", py::arg("header") = true,
      py::arg("label_column") = py::none(), py::arg_v("dtype", kDefaultFloat, "'float32'"),
      "A table of numbers from a CSV file, plain or gzipped: an object with `values`, `columns`, `labels` "
      "and "
      "`classes`.\n`label_column`, a name or a position, is held apart. A field that is no number is an "
      "OSError "
      "that names line and column.");
  example("_training.read_csv",
          "import pathlib, tempfile\n"
          "path = pathlib.Path(tempfile.mkdtemp(), \"table.csv\")\n"
          "_ = path.write_text(\"a,b\\n1,2\\n3,4\\n\")\n"
          "td.data.read_csv(path).values",
          "tensor([[1., 2.],\n"
          "        [3., 4.]], dtype=float32)");
}

}  // namespace

void bind_training(py::module_& core) {
  py::module_ m = core.def_submodule("_training", "What tidu.nn, optim, data and io stand on.");
  bind_activations(m);
  bind_losses(m);
  bind_layers(m);
  bind_recurrence(m);
  bind_windows(m);
  bind_initialisers(m);
  bind_updates(m);
  bind_clipping(m);
  bind_minimisation(m);
  bind_least_squares(m);
  bind_data(m);
  bind_files(m);
}

}  // namespace tidu::python
