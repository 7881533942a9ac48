// Jacobians by rows (reverse mode) and by columns (forward mode).
#include "transforms/jacobian.h"

#include <algorithm>

#include "autodiff/tape.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"
#include "transforms/transpose.h"
#include "transforms/vmap.h"

namespace tidu {

void check_differentiable(const Tensors& tensors, const char* what) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].defined()) fail<ValueError>("[jacobian] ", what, " ", i, " is an undefined tensor");
    if (is_floating(tensors[i].dtype())) continue;
    fail<DTypeError>("[jacobian] ", what, " ", i, " is ", describe(tensors[i]),
                     ": only floating-point tensors can be differentiated (convert it with astype, ",
                     "or leave it out)");
  }
}

namespace {

// d y / d x from its rows (reversed) or columns, along axis 0.
Tensor block(const Tensor& lines, Mode mode, const Tensor& y, const Tensor& x) {
  Shape shape = y.shape();
  for (int64_t extent : x.shape()) shape.push_back(extent);
  return reshape(mode == Mode::reverse ? lines : moveaxis(lines, 0, -1), shape);
}
Tensor empty_block(const Tensor& y, const Tensor& x) {
  Shape shape = y.shape();
  for (int64_t extent : x.shape()) shape.push_back(extent);
  return zeros(shape, y.dtype(), y.device());
}

Blocks jacobian_by_rows(const Vjp& at_primals, const Tensors& primals, Chunk chunk) {
  const Tensors& outputs = at_primals.outputs;
  Blocks blocks(outputs.size());
  for (size_t o = 0; o < outputs.size(); ++o) {
    const Function pull = [&](const Tensors& cotangent) {
      Tensors cotangents(outputs.size());
      cotangents[o] = cotangent[0];
      return at_primals.pullback(cotangents);
    };
    const Tensors rows = outputs[o].numel() > 0 ? images_of_basis(pull, outputs[o], chunk) : Tensors();
    for (size_t i = 0; i < primals.size(); ++i)
      blocks[o].push_back(rows.empty() ? empty_block(outputs[o], primals[i])
                                       : block(rows[i], Mode::reverse, outputs[o], primals[i]));
  }
  return blocks;
}

Blocks jacobian_by_columns(const Function& function, const Tensors& primals, Chunk chunk) {
  Tensors outputs;
  std::vector<Tensors> columns(primals.size());  // [i]: of each output, along the elements of primal i
  for (size_t i = 0; i < primals.size(); ++i) {
    if (primals[i].numel() == 0) continue;
    const Function push = [&](const Tensors& tangent) {
      Tensors tangents(primals.size());
      tangents[i] = tangent[0];
      Jvp along = jvp(function, primals, tangents);
      check_differentiable(along.outputs, "output");
      outputs = std::move(along.outputs);
      return std::move(along.tangents);
    };
    columns[i] = images_of_basis(push, primals[i], chunk);
  }
  if (outputs.empty()) {  // there is no element to differentiate by
    outputs = function(primals);
    check_differentiable(outputs, "output");
  }
  Blocks blocks(outputs.size());
  for (size_t o = 0; o < outputs.size(); ++o) {
    for (size_t i = 0; i < primals.size(); ++i)
      blocks[o].push_back(columns[i].empty() ? empty_block(outputs[o], primals[i])
                                             : block(columns[i][o], Mode::forward, outputs[o], primals[i]));
  }
  return blocks;
}

Vjp checked_vjp(const Function& function, const Tensors& primals) {
  check_differentiable(primals, "argument");
  Vjp at_primals = vjp(function, primals);
  check_differentiable(at_primals.outputs, "output");
  return at_primals;
}

Function gradient_of(const ScalarFunction& function) {
  return [&](const Tensors& inputs) { return value_and_grad(function, inputs).gradients; };
}

int64_t total_numel(const Tensors& tensors) {
  int64_t total = 0;
  for (const Tensor& tensor : tensors) total += tensor.numel();
  return total;
}

UnaryFunction of_one_tensor(Blocks (&matrix)(const Function&, const Tensors&, Chunk),
                            UnaryFunction function) {
  return [&matrix, function = std::move(function)](const Tensor& x) {
    return matrix([&](const Tensors& inputs) { return Tensors{function(inputs[0])}; }, {x}, {})[0][0];
  };
}

}  // namespace

