// Singular values.
#include "core/bind.h"
#include "ops/linalg_rules.h"

namespace tidu::primitives {

Primitive svd("svd", {.infer =
                          [](const SpecCall& call, std::span<Spec> outputs) {
                            const Spec& x = call.inputs[0];
                            const int last = x.shape.size() - 1;
                            const int64_t count = std::min(x.shape[last], x.shape[last - 1]);
                            outputs[0] = outputs[1] = outputs[2] = x;
                            outputs[0].shape[last] = count;
                            outputs[1].shape.erase(last);
                            outputs[1].shape[last - 1] = count;
                            outputs[2].shape[last - 1] = count;
                          },
                      .derivative = Opaque{"the factors count as constants"},
                      .num_outputs = 3});

}  // namespace tidu::primitives
