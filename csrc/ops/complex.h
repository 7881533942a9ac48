// Complex numbers and their parts.
#pragma once

#include "core/primitive.h"

namespace tidu {

// Complex (..) as real (.., 2), the real and the imaginary parts, in the same memory.
Tensor view_as_real(const Tensor& x);
// float32 or float64 (.., 2) as complex (..); in the same memory where the pairs lie side by side.
Tensor view_as_complex(const Tensor& x);

// real + i imaginary, of floating-point tensors that are promoted and broadcast.
Tensor complex_from(const Tensor& real, const Tensor& imaginary);
// Of a real tensor: x, zeros, and 0 or pi.
Tensor real(const Tensor& x);
Tensor imag(const Tensor& x);
Tensor angle(const Tensor& x);

// What abs and sign are of complex numbers: |x|, whose derivative at 0 is 0, and x / |x|, 0 at 0.
Tensor complex_abs(const Tensor& x);
Tensor complex_sign(const Tensor& x);

// The DTypeError of an operation that is not defined for complex numbers.
[[noreturn]] void fail_complex(const char* op, const Tensor& x);

// --- Primitives

namespace primitives {
extern Primitive view_as_real, view_as_complex;
}

}  // namespace tidu
