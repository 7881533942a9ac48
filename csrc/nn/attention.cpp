// Attention and the Transformer's layers.
#include "nn/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/host_lock.h"
#include "core/trace.h"
#include "nn/init.h"
#include "ops/attention.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/matmul.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace tidu::nn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Where a causal query may not look: (L, S), true above the diagonal.
Tensor later(int64_t queries, int64_t keys, Device device) {
  return expand_dims(arange(queries, kDefaultInt, device), 1) < arange(keys, kDefaultInt, device);
}

Tensor checked_keys(int64_t embed_dim, int64_t num_heads, const Tensor& key) {
  if (num_heads <= 0 || embed_dim <= 0 || embed_dim % num_heads != 0)
    fail<ValueError>("[MultiheadAttention] embed_dim ", embed_dim, " is not a multiple of num_heads ",
                     num_heads);
  return random_split(key, 7);
}

Tensor drawn(const Tensor& keys, int64_t i, const Shape& shape) {
  return xavier_uniform(select(keys, 0, i), shape).set_requires_grad();
}

// Of keys behind those that masks know, which are looked at.
Tensor wider(const Tensor& mask, int64_t extra) {
  if (extra == 0) return mask;
  Shape shape = mask.shape();
  shape.back() = extra;
  return concat({mask, zeros(shape, mask.dtype(), mask.device())}, -1);
}

Tensor as_numbers(const Tensor& mask, DType dtype) {
  return mask.dtype() == DType::bool_ ? astype(where(mask, -kInfinity, 0.0), dtype) : mask;
}

// Both masks as scaled_dot_product_attention takes them, (N or 1, heads or 1, L or 1, S + extra), or nothing.
Tensor joined(const Tensor& attn_mask, const Tensor& padding, int64_t lanes, int64_t heads, int64_t extra,
              DType dtype) {
  Tensors masks;
  if (padding.defined())
    masks.push_back(
        wider(reshape(padding, {padding.numel() / padding.size(-1), 1, 1, padding.size(-1)}), extra));
  if (attn_mask.defined()) {
    const bool shared = attn_mask.ndim() == 2;
    masks.push_back(wider(
        reshape(attn_mask, {shared ? 1 : lanes, shared ? 1 : heads, attn_mask.size(-2), attn_mask.size(-1)}),
        extra));
  }
  if (masks.empty()) return {};
  if (std::ranges::all_of(masks, [](const Tensor& mask) { return mask.dtype() == DType::bool_; }))
    return logical_not(masks.size() == 1 ? masks[0] : logical_or(masks[0], masks[1]));
  const Tensor first = as_numbers(masks[0], dtype);
  return masks.size() == 1 ? first : first + as_numbers(masks[1], dtype);
}

}  // namespace

Tensor attention_weights(const Tensor& q, const Tensor& k, const Tensor& mask, bool causal,
                         std::optional<double> scale) {
  const bool is_wide = q.dtype() == DType::float64 || k.dtype() == DType::float64;
  const DType wide = is_wide ? DType::float64 : DType::float32;
  const double depth = static_cast<double>(std::max<int64_t>(q.size(-1), 1));
  Tensor scores =
      matmul(astype(q, wide) * scale.value_or(1 / std::sqrt(depth)), matrix_transpose(astype(k, wide)));
  if (mask.defined())
    scores = mask.dtype() == DType::bool_ ? where(mask, scores, -kInfinity) : scores + astype(mask, wide);
  if (causal) scores = where(later(scores.size(-2), scores.size(-1), scores.device()), -kInfinity, scores);
  if (!mask.defined() && scores.size(-1) > 0) return softmax(scores);
  const Tensor nowhere = all(scores == -kInfinity, Axes{-1}, true);
  return where(nowhere, 0.0, softmax(where(nowhere, 0.0, scores)));
}

// --- MultiheadAttention

MultiheadAttention::MultiheadAttention(int64_t embed_dim, int64_t num_heads, const Tensor& key,
                                       MultiheadOptions options)
    : MultiheadAttention(embed_dim, num_heads, options, checked_keys(embed_dim, num_heads, key)) {}

