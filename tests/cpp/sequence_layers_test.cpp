// Recurrent layers and attention against their definitions, a step and a query at a time.
#include <cmath>

#include "finite_difference.h"
#include "ops/attention.h"

namespace tidu::nn {
namespace {

using testing::check_derivatives;
using testing::expect_close;
using testing::random_point;

Tensor at(const Tensor& x, int64_t axis, int64_t i) { return select(x, axis, i); }

RecurrentWeights weights_of(Recurrence kind, int64_t inputs, int64_t hidden, int64_t outputs) {
  const int64_t rows = gates_of(kind) * hidden;
  RecurrentWeights weights{random_point(1, {rows, inputs}),
                           random_point(2, {rows, outputs}),
                           random_point(3, {rows}),
                           random_point(4, {rows}),
                           {}};
  if (outputs != hidden) weights.weight_hr = random_point(5, {outputs, hidden});
  return weights;
}

// One element after another, by std::exp and std::tanh.
std::vector<double> lstm_by_hand(const RecurrentWeights& w, std::vector<double> x, std::vector<double>& h,
                                 std::vector<double>& c) {
  const auto sigma = [](double a) { return 1 / (1 + std::exp(-a)); };
  const auto ih = to_vector<double>(w.weight_ih), hh = to_vector<double>(w.weight_hh);
  const auto bi = to_vector<double>(w.bias_ih), bh = to_vector<double>(w.bias_hh);
  std::vector<double> gates(bi.size());
  for (size_t r = 0; r < gates.size(); ++r) {
    gates[r] = bi[r] + bh[r];
    for (size_t k = 0; k < x.size(); ++k) gates[r] += ih[r * x.size() + k] * x[k];
    for (size_t k = 0; k < h.size(); ++k) gates[r] += hh[r * h.size() + k] * h[k];
  }
  const size_t n = c.size();
  for (size_t k = 0; k < n; ++k) {
    c[k] = sigma(gates[n + k]) * c[k] + sigma(gates[k]) * std::tanh(gates[2 * n + k]);
    h[k] = sigma(gates[3 * n + k]) * std::tanh(c[k]);
  }
  return h;
}

TEST(Recurrent, LstmFollowsTheDefinition) {
  const RecurrentWeights weights = weights_of(Recurrence::lstm, 3, 2, 2);
  const Tensor x = random_point(6, {4, 1, 3});
  const Tensor h0 = random_point(7, {1, 2}), c0 = random_point(8, {1, 2});
  const Recurred found = recurrent(Recurrence::lstm, x, {h0, c0}, weights);
  auto h = to_vector<double>(h0), c = to_vector<double>(c0);
  for (int64_t t = 0; t < 4; ++t) {
    const auto wanted = lstm_by_hand(weights, to_vector<double>(at(x, 0, t)), h, c);
    expect_close(at(found.h, 0, t), tensor(std::span(wanted), {1, 2}));
  }
  expect_close(found.state[0], tensor(std::span<const double>(h), {1, 2}));
  expect_close(found.state[1], tensor(std::span<const double>(c), {1, 2}));
}

TEST(Recurrent, ScansAreStepsOneAfterAnother) {
  for (const Recurrence kind : {Recurrence::tanh, Recurrence::relu, Recurrence::lstm, Recurrence::gru}) {
    for (const bool reverse : {false, true}) {
      const int64_t outputs = kind == Recurrence::lstm ? 1 : 2;
      const RecurrentWeights weights = weights_of(kind, 3, 2, outputs);
      const Tensor x = random_point(6, {4, 2, 3});
      Tensors state{zeros({2, outputs}, DType::float64)};
      if (kind == Recurrence::lstm) state.push_back(zeros({2, 2}, DType::float64));
      const Recurred found = recurrent(kind, x, state, weights, reverse);
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t t = reverse ? 3 - i : i;
        state = recurrent_step(kind, at(x, 0, t), state, weights);
        expect_close(at(found.h, 0, t), state[0]);
      }
      for (size_t k = 0; k < state.size(); ++k) expect_close(found.state[k], state[k]);
    }
  }
}

TEST(Recurrent, GruInClosedForm) {
  // One unit: r = s(a x), z = s(b x), n = tanh(c x + r d h), h' = (1 - z) n + z h.
  const auto column = [](std::initializer_list<double> values) { return tensor<double>(values, {3, 1}); };
  const RecurrentWeights weights{column({0.5, -1, 2}), column({0, 0, 3}), {}, {}, {}};
  const double x = 0.7, h = 0.4, r = 1 / (1 + std::exp(-0.35)), z = 1 / (1 + std::exp(0.7));
  const double n = std::tanh(1.4 + r * 1.2);
  expect_close(
      recurrent_step(Recurrence::gru, tensor<double>({x}, {1, 1}), {tensor<double>({h}, {1, 1})}, weights)[0],
      tensor<double>({(1 - z) * n + z * h}, {1, 1}));
}

TEST(Recurrent, DerivativesToOrderTwo) {
  for (const Recurrence kind : {Recurrence::tanh, Recurrence::lstm, Recurrence::gru}) {
    RecurrentWeights weights = weights_of(kind, 2, 2, 2);
    const Tensor x = random_point(6, {3, 1, 2});
    const Tensors state(kind == Recurrence::lstm ? 2 : 1, zeros({1, 2}, DType::float64));
    check_derivatives([&](const Tensor& p) { return recurrent(kind, p, state, weights).h; }, x);
    check_derivatives(
        [&](const Tensor& p) {
          RecurrentWeights moved = weights;
          moved.weight_hh = p;
          return recurrent(kind, x, state, moved).h;
        },
        weights.weight_hh);
  }
}

TEST(RecurrentLayers, StackLayersAndDirections) {
  LSTM layers(3, 4, random_key(1), {.num_layers = 2, .bidirectional = true}, 2);
  const Tensor x = random_normal(random_key(2), {5, 2, 3});
  const Recurred found = layers(x, {});
  EXPECT_EQ(found.h.shape(), (Shape{5, 2, 4}));
  EXPECT_EQ(found.state[0].shape(), (Shape{4, 2, 2}));
  EXPECT_EQ(found.state[1].shape(), (Shape{4, 2, 4}));
  Tensor h = x;
  for (size_t layer = 0; layer < 2; ++layer) {
    Tensors both;
    for (size_t direction = 0; direction < 2; ++direction) {
      const Tensors first{zeros({2, 2}), zeros({2, 4})};
      both.push_back(
          recurrent(Recurrence::lstm, h, first, layers.weights[2 * layer + direction], direction == 1).h);
    }
    h = concat(both, -1);
  }
  expect_close(found.h, h, 1e-6);
  // The last state goes on from there, and batches may come first or not at all.
  GRU one(3, 4, random_key(1));
  const Recurred whole = one(x, {}), half = one(slice_axis(x, 0, 0, 2), {});
  expect_close(one(slice_axis(x, 0, 2, std::nullopt), half.state).h, slice_axis(whole.h, 0, 2, std::nullopt),
               1e-6);
  GRU batches(3, 4, random_key(1), {.batch_first = true});
  expect_close(batches(swapaxes(x, 0, 1)), swapaxes(whole.h, 0, 1), 1e-6);
  const Recurred alone = one(at(x, 1, 1), {});
  expect_close(alone.h, at(whole.h, 1, 1), 1e-6);
  EXPECT_EQ(alone.state[0].shape(), (Shape{1, 4}));
}

// Of one hidden element, too.
TEST(RecurrentLayers, WeightsFillTheIntervalOfTheirSize) {
  const Tensor key = random_key(4);
  for (const int64_t hidden : {1, 2, 9}) {
    const double bound = 1 / std::sqrt(static_cast<double>(hidden));
    const auto expect_filled = [&](Module&& layer) {
      for (const auto& [name, drawn] : layer.named_parameters()) {
        const double low = item<double>(min(drawn)), high = item<double>(max(drawn));
        EXPECT_TRUE(-bound <= low && high <= bound) << name;
        EXPECT_TRUE(drawn.numel() < 200 || (low < -0.97 * bound && high > 0.97 * bound)) << name;
      }
    };
    expect_filled(RNNCell(300, hidden, key));
    expect_filled(LSTMCell(300, hidden, key));
    expect_filled(GRUCell(300, hidden, key));
    expect_filled(RNN(300, hidden, key, {.num_layers = 2}));
    expect_filled(LSTM(300, hidden, key, {.bidirectional = true}));
    expect_filled(GRU(300, hidden, key));
  }
}

TEST(RecurrentLayers, WrongInputsAreNamed) {
  LSTM layer(3, 4, random_key(1));
  EXPECT_THROW(layer(ones({5, 2, 2})), ShapeError);
  EXPECT_THROW(layer(ones({3})), ShapeError);
  EXPECT_THROW(layer(ones({5, 2, 3}), {zeros({1, 2, 4})}), ShapeError);
  EXPECT_THROW(LSTM(3, 4, random_key(1), {}, 4), ValueError);
  EXPECT_THROW(GRU(3, 4, random_key(1), {.num_layers = 0}), ValueError);
  EXPECT_THROW(RNN(3, 4, random_key(1), {}, Recurrence::gru), ValueError);
  EXPECT_THROW(RNNCell(3, 4, random_key(1), true, Recurrence::lstm), ValueError);
  EXPECT_THROW(GRUCell(3, 4, random_key(1))(ones({2, 4})), ShapeError);
  EXPECT_THROW(GRUCell(3, 4, random_key(1))(ones({2, 3}), {zeros({1, 4})}), ShapeError);
  EXPECT_THROW(recurrence_from_name("mlp"), ValueError);
}

// --- Attention

TEST(AttentionWeights, AreSoftmaxesOfScaledProducts) {
  const Tensor q = random_point(1, {3, 2}), k = random_point(2, {4, 2}), v = random_point(3, {4, 5});
  const Tensor scores = matmul(q, matrix_transpose(k)) / std::sqrt(2.0);
  expect_close(attention_weights(q, k), softmax(scores));
  expect_close(matmul(attention_weights(q, k, {}, true, 0.3), v),
               scaled_dot_product_attention(q, k, v, {}, true, 0.3));
  const Tensor mask =
      tensor<bool>({true, false, true, true, false, false, false, false, true, true, true, true}, {3, 4});
  const Tensor weights = attention_weights(q, k, mask);
  expect_close(at(weights, 0, 1), zeros({4}, DType::float64));
  expect_close(matmul(weights, v), scaled_dot_product_attention(q, k, v, mask));
}

TEST(MultiheadAttention, FollowsTheDefinition) {
  MultiheadAttention layer(4, 2, random_key(1));
  const Tensor x = random_normal(random_key(2), {5, 3, 4}), y = random_normal(random_key(3), {6, 3, 4});
  const Attended found = layer(x, y, y);
  const Tensors w = split(layer.in_proj_weight, {4, 4, 4}, 0);
  Tensors heads, weights;
  for (int64_t head = 0; head < 2; ++head) {
    // (N, L, 2)
    const auto part = [&](const Tensor& of, size_t i) {
      return slice_axis(swapaxes(linear(of, w[i]), 0, 1), -1, 2 * head, 2 * head + 2);
    };
    weights.push_back(softmax(matmul(part(x, 0), matrix_transpose(part(y, 1))) / std::sqrt(2.0)));
    heads.push_back(matmul(weights.back(), part(y, 2)));
  }
  expect_close(found.y, layer.out_proj(swapaxes(concat(heads, -1), 0, 1)), 1e-6);
  expect_close(found.weights, (weights[0] + weights[1]) / 2, 1e-6);
  expect_close(layer(x, y, y, {.average_weights = false}).weights, stack(weights, 1), 1e-6);
  expect_close(layer(x, y, y, {.need_weights = false}).y, found.y, 1e-6);
  expect_close(layer(at(x, 1, 0), at(y, 1, 0), at(y, 1, 0)).y, at(found.y, 1, 0), 1e-6);
  MultiheadAttention batches(4, 2, random_key(1), {.batch_first = true});
  expect_close(batches(swapaxes(x, 0, 1)), swapaxes(layer(x), 0, 1), 1e-6);
}

TEST(MultiheadAttention, MasksHideKeys) {
  MultiheadAttention layer(4, 2, random_key(1));
  const Tensor x = random_normal(random_key(2), {3, 2, 4});
  const Tensor first = slice_axis(x, 0, 0, 2);
  const Tensor padding = tensor<bool>({false, false, true, false, false, true}, {2, 3});
  const Tensor wanted = layer(x, first, first).y;
  expect_close(layer(x, x, x, {.masks = {.key_padding_mask = padding}}).y, wanted, 1e-6);
  const Tensor numbers = where(broadcast_to(at(padding, 0, 0), {3, 3}), -INFINITY, 0.0);
  expect_close(layer(x, x, x, {.masks = {.attn_mask = numbers}}).y, wanted, 1e-6);
  // Causal: the first query sees the first key alone.
  const Attended causal = layer(x, x, x, {.masks = {.causal = true}});
  expect_close(at(causal.weights, 1, 0), tensor<float>({1, 0, 0, 1, 0, 0}, {2, 3}), 1e-6);
  MultiheadAttention zero(4, 2, random_key(1),
                          {.add_bias_kv = true, .add_zero_attn = true, .kdim = 3, .vdim = 2});
  EXPECT_EQ(zero(x, ones({4, 2, 3}), ones({4, 2, 2})).weights.shape(), (Shape{2, 3, 6}));
  EXPECT_THROW(MultiheadAttention(4, 3, random_key(1)), ValueError);
  EXPECT_THROW(layer(x, at(x, 0, 0), x), ShapeError);
}

TEST(Transformer, LayersAddWhatTheyAreMadeOf) {
  TransformerEncoderLayer layer(4, 2, random_key(1), {.dim_feedforward = 6});
  const Tensor x = random_normal(random_key(2), {3, 2, 4});
  EXPECT_NE(to_vector<float>(stop_gradient(layer(x))), to_vector<float>(stop_gradient(layer(x))));
  layer.eval();
  const Tensor a = layer.additions[0].norm(x + layer.self_attn(x));
  expect_close(layer(x), layer.additions[1].norm(a + layer.linear2(relu(layer.linear1(a)))), 1e-6);
  TransformerDecoderLayer decoder(4, 2, random_key(1),
                                  {.dim_feedforward = 6, .dropout = 0, .norm_first = true});
  const Tensor memory = random_normal(random_key(3), {5, 2, 4});
  const auto norm = [&](size_t i, const Tensor& of) { return decoder.additions[i].norm(of); };
  Tensor b = x + decoder.self_attn(norm(0, x));
  b = b + (*decoder.multihead_attn)(norm(1, b), memory, memory, {.need_weights = false}).y;
  b = b + decoder.linear2(relu(decoder.linear1(norm(2, b))));
  expect_close(decoder(x, memory), b, 1e-6);
  sum(decoder(x, memory)).backward();
  for (const auto& [name, parameter] : decoder.named_parameters())
    EXPECT_TRUE(parameter.grad().defined()) << name;
}

TEST(Transformer, EachOfItsDropoutsActs) {
  const Tensor x = random_normal(random_key(2), {3, 2, 4});
  for (size_t kept = 0; kept < 5; ++kept) {
    TransformerEncoderLayer layer(4, 2, random_key(1), {.dim_feedforward = 64, .dropout = 0.5});
    if (kept != 0) layer.dropout.reset();
    for (const size_t i : {0, 1}) {
      if (kept != i + 1) layer.additions[i].dropout.reset();
    }
    if (kept != 3) layer.self_attn.eval();
    const bool is_same =
        to_vector<float>(stop_gradient(layer(x))) == to_vector<float>(stop_gradient(layer(x)));
    EXPECT_EQ(is_same, kept == 4) << kept;
  }
  EXPECT_FALSE(TransformerEncoderLayer(4, 2, random_key(1), {.dim_feedforward = 6, .dropout = 0}).dropout);
}

}  // namespace
}  // namespace tidu::nn
