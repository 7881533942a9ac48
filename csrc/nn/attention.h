// Attention and the Transformer's layers (Vaswani et al. 2017). They have the names, and from one key the
// numbers, of those of the Python package.
#pragma once

#include <optional>

#include "nn/layers.h"

namespace tidu::nn {

// softmax(scale q k^T + mask), (.., L, S) in float32 or float64; a row that the mask excludes entirely is 0.
// Arguments as those of scaled_dot_product_attention, which makes no such matrix.
Tensor attention_weights(const Tensor& q, const Tensor& k, const Tensor& mask = {}, bool causal = false,
                         std::optional<double> scale = {});

// Where a boolean key_padding_mask (N, S) or attn_mask (L, S) or (N num_heads, L, S) is true, nothing is
// looked at; those of numbers are added to the scores. Causal: no later position either.
struct AttentionMasks {
  Tensor key_padding_mask = {}, attn_mask = {};
  bool causal = false;
};
struct AttentionOptions {
  AttentionMasks masks = {};
  bool need_weights = true, average_weights = true;
};
struct Attended {
  Tensor y;
  Tensor weights;  // (N, L, S), means over heads, or (N, num_heads, L, S) unless averaged, or undefined
};

struct MultiheadOptions {
  double dropout = 0;
  bool bias = true, add_bias_kv = false, add_zero_attn = false;
  int64_t kdim = 0, vdim = 0;  // 0: embed_dim
  bool batch_first = false;
};
// Attention of num_heads heads: query (L, N, embed_dim), key (S, N, kdim) and value (S, N, vdim), or with
// batch_first (N, L, embed_dim) .., or without N. Called with x alone it attends to x, and gives no weights:
// without dropout no (L, S) matrix is needed then. Weights begin Glorot-uniform, in_proj_bias 0, bias_k and
// bias_v (1, 1, embed_dim) normal.
class MultiheadAttention : public Module {
 public:
  MultiheadAttention(int64_t embed_dim, int64_t num_heads, const Tensor& key, MultiheadOptions options = {});
  using Module::operator();
  Attended operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                      const AttentionOptions& options = {});
  Tensor forward(const Tensor& x) override { return (*this)(x, x, x, {.need_weights = false}).y; }
  void members(MemberVisitor& visit) override;

  Tensor in_proj_weight;  // (3 embed_dim, embed_dim), or, where kdim or vdim differ,
  Tensor q_proj_weight, k_proj_weight, v_proj_weight;  // (embed_dim, embed_dim), (.., kdim), (.., vdim)
  Tensor in_proj_bias, bias_k, bias_v;
  Linear out_proj;
  std::optional<Dropout> dropout;

 private:
  MultiheadAttention(int64_t embed_dim, int64_t num_heads, MultiheadOptions options, const Tensor& keys);
  Tensors projected(const Tensor& query, const Tensor& key, const Tensor& value) const;

  int64_t embed_dim_, num_heads_;
  MultiheadOptions options_;
};

struct TransformerOptions {
  int64_t dim_feedforward = 2048;
  double dropout = 0.1;
  std::function<Tensor(const Tensor&)> activation = [](const Tensor& x) { return tidu::relu(x); };
  double layer_norm_eps = 1e-5;
  bool batch_first = false, norm_first = false, bias = true;
};

// What encoder and decoder layers are made of: attentions and a network of two layers, each added to its
// input and normalised, behind or, with norm_first, before.
class TransformerLayer : public Module {
 public:
  void members(MemberVisitor& visit) override;

  MultiheadAttention self_attn;
  std::optional<MultiheadAttention> multihead_attn;  // a decoder's, to the encoder's output
  Linear linear1, linear2;
  std::optional<Dropout> dropout;
  struct Addition {
    LayerNorm norm;
    std::optional<Dropout> dropout;
  };
  std::vector<Addition> additions;  // norm1, dropout1, norm2 ..

 protected:
  struct Keys {
    Tensor keys;
    int64_t next = 0;
    Tensor operator()();
  };
  TransformerLayer(int64_t d_model, int64_t nhead, const TransformerOptions& options, bool decodes,
                   Keys keys);
  Tensor added(size_t i, const Tensor& x, const std::function<Tensor(const Tensor&)>& function);
  Tensor feed_forward(const Tensor& x);

 private:
  std::function<Tensor(const Tensor&)> activation_;
  bool norm_first_;
};
// (S, N, d_model), or with batch_first (N, S, d_model).
class TransformerEncoderLayer : public TransformerLayer {
 public:
  TransformerEncoderLayer(int64_t d_model, int64_t nhead, const Tensor& key,
                          const TransformerOptions& options = {});
  using Module::operator();
  Tensor operator()(const Tensor& src, const AttentionMasks& masks);
  Tensor forward(const Tensor& src) override { return (*this)(src, {}); }
};
// Of tgt and memory, the encoder's output: of the shape of tgt. Called with tgt alone it takes tgt for
// memory.
class TransformerDecoderLayer : public TransformerLayer {
 public:
  TransformerDecoderLayer(int64_t d_model, int64_t nhead, const Tensor& key,
                          const TransformerOptions& options = {});
  using Module::operator();
  Tensor operator()(const Tensor& tgt, const Tensor& memory, const AttentionMasks& masks = {},
                    const AttentionMasks& memory_masks = {});
  Tensor forward(const Tensor& tgt) override { return (*this)(tgt, tgt); }
};

// `count` copies of a layer one after another, "layers.0" .., and perhaps a norm. The copies begin with the
// same parameters; each drops out elements of its own.
template <class Layer> class TransformerStack : public Module {
 public:
  TransformerStack(const Layer& layer, int64_t count, std::optional<LayerNorm> norm = {});
  void members(MemberVisitor& visit) override;

  std::vector<Layer> layers;
  std::optional<LayerNorm> norm;

 protected:
  Tensor through(Tensor x, const std::function<Tensor(Layer& layer, const Tensor& x)>& step);
};
class TransformerEncoder : public TransformerStack<TransformerEncoderLayer> {
 public:
  using TransformerStack::TransformerStack;
  using Module::operator();
  Tensor operator()(const Tensor& src, const AttentionMasks& masks);
  Tensor forward(const Tensor& src) override { return (*this)(src, {}); }
};
// Called with tgt alone it takes tgt for memory.
class TransformerDecoder : public TransformerStack<TransformerDecoderLayer> {
 public:
  using TransformerStack::TransformerStack;
  using Module::operator();
  Tensor operator()(const Tensor& tgt, const Tensor& memory, const AttentionMasks& masks = {},
                    const AttentionMasks& memory_masks = {});
  Tensor forward(const Tensor& tgt) override { return (*this)(tgt, tgt); }
};

}  // namespace tidu::nn