MultiheadAttention::MultiheadAttention(int64_t embed_dim, int64_t num_heads, MultiheadOptions options,
                                       const Tensor& keys)
    : out_proj(embed_dim, embed_dim, select(keys, 0, 5), options.bias),
      embed_dim_(embed_dim),
      num_heads_(num_heads),
      options_(options) {
  const int64_t kdim = options.kdim > 0 ? options.kdim : embed_dim;
  const int64_t vdim = options.vdim > 0 ? options.vdim : embed_dim;
  if (kdim == embed_dim && vdim == embed_dim) {
    in_proj_weight = drawn(keys, 0, {3 * embed_dim, embed_dim});
  } else {
    q_proj_weight = drawn(keys, 0, {embed_dim, embed_dim});
    k_proj_weight = drawn(keys, 1, {embed_dim, kdim});
    v_proj_weight = drawn(keys, 2, {embed_dim, vdim});
  }
  if (options.bias) in_proj_bias = zeros({3 * embed_dim}, kDefaultFloat, keys.device()).set_requires_grad();
  if (options.add_bias_kv) {
    const double std = 1 / std::sqrt(static_cast<double>(embed_dim));
    bias_k = (random_normal(select(keys, 0, 3), {1, 1, embed_dim}) * std).set_requires_grad();
    bias_v = (random_normal(select(keys, 0, 4), {1, 1, embed_dim}) * std).set_requires_grad();
  }
  if (options.dropout != 0) dropout.emplace(options.dropout, select(keys, 0, 6));
}

void MultiheadAttention::members(MemberVisitor& visit) {
  visit.parameter("in_proj_weight", in_proj_weight);
  visit.parameter("q_proj_weight", q_proj_weight);
  visit.parameter("k_proj_weight", k_proj_weight);
  visit.parameter("v_proj_weight", v_proj_weight);
  visit.parameter("in_proj_bias", in_proj_bias);
  visit.parameter("bias_k", bias_k);
  visit.parameter("bias_v", bias_v);
  visit.module("out_proj", out_proj);
  if (dropout) visit.module("dropout", *dropout);
}

Tensors MultiheadAttention::projected(const Tensor& query, const Tensor& key, const Tensor& value) const {
  const Dims thirds{embed_dim_, embed_dim_, embed_dim_};
  if (in_proj_weight.defined() && query.is_same(key) && key.is_same(value))
    return split(linear(query, in_proj_weight, in_proj_bias), thirds, -1);
  const Tensors weights = in_proj_weight.defined() ? split(in_proj_weight, thirds, 0)
                                                   : Tensors{q_proj_weight, k_proj_weight, v_proj_weight};
  const Tensors biases = in_proj_bias.defined() ? split(in_proj_bias, thirds, 0) : Tensors(3);
  const Tensor* const inputs[] = {&query, &key, &value};
  Tensors result;
  for (size_t i = 0; i < 3; ++i) result.push_back(linear(*inputs[i], weights[i], biases[i]));
  return result;
}

