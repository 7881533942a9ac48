// Watching what Tensor::backward carries back.
#include "autodiff/hooks.h"

#include <atomic>
#include <limits>

#include "autodiff/rules.h"
#include "autodiff/tape.h"
#include "ops/convert.h"

namespace tidu {
namespace {

Node::Watch& watch(const Tensor& tensor, const char* op) {
  const Link* const link = tensor.impl().link(Tape::ambient().id());
  if (!link) fail<GradientError>("[", op, "] ", describe(tensor), " does not require grad");
  auto& watches = static_cast<Node&>(*link->value).watches;
  if (!watches) watches = std::make_unique<std::map<int, Node::Watch>>();
  return (*watches)[link->index];
}

}  // namespace

std::function<void()> register_hook(const Tensor& tensor, GradientHook hook) {
  auto& hooks = watch(tensor, "register_hook").hooks;
  hooks.push_back(std::make_shared<GradientHook>(std::move(hook)));
  ++leaf_changes();
  return [weak = std::weak_ptr(hooks.back())] {
    if (const auto registered = weak.lock()) *registered = nullptr;
    ++leaf_changes();
  };
}

std::atomic<uint64_t>& leaf_changes() {
  static std::atomic<uint64_t> number = 0;
  return number;
}

void retain_grad(Tensor& tensor) {
  if (tensor.requires_grad() && tensor.is_leaf()) return;
  Node::Watch& watched = watch(tensor, "retain_grad");
  if (tensor.impl().use_count() > 1) tensor = twin(tensor, std::numeric_limits<uint64_t>::max());
  Link& link = *tensor.impl().link(Tape::ambient().id());
  if (!link.owned)
    link.owned =
        Ref<RefCounted>(new GradOwner(Ref<Node>(static_cast<Node*>(link.value.get())), watched.grad));
}

namespace {

Node::Watch* watch_of(const Tensor& tensor) {
  const Link* const link = tensor.impl().link(Tape::ambient().id());
  if (!link) return nullptr;
  const auto& watches = static_cast<Node&>(*link->value).watches;
  if (!watches) return nullptr;
  const auto found = watches->find(link->index);
  return found == watches->end() ? nullptr : &found->second;
}

}  // namespace

std::vector<std::shared_ptr<GradientHook>> hooks_of(const Tensor& tensor) {
  const Node::Watch* const watched = watch_of(tensor);
  std::vector<std::shared_ptr<GradientHook>> result;
  if (!watched) return result;
  for (const auto& hook : watched->hooks) {
    if (*hook) result.push_back(hook);
  }
  return result;
}

void visit_own_hooks(const Tensor& tensor, const std::function<void(const GradientHook&)>& visit) {
  const Node::Watch* const watched = watch_of(tensor);
  if (!watched || tensor.impl().use_count() > 1) return;
  const Link& link = *tensor.impl().link(Tape::ambient().id());
  const bool owns_grad = static_cast<bool>(link.owned);
  if (link.value->use_count() > (owns_grad ? 2 : 1) || (owns_grad && link.owned->use_count() > 1)) return;
  for (const auto& hook : watched->hooks) {
    if (hook.use_count() == 1) visit(*hook);
  }
}

void drop_hooks(const Tensor& tensor) {
  Node::Watch* const watched = watch_of(tensor);
  if (watched) const auto dropped = std::exchange(watched->hooks, {});
  ++leaf_changes();
}

void Node::show(Tensors& cotangents) {
  for (auto& [index, watch] : *watches) {
    Tensor& gradient = cotangents[static_cast<size_t>(index)];
    if (!gradient.defined()) continue;
    for (const auto& registered : std::vector(watch.hooks)) {
      const GradientHook hook = *registered;  // which may end itself
      const Tensor given = hook ? hook(gradient) : Tensor();
      if (!given.defined()) continue;
      if (given.spec() != gradient.spec()) {
        fail<ShapeError>("[register_hook] the hook returned ", describe(given), " for the gradient ",
                         describe(gradient));
      }
      gradient = given;
    }
    Tensor& grad = watch.grad.value;
    if (watch.grad.owners > 0) grad = grad.defined() ? accumulate(grad, gradient) : copy(gradient);
  }
}

}  // namespace tidu
