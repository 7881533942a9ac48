// What a function is like at a point.
#pragma once

#include <optional>
#include <string>

#include "transforms/derivatives.h"

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
// left, divided by the length of the step, must fall with it until it meets the error by rounding. That tells
// powers of the step above 1.04 from kinks, whose slopes differ by 1e-7 of f or more; what is smaller, or
// further from the point than the longest steps, is not seen, and what vanishes more slowly than a power (as
// x / log x does) may count as a kink. Results in float32 are told apart to 1e-2.
Differentiability is_differentiable_at(const Function& function, const Tensors& primals,
                                       int64_t directions = 8, uint64_t seed = 0);

// What classify_stationary_point found. Of a point that is not stationary only the gradient's norm.
struct StationaryPoint {
  enum class Kind : uint8_t { minimum, maximum, saddle, undecided, not_stationary };
  Kind kind = Kind::not_stationary;
  double gradient_norm = 0;  // over all primals
  Tensor eigenvalues;        // of the Hessian, ascending, a float64 vector
  // The eigenvectors of norm 1, like the primals, along which the second derivative is positive, negative, or
  // cannot be told from 0, in the order of their eigenvalues.
  std::vector<Tensors> up, down, flat;
};

// The kind of a stationary point of a scalar function by its Hessian's eigenvalues: all positive, a minimum;
// all negative, a maximum; of both signs, a saddle; else the Hessian does not decide, and terms of higher
// order do. rtol, by default the square root of the dtype's epsilon: the point is stationary where
// norm(gradient) <= rtol * norm(Hessian) * max(1, norm(x)), and an eigenvalue counts as 0 where it is at most
// rtol times the largest. A ValueError where gradient or Hessian is not finite.
StationaryPoint classify_stationary_point(const ScalarFunction& function, const Tensors& primals,
                                          std::optional<double> rtol = {});

}  // namespace tidu
