// Taylor polynomials.
#include "transforms/taylor.h"

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"
#include "transforms/jacobian.h"
#include "transforms/jet.h"

namespace tidu {
namespace {

void check_order(int64_t order) {
  if (order < 0) fail<ValueError>("[taylor] the order must not be negative: ", order);
}

}  // namespace

Tensors taylor_polynomial(const Function& function, const Tensors& primals, const Tensors& step,
                          int64_t order) {
  check_order(order);
  if (step.size() != primals.size())
    fail<ValueError>("[taylor] takes one step a primal: ", primals.size(), ", not ", step.size());
  std::vector<Tensors> terms;
  for (const Tensor& first : step) {
    terms.emplace_back(static_cast<size_t>(order));
    if (order > 0) terms.back()[0] = first;
  }
  const Curve curve = power_series(function, primals, terms);
  Tensors result;
  for (size_t o = 0; o < curve.outputs.size(); ++o) {
    Tensor sum;
    if (is_differentiable(curve.outputs[o].dtype())) {
      for (size_t k = curve.terms[o].size(); k-- > 0;)
        sum = sum.defined() ? curve.terms[o][k] + sum : curve.terms[o][k];
    }
    result.push_back(sum.defined() ? curve.outputs[o] + sum : curve.outputs[o]);
  }
  return result;
}

Taylor::Taylor(UnaryFunction function, const Tensor& x, int64_t order)
    : function_(std::move(function)), x_(copy(x)), order_(order) {
  check_order(order);
}

Tensor Taylor::operator()(const Tensor& step) const {
  return taylor_polynomial([&](const Tensors& in) { return Tensors{function_(in[0])}; }, {x_}, {step},
                           order_)[0];
}

Tensors Taylor::coefficients() const {
  Tensors result;
  if (x_.numel() == 1) {
    Tensors terms(static_cast<size_t>(order_));
    if (order_ > 0) terms[0] = ones_like(x_);
    const Curve curve =
        power_series([&](const Tensors& in) { return Tensors{function_(in[0])}; }, {x_}, {terms});
    result.push_back(curve.outputs[0]);
    for (const Tensor& term : curve.terms[0]) {
      Shape shape = result.back().shape();
      for (int64_t extent : x_.shape()) shape.push_back(extent);
      result.push_back(reshape(term, shape));
    }
    return result;
  }
  UnaryFunction derivative = function_;
  double factorial = 1;
  for (int64_t k = 0; k <= order_; ++k) {
    if (k > 0) {
      derivative = jacobian(std::move(derivative));
      factorial *= static_cast<double>(k);
    }
    const Tensor value = derivative(x_);
    result.push_back(k > 1 ? value / factorial : value);
  }
  return result;
}

Taylor taylor(UnaryFunction function, const Tensor& x, int64_t order) {
  return {std::move(function), x, order};
}

}  // namespace tidu
