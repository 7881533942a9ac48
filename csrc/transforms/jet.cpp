// Taylor mode.
//
// The derivative rule of a call y = f(x) is a differential equation, y'(t) = jvp(x(t), y(t)) x'(t), so that
// k y_k is coefficient k - 1 of what the rule computes (Griewank and Walther, Evaluating Derivatives, chapter
// 13). The rule runs once, on the values at t = 0, where an Expansion writes down what it calls; each of
// those calls has a series in turn, of which a coefficient is computed when it is first asked for. Sums,
// linear calls and products need no rule: their coefficients are sums, images and Cauchy products.
#include "transforms/jet.h"

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "autodiff/rules.h"
#include "core/bind.h"
#include "core/host_lock.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"
#include "transforms/arguments.h"

namespace tidu {
namespace {

struct Coefficients : RefCounted {
  explicit Coefficients(Tensors value) : value(std::move(value)) {}
  Tensors value;
};

Tensor times(const Tensor& x, int n) { return x.defined() && n > 1 ? multiply(x, n) : x; }
Tensor over(const Tensor& x, int n) { return x.defined() && n > 1 ? divide(x, n) : x; }

// What one call is made of: the series of its rule's calls, of those calls' rules, and so on. It is live from
// its construction on.
class Expansion : public Trace {
 public:
  // Nobody asks for coefficients beyond `order`.
  explicit Expansion(int order) : order_(order) {}

  void record(const Call& call, bool differentiable) override;
  void record_custom(CustomCall& call, bool differentiable) override;

  // Makes `value` a series with these coefficients from 1 on.
  void give(const Tensor& value, const Tensors& coefficients);
  // The first `count` coefficients of what was computed, from 0 or 1 on.
  Tensors coefficients(const Tensor& value, int first, int count);

 private:
  struct Series {
    Tensors known;  // the coefficients from 0 on, undefined where zero; later ones of a given series are zero
    int node = -1;  // which computes them ..
    int integral = -1;  // .. or the series that this one is the derivative of
  };
  // A call that depends on t.
  struct Node {
    const Primitive& primitive;
    Attrs attrs;
    Tensors inputs, outputs;
    std::vector<int> input_series, output_series;  // -1: constant
    enum { linear, product, equation } kind;
    bool expanded = false;
    Tensors slopes;  // of an equation: what its rule computed, dy/dt of each output
  };

  int series_of(const Tensor& tensor) const {
    const Link* link = tensor.impl().link(id());
    return link ? link->index : -1;
  }
  int add_series(const Tensor& value, Series series) {
    set_link(value, id(), {}, static_cast<int>(series_.size()));
    series_.push_back(std::move(series));
    return static_cast<int>(series_.size()) - 1;
  }
  static uint64_t hash_of(const Node& node) {
    uint64_t hash = reinterpret_cast<uintptr_t>(&node.primitive);
    for (int series : node.input_series) hash = hash * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(series);
    return hash;
  }
  // Another node with the same outputs, which closes rules that lead to each other: of sin and cos, say.
  const Node* find(const Node& node) const {
    if (std::ranges::any_of(node.input_series, [](int series) { return series < 0; })) return nullptr;
    const auto [begin, end] = by_call_.equal_range(hash_of(node));
    for (auto it = begin; it != end; ++it) {
      const Node& other = nodes_[it->second];
      if (&other.primitive == &node.primitive && other.input_series == node.input_series &&
          other.attrs == node.attrs)
        return &other;
    }
    return nullptr;
  }

  std::vector<int> sources(int series) const;
  Tensor coefficient(int series, int k);
  Tensors advance(Node& node, int k);
  Tensors image(Node& node, int k);
  Tensor cauchy_product(const Node& node, int k);
  void expand(Node& node);

