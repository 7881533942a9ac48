// The least value of a function: of tensors by minimize, of a loss over parameters by LBFGS, NewtonCG,
// GradientDescent and GradientFlow. Each comes with a report.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "transforms/derivatives.h"

namespace tidu::optim {

// lbfgs: limited-memory BFGS with a line search that meets the strong Wolfe conditions (Nocedal and Wright,
// Numerical Optimization, 2nd edition, algorithms 7.5 and 3.5). newton_cg: Newton's method in a trust region
// with truncated conjugate gradients (algorithms 4.1 and 7.2), by products of the Hessian; it follows
// negative curvature. gradient_descent: steepest descent with the same line search. gradient_flow: the path
// x' = -grad f(x), by Runge-Kutta steps of adaptive length (Bogacki and Shampine 1989).
enum class Method : uint8_t { lbfgs, newton_cg, gradient_descent, gradient_flow };

struct Report;

struct MinimizeOptions {
  Method method = Method::lbfgs;
  // The norm of the gradient at which it ends: by default the square root of the dtype's epsilon.
  std::optional<double> gtol = {};
  // By default 1000, of descent and flow 10000; in a step over parameters 20.
  std::optional<int64_t> max_iter = {};
  int64_t history_size = 10;  // lbfgs: pairs that are kept
  double radius = 1;          // newton_cg: of the region at first
  // gradient_flow: where the path ends, and the error allowed in a step, atol + rtol |x|.
  double time = std::numeric_limits<double>::infinity(), rtol = 1e-3, atol = 1e-6;
  // Called after each iteration with how far it has come; true ends it.
  std::function<bool(const Report&)> callback = {};
};

// What a minimisation came to.
struct Report {
  Tensors x;  // the point, like the one at the start
  double value = 0;
  double gradient_norm = 0;  // over all tensors
  int64_t iterations = 0, f_evaluations = 0, gradient_evaluations = 0, hvp_evaluations = 0;
  bool converged = false;  // whether the gradient's norm came down to gtol
  std::string reason;      // a sentence that says why it ended
};
// Writes one line: "converged: the gradient's norm, 2.1e-09, is at most gtol = 1.49e-08; f = 3, ..".
std::ostream& operator<<(std::ostream& out, const Report& report);

// A point near x where a scalar function is least. It ends where the norm of the gradient is at most gtol,
// after max_iter iterations, or where no step lowers f; the report says which. Where f is not finite, steps
// become shorter.
Report minimize(const ScalarFunction& function, const Tensors& x, const MinimizeOptions& options = {});

class Descent;
using Closure = std::function<Tensor()>;

// Minimises the loss that a closure returns for the present values of parameters. Parameters that do not
// require grad stay as they are.
class Minimizer {
 public:
  explicit Minimizer(Tensors parameters, MinimizeOptions options = {}, std::string name = "Minimizer");
  ~Minimizer();

  // Runs at most max_iter iterations and returns the loss at the start. The closure must be the same function
  // each time within a step. It may call backward() on the loss, after dropping the gradients, but for
  // newton_cg, which needs the graph of the gradient. An exception leaves the parameters at the best point so
  // far.
  Tensor step(const Closure& closure);
  // On the last step; its x holds the values of the parameters that require grad.
  const Report& report() const { return report_; }

  const Tensors& parameters() const { return parameters_; }
  const std::string& name() const { return name_; }
  // Of the next step; the method stays. A ValueError names an option that is out of range.
  void set_options(MinimizeOptions options);

  // What the method has learnt of the loss, for a run that goes on with the same bits. load_state throws
  // ValueError or ShapeError where it does not fit, and changes nothing then.
  std::map<std::string, Tensor> state() const;
  void load_state(const std::map<std::string, Tensor>& state);

 private:
  Tensors parameters_;
  MinimizeOptions options_;
  std::string name_;  // in errors
  Report report_;
  std::unique_ptr<Descent> descent_;  // null before the first step
  std::vector<int64_t> learnt_of_;    // the numbers of the parameters that it knows
};

struct LBFGS : Minimizer {
  explicit LBFGS(Tensors parameters, MinimizeOptions options = {});
};
struct NewtonCG : Minimizer {
  explicit NewtonCG(Tensors parameters, MinimizeOptions options = {});
};
struct GradientDescent : Minimizer {
  explicit GradientDescent(Tensors parameters, MinimizeOptions options = {});
};
struct GradientFlow : Minimizer {
  explicit GradientFlow(Tensors parameters, MinimizeOptions options = {});
};

}  // namespace tidu::optim
