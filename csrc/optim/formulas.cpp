// Optimisers whose step is a formula of tensors.
#include "optim/formulas.h"

#include <algorithm>
#include <cmath>

#include "core/host_lock.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/linalg.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "optim/ranges.h"

namespace tidu::optim {
namespace {

// A factor of p, which was computed in float64.
Tensor like(const Tensor& p, const Tensor& number) { return astype(number, p.dtype()); }

// p and g with the weight decay in one of them.
struct Decayed {
  Tensor p, g;
};
Decayed decayed(double weight_decay, const Advance& at, bool decoupled = false) {
  if (decoupled) return {at.p * like(at.p, 1 - at.lr * weight_decay), at.g};
  return {at.p, at.g + weight_decay * at.p};
}

// m = beta m + (1 - beta) x
Tensor averaged(double beta, const Tensor& m, const Tensor& x) { return beta * m + (1 - beta) * x; }

// 1 - beta^t
Tensor correction(double beta, const Tensor& t) { return 1 - pow(beta, t); }

using Slots = std::vector<Slot>;

Slots slots_of(const AdagradOptions& options) { return {{"sum", options.initial_accumulator_value}}; }
Slots slots_of(const AdadeltaOptions&) { return {{"square_avg"}, {"acc_delta"}}; }
Slots slots_of(const AdamaxOptions&) { return {{"exp_avg"}, {"exp_inf"}}; }
Slots slots_of(const NAdamOptions&) {
  return {{"exp_avg"}, {"exp_avg_sq"}, {.name = "mu_product", .first = 1, .is_number = true}};
}
Slots slots_of(const RAdamOptions&) { return {{"exp_avg"}, {"exp_avg_sq"}}; }
Slots slots_of(const LionOptions&) { return {{"exp_avg"}}; }
Slots slots_of(const MuonOptions&) { return {{"momentum_buffer"}}; }

template <class Options> void check_adaptive(const Options& options) {
  check_fraction(options.beta1, "beta1");
  check_fraction(options.beta2, "beta2");
  check_not_negative(options.weight_decay, "weight_decay");
  if constexpr (requires { options.eps; }) check_not_negative(options.eps, "eps");
  if constexpr (requires { options.momentum_decay; })
    check_not_negative(options.momentum_decay, "momentum_decay");
}
void check(const AdamaxOptions& options, const Tensors&) { check_adaptive(options); }
void check(const NAdamOptions& options, const Tensors&) { check_adaptive(options); }
void check(const RAdamOptions& options, const Tensors&) { check_adaptive(options); }
void check(const LionOptions& options, const Tensors&) { check_adaptive(options); }
void check(const AdagradOptions& options, const Tensors&) {
  check_not_negative(options.lr_decay, "lr_decay");
  check_not_negative(options.weight_decay, "weight_decay");
  check_not_negative(options.initial_accumulator_value, "initial_accumulator_value");
  check_not_negative(options.eps, "eps");
}
void check(const AdadeltaOptions& options, const Tensors&) {
  check_range(options.rho, options.rho >= 0 && options.rho <= 1, "rho");
  check_not_negative(options.eps, "eps");
  check_not_negative(options.weight_decay, "weight_decay");
}
void check(const MuonOptions& options, const Tensors& parameters) {
  check_fraction(options.momentum, "momentum");
  check_not_negative(options.weight_decay, "weight_decay");
  check_not_negative(options.eps, "eps");
  check_range(static_cast<double>(options.ns_steps), options.ns_steps >= 0 && options.ns_steps < 100,
              "ns_steps");
  for (const Tensor& parameter : parameters) {
    if (parameter.ndim() != 2)
      fail<ValueError>("[optimizer] Muon takes matrices, not ", describe(parameter),
                       " (give the others to AdamW)");
  }
}

}  // namespace

void FormulaOptimizer::update(const Tensors& state, const Tensors& gradients, int count, int64_t step,
                              const Tensor& clock) {
  const auto number = [](double value, const Tensor& p) {
    return full({}, value, DType::float64, p.device());
  };
  for (int i = 0; i < count; ++i) {
    Tensor parameter = state[static_cast<size_t>(i)];
    const DType wide = state_dtype(parameter.dtype());
    Advance at{{}, {}, astype(parameter, wide), astype(gradients[static_cast<size_t>(i)], wide), {}};
    if (clock.defined()) {
      const Tensor row = to(select(clock, 0, i), parameter.device());
      at.lr = select(row, 0, 0), at.t = select(row, 0, 1);
    } else {
      at.lr = number(lr(), parameter), at.t = number(static_cast<double>(step), parameter);
    }
    for (size_t k = static_cast<size_t>(i + count); k < state.size(); k += static_cast<size_t>(count))
      at.slots.push_back(state[k]);
    const Tensors next = advanced(at);
    assign(parameter, astype(next[0], parameter.dtype()));
    for (size_t k = 0; k < at.slots.size(); ++k) assign(at.slots[k], next[k + 1]);
  }
}

Tensors advanced(const SGDOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at);
  if (at.slots.empty()) return {p - like(p, at.lr) * g};
  const Tensor b = options.momentum * at.slots[0] + g;
  return {p - like(p, at.lr) * (options.nesterov ? g + options.momentum * b : b), b};
}

Tensors advanced(const AdamOptions& options, const Advance& at, bool decoupled) {
  const auto [p, g] = decayed(options.weight_decay, at, decoupled);
  const Tensor m = averaged(options.beta1, at.slots[0], g), v = averaged(options.beta2, at.slots[1], g * g);
  const Tensor rate = like(p, at.lr / correction(options.beta1, at.t));
  const Tensor root = like(p, rsqrt(correction(options.beta2, at.t)));
  return {p - rate * m / (sqrt(v) * root + options.eps), m, v};
}

