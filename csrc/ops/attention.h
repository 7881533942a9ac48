// Scaled dot-product attention.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

// softmax(scale q k^T + mask) v of q (.., L, D), k (.., S, D), v (.., S, E), leading axes broadcast: (.., L,
// E). The mask, perhaps undefined, broadcasts to (.., L, S): true where a query looks at a key, or numbers
// that are added. Causal: query i looks at keys up to i. A row that looks at nothing is 0. The scale is 1 /
// sqrt(D) by default. No (L, S) matrix is made, nor by the first derivative in reverse mode.
Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const Tensor& mask = {}, bool causal = false,
                                    std::optional<double> scale = {});

struct AttentionAttrs {
  bool causal = false;
  double scale = 1;
  void fields(auto&& field) const {
    field("causal", causal);
    field("scale", scale);
  }
};

// Which cotangents are wanted.
struct AttentionGradAttrs : AttentionAttrs {
  bool of_query = true, of_key = true, of_value = true;
  void fields(auto&& field) const {
    AttentionAttrs::fields(field);
    field("of_query", of_query);
    field("of_key", of_key);
    field("of_value", of_value);
  }
};

// Of a call of either primitive.
const AttentionAttrs& attention_attrs(const Call& call);

namespace primitives {
// AttentionAttrs: (q, k, v, and perhaps the mask (.., L, S)), of equal leading axes and one dtype, but for a
// boolean mask -> (y, logsumexp of the scores (.., L), in float32 where y has 16 bits)
extern Primitive attention;
// AttentionGradAttrs: (q, k, v, g, y, logsumexp, and perhaps the mask) -> the cotangents of q, k and v where
// g is that of y; one that is not wanted has no rows. y and logsumexp, which follow from the others, count as
// constants.
extern Primitive attention_grad;
}  // namespace primitives

}  // namespace tidu