  const int order_;
  std::deque<Series> series_;
  std::deque<Node> nodes_;
  std::unordered_multimap<uint64_t, size_t> by_call_;
  const LiveTrace live_{*this};
  const Scope* const inside_ = visible_scope();
};

void Expansion::give(const Tensor& value, const Tensors& coefficients) {
  Series series{{value}};
  series.known.insert(series.known.end(), coefficients.begin(), coefficients.end());
  add_series(value, std::move(series));
}

void Expansion::record(const Call& call, bool) {
  if (!has_derivative(call)) return;
  Node node{call.primitive,
            call.attrs,
            Tensors(call.inputs.begin(), call.inputs.end()),
            Tensors(call.outputs.begin(), call.outputs.end()),
            {},
            {},
            Node::equation,
            false,
            {}};
  Reads moving = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    node.input_series.push_back(series_of(node.inputs[i]));
    if (node.input_series[i] >= 0) moving |= input_bit(i);
  }
  if (moving == 0) return;
  if (!(reads_of(call.primitive, moving) & (moving | kOutput | kFineOutput))) {
    node.kind = Node::linear;
  } else if (std::holds_alternative<Multilinear>(call.primitive.derivative)) {
    node.kind = Node::product;
  }
  if (const Node* same = find(node)) {
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (same->output_series[i] >= 0) set_link(node.outputs[i], id(), {}, same->output_series[i]);
    }
    return;
  }
  for (const Tensor& output : node.outputs) {
    const bool has_series = is_differentiable(output.dtype());
    node.output_series.push_back(has_series ? add_series(output, {{output}, static_cast<int>(nodes_.size())})
                                            : -1);
  }
  by_call_.emplace(hash_of(node), nodes_.size());
  nodes_.push_back(std::move(node));
}

Tensors Expansion::coefficients(const Tensor& value, int first, int count) {
  const VisibleTraces scope(outer());
  const int series = series_of(value);
  Tensors result(static_cast<size_t>(count));
  if (series < 0) {
    if (first == 0) result[0] = value;
    return result;
  }
  // In the order of the calls, so that a long rule is no deep recursion.
  const std::vector<int> needed = sources(series);
  for (int k = 0; k < first + count; ++k) {
    for (int source : needed) coefficient(source, k);
    if (k >= first) result[static_cast<size_t>(k - first)] = coefficient(series, k);
  }
  return result;
}

// The series that one is computed from, and itself, in the order in which they were made.
std::vector<int> Expansion::sources(int series) const {
  std::vector<bool> seen(series_.size());
  std::vector<int> result{series};
  for (size_t i = 0; i < result.size(); ++i) {
    const int node = series_[static_cast<size_t>(result[i])].node;
    if (node < 0) continue;
    for (int input : nodes_[static_cast<size_t>(node)].input_series) {
      if (input < 0 || seen[static_cast<size_t>(input)]) continue;
      seen[static_cast<size_t>(input)] = true;
      result.push_back(input);
    }
  }
  std::ranges::sort(result);
  return result;
}

Tensor Expansion::coefficient(int number, int k) {
  Series& series = series_[static_cast<size_t>(number)];
  while (static_cast<int>(series.known.size()) <= k) {
    const int next = static_cast<int>(series.known.size());
    if (series.integral >= 0) {
      series.known.push_back(times(coefficient(series.integral, next + 1), next + 1));
    } else if (series.node < 0) {
      return {};
    } else {
      const Node& node = nodes_[static_cast<size_t>(series.node)];
      const Tensors advanced = advance(nodes_[static_cast<size_t>(series.node)], next);
      for (size_t i = 0; i < advanced.size(); ++i) {
        if (node.output_series[i] >= 0)
          series_[static_cast<size_t>(node.output_series[i])].known.push_back(advanced[i]);
      }
    }
  }
  return series.known[static_cast<size_t>(k)];
}

// Coefficient k of the outputs.
Tensors Expansion::advance(Node& node, int k) {
  answer_signals();
  if (node.kind == Node::linear) return image(node, k);
  if (node.kind == Node::product) return {cauchy_product(node, k)};
  if (!node.expanded) expand(node);
  Tensors result;
  for (const Tensor& slope : node.slopes) {
    const int series = slope.defined() ? series_of(slope) : -1;
    result.push_back(over(series >= 0 ? coefficient(series, k - 1) : k == 1 ? slope : Tensor(), k));
  }
  return result;
}

Tensors Expansion::image(Node& node, int k) {
  Tensors tangents;
  for (int series : node.input_series) tangents.push_back(series < 0 ? Tensor() : coefficient(series, k));
  if (std::ranges::none_of(tangents, &Tensor::defined)) return Tensors(node.outputs.size());
  return push_call({node.primitive, node.inputs, node.attrs, node.outputs}, tangents);
}

