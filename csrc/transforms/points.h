// What a function is like at a point.
#pragma once

#include <string>

#include "autodiff/transforms.h"

namespace tidu {

// What is_differentiable_at found: whether there is an objection, and what each one is, in words. Of partials
// only, both modes give the partial derivatives, but these do not make a linear model of the function.
struct Differentiability {
  enum class Verdict : uint8_t { no_objection, partials_only, no };
  Verdict verdict = Verdict::no_objection;
  std::vector<std::string> objections;

  explicit operator bool() const { return verdict == Verdict::no_objection; }
};

// Whether function(primals + p) = function(primals) + J p + o(norm p) seems to hold for the J of both modes,
// in float64. It is compared with differences of ever shorter steps along both sides of each axis (64 of
// them, if there are more), in random directions, and on paths that leave along an axis and bend: what is
// left, divided by the length of the step, must vanish with it.
Differentiability is_differentiable_at(const Function& function, const Tensors& primals,
                                       int64_t directions = 8, uint64_t seed = 0);

}  // namespace tidu
