// Copies of two-dimensional blocks between any strides.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidu::cpu {

// Where element (row, column) of a block lies: base + row * row_stride + column * column_stride, in elements.
struct BlockStrides {
  int64_t row;
  int64_t column;
};

// Copies rows x columns elements; source and destination must not overlap. Source strides may be 0 or
// negative.
using CopyBlockFunction = void (*)(const void* source, BlockStrides from, void* destination, BlockStrides to,
                                   int64_t rows, int64_t columns);

// For elements of 1, 2, 4, 8 or 16 bytes.
CopyBlockFunction copy_block_function(size_t element_size);

// As memcpy, which may take fifteen times as long for where they lie (kernels/cpu/copy.cpp).
void copy_bytes(const void* source, void* destination, size_t n);

}  // namespace tidu::cpu
