// Reverse mode: a graph of calls, owned by the tensors that they produced, and its traversal.
#pragma once

#include <functional>

#include "core/trace.h"

namespace tidu {

// A call to be transposed, or a leaf. Edges lead from a call to the calls that produced its inputs.
class Node : public RefCounted {
 public:
  using Pullback =
      std::function<Tensors(const Tensors& cotangents)>;  // cotangents of the outputs to those of the inputs

  // A value to be kept until backward, with the version that its storage must still have then.
  struct Saved {
    Tensor tensor;
    uint64_t version = 0;
  };
  struct Input {
    Ref<Node> producer;  // null where the input is not tracked
    int index = 0;       // which output of the producer
    Saved saved;
  };

  explicit Node(uint64_t trace, int num_outputs = 1);

  bool is_leaf() const { return !primitive && !pullback; }
  // The cotangents of the inputs.
  Tensors transpose(const Tensors& cotangents);
  // Drops what backward needed.
  void release_saved();

  const uint64_t trace;     // of the tape that recorded it
  const uint64_t sequence;  // grows with time, so a consumer has a higher one than its producers
  const int num_outputs;
  const Primitive* primitive = nullptr;
  Attrs attrs;
  Pullback pullback;  // of a custom derivative, in place of a primitive
  std::vector<Input> inputs;
  std::vector<Saved> outputs;
  bool released = false;
  Tensor grad;  // of a leaf of the ambient tape

 private:
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

  // Makes `tensor` a leaf and returns its node.
  Ref<Node> watch(const Tensor& tensor);
  // Makes `outputs` what a custom pullback says of `inputs`.
  void record_custom(std::span<const Tensor> inputs, std::span<const Tensor> outputs,
                     Node::Pullback pullback);

  static Tape& ambient();

 private:
  bool add_edges(Node& node, std::span<const Tensor> inputs, Reads& tracked) const;
};

struct Root {
  Ref<Node> node;
  int index;
  Tensor cotangent;
};
struct LeafCotangent {
  Ref<Node> leaf;
  Tensor cotangent;
};

// Carries cotangents back to every leaf that they reach, in the reverse order of recording.
std::vector<LeafCotangent> pull_back(const std::vector<Root>& roots, bool retain_graph);

}  // namespace tidu
