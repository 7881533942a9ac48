// The derivatives of functions.
#include "autodiff/transforms.h"

#include <algorithm>

#include "autodiff/jvp_trace.h"
#include "autodiff/tape.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu {
namespace {

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

// Copies under new identities, so that nested transforms of one variable are not confused.
Tensors fresh(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& tensor : tensors) result.push_back(alias(tensor));
  return result;
}

Tensor basis_vector(const Tensor& like, int64_t i) {
  return reshape(one_hot(full({}, i, DType::int64, like.device()), like.numel(), like.dtype()), like.shape());
}

Shape joined(const Shape& a, const Shape& b) {
  Shape shape = a;
  for (int64_t extent : b) shape.push_back(extent);
  return shape;
}

// A function evaluated with a tape of its own: the outputs and the way back.
struct Evaluation {
  Tensors outputs;
  std::vector<Root> roots;  // one an output, without a node where it does not depend on the inputs
  std::vector<Ref<Node>> leaves;
  std::vector<Spec> specs;  // of the inputs

  Tensors pull(const Tensors& cotangents, bool retain_graph) const {
    std::vector<Root> seeded = roots;
    for (size_t i = 0; i < seeded.size(); ++i) seeded[i].cotangent = cotangents[i];
    Tensors result(leaves.size());
    pull_back(seeded, retain_graph, [&](const Ref<Node>& leaf, Tensor cotangent) {
      const auto found = std::ranges::find(leaves, leaf);
      if (found != leaves.end()) result[found - leaves.begin()] = std::move(cotangent);
    });
    for (size_t i = 0; i < result.size(); ++i) {
      if (!result[i].defined()) result[i] = zeros(specs[i].shape, specs[i].dtype, specs[i].device);
    }
    return result;
  }
};

Evaluation evaluate(const Function& function, const Tensors& primals, const char* op) {
  for (size_t i = 0; i < primals.size(); ++i) check_differentiable(primals[i], i, op);
  Tape tape;
  Evaluation result;
  const Tensors inputs = fresh(primals);
  for (const Tensor& input : inputs) {
    result.leaves.push_back(tape.watch(input));
    result.specs.push_back(input.spec());
  }
  {
    const LiveTrace live(tape);
    result.outputs = function(inputs);
  }
  for (Tensor& output : result.outputs) {
    const Link* link = output.impl().link(tape.id());
    result.roots.push_back(link ? Root{Ref<Node>(static_cast<Node*>(link->value.get())), link->index, {}}
                                : Root{{}, 0, {}});
    output = alias(output);  // without the link to this tape, which would keep the graph
  }
  return result;
}

Evaluation evaluate_unary(const UnaryFunction& function, const Tensor& x) {
  Evaluation at_x =
      evaluate([&](const Tensors& inputs) { return Tensors{function(inputs[0])}; }, {x}, "jacobian");
  check_differentiable(at_x.outputs[0], 0, "jacobian");
  return at_x;
}

Tensor jacobian_by_rows(const Evaluation& at_x, const Tensor& x) {
  const Tensor& y = at_x.outputs[0];
  const Shape shape = joined(y.shape(), x.shape());
  if (num_elements(shape) == 0) return zeros(shape, y.dtype(), y.device());
  Tensors rows;
  for (int64_t i = 0; i < y.numel(); ++i) rows.push_back(at_x.pull({basis_vector(y, i)}, true)[0]);
  return reshape(stack(rows, 0), shape);
}

}  // namespace

Vjp vjp(const Function& function, const Tensors& primals) {
  Evaluation at_primals = evaluate(function, primals, "vjp");
  Tensors outputs = at_primals.outputs;
  auto pullback = [at_primals = std::move(at_primals)](const Tensors& cotangents) {
    const Tensors& outputs = at_primals.outputs;
    if (cotangents.size() != outputs.size()) {
      fail<ValueError>("[vjp] the pullback takes one cotangent an output: ", outputs.size(), ", not ",
                       cotangents.size());
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (cotangents[i].defined()) check_like(cotangents[i], outputs[i], i, "vjp", "cotangent");
    }
    return at_primals.pull(cotangents, true);
  };
  return {std::move(outputs), std::move(pullback)};
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
  if (value.numel() != 1 || !is_differentiable(value.dtype())) {
    fail<ShapeError>("[grad] the function must return one floating-point element, not ", describe(value),
                     " (use vjp or jacobian)");
  }
  return {value, at_primals.pull({ones_like(value)}, false)};
}

Tensors hvp(const ScalarFunction& function, const Tensors& primals, const Tensors& tangents) {
  return jvp([&](const Tensors& inputs) { return value_and_grad(function, inputs).gradients; }, primals,
             tangents)
      .tangents;
}

UnaryFunction jacrev(UnaryFunction function) {
  return [function = std::move(function)](const Tensor& x) {
    return jacobian_by_rows(evaluate_unary(function, x), x);
  };
}

UnaryFunction jacfwd(UnaryFunction function) {
  return [function = std::move(function)](const Tensor& x) {
    if (x.numel() == 0) return jacobian_by_rows(evaluate_unary(function, x), x);
    Tensors columns;
    for (int64_t i = 0; i < x.numel(); ++i) {
      columns.push_back(
          jvp([&](const Tensors& inputs) { return Tensors{function(inputs[0])}; }, {x}, {basis_vector(x, i)})
              .tangents[0]);
    }
    const Shape y_shape = columns[0].shape();
    return reshape(stack(columns, -1), joined(y_shape, x.shape()));
  };
}

UnaryFunction jacobian(UnaryFunction function) {
  return [function = std::move(function)](const Tensor& x) {
    const Evaluation at_x = evaluate_unary(function, x);
    return at_x.outputs[0].numel() <= x.numel() ? jacobian_by_rows(at_x, x) : jacfwd(function)(x);
  };
}

UnaryFunction hessian(UnaryFunction function) { return jacfwd(grad(std::move(function))); }

}  // namespace tidu
