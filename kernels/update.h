// The update steps of the optimisers for one element, in place: read by g++ and nvcc. Formulas as PyTorch
// documents them for torch.optim. T is float or double.
#pragma once

#ifndef __CUDACC_RTC__
#include <math.h>
#endif

#include "kernels/types.h"

namespace tidu {

// What changes from step to step, for one parameter. Of Adam alone: rate = lr / (1 - beta1^step) and
// root = 1 / sqrt(1 - beta2^step).
struct ClockRow {
  double lr, step, rate, root;
};

// g += weight_decay p;  b = first ? g : momentum b + g;  p -= lr (nesterov ? g + momentum b : b).
// Without momentum (0) there is no buffer b and p -= lr g.
struct SgdStep {
  double lr, momentum, weight_decay;
  bool nesterov, first;

  TIDU_HD void set(const ClockRow& row) { lr = row.lr, first = row.step == 1; }
};

template <class T> struct SgdRule {
  T lr, weight_decay;

  TIDU_HD explicit SgdRule(const SgdStep& s)
      : lr(static_cast<T>(s.lr)), weight_decay(static_cast<T>(s.weight_decay)) {}
  TIDU_HD void operator()(T& p, T g) const { p -= lr * (g + weight_decay * p); }
};

template <class T> struct MomentumRule {
  T lr, momentum, weight_decay;
  bool nesterov, first;

  TIDU_HD explicit MomentumRule(const SgdStep& s)
      : lr(static_cast<T>(s.lr)),
        momentum(static_cast<T>(s.momentum)),
        weight_decay(static_cast<T>(s.weight_decay)),
        nesterov(s.nesterov),
        first(s.first) {}
  TIDU_HD void operator()(T& p, T& b, T g) const {
    const T slope = g + weight_decay * p;
    // What the buffer holds before the first step may be anything, even NaN.
    b = momentum * (first ? T(0) : b) + slope;
    p -= lr * (nesterov ? slope + momentum * b : b);
  }
};

// g += weight_decay p unless decoupled, where p -= lr weight_decay p;  m = beta1 m + (1 - beta1) g;
// v = beta2 v + (1 - beta2) g^2;  p -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps).
struct AdamStep {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;
  double rate, root;  // as in ClockRow, where the first step is number 1

  TIDU_HD void set(const ClockRow& row) { lr = row.lr, rate = row.rate, root = row.root; }
};

template <class T> struct AdamRule {
  T beta1, beta2, eps, rest1, rest2, coupled, shrink, rate, root;

  TIDU_HD explicit AdamRule(const AdamStep& s)
      : beta1(static_cast<T>(s.beta1)),
        beta2(static_cast<T>(s.beta2)),
        eps(static_cast<T>(s.eps)),
        rest1(static_cast<T>(1 - s.beta1)),
        rest2(static_cast<T>(1 - s.beta2)),
        coupled(static_cast<T>(s.decoupled ? 0 : s.weight_decay)),
        shrink(static_cast<T>(s.decoupled ? 1 - s.lr * s.weight_decay : 1)),
        rate(static_cast<T>(s.rate)),
        root(static_cast<T>(s.root)) {}
  TIDU_HD void operator()(T& p, T& m, T& v, T g) const {
    const T slope = g + coupled * p;
    m = beta1 * m + rest1 * slope;
    v = beta2 * v + rest2 * slope * slope;
    p = shrink * p - rate * m / (::sqrt(v) * root + eps);
  }
};

// g += weight_decay p;  v = alpha v + (1 - alpha) g^2;  u = g / (sqrt(v) + eps);
// with momentum b = momentum b + u and p -= lr b, else p -= lr u.
struct RmspropStep {
  double lr, alpha, eps, weight_decay, momentum;

  TIDU_HD void set(const ClockRow& row) { lr = row.lr; }
};

template <class T> struct RmspropRule {
  T lr, alpha, rest, eps, weight_decay, momentum;

  TIDU_HD explicit RmspropRule(const RmspropStep& s)
      : lr(static_cast<T>(s.lr)),
        alpha(static_cast<T>(s.alpha)),
        rest(static_cast<T>(1 - s.alpha)),
        eps(static_cast<T>(s.eps)),
        weight_decay(static_cast<T>(s.weight_decay)),
        momentum(static_cast<T>(s.momentum)) {}
  TIDU_HD void operator()(T& p, T& v, T g) const { p -= lr * direction(p, v, g); }
  TIDU_HD void operator()(T& p, T& v, T& b, T g) const {
    b = momentum * b + direction(p, v, g);
    p -= lr * b;
  }

 private:
  TIDU_HD T direction(T p, T& v, T g) const {
    const T slope = g + weight_decay * p;
    v = alpha * v + rest * slope * slope;
    return slope / (::sqrt(v) + eps);
  }
};

}  // namespace tidu
