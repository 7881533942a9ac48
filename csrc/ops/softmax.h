// Softmax and the cross-entropy built on it, without overflow for any logits.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

// exp(x) / sum(exp(x)) along an axis; floating-point of x's shape.
Tensor softmax(const Tensor& x, int64_t axis = -1);
// The slopes of logsumexp: softmax, and at infinities its limit. One +inf has slope 1; several have NaN each,
// since it depends on how they grow; the others then have 0, as all have where there is nothing but -inf.
Tensor softmax_limit(const Tensor& x, int64_t axis = -1);
// x - logsumexp(x) along an axis.
Tensor log_softmax(const Tensor& x, int64_t axis = -1);
// -log_softmax(logits)[label] along the last axis, in one pass: logits (.., classes) and integer labels (..)
// give losses (..). An out-of-range label is an IndexError.
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels);

// The same where rows labelled `ignore_index` do not count: their losses and gradients are 0.
struct CountedLosses {
  Tensor losses;
  Tensor counts;  // 1 for a row that counts, else 0; a constant
};
// In float32 where the logits have 16 bits.
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

struct SoftmaxAttrs {
  attr::Axis axis;
  bool limit = false;  // rather than NaN where the largest element is infinite
  void fields(auto&& field) const {
    field("axis", axis);
    field("limit", limit);
  }
};

namespace primitives {
extern Primitive softmax;      // SoftmaxAttrs
extern Primitive log_softmax;  // AxisAttrs
// CrossEntropyAttrs: (logits (.., c), int64 labels (..)) -> losses (..), counts (..), in float32 where the
// logits have 16 bits
extern Primitive softmax_cross_entropy;
// CrossEntropyAttrs: (logits (.., c), int64 labels (..), g (..)) -> (softmax - one_hot) * g, (.., c)
extern Primitive softmax_cross_entropy_grad;
// Two calls of the same rows as one, where both are known to be wanted (compile/pairs.h): what the first one
// gives, and the second one.
extern Primitive log_softmax_with_softmax;         // AxisAttrs
extern Primitive softmax_cross_entropy_with_grad;  // CrossEntropyAttrs: (logits, labels, g)
}  // namespace primitives

}  // namespace tidu
