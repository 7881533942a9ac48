// Softmax and the cross-entropy built on it, without overflow for any logits.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

// exp(x) / sum(exp(x)) along an axis; floating-point of x's shape.
Tensor softmax(const Tensor& x, int64_t axis = -1);
// x - logsumexp(x) along an axis.
Tensor log_softmax(const Tensor& x, int64_t axis = -1);
// -log_softmax(logits)[label] along the last axis, in one pass: logits (.., classes) and integer labels (..)
// give losses (..). An out-of-range label is an IndexError.
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels);

// The same where rows labelled `ignore_index` do not count: their losses and gradients are 0.
struct CountedLosses {
  Tensor losses;
  Tensor counts;  // 1 for a row that counts, else 0; of the losses' dtype, and a constant
};
CountedLosses counted_cross_entropy(const Tensor& logits, const Tensor& labels,
                                    std::optional<int64_t> ignore_index);

struct CrossEntropyAttrs {
  bool ignores = false;  // whether there is an ignore_index
  int64_t ignore_index = 0;
  bool counts(int64_t label) const { return !ignores || label != ignore_index; }
  void fields(auto&& field) const {
    field("ignores", ignores);
    field("ignore_index", ignore_index);
  }
};

namespace primitives {
// AxisAttrs
extern Primitive softmax, log_softmax;
// CrossEntropyAttrs: (logits (.., c), int64 labels (..)) -> losses (..), counts (..)
extern Primitive softmax_cross_entropy;
// CrossEntropyAttrs: (logits (.., c), int64 labels (..), g (..)) -> (softmax - one_hot) * g, (.., c)
extern Primitive softmax_cross_entropy_grad;
}  // namespace primitives

}  // namespace tidu
