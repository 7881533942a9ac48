// What tensors collect of the gradients that backward() computes, and who is shown these.
#pragma once

#include <map>

#include "autodiff/tape.h"
#include "grads/hooks.h"

namespace tidu {

// Of a node of the ambient tape: what users have asked for of each of its outputs. A leaf has one.
class Grads : public Node::Observer {
 public:
  struct Output {
    std::vector<std::shared_ptr<GradientHook>> hooks;
    Tensor grad;  // collects while tensors have a GradOwner: under a lock (backward.cpp)
    int owners = 0;
  };
  explicit Grads(bool is_leaf) : is_leaf_(is_leaf) {}

  // Shows them to the hooks, and adds to the grads of other nodes than leaves.
  void show(std::span<Tensor> cotangents) override;

  std::map<int, Output> outputs;

 private:
  const bool is_leaf_;  // whose grad backward() adds to when all is computed
};

// What is asked for of an output, or null.
Grads::Output* grads_of(const Node& node, int index);
// The same, made where there is nothing yet.
Grads::Output& make_grads(Node& node, int index);
// The grad as it is now.
Tensor grad_of(const Node& node, int index = 0);

// What tensors have of the grad that a node collects for them. A grad may have a graph, which leads back to
// the node: it belongs to the tensors, and goes when they go, where the node would keep itself.
class GradOwner : public RefCounted {
 public:
  GradOwner(Ref<Node> node, Grads::Output& output);
  ~GradOwner() override;

 private:
  Ref<Node> node_;
  Grads::Output& output_;
};

// While one lives on this thread, grads of leaves are those of a function that is recorded: they begin with
// none, and at the end are as they were. A grad from before, which the program would not know, is a
// TraceError where it is read or added to.
class GradJournal {
 public:
  GradJournal();
  ~GradJournal();
  GradJournal(const GradJournal&) = delete;

  // Leaves that were added to before they were written to: a grad that they have later is no part of it.
  std::vector<Ref<Node>> must_have_none() const;

  void read(const Node& leaf, const char* op);
  void write(Node* leaf);
  void add(Node* leaf);

 private:
  struct Entry {
    Ref<Node> leaf;
    Tensor before;
    bool added_first;
  };
  Entry* find(const Node* leaf);

  std::vector<Entry> entries_;
  GradJournal* const outer_;
};

}  // namespace tidu
