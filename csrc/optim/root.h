// Roots of systems of equations, with a report.
#pragma once

#include <optional>
#include <ostream>
#include <string>

#include "transforms/derivatives.h"

namespace tidu::optim {

struct RootReport;

struct RootOptions {
  // The norm of the values at which it ends. Without one it goes on until rounding hides what is left.
  std::optional<double> tol = {};
  std::optional<int64_t> max_iter = {};  // by default 1000
  double radius = 4;                     // of the region at first, in lengths of the scaled point
  // Called after each iteration with how far it has come; true ends it.
  std::function<bool(const RootReport&)> callback = {};
};

// What a search for a root came to.
struct RootReport {
  Tensors x;        // the point, like the one at the start
  Tensor values;    // (n): the elements of all results there
  Tensor jacobian;  // (n, n): by the elements of x
  double norm = 0;  // of the values
  int64_t iterations = 0, f_evaluations = 0, jacobian_evaluations = 0, curvature_evaluations = 0;
  bool converged = false;  // whether it is a root
  std::string reason;      // a sentence that says why it ended
};
std::ostream& operator<<(std::ostream& out, const RootReport& report);

// A point near x where the results of a function are zero, all elements of all of them, which must be as many
// as those of x: by the steps of least_squares, which are Newton's near a root. Where it ends at a point
// where the norm of the values is least, but not zero, the report says so.
RootReport root(const Function& function, const Tensors& x, const RootOptions& options = {});

}  // namespace tidu::optim
