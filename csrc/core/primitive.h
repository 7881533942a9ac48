// A primitive operation: what it yields, how each device computes it, and its one derivative.
#pragma once

#include <array>
#include <span>
#include <variant>

#include "base/attrs.h"
#include "base/input_set.h"
#include "tensor/tensor.h"

namespace tidu {

struct Primitive;

// One application of a primitive. In a derivative rule, inputs that the rule did not ask for may be abstract
// (of a pointwise primitive that is not a LinearMap, undefined), and outputs undefined.
struct Call {
  const Primitive& primitive;
  std::span<const Tensor> inputs;
  const Attrs& attrs;
  std::span<Tensor> outputs;
  void* workspace = nullptr;  // memory of the device for the kernel alone, as many bytes as it asked for
};

// What is known of a call's inputs before there are values: specs, be they of tensors or on their own.
class Specs {
 public:
  Specs(std::span<const Tensor> tensors) : tensors_(tensors.data()), size_(tensors.size()) {}
  Specs(std::span<const Spec> specs) : specs_(specs.data()), size_(specs.size()) {}
  Specs(const Tensors& tensors) : Specs(std::span(tensors)) {}
  Specs(const std::vector<Spec>& specs) : Specs(std::span(specs)) {}

  const Spec& operator[](size_t i) const { return tensors_ ? tensors_[i].spec() : specs_[i]; }
  const Spec& back() const { return (*this)[size_ - 1]; }
  size_t size() const { return size_; }

 private:
  const Tensor* tensors_ = nullptr;
  const Spec* specs_ = nullptr;
  size_t size_;
};
struct SpecCall {
  const Primitive& primitive;
  Specs inputs;
  const Attrs& attrs;
};

// --- Derivatives: each primitive has one, in one of six forms; both modes follow from it. Rules are written
// in ops, so they can be differentiated again. Tangents and cotangents are aligned with inputs and outputs;
// an undefined tensor is zero, and at least one is defined.

// A set of inputs, bit i for input i and bit 29 for all from there on, and perhaps the outputs: what a rule
// reads, or whose cotangents are wanted. The shapes of the inputs are known besides, but for pointwise
// primitives, all of whose tensors have one. A rule that magnifies how the outputs were rounded reads them
// fine: those of 16 bits are computed again, in float32.
using Reads = uint32_t;
inline constexpr Reads kInput0 = 1, kInput1 = 2, kInput2 = 4, kAllInputs = (1u << 30) - 1;
inline constexpr Reads kFineOutput = 1u << 30, kOutput = 1u << 31;

using Cotangents = std::span<const Tensor>;
using Tangents = std::span<const Tensor>;

// No output depends on an input in a way that has a derivative other than zero.
struct Zero {};

// There is a derivative, but none is given: differentiating raises, and says why.
struct Opaque {
  const char* why;
};

// dy/dx_i of a pointwise primitive. A boolean partial is a mask.
struct Partial {
  enum Kind : uint8_t { none, one, minus_one, expression } kind = none;
  Reads reads = 0;
  Tensor (*value)(const Call& call) = nullptr;
  // The product of the value with the cotangent t, without calls, where there are few elements and nobody
  // looks; else undefined. The last product may take t.
  Tensor (*few)(const Call& call, Tensor& t, bool is_last) = nullptr;
  bool jumps = false;  // the derivative is constant, but only between jumps
};
struct Elementwise {
  std::array<Partial, 3> partials;  // an elementwise operation has at most three inputs
};

// Linear in the inputs of the set `linear` together, the others fixed.
struct LinearMap {
  Reads linear = kInput0;
  Reads reads = 0;
  // The cotangent of input i from those of the outputs.
  Tensor (*transpose)(const Call& call, Cotangents cotangents, int i) = nullptr;
};

// Linear in each factor alone. Addends, which come last and may be left out of a call, are added to the
// product of the factors, broadcast.
struct Multilinear {
  Reads factors = kInput0 | kInput1;
  Reads addends = 0;
  // The cotangent of factor i, which reads the other factors and the set `reads`.
  Tensor (*transpose)(const Call& call, const Tensor& cotangent, int i) = nullptr;
  Reads reads = 0;
  const Primitive* of_tangents = nullptr;  // what stands for the primitive where a factor is a tangent
};

// Both modes by hand.
struct Custom {
  Reads (*reads)(Reads wanted) = nullptr;
  Tensors (*jvp)(const Call& call, Tangents tangents) = nullptr;
  // Gives the cotangents in `wanted`. Left out where the jvp is linear code: it is transposed then.
  Tensors (*vjp)(const Call& call, Cotangents cotangents, const InputSet& wanted) = nullptr;
  Reads linear = 0;  // the inputs in which the primitive is linear together, the others fixed
};

using Derivative = std::variant<Zero, Opaque, Elementwise, LinearMap, Multilinear, Custom>;

// --- Batches.

// What becomes of branches and loops that lanes do not take alike.
enum class LaneControl : uint8_t {
  select,  // all lanes at once compute both branches, and loops until the last of them ends
  loop     // one lane after the other
};

// A call of which some inputs have an axis of `size` lanes in front, each lane to be computed on its own.
struct BatchedCall {
  const Call& call;                  // the outputs undefined
  const std::vector<bool>& batched;  // which inputs have the axis
  int64_t size;
  LaneControl control = LaneControl::select;

