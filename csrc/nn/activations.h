// Activations made of rows of ops/elementwise.def, with their names and options in PyTorch; the others are
// rows themselves: relu, leaky_relu, elu, selu, silu, gelu, gelu_tanh, mish, hardtanh, hardsigmoid,
// hardswish, sigmoid, log_sigmoid, softsign, tanh, tanhshrink. Floats of 16 bits are computed in float32 and
// rounded once; integers become float32.
#pragma once

#include <optional>

#include "ops/elementwise.h"

namespace tidu::nn {

using tidu::hardsigmoid, tidu::hardswish, tidu::selu;

// log(1 + exp(beta x)) / beta. Where beta x exceeds a threshold x itself, as PyTorch has it; without one no
// approximation is made, nor needed.
Tensor softplus(const Tensor& x, double beta, std::optional<double> threshold = {});
Tensor celu(const Tensor& x, double alpha = 1);  // x where x > 0, else alpha (exp(x / alpha) - 1)
Tensor relu6(const Tensor& x);                   // x held in [0, 6]
Tensor softsign(const Tensor& x);                // x / (1 + |x|)
Tensor tanhshrink(const Tensor& x);              // x - tanh(x)
// x moved by lambd towards 0, and 0 where |x| <= lambd; the second leaves x in its place.
Tensor softshrink(const Tensor& x, double lambd = 0.5);
Tensor hardshrink(const Tensor& x, double lambd = 0.5);
Tensor threshold(const Tensor& x, double threshold, double value);  // x where it exceeds the threshold
// x where x > 0, else weight x: one weight, or one for each channel, axis 1.
Tensor prelu(const Tensor& x, const Tensor& weight);
// The first half along the axis times the sigmoid of the second.
Tensor glu(const Tensor& x, int64_t axis = -1);
Tensor softmin(const Tensor& x, int64_t axis = -1);  // softmax(-x)

}  // namespace tidu::nn
