// Taylor polynomials: models of a function near a point.
#pragma once

#include "transforms/directional.h"

namespace tidu {

// f(x) + f'(x) p + 1/2 f''(x)(p, p) + .. to `order`, for x the primals and p the step (undefined: zero): the
// coefficients of t -> function(primals + t step), by one evaluation in Taylor mode.
Tensors taylor_polynomial(const Function& function, const Tensors& primals, const Tensors& step,
                          int64_t order);

// The Taylor polynomial of a function of one tensor at x.
class Taylor {
 public:
  Taylor(UnaryFunction function, const Tensor& x, int64_t order);

  int64_t order() const { return order_; }
  // The model's value at x + step, of the shape of function(x).
  Tensor operator()(const Tensor& step) const;
  // Coefficient k is the k-th derivative divided by k!, of the shape of function(x) followed by that of x k
  // times. Of one element, they are found by one evaluation in Taylor mode; else by Jacobians of Jacobians.
  Tensors coefficients() const;

 private:
  UnaryFunction function_;
  Tensor x_;
  int64_t order_;
};
Taylor taylor(UnaryFunction function, const Tensor& x, int64_t order);

}  // namespace tidu
