// Watching what Tensor::backward carries back.
#include "grads/hooks.h"

#include <limits>

#include "autodiff/rules.h"
#include "grads/grads.h"
#include "ops/convert.h"

namespace tidu {
namespace {

Link* ambient_link(const Tensor& tensor) { return tensor.impl().link(Tape::ambient().id()); }
Node& node_of(const Link& link) { return static_cast<Node&>(*link.value); }

Grads::Output& grads_of(const Tensor& tensor, const char* op) {
  const Link* const link = ambient_link(tensor);
  if (!link) fail<GradientError>("[", op, "] ", describe(tensor), " does not require grad");
  return make_grads(node_of(*link), link->index);
}
Grads::Output* grads_of(const Tensor& tensor) {
  const Link* const link = ambient_link(tensor);
  return link ? grads_of(node_of(*link), link->index) : nullptr;
}

}  // namespace

std::function<void()> register_hook(const Tensor& tensor, GradientHook hook) {
  auto& hooks = grads_of(tensor, "register_hook").hooks;
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
  Grads::Output& output = grads_of(tensor, "retain_grad");
  if (tensor.impl().use_count() > 1) tensor = twin(tensor, std::numeric_limits<uint64_t>::max());
  Link& link = *ambient_link(tensor);
  if (!link.owned) link.owned = Ref<RefCounted>(new GradOwner(Ref<Node>(&node_of(link)), output));
}

std::vector<std::shared_ptr<GradientHook>> hooks_of(const Tensor& tensor) {
  const Grads::Output* const output = grads_of(tensor);
  std::vector<std::shared_ptr<GradientHook>> result;
  if (!output) return result;
  for (const auto& hook : output->hooks) {
    if (*hook) result.push_back(hook);
  }
  return result;
}

void visit_own_hooks(const Tensor& tensor, const std::function<void(const GradientHook&)>& visit) {
  const Grads::Output* const output = grads_of(tensor);
  if (!output || tensor.impl().use_count() > 1) return;
  const Link& link = *ambient_link(tensor);
  const bool owns_grad = static_cast<bool>(link.owned);
  if (link.value->use_count() > (owns_grad ? 2 : 1) || (owns_grad && link.owned->use_count() > 1)) return;
  for (const auto& hook : output->hooks) {
    if (hook.use_count() == 1) visit(*hook);
  }
}

void drop_hooks(const Tensor& tensor) {
  Grads::Output* const output = grads_of(tensor);
  if (output) const auto dropped = std::exchange(output->hooks, {});
  ++leaf_changes();
}

namespace {

// Calls the user's code, which sees the tape as in a no_grad where backward() hides it.
Tensor call_hook(const GradientHook& hook, const Tensor& gradient) {
  if (visible_scope()) return hook(gradient);
  const VisibleTraces visible(&ambient_scope());
  const GradMode off(false);
  return hook(gradient);
}

}  // namespace

void Grads::show(std::span<Tensor> cotangents) {
  for (auto& [index, output] : outputs) {
    Tensor& gradient = cotangents[static_cast<size_t>(index)];
    if (!gradient.defined()) continue;
    for (const auto& registered : std::vector(output.hooks)) {
      const GradientHook hook = *registered;  // which may end itself
      const Tensor given = hook ? call_hook(hook, gradient) : Tensor();
      if (!given.defined()) continue;
      if (given.spec() != gradient.spec()) {
        fail<ShapeError>("[register_hook] the hook returned ", describe(given), " for the gradient ",
                         describe(gradient));
      }
      gradient = given;
    }
    if (is_leaf_ || output.owners == 0) continue;
    output.grad = output.grad.defined() ? accumulate(output.grad, gradient) : copy(gradient);
  }
}

}  // namespace tidu
