// Objectives: values, gradients and products of the Hessian, counted.
#include "optim/objective.h"

#include <algorithm>

#include "core/host_lock.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "transforms/directional.h"
#include "transforms/joined.h"

namespace tidu::optim {
// --- Objective

Sample Objective::evaluate(const Tensor& x) {
  ++f_evaluations_;
  const ValueAndGrad found = value_and_gradients(x);
  coarsen(found.value.dtype());
  const Tensor gradient = join(found.gradients, dtype());
  Sample sample{x, item<double>(found.value), gradient, norm(gradient)};
  if (sample.is_finite() && (!best_ || change(*best_, sample) < 0)) best_ = sample;
  return sample;
}

Tensor Objective::hvp(const Sample& at, const Tensor& vector) {
  ++hvp_evaluations_;
  answer_signals();
  return join(product(at, split(vector)), dtype());
}

bool Objective::is_drowned(double difference, const Sample& a, const Sample& b) const {
  return !(std::abs(difference) > 10 * epsilon() * std::max(std::abs(a.value), std::abs(b.value)));
}

double Objective::change(const Sample& a, const Sample& b, double slope_at_a, double slope_at_b) const {
  const double difference = b.value - a.value;
  return is_drowned(difference, a, b) ? (slope_at_a + slope_at_b) / 2 : difference;
}

double Objective::change(const Sample& a, const Sample& b) const {
  const double difference = b.value - a.value;
  if (!is_drowned(difference, a, b)) return difference;
  const Tensor along = b.x - a.x;
  return (dot(a.gradient, along) + dot(b.gradient, along)) / 2;
}

// --- FunctionObjective

FunctionObjective::FunctionObjective(const ScalarFunction& function, const Tensors& primals)
    : Objective(detached(primals, "minimize")), function_(function) {}

ValueAndGrad FunctionObjective::value_and_gradients(const Tensor& x) {
  std::optional<GradMode> off;
  if (is_hidden_) off.emplace(false);
  ValueAndGrad found = value_and_grad(function_, split(x));
  check_numbers({found.value}, "minimize");
  is_hidden_ = is_hidden_ || differentiated(found.value) != Differentiated::no;
  found.value = stop_gradient(found.value);
  return found;
}

Tensors FunctionObjective::product(const Sample& at, const Tensors& direction) {
  const GradMode off(false);
  return tidu::hvp(function_, split(at.x), direction);
}

// --- LossObjective

LossObjective::LossObjective(Tensors parameters, const Closure& closure, std::string op, bool twice)
    : Objective(std::move(parameters)), closure_(closure), op_(std::move(op)), twice_(twice) {}

void LossObjective::put(const Tensors& parts) {
  graph_at_ = {};
  graph_.clear();
  optim::put(leaves(), parts);
}

Tensors LossObjective::gradients() const {
  Tensors result;
  for (const Tensor& leaf : leaves()) {
    const Tensor gradient = leaf.grad();
    result.push_back(gradient.defined() ? gradient : zeros(leaf.shape(), leaf.dtype(), leaf.device()));
  }
  return result;
}

ValueAndGrad LossObjective::value_and_gradients(const Tensor& x) {
  put(split(x));
  const Tensor loss = [&] {
    const GradMode on(true);
    return closure_();
  }();
  if (!loss.defined() || loss.numel() != 1 || !is_floating(loss.dtype())) {
    fail<DTypeError>("[", op_, "] the closure must return the loss, one floating-point element, not ",
                     loss.defined() ? describe(loss) : "an undefined tensor");
  }
  check_numbers({loss}, op_);
  if (!first_loss_.defined()) first_loss_ = stop_gradient(loss);
  const bool untouched =
      std::ranges::none_of(leaves(), [](const Tensor& leaf) { return leaf.grad().defined(); });
  if (!untouched && twice_) {
    fail<ValueError>("[", op_,
                     "] the closure must leave backward() to the optimiser, which needs the graph of the "
                     "gradient (return the loss alone)");
  }
  if (untouched && !leaves().empty()) {
    const GradMode on(true);
    loss.backward({}, false, twice_);
  }
  if (twice_) {
    graph_at_ = x;
    for (const Tensor& leaf : leaves()) graph_.push_back(leaf.grad());
  }
  return {loss, gradients()};
}

Tensors LossObjective::product(const Sample& at, const Tensors& direction) {
  if (!graph_at_.is_same(at.x)) evaluate(at.x);  // the parameters have been elsewhere since
  const GradMode on(true);
  Tensor slope;
  for (size_t i = 0; i < direction.size(); ++i) {
    if (!graph_[i].defined() || !graph_[i].requires_grad()) continue;
    const Tensor term = sum(graph_[i] * direction[i]);
    slope = slope.defined() ? slope + term : term;
  }
  for (const Tensor& leaf : leaves()) leaf.set_grad({});
  if (slope.defined()) slope.backward({}, true);
  return gradients();
}

}  // namespace tidu::optim