  // Input i with the axis.
  Tensor lanes(size_t i) const;
};
// The outputs, with the axis; without it they are the same for all lanes.
using BatchRule = Tensors (*)(const BatchedCall& batched);
// The same call of inputs that all have the axis, with attributes that say so by the meaning of their fields.
Tensors batch_by_fields(const BatchedCall& batched);
// Must be given: there is no default.
struct Batching {
  Batching(BatchRule rule) : rule(rule) {}
  BatchRule rule;
};

// --- The primitive itself.

// The attributes of its calls. Must be given, like the batching rule: an example of the struct, whose fields
// say what is read from a file; kNoAttrs; or why calls cannot be in a file.
struct Attributes {
  struct None {};
  struct Unsaved {
    const char* why;  // "it calls a function of the host"
  };
  Attributes(None) {}
  Attributes(Unsaved unsaved) : why_unsaved(unsaved.why) {}
  // `for_file` makes what can be in a file of attributes that hold code of the host.
  template <class T>
  requires(!std::is_same_v<T, Attributes>)
      Attributes(T example, Attrs (*for_file)(const Attrs& attrs) = nullptr)
      : example(std::move(example)), for_file(for_file) {}

  Attrs example;
  Attrs (*for_file)(const Attrs& attrs) = nullptr;
  const char* why_unsaved = nullptr;
};
inline constexpr Attributes::None kNoAttrs;

inline constexpr int kAnyNumber = -1;

// How many inputs a call has.
struct InputCount {
  InputCount(int count) : least(count), most(count) {}
  InputCount(int least, int most) : least(least), most(most) {}
  int least, most;  // the most may be kAnyNumber
};

// Throws where a call that a file describes is none that the public functions make: what infer, views and
// kernels take for granted. Attributes are of the right struct and fit the first input by their meaning.
using Check = void (*)(const SpecCall& call, size_t num_outputs);
// What checks are written in: a ValueError "[matmul] `what`: float32(2, 3) cpu, ..".
void require(bool holds, const SpecCall& call, const char* what);

// Checks a call and writes shape and dtype of each output (of a primitive that overwrites: checks alone).
// Outputs come with the device of the inputs.
using Infer = void (*)(const SpecCall& call, std::span<Spec> outputs);
// The output, which shares the memory of the first input where its layout allows that, and else is a copy.
using MakeView = Tensor (*)(const Call& call);
// The first input of such a call with the elements that the view shows replaced by `value`.
using UpdateView = Tensor (*)(const Call& call, const Tensor& value);
// The outputs in terms of ops, on any device. Traces are shown the call, and nothing of these.
using Evaluate = void (*)(const Call& call);
// Gives the outputs of such a call, and shows the traces itself what they are to see.
using Dispatch = void (*)(const Call& call);
// Fills the outputs, which are allocated and contiguous; the inputs may have any layout.
using Kernel = void (*)(const Call& call);
// The bytes of workspace that a kernel needs, from the specs and layouts of the call.
using WorkspaceBytes = size_t (*)(const Call& call);

// --- What a call costs.

// Operations on numbers, integers among them, by class.
struct Flops {
  int64_t multiply_adds = 0;   // of sums of products
  int64_t arithmetic = 0;      // other ones of few cycles: + - * / sqrt, comparisons, choices
  int64_t transcendental = 0;  // exp, log, sin and their like, whatever they take

