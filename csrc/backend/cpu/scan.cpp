// Cumulative scans along any axis.
#include "ops/scan.h"

#include <algorithm>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/scan.h"
#include "ops/shape.h"

namespace tidu::cpu {
namespace {

// A row-major array seen from the axis: frames of n rows of columns, the rows in blocks. Scans of integers
// round nothing, so that of long lines each thread has one block.
struct Slabs {
  explicit Slabs(const Call& call) {
    const Tensor& x = call.inputs[0];
    const int axis = call.attrs.as<AxisAttrs>().axis;
    for (int i = axis + 1; i < x.ndim(); ++i) columns *= x.size(i);
    n = x.size(axis);
    if (x.numel() > 0) frames = x.numel() / (n * columns);
    if (columns == 1 && !is_inexact(x.dtype())) {
      const int64_t parts = frames < num_threads() ? num_threads() : 1;
      block = std::max(block, (n + parts - 1) / parts);
    }
    blocks = (n + block - 1) / block;
  }
  int64_t columns = 1, n, block = kScanBlock, blocks, frames = 0;
};

// Of a scan along memory: as many lines side by side as there are, all blocks of a frame or all frames.
// body(first element, elements of a line, lines, first state) for pieces of them.
template <class Body> void for_lines(const Slabs& slabs, const Body& body) {
  const bool cut = slabs.blocks > 1;
  const int64_t sets = cut ? slabs.frames : 1, lines = cut ? slabs.blocks : slabs.frames;
  const int64_t length = std::min(slabs.n, slabs.block), whole_lines = cut ? slabs.n / length : lines;
  const int64_t few = cut && length > kScanBlock ? 1 : 8;
  const int64_t piece = std::max<int64_t>(few, kGrain / length / 8 * 8), pieces = (lines + piece - 1) / piece;
  parallel_for(sets * pieces, slabs.frames * slabs.n, [&](int64_t task) {
    const int64_t set = task / pieces, begin = task % pieces * piece, end = std::min(begin + piece, lines),
                  whole = std::min(end, whole_lines);
    if (whole > begin) body(set * slabs.n + begin * length, length, whole - begin, set * lines + begin);
    if (end > whole_lines) {
      body(set * slabs.n + whole_lines * length, slabs.n - whole_lines * length, 1,
           set * lines + whole_lines);
    }
  });
}

template <Scan row> void scan(const Call& call, Workspace& workspace) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return;
  const Tensor x = row_major(call.inputs[0], workspace);
  const ScanFunctions& functions = scan_functions(row, x.dtype());
  const Slabs slabs(call);
  const auto [columns, n, length, blocks, frames] = slabs;
  const int64_t width = std::max<int64_t>(1, kGrain / std::min(n, kScanBlock)),
                pieces = (columns + width - 1) / width;
  const int64_t x_size = static_cast<int64_t>(size_of(x.dtype())),
                y_size = static_cast<int64_t>(size_of(y.dtype()));
  // As many as there may be, for any number of threads.
  char* const all =
      n > kScanBlock
          ? workspace.take(frames * ((n + kScanBlock - 1) / kScanBlock) * columns * functions.state_size)
          : nullptr;
  if (workspace.counts()) return;
  char* const states = blocks > 1 ? all : nullptr;
  const char* from = static_cast<const char*>(x.raw_data());
  char* to = static_cast<char*>(y.raw_data());
  const auto state_at = [&](int64_t i) { return states ? states + i * functions.state_size : nullptr; };
  const auto carry = [&] {
    for (int64_t frame = 0; frame < frames; ++frame)
      functions.carry(state_at(frame * blocks * columns), blocks, columns);
  };
  if (columns == 1) {
    const int64_t stride = blocks > 1 ? length : n;
    if (states) {
      for_lines(slabs, [&](int64_t element, int64_t length, int64_t lines, int64_t state) {
        functions.total_lines(from + element * x_size, stride, length, lines, state_at(state));
      });
      carry();
    }
    return for_lines(slabs, [&](int64_t element, int64_t length, int64_t lines, int64_t state) {
      functions.scan_lines(from + element * x_size, stride, length, lines, state_at(state),
                           to + element * y_size);
    });
  }
  // body(first element, rows, columns, first state) for each piece of each block.
  const auto for_each = [&](const auto& body) {
    parallel_for(frames * blocks * pieces, x.numel(), [&](int64_t task) {
      const int64_t column = task % pieces * width, block = task / pieces % blocks,
                    frame = task / (pieces * blocks);
      const int64_t begin = block * length;
      body((frame * n + begin) * columns + column, std::min(length, n - begin),
           std::min(width, columns - column), (frame * blocks + block) * columns + column);
    });
  };
  if (states) {
    for_each([&](int64_t element, int64_t rows, int64_t wide, int64_t state) {
      functions.total(from + element * x_size, columns, rows, wide, state_at(state));
    });
    carry();
  }
  for_each([&](int64_t element, int64_t rows, int64_t wide, int64_t state) {
    functions.scan(from + element * x_size, columns, rows, wide, state_at(state), to + element * y_size);
  });
}

}  // namespace

void register_scan_kernels() {
#define SCAN(name, ...) set_kernel_with_workspace<scan<Scan::name>>(primitives::name);
#include "ops/scan.def"
}

}  // namespace tidu::cpu
