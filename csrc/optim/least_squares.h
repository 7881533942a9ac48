// The least sum of squares: of residuals as a function of tensors by least_squares, over parameters by
// LevenbergMarquardt and GaussNewton. Each comes with a report.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "transforms/derivatives.h"

namespace tidu::optim {

// lm: Levenberg and Marquardt's steps in a trust region of Moré's scaled lengths (The Levenberg-Marquardt
// algorithm: implementation and theory, 1978), with the correction of Transtrum and Sethna (Improvements to
// the Levenberg-Marquardt algorithm for nonlinear least-squares minimization, 2012) from the exact second
// derivative along the step, and with the Hessians of the residuals where these are large and curved.
// gauss_newton: the steps that solve the linear problem, of least scaled length where it has many solutions,
// and halved until they lower the sum of squares.
enum class LeastSquaresMethod : uint8_t { lm, gauss_newton };

struct LeastSquaresReport;

struct LeastSquaresOptions {
  LeastSquaresMethod method = LeastSquaresMethod::lm;
  // Each ends the search: a step that promises to lower the sum of squares by at most this part of it; a
  // step of at most this part of the point's length, both in units of the columns' norms; the largest cosine
  // of an angle between the residuals and a column of the Jacobian. By default 0, epsilon^(3/4) and epsilon
  // of the dtype: it ends where rounding hides what a step would change.
  std::optional<double> ftol = {}, xtol = {}, gtol = {};
  std::optional<int64_t> max_iter = {};  // by default 1000, in a step over parameters 20
  double radius = 4;                     // lm: of the region at first, in lengths of the scaled point
  bool acceleration = true;              // lm: by second derivatives, of functions
  // Called after each iteration with how far it has come; true ends it.
  std::function<bool(const LeastSquaresReport&)> callback = {};
};

// What a search came to.
struct LeastSquaresReport {
  Tensors x;                 // the point, like the one at the start
  double cost = 0;           // half the sum of squares
  double gradient_norm = 0;  // of the cost
  int64_t iterations = 0, f_evaluations = 0, jacobian_evaluations = 0;
  int64_t curvature_evaluations = 0;  // second derivatives along a step
  bool converged = false;  // whether it is a minimum as far as the tolerances ask, or rounding lets
  std::string reason;      // a sentence that says why it ended
  Tensor residuals;        // (m): the elements of all results
  Tensor jacobian;         // (m, n): by the elements of x

  // s^2 (J^T J)^-1 with s^2 the sum of squares divided by m - n, a float64 matrix (n, n): the covariance of
  // the estimate x where the residuals' errors are independent and of equal variance. ValueError where m = n,
  // or where the residuals do not determine x: it names the elements concerned.
  Tensor covariance() const;
  // The roots of its diagonal, like x.
  Tensors standard_errors() const;
};
std::ostream& operator<<(std::ostream& out, const LeastSquaresReport& report);

// A point near x where the sum of squares of the function's results, all elements of all of them, is least.
// There must be as many residuals as elements of x, or more. Where a residual or a derivative is not finite,
// steps become shorter.
LeastSquaresReport least_squares(const Function& residuals, const Tensors& x,
                                 const LeastSquaresOptions& options = {});

class Steps;
using ResidualsClosure = std::function<Tensors()>;

// Fits parameters to the residuals that a closure returns for their present values. Parameters that do not
// require grad stay as they are.
class Fitter {
 public:
  explicit Fitter(Tensors parameters, LeastSquaresOptions options = {}, std::string name = "Fitter");
  ~Fitter();

  // Runs at most max_iter iterations and returns the cost at the start. The closure must be the same function
  // each time within a step. An exception leaves the parameters at the best point so far.
  Tensor step(const ResidualsClosure& closure);
  // On the last step; its x holds the values of the parameters that require grad.
  const LeastSquaresReport& report() const { return report_; }

  const Tensors& parameters() const { return parameters_; }
  const std::string& name() const { return name_; }
  // Of the next step; the method stays. A ValueError names an option that is out of range.
  void set_options(LeastSquaresOptions options);

  // What the method has learnt of the residuals, for a run that goes on with the same bits. load_state throws
  // ValueError or ShapeError where it does not fit, and changes nothing then.
  std::map<std::string, Tensor> state() const;
  void load_state(const std::map<std::string, Tensor>& state);

 private:
  Tensors parameters_;
  LeastSquaresOptions options_;
  std::string name_;  // in errors
  LeastSquaresReport report_;
  std::unique_ptr<Steps> steps_;    // null before the first step
  std::vector<int64_t> learnt_of_;  // the numbers of the parameters that it knows
};

struct LevenbergMarquardt : Fitter {
  explicit LevenbergMarquardt(Tensors parameters, LeastSquaresOptions options = {});
};
struct GaussNewton : Fitter {
  explicit GaussNewton(Tensors parameters, LeastSquaresOptions options = {});
};

}  // namespace tidu::optim
