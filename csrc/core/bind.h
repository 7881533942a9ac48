// The one door: every operation goes through bind.
#pragma once

#include "core/primitive.h"

namespace tidu {

// Checks the call, computes the outputs on the inputs' device (or, from abstract inputs, their shapes alone),
// and shows the call to each live trace, outermost first. `device` matters only where there are no inputs.
void bind(const Primitive& primitive, std::span<const Tensor> inputs, const Attrs& attrs,
          std::span<Tensor> outputs, Device device = {});

// A few tensors side by side that somebody holds until the call is over: no reference is counted.
class Lent {
 public:
  struct One {
    One(const Tensor& tensor) : impl(tensor.ref().get()) {}
    TensorImpl* impl;
  };
  Lent(std::initializer_list<One> tensors);
  Lent(const Lent&) = delete;
  ~Lent() {}
  operator std::span<const Tensor>() const { return {tensors_, size_}; }

 private:
  static constexpr size_t kMost = 16;
  const size_t size_;
  union {
    Tensor tensors_[kMost];
  };
};

// The same for one output, and attributes given as they are.
Tensor bind(const Primitive& primitive, std::initializer_list<Lent::One> inputs, const Attrs& attrs);
template <class T = std::monostate>
Tensor bind(const Primitive& primitive, std::initializer_list<Lent::One> inputs, const T& attrs = {}) {
  if constexpr (std::is_same_v<T, std::monostate>) {
    return tidu::bind(primitive, inputs, Attrs());
  } else {
    Attrs::OnStack<T> on_stack(attrs);
    return tidu::bind(primitive, inputs, on_stack.attrs());
  }
}

// The same of a pointwise primitive that gives what its two inputs are. The first is given up: where nobody
// else has it and nobody looks, the output takes its memory.
Tensor bind_over(const Primitive& primitive, Tensor first, const Tensor& second);

// Whether a trace or a watch might look at a call of the tensor.
bool is_seen(const Tensor& tensor);
// Whether nobody else has the tensor or its memory.
bool is_free(const Tensor& tensor);

// Shows a call to the traces, as bind does after running it: for primitives that dispatch their calls.
void show(const Call& call);

// The DeviceError of an operation whose inputs are on different devices.
[[noreturn]] void fail_on_devices(const char* name, std::span<const Tensor> inputs);

}  // namespace tidu
