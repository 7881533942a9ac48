// Residuals, their Jacobian and their second derivative along a step, counted.
#include "optim/residuals.h"

#include "core/host_lock.h"
#include "core/trace.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "transforms/jacobian.h"
#include "transforms/jet.h"
#include "transforms/transpose.h"

namespace tidu::optim {

Tensor Residuals::evaluate(const Tensor& x) {
  ++f_evaluations_;
  answer_signals();
  return counted(residuals_at(x));
}

Tensor Residuals::jacobian(const Tensor& x) {
  ++jacobian_evaluations_;
  return counted(jacobian_at(x));
}

const Tensor& Residuals::counted(const Tensor& found) {
  if (count_ < 0) count_ = found.size(0);
  if (found.size(0) == count_) return found;
  fail<ShapeError>("[", op_, "] the function gave ", count_, " residuals at first, and now ", found.size(0),
                   " (their number must not depend on the point)");
}

Tensor Residuals::curvature(const Tensor& x, const Tensor& step) {
  const Tensor found = curvature_at(x, step);
  if (!found.defined()) return {};
  ++curvature_evaluations_;
  return counted(found);
}

Tensor Residuals::weighted_hessian(const Tensor& x, const Tensor& weights) {
  const Tensor found = weighted_hessian_at(x, weights);
  if (found.defined()) curvature_evaluations_ += x.numel();
  return found;
}

Tensor Residuals::joined(const Tensors& results) {
  if (results.empty()) fail<ValueError>("[", op_, "] the function returned no residuals");
  DType common = dtype();
  for (size_t i = 0; i < results.size(); ++i) {
    const Tensor& result = results[i];
    if (!result.defined() || !is_floating(result.dtype())) {
      fail<DTypeError>("[", op_, "] result ", i, " of the function is ",
                       result.defined() ? describe(result) : "an undefined tensor",
                       ": residuals must be floating-point tensors (convert it with astype)");
    }
    common = promote(common, result.dtype());
    coarsen(result.dtype());
  }
  const Device device = (leaves().empty() ? results : leaves())[0].device();
  Tensors parts;
  for (const Tensor& result : results) parts.push_back(astype(flatten(to(result, device)), common));
  return parts.size() == 1 ? parts[0] : concat(parts, 0);
}

// --- FunctionResiduals

FunctionResiduals::FunctionResiduals(const Function& function, const Tensors& primals, const char* op)
    : Residuals(detached(primals, op), op),
      flat_([this, function](const Tensors& x) { return Tensors{joined(function(split(x[0])))}; }) {}

Tensor FunctionResiduals::residuals_at(const Tensor& x) {
  std::optional<GradMode> off;
  if (is_hidden_) off.emplace(false);
  const Tensor found = flat_({x})[0];
  check_numbers({found}, op());
  is_hidden_ = is_hidden_ || differentiated(found) != Differentiated::no;
  return stop_gradient(found);
}

Tensor FunctionResiduals::jacobian_at(const Tensor& x) {
  const GradMode off(false);
  try {
    return tidu::jacobian(flat_, {x})[0][0];
  } catch (const NotLinearError&) { return jacrev(flat_, {x})[0][0]; }
}

Tensor FunctionResiduals::curvature_at(const Tensor& x, const Tensor& step) {
  if (!is_smooth_) return {};
  const GradMode off(false);
  try {
    return power_series(flat_, {x}, {{step, Tensor()}}).terms[0][1];
  } catch (const GradientError&) {  // a rule of the user's own that is not differentiable again
    is_smooth_ = false;
    return {};
  }
}

Tensor FunctionResiduals::weighted_hessian_at(const Tensor& x, const Tensor& weights) {
  if (!is_smooth_) return {};
  const GradMode off(false);
  try {
    return hessian_matrix([&](const Tensors& p) { return sum(flat_(p)[0] * weights); }, {x});
  } catch (const GradientError&) {
    is_smooth_ = false;
    return {};
  }
}

// --- ClosureResiduals

ClosureResiduals::ClosureResiduals(Tensors parameters, const ResidualsClosure& closure, std::string op)
    : Residuals(std::move(parameters), std::move(op)), closure_(closure) {}

void ClosureResiduals::put(const Tensors& values) {
  graph_at_ = {};
  graph_ = {};
  optim::put(leaves(), values);
}

Tensor ClosureResiduals::residuals_at(const Tensor& x) {
  put(split(x));
  {
    const GradMode on(true);
    graph_ = joined(closure_());
  }
  check_numbers({graph_}, op());
  graph_at_ = x;
  return stop_gradient(graph_);
}

Tensor ClosureResiduals::jacobian_at(const Tensor& x) {
  if (!graph_at_.defined() || !graph_at_.is_same(x)) evaluate(x);  // the parameters have been elsewhere since
  Tensors blocks;
  for (const Tensor& block : jacobian_of_graph(graph_, leaves())) {
    const Shape shape{graph_.numel(), block.numel() / graph_.numel()};
    blocks.push_back(to(astype(reshape(block, shape), dtype()), x.device()));
  }
  return concat(blocks, 1);
}

}  // namespace tidu::optim
