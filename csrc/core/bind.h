// The one door: every operation goes through bind.
#pragma once

#include "core/primitive.h"

namespace tidu {

// Checks the call, computes the outputs on the inputs' device (or, from abstract inputs, their shapes alone),
// and shows the call to each live trace, outermost first. `device` matters only where there are no inputs.
void bind(const Primitive& primitive, std::span<const Tensor> inputs, const Attrs& attrs,
          std::span<Tensor> outputs, Device device = {});

// The DeviceError of an operation whose inputs are on different devices.
[[noreturn]] void fail_on_devices(const char* name, std::span<const Tensor> inputs);

// The same for one output.
Tensor bind(const Primitive& primitive, std::initializer_list<Tensor> inputs, const Attrs& attrs = {});

}  // namespace tidu
