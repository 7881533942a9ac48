// Watching what Tensor::backward carries back.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace tidu {

// Takes a gradient and returns what stands in its place, or nothing where it stays.
using GradientHook = std::function<Tensor(const Tensor& gradient)>;

// Calls `hook` with each gradient of `tensor` that a backward() computes: the whole one, before it goes on or
// is added to grad(). Hooks are called in the order of their registration. The result ends it. GradientError
// where `tensor` does not require grad.
std::function<void()> register_hook(const Tensor& tensor, GradientHook hook);

// Those of a tensor that have not ended, in order.
std::vector<std::shared_ptr<GradientHook>> hooks_of(const Tensor& tensor);
// A number that grows whenever a hook comes or ends, or requires_grad is set, of whatever tensor.
std::atomic<uint64_t>& leaf_changes();

// Lets grad() of the result of an operation collect its gradient, as that of a leaf does. GradientError where
// `tensor` does not require grad. The grad goes with `tensor`, which is told apart for that from what a graph
// has kept of it.
void retain_grad(Tensor& tensor);

// Shows the hooks of `tensor` that go with this handle, since nobody else holds the tensor or a graph of it;
// and ends all of them. For a collector of cycles: a hook may hold its tensor.
void visit_own_hooks(const Tensor& tensor, const std::function<void(const GradientHook&)>& visit);
void drop_hooks(const Tensor& tensor);

}  // namespace tidu
