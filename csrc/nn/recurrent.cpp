// Recurrent networks.
#include "nn/recurrent.h"

#include <algorithm>
#include <cmath>

#include "core/host_lock.h"
#include "ops/arrange.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/random.h"
#include "ops/shape.h"
#include "transforms/control.h"

namespace tidu::nn {
namespace {

constexpr const char* kStateNames[] = {"h_0", "c_0"};

size_t states_of(Recurrence kind) { return kind == Recurrence::lstm ? 2 : 1; }

// From the input's part of the gates, in the dtypes of the state; of 16 bits it is computed in float32.
Tensors next_state(Recurrence kind, const Tensor& gates, const Tensors& state,
                   const RecurrentWeights& weights) {
  const Tensor by_x = widened(gates), by_h = widened(linear(state[0], weights.weight_hh, weights.bias_hh));
  Tensors next;
  switch (kind) {
    case Recurrence::tanh: next = {tidu::tanh(by_x + by_h)}; break;
    case Recurrence::relu: next = {tidu::relu(by_x + by_h)}; break;
    case Recurrence::lstm: {
      const Tensors part = chunk(by_x + by_h, 4, -1);
      const Tensor c = sigmoid(part[1]) * widened(state[1]) + sigmoid(part[0]) * tidu::tanh(part[2]);
      next = {sigmoid(part[3]) * tidu::tanh(c), c};
      break;
    }
    case Recurrence::gru: {
      const Tensors of_x = chunk(by_x, 3, -1), of_h = chunk(by_h, 3, -1);
      const Tensor r = sigmoid(of_x[0] + of_h[0]), z = sigmoid(of_x[1] + of_h[1]);
      const Tensor n = tidu::tanh(of_x[2] + r * of_h[2]);
      next = {n + z * (widened(state[0]) - n)};
      break;
    }
  }
  for (size_t i = 0; i < next.size(); ++i) next[i] = astype(next[i], state[i].dtype());
  if (weights.weight_hr.defined()) next[0] = astype(linear(next[0], weights.weight_hr), state[0].dtype());
  return next;
}

Tensor gates_from(const Tensor& x, const RecurrentWeights& weights) {
  return linear(x, weights.weight_ih, weights.bias_ih);
}

// Weights are drawn in the order of their names, each with a key of its own.
class Drawing {
 public:
  Drawing(const Tensor& key, int64_t count, int64_t hidden)
      : keys_(random_split(key, count)),
        bound_(1 / std::sqrt(static_cast<double>(std::max<int64_t>(hidden, 1)))) {}

  Tensor key() { return select(keys_, 0, next_++); }
  Tensor parameter(const Shape& shape) {
    return random_uniform(key(), shape, -bound_, bound_).set_requires_grad();
  }
  RecurrentWeights weights(int64_t rows, int64_t inputs, int64_t outputs, bool with_bias,
                           int64_t hidden = 0) {
    RecurrentWeights drawn;
    drawn.weight_ih = parameter({rows, inputs}), drawn.weight_hh = parameter({rows, outputs});
    if (with_bias) drawn.bias_ih = parameter({rows}), drawn.bias_hh = parameter({rows});
    if (hidden > 0) drawn.weight_hr = parameter({outputs, hidden});
    return drawn;
  }

