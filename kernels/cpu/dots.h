// Products of matrices of float32 or float64 whose elements are sums along rows of both factors.
#pragma once

#include "kernels/cpu/gemm.h"

namespace tidu::cpu {

// c = a @ b: a's elements lie side by side along its rows, b's along its columns. For few rows of a: b is
// read where it is, once for as many of them as a tile has. The bits of an element depend on the depth alone.
using DotsFunction = void (*)(const GemmSize& size, const GemmFactor& a, const GemmFactor& b, void* c,
                              int64_t leading);
// None for vectors whose length is not known before, as of gemm_function.
DotsFunction dots_function(DType dtype);

}  // namespace tidu::cpu
