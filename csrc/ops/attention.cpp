// Scaled dot-product attention.
#include "ops/attention.h"
#include "ops/autocast.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace tidu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor sum_of(const Tensor& a, const Tensor& b) { return !a.defined() ? b : !b.defined() ? a : a + b; }

// What the rules are made of: a call's inputs and the weights p, as (L, S) matrices.
struct Weights {
  // `mask` is the place of the mask among the inputs.
  Weights(const Call& call, size_t mask)
      : scale(attention_attrs(call).scale),
        q(widened(call.inputs[0])),
        k(widened(call.inputs[1])),
        v(widened(call.inputs[2])) {
    Tensor scores = scaled(matmul(q, matrix_transpose(k)));
    if (call.inputs.size() > mask) {
      const Tensor& given = call.inputs[mask];
      scores = given.dtype() == DType::bool_ ? where(given, scores, -kInfinity) : scores + widened(given);
    }
    if (attention_attrs(call).causal) {
      const Tensor rows = expand_dims(arange(q.size(-2), kDefaultInt, q.device()), 1);
      scores = where(rows >= arange(k.size(-2), kDefaultInt, q.device()), scores, -kInfinity);
    }
    if (scores.size(-1) == 0) {
      p = scores;
      return;
    }
    const Tensor nothing = max(scores, Axes{-1}, true) == -kInfinity;
    p = where(nothing, 0, softmax(where(nothing, 0, scores)));
  }

  Tensor scaled(const Tensor& x) const { return x * scale; }
  static Tensor row_sum(const Tensor& x) { return sum(x, Axes{-1}, true); }
  // Of the scores, from tangents of q, k and the mask.
  Tensor scores(const Tensor& dq, const Tensor& dk, const Tensor& dmask) const {
    Tensor result;
    if (dq.defined()) result = scaled(matmul(widened(dq), matrix_transpose(k)));
    if (dk.defined()) result = sum_of(result, scaled(matmul(q, matrix_transpose(widened(dk)))));
    return dmask.defined() ? sum_of(result, widened(dmask)) : result;
  }
  // The slope of the weights along tangents of the scores; it is symmetric.
  Tensor slope(const Tensor& t) const {
    const Tensor weighted = multiply_no_nan(p, t);
    return weighted - multiply_no_nan(p, row_sum(weighted));
  }

  double scale;
  Tensor q, k, v, p;
};

constexpr size_t kMask = 3, kGradMask = 6;

Tensor tangent(Tangents tangents, size_t i) { return i < tangents.size() ? tangents[i] : Tensor(); }

const Custom attention_rule{
    .reads = [](Reads) -> Reads { return kAllInputs | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Weights at(call, kMask);
      const Tensor t = at.scores(tangents[0], tangents[1], tangent(tangents, kMask));
      Tensor y, logsumexp;
      if (t.defined()) {
        y = matmul(at.slope(t), at.v);
        logsumexp = sum(multiply_no_nan(at.p, t), Axes{-1});
      }
      if (tangents[2].defined()) y = sum_of(y, matmul(at.p, widened(tangents[2])));
      return {astype(y, call.inputs[0].dtype()), logsumexp};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const DType dtype = call.inputs[0].dtype();
      const Tensor &g = cotangents[0], &of_sums = cotangents[1];
      Tensors result(call.inputs.size());
      if (g.defined() && wanted & (kInput0 | kInput1 | kInput2)) {
        const bool has_mask = call.inputs.size() > kMask;
        Tensor inputs[] = {call.inputs[0],
                           call.inputs[1],
                           call.inputs[2],
                           g,
                           call.outputs[0],
                           call.outputs[1],
                           has_mask ? call.inputs[kMask] : Tensor()};
        // The slope of the scores is what is left of products of g with v after their mean, g with y, is
        // taken away: nothing of a y in 16 bits, where the rows of v are much alike.
        if (is_narrow(dtype) && wanted & (kInput0 | kInput1)) {
          for (const size_t i : {0, 1, 2, 3}) inputs[i] = widened(inputs[i]);
          if (has_mask && inputs[kGradMask].dtype() == dtype) inputs[kGradMask] = widened(inputs[kGradMask]);
          const Tensor of_call[] = {inputs[0], inputs[1], inputs[2], inputs[kGradMask]};
          bind(call.primitive, {of_call, size_t{3} + has_mask}, call.attrs, {inputs + 4, 2});
        }
        const bool of[3] = {(wanted & kInput0) != 0, (wanted & kInput1) != 0, (wanted & kInput2) != 0};
        const AttentionGradAttrs attrs{call.attrs.as<AttentionAttrs>(), of[0], of[1], of[2]};
        Attrs::OnStack<AttentionGradAttrs> on_stack(attrs);
        bind(primitives::attention_grad, {inputs, size_t{6} + has_mask}, on_stack.attrs(),
             {result.data(), 3});
        for (size_t i = 0; i < 3; ++i) result[i] = of[i] ? astype(result[i], dtype) : Tensor();
      }
      const bool by_mask = call.inputs.size() > kMask && wanted & input_bit(kMask);
      const bool by_sums = of_sums.defined() && wanted & (kInput0 | kInput1);
      if (!by_sums && !by_mask) return result;
      const Weights at(call, kMask);
      Tensor slope;  // the cotangent of the scores
      if (of_sums.defined()) {
        slope = multiply_no_nan(at.p, expand_dims(of_sums, -1));
        if (wanted & kInput0) result[0] = sum_of(result[0], astype(at.scaled(matmul(slope, at.k)), dtype));
        if (wanted & kInput1)
          result[1] = sum_of(result[1], astype(at.scaled(matmul(matrix_transpose(slope), at.q)), dtype));
      }
      if (by_mask) {
        if (g.defined()) slope = sum_of(slope, at.slope(matmul(widened(g), matrix_transpose(at.v))));
        result[kMask] = astype(slope, dtype);
      }
      return result;
    },
};

