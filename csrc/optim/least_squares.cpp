// Least squares of functions of tensors and over parameters.
#include "optim/least_squares.h"

#include <cmath>

#include "base/digits.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/matmul.h"
#include "optim/fit.h"
#include "optim/standard_errors.h"

namespace tidu::optim {
namespace {

void check_options(const LeastSquaresOptions& options, const std::string& op) {
  const auto check = [&](bool fits, const char* name, double value, const char* must) {
    if (!fits) fail<ValueError>("[", op, "] ", name, " is ", digits(value, 9), ", but must ", must);
  };
  for (const auto& [name, value] :
       {std::pair("ftol", options.ftol), {"xtol", options.xtol}, {"gtol", options.gtol}}) {
    if (value) check(*value >= 0, name, *value, "not be negative");
  }
  if (options.max_iter)
    check(*options.max_iter >= 0, "max_iter", static_cast<double>(*options.max_iter),
          "be an integer that is not negative");
  check(options.radius > 0 && std::isfinite(options.radius), "radius", options.radius, "be positive");
}

std::unique_ptr<Steps> make_steps(const LeastSquaresOptions& options) {
  return make_steps(options.method, options.radius);
}

LeastSquaresReport report_of(const Search& search) {
  const Fit& at = search.at;
  LeastSquaresReport report;
  const Residuals& residuals = search.residuals;
  report.x = residuals.split(at.x);
  report.cost = dot(at.residuals, at.residuals) / 2;
  report.residuals = astype(at.residuals, residuals.dtype());
  if (at.jacobian.defined()) {
    report.jacobian = astype(at.jacobian, residuals.dtype());
    report.gradient_norm = norm(matmul(at.residuals, at.jacobian));
  } else {
    report.jacobian = full({at.residuals.numel(), at.x.numel()}, NAN, residuals.dtype(), at.x.device());
    report.gradient_norm = NAN;
  }
  report.iterations = search.iterations;
  report.f_evaluations = residuals.f_evaluations();
  report.jacobian_evaluations = residuals.jacobian_evaluations();
  report.curvature_evaluations = residuals.curvature_evaluations();
  switch (search.end) {
    case End::zero:
    case End::orthogonal:
    case End::promise:
    case End::small_step:
    case End::rounding: report.converged = true; break;
    default: break;
  }
  report.reason = search.reason;
  return report;
}

// `keep` sees each point that lowers the sum of squares.
LeastSquaresReport fitted(Residuals& residuals, Steps& steps, const LeastSquaresOptions& options,
                          int64_t max_iter, const std::string& op,
                          const std::function<void(const Fit&)>& keep) {
  const Limits limits{.ftol = options.ftol.value_or(0),
                      .xtol = options.xtol,
                      .gtol = options.gtol,
                      .max_iter = options.max_iter.value_or(max_iter),
                      .acceleration = options.acceleration && options.method == LeastSquaresMethod::lm,
                      .check_counts = [&](int64_t m, int64_t n) {
                        if (m >= n) return;
                        fail<ValueError>("[", op, "] ", m, m == 1 ? " residual does" : " residuals do",
                                         " not determine ", n, " elements (add residuals, such as small ",
                                         "multiples of the elements, or use minimize)");
                      }};
  return report_of(search(residuals, steps, limits, [&](const Search& so_far) {
    keep(so_far.at);
    return so_far.iterations > 0 && options.callback && options.callback(report_of(so_far));
  }));
}

}  // namespace

Tensor LeastSquaresReport::covariance() const { return covariance_of(residuals, jacobian, x); }
Tensors LeastSquaresReport::standard_errors() const { return standard_errors_of(residuals, jacobian, x); }

std::ostream& operator<<(std::ostream& out, const LeastSquaresReport& report) {
  return out << (report.converged ? "converged: " : "not converged: ") << report.reason
             << "; cost = " << digits(report.cost, 9) << ", iterations " << report.iterations
             << ", evaluations of the residuals " << report.f_evaluations << ", of their Jacobian "
             << report.jacobian_evaluations << ", of second derivatives along a step "
             << report.curvature_evaluations;
}

LeastSquaresReport least_squares(const Function& function, const Tensors& x,
                                 const LeastSquaresOptions& options) {
  check_options(options, "least_squares");
  FunctionResiduals residuals(function, x, "least_squares");
  return fitted(residuals, *make_steps(options), options, 1000, "least_squares", [](const Fit&) {});
}

// --- Over parameters

Fitter::Fitter(Tensors parameters, LeastSquaresOptions options, std::string name)
    : parameters_(std::move(parameters)), options_(std::move(options)), name_(std::move(name)) {
  check_options(options_, name_);
  check_parameters(parameters_, name_);
}

Fitter::~Fitter() = default;

void Fitter::set_options(LeastSquaresOptions options) {
  check_options(options, name_);
  options.method = options_.method;
  options_ = std::move(options);
}

Tensor Fitter::step(const ResidualsClosure& closure) {
  std::vector<int64_t> numbers = trained_numbers(parameters_);
  ClosureResiduals residuals(numbered(parameters_, numbers), closure, name_);
  if (!steps_ || numbers != learnt_of_) steps_ = make_steps(options_);
  learnt_of_ = std::move(numbers);
  report_ = {};
  std::optional<double> first_cost;
  Tensor best = residuals.start();
  try {
    report_ = fitted(residuals, *steps_, options_, 20, name_, [&](const Fit& at) {
      if (!first_cost) first_cost = dot(at.residuals, at.residuals) / 2;
      best = at.x;
    });
  } catch (...) {
    residuals.put(residuals.split(best));
    throw;
  }
  residuals.put(report_.x);
  return full({}, first_cost.value_or(report_.cost), residuals.dtype());
}

std::map<std::string, Tensor> Fitter::state() const {
  if (!steps_) return {};
  std::map<std::string, Tensor> state = steps_->state();
  state["trained"] = tensor(std::span(learnt_of_), {std::ssize(learnt_of_)});
  return state;
}

void Fitter::load_state(const std::map<std::string, Tensor>& state) {
  std::unique_ptr<Steps> steps;
  std::vector<int64_t> numbers;
  if (!state.empty()) {
    numbers = numbers_in_state(state, parameters_, name_);
    steps = make_steps(options_);
    steps->restore(state, ClosureResiduals(numbered(parameters_, numbers), {}, name_).start().numel());
  }
  steps_ = std::move(steps);
  learnt_of_ = std::move(numbers);
}

namespace {

LeastSquaresOptions with(LeastSquaresOptions options, LeastSquaresMethod method) {
  options.method = method;
  return options;
}

}  // namespace

LevenbergMarquardt::LevenbergMarquardt(Tensors parameters, LeastSquaresOptions options)
    : Fitter(std::move(parameters), with(std::move(options), LeastSquaresMethod::lm), "LevenbergMarquardt") {}
GaussNewton::GaussNewton(Tensors parameters, LeastSquaresOptions options)
    : Fitter(std::move(parameters), with(std::move(options), LeastSquaresMethod::gauss_newton),
             "GaussNewton") {}

}  // namespace tidu::optim