Blocks jacrev(const Function& function, const Tensors& primals, Chunk chunk) {
  return jacobian_by_rows(checked_vjp(function, primals), primals, chunk);
}

Blocks jacfwd(const Function& function, const Tensors& primals, Chunk chunk) {
  check_differentiable(primals, "argument");
  return jacobian_by_columns(function, primals, chunk);
}

Tensors jacobian_of_graph(const Tensor& output, const Tensors& leaves) {
  const auto link_of = [](const Tensor& tensor) { return tensor.impl().link(Tape::ambient().id()); };
  const auto pull = [&](const Tensors& cotangents) {
    Tensors gradients;
    for (const Tensor& leaf : leaves) gradients.push_back(zeros(leaf.shape(), leaf.dtype(), leaf.device()));
    const Link* const link = link_of(output);
    if (!link) return gradients;
    const Root root{Ref<Node>(static_cast<Node*>(link->value.get())), link->index, cotangents[0]};
    pull_back({root}, true, [&](const Ref<Node>& node, Tensor gradient) {
      for (size_t i = 0; i < leaves.size(); ++i) {
        if (link_of(leaves[i]) && link_of(leaves[i])->value.get() == node.get()) gradients[i] = gradient;
      }
    });
    return gradients;
  };
  check_differentiable({output}, "output");
  const GradMode off(false);
  return jacobian_by_rows({{stop_gradient(output)}, pull}, leaves, {})[0];
}

Blocks jacobian(const Function& function, const Tensors& primals, Chunk chunk) {
  const Vjp at_primals = checked_vjp(function, primals);
  return jacobian_mode(at_primals.outputs, primals) == Mode::reverse
             ? jacobian_by_rows(at_primals, primals, chunk)
             : jacobian_by_columns(function, primals, chunk);
}

Mode jacobian_mode(const Tensors& outputs, const Tensors& primals) {
  return total_numel(outputs) <= total_numel(primals) ? Mode::reverse : Mode::forward;
}

Blocks hessian(const ScalarFunction& function, const Tensors& primals, Chunk chunk) {
  const Function gradient = gradient_of(function);
  try {
    return jacfwd(gradient, primals, chunk);
  } catch (const NotLinearError&) { return jacrev(gradient, primals, chunk); }
}

Tensor hessian_matrix(const ScalarFunction& function, const Tensors& primals) {
  Tensors rows;
  for (const Tensors& blocks : hessian(function, primals)) {
    Tensors row;
    for (size_t i = 0; i < blocks.size(); ++i) {
      const Shape shape{primals[rows.size()].numel(), primals[i].numel()};
      row.push_back(reshape(astype(stop_gradient(blocks[i]), DType::float64), shape));
    }
    rows.push_back(concat(row, 1));
  }
  return rows.empty() ? zeros({0, 0}, DType::float64) : concat(rows, 0);
}

Tensors hessian_diagonal(const ScalarFunction& function, const Tensors& primals) {
  check_differentiable(primals, "argument");
  const Function gradient = gradient_of(function);
  const Function product = [&]() -> Function {
    try {
      return linearize(gradient, primals).derivative;
    } catch (const NotLinearError&) { return vjp(gradient, primals).pullback; }
  }();
  Tensors result;
  for (size_t i = 0; i < primals.size(); ++i) {
    const Function of_one = [&](const Tensors& direction) {
      Tensors directions(primals.size());
      directions[i] = direction[0];
      return Tensors{product(directions)[i]};
    };
    result.push_back(diagonal_of_images(of_one, primals[i]));
  }
  return result;
}

UnaryFunction jacrev(UnaryFunction function) { return of_one_tensor(jacrev, std::move(function)); }

UnaryFunction jacfwd(UnaryFunction function) { return of_one_tensor(jacfwd, std::move(function)); }

UnaryFunction jacobian(UnaryFunction function) { return of_one_tensor(jacobian, std::move(function)); }

UnaryFunction hessian(UnaryFunction function) {
  return [function = std::move(function)](const Tensor& x) {
    return hessian([&](const Tensors& inputs) { return function(inputs[0]); }, {x})[0][0];
  };
}

UnaryFunction hessian_diagonal(UnaryFunction function) {
  return [function = std::move(function)](const Tensor& x) {
    return hessian_diagonal([&](const Tensors& inputs) { return function(inputs[0]); }, {x})[0];
  };
}

}  // namespace tidu
