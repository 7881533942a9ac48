// How sure maximum likelihood estimates are.
#pragma once

#include "autodiff/transforms.h"

namespace tidu::optim {

// The standard errors of the estimate x, where the function is a negative log-likelihood, the sum over all
// observations (not their mean), and x its minimum: like x. They are the roots of the diagonal of the inverse
// of the exact Hessian at x, the observed information (Efron and Hinkley, Biometrika 65, 1978). A ValueError
// where the Hessian is not positive definite, so that the likelihood does not determine x: it names the
// elements concerned.
Tensors standard_errors(const ScalarFunction& negative_log_likelihood, const Tensors& x);

}  // namespace tidu::optim