const Custom grad_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kInput1 | kInput2 | input_bit(3) | input_bit(kGradMask); },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const DType dtype = call.inputs[0].dtype();
      const auto& of = call.attrs.as<AttentionGradAttrs>();
      const bool of_scores = of.of_query || of.of_key;
      const Weights at(call, kGradMask);
      const Tensor g = widened(call.inputs[3]);
      const Tensor t = at.scores(tangents[0], tangents[1], tangent(tangents, kGradMask));
      Tensor slope, bent, dv;  // the latter tangents of the slope and of the third output
      if (t.defined()) {
        const Tensor dp = at.slope(t);
        if (of.of_value) dv = matmul(matrix_transpose(dp), g);
        if (of_scores) {
          const Tensor by_weights = matmul(g, matrix_transpose(at.v));
          const Tensor excess = by_weights - at.row_sum(multiply_no_nan(at.p, by_weights));
          bent = multiply_no_nan(dp, excess) -
                 multiply_no_nan(at.p, at.row_sum(multiply_no_nan(dp, by_weights)));
          if (tangents[0].defined() || tangents[1].defined()) slope = at.slope(by_weights);
        }
      }
      Tensor moved;
      if (tangents[3].defined()) {
        const Tensor dg = widened(tangents[3]);
        if (of_scores) moved = matmul(dg, matrix_transpose(at.v));
        if (of.of_value) dv = sum_of(dv, matmul(matrix_transpose(at.p), dg));
      }
      if (tangents[2].defined() && of_scores)
        moved = sum_of(moved, matmul(g, matrix_transpose(widened(tangents[2]))));
      if (moved.defined()) bent = sum_of(bent, at.slope(moved));
      Tensor dq, dk;
      if (bent.defined()) {
        if (of.of_query) dq = at.scaled(matmul(bent, at.k));
        if (of.of_key) dk = at.scaled(matmul(matrix_transpose(bent), at.q));
      }
      if (tangents[1].defined() && of.of_query)
        dq = sum_of(dq, at.scaled(matmul(slope, widened(tangents[1]))));
      if (tangents[0].defined() && of.of_key)
        dk = sum_of(dk, at.scaled(matmul(matrix_transpose(slope), widened(tangents[0]))));
      Tensors result{dq, dk, dv};
      for (Tensor& x : result) {
        if (x.defined()) x = astype(x, dtype);
      }
      return result;
    },
    .linear = input_bit(3),
};

// The leading axes of matrices, then others.
Shape with(const Shape& matrices, int64_t rows, std::optional<int64_t> columns = {}) {
  Shape shape(matrices.begin(), matrices.end() - 2);
  shape.push_back(rows);
  if (columns) shape.push_back(*columns);
  return shape;
}

