// Roots by least squares of the values.
#include "optim/root.h"

#include <cmath>

#include "base/digits.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "optim/fit.h"

namespace tidu::optim {
namespace {

RootReport report_of(const Search& search) {
  const Fit& at = search.at;
  const Residuals& values = search.residuals;
  RootReport report;
  report.x = values.split(at.x);
  report.values = astype(at.residuals, values.dtype());
  report.jacobian = at.jacobian.defined()
                        ? astype(at.jacobian, values.dtype())
                        : full({at.x.numel(), at.x.numel()}, NAN, values.dtype(), at.x.device());
  report.norm = at.norm;
  report.iterations = search.iterations;
  report.f_evaluations = values.f_evaluations();
  report.jacobian_evaluations = values.jacobian_evaluations();
  report.curvature_evaluations = values.curvature_evaluations();
  report.reason = search.reason;
  return report;
}

// Whether the values are what rounding x to the dtype and the values themselves leaves.
bool is_rounding(const Fit& at, double epsilon) {
  constexpr double kUnits = 1000;
  const Tensor sizes = matmul(abs(at.jacobian), abs(astype(at.x, DType::float64)));
  return at.norm <= kUnits * epsilon * norm(sizes);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const RootReport& report) {
  return out << (report.converged ? "converged: " : "not converged: ") << report.reason
             << "; norm = " << digits(report.norm, 9) << ", iterations " << report.iterations
             << ", evaluations of the values " << report.f_evaluations << ", of their Jacobian "
             << report.jacobian_evaluations << ", of second derivatives along a step "
             << report.curvature_evaluations;
}

RootReport root(const Function& function, const Tensors& x, const RootOptions& options) {
  if (options.tol && !(*options.tol >= 0))
    fail<ValueError>("[root] tol is ", digits(*options.tol, 9), ", but must not be negative");
  if (options.max_iter && *options.max_iter < 0)
    fail<ValueError>("[root] max_iter is ", *options.max_iter,
                     ", but must be an integer that is not negative");
  if (!(options.radius > 0 && std::isfinite(options.radius)))
    fail<ValueError>("[root] radius is ", digits(options.radius, 9), ", but must be positive");

  FunctionResiduals values(function, x, "root");
  const auto steps = make_steps(LeastSquaresMethod::lm, options.radius);
  const Limits limits{.zero = options.tol,
                      .max_iter = options.max_iter.value_or(1000),
                      .check_counts = [](int64_t m, int64_t n) {
                        if (m == n) return;
                        fail<ValueError>("[root] there are ", m, " equations, but ", n,
                                         " unknowns: there must be as many (use least_squares)");
                      }};
  const Search found = search(values, *steps, limits, [&](const Search& so_far) {
    return so_far.iterations > 0 && options.callback && options.callback(report_of(so_far));
  });
  RootReport report = report_of(found);
  const bool is_stationary = found.end == End::orthogonal || found.end == End::promise ||
                             found.end == End::small_step || found.end == End::rounding;
  report.converged =
      found.end == End::zero || (found.end != End::not_finite && is_rounding(found.at, values.epsilon()));
  if (report.converged) {
    report.reason =
        options.tol && found.end == End::zero
            ? "the norm of the values, " + digits(report.norm, 3) +
                  ", is at most tol = " + digits(*options.tol, 3)
            : "the values are zero as far as rounding shows: their norm is " + digits(report.norm, 3);
  } else if (is_stationary) {
    report.reason = "the norm of the values, " + digits(report.norm, 3) +
                    ", is not zero, but stationary here: a minimum of it that is no root, or a saddle (" +
                    found.reason + ")";
  }
  return report;
}

}  // namespace tidu::optim
