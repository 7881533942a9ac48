// Recording and traversing the graph of reverse mode.
#include "autodiff/tape.h"

#include <algorithm>
#include <memory_resource>
#include <queue>
#include <unordered_map>

#include "autodiff/cotangent_sum.h"
#include "autodiff/rules.h"
#include "core/watch.h"

namespace tidu {
namespace {

// Higher than `newest` and than all that this thread got before, and no other thread gets the same: its
// number fills the lower bits. A counter that all threads share would be a locked instruction a call.
uint64_t sequence_after(uint64_t newest) {
  constexpr uint64_t kThreads = 1 << 16;
  static std::atomic<uint64_t> threads = 0;
  [[gnu::tls_model("initial-exec")]] thread_local uint64_t last = threads++ % kThreads;
  return last = std::max(newest - newest % kThreads + last % kThreads, last) + kThreads;
}

// Also of memory that has no values while a program is recorded: writes to it count there too.
uint64_t storage_version(const Tensor& tensor) {
  return tensor.impl().storage ? tensor.impl().storage->version() : 0;
}

Tensor save_input(const Tensor& tensor, uint64_t trace) {
  // Links of inner traces would keep their graphs alive for nothing, and grads are not the graph's.
  const auto is_plain = [&](const Link* link) { return link->trace <= trace && !link->owned; };
  const Link* link = tensor.impl().links.get();
  while (link && is_plain(link)) link = link->next.get();
  if (!link) return tensor;
  Tensor copy = twin(tensor, trace);
  for (Link* kept = copy.impl().links.get(); kept; kept = kept->next.get()) kept->owned = {};
  return copy;
}

// Without its link to the node itself, which would be a cycle; the link is put back when the value is used.
Node::Saved save_output(const Tensor& tensor, uint64_t trace) {
  Tensor copy = twin(tensor, trace);
  if (copy.impl().links && copy.impl().links->trace == trace)
    copy.impl().links = std::move(copy.impl().links->next);
  return {std::move(copy), storage_version(tensor)};
}

void check_unchanged(const Tensor& value, uint64_t version, const Primitive& primitive, const char* what) {
  if (storage_version(value) == version) return;
  fail<GradientError>("[backward] the ", what, " of '", primitive.name, "' (", describe(value),
                      ") was overwritten in place after the call, but its derivative needs the value (write "
                      "to a copy instead)");
}

}  // namespace

Node::Node(uint64_t trace, size_t num_inputs, size_t num_outputs)
    : trace(trace), num_outputs(static_cast<int>(num_outputs)), inputs(num_inputs), values(num_inputs) {}

Tensors Node::pull(Tensors& cotangents, Tensors memory) {
  if (pullback) return pullback(cotangents);
  InputSet wanted;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].producer) wanted.add(i);
    if (values[i].defined()) check_unchanged(values[i], inputs[i].version, *primitive, "input");
  }
  Few<Tensor, 2> output_values(static_cast<size_t>(num_outputs));
  for (size_t i = 0; i < outputs.size(); ++i) {
    check_unchanged(outputs[i].tensor, outputs[i].version, *primitive, "output");
    output_values[i] = twin(outputs[i].tensor, trace);
    set_link(output_values[i], trace, Ref<RefCounted>(this), static_cast<int>(i));
  }
  return pull_call({*primitive, values, attrs, output_values}, cotangents, wanted, std::move(memory));
}