DType sums_dtype(DType dtype) { return is_narrow(dtype) ? DType::float32 : dtype; }

// Of the first three inputs and the mask, if there is one.
void check_shapes(const SpecCall& call, size_t mask) {
  const Spec &q = call.inputs[0], &k = call.inputs[1], &v = call.inputs[2];
  bool fits = is_floating(q.dtype) && q.dtype == k.dtype && q.dtype == v.dtype && q.shape.size() >= 2 &&
              k.shape.size() == q.shape.size() && v.shape.size() == q.shape.size();
  if (fits) {
    const int64_t l = q.shape[q.shape.size() - 2], s = k.shape[k.shape.size() - 2];
    fits = k.shape == with(q.shape, s, q.shape.back()) && v.shape == with(q.shape, s, v.shape.back());
    if (fits && call.inputs.size() > mask) {
      const Spec& given = call.inputs[mask];
      fits = given.shape == with(q.shape, l, s) && (given.dtype == DType::bool_ || given.dtype == q.dtype);
    }
  }
  require(fits, call, "query, key, value and mask do not fit");
}

void check_attention(const SpecCall& call, size_t) { check_shapes(call, kMask); }

void check_grad(const SpecCall& call, size_t) {
  check_shapes(call, kGradMask);
  const Spec &q = call.inputs[0], &v = call.inputs[2];
  const int64_t l = q.shape[q.shape.size() - 2];
  const Shape y = with(q.shape, l, v.shape.back());
  require(call.inputs[3].shape == y && call.inputs[4].shape == y && call.inputs[3].dtype == q.dtype &&
              call.inputs[4].dtype == q.dtype && call.inputs[5].shape == with(q.shape, l) &&
              call.inputs[5].dtype == sums_dtype(q.dtype),
          call, "the cotangent and the results do not fit");
}

// How often a query meets a key.
int64_t meetings(const SpecCall& call) {
  const Shape &q = call.inputs[0].shape, &k = call.inputs[1].shape;
  return num_elements(with(q, q[q.size() - 2], k[k.size() - 2]));
}

}  // namespace

const AttentionAttrs& attention_attrs(const Call& call) {
  if (&call.primitive == &primitives::attention) return call.attrs.as<AttentionAttrs>();
  return call.attrs.as<AttentionGradAttrs>();
}