Tensor Expansion::cauchy_product(const Node& node, int k) {
  const auto& form = std::get<Multilinear>(node.primitive.derivative);
  const Primitive& primitive = form.of_tangents ? *form.of_tangents : node.primitive;
  Tensor sum;
  Tensors factors = node.inputs;
  while (form.addends & input_bit(factors.size() - 1)) factors.pop_back();
  // All ways to share k among the factors from number i on.
  const auto share = [&](const auto& self, size_t i, int left) -> void {
    if (i == factors.size()) {
      Tensor term;
      if (left == 0) bind(primitive, factors, node.attrs, {&term, 1});
      sum = accumulate(sum, term);
    } else if (const int series = node.input_series[i]; series < 0) {
      self(self, i + 1, left);
    } else {
      for (int of_this = 0; of_this <= left; ++of_this) {
        factors[i] = coefficient(series, of_this);
        if (factors[i].defined()) self(self, i + 1, left - of_this);
      }
    }
  };
  share(share, 0, k);
  for (size_t i = factors.size(); i < node.inputs.size(); ++i) {
    const int series = node.input_series[i];
    const Tensor addend = series < 0 ? Tensor() : coefficient(series, k);
    if (addend.defined()) sum = accumulate(sum, broadcast_to(addend, node.outputs[0].shape()));
  }
  return sum;
}

void Expansion::expand(Node& node) {
  node.expanded = true;
  Tensors tangents(node.inputs.size());
  for (size_t i = 0; i < tangents.size(); ++i) {
    const int series = node.input_series[i];
    if (series < 0) continue;
    const Tensor first = coefficient(series, 1);
    tangents[i] = first.defined() ? twin(first, id()) : zeros_like(node.inputs[i]);
    add_series(tangents[i], {{tangents[i]}, -1, series});
  }
  const VisibleTraces scope(inside_);
  node.slopes = push_call({node.primitive, node.inputs, node.attrs, node.outputs}, tangents);
}

// The coefficients, from 1 to `order`, of what a call with a rule of its own yields, from those of its inputs
// (none: constant). Trace `id` is shown the call.
std::vector<Tensors> expand_custom(CustomCall& call, const std::vector<Tensors>& series, int order,
                                   uint64_t id) {
  Expansion inside(order - 1);
  const auto enter = [&](const Tensor& value, const Tensors& coefficients) {
    const Tensor entered = twin(value, id);
    remove_link(entered, id);
    // The last rule of rules that lead to each other is asked for values alone.
    if (order > 1 && !coefficients.empty()) inside.give(entered, coefficients);
    return entered;
  };
  Tensors inputs, tangents(series.size());
  for (size_t i = 0; i < series.size(); ++i) {
    const Tensor& value = call.inputs()[i];
    inputs.push_back(enter(value, series[i]));
    if (series[i].empty()) continue;
    Tensors slope;
    for (size_t k = 1; k < series[i].size(); ++k)
      slope.push_back(times(series[i][k], static_cast<int>(k + 1)));
    tangents[i] = enter(series[i][0].defined() ? series[i][0] : zeros_like(value), slope);
  }
  std::vector<Tensors> result;
  for (const Tensor& slope : call.push_at(inputs, tangents)) {
    result.push_back(slope.defined() ? inside.coefficients(slope, 0, order) : Tensors());
    for (size_t k = 0; k < result.back().size(); ++k)
      result.back()[k] = over(result.back()[k], static_cast<int>(k + 1));
  }
  return result;
}

void Expansion::record_custom(CustomCall& call, bool) {
  const VisibleTraces scope(outer());
  std::vector<Tensors> series;
  for (const Tensor& input : call.inputs())
    series.push_back(series_of(input) < 0 ? Tensors() : coefficients(input, 1, order_));
  const std::vector<Tensors> of_outputs = expand_custom(call, series, order_, id());
  for (size_t i = 0; i < of_outputs.size(); ++i) {
    if (is_differentiable(call.outputs()[i].dtype())) give(call.outputs()[i], of_outputs[i]);
  }
}

// Tensors as functions of t: value + c_1 t + c_2 t^2 + .., up to an order.
class JetTrace : public Trace {
 public:
  explicit JetTrace(int order) : order_(order) {}

  void record(const Call& call, bool differentiable) override;
  void record_custom(CustomCall& call, bool differentiable) override;

  // c_1 .. c_order, undefined where zero; none where `tensor` does not depend on t.
  Tensors coefficients(const Tensor& tensor) const;
  void set_coefficients(const Tensor& tensor, Tensors coefficients);

