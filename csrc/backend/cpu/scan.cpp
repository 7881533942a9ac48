// Cumulative scans along any axis.
#include "ops/scan.h"

#include <algorithm>

#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "core/backend.h"
#include "kernels/cpu/scan.h"
#include "ops/shape.h"

namespace tidu::cpu {
namespace {

template <Scan row> void scan(const Call& call) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return;
  const int axis = call.attrs.as<AxisAttrs>().axis;
  const Tensor x = row_major(call.inputs[0]);
  const ScanFunctions& functions = scan_functions(row, x.dtype());
  int64_t columns = 1;
  for (int i = axis + 1; i < x.ndim(); ++i) columns *= x.size(i);
  const int64_t n = x.size(axis), frames = x.numel() / (n * columns);
  const int64_t blocks = (n + kScanBlock - 1) / kScanBlock;
  const int64_t width = std::max<int64_t>(1, kGrain / std::min(n, kScanBlock)),
                pieces = (columns + width - 1) / width;
  const int64_t x_size = static_cast<int64_t>(size_of(x.dtype())),
                y_size = static_cast<int64_t>(size_of(y.dtype()));
  // body(first element, rows, columns, first state) for each piece of each block.
  const auto for_each = [&](const auto& body) {
    parallel_for(frames * blocks * pieces, x.numel(), [&](int64_t task) {
      const int64_t column = task % pieces * width, block = task / pieces % blocks,
                    frame = task / (pieces * blocks);
      const int64_t begin = block * kScanBlock;
      body((frame * n + begin) * columns + column, std::min(kScanBlock, n - begin),
           std::min(width, columns - column),
           ((frame * blocks + block) * columns + column) * functions.state_size);
    });
  };
  const char* from = static_cast<const char*>(x.raw_data());
  char* to = static_cast<char*>(y.raw_data());
  char* states = nullptr;
  Tensor memory;
  if (blocks > 1) {
    memory = Tensor::empty({frames * blocks * columns * functions.state_size}, DType::uint8);
    states = static_cast<char*>(memory.raw_data());
    for_each([&](int64_t element, int64_t rows, int64_t wide, int64_t state) {
      functions.total(from + element * x_size, columns, rows, wide, states + state);
    });
    for (int64_t frame = 0; frame < frames; ++frame)
      functions.carry(states + frame * blocks * columns * functions.state_size, blocks, columns);
  }
  for_each([&](int64_t element, int64_t rows, int64_t wide, int64_t state) {
    functions.scan(from + element * x_size, columns, rows, wide, states ? states + state : nullptr,
                   to + element * y_size);
  });
}

}  // namespace

void register_scan_kernels() {
#define SCAN(name, ...) set_kernel(primitives::name, DeviceType::cpu, scan<Scan::name>);
#include "ops/scan.def"
}

}  // namespace tidu::cpu
