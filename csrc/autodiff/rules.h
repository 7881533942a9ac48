// Both modes of differentiation from a primitive's one derivative.
#pragma once

#include "core/primitive.h"

namespace tidu {

// Whether there is anything to derive: the primitive is not Zero, and an output can have a derivative.
bool has_derivative(const Call& call);

// What backward keeps of a call for its rule, where the inputs of `tracked` are differentiated.
Reads kept_of(const Call& call, Reads tracked);

// The cotangents of the inputs in `wanted` from those of the outputs, which are lost; undefined where zero.
// They may be put where others were: `memory` is lost.
Tensors pull_call(const Call& call, std::span<Tensor> cotangents, const InputSet& wanted,
                  Tensors memory = {});

// The tangents of the outputs from those of the inputs; undefined where zero.
Tensors push_call(const Call& call, Tangents tangents);

// The cotangents of a form that has a jvp alone, by transposing what that computes. Whoever transposes
// recorded functions sets it (transforms/transpose.cpp).
using PullByJvp = Tensors (*)(const Call& call, const Custom& form, Cotangents cotangents,
                              const InputSet& wanted);
extern PullByJvp pull_by_jvp;

// The sum of two cotangents or tangents, either of which may be undefined. The first is given up.
Tensor accumulate(Tensor a, const Tensor& b);

}  // namespace tidu
