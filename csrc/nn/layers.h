// The layers. Their parameters require grad and live on the device of the key that they are drawn from.
#pragma once

#include <memory>

#include "nn/activations.h"
#include "nn/module.h"
#include "ops/elementwise.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace tidu::nn {

// x (.., inputs) -> x @ weight^T + bias (.., outputs). The weight begins xavier_uniform, the bias zero.
class Linear : public Module {
 public:
  Linear(int64_t inputs, int64_t outputs, const Tensor& key, bool with_bias = true);
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;

  Tensor weight;  // (outputs, inputs)
  Tensor bias;    // (outputs), or undefined
};

// Integer indices of any shape -> indices.shape + (dim,). The weight begins standard normal.
class Embedding : public Module {
 public:
  Embedding(int64_t count, int64_t dim, const Tensor& key);
  Tensor forward(const Tensor& indices) override;
  void members(MemberVisitor& visit) override;

  Tensor weight;  // (count, dim)
};

// layer_norm over trailing axes of `shape`; the weight begins one, the bias zero.
class LayerNorm : public Module {
 public:
  explicit LayerNorm(const Shape& shape, double eps = 1e-5, Device device = {});
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;

  Tensor weight, bias;

 private:
  double eps_;
};

// rms_norm over trailing axes of `shape`; the weight begins one.
class RMSNorm : public Module {
 public:
  explicit RMSNorm(const Shape& shape, double eps = 1e-5, Device device = {});
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;

  Tensor weight;

 private:
  double eps_;
};

// dropout in training, nothing otherwise. Each call takes a new key from the one it holds, which is a buffer.
class Dropout : public Module {
 public:
  Dropout(double p, const Tensor& key) : key(key), p_(p) {}
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;

  Tensor key;

 private:
  double p_;
};

// A function without parameters as a layer.
template <Tensor (*function)(const Tensor&)> class Activation : public Module {
 public:
  Tensor forward(const Tensor& x) override { return function(x); }
};
using Sigmoid = Activation<tidu::sigmoid>;
using Tanh = Activation<tidu::tanh>;
using ReLU = Activation<tidu::relu>;
using GELU = Activation<tidu::gelu>;
using SiLU = Activation<tidu::silu>;
using Softplus = Activation<tidu::softplus>;
using LogSigmoid = Activation<tidu::log_sigmoid>;
using Mish = Activation<tidu::mish>;
using SELU = Activation<nn::selu>;
using ReLU6 = Activation<nn::relu6>;
using Hardsigmoid = Activation<nn::hardsigmoid>;
using Hardswish = Activation<nn::hardswish>;
using Softsign = Activation<nn::softsign>;
using Tanhshrink = Activation<nn::tanhshrink>;

class LeakyReLU : public Module {
 public:
  explicit LeakyReLU(double negative_slope = 0.01) : negative_slope_(negative_slope) {}
  Tensor forward(const Tensor& x) override { return leaky_relu(x, {negative_slope_}); }

 private:
  double negative_slope_;
};

class ELU : public Module {
 public:
  explicit ELU(double alpha = 1) : alpha_(alpha) {}
  Tensor forward(const Tensor& x) override { return elu(x, {alpha_}); }

 private:
  double alpha_;
};

// x where it is positive, else weight x; the weight (count), one for each channel, axis 1, or for all, begins
// `init`.
class PReLU : public Module {
 public:
  explicit PReLU(int64_t count = 1, double init = 0.25, Device device = {});
  Tensor forward(const Tensor& x) override { return prelu(x, weight); }
  void members(MemberVisitor& visit) override { visit.parameter("weight", weight); }

  Tensor weight;
};

// exp(x) / sum(exp(x)) along an axis, and its logarithm.
class Softmax : public Module {
 public:
  explicit Softmax(int64_t axis = -1) : axis_(axis) {}
  Tensor forward(const Tensor& x) override { return softmax(x, axis_); }

 private:
  int64_t axis_;
};
class LogSoftmax : public Module {
 public:
  explicit LogSoftmax(int64_t axis = -1) : axis_(axis) {}
  Tensor forward(const Tensor& x) override { return log_softmax(x, axis_); }

 private:
  int64_t axis_;
};

// Its input: takes the place of a layer that is left out.
class Identity : public Module {
 public:
  Tensor forward(const Tensor& x) override { return x; }
};

// (n, a, b, ..) -> (n, a * b * ..)
class Flatten : public Module {
 public:
  Tensor forward(const Tensor& x) override;
};

// Layers one after another, named "0", "1" ..
class Sequential : public Module {
 public:
  template <std::derived_from<Module>... Layers>
  explicit Sequential(Layers... layers) : layers_{std::make_shared<Layers>(std::move(layers))...} {}
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;

 private:
  std::vector<std::shared_ptr<Module>> layers_;
};

}  // namespace tidu::nn
