// Softmax and cross-entropy.
#include "ops/operations.h"

namespace tidu::python {

void bind_softmax(const Definitions& define) {
  define.both<softmax>("softmax", "x, axis=-1", "exp(x) / sum(exp(x)) along the axis.");
  example("softmax", "td.softmax(td.tensor([0.0, 0.0, 1.0]))",
          "tensor([0.21194157, 0.21194157, 0.5761169 ], dtype=float32)");
  define.both<log_softmax>("log_softmax", "x, axis=-1", "x - logsumexp(x) along the axis.");
  example("log_softmax", "td.log_softmax(td.tensor([0.0, 0.0]))",
          "tensor([-0.6931472, -0.6931472], dtype=float32)");
  define.function<softmax_cross_entropy>(
      "softmax_cross_entropy", "logits, labels",
      "-log_softmax(logits)[label] along the last axis: logits (.., classes), integer labels (..) give "
      "losses (..).");
  example("softmax_cross_entropy",
          "td.softmax_cross_entropy(td.tensor([[2.0, 0.0], [0.0, 1.0]]), td.tensor([0, 1]))",
          "tensor([0.12692805, 0.31326166], dtype=float32)");
}

}  // namespace tidu::python
