// Reading and writing at places that tensors of indices name.
#pragma once

#include "kernels/cuda/fault.h"
#include "kernels/cuda/loop.h"

namespace tidu::cuda {

// How indices are read: negative ones count from the end; a wrong one is reported and never followed.
struct IndexedAxis {
  const int64_t* indices;  // contiguous, so that a report can say which
  int64_t size;            // of the axis
  int axis;                // its number, for the report
  FaultRecord fault;
};

// Operands x, indices and y, where x stays where it is along the dimensions of the points: y is the element
// of x (of `element` bytes) `axis_stride` elements further for each unit of the index; 0 for a wrong index.
[[nodiscard]] cudaError_t take(cudaStream_t stream, size_t element, const Loop& loop, const IndexedAxis& axis,
                               int64_t axis_stride);

// Index tensors that together name places: element i of each, row-major.
struct NamedPlaces {
  int indices = 0;  // index tensors, each along an axis of the memory where the places are
  IndexedAxis index[kMaxDims];
  int64_t stride[kMaxDims];
  int shared = 0;  // axes that the index tensors share with the memory: how many elements they have inside it
  int64_t inside[kMaxDims], extent[kMaxDims], shared_stride[kMaxDims];
};

// Where the places are, in elements after the lowest one: strides count as positive and indices of negative
// ones from the end. A wrong index makes it kNowhere (of 64 bits) or 0, and *failed other than 0.
inline constexpr int64_t kNowhere = INT64_MIN;
[[nodiscard]] cudaError_t locate_places(cudaStream_t stream, const NamedPlaces& places, int64_t count,
                                        int64_t* offsets);

// The same as keys to sort by, with the positions 0, 1 ..
struct Keys {
  void* keys;  // uint64_t and int64_t if `wide`, else uint32_t
  void* positions;
  bool wide;
};
[[nodiscard]] cudaError_t number_places(cudaStream_t stream, const NamedPlaces& places, int64_t count,
                                        const Keys& keys, unsigned* failed);

// Sorted keys, and where position i is among the updates: i * step.
struct SortedPlaces {
  Keys keys;
  int64_t count, step;
  bool aligned;  // all offsets of places are multiples of 16 bytes
  const unsigned* failed;
  const void* sums = nullptr;  // of chunks, `width` each; null where there is one chunk
  int64_t width = 0;
};

// Operands keys, updates and y, where updates and y stay where they are along the dimension of the keys. At
// each place that keys name y becomes the last update of that place, or is combined with each of them, in
// their order and the 16-bit floats in float. Nothing is written where *failed is not 0. A fourth operand, in
// whose order the elements are treated, lies like the sums of chunks but once for each key.
enum class Combine : uint8_t { add, multiply, minimum, maximum };
[[nodiscard]] cudaError_t put_places(cudaStream_t stream, size_t element, const Loop& loop,
                                     const SortedPlaces& places);
[[nodiscard]] cudaError_t combine_places(cudaStream_t stream, Combine how, DType dtype, const Loop& loop,
                                         const SortedPlaces& places);

// So that a place named by very many keys is not summed by one thread alone: for each chunk of kChunk sorted
// keys the sum of those updates that go to the place of the chunk before. Operands each kChunk-th key,
// updates and sums, which are of the type that is added in.
inline constexpr int64_t kChunk = 1024;
[[nodiscard]] cudaError_t sum_chunks(cudaStream_t stream, DType dtype, const Loop& loop,
                                     const SortedPlaces& places);

// The coordinates of row-major positions in a shape: coordinates[axis * count + i].
[[nodiscard]] cudaError_t unravel(cudaStream_t stream, const int64_t* positions, int64_t count,
                                  const int64_t* shape, int rank, int64_t* coordinates);

}  // namespace tidu::cuda