  // A multiply-add is two operations.
  int64_t total() const { return 2 * multiply_adds + arithmetic + transcendental; }
  Flops& operator+=(const Flops& other) {
    multiply_adds += other.multiply_adds;
    arithmetic += other.arithmetic;
    transcendental += other.transcendental;
    return *this;
  }
  bool operator==(const Flops&) const = default;
};
using CountFlops = Flops (*)(const SpecCall& call, std::span<const Spec> outputs);

// So many for each element of the first output, or of the first input.
template <int64_t arithmetic, int64_t transcendental = 0>
Flops flops_per_output(const SpecCall&, std::span<const Spec> outputs) {
  const int64_t n = num_elements(outputs[0].shape);
  return {0, arithmetic * n, transcendental * n};
}
template <int64_t arithmetic, int64_t transcendental = 0>
Flops flops_per_input(const SpecCall& call, std::span<const Spec>) {
  const int64_t n = num_elements(call.inputs[0].shape);
  return {0, arithmetic * n, transcendental * n};
}
// Memory is moved, and no number computed.
inline Flops no_flops(const SpecCall&, std::span<const Spec>) { return {}; }

// How kernels take complex numbers.
enum class OnComplex : uint8_t {
  refused,
  parts,  // they are shown the parts (Tensor::parts): for what does the same to both, along axes counted from
          // the front. Real inputs of a pointwise call get a last axis along which they stay.
  native  // they compute with them, or move the bytes of any elements
};

struct Definition {
  Batching batching;
  Attributes attrs;
  InputCount inputs = 1;
  Check check = nullptr;
  Infer infer = nullptr;
  Derivative derivative;
  MakeView view = nullptr;
  UpdateView update_view = nullptr;  // none where elements share memory
  bool view_may_copy = false;
  Evaluate evaluate = nullptr;
  Dispatch dispatch = nullptr;  // of one that is evaluated
  int num_outputs = 1;
  bool effect = false;     // does something besides: programs keep it, once and in order
  bool pointwise = false;  // element i of the output depends on the elements i of the inputs alone
  OnComplex on_complex = OnComplex::refused;
  bool overwrites = false;          // its first inputs, which are its outputs
  bool repeats = false;             // is evaluated by a program that it holds, once for each of many steps
  const Primitive* pure = nullptr;  // what gives the same value without overwriting
  CountFlops flops = nullptr;       // of every primitive that has kernels
};

// A primitive is total over layouts: what a rule, a program or another transform binds again may be laid out
// otherwise, and must give the same.
struct Primitive : Definition {
  Primitive(const char* name, Definition definition);
  Primitive(const Primitive&) = delete;

  const char* name;
  Kernel kernels[kDeviceTypeCount] = {};
  WorkspaceBytes workspaces[kDeviceTypeCount] = {};
};

// A DTypeError where one of the inputs is complex, and no kernel takes it.
void check_complex(const SpecCall& call);
// What kernels are shown of the inputs or outputs of a call.
Tensors shown_to_kernels(const Primitive& primitive, std::span<const Tensor> tensors);
bool shows_parts(const Call& call);

// What csrc/program binds; defined in ops.
namespace primitives {
extern Primitive copy;    // to row-major, in new memory
extern Primitive assign;  // (x, value): overwrites x
extern Primitive stop_gradient;
}  // namespace primitives

// Every primitive, in no particular order.
const std::vector<Primitive*>& all_primitives();

// What the rule reads where the inputs of `tracked` (a bit each) are differentiated.
Reads reads_of(const Primitive& primitive, Reads tracked);

// Whether the outputs are linear in the inputs of `moving` together, where those of `zero` (which has the
// bits of inputs that are not there) are 0 and the others fixed.
bool is_linear(const Primitive& primitive, Reads moving, Reads zero);

}  // namespace tidu
