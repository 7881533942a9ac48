// Connectionist temporal classification.
#include "nn/ctc.h"

#include <limits>

#include "ops/composites.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "transforms/control.h"

namespace tidu::nn {
namespace {

constexpr const char* kOp = "ctc_loss";
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor positions(int64_t count, const Tensor& like) { return arange(count, DType::int64, like.device()); }

Tensor lengths_of(const char* name, const Tensor& lengths, int64_t sequences) {
  if (!is_integral(lengths.dtype()))
    fail<DTypeError>("[", kOp, "] ", name, " must be integers, not ", describe(lengths));
  if (lengths.numel() != sequences || lengths.ndim() > 1)
    fail<ShapeError>("[", kOp, "] ", name, " must be one for each of ", sequences, " sequences, not ",
                     describe(lengths));
  return astype(reshape(lengths, {sequences, 1}), DType::int64);
}

// (N, S), with blanks behind each target.
Tensor padded(const Tensor& targets, const Tensor& lengths, int64_t sequences, int64_t blank) {
  Tensor rows = astype(targets, DType::int64);
  if (targets.ndim() == 1 && sequences != 1) {
    const int64_t longest = sequences == 0 ? 0 : item<int64_t>(max(lengths));
    const Tensor ends = cumsum(flatten(lengths), 0);
    const Tensor first = reshape(ends, {sequences, 1}) - lengths;
    const int64_t last = std::max<int64_t>(targets.numel() - 1, 0);
    const Tensor places = minimum(first + positions(longest, targets), last);
    rows = longest == 0 ? reshape(rows, {sequences, 0}) : take(rows, places, 0);
  } else if (targets.ndim() == 1) {
    rows = expand_dims(rows, 0);
  }
  return where(positions(rows.size(1), rows) < lengths, rows, blank);
}

// alpha, `by` places later; -inf comes in.
Tensor moved(const Tensor& alpha, int64_t by) {
  by = std::min(by, alpha.size(1));
  const Tensor before = full({alpha.size(0), by}, -kInfinity, alpha.dtype(), alpha.device());
  return concat({before, slice_axis(alpha, 1, 0, alpha.size(1) - by)}, 1);
}

}  // namespace

Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, const CtcOptions& options) {
  if (!is_floating(log_probs.dtype()))
    fail<DTypeError>("[", kOp, "] log_probs must be floating-point, not ", describe(log_probs));
  if (log_probs.ndim() != 2 && log_probs.ndim() != 3)
    fail<ShapeError>("[", kOp, "] takes log_probs (T, N, C) or (T, C), not ", describe(log_probs));
  const bool alone = log_probs.ndim() == 2;
  const Tensor x = widened(alone ? expand_dims(log_probs, 1) : log_probs);
  const int64_t steps = x.size(0), sequences = x.size(1), classes = x.size(2);
  if (!is_integral(targets.dtype()))
    fail<DTypeError>("[", kOp, "] targets must be integers, not ", describe(targets));
  if (targets.ndim() != 1 && !(targets.ndim() == 2 && targets.size(0) == sequences))
    fail<ShapeError>("[", kOp, "] takes targets (", sequences, ", S), or all in one vector, not ",
                     describe(targets));
  if (options.blank < 0 || options.blank >= classes)
    fail<ValueError>("[", kOp, "] blank ", options.blank, " is none of ", classes, " classes");
  const Tensor inputs = lengths_of("input_lengths", input_lengths, sequences);
  const Tensor lengths = lengths_of("target_lengths", target_lengths, sequences);
  const Tensor spelt = padded(targets, lengths, sequences, options.blank);

  // Classes with blanks between them: a path stays where it is, goes on by one or, over a blank between two
  // different classes, by two.
  const int64_t length = 2 * spelt.size(1) + 1;
  const Tensor blanks = full_like(spelt, options.blank);
  const Tensor places = concat({reshape(stack({blanks, spelt}, 2), {sequences, length - 1}),
                                full({sequences, 1}, options.blank, DType::int64, spelt.device())},
                               1);
  const Tensor two_before =
      length < 3 ? places : concat({slice_axis(places, 1, 0, 2), slice_axis(places, 1, 0, length - 2)}, 1);
  const Tensor jumps = logical_and(places != options.blank, places != two_before);
  const Tensor emitted = take_along_axis(x, broadcast_to(places, {steps, sequences, length}), 2);
  const Tensor counts = reshape(positions(steps, x), {steps, 1, 1}) < inputs;

  const auto step = [&](const Tensors& at) {
    const Tensor& alpha = at[0];
    const Tensor by_two = where(jumps, moved(alpha, 2), -kInfinity);
    const Tensor next = logaddexp(logaddexp(alpha, moved(alpha, 1)), by_two) + at[1];
    return Tensors{where(at[2], next, alpha)};
  };
  // Before the first step a path stands at the first blank.
  const Tensor start = broadcast_to(where(positions(length, x) == 0, 0.0, -kInfinity), {sequences, length});
  const Tensor alpha = scan(step, {astype(start, x.dtype())}, {emitted, counts}).carry[0];
  const Tensor at_blank = take_along_axis(alpha, 2 * lengths, 1);
  const Tensor at_class = take_along_axis(alpha, maximum(2 * lengths - 1, 0), 1);
  const Tensor total = logaddexp(at_blank, where(lengths > 0, at_class, -kInfinity));
  Tensor losses = -reshape(total, {sequences});
  if (options.zero_infinity) losses = where(losses == kInfinity, 0.0, losses);
  switch (options.reduction) {
    case Reduction::mean:
      losses = mean(losses / astype(maximum(reshape(lengths, {sequences}), 1), losses.dtype()));
      break;
    case Reduction::sum: losses = sum(losses); break;
    case Reduction::none:
      if (alone) losses = select(losses, 0, 0);
      break;
    case Reduction::batchmean: fail<ValueError>("[", kOp, "] reduction is mean, sum or none");
  }
  return astype(losses, log_probs.dtype());
}

}  // namespace tidu::nn
