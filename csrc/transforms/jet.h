// Taylor mode: functions along curves, to any order.
#pragma once

#include "core/trace.h"

namespace tidu {

struct Curve {
  Tensors outputs;
  std::vector<Tensors> terms;  // [o][k - 1] is term k of output o, of its shape
};
// `function` along the curve x_i(t) = primals[i] + sum over k of terms[i][k - 1] t^k: the coefficients of the
// results as power series of t, to the same order. All primals have as many terms; undefined: zero.
Curve power_series(const Function& function, const Tensors& primals, const std::vector<Tensors>& terms);
// The same with terms that are the derivatives by t at 0, k! times the coefficients.
Curve jet(const Function& function, const Tensors& primals, const std::vector<Tensors>& terms);

}  // namespace tidu
