// Minimisation of functions of tensors and of losses over parameters.
#include "optim/minimize.h"

#include "core/trace.h"
#include "ops/creation.h"
#include "optim/descent.h"

namespace tidu::optim {

Report minimize(const ScalarFunction& function, const Tensors& x, const MinimizeOptions& options) {
  const auto descent = make_descent(options, "minimize");
  const bool slow = options.method == Method::gradient_descent || options.method == Method::gradient_flow;
  FunctionObjective objective(function, x);
  return descend(*descent, objective, options, slow ? 10000 : 1000);
}

Minimizer::Minimizer(Tensors parameters, MinimizeOptions options, std::string name)
    : parameters_(std::move(parameters)), options_(options), name_(std::move(name)) {
  check_options(options, name_);
  check_parameters(parameters_, name_);
}

Minimizer::~Minimizer() = default;

void Minimizer::set_options(MinimizeOptions options) {
  check_options(options, name_);
  options.method = options_.method;
  options_ = options;
}

Tensor Minimizer::step(const Closure& closure) {
  std::vector<int64_t> numbers = trained_numbers(parameters_);
  LossObjective loss(numbered(parameters_, numbers), closure, name_, options_.method == Method::newton_cg);
  if (!descent_ || numbers != learnt_of_) descent_ = make_descent(options_, name_);
  learnt_of_ = std::move(numbers);
  descent_->set_options(options_);
  report_ = {};
  try {
    report_ = descend(*descent_, loss, options_, 20);
  } catch (...) {
    if (loss.best()) loss.put(loss.split(loss.best()->x));
    throw;
  }
  loss.put(report_.x);
  return loss.first_loss();
}

std::map<std::string, Tensor> Minimizer::state() const {
  if (!descent_) return {};
  std::map<std::string, Tensor> state = descent_->state();
  state["trained"] = tensor(std::span(learnt_of_), {std::ssize(learnt_of_)});
  return state;
}

void Minimizer::load_state(const std::map<std::string, Tensor>& state) {
  std::unique_ptr<Descent> descent;
  std::vector<int64_t> numbers;
  if (!state.empty()) {
    numbers = numbers_in_state(state, parameters_, name_);
    descent = make_descent(options_, name_);
    descent->restore(state, LossObjective(numbered(parameters_, numbers), {}, name_, false).start());
  }
  descent_ = std::move(descent);
  learnt_of_ = std::move(numbers);
}

namespace {

MinimizeOptions with(MinimizeOptions options, Method method) {
  options.method = method;
  return options;
}

}  // namespace

LBFGS::LBFGS(Tensors parameters, MinimizeOptions options)
    : Minimizer(std::move(parameters), with(options, Method::lbfgs), "LBFGS") {}
NewtonCG::NewtonCG(Tensors parameters, MinimizeOptions options)
    : Minimizer(std::move(parameters), with(options, Method::newton_cg), "NewtonCG") {}
GradientDescent::GradientDescent(Tensors parameters, MinimizeOptions options)
    : Minimizer(std::move(parameters), with(options, Method::gradient_descent), "GradientDescent") {}
GradientFlow::GradientFlow(Tensors parameters, MinimizeOptions options)
    : Minimizer(std::move(parameters), with(options, Method::gradient_flow), "GradientFlow") {}

}  // namespace tidu::optim
