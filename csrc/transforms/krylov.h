// Linear systems of which products with the matrix are all that is known, by Krylov's methods.
//
// They run as loops that programs hold, so also under vmap, where each lane ends on its own, and are
// differentiated as the solutions that they approximate (transforms/implicit.h), never step by step.
#pragma once

#include <optional>

#include "core/trace.h"

namespace tidu::linalg {

struct KrylovOptions {
  // It ends where the norm of b - A x is at most max(tol * norm of b, atol). By default 1e-5 or, of 16 bits,
  // which round A x, 8 epsilons.
  std::optional<double> tol = {};
  double atol = 0;
  // cg: steps; gmres: cycles of `restart` steps. By default ten times the number of unknowns.
  std::optional<int64_t> maxiter = {};
  int64_t restart = 20;
  Function preconditioner = {};  // an approximate inverse of A; for cg symmetric and positive definite
};
struct KrylovSolution {
  Tensors x;
  Tensor info;  // int64 of shape (): 0 where it converged, else the number of steps or cycles
};

// A(x) = b for a symmetric positive definite A, by conjugate gradients (Hestenes and Stiefel 1952). Where
// rounding made the recurrence's residual smaller than the true one, it begins again from there; so info is
// about b - A x itself. Both modes solve by the same method; derivatives of what did not converge are NaN.
KrylovSolution cg(const Function& a, const Tensors& b, const Tensors& x0 = {},
                  const KrylovOptions& options = {});

// For any regular A, by the generalised minimal residual method (Saad and Schultz 1986) with
// preconditioning from the right and two passes of Gram-Schmidt.
KrylovSolution gmres(const Function& a, const Tensors& b, const Tensors& x0 = {},
                     const KrylovOptions& options = {});

// By cg or gmres, to `tol`; NaN where the residual does not come down to `worst` times the norm of b.
Tensors solve_or_nan(const Function& a, const Tensors& b, bool symmetric, double tol, double worst);

}  // namespace tidu::linalg
