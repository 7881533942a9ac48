// The layers. Their parameters require grad and live on the device of the key that they are drawn from.
#pragma once

#include <memory>

#include "nn/module.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

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
using Relu = Activation<tidu::relu>;
using Gelu = Activation<tidu::gelu>;
using Silu = Activation<tidu::silu>;
using Softplus = Activation<tidu::softplus>;

class LeakyRelu : public Module {
 public:
  explicit LeakyRelu(double negative_slope = 0.01) : negative_slope_(negative_slope) {}
  Tensor forward(const Tensor& x) override { return leaky_relu(x, {negative_slope_}); }

 private:
  double negative_slope_;
};

class Elu : public Module {
 public:
  explicit Elu(double alpha = 1) : alpha_(alpha) {}
  Tensor forward(const Tensor& x) override { return elu(x, {alpha_}); }

 private:
  double alpha_;
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
