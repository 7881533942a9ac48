// Reading the ambient tape back as a program.
#include "transforms/graph.h"

#include <algorithm>
#include <map>
#include <set>

#include "autodiff/tape.h"
#include "ops/shape.h"

namespace tidu {
namespace {

struct ByTime {
  bool operator()(const Node* a, const Node* b) const { return a->sequence < b->sequence; }
};
using Nodes = std::set<Node*, ByTime>;

Nodes nodes_behind(Node* root) {
  Nodes nodes{root};
  for (std::vector<Node*> open{root}; !open.empty();) {
    const Node* const node = open.back();
    open.pop_back();
    for (const Node::Input& input : node->inputs) {
      if (input.producer && nodes.insert(input.producer.get()).second) open.push_back(input.producer.get());
    }
  }
  return nodes;
}

// The value as it was when it was saved, abstract where that is not known.
Tensor value_of(const Tensor& tensor, uint64_t version) {
  const bool is_known = !tensor.is_abstract() && tensor.impl().storage->version() == version;
  return is_known ? stop_gradient(tensor) : Tensor::abstract(tensor.shape(), tensor.dtype(), tensor.device());
}

class Reader {
 public:
  explicit Reader(const Tensor& tensor, const Link& link) : device_(tensor.device()) {
    Node* const root = static_cast<Node*>(link.value.get());
    const int result = variable_of(root, link.index);
    graph_.program.variables[result] = tensor.spec();
    const Nodes nodes = nodes_behind(root);
    // Consumers first: they know the specs of what they read.
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) read_inputs(**node);
    for (Node* const node : nodes) { node->is_leaf ? add_leaf(node) : add_call(node); }
    graph_.program.outputs = {result};
  }

  TensorGraph take() { return std::move(graph_); }

 private:
  int new_variable(const Spec& spec) {
    graph_.program.variables.push_back(spec);
    return static_cast<int>(graph_.program.variables.size()) - 1;
  }

  int variable_of(Node* node, int index) {
    const auto [found, is_new] = numbers_.try_emplace({node, index});
    if (is_new) found->second = new_variable({{}, kDefaultFloat, device_});
    return found->second;
  }

  void read_inputs(Node& node) {
    if (node.is_leaf) return;
    if (node.pullback) {
      fail<GradientError>(
          "[graph] the graph of the tensor has a call with a rule of the user's own, of which the tape "
          "keeps no program (pass the function and its arguments)");
    }
    if (node.inputs.empty()) {
      fail<GradientError>(
          "[graph] the graph was freed by an earlier backward (pass retain_graph=True to it, or ask before)");
    }
    std::vector<int>& variables = inputs_[&node];
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Node::Input& input = node.inputs[i];
      // Of pointwise calls the tape keeps no shapes, for the inputs have that of the output.
      const Tensor& saved = node.values[i];
      const Spec spec = saved.defined() ? saved.spec() : graph_.program.variables[variable_of(&node, 0)];
      if (!input.producer) {
        variables.push_back(new_variable(spec));
        graph_.program.constants.push_back(
            {variables.back(), saved.defined() ? value_of(saved, input.version)
                                               : Tensor::abstract(spec.shape, spec.dtype, spec.device)});
        continue;
      }
      Node* const producer = input.producer.get();
      variables.push_back(variable_of(producer, input.index));
      graph_.program.variables[variables.back()] = spec;
      if (producer->is_leaf && saved.defined() && !saved.is_abstract())
        leaves_[producer] = value_of(saved, input.version);
    }
  }

  void add_leaf(Node* leaf) {
    const int variable = variable_of(leaf, 0);
    const Spec& spec = graph_.program.variables[variable];
    Tensor& value = leaves_[leaf];
    if (!value.defined()) value = Tensor::abstract(spec.shape, spec.dtype, spec.device);
    graph_.program.inputs.push_back(variable);
    graph_.arguments.push_back(value);
  }

  void add_call(Node* node) {
    std::vector<int> outputs;
    for (int i = 0; i < node->num_outputs; ++i) outputs.push_back(variable_of(node, i));
    graph_.program.instructions.push_back({node->primitive, node->attrs, inputs_[node], std::move(outputs)});
  }

  const Device device_;
  TensorGraph graph_;
  std::map<std::pair<Node*, int>, int> numbers_;
  std::map<Node*, std::vector<int>> inputs_;
  std::map<Node*, Tensor> leaves_;
};

}  // namespace

TensorGraph graph_of(const Tensor& tensor) {
  const Link* const link = tensor.impl().link(Tape::ambient().id());
  if (!link) {
    fail<GradientError>("[graph] nothing was recorded for ", describe(tensor),
                        ": it does not require grad (pass the function and its arguments)");
  }
  return Reader(tensor, *link).take();
}

}  // namespace tidu
