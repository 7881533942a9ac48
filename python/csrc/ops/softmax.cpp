// Softmax and cross-entropy.
#include "ops/operations.h"

namespace tidu::python {

void bind_softmax(const Definitions& define) {
  define.both<softmax>("softmax", "x, axis=-1", "exp(x) / sum(exp(x)) along the axis.");
  define.both<log_softmax>("log_softmax", "x, axis=-1", "x - logsumexp(x) along the axis.");
  define.function<softmax_cross_entropy>(
      "softmax_cross_entropy", "logits, labels",
      "-log_softmax(logits)[label] along the last axis: logits (.., classes), integer labels (..) give "
      "losses (..).");
}

}  // namespace tidu::python