 private:
  const int order_;
};

Tensors JetTrace::coefficients(const Tensor& tensor) const {
  const Link* link = tensor.impl().link(id());
  return link ? static_cast<const Coefficients&>(*link->value).value : Tensors();
}

void JetTrace::set_coefficients(const Tensor& tensor, Tensors coefficients) {
  if (is_differentiable(tensor.dtype()) && std::ranges::any_of(coefficients, &Tensor::defined))
    set_link(tensor, id(), Ref<RefCounted>(new Coefficients(std::move(coefficients))), 0);
}

void JetTrace::record(const Call& call, bool) {
  const auto is_mine = [&](const Tensor& input) { return input.impl().link(id()) != nullptr; };
  if (!has_derivative(call) || std::ranges::none_of(call.inputs, is_mine)) return;
  const VisibleTraces scope(outer());
  Expansion inside(order_);
  Tensors inputs, outputs;
  for (const Tensor& input : call.inputs) {
    inputs.push_back(is_mine(input) ? twin(input, id()) : input);
    if (is_mine(input)) inside.give(inputs.back(), coefficients(input));
  }
  // The coefficients hang on the outputs, so what is computed from twins of these is no cycle.
  for (const Tensor& output : call.outputs) outputs.push_back(twin(output, id()));
  inside.record({call.primitive, inputs, call.attrs, outputs}, true);
  for (size_t i = 0; i < outputs.size(); ++i)
    set_coefficients(call.outputs[i], inside.coefficients(outputs[i], 1, order_));
}

void JetTrace::record_custom(CustomCall& call, bool) {
  const VisibleTraces scope(outer());
  std::vector<Tensors> series;
  for (const Tensor& input : call.inputs()) series.push_back(coefficients(input));
  const std::vector<Tensors> of_outputs = expand_custom(call, series, order_, id());
  for (size_t i = 0; i < of_outputs.size(); ++i) set_coefficients(call.outputs()[i], of_outputs[i]);
}

}  // namespace

Curve power_series(const Function& function, const Tensors& primals, const std::vector<Tensors>& terms) {
  if (terms.size() != primals.size()) {
    fail<ValueError>("[jet] takes one series a primal: ", primals.size(), ", not ", terms.size());
  }
  const size_t order = terms.empty() ? 0 : terms[0].size();
  for (size_t i = 0; i < primals.size(); ++i) {
    check_differentiable(primals[i], i, "jet");
    if (terms[i].size() != order) {
      fail<ValueError>("[jet] series ", i, " has ", terms[i].size(), " terms, but series 0 has ", order,
                       " (an undefined term is zero)");
    }
    for (size_t k = 0; k < order; ++k) {
      if (!terms[i][k].defined()) continue;
      const std::string what = str("term ", k + 1, " of series");
      check_like(terms[i][k], primals[i], i, "jet", what.c_str());
    }
  }
  JetTrace trace(static_cast<int>(order));
  const Tensors inputs = fresh(primals);
  for (size_t i = 0; i < inputs.size(); ++i) trace.set_coefficients(inputs[i], terms[i]);
  Curve result;
  {
    const LiveTrace live(trace);
    result.outputs = function(inputs);
  }
  for (Tensor& output : result.outputs) {
    check_output(output, "jet");
    Tensors coefficients = trace.coefficients(output);
    coefficients.resize(order);
    for (Tensor& coefficient : coefficients) {
      if (!coefficient.defined()) coefficient = zeros_like(output);
    }
    result.terms.push_back(std::move(coefficients));
    output = alias(output);  // without the link to this trace
  }
  return result;
}

Curve jet(const Function& function, const Tensors& primals, const std::vector<Tensors>& terms) {
  // Term k multiplied by k! or divided by it.
  const auto scaled = [](std::vector<Tensors> all, bool up) {
    for (Tensors& series : all) {
      double factorial = 1;
      for (size_t k = 1; k <= series.size(); ++k) {
        factorial *= static_cast<double>(k);
        Tensor& term = series[k - 1];
        if (k > 1 && term.defined() && is_differentiable(term.dtype()))
          term = up ? term * factorial : term / factorial;
      }
    }
    return all;
  };
  Curve result = power_series(function, primals, scaled(terms, false));
  result.terms = scaled(std::move(result.terms), true);
  return result;
}

}  // namespace tidu
