// How sure estimates are that maximise a likelihood or minimise a sum of squares.
#pragma once

#include "transforms/derivatives.h"

namespace tidu::optim {

// The standard errors of the estimate x, where the function is a negative log-likelihood, the sum over all
// observations (not their mean), and x its minimum: like x. They are the roots of the diagonal of the inverse
// of the exact Hessian at x, the observed information (Efron and Hinkley, Biometrika 65, 1978). A ValueError
// where the Hessian is not positive definite, so that the likelihood does not determine x: it names the
// elements concerned.
Tensors standard_errors(const ScalarFunction& negative_log_likelihood, const Tensors& x);

// Of an estimate that makes a sum of squares least, of residuals (m) with the Jacobian (m, n) by the elements
// of x: s^2 (J^T J)^-1, s^2 being the sum of squares divided by m - n, a float64 matrix (n, n). It is the
// covariance where errors are independent and of equal variance, and the model near x is linear. ValueError
// where m = n, or where the columns of J are dependent, so that the residuals do not determine x: it names
// the elements concerned. Errors name `op`.
Tensor covariance_of(const Tensor& residuals, const Tensor& jacobian, const Tensors& x,
                     const char* op = "covariance");
// The roots of its diagonal, like x.
Tensors standard_errors_of(const Tensor& residuals, const Tensor& jacobian, const Tensors& x);
// The same for a function, all elements of whose results are residuals.
Tensors residual_standard_errors(const Function& residuals, const Tensors& x);

}  // namespace tidu::optim
