// The derivatives of functions: grad, vjp, jvp. They nest in each other, and in jet, to any depth.
#pragma once

#include <functional>

#include "core/trace.h"
#include "tensor/tensor.h"

namespace tidu {

using ScalarFunction = std::function<Tensor(const Tensors&)>;

struct Vjp {
  Tensors outputs;
  // v -> v^T J: a cotangent for each output (undefined: zero) gives one for each primal, of its shape. May be
  // called again.
  Function pullback;
};
// Evaluates `function` and keeps what its transposed derivative needs. All primals must be floating-point.
Vjp vjp(const Function& function, const Tensors& primals);
// The same with a pullback that leaves undefined what no cotangent comes to.
Vjp vjp_where_reached(const Function& function, const Tensors& primals);

// v^T J alone, for a v that is known: what the derivative needs goes as the cotangents pass it. Undefined for
// a primal that no cotangent comes to.
Tensors pull(const Function& function, const Tensors& primals, const Tensors& cotangents);

struct Jvp {
  Tensors outputs;
  Tensors tangents;  // J v, one of the shape of each output
};
// Evaluates `function` and its directional derivative. A tangent has its primal's shape and dtype; undefined:
// zero.
Jvp jvp(const Function& function, const Tensors& primals, const Tensors& tangents);

struct ValueAndGrad {
  Tensor value;
  Tensors gradients;  // one of the shape of each primal
};
// `function` must return one floating-point element.
ValueAndGrad value_and_grad(const ScalarFunction& function, const Tensors& primals);

// grad(f)(x, y ..) is the gradient of the scalar f by its argument number `argnum`, of that argument's shape.
template <class F> auto grad(F function, size_t argnum = 0) {
  return [function = std::move(function), argnum](const auto&... args) -> Tensor {
    const Tensors all{args...};
    const auto of_argument = [&](const Tensors& primals) {
      Tensors with = all;
      with.at(argnum) = primals[0];
      return [&]<size_t... I>(std::index_sequence<I...>) { return function(with[I]...); }
      (std::index_sequence_for<decltype(args)...>());
    };
    return value_and_grad(of_argument, {all.at(argnum)}).gradients[0];
  };
}

}  // namespace tidu
