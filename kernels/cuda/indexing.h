// Taking and adding slices at indices.
#pragma once

#include "kernels/cuda/fault.h"
#include "kernels/cuda/loop.h"

namespace tidu::cuda {

// How indices are read: negative ones count from the end; a wrong one is reported and never followed.
struct IndexedAxis {
  const int64_t* indices;  // contiguous, so that a report can say which
  int64_t size;            // of the axis
  FaultRecord fault;
};

// Operands x, indices and y, where x stays where it is along the dimensions of the indices: y is the element
// of x (of `element` bytes) `axis_stride` elements further for each unit of the index; 0 for a wrong index.
[[nodiscard]] cudaError_t take(cudaStream_t stream, size_t element, const Loop& loop, const IndexedAxis& axis,
                               int64_t axis_stride);

// keys[i] = index i, or the axis' size for a wrong one; positions[i] = i.
[[nodiscard]] cudaError_t number_indices(cudaStream_t stream, const IndexedAxis& axis, uint64_t* keys,
                                         int64_t* positions, int64_t count);

// starts[r] = how many of the sorted keys are below r, for r in 0 .. size.
[[nodiscard]] cudaError_t find_starts(cudaStream_t stream, const uint64_t* keys, int64_t count,
                                      int64_t* starts, int64_t size);

// Operands starts, x and y: y is the sum over s in starts[0] .. starts[1] of the elements of x
// positions[s] * position_stride further, added one after another, 16-bit floats in float.
[[nodiscard]] cudaError_t sum_segments(cudaStream_t stream, DType dtype, const Loop& loop,
                                       const int64_t* positions, int64_t position_stride);

}  // namespace tidu::cuda
