// Tensor::backward: reverse mode by the ambient tape, whose graph the tensors own.
#include <algorithm>
#include <mutex>

#include "core/escape.h"
#include "grads/grads.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"
#include "program/capture.h"

namespace tidu {
namespace {

const Link* ambient_link(const Tensor& tensor) {
  const Capture* const capture = visible_capture();
  return (capture ? capture->known(tensor) : tensor).impl().link(Tape::ambient().id());
}

Node* ambient_node(const Tensor& tensor) {
  const Link* const link = ambient_link(tensor);
  return link ? static_cast<Node*>(link->value.get()) : nullptr;
}

// A gradient that nobody else holds: rules may hand one tensor to several leaves, or a broadcast one.
Tensor own(Tensor gradient) {
  const bool alone = gradient.is_contiguous() && gradient.impl().use_count() == 1 &&
                     gradient.impl().storage->use_count() == 1;
  return alone ? gradient : copy(gradient);
}

void check_gradient(const Tensor& gradient, const Tensor& tensor, const char* op) {
  if (gradient.shape() == tensor.shape() && gradient.dtype() == tensor.dtype() &&
      gradient.device() == tensor.device())
    return;
  fail<ShapeError>("[", op, "] the gradient is ", describe(gradient), " but the tensor is ",
                   describe(tensor));
}

std::mutex grads_mutex;  // for moments
std::mutex sums_mutex;   // while one backward adds to grads

thread_local GradJournal* journal = nullptr;

}  // namespace

Grads::Output* grads_of(const Node& node, int index) {
  if (!node.observer) return nullptr;
  auto& outputs = static_cast<Grads&>(*node.observer).outputs;
  const auto found = outputs.find(index);
  return found == outputs.end() ? nullptr : &found->second;
}

Grads::Output& make_grads(Node& node, int index) {
  if (!node.observer) node.observer = std::make_unique<Grads>(node.is_leaf);
  return static_cast<Grads&>(*node.observer).outputs[index];
}

Tensor grad_of(const Node& node, int index) {
  const std::lock_guard lock(grads_mutex);
  const Grads::Output* const output = grads_of(node, index);
  return output ? output->grad : Tensor();
}

GradJournal::GradJournal() : outer_(std::exchange(journal, this)) {}

GradJournal::~GradJournal() {
  journal = outer_;
  const std::lock_guard lock(grads_mutex);
  for (Entry& entry : entries_) std::swap(make_grads(*entry.leaf, 0).grad, entry.before);
}

GradJournal::Entry* GradJournal::find(const Node* leaf) {
  const auto found = std::ranges::find(entries_, leaf, [](const Entry& entry) { return entry.leaf.get(); });
  return found == entries_.end() ? nullptr : &*found;
}

void GradJournal::write(Node* leaf) {
  if (!find(leaf)) entries_.push_back({Ref<Node>(leaf), grad_of(*leaf), false});
}

void GradJournal::read(const Node& leaf, const char* op) {
  if (find(&leaf) || !grad_of(leaf).defined()) return;
  fail<TraceError>("[", op, "] a tensor that the function closes over has a grad from before it (call ",
                   "zero_grad first, in the function or outside, or pass the gradient as an argument)");
}

void GradJournal::add(Node* leaf) {
  if (find(leaf)) return;
  read(*leaf, "backward");
  entries_.push_back({Ref<Node>(leaf), {}, true});
}

std::vector<Ref<Node>> GradJournal::must_have_none() const {
  std::vector<Ref<Node>> leaves;
  for (const Entry& entry : entries_) {
    if (entry.added_first) leaves.push_back(entry.leaf);
  }
  return leaves;
}

GradOwner::GradOwner(Ref<Node> node, Grads::Output& output) : node_(std::move(node)), output_(output) {
  const std::lock_guard lock(grads_mutex);
  ++output_.owners;
}

GradOwner::~GradOwner() {
  Tensor last;  // which may take work to destroy, outside of the lock
  const std::lock_guard lock(grads_mutex);
  if (--output_.owners == 0) std::swap(output_.grad, last);
}

bool Tensor::requires_grad() const { return ambient_node(*this) != nullptr; }

bool Tensor::is_leaf() const {
  const Node* node = ambient_node(*this);
  return !node || node->is_leaf;
}

bool shows_leaf(const Tensor& tensor) {
  const Node* node = ambient_node(tensor);
  while (node && !node->is_leaf && node->primitive && node->primitive->view)
    node = node->inputs[0].producer.get();
  return !node || node->is_leaf;
}

Tensor& Tensor::set_requires_grad(bool value) {
  if (value == requires_grad()) return *this;
  if (value && !is_differentiable(dtype())) {
    fail<DTypeError>("[requires_grad] only floating-point and complex tensors have gradients, not ",
                     describe(*this), " (convert it with astype first)");
  }
  ++leaf_changes();
  if (value) {
    const Ref<Node> leaf = Tape::ambient().make_leaf(*this);
    impl().link(Tape::ambient().id())->owned = Ref<RefCounted>(new GradOwner(leaf, make_grads(*leaf, 0)));
  } else if (is_leaf()) {
    remove_link(*this, Tape::ambient().id());
  } else {
    fail<GradientError>(
        "[requires_grad] cannot be switched off for the result of a differentiable operation (use detach)");
  }
  return *this;
}

Tensor Tensor::grad() const {
  const Link* const link = ambient_link(*this);
  if (!link) return {};
  const Node& node = static_cast<const Node&>(*link->value);
  if (node.is_leaf && journal) journal->read(node, "grad");
  return grad_of(node, link->index);
}

void Tensor::set_grad(const Tensor& grad) const {
  Node* node = ambient_node(*this);
  if (!node || !node->is_leaf)
    fail<GradientError>("[grad] only leaves that require grad have one, not ", describe(*this));
  if (grad.defined()) check_gradient(grad, *this, "grad");
  if (journal) journal->write(node);
  Tensor previous = grad;  // which may take work to destroy, outside of the lock
  const std::lock_guard lock(grads_mutex);
  std::swap(make_grads(*node, 0).grad, previous);
}

void Tensor::backward(const Tensor& gradient, bool retain_graph, bool create_graph) const {
  for (const Trace* trace : differentiating_traces()) {
    if (trace != &Tape::ambient())
      fail<GradientError>(
          "[backward] cannot be called inside a function that grad, vjp or jvp differentiates (nest grad "
          "instead)");
  }
  const Link* const link = ambient_link(*this);
  if (!link)
    fail<GradientError>("[backward] ", describe(*this), " does not depend on any tensor that requires grad");
  if (!gradient.defined() && is_complex(dtype())) {
    fail<DTypeError>("[backward] ", describe(*this),
                     " is complex: take a real number of it (real, imag, abs), or pass a gradient");
  }
  if (!gradient.defined() && numel() != 1) {
    fail<ShapeError>("[backward] ", describe(*this),
                     " has more than one element: pass a gradient of its shape, or reduce it to a scalar");
  }
  const Tensor cotangent = gradient.defined() ? gradient : ones_like(*this);
  check_thread(cotangent, "backward");
  check_gradient(cotangent, *this, "backward");

  const VisibleTraces scope(create_graph ? visible_scope() : Tape::ambient().outer());
  std::vector<std::pair<Ref<Node>, Tensor>> leaves;
  pull_back({{Ref<Node>(static_cast<Node*>(link->value.get())), link->index, cotangent}},
            retain_graph || create_graph,
            [&](const Ref<Node>& leaf, Tensor sum) { leaves.emplace_back(leaf, std::move(sum)); });
  // All sums are made before any grad is touched, so that an error leaves every grad as it was.
  const std::lock_guard adding(sums_mutex);
  for (auto& [leaf, sum] : leaves) {
    if (journal) journal->add(leaf.get());
    const Tensor before = grad_of(*leaf);
    sum = before.defined() ? add(before, sum) : create_graph ? sum : own(std::move(sum));
  }
  const std::lock_guard lock(grads_mutex);
  for (auto& [leaf, sum] : leaves) {
    Grads::Output& output = make_grads(*leaf, 0);
    if (output.owners > 0) std::swap(output.grad, sum);
  }
}

}  // namespace tidu
