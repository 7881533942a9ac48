// Softmax and cross-entropy.
#include "ops/operations.h"

namespace tidu::python {

void bind_softmax(const Definitions& define) {
  const auto last = py::arg("axis") = -1;
  define.both("softmax", tidu::softmax, last, "exp(x) / sum(exp(x)) along the axis.");
  define.both("log_softmax", tidu::log_softmax, last, "x - logsumexp(x) along the axis.");
  define.function(
      "softmax_cross_entropy", tidu::softmax_cross_entropy, py::arg("logits"), py::arg("labels"),
      "-log_softmax(logits)[label] along the last axis: logits (.., classes), integer labels (..) give "
      "losses (..).");
}

}  // namespace tidu::python