Attended MultiheadAttention::operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                                        const AttentionOptions& options) {
  if ((query.ndim() != 2 && query.ndim() != 3) || key.ndim() != query.ndim() || value.ndim() != query.ndim())
    fail<ShapeError>("[MultiheadAttention] query, key and value must have 3 axes, or 2 (no batch), not ",
                     query.shape(), ", ", key.shape(), ", ", value.shape());
  const bool alone = query.ndim() == 2;
  Tensors qkv = projected(query, key, value);
  for (Tensor& x : qkv) x = alone ? expand_dims(x, 0) : options_.batch_first ? x : swapaxes(x, 0, 1);
  Tensor &q = qkv[0], &k = qkv[1], &v = qkv[2];
  const int64_t lanes = q.size(0), length = k.size(1);
  Tensor attn_mask = options.masks.attn_mask;
  if (options.masks.causal) {
    const Tensor unseen = later(q.size(1), length, q.device());
    attn_mask = !attn_mask.defined()                ? unseen
                : attn_mask.dtype() == DType::bool_ ? logical_or(attn_mask, unseen)
                                                    : where(unseen, -kInfinity, attn_mask);
  }
  const Shape row{lanes, 1, embed_dim_};
  if (bias_k.defined()) {
    k = concat({k, broadcast_to(bias_k, row)}, 1);
    v = concat({v, broadcast_to(bias_v, row)}, 1);
  }
  if (options_.add_zero_attn) {
    k = concat({k, zeros(row, k.dtype(), k.device())}, 1);
    v = concat({v, zeros(row, v.dtype(), v.device())}, 1);
  }
  const Tensor mask =
      joined(attn_mask, options.masks.key_padding_mask, lanes, num_heads_, k.size(1) - length, q.dtype());
  for (Tensor& x : qkv)
    x = swapaxes(reshape(x, {lanes, x.size(1), num_heads_, embed_dim_ / num_heads_}), 1, 2);
  Attended result;
  if (options.need_weights || (dropout && training())) {
    Tensor weights = astype(attention_weights(q, k, mask), v.dtype());
    if (dropout) weights = (*dropout)(weights);
    result.y = matmul(weights, v);
    if (options.need_weights) result.weights = options.average_weights ? mean(weights, Axes{1}) : weights;
  } else {
    result.y = scaled_dot_product_attention(q, k, v, mask);
  }
  const Tensor y = swapaxes(result.y, 1, 2);
  result.y = out_proj(reshape(y, {lanes, y.size(1), embed_dim_}));
  if (alone) {
    result.y = select(result.y, 0, 0);
    if (result.weights.defined()) result.weights = select(result.weights, 0, 0);
  } else if (!options_.batch_first) {
    result.y = swapaxes(result.y, 0, 1);
  }
  return result;
}

// --- The Transformer's layers

Tensor TransformerLayer::Keys::operator()() { return select(keys, 0, next++); }

TransformerLayer::TransformerLayer(int64_t d_model, int64_t nhead, const TransformerOptions& options,
                                   bool decodes, Keys keys)
    : self_attn(d_model, nhead, keys(),
                {.dropout = options.dropout, .bias = options.bias, .batch_first = options.batch_first}),
      multihead_attn(
          decodes ? std::optional<MultiheadAttention>(std::in_place, d_model, nhead, keys(),
                                                      MultiheadOptions{.dropout = options.dropout,
                                                                       .bias = options.bias,
                                                                       .batch_first = options.batch_first})
                  : std::nullopt),
      linear1(d_model, options.dim_feedforward, keys(), options.bias),
      linear2(options.dim_feedforward, d_model, keys(), options.bias),
      activation_(options.activation),
      norm_first_(options.norm_first) {
  if (options.dropout != 0) dropout.emplace(options.dropout, keys());
  for (int i = 0; i < (decodes ? 3 : 2); ++i) {
    LayerNorm norm({d_model}, options.layer_norm_eps, linear1.weight.device());
    if (!options.bias) norm.bias = {};
    additions.push_back({norm, {}});
    if (options.dropout != 0) additions.back().dropout.emplace(options.dropout, keys());
  }
}

void TransformerLayer::members(MemberVisitor& visit) {
  visit.module("self_attn", self_attn);
  if (multihead_attn) visit.module("multihead_attn", *multihead_attn);
  visit.module("linear1", linear1);
  visit.module("linear2", linear2);
  if (dropout) visit.module("dropout", *dropout);
  for (size_t i = 0; i < additions.size(); ++i) {
    visit.module(str("norm", i + 1), additions[i].norm);
    if (additions[i].dropout) visit.module(str("dropout", i + 1), *additions[i].dropout);
  }
}

Tensor TransformerLayer::added(size_t i, const Tensor& x,
                               const std::function<Tensor(const Tensor&)>& function) {
  Addition& addition = additions[i];
  Tensor y = function(norm_first_ ? addition.norm(x) : x);
  if (addition.dropout) y = (*addition.dropout)(y);
  return norm_first_ ? x + y : addition.norm(x + y);
}