namespace primitives {
// | `attention` | $Y = P V$, $P = \mathrm{softmax}(S)$ of each row, $S = s Q K^T + M$ | $\dot Y = \dot P V +
// P \dot V$ with $\dot P = J \dot S$, $J U = P \odot (U - \langle P \odot U \rangle)$, sums over rows, $\dot
// S = s (\dot Q K^T + Q \dot K^T) + \dot M$ | $\bar S = J (\bar Y V^T)$, $\bar Q = s \bar S K$, $\bar K = s
// \bar S^T Q$, $\bar V = P^T \bar Y$, $\bar M = \bar S$ |
Primitive attention("attention",
                    {.batching = batch_by_fields,
                     .attrs = AttentionAttrs{},
                     .inputs = {3, 4},
                     .check = check_attention,
                     .infer =
                         [](const SpecCall& call, std::span<Spec> outputs) {
                           const Spec &q = call.inputs[0], &v = call.inputs[2];
                           const int64_t l = q.shape[q.shape.size() - 2];
                           outputs[0] = {with(q.shape, l, v.shape.back()), q.dtype, q.device};
                           outputs[1] = {with(q.shape, l), sums_dtype(q.dtype), q.device};
                         },
                     .derivative = attention_rule,
                     .num_outputs = 2,
                     .flops = [](const SpecCall& call, std::span<const Spec>) -> Flops {
                       const int64_t n = meetings(call);
                       return {n * (call.inputs[0].shape.back() + call.inputs[2].shape.back()), 4 * n, n};
                     }});
// | `attention_grad` | $\bar Q$, $\bar K$ and $\bar V$ of $Q$, $K$, $V$, $M$ and $G = \bar Y$ | $\dot{\bar S}
// = \dot P \odot (D - \langle P \odot D \rangle) - P \odot \langle \dot P \odot D \rangle + J (\dot G V^T + G
// \dot V^T)$ with $D = G V^T$; $\dot{\bar Q} = s (\dot{\bar S} K + \bar S \dot K)$, $\dot{\bar K} = s
// (\dot{\bar S}^T Q + \bar S^T \dot Q)$, $\dot{\bar V} = \dot P^T G + P^T \dot G$ | the transpose of it |
Primitive attention_grad("attention_grad",
                         {.batching = batch_by_fields,
                          .attrs = AttentionGradAttrs{},
                          .inputs = {6, 7},
                          .check = check_grad,
                          .infer =
                              [](const SpecCall& call, std::span<Spec> outputs) {
                                const auto& of = call.attrs.as<AttentionGradAttrs>();
                                const bool wanted[] = {of.of_query, of.of_key, of.of_value};
                                for (size_t i = 0; i < 3; ++i) {
                                  outputs[i] = call.inputs[i];
                                  if (!wanted[i]) outputs[i].shape[outputs[i].shape.size() - 2] = 0;
                                }
                              },
                          .derivative = grad_rule,
                          .num_outputs = 3,
                          .flops = [](const SpecCall& call, std::span<const Spec>) -> Flops {
                            const auto& of = call.attrs.as<AttentionGradAttrs>();
                            const int64_t n = meetings(call), slopes = of.of_query || of.of_key;
                            return {n * ((1 + of.of_query + of.of_key) * call.inputs[0].shape.back() +
                                         (of.of_value + slopes) * call.inputs[2].shape.back()),
                                    (1 + 3 * slopes) * n, n};
                          }});
}  // namespace primitives

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& mask, bool causal, std::optional<double> scale) {
  constexpr const char* op = "scaled_dot_product_attention";
  Tensor cast[] = {query, key, value};
  cast_operands(cast);
  const Tensor &q = cast[0], &k = cast[1], &v = cast[2];
  for (const Tensor* x : {&q, &k, &v}) {
    if (!is_floating(x->dtype()))
      fail<DTypeError>("[", op, "] query, key and value must be floating-point, not ", describe(*x));
  }
  if (q.ndim() < 2 || k.ndim() < 2 || v.ndim() < 2 || q.size(-1) != k.size(-1) || k.size(-2) != v.size(-2))
    fail<ShapeError>("[", op, "] the shapes must be (.., L, D), (.., S, D) and (.., S, E), not ", q.shape(),
                     ", ", k.shape(), " and ", v.shape());
  const DType dtype = promote(promote(q.dtype(), k.dtype()), v.dtype());
  const auto leading = [](const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); };
  Shape lead = broadcast_shapes(broadcast_shapes(leading(q), leading(k), op), leading(v), op);
  if (mask.defined()) {
    Shape wanted = lead;
    wanted.push_back(q.size(-2)), wanted.push_back(k.size(-2));
    const Shape all = broadcast_shapes(wanted, mask.shape(), op);
    if (all[all.size() - 2] != q.size(-2) || all.back() != k.size(-2))
      fail<ShapeError>("[", op, "] attn_mask ", mask.shape(), " does not broadcast to ", wanted);
    if (mask.dtype() != DType::bool_ && !is_floating(mask.dtype()))
      fail<DTypeError>("[", op, "] attn_mask must be bool or floating-point, not ", describe(mask));
    lead = Shape(all.begin(), all.end() - 2);
  }
  const auto wide = [&](const Tensor& x, int64_t rows, int64_t columns) {
    Shape shape = lead;
    shape.push_back(rows), shape.push_back(columns);
    return broadcast_to(x, shape);
  };
  Tensor inputs[4];
  for (size_t i = 0; i < 3; ++i) inputs[i] = wide(astype(cast[i], dtype), cast[i].size(-2), cast[i].size(-1));
  if (mask.defined())
    inputs[3] = wide(mask.dtype() == DType::bool_ ? mask : astype(mask, dtype), q.size(-2), k.size(-2));
  const double depth = static_cast<double>(std::max<int64_t>(q.size(-1), 1));
  Tensor outputs[2];
  const AttentionAttrs attrs{causal, scale.value_or(1 / std::sqrt(depth))};
  Attrs::OnStack<AttentionAttrs> on_stack(attrs);
  bind(primitives::attention, {inputs, size_t{3} + mask.defined()}, on_stack.attrs(), {outputs, 2});
  return outputs[0];
}

}  // namespace tidu
