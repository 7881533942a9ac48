// Cumulative scans down columns, in blocks that depend on the shape alone: each block is scanned by itself,
// and what the blocks before it hold is combined with each of its results.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

// The rows of csrc/ops/scan.def.
enum class Scan : uint8_t {
#define SCAN(name, ...) name,
#include "csrc/ops/scan.def"
};

// Rows of a block.
inline constexpr int64_t kScanBlock = 1024;

// Of x[i * stride + j] over rows i in 0 .. n, for each column j; and of lines x[l * stride + i], whose
// elements are neighbours, for each l.
struct ScanFunctions {
  int64_t state_size;  // in bytes
  // states[j]: what all of column j amounts to.
  void (*total)(const void* x, int64_t stride, int64_t n, int64_t columns, void* states);
  // Turns the states of blocks, n rows of `columns`, into those of all blocks before each one.
  void (*carry)(void* states, int64_t n, int64_t columns);
  // y[i * stride + j]: what the carried state and the rows up to i amount to. Without carried states: the
  // rows.
  void (*scan)(const void* x, int64_t stride, int64_t n, int64_t columns, const void* carried, void* y);
  void (*total_lines)(const void* x, int64_t stride, int64_t n, int64_t lines, void* states);
  void (*scan_lines)(const void* x, int64_t stride, int64_t n, int64_t lines, const void* carried, void* y);
};
// Null functions where the row does not take the dtype.
const ScanFunctions& scan_functions(Scan scan, DType dtype);

}  // namespace tidu::cpu