bool Node::pin() {
  int pins = pins_.load(std::memory_order_relaxed);
  while (pins != kReleased) {
    if (pins_.compare_exchange_weak(pins, pins + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void Node::unpin() { pins_.fetch_sub(1, std::memory_order_release); }

bool Node::close() {
  int pins = 1;
  // A walk that pinned the node and has still to visit it has a reference to it, or to a consumer.
  const bool is_alone = use_count() == 1 && pins_.load(std::memory_order_relaxed) == pins;
  if (is_alone) pins_.store(kReleased, std::memory_order_relaxed);
  return is_alone || pins_.compare_exchange_strong(pins, kReleased, std::memory_order_acquire);
}

void Node::clear() {
  inputs.clear();
  values.clear();
  outputs.clear();
  pullback = nullptr;
}

void Node::destroy() noexcept {
  struct Dead {
    Node* first = nullptr;
    bool draining = false;
  };
  [[gnu::tls_model("initial-exec")]] static constinit thread_local Dead dead;
  next_dead_ = std::exchange(dead.first, this);
  if (dead.draining) return;
  dead.draining = true;
  while (dead.first) delete std::exchange(dead.first, dead.first->next_dead_);
  dead.draining = false;
}

Tape& Tape::ambient() {
  static Tape tape{Ambient{}};
  return tape;
}

const Scope& ambient_scope() {
  static const Scope scope(Tape::ambient());
  return scope;
}

Ref<Node> Tape::make_leaf(const Tensor& tensor) {
  auto leaf = make_ref<Node>(id(), 0, 1);
  leaf->is_leaf = true;
  leaf->sequence = sequence_after(0);
  set_link(tensor, id(), Ref<RefCounted>(leaf.get()), 0);
  return leaf;
}

Reads Tape::add_edges(Node& node, std::span<const Tensor> inputs) const {
  Reads tracked = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Link* link = inputs[i].impl().link(id());
    if (!link) continue;
    tracked |= input_bit(i);
    Node& producer = static_cast<Node&>(*link->value);
    node.inputs[i].producer = Ref<Node>(&producer);
    node.inputs[i].index = link->index;
    node.sequence = std::max(node.sequence, producer.sequence);
  }
  node.sequence = sequence_after(node.sequence);
  return tracked;
}

void Tape::link_outputs(Ref<Node> node, std::span<const Tensor> outputs) const {
  for (size_t i = 0; i < outputs.size(); ++i) {
    Ref<Node> held = i + 1 < outputs.size() ? node : std::move(node);
    if (is_differentiable(outputs[i].dtype()))
      set_link(outputs[i], id(), std::move(held), static_cast<int>(i));
  }
}

void Tape::record(const Call& call, bool) {
  const Primitive& primitive = call.primitive;
  const auto is_mine = [&](const Tensor& input) { return input.impl().link(id()) != nullptr; };
  if (std::ranges::none_of(call.inputs, is_mine) || !has_derivative(call)) return;
  auto node = make_ref<Node>(id(), call.inputs.size(), call.outputs.size());
  const Reads reads = kept_of(call, add_edges(*node, call.inputs));
  if (Watch* const watch = Watch::active()) [[unlikely]]
    watch->recorded(node->sequence);
  node->primitive = &primitive;
  node->attrs = call.attrs;
  // Rules of other primitives look at shapes, and choose the layout of a result by strides.
  const bool needs_layouts = !primitive.pointwise || std::holds_alternative<LinearMap>(primitive.derivative);
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor& input = call.inputs[i];
    if (reads & input_bit(i)) {
      node->values[i] = save_input(input, id());
      node->inputs[i].version = storage_version(input);
    } else if (needs_layouts) {
      node->values[i] = Tensor::abstract(input.shape(), input.dtype(), input.device());
      node->values[i].impl().strides = input.strides();
    }
  }
  if (reads & kOutput) {
    for (const Tensor& output : call.outputs) node->outputs.push_back(save_output(output, id()));
  }
  link_outputs(std::move(node), call.outputs);
}

void Tape::record_custom(CustomCall& call, bool) {
  const VisibleTraces scope(outer());
  Function pullback = call.pullback();  // which may be what gives the outputs
  auto node = make_ref<Node>(id(), call.inputs().size(), call.outputs().size());
  add_edges(*node, call.inputs());
  node->pullback = std::move(pullback);
  link_outputs(std::move(node), call.outputs());
}

namespace {

// Nodes wait in the order in which backward visits them. Most have one consumer, whose cotangent waits with
// them; the others have sums.
struct Visit {
  Ref<Node> node;
  int index = 0;
  Tensor cotangent;

  bool operator<(const Visit& other) const { return node->sequence < other.node->sequence; }
};

class Backward {
 public:
  Backward(const std::vector<Root>& roots, bool retain_graph, const OnLeaf& on_leaf)
      : retain_graph_(retain_graph), on_leaf_(on_leaf) {
    pin_nodes(roots);
    for (const Root& root : roots) send(root.node, root.index, root.cotangent);
  }
  ~Backward() {
    for (; visited_ < pinned_.size(); ++visited_) pinned_[visited_]->unpin();  // after an error
  }

  void run() {
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      current_ = std::move(queue_.back());
      queue_.pop_back();
      visit(*current_.node);
    }
  }

 private:
  void visit(Node& node) {
    cotangents_.assign(static_cast<size_t>(node.num_outputs), {});
    if (const auto found = node.is_shared ? sums_.extract(&node) : decltype(sums_)::node_type()) {
      std::ranges::transform(found.mapped().of_outputs, cotangents_.begin(), &CotangentSum::take);
    } else {
      cotangents_[current_.index] = std::move(current_.cotangent);
    }
    const bool is_reached = std::ranges::any_of(cotangents_, &Tensor::defined);
    // Nodes are visited in the order in which they were pinned; one that was released then has no inputs.
    const bool is_pinned = visited_ < pinned_.size() && pinned_[visited_] == &node;
    if (is_reached && !is_pinned) {
      fail<GradientError>(
          "[backward] the graph was freed by an earlier backward (pass retain_graph=True to the first "
          "one)");
    }
    if (!is_pinned) return;
    if (node.observer && is_reached) node.observer->show(cotangents_);
    const auto pull = [&] {
      // The cotangent of a slice joins those of other slices where they are summed.
      const bool is_part = is_reached && node.primitive == &primitives::slice;
      if (is_part) {
        std::swap(of_inputs_, cotangents_);
      } else if (is_reached) {
        of_inputs_ = node.pull(cotangents_, std::move(of_inputs_));
      } else {
        of_inputs_.assign(node.inputs.size(), {});
      }
      cotangents_.clear();
      // One that is closed is nobody else's: its edges are given on, and it is not unpinned after an error.
      const bool is_closed = is_reached && !retain_graph_ && node.close();
      visited_ += is_closed;
      for (size_t i = 0; i < of_inputs_.size(); ++i) {
        Node::Input& input = node.inputs[i];
        send(is_closed ? std::move(input.producer) : input.producer, input.index, std::move(of_inputs_[i]),
             is_part ? &node : nullptr);
      }
      is_closed ? node.clear() : node.unpin();
      visited_ += !is_closed;
    };
    Watch* const watch = Watch::active();
    watch ? watch->pull(node.sequence, pull) : pull();
  }

  // Pins the nodes that cotangents, or word of none, will come by, counts the edges to leaves, and notes
  // where several lead to another node.
  void pin_nodes(const std::vector<Root>& roots) {
    const auto earlier = [](const Node* a, const Node* b) { return a->sequence < b->sequence; };
    std::priority_queue queue(earlier, std::pmr::vector<Node*>(&memory_));
    const auto reach = [&](const Ref<Node>& node) {
      if (node && node->is_leaf) ++sums_.try_emplace(node.get(), 1).first->second.edges;
      if (node && !node->is_leaf) queue.push(node.get());
    };
    for (const Root& root : roots) reach(root.node);
    for (const Node* last = nullptr; !queue.empty();) {
      Node* const node = queue.top();
      queue.pop();
      if (last == node) node->is_shared = true;
      if (std::exchange(last, node) == node || !node->pin()) continue;
      pinned_.push_back(node);
      for (const Node::Input& input : node->inputs) reach(input.producer);
    }
  }

  // A cotangent, or where `slice` is a call that the cotangent of what it gave.
  static void add(CotangentSum& sum, const Tensor& cotangent, const Node* slice) {
    if (slice) {
      sum.add_part(slice->values[0].shape(), slice->attrs.as<SliceViewAttrs>().part, cotangent);
    } else {
      sum.add(cotangent);
    }
  }

  // An undefined cotangent is sent on, too: leaves wait for word from every edge.
  void send(Ref<Node> node, int index, Tensor cotangent, const Node* slice = nullptr) {
    if (!node) return;
    if (node->is_leaf || node->is_shared) {
      const auto [at, is_first] = sums_.try_emplace(node.get(), static_cast<size_t>(node->num_outputs));
      Sums& sums = at->second;
      add(sums.of_outputs[static_cast<size_t>(index)], cotangent, slice);
      cotangent = {};
      if (node->is_leaf && --sums.edges == 0) finish(node, sums.of_outputs[0]);
      if (node->is_leaf || !is_first) return;
    } else if (slice) {
      CotangentSum sum;
      add(sum, cotangent, slice);
      cotangent = sum.take();
    }
    queue_.push_back({std::move(node), index, std::move(cotangent)});
    std::push_heap(queue_.begin(), queue_.end());
  }

  void finish(const Ref<Node>& leaf, CotangentSum& sum) {
    Tensor gradient = sum.take();
    if (!gradient.defined()) return;
    if (leaf->observer) leaf->observer->show({&gradient, 1});
    on_leaf_(leaf, std::move(gradient));
  }

  struct Sums {
    explicit Sums(size_t outputs) : of_outputs(outputs) {}
    int edges = 0;  // to a leaf, that a cotangent, or word of none, has still to come by
    Few<CotangentSum, 1> of_outputs;
  };

  const bool retain_graph_;
  const OnLeaf& on_leaf_;
  std::byte first_bytes_[2048];  // of a small graph, a walk takes no memory for its lists
  std::pmr::monotonic_buffer_resource memory_{first_bytes_, sizeof first_bytes_};
  std::pmr::vector<Node*> pinned_{&memory_};
  size_t visited_ = 0;  // how many of those
  std::pmr::vector<Visit> queue_{&memory_};
  Visit current_{};  // until the end also after an error: all that is pinned and not visited hangs on these
  std::pmr::unordered_map<Node*, Sums> sums_{&memory_};
  Tensors cotangents_, of_inputs_;  // of the node that is visited
};

}  // namespace

void pull_back(const std::vector<Root>& roots, bool retain_graph, const OnLeaf& on_leaf) {
  Backward(roots, retain_graph, on_leaf).run();
}

}  // namespace tidu
