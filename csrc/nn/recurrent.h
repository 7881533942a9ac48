// Recurrent networks: layers that are scanned over time, and their cells. They have the names, and from one
// key the numbers, of those of the Python package.
#pragma once

#include <optional>
#include <string_view>

#include "nn/layers.h"

namespace tidu::nn {

// What a step makes of the gates, which are rows of the weights: of a plain network h = tanh(a) or relu(a);
// of long short-term memory (Hochreiter, Schmidhuber 1997) i, f, g, o; of gated recurrent units (Cho et al.
// 2014) r, z, n.
enum class Recurrence : uint8_t { tanh, relu, lstm, gru };
Recurrence recurrence_from_name(std::string_view name);  // throws ValueError
int64_t gates_of(Recurrence kind);

// The parameters of one layer in one direction: weight_ih (gates hidden, inputs), weight_hh (gates hidden,
// outputs) and biases (gates hidden), perhaps undefined. Where weight_hr (outputs, hidden) is defined, it
// makes the output of h.
struct RecurrentWeights {
  Tensor weight_ih, weight_hh, bias_ih, bias_hh, weight_hr;
};

// A state is h and, of long short-term memory, c. The next one from x (.., inputs) and a state, zero if
// empty.
Tensors recurrent_step(Recurrence kind, const Tensor& x, const Tensors& state,
                       const RecurrentWeights& weights);
// h of every step and the last state, from x (L, N, inputs) and the first: one scan. In reverse from the last
// x to the first.
struct Recurred {
  Tensor h;
  Tensors state;
};
Recurred recurrent(Recurrence kind, const Tensor& x, const Tensors& state, const RecurrentWeights& weights,
                   bool reverse = false);

// --- Cells: x (N, inputs) or (inputs) and a state, zero if empty, give the next state, of (N, hidden).
// Called with x alone they give the next h.

class RecurrentCell : public Module {
 public:
  using Module::operator();
  Tensors operator()(const Tensor& x, const Tensors& state);
  Tensor forward(const Tensor& x) override { return (*this)(x, {})[0]; }
  void members(MemberVisitor& visit) override;

  RecurrentWeights weights;  // begin uniform in +-1 / sqrt(hidden)

 protected:
  RecurrentCell(Recurrence kind, int64_t inputs, int64_t hidden, const Tensor& key, bool with_bias);

 private:
  Recurrence kind_;
};
class RNNCell : public RecurrentCell {
 public:
  // The nonlinearity is Recurrence::tanh or relu.
  RNNCell(int64_t inputs, int64_t hidden, const Tensor& key, bool with_bias = true,
          Recurrence nonlinearity = Recurrence::tanh);
};
class LSTMCell : public RecurrentCell {
 public:
  LSTMCell(int64_t inputs, int64_t hidden, const Tensor& key, bool with_bias = true)
      : RecurrentCell(Recurrence::lstm, inputs, hidden, key, with_bias) {}
};
class GRUCell : public RecurrentCell {
 public:
  GRUCell(int64_t inputs, int64_t hidden, const Tensor& key, bool with_bias = true)
      : RecurrentCell(Recurrence::gru, inputs, hidden, key, with_bias) {}
};

// --- Layers: x (L, N, inputs), or with batch_first (N, L, inputs), or without N, and a state of (num_layers
// directions, N, size) each, zero if empty, give h of the last layer at every step, (L, N, directions
// outputs), and the last state of every layer and direction. Called with x alone they give h. Dropout acts
// between layers.

struct RecurrentOptions {
  int64_t num_layers = 1;
  bool bias = true, batch_first = false;
  double dropout = 0;
  bool bidirectional = false;
};
class RecurrentLayers : public Module {
 public:
  using Module::operator();
  Recurred operator()(const Tensor& x, const Tensors& state);
  Tensor forward(const Tensor& x) override { return (*this)(x, {}).h; }
  void members(MemberVisitor& visit) override;

  std::vector<RecurrentWeights> weights;  // of each layer, and of both its directions; names end in _l0,
                                          // _l0_reverse, _l1 ..; they begin uniform in +-1 / sqrt(hidden)
  std::optional<Dropout> dropout;

 protected:
  RecurrentLayers(const char* name, Recurrence kind, int64_t inputs, int64_t hidden, const Tensor& key,
                  RecurrentOptions options, int64_t projection = 0);

 private:
  const char* name_;
  Recurrence kind_;
  int64_t inputs_, hidden_, outputs_;
  RecurrentOptions options_;
};
class RNN : public RecurrentLayers {
 public:
  RNN(int64_t inputs, int64_t hidden, const Tensor& key, RecurrentOptions options = {},
      Recurrence nonlinearity = Recurrence::tanh);
};
class LSTM : public RecurrentLayers {
 public:
  // With proj_size, h is weight_hr h, of that size.
  LSTM(int64_t inputs, int64_t hidden, const Tensor& key, RecurrentOptions options = {},
       int64_t proj_size = 0);
};
class GRU : public RecurrentLayers {
 public:
  GRU(int64_t inputs, int64_t hidden, const Tensor& key, RecurrentOptions options = {})
      : RecurrentLayers("GRU", Recurrence::gru, inputs, hidden, key, options) {}
};

}  // namespace tidu::nn
