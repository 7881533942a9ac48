// Recording and traversing the graph of reverse mode.
#include "autodiff/tape.h"

#include <algorithm>
#include <atomic>
#include <queue>
#include <unordered_map>

#include "autodiff/rules.h"

namespace tidu {
namespace {

std::atomic<uint64_t> next_sequence{0};

uint64_t storage_version(const Tensor& tensor) {
  return tensor.is_abstract() ? 0 : tensor.impl().storage->version();
}

Node::Saved save_input(const Tensor& tensor, uint64_t trace) {
  // Links of inner traces would keep their graphs alive for nothing.
  const Link* link = tensor.impl().links.get();
  return {!link || link->trace <= trace ? tensor : twin(tensor, trace), storage_version(tensor)};
}

// Without its link to the node itself, which would be a cycle; the link is put back when the value is used.
Node::Saved save_output(const Tensor& tensor, uint64_t trace) {
  Tensor copy = twin(tensor, trace);
  if (copy.impl().links && copy.impl().links->trace == trace)
    copy.impl().links = std::move(copy.impl().links->next);
  return {std::move(copy), storage_version(tensor)};
}

void check_unchanged(const Node::Saved& saved, const Primitive& primitive, const char* what) {
  if (storage_version(saved.tensor) == saved.version) return;
  fail<GradientError>("[backward] the ", what, " of '", primitive.name, "' (", describe(saved.tensor),
                      ") was overwritten in place after the call, but its derivative needs the value (write "
                      "to a copy instead)");
}

}  // namespace

Node::Node(uint64_t trace, int num_outputs)
    : trace(trace),
      sequence(next_sequence.fetch_add(1, std::memory_order_relaxed)),
      num_outputs(num_outputs) {}

Tensors Node::transpose(const Tensors& cotangents) {
  if (pullback) return pullback(cotangents);
  Tensors input_values(inputs.size()), output_values(num_outputs);
  Reads wanted = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].producer) wanted |= input_bit(i);
    input_values[i] = inputs[i].saved.tensor;
    if (input_values[i].defined()) check_unchanged(inputs[i].saved, *primitive, "input");
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    check_unchanged(outputs[i], *primitive, "output");
    output_values[i] = twin(outputs[i].tensor, trace);
    set_link(output_values[i], trace, Ref<RefCounted>(this), static_cast<int>(i));
  }
  return transpose_call(Call{*primitive, input_values, attrs, output_values}, cotangents, wanted);
}

void Node::release_saved() {
  released = true;
  inputs.clear();
  outputs.clear();
  pullback = nullptr;
}

void Node::destroy() noexcept {
  thread_local Node* queue = nullptr;
  thread_local bool draining = false;
  next_dead_ = queue;
  queue = this;
  if (draining) return;
  draining = true;
  while (queue) {
    Node* node = std::exchange(queue, queue->next_dead_);
    delete node;
  }
  draining = false;
}

Tape& Tape::ambient() {
  static Tape tape{Ambient{}};
  return tape;
}

Trace& ambient_trace() { return Tape::ambient(); }

Ref<Node> Tape::watch(const Tensor& tensor) {
  auto leaf = make_ref<Node>(id());
  set_link(tensor, id(), Ref<RefCounted>(leaf.get()), 0);
  return leaf;
}

bool Tape::add_edges(Node& node, std::span<const Tensor> inputs, Reads& tracked) const {
  node.inputs.resize(inputs.size());
  tracked = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Link* link = inputs[i].impl().link(id());
    if (!link) continue;
    tracked |= input_bit(i);
    node.inputs[i].producer = Ref<Node>(static_cast<Node*>(link->value.get()));
    node.inputs[i].index = link->index;
  }
  return tracked != 0;
}

void Tape::record(const Call& call, bool) {
  const Primitive& primitive = call.primitive;
  if (std::holds_alternative<Zero>(primitive.derivative)) return;
  if (std::ranges::none_of(call.inputs,
                           [&](const Tensor& input) { return input.impl().link(id()) != nullptr; }))
    return;
  if (std::ranges::none_of(call.outputs, [](const Tensor& output) { return is_floating(output.dtype()); }))
    return;
  auto node = make_ref<Node>(id(), static_cast<int>(call.outputs.size()));
  Reads tracked;
  add_edges(*node, call.inputs, tracked);
  node->primitive = &primitive;
  node->attrs = call.attrs;
  const Reads reads = reads_of(primitive, tracked);
  const bool needs_shapes = !std::holds_alternative<Elementwise>(primitive.derivative);
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor& input = call.inputs[i];
    if (reads & input_bit(i)) {
      node->inputs[i].saved = save_input(input, id());
    } else if (needs_shapes) {
      Tensor& saved = node->inputs[i].saved.tensor;
      saved = Tensor::abstract(input.shape(), input.dtype(), input.device());
      saved.impl().strides = input.strides();  // a rule may choose its result's layout by them
    }
  }
  if (reads & kOutput) {
    for (const Tensor& output : call.outputs) node->outputs.push_back(save_output(output, id()));
  }
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    if (is_floating(call.outputs[i].dtype()))
      set_link(call.outputs[i], id(), Ref<RefCounted>(node.get()), static_cast<int>(i));
  }
}

void Tape::record_custom(std::span<const Tensor> inputs, std::span<const Tensor> outputs,
                         Node::Pullback pullback) {
  auto node = make_ref<Node>(id(), static_cast<int>(outputs.size()));
  Reads tracked;
  if (!add_edges(*node, inputs, tracked)) return;
  node->pullback = std::move(pullback);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (is_floating(outputs[i].dtype()))
      set_link(outputs[i], id(), Ref<RefCounted>(node.get()), static_cast<int>(i));
  }
}

std::vector<LeafCotangent> pull_back(const std::vector<Root>& roots, bool retain_graph) {
  const auto earlier = [](const Ref<Node>& a, const Ref<Node>& b) { return a->sequence < b->sequence; };
  std::priority_queue<Ref<Node>, std::vector<Ref<Node>>, decltype(earlier)> queue(earlier);
  std::unordered_map<Node*, Tensors> pending;  // only of the nodes in the queue
  const auto send = [&](const Ref<Node>& node, int index, const Tensor& cotangent) {
    if (!node || !cotangent.defined()) return;
    Tensors& cotangents = pending[node.get()];
    if (cotangents.empty()) {
      cotangents.resize(node->num_outputs);
      queue.push(node);
    }
    cotangents[index] = accumulate(cotangents[index], cotangent);
  };
  for (const Root& root : roots) send(root.node, root.index, root.cotangent);

  std::vector<LeafCotangent> result;
  while (!queue.empty()) {
    const Ref<Node> node = queue.top();
    queue.pop();
    const Tensors cotangents = std::move(pending.extract(node.get()).mapped());
    if (node->is_leaf() && !node->released) {
      result.push_back({node, cotangents[0]});
      continue;
    }
    if (node->released) {
      fail<GradientError>(
          "[backward] the graph was freed by an earlier backward (pass retain_graph=True to the first one)");
    }
    const Tensors input_cotangents = node->transpose(cotangents);
    for (size_t i = 0; i < input_cotangents.size(); ++i)
      send(node->inputs[i].producer, node->inputs[i].index, input_cotangents[i]);
    if (!retain_graph) node->release_saved();
  }
  return result;
}

}  // namespace tidu
