// The fused update steps of the optimisers over one flat array of float32 or float64, in place. Formulas as
// PyTorch documents them for torch.optim.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

// g += weight_decay p;  b = first ? g : momentum b + g;  p -= lr (nesterov ? g + momentum b : b).
// Without momentum (0) the buffer b is not read or written and p -= lr g.
struct SgdStep {
  double lr, momentum, weight_decay;
  bool nesterov, first;
};

// g += weight_decay p unless decoupled, where p -= lr weight_decay p;  m = beta1 m + (1 - beta1) g;
// v = beta2 v + (1 - beta2) g^2;  p -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps).
struct AdamStep {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;
  int64_t step;  // 1 at the first
};

// g += weight_decay p;  v = alpha v + (1 - alpha) g^2;  u = g / (sqrt(v) + eps);
// with momentum b = momentum b + u and p -= lr b, else p -= lr u.
struct RmspropStep {
  double lr, alpha, eps, weight_decay, momentum;
};

struct UpdateFunctions {
  void (*sgd)(const SgdStep& step, void* p, void* b, const void* g, int64_t n);
  void (*adam)(const AdamStep& step, void* p, void* m, void* v, const void* g, int64_t n);
  void (*rmsprop)(const RmspropStep& step, void* p, void* v, void* b, const void* g, int64_t n);
};

// For float32 or float64.
UpdateFunctions update_functions(DType dtype);

}  // namespace tidu::cpu
