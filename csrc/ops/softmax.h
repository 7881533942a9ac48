// Softmax and the cross-entropy built on it, without overflow for any logits.
#pragma once

#include "core/primitive.h"

namespace tidu {

// exp(x) / sum(exp(x)) along an axis; floating-point of x's shape.
Tensor softmax(const Tensor& x, int64_t axis = -1);
// x - logsumexp(x) along an axis.
Tensor log_softmax(const Tensor& x, int64_t axis = -1);
// -log_softmax(logits)[label] along the last axis, in one pass: logits (.., classes) and integer labels (..)
// give losses (..). An out-of-range label is an IndexError.
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels);

namespace primitives {
extern Primitive softmax, log_softmax;        // AxisAttrs
extern Primitive softmax_cross_entropy;       // (logits (.., c), int64 labels (..)) -> (..)
extern Primitive softmax_cross_entropy_grad;  // (logits (.., c), int64 labels (..), g (..)) -> (softmax -
                                              // one_hot) * g, (.., c)
}  // namespace primitives

}  // namespace tidu
