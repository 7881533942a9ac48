// Connectionist temporal classification.
#pragma once

#include "nn/functional.h"

namespace tidu::nn {

struct CtcOptions {
  int64_t blank = 0;
  Reduction reduction = Reduction::mean;
  bool zero_infinity = false;  // of a target that no path spells
};
// -log of the probability of all paths that spell a target, a path being a class for each step, of which
// repeated ones count once and blanks not at all (Graves et al. 2006). log_probs (T, N, C), or (T, C) of one
// sequence, are what log_softmax gives; targets (N, S) integers, or all of them one after another; lengths
// (N), or numbers of shape (), say how many steps and classes of each count. The mean divides each loss by
// the length of its target. One scan over the steps, differentiated as any other. ShapeError and DTypeError
// where these do not fit, ValueError for a blank that is no class.
Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, const CtcOptions& options = {});

}  // namespace tidu::nn
