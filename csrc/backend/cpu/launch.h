// Runs tile functions and copies over tensors of any layout.
#pragma once

#include <span>

#include "backend/cpu/workspace.h"
#include "kernels/cpu/elementwise.h"

namespace tidu::cpu {

// Applies a tile function to inputs of one shape and writes an output of that shape, whose elements do not
// share memory. With `widen`, 16-bit floats are computed in float: the tile function is one for float where a
// tensor is float16 or bfloat16. `parameters` are handed to it after the inputs.
void launch_tiles(TileFunction tile, std::span<const Tensor> inputs, const Tensor& output, bool widen,
                  const double* parameters = nullptr);

// Copies between tensors of one shape and dtype, in separate memory.
void copy_elements(const Tensor& source, const Tensor& destination);
// To elements that lie so, in strides.
void copy_elements(const Tensor& source, void* destination, const Strides& strides);

// A row-major tensor with the elements of x: x itself if it is one, else in the workspace.
Tensor row_major(const Tensor& x, Workspace& workspace);

// Row-major and of another dtype.
Tensor converted(const Tensor& x, DType dtype, Workspace& workspace);

// Where a kernel that computes in another dtype writes what becomes an output: there, or in the workspace.
Tensor room_for(const Tensor& output, DType dtype, Workspace& workspace);

// Writes what was computed to where it belongs, unless it is there.
void deliver(const Tensor& result, const Tensor& output);

}  // namespace tidu::cpu
