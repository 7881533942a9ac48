// The derivatives of functions.
#include "transforms/derivatives.h"

#include <algorithm>

#include "autodiff/jvp_trace.h"
#include "autodiff/tape.h"
#include "ops/creation.h"
#include "ops/shape.h"
#include "transforms/arguments.h"

namespace tidu {

void check_differentiable(const Tensor& primal, size_t i, const char* op) {
  if (!primal.defined()) fail<ValueError>("[", op, "] argument ", i, " is an undefined tensor");
  if (!is_differentiable(primal.dtype())) {
    fail<DTypeError>("[", op, "] argument ", i, " is ", describe(primal),
                     ": only floating-point tensors can be differentiated (convert it with astype, ",
                     "or leave it out of the differentiated arguments)");
  }
}

void check_like(const Tensor& vector, const Tensor& point, size_t i, const char* op, const char* what) {
  if (vector.shape() == point.shape() && vector.dtype() == point.dtype() && vector.device() == point.device())
    return;
  fail<ShapeError>("[", op, "] ", what, " ", i, " is ", describe(vector), " but must be like ",
                   describe(point));
}

void check_output(const Tensor& output, const char* op) {
  if (!output.defined()) fail<ValueError>("[", op, "] the function returned an undefined tensor");
}

Tensors fresh(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& tensor : tensors) result.push_back(alias(tensor));
  return result;
}

namespace {

std::vector<Spec> specs_of(const Tensors& tensors) {
  std::vector<Spec> specs;
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec());
  return specs;
}

// Zeros where a gradient is undefined.
Tensors filled(Tensors gradients, const std::vector<Spec>& specs) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) gradients[i] = zeros(specs[i].shape, specs[i].dtype, specs[i].device);
  }
  return gradients;
}

// A function evaluated with a tape of its own: the outputs and the way back.
struct Evaluation {
  Tensors outputs;
  std::vector<Root> roots;  // one an output, without a node where it does not depend on the inputs
  std::vector<Ref<Node>> leaves;

  Tensors pull(const Tensors& cotangents, bool retain_graph) const {
    std::vector<Root> seeded = roots;
    for (size_t i = 0; i < seeded.size(); ++i) seeded[i].cotangent = cotangents[i];
    Tensors result(leaves.size());
    pull_back(seeded, retain_graph, [&](const Ref<Node>& leaf, Tensor cotangent) {
      const auto found = std::ranges::find(leaves, leaf);
      if (found != leaves.end()) result[found - leaves.begin()] = std::move(cotangent);
    });
    return result;
  }
};

Evaluation evaluate(const Function& function, const Tensors& primals, const char* op) {
  for (size_t i = 0; i < primals.size(); ++i) check_differentiable(primals[i], i, op);
  Tape tape;
  Evaluation result;
  const Tensors inputs = fresh(primals);
  for (const Tensor& input : inputs) { result.leaves.push_back(tape.make_leaf(input)); }
  {
    const LiveTrace live(tape);
    result.outputs = function(inputs);
  }
  for (Tensor& output : result.outputs) {
    check_output(output, op);
    const Link* link = output.impl().link(tape.id());
    result.roots.push_back(link ? Root{Ref<Node>(static_cast<Node*>(link->value.get())), link->index, {}}
                                : Root{{}, 0, {}});
    output = alias(output);  // without the link to this tape, which would keep the graph
  }
  return result;
}

void check_cotangents(const Tensors& cotangents, const Tensors& outputs) {
  if (cotangents.size() != outputs.size()) {
    fail<ValueError>("[vjp] the pullback takes one cotangent an output: ", outputs.size(), ", not ",
                     cotangents.size());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (cotangents[i].defined()) check_like(cotangents[i], outputs[i], i, "vjp", "cotangent");
  }
}

}  // namespace

Vjp vjp(const Function& function, const Tensors& primals) {
  Vjp result = vjp_where_reached(function, primals);
  result.pullback = [pullback = std::move(result.pullback), specs = specs_of(primals)](
                        const Tensors& cotangents) { return filled(pullback(cotangents), specs); };
  return result;
}

Vjp vjp_where_reached(const Function& function, const Tensors& primals) {
  Evaluation at_primals = evaluate(function, primals, "vjp");
  Tensors outputs = at_primals.outputs;
  auto pullback = [at_primals = std::move(at_primals)](const Tensors& cotangents) {
    check_cotangents(cotangents, at_primals.outputs);
    return at_primals.pull(cotangents, true);
  };
  return {std::move(outputs), std::move(pullback)};
}

Tensors pull(const Function& function, const Tensors& primals, const Tensors& cotangents) {
  Evaluation at_primals = evaluate(function, primals, "vjp");
  check_cotangents(cotangents, at_primals.outputs);
  at_primals.outputs.clear();
  return at_primals.pull(cotangents, false);
}

Jvp jvp(const Function& function, const Tensors& primals, const Tensors& tangents) {
  if (tangents.size() != primals.size()) {
    fail<ValueError>("[jvp] takes one tangent a primal: ", primals.size(), ", not ", tangents.size());
  }
  for (size_t i = 0; i < primals.size(); ++i) {
    check_differentiable(primals[i], i, "jvp");
    if (tangents[i].defined()) check_like(tangents[i], primals[i], i, "jvp", "tangent");
  }
  JvpTrace trace;
  const Tensors inputs = fresh(primals);
  for (size_t i = 0; i < inputs.size(); ++i) trace.set_tangent(inputs[i], tangents[i]);
  Jvp result;
  {
    const LiveTrace live(trace);
    result.outputs = function(inputs);
  }
  for (Tensor& output : result.outputs) {
    check_output(output, "jvp");
    const Tensor tangent = trace.tangent(output);
    result.tangents.push_back(tangent.defined() ? tangent : zeros_like(output));
    output = alias(output);  // without the link to this trace
  }
  return result;
}

ValueAndGrad value_and_grad(const ScalarFunction& function, const Tensors& primals) {
  const Evaluation at_primals =
      evaluate([&](const Tensors& inputs) { return Tensors{function(inputs)}; }, primals, "grad");
  const Tensor& value = at_primals.outputs[0];
  if (is_complex(value.dtype())) {
    fail<DTypeError>("[grad] the function must return a real number, not ", describe(value),
                     " (take real, imag or abs of it, or use vjp)");
  }
  if (value.numel() != 1 || !is_differentiable(value.dtype())) {
    fail<ShapeError>("[grad] the function must return one floating-point element, not ", describe(value),
                     " (use vjp or jacobian)");
  }
  return {value, filled(at_primals.pull({ones_like(value)}, false), specs_of(primals))};
}

}  // namespace tidu
