// Reverse mode: a graph of calls, owned by the tensors that they produced, and its traversal.
//
// A tape writes down a node a call: which primitive with which attributes, edges to the nodes that produced
// its inputs, and those values that the rule of the primitive reads. The node hangs on the call's outputs, as
// their link for this tape; so the tape itself holds nothing, and a graph goes when its tensors go. Of y =
// sin(x) * x, x a leaf, it is
//
//     y -> [multiply; keeps sin(x) and x] -> [sin; keeps x] -> leaf x
//                                         -> leaf x
//
// `pull_back` starts with the cotangents of some outputs. It first looks which nodes it will come by and how
// many edges lead to each leaf; then it visits them, consumers before producers, which is the order of their
// numbers downwards. Each turns the cotangents of its outputs into those of its inputs (rules.h); where
// several edges lead to one value, they are summed (cotangent_sum.h). What arrives at a leaf is a gradient,
// reported when its last edge has delivered. All arithmetic of the rules goes through bind again, where the
// tapes outside of this one see it: so gradients have gradients.
//
// Functions with a rule of their own are a node with a `pullback` in place of a primitive. What else hangs on
// the tape behind Tensor::backward, grads and hooks, is in csrc/grads.
//
// Threads may walk one graph at a time: a walk pins the nodes that it will visit, and what backward needs of
// a node is only dropped by the last walk that pinned it.
#pragma once

#include <atomic>

#include "base/few.h"
#include "core/trace.h"

namespace tidu {

// A call to be transposed, or a leaf. Edges lead from a call to the calls that produced its inputs.
class Node : public RefCounted, public Pooled<Node> {
 public:
  // A value to be kept until backward, with the version that its storage must still have then.
  struct Saved {
    Tensor tensor;
    uint64_t version = 0;
  };
  struct Input {
    Ref<Node> producer;    // null where the input is not tracked
    int index = 0;         // which output of the producer
    uint64_t version = 0;  // of the value that is kept
  };

  Node(uint64_t trace, size_t num_inputs, size_t num_outputs);

  // The cotangents of the inputs from those of the outputs, which are lost; perhaps where others were.
  Tensors pull(Tensors& cotangents, Tensors memory);

  // Is shown the whole cotangents of a node's outputs before they go on, and may replace them.
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void show(std::span<Tensor> cotangents) = 0;
  };

  // False where what backward needs was dropped.
  bool pin();
  void unpin();
  // Unpins for good where nobody else pins the node: what backward needed of it may be taken from then on.
  bool close();
  // Drops that.
  void clear();

  const uint64_t trace;   // of the tape that recorded it
  uint64_t sequence = 0;  // grows with time on a thread; a consumer has a higher one than its producers
  const int num_outputs;
  bool is_leaf = false;
  const Primitive* primitive = nullptr;
  Attrs attrs;
  Function pullback;  // of a custom derivative, in place of a primitive: from the outputs' cotangents
  Few<Input, 2> inputs;
  Few<Tensor, 2> values;  // of the inputs, where the rule reads them, and else undefined or abstract
  std::vector<Saved> outputs;
  std::unique_ptr<Observer> observer;   // mostly null
  std::atomic<bool> is_shared = false;  // whether a walk came by several edges here

 private:
  static constexpr int kReleased = -1;
  std::atomic<int> pins_ = 0;

  // A graph may be a chain of millions of nodes, so the last reference queues a node instead of recursing
  // into its inputs.
  void destroy() noexcept override;
  Node* next_dead_ = nullptr;
};

class Tape : public Trace {
 public:
  Tape() = default;
  explicit Tape(Ambient ambient) : Trace(ambient) {}

  void record(const Call& call, bool differentiable) override;
  void record_custom(CustomCall& call, bool differentiable) override;

  // Makes `tensor` a leaf and returns its node.
  Ref<Node> make_leaf(const Tensor& tensor);
  static Tape& ambient();

 private:
  // The inputs that are tracked.
  Reads add_edges(Node& node, std::span<const Tensor> inputs) const;
  void link_outputs(Ref<Node> node, std::span<const Tensor> outputs) const;
};

struct Root {
  Ref<Node> node;
  int index;
  Tensor cotangent;
};

// Carries cotangents back to every leaf that they reach, in the reverse order of recording, and reports the
// sum that arrives at a leaf as soon as it is complete.
using OnLeaf = std::function<void(const Ref<Node>& leaf, Tensor gradient)>;
void pull_back(const std::vector<Root>& roots, bool retain_graph, const OnLeaf& on_leaf);

}  // namespace tidu
