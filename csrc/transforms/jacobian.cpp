// Jacobians by rows (reverse mode) and by columns (forward mode).
#include "transforms/jacobian.h"

#include <algorithm>

#include "autodiff/transpose.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void check_differentiable(const Tensors& tensors, const char* what) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].defined()) fail<ValueError>("[jacobian] ", what, " ", i, " is an undefined tensor");
    if (is_differentiable(tensors[i].dtype())) continue;
    fail<DTypeError>("[jacobian] ", what, " ", i, " is ", describe(tensors[i]),
                     ": only floating-point tensors can be differentiated (convert it with astype, ",
                     "or leave it out)");
  }
}

// The unit vectors of the shape of a tensor, all of them views of 0 .. 0 1 0 .. 0: vector i has the one at i.
class Basis {
 public:
  explicit Basis(const Tensor& like)
      : shape_(like.shape()),
        size_(like.numel()),
        window_(pad(ones({1}, like.dtype(), like.device()), {margin()}, {margin()})) {}

  int64_t size() const { return size_; }
  Tensor operator[](int64_t i) const {
    return reshape(slice_axis(window_, 0, margin() - i, margin() - i + size_), shape_);
  }

 private:
  int64_t margin() const { return std::max<int64_t>(size_ - 1, 0); }

  Shape shape_;
  int64_t size_;
  Tensor window_;
};

// d y / d x from its rows (along axis 0) or columns (along axis -1).
Tensor block(const Tensors& lines, int64_t axis, const Tensor& y, const Tensor& x) {
  Shape shape = y.shape();
  for (int64_t extent : x.shape()) shape.push_back(extent);
  return lines.empty() ? zeros(shape, y.dtype(), y.device()) : reshape(stack(lines, axis), shape);
}

Blocks jacobian_by_rows(const Vjp& at_primals, const Tensors& primals) {
  const Tensors& outputs = at_primals.outputs;
  Blocks blocks(outputs.size());
  for (size_t o = 0; o < outputs.size(); ++o) {
    std::vector<Tensors> rows(primals.size());
    const Basis basis(outputs[o]);
    Tensors cotangents(outputs.size());
    for (int64_t k = 0; k < basis.size(); ++k) {
      cotangents[o] = basis[k];
      const Tensors row = at_primals.pullback(cotangents);
      for (size_t i = 0; i < primals.size(); ++i) rows[i].push_back(row[i]);
    }
    for (size_t i = 0; i < primals.size(); ++i)
      blocks[o].push_back(block(rows[i], 0, outputs[o], primals[i]));
  }
  return blocks;
}

Blocks jacobian_by_columns(const Function& function, const Tensors& primals) {
  Tensors outputs;
  std::vector<std::vector<Tensors>> columns(primals.size());  // [i][k]: of each output, along element k
  for (size_t i = 0; i < primals.size(); ++i) {
    const Basis basis(primals[i]);
    Tensors tangents(primals.size());
    for (int64_t k = 0; k < basis.size(); ++k) {
      tangents[i] = basis[k];
      Jvp along = jvp(function, primals, tangents);
      check_differentiable(along.outputs, "output");
      outputs = std::move(along.outputs);
      columns[i].push_back(std::move(along.tangents));
    }
  }
  if (outputs.empty()) {  // there is no element to differentiate by
    outputs = function(primals);
    check_differentiable(outputs, "output");
  }
  Blocks blocks(outputs.size());
  for (size_t o = 0; o < outputs.size(); ++o) {
    for (size_t i = 0; i < primals.size(); ++i) {
      Tensors of_output;
      for (const Tensors& column : columns[i]) of_output.push_back(column.at(o));
      blocks[o].push_back(block(of_output, -1, outputs[o], primals[i]));
    }
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

UnaryFunction of_one_tensor(Blocks (&matrix)(const Function&, const Tensors&), UnaryFunction function) {
  return [&matrix, function = std::move(function)](const Tensor& x) {
    return matrix([&](const Tensors& inputs) { return Tensors{function(inputs[0])}; }, {x})[0][0];
  };
}

}  // namespace

Blocks jacrev(const Function& function, const Tensors& primals) {
  return jacobian_by_rows(checked_vjp(function, primals), primals);
}

Blocks jacfwd(const Function& function, const Tensors& primals) {
  check_differentiable(primals, "argument");
  return jacobian_by_columns(function, primals);
}

Blocks jacobian(const Function& function, const Tensors& primals) {
  const Vjp at_primals = checked_vjp(function, primals);
  return jacobian_mode(at_primals.outputs, primals) == Mode::reverse ? jacobian_by_rows(at_primals, primals)
                                                                     : jacobian_by_columns(function, primals);
}

Mode jacobian_mode(const Tensors& outputs, const Tensors& primals) {
  return total_numel(outputs) <= total_numel(primals) ? Mode::reverse : Mode::forward;
}

Blocks hessian(const ScalarFunction& function, const Tensors& primals) {
  const Function gradient = gradient_of(function);
  try {
    return jacfwd(gradient, primals);
  } catch (const NotLinearError&) { return jacrev(gradient, primals); }
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
    const Basis basis(primals[i]);
    Tensors direction(primals.size()), elements;
    for (int64_t k = 0; k < basis.size(); ++k) {
      direction[i] = basis[k];
      elements.push_back(flatten(product(direction)[i])[k]);
    }
    result.push_back(elements.empty() ? zeros_like(primals[i])
                                      : reshape(stack(elements, 0), primals[i].shape()));
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
