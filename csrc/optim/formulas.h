// The optimisers' steps as formulas of tensors, which change nothing in place, and the optimisers that have
// no fused call but compiled code makes one loop of their formula. p is the parameter, g its gradient, t the
// number of the step, from 1. What has 16 bits is advanced in float32.
#pragma once

#include <array>

#include "optim/optimizer.h"

namespace tidu::optim {

// What a formula is told of a step: lr and t in float64, p, g and the slots that the class names. It gives p
// and the slots after the step.
struct Advance {
  Tensor lr, t, p, g;
  Tensors slots;
};

// Those of optim/optimizer.h.
Tensors advanced(const SGDOptions& options, const Advance& at);
Tensors advanced(const AdamOptions& options, const Advance& at, bool decoupled = false);
Tensors advanced(const RMSpropOptions& options, const Advance& at);

class FormulaOptimizer : public Optimizer {
 protected:
  using Optimizer::Optimizer;
  virtual Tensors advanced(const Advance& at) const = 0;

 private:
  void update(const Tensors& state, const Tensors& gradients, int count, int64_t step,
              const Tensor& clock) final;
};

// g = gradient + weight_decay p, s initial_accumulator_value before the first step: s = s + g^2;
// p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps) (Duchi, Hazan and Singer 2011).
struct AdagradOptions {
  double lr = 1e-2, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10;
};
Tensors advanced(const AdagradOptions& options, const Advance& at);

// g = gradient + weight_decay p; v = rho v + (1 - rho) g^2; d = sqrt(u + eps) / sqrt(v + eps) g;
// u = rho u + (1 - rho) d^2; p = p - lr d (Zeiler 2012).
struct AdadeltaOptions {
  double lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0;
};
Tensors advanced(const AdadeltaOptions& options, const Advance& at);

// Adam by the infinity norm (Kingma and Ba 2015): g = gradient + weight_decay p; m = beta1 m + (1 - beta1) g;
// u = max(beta2 u, |g| + eps); p = p - lr m / (1 - beta1^t) / u.
struct AdamaxOptions {
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};
Tensors advanced(const AdamaxOptions& options, const Advance& at);

// Adam with Nesterov's momentum (Dozat 2016), m and v as in Adam, mu_t = beta1 (1 - 0.96^(t momentum_decay) /
// 2) and M the product of mu_1 .. mu_t: p = p - lr ((1 - mu_t) / (1 - M) g + mu_(t+1) / (1 - M mu_(t+1)) m) /
// (sqrt(v / (1 - beta2^t)) + eps). The weight decay is part of g or, decoupled, p = p - lr weight_decay p.
struct NAdamOptions {
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, momentum_decay = 4e-3;
  bool decoupled_weight_decay = false;
};
Tensors advanced(const NAdamOptions& options, const Advance& at);

// Rectified Adam (Liu et al. 2020), m and v as in Adam, rho' = 2 / (1 - beta2) - 1 and rho = rho' - 2 t
// beta2^t / (1 - beta2^t): p = p - lr m / (1 - beta1^t) d with d = r sqrt(1 - beta2^t) / (sqrt(v) + eps),
// r^2 = (rho - 4) (rho - 2) rho' / ((rho' - 4) (rho' - 2) rho), where rho > 5, else d = 1.
struct RAdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled_weight_decay = false;
};
Tensors advanced(const RAdamOptions& options, const Advance& at);

// p = p - lr weight_decay p - lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g (Chen et al.
// 2023).
struct LionOptions {
  double lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weight_decay = 0;
};
Tensors advanced(const LionOptions& options, const Advance& at);

// For matrices (Jordan et al. 2024): b = momentum b + (1 - momentum) g; u = (1 - momentum) g + momentum b or,
// without nesterov, b; p = p - lr weight_decay p - lr s orthogonalize(u). s is max(1, rows / columns)^(1/2)
// or, to match the size of AdamW's steps, 0.2 max(rows, columns)^(1/2).
struct MuonOptions {
  double lr = 1e-3, weight_decay = 0.1, momentum = 0.95;
  bool nesterov = true;
  std::array<double, 3> ns_coefficients = {3.4445, -4.775, 2.0315};
  double eps = 1e-7;
  int64_t ns_steps = 5;
  bool match_rms_adamw = false;
};
Tensors advanced(const MuonOptions& options, const Advance& at);

// U V^T of a matrix U S V^T (m, n), roughly: singular values of at least some thousandths of the Frobenius
// norm come to lie in [0.7, 1.2]. By so many steps of x = a x + b (x x^T) x + c (x x^T)^2 x after division by
// the norm, held at eps or above; 16 bits are computed in float32. ShapeError for what is no matrix.
Tensor orthogonalize(const Tensor& matrix, int64_t steps = 5,
                     const std::array<double, 3>& coefficients = {3.4445, -4.775, 2.0315}, double eps = 1e-7);

// The optimiser of a formula; a ValueError where an option is out of range.
template <class Options> class ByFormula : public FormulaOptimizer {
 public:
  explicit ByFormula(Tensors parameters, Options options = {});

 private:
  Tensors advanced(const Advance& at) const override { return optim::advanced(options_, at); }
  Options options_;
};
using Adagrad = ByFormula<AdagradOptions>;
using Adadelta = ByFormula<AdadeltaOptions>;
using Adamax = ByFormula<AdamaxOptions>;
using NAdam = ByFormula<NAdamOptions>;
using RAdam = ByFormula<RAdamOptions>;
using Lion = ByFormula<LionOptions>;
using Muon = ByFormula<MuonOptions>;

}  // namespace tidu::optim