Tensor TransformerLayer::feed_forward(const Tensor& x) {
  const Tensor inner = activation_(linear1(x));
  return linear2(dropout ? (*dropout)(inner) : inner);
}

TransformerEncoderLayer::TransformerEncoderLayer(int64_t d_model, int64_t nhead, const Tensor& key,
                                                 const TransformerOptions& options)
    : TransformerLayer(d_model, nhead, options, false, {random_split(key, 8)}) {}

Tensor TransformerEncoderLayer::operator()(const Tensor& src, const AttentionMasks& masks) {
  const Tensor x = added(0, src, [&](const Tensor& at) {
    return self_attn(at, at, at, {.masks = masks, .need_weights = false}).y;
  });
  return added(1, x, [&](const Tensor& at) { return feed_forward(at); });
}

TransformerDecoderLayer::TransformerDecoderLayer(int64_t d_model, int64_t nhead, const Tensor& key,
                                                 const TransformerOptions& options)
    : TransformerLayer(d_model, nhead, options, true, {random_split(key, 8)}) {}

Tensor TransformerDecoderLayer::operator()(const Tensor& tgt, const Tensor& memory,
                                           const AttentionMasks& masks, const AttentionMasks& memory_masks) {
  Tensor x = added(0, tgt, [&](const Tensor& at) {
    return self_attn(at, at, at, {.masks = masks, .need_weights = false}).y;
  });
  x = added(1, x, [&](const Tensor& at) {
    return (*multihead_attn)(at, memory, memory, {.masks = memory_masks, .need_weights = false}).y;
  });
  return added(2, x, [&](const Tensor& at) { return feed_forward(at); });
}

// --- Stacks of them

namespace {

// Gives the tensors of a copied module memory of their own, and number i of several copies keys of its own.
class Parting : public MemberVisitor {
 public:
  explicit Parting(int64_t i) : i_(i) {}
  void parameter(const std::string&, Tensor& tensor) override {
    if (tensor.defined()) tensor = stop_gradient(copy(tensor)).set_requires_grad(tensor.requires_grad());
  }
  void buffer(const std::string&, Tensor& tensor) override { tensor = copy(tensor); }
  void module(const std::string&, Module& module) override {
    module.members(*this);
    if (auto* const dropout = dynamic_cast<Dropout*>(&module))
      dropout->key = random_fold_in(dropout->key, static_cast<uint64_t>(i_));
  }

 private:
  int64_t i_;
};

}  // namespace

template <class Layer>
TransformerStack<Layer>::TransformerStack(const Layer& layer, int64_t count, std::optional<LayerNorm> norm)
    : norm(std::move(norm)) {
  if (count < 0) fail<ValueError>("[TransformerStack] the number of layers, ", count, ", is negative");
  for (int64_t i = 0; i < count; ++i) {
    answer_signals();
    Parting(i).module("", layers.emplace_back(layer));
  }
}
template <class Layer> void TransformerStack<Layer>::members(MemberVisitor& visit) {
  for (size_t i = 0; i < layers.size(); ++i) visit.module(str("layers.", i), layers[i]);
  if (norm) visit.module("norm", *norm);
}
template <class Layer>
Tensor TransformerStack<Layer>::through(Tensor x,
                                        const std::function<Tensor(Layer& layer, const Tensor& x)>& step) {
  for (Layer& layer : layers) x = step(layer, x);
  return norm ? (*norm)(x) : x;
}
template class TransformerStack<TransformerEncoderLayer>;
template class TransformerStack<TransformerDecoderLayer>;

Tensor TransformerEncoder::operator()(const Tensor& src, const AttentionMasks& masks) {
  return through(src, [&](TransformerEncoderLayer& layer, const Tensor& x) { return layer(x, masks); });
}

Tensor TransformerDecoder::operator()(const Tensor& tgt, const Tensor& memory, const AttentionMasks& masks,
                                      const AttentionMasks& memory_masks) {
  return through(tgt, [&](TransformerDecoderLayer& layer, const Tensor& x) {
    return layer(x, memory, masks, memory_masks);
  });
}

}  // namespace tidu::nn