 private:
  Tensor keys_;
  double bound_;
  int64_t next_ = 0;
};

void visit_weights(MemberVisitor& visit, RecurrentWeights& weights, const std::string& end) {
  visit.parameter("weight_ih" + end, weights.weight_ih);
  visit.parameter("weight_hh" + end, weights.weight_hh);
  visit.parameter("bias_ih" + end, weights.bias_ih);
  visit.parameter("bias_hh" + end, weights.bias_hh);
  visit.parameter("weight_hr" + end, weights.weight_hr);
}

// The state, zero where none is given.
Tensors checked_state(const char* op, const Tensors& state, const std::vector<Shape>& shapes, DType dtype,
                      Device device) {
  Tensors checked = state;
  if (state.empty()) {
    for (const Shape& shape : shapes) checked.push_back(zeros(shape, dtype, device));
  }
  bool fits = checked.size() == shapes.size();
  for (size_t i = 0; fits && i < shapes.size(); ++i) fits = checked[i].shape() == shapes[i];
  if (fits) return checked;
  std::string wanted, found;
  for (size_t i = 0; i < shapes.size(); ++i) wanted += str(i ? ", " : "", kStateNames[i], " ", shapes[i]);
  for (const Tensor& x : checked) found += str(found.empty() ? "" : ", ", describe(x));
  fail<ShapeError>("[", op, "] the state must have the shapes ", wanted, ", not ", found);
}

Recurrence checked_nonlinearity(const char* op, Recurrence kind) {
  if (kind != Recurrence::tanh && kind != Recurrence::relu)
    fail<ValueError>("[", op, "] the nonlinearity must be tanh or relu");
  return kind;
}

}  // namespace

Recurrence recurrence_from_name(std::string_view name) {
  if (name == "tanh") return Recurrence::tanh;
  if (name == "relu") return Recurrence::relu;
  if (name == "lstm") return Recurrence::lstm;
  if (name == "gru") return Recurrence::gru;
  fail<ValueError>("[recurrent] there is no recurrence '", std::string(name), "' (tanh, relu, lstm, gru)");
}

int64_t gates_of(Recurrence kind) { return kind == Recurrence::lstm ? 4 : kind == Recurrence::gru ? 3 : 1; }

Tensors recurrent_step(Recurrence kind, const Tensor& x, const Tensors& state,
                       const RecurrentWeights& weights) {
  const Tensor gates = gates_from(x, weights);
  if (!state.empty()) return next_state(kind, gates, state, weights);
  Shape shape = gates.shape();
  shape.back() /= gates_of(kind);
  const Tensor zero = zeros(shape, promote(x.dtype(), weights.weight_ih.dtype()), x.device());
  return next_state(kind, gates, Tensors(states_of(kind), zero), weights);
}

Recurred recurrent(Recurrence kind, const Tensor& x, const Tensors& state, const RecurrentWeights& weights,
                   bool reverse) {
  const auto step = [&](const Tensors& inputs) {
    const Tensors before(inputs.begin(), inputs.end() - 1);
    Tensors next = next_state(kind, inputs.back(), before, weights);
    next.push_back(next[0]);
    return next;
  };
  // The products with x are one for all steps.
  Scan scanned = scan(step, state, {gates_from(x, weights)}, {.reverse = reverse});
  return {scanned.results[0], std::move(scanned.carry)};
}

RecurrentCell::RecurrentCell(Recurrence kind, int64_t inputs, int64_t hidden, const Tensor& key,
                             bool with_bias)
    : weights(Drawing(key, with_bias ? 5 : 3, hidden)
                  .weights(gates_of(kind) * hidden, inputs, hidden, with_bias)),
      kind_(kind) {}

void RecurrentCell::members(MemberVisitor& visit) { visit_weights(visit, weights, ""); }

Tensors RecurrentCell::operator()(const Tensor& x, const Tensors& state) {
  const int64_t inputs = weights.weight_ih.size(1), hidden = weights.weight_hh.size(1);
  if ((x.ndim() != 1 && x.ndim() != 2) || x.size(-1) != inputs)
    fail<ShapeError>("[RecurrentCell] takes x (N, ", inputs, ") or (", inputs, "), not ", describe(x));
  Shape shape = x.shape();
  shape.back() = hidden;
  if (!state.empty())
    checked_state("RecurrentCell", state, std::vector<Shape>(states_of(kind_), shape), x.dtype(), x.device());
  return recurrent_step(kind_, x, state, weights);
}

RNNCell::RNNCell(int64_t inputs, int64_t hidden, const Tensor& key, bool with_bias, Recurrence nonlinearity)
    : RecurrentCell(checked_nonlinearity("RNNCell", nonlinearity), inputs, hidden, key, with_bias) {}

RecurrentLayers::RecurrentLayers(const char* name, Recurrence kind, int64_t inputs, int64_t hidden,
                                 const Tensor& key, RecurrentOptions options, int64_t projection)
    : name_(name),
      kind_(kind),
      inputs_(inputs),
      hidden_(hidden),
      outputs_(projection > 0 ? projection : hidden),
      options_(options) {
  if (options.num_layers < 1 || hidden < 1)
    fail<ValueError>("[", name, "] num_layers is ", options.num_layers, ", hidden ", hidden,
                     " (both must be positive)");
  const int64_t directions = options.bidirectional ? 2 : 1;
  const int64_t each = 2 + 2 * options.bias + (projection > 0);
  const int64_t rows = num_elements({gates_of(kind), hidden});  // products that fail where they overflow
  Drawing drawing(key, num_elements({options.num_layers, directions, each}) + 1, hidden);
  for (int64_t i = 0; i < options.num_layers * directions; ++i) {
    answer_signals();
    const int64_t from = i < directions ? inputs : outputs_ * directions;
    weights.push_back(drawing.weights(rows, from, outputs_, options.bias, projection > 0 ? hidden : 0));
  }
  if (options.dropout != 0) dropout.emplace(options.dropout, drawing.key());
}

void RecurrentLayers::members(MemberVisitor& visit) {
  const size_t directions = options_.bidirectional ? 2 : 1;
  for (size_t i = 0; i < weights.size(); ++i)
    visit_weights(visit, weights[i], str("_l", i / directions, i % directions ? "_reverse" : ""));
  if (dropout) visit.module("dropout", *dropout);
}

Recurred RecurrentLayers::operator()(const Tensor& x, const Tensors& state) {
  if ((x.ndim() != 2 && x.ndim() != 3) || x.size(-1) != inputs_)
    fail<ShapeError>("[", name_, "] takes x of 3 axes, or 2 (no batch), the last of ", inputs_, ", not ",
                     describe(x));
  const bool alone = x.ndim() == 2;
  Tensor h = alone ? expand_dims(x, 1) : options_.batch_first ? swapaxes(x, 0, 1) : x;
  const size_t directions = options_.bidirectional ? 2 : 1;
  std::vector<Shape> shapes;
  for (size_t i = 0; i < states_of(kind_); ++i) {
    Shape shape{static_cast<int64_t>(weights.size())};
    if (!alone) shape.push_back(h.size(1));
    shape.push_back(i == 0 ? outputs_ : hidden_);
    shapes.push_back(shape);
  }
  Tensors first =
      checked_state(name_, state, shapes, promote(x.dtype(), weights[0].weight_ih.dtype()), x.device());
  if (alone) {
    for (Tensor& part : first) part = expand_dims(part, 1);
  }
  std::vector<Tensors> last(first.size());
  for (size_t begin = 0; begin < weights.size(); begin += directions) {
    if (begin > 0 && dropout) h = (*dropout)(h);
    Tensors outputs;
    for (size_t i = begin; i < begin + directions; ++i) {
      Tensors own;
      for (const Tensor& part : first) own.push_back(select(part, 0, static_cast<int64_t>(i)));
      const Recurred one = recurrent(kind_, h, own, weights[i], i > begin);
      outputs.push_back(one.h);
      for (size_t k = 0; k < last.size(); ++k) last[k].push_back(one.state[k]);
    }
    h = directions > 1 ? concat(outputs, -1) : outputs[0];
  }
  Recurred result;
  result.h = alone ? select(h, 1, 0) : options_.batch_first ? swapaxes(h, 0, 1) : h;
  for (const Tensors& parts : last)
    result.state.push_back(alone ? select(stack(parts, 0), 1, 0) : stack(parts, 0));
  return result;
}

RNN::RNN(int64_t inputs, int64_t hidden, const Tensor& key, RecurrentOptions options, Recurrence nonlinearity)
    : RecurrentLayers("RNN", checked_nonlinearity("RNN", nonlinearity), inputs, hidden, key, options) {}

LSTM::LSTM(int64_t inputs, int64_t hidden, const Tensor& key, RecurrentOptions options, int64_t proj_size)
    : RecurrentLayers("LSTM", Recurrence::lstm, inputs, hidden, key, options, proj_size) {
  if (proj_size < 0 || proj_size >= hidden)
    fail<ValueError>("[LSTM] proj_size ", proj_size, " is not below the hidden size ", hidden);
}

}  // namespace tidu::nn
