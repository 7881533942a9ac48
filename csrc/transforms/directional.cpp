// Derivatives along directions.
#include "transforms/directional.h"

#include <memory>

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "program/recorder.h"
#include "transforms/transpose.h"
#include "transforms/unchanged.h"

namespace tidu {
namespace {

Function gradient_of(const ScalarFunction& function) {
  return [&](const Tensors& inputs) { return value_and_grad(function, inputs).gradients; };
}

Function of_list(const UnaryFunction& function) {
  return [&](const Tensors& inputs) { return Tensors{function(inputs.at(0))}; };
}
ScalarFunction scalar_of_list(const UnaryFunction& function) {
  return [&](const Tensors& inputs) { return function(inputs.at(0)); };
}

}  // namespace

Tensors directional_derivative(const Function& function, const Tensors& primals, const Tensors& direction) {
  return jvp(function, primals, direction).tangents;
}

Tensors steepest_direction(const ScalarFunction& function, const Tensors& primals) {
  const Tensors gradients = value_and_grad(function, primals).gradients;
  // Divided by the largest element first, so that no square overflows or vanishes.
  Tensor largest, total;
  for (const Tensor& g : gradients) {
    if (g.numel() == 0) continue;
    const Tensor top = max(abs(widened(g)));
    largest = largest.defined() ? maximum(largest, top) : top;
  }
  if (!largest.defined() || (!largest.is_abstract() && item<double>(largest) == 0))
    fail<ValueError>("[steepest_direction] the gradient is zero: no direction is the steepest");
  for (const Tensor& g : gradients) {
    const Tensor part = sum(square(widened(g) / largest));
    total = total.defined() ? total + part : part;
  }
  Tensors result;
  for (const Tensor& g : gradients) result.push_back(astype(widened(g) / largest / sqrt(total), g.dtype()));
  return result;
}

Linearized linearize(const Function& function, const Tensors& primals) {
  Linearized result;
  // What does not depend on the direction is computed now, and the rest written down.
  auto linear = std::make_shared<const Program>(record(
      [&](const Tensors& direction) {
        Jvp along = jvp(function, primals, direction);
        result.outputs = std::move(along.outputs);
        return std::move(along.tangents);
      },
      primals, Recorder::Fold::constants));
  std::vector<Spec> specs;
  for (const Tensor& primal : primals) specs.push_back(primal.spec());
  Unchanged kept(*linear);
  result.derivative = [linear = std::move(linear), specs = std::move(specs),
                       kept = std::move(kept)](const Tensors& direction) {
    kept.check("linearize");
    if (direction.size() != specs.size())
      fail<ValueError>("[linearize] takes one tangent a primal: ", specs.size(), ", not ", direction.size());
    Tensors filled;
    for (size_t i = 0; i < specs.size(); ++i) {
      const Spec& spec = specs[i];
      filled.push_back(direction[i].defined() ? direction[i] : zeros(spec.shape, spec.dtype, spec.device));
      if (filled[i].spec() == spec) continue;
      fail<ShapeError>("[linearize] tangent ", i, " is ", describe(filled[i]), " but must be like ", spec);
    }
    return (*linear)(filled);
  };
  return result;
}

Tensors hvp(const ScalarFunction& function, const Tensors& primals, const Tensors& direction) {
  try {
    return jvp(gradient_of(function), primals, direction).tangents;
  } catch (const NotLinearError&) { return vhp(function, primals, direction); }
}

Tensors vhp(const ScalarFunction& function, const Tensors& primals, const Tensors& direction) {
  return vjp(gradient_of(function), primals).pullback(direction);
}

Tensor directional_derivative(const UnaryFunction& function, const Tensor& x, const Tensor& direction) {
  return directional_derivative(of_list(function), {x}, {direction})[0];
}
Tensor steepest_direction(const UnaryFunction& function, const Tensor& x) {
  return steepest_direction(scalar_of_list(function), {x})[0];
}
Tensor hvp(const UnaryFunction& function, const Tensor& x, const Tensor& direction) {
  return hvp(scalar_of_list(function), {x}, {direction})[0];
}
Tensor vhp(const UnaryFunction& function, const Tensor& x, const Tensor& direction) {
  return vhp(scalar_of_list(function), {x}, {direction})[0];
}

UnaryFunction total_derivative(const UnaryFunction& function, const Tensor& x) {
  return [linear = linearize(of_list(function), {x}).derivative](const Tensor& direction) {
    return linear({direction})[0];
  };
}

}  // namespace tidu
