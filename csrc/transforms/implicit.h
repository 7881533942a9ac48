// Derivatives of what equations define: solutions of linear systems, roots, fixed points and minima, by the
// implicit function theorem. How a solution was found plays no part in them, and nothing of that is kept.
//
// A solver is code that may look at values. Where these are not known, under vmap and in programs, it is
// recorded, and one that looks at them (a loop that is no while_loop) is a TraceError.
#pragma once

#include "core/primitive.h"
#include "core/trace.h"
#include "optim/minimize.h"

namespace tidu {

// (a function, tensors) -> tensors: the solution x of function(x) = tensors, or a root near them.
using Solver = std::function<Tensors(const Function& function, const Tensors& tensors)>;

// --- Linear systems

// x with matvec(x) = b, as `solve(matvec, b)` finds it. `matvec` is linear, from tensors like b to such; what
// it closes over is differentiated. Any order of all modes; reverse mode solves with the transposed function
// by `transpose_solve`, or by `solve` where matvec is symmetric.
struct LinearSolveOptions {
  Solver transpose_solve = {};
  bool symmetric = false;
};
Tensors custom_linear_solve(const Function& matvec, const Tensors& b, const Solver& solve,
                            const LinearSolveOptions& options = {});

// The solution for a linear function that nothing else is known of: by the matrix of the function,
// factorised, up to kDenseSystem unknowns, else by GMRES or, for a symmetric one, conjugate gradients.
Tensors solve_any(const Function& matvec, const Tensors& b, bool symmetric = false);
inline constexpr int64_t kDenseSystem = 512;

// --- Roots

// x with function(x) = 0, as `solve(function, guess)` finds it: tensors like the guess, and so are the
// function's results. A function of what it closes over alone: x' = -(df/dx)^-1 f', for which
// `tangent_solve(J, y)` solves J(x) = y with J the linear function df/dx or its transpose (by default,
// solve_any). To any order.
Tensors custom_root(const Function& function, const Tensors& guess, const Solver& solve,
                    const Solver& tangent_solve = {});

// Functions of what `function` closes over. They are recorded, and may not look at values; a ValueError where
// a solution is not found or, where no value is known (under vmap, in programs), NaN.
namespace implicit {

struct RootOptions {
  // By default epsilon^(3/4) of the coarsest dtype.
  std::optional<double> tol = {};
  std::optional<int64_t> max_iter = {};
  Solver tangent_solve = {};
};

// x = function(x), by repeated application until no element changes by more than tol * max(1, max |x|), at
// most max_iter times (1000).
Tensors fixed_point(const Function& function, const Tensors& x0, const RootOptions& options = {});

// function(x) = 0, by Newton's method, whose steps are halved for as long as they do not lower the norm of f,
// until a full step is as small as that; max_iter is 100.
Tensors root(const Function& function, const Tensors& x0, const RootOptions& options = {});

// Where a scalar function is least near x0, by optim::minimize, which looks at values. Differentiated as the
// root of its gradient.
Tensors argmin(const ScalarFunction& function, const Tensors& x0, const optim::MinimizeOptions& options = {},
               const Solver& tangent_solve = {});

}  // namespace implicit

namespace primitives {
// (b, captured..) -> x, and perhaps reports; (guess, captured..) -> x. Of vectors: tensors are joined.
extern Primitive linear_solve, root;
}  // namespace primitives

}  // namespace tidu
