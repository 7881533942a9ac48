// A primitive operation: what it yields, how each device computes it, and its one derivative.
#pragma once

#include <array>
#include <span>
#include <variant>

#include "core/attrs.h"
#include "tensor/tensor.h"

namespace tidu {

struct Primitive;

// One application of a primitive. In a derivative rule, the inputs that the rule did not ask for may be
// abstract, the outputs undefined.
struct Call {
  const Primitive& primitive;
  std::span<const Tensor> inputs;
  const Attrs& attrs;
  std::span<Tensor> outputs;
};

// --- Derivatives: each primitive has one, in one of five forms; both modes follow from it. Rules are written
// in ops, so they can be differentiated again. Tangents and cotangents are aligned with inputs and outputs;
// an undefined tensor is zero.

// A set of inputs, bit i for input i and bit 30 for all from there on, and perhaps the outputs: what a rule
// reads. The shapes of the inputs are always known.
using Reads = uint32_t;
inline constexpr Reads kInput0 = 1, kInput1 = 2, kInput2 = 4, kAllInputs = (1u << 31) - 1, kOutput = 1u << 31;
constexpr Reads input_bit(size_t i) { return 1u << (i < 30 ? i : 30); }

struct Zero {};

// dy/dx_i, elementwise. A boolean partial is a mask.
struct Partial {
  enum Sort : uint8_t { none, one, minus_one, expression } sort = none;
  Reads reads = 0;
  Tensor (*value)(const Call& call) = nullptr;
};
struct Elementwise {
  std::array<Partial, 3> partials;  // an elementwise operation has at most three inputs
};

// Linear in the inputs of the set `linear`, the others fixed.
struct Linear {
  Reads linear = kInput0;
  Reads reads = 0;
  // The cotangent of input i from that of the output.
  Tensor (*transpose)(const Call& call, const Tensor& cotangent, int i) = nullptr;
};

// Linear in each of the first two inputs alone, whose transpose reads the other one. A third, if there is
// one, is added to what they give, broadcast.
struct Bilinear {
  Tensor (*transpose)(const Call& call, const Tensor& cotangent, int i) = nullptr;
};

struct Custom {
  Reads reads = 0;
  Tensors (*jvp)(const Call& call, std::span<const Tensor> tangents) = nullptr;
  Tensors (*vjp)(const Call& call, std::span<const Tensor> cotangents) = nullptr;
};

using Derivative = std::variant<Zero, Elementwise, Linear, Bilinear, Custom>;

// --- The primitive itself.

inline constexpr int kMaxOutputs = 4;

// Checks a call and writes the shape and dtype of each output (of one that overwrites its inputs, checks
// alone).
using Infer = void (*)(const Call& call, Spec* outputs);
// The output of a primitive that is the same on every device, most often another view of its input's storage.
// Abstract inputs give an abstract output.
using View = Tensor (*)(const Call& call);
// Fills the outputs, which are allocated and contiguous.
using Kernel = void (*)(const Call& call);

struct Primitive {
  Primitive(const char* name, Infer infer, Derivative derivative, int num_outputs = 1);
  Primitive(const char* name, View view, Derivative derivative);
  // Overwrites its first inputs, which are its outputs (the caller says how many): not differentiable, used
  // by assignment and by optimisers.
  static Primitive in_place(const char* name, Infer check);
  Primitive(const Primitive&) = delete;

  const char* name;
  Infer infer = nullptr;
  View view = nullptr;
  Derivative derivative;
  int num_outputs = 1;
  bool overwrites = false;
  Kernel kernels[kDeviceTypeCount] = {};

 private:
  struct InPlace {};
  Primitive(InPlace, const char* name, Infer check);
};

// Every primitive, in no particular order.
const std::vector<Primitive*>& all_primitives();

// What backward must keep where the inputs of `tracked` (a bit each) are differentiated.
Reads reads_of(const Primitive& primitive, Reads tracked);

}  // namespace tidu
