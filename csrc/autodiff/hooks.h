// Watching what Tensor::backward carries back.
#pragma once

#include <functional>

#include "tensor/tensor.h"

namespace tidu {

// Takes a gradient and returns what stands in its place, or nothing where it stays.
using GradientHook = std::function<Tensor(const Tensor& gradient)>;

// Calls `hook` with each gradient of `tensor` that a backward() computes: the whole one, before it goes on or
// is added to grad(). Hooks are called in the order of their registration. The result ends it. GradientError
// where `tensor` does not require grad.
std::function<void()> register_hook(const Tensor& tensor, GradientHook hook);

// Lets grad() of the result of an operation collect its gradient, as that of a leaf does. GradientError where
// `tensor` does not require grad.
void retain_grad(const Tensor& tensor);

}  // namespace tidu
