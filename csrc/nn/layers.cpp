// The layers.
#include "nn/layers.h"

#include "nn/functional.h"
#include "nn/init.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/matmul.h"
#include "ops/random.h"

namespace tidu::nn {

Linear::Linear(int64_t inputs, int64_t outputs, const Tensor& key, bool with_bias)
    : weight(xavier_uniform(key, {outputs, inputs})) {
  weight.set_requires_grad();
  if (with_bias) bias = zeros({outputs}, kDefaultFloat, key.device()).set_requires_grad();
}
Tensor Linear::forward(const Tensor& x) { return linear(x, weight, bias); }
void Linear::members(MemberVisitor& visit) {
  visit.parameter("weight", weight);
  visit.parameter("bias", bias);
}

Embedding::Embedding(int64_t count, int64_t dim, const Tensor& key)
    : weight(random_normal(key, {count, dim})) {
  weight.set_requires_grad();
}
Tensor Embedding::forward(const Tensor& indices) { return embedding(indices, weight); }
void Embedding::members(MemberVisitor& visit) { visit.parameter("weight", weight); }

LayerNorm::LayerNorm(const Shape& shape, double eps, Device device)
    : weight(ones(shape, kDefaultFloat, device)), bias(zeros(shape, kDefaultFloat, device)), eps_(eps) {
  weight.set_requires_grad();
  bias.set_requires_grad();
}
Tensor LayerNorm::forward(const Tensor& x) { return layer_norm(x, weight.shape(), weight, bias, eps_); }
void LayerNorm::members(MemberVisitor& visit) {
  visit.parameter("weight", weight);
  visit.parameter("bias", bias);
}

RMSNorm::RMSNorm(const Shape& shape, double eps, Device device)
    : weight(ones(shape, kDefaultFloat, device)), eps_(eps) {
  weight.set_requires_grad();
}
Tensor RMSNorm::forward(const Tensor& x) { return rms_norm(x, weight.shape(), weight, eps_); }
void RMSNorm::members(MemberVisitor& visit) { visit.parameter("weight", weight); }

Tensor Dropout::forward(const Tensor& x) {
  if (!training() || p_ == 0) return x;
  const Tensor keys = random_split(key);
  key = copy(select(keys, 0, 0));
  return dropout(x, p_, select(keys, 0, 1));
}
void Dropout::members(MemberVisitor& visit) { visit.buffer("key", key); }

PReLU::PReLU(int64_t count, double init, Device device) : weight(full({count}, init, kDefaultFloat, device)) {
  weight.set_requires_grad();
}

Tensor Flatten::forward(const Tensor& x) {
  if (x.ndim() == 0) fail<ShapeError>("[Flatten] needs a first axis to keep, not ", describe(x));
  int64_t rest = 1;
  for (int axis = 1; axis < x.ndim(); ++axis) rest *= x.size(axis);
  return reshape(x, {x.size(0), rest});
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& layer : layers_) y = layer->forward(y);
  return y;
}
void Sequential::members(MemberVisitor& visit) {
  for (size_t i = 0; i < layers_.size(); ++i) visit.module(std::to_string(i), *layers_[i]);
}

}  // namespace tidu::nn