Tensors advanced(const RMSpropOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at);
  const Tensor v = averaged(options.alpha, at.slots[0], g * g), d = g / (sqrt(v) + options.eps);
  if (at.slots.size() == 1) return {p - like(p, at.lr) * d, v};
  const Tensor b = options.momentum * at.slots[1] + d;
  return {p - like(p, at.lr) * b, v, b};
}

Tensors advanced(const AdagradOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at);
  const Tensor s = at.slots[0] + g * g;
  const Tensor rate = at.lr / (1 + (at.t - 1) * options.lr_decay);
  return {p - like(p, rate) * g / (sqrt(s) + options.eps), s};
}

Tensors advanced(const AdadeltaOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at);
  const Tensor v = averaged(options.rho, at.slots[0], g * g), &u = at.slots[1];
  const Tensor d = sqrt(u + options.eps) / sqrt(v + options.eps) * g;
  return {p - like(p, at.lr) * d, v, averaged(options.rho, u, d * d)};
}

Tensors advanced(const AdamaxOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at);
  const Tensor m = averaged(options.beta1, at.slots[0], g);
  const Tensor u = maximum(options.beta2 * at.slots[1], abs(g) + options.eps);
  return {p - like(p, at.lr / correction(options.beta1, at.t)) * m / u, m, u};
}

Tensors advanced(const NAdamOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at, options.decoupled_weight_decay);
  const Tensor m = averaged(options.beta1, at.slots[0], g), v = averaged(options.beta2, at.slots[1], g * g);
  const auto mu = [&](const Tensor& i) {
    return options.beta1 * (1 - 0.5 * pow(0.96, i * options.momentum_decay));
  };
  const Tensor now = mu(at.t), next = mu(at.t + 1), product = at.slots[2] * now;
  const Tensor direction = like(p, (1 - now) / (1 - product)) * g + like(p, next / (1 - product * next)) * m;
  const Tensor root = like(p, rsqrt(correction(options.beta2, at.t)));
  return {p - like(p, at.lr) * direction / (sqrt(v) * root + options.eps), m, v, product};
}

Tensors advanced(const RAdamOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at, options.decoupled_weight_decay);
  const Tensor m = averaged(options.beta1, at.slots[0], g), v = averaged(options.beta2, at.slots[1], g * g);
  const Tensor rate = like(p, at.lr / correction(options.beta1, at.t));
  const double last = 2 / (1 - options.beta2) - 1;
  if (last <= 5) return {p - rate * m, m, v};
  const Tensor rest = correction(options.beta2, at.t);
  const Tensor rho = last - 2 * at.t * (1 - rest) / rest, held = maximum(rho, 5.0);
  const Tensor r = sqrt((held - 4) * (held - 2) * last / ((last - 4) * (last - 2) * held) * rest);
  return {p - rate * m * where(rho > 5, like(p, r) / (sqrt(v) + options.eps), 1.0), m, v};
}

Tensors advanced(const LionOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at, true);
  const Tensor& m = at.slots[0];
  return {p - like(p, at.lr) * sign(averaged(options.beta1, m, g)), averaged(options.beta2, m, g)};
}

Tensors advanced(const MuonOptions& options, const Advance& at) {
  const auto [p, g] = decayed(options.weight_decay, at, true);
  const Tensor b = averaged(options.momentum, at.slots[0], g);
  const Tensor u = options.nesterov ? averaged(options.momentum, b, g) : b;
  const auto rows = static_cast<double>(p.size(0)), columns = static_cast<double>(p.size(1));
  const double scale = options.match_rms_adamw ? 0.2 * std::sqrt(std::max(rows, columns))
                                               : std::sqrt(std::max(1.0, rows / std::max(columns, 1.0)));
  return {
      p - like(p, at.lr * scale) * orthogonalize(u, options.ns_steps, options.ns_coefficients, options.eps),
      b};
}

Tensor orthogonalize(const Tensor& matrix, int64_t steps, const std::array<double, 3>& coefficients,
                     double eps) {
  if (matrix.ndim() != 2) fail<ShapeError>("[orthogonalize] takes a matrix, not ", describe(matrix));
  const auto [a, b, c] = coefficients;
  const bool tall = matrix.size(0) > matrix.size(1);
  Tensor x = widened(tall ? matrix_transpose(matrix) : matrix);
  x = x / maximum(linalg::vector_norm(x), eps);  // which does not leave the range where squares do
  for (int64_t i = 0; i < steps; ++i) {
    answer_signals();
    const Tensor square = matmul(x, matrix_transpose(x));
    x = a * x + matmul(b * square + c * matmul(square, square), x);
  }
  return astype(tall ? matrix_transpose(x) : x, matrix.dtype());
}

template <class Options>
ByFormula<Options>::ByFormula(Tensors parameters, Options options)
    : FormulaOptimizer(std::move(parameters), options.lr, slots_of(options)), options_(options) {
  check(options, this->parameters());
}
template class ByFormula<AdagradOptions>;
template class ByFormula<AdadeltaOptions>;
template class ByFormula<AdamaxOptions>;
template class ByFormula<NAdamOptions>;
template class ByFormula<RAdamOptions>;
template class ByFormula<LionOptions>;
template class ByFormula<MuonOptions>;

}  // namespace tidu::optim
