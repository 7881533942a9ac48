// Reductions over any axes, as a sequence of reductions of rows or columns in fixed trees.
#include "ops/reduce.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "core/backend.h"
#include "kernels/cpu/cast.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cpu/softmax.h"

namespace tidu::cpu {
namespace {

// Adjacent axes that are all kept or all reduced, as one.
struct Group {
  int64_t extent;
  int64_t stride;
  bool reduced;
};
using Groups = std::vector<Group>;

// Neighbours of one kind that lie one after another in memory become one.
Groups merged(const Groups& groups) {
  Groups result;
  for (const Group& group : groups) {
    if (!result.empty() && result.back().reduced == group.reduced &&
        result.back().stride == group.stride * group.extent) {
      result.back() = {result.back().extent * group.extent, group.stride, group.reduced};
    } else {
      result.push_back(group);
    }
  }
  return result;
}

// The axes of x with the reduced ones moved to where memory is walked in order; the kept ones stay in their
// order, which is that of the output.
Groups groups_of(const Tensor& x, const Axes& axes) {
  Groups groups;
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) != 1) groups.push_back({x.size(i), x.strides()[i], axes.contains(i)});
  }
  const auto before = [](const Group& a, const Group& b) { return std::abs(a.stride) > std::abs(b.stride); };
  // Insertion sort that never swaps two kept axes.
  for (size_t i = 1; i < groups.size(); ++i) {
    for (size_t j = i; j > 0; --j) {
      if (!before(groups[j], groups[j - 1]) || (!groups[j].reduced && !groups[j - 1].reduced)) break;
      std::swap(groups[j], groups[j - 1]);
    }
  }
  return merged(groups);
}

Groups row_major_groups(Groups groups) {
  int64_t stride = 1;
  for (size_t i = groups.size(); i-- > 0;) {
    groups[i].stride = stride;
    stride *= groups[i].extent;
  }
  return merged(groups);
}

int64_t elements(const Groups& groups) {
  int64_t n = 1;
  for (const Group& group : groups) n *= group.extent;
  return n;
}

// Where item `index` of the row-major space of the first `count` groups begins.
int64_t offset_of(const Groups& groups, size_t count, int64_t index) {
  int64_t offset = 0;
  for (size_t i = count; i-- > 0;) {
    offset += index % groups[i].extent * groups[i].stride;
    index /= groups[i].extent;
  }
  return offset;
}

struct Array {
  const char* data;
  DType dtype;

  int64_t size() const { return static_cast<int64_t>(size_of(dtype)); }
};

// Blocks of the tree that one task reduces: a power of two, so that its result is a node of the tree.
int64_t blocks_per_task(int64_t block, int64_t width) {
  int64_t count = 1;
  while (count * block * width < kGrain) count *= 2;
  return count;
}

// The last group is reduced, of stride 1: out[i] for each index i of the groups before it.
void reduce_last(Reduction op, const Array& x, const Groups& groups, char* out) {
  const int64_t n = groups.back().extent, rows = elements(groups) / n;
  const size_t outer = groups.size() - 1;
  const DType accumulator = accumulator_dtype(op, x.dtype);
  const int64_t out_size = static_cast<int64_t>(size_of(accumulator));
  const ReduceRowsFunction reduce = reduce_rows_function(op, x.dtype);
  const int64_t run = blocks_per_task(kRowBlock, 1) * kRowBlock;
  if (n >= 2 * run && rows < 16) {
    const int64_t runs = (n + run - 1) / run;
    const Tensor partials = Tensor::empty({rows, runs}, accumulator);
    char* partial = static_cast<char*>(partials.raw_data());
    parallel_for(rows * runs, rows * n, [&](int64_t task) {
      const int64_t row = task / runs, begin = task % runs * run;
      reduce(x.data + (offset_of(groups, outer, row) + begin) * x.size(), 0, 1, std::min(run, n - begin),
             partial + task * out_size);
    });
    for (int64_t row = 0; row < rows; ++row) {
      combine_function(op, accumulator)(partial + row * runs * out_size, runs, 1);
      std::memcpy(out + row * out_size, partial + row * runs * out_size, static_cast<size_t>(out_size));
    }
    return;
  }
  // Rows a stride apart go in one call.
  const int64_t inner = outer > 0 ? groups[outer - 1].extent : 1,
                stride = outer > 0 ? groups[outer - 1].stride : 0;
  const int64_t piece = std::max<int64_t>(1, std::min(inner, kGrain / n)),
                pieces = (inner + piece - 1) / piece;
  parallel_for(rows / inner * pieces, rows * n, [&](int64_t task) {
    const int64_t begin = task % pieces * piece, row = task / pieces * inner + begin;
    reduce(x.data + offset_of(groups, outer, row) * x.size(), stride, std::min(piece, inner - begin), n,
           out + row * out_size);
  });
}

// The last group is kept, of stride 1, the one before it reduced.
void reduce_next_to_last(Reduction op, const Array& x, const Groups& groups, char* out) {
  const Group &down = groups[groups.size() - 2], &along = groups.back();
  const int64_t n = down.extent, columns = along.extent;
  const size_t outer = groups.size() - 2;
  const int64_t frames = elements(groups) / (n * columns);
  const DType accumulator = accumulator_dtype(op, x.dtype);
  const int64_t out_size = static_cast<int64_t>(size_of(accumulator));
  const ReduceColumnsFunction reduce = reduce_columns_function(op, x.dtype);
  const int64_t run = blocks_per_task(kColumnBlock, columns) * kColumnBlock, runs = (n + run - 1) / run;
  // Whole chunks of columns, so that the kernel sees the same ones as in a single call.
  const int64_t width = (kGrain / std::min(n, run) / kColumnChunk + 1) * kColumnChunk;
  const int64_t pieces = (columns + width - 1) / width;
  const Tensor partials = runs > 1 ? Tensor::empty({frames, runs, columns}, accumulator) : Tensor();
  char* target = runs > 1 ? static_cast<char*>(partials.raw_data()) : out;
  parallel_for(frames * runs * pieces, frames * n * columns, [&](int64_t task) {
    const int64_t column = task % pieces * width, row = task / pieces % runs * run,
                  frame = task / (pieces * runs);
    reduce(x.data + (offset_of(groups, outer, frame) + row * down.stride + column) * x.size(), down.stride,
           std::min(run, n - row), std::min(width, columns - column),
           target + (task / pieces * columns + column) * out_size);
  });
  if (runs == 1) return;
  for (int64_t frame = 0; frame < frames; ++frame) {
    char* first = target + frame * runs * columns * out_size;
    combine_function(op, accumulator)(first, runs, columns);
    std::memcpy(out + frame * columns * out_size, first, static_cast<size_t>(columns * out_size));
  }
}

bool is_done(const Groups& groups) {
  return std::ranges::none_of(groups, [](const Group& group) { return group.reduced; });
}

// Rows, or columns, of elements that are neighbours in memory.
bool fits_kernels(const Groups& groups) {
  return groups.back().stride == 1 && (groups.back().reduced || groups[groups.size() - 2].reduced);
}

// x with its kept axes first and the reduced ones last.
Tensor reduced_axes_last(const Tensor& x, const Axes& axes) {
  Shape shape;
  Strides strides;
  for (const bool reduced : {false, true}) {
    for (int i = 0; i < x.ndim(); ++i) {
      if (axes.contains(i) != reduced) continue;
      shape.push_back(x.size(i));
      strides.push_back(x.strides()[i]);
    }
  }
  return x.view(shape, strides, x.impl().offset);
}

// The value of no elements.
void fill_identity(const Call& call, double value) {
  const Tensor& y = call.outputs[0];
  const void* source = &value;
  char* out = static_cast<char*>(y.raw_data());
  const int64_t size = static_cast<int64_t>(size_of(y.dtype()));
  for (int64_t i = 0; i < y.numel(); ++i)
    cast_function(DType::float64, y.dtype())(&source, out + i * size, 1);
}

void reduce(const Call& call, Reduction op, double identity) {
  const Tensor& y = call.outputs[0];
  if (call.inputs[0].numel() == 0) return fill_identity(call, identity);
  const Axes& axes = call.attrs.as<ReduceAttrs>().axes;
  Tensor x = call.inputs[0];
  Groups groups = groups_of(x, axes);
  if (is_done(groups)) {
    const Tensor kept = reduced_axes_last(x, axes);
    Tensor same = kept.view(y.shape(), Strides(kept.strides().begin(), kept.strides().begin() + y.ndim()),
                            kept.impl().offset);
    return copy_elements(same, y);
  }
  if (!fits_kernels(groups)) {
    x = row_major(reduced_axes_last(x, axes));
    groups = {{y.numel(), x.numel() / y.numel(), false}, {x.numel() / y.numel(), 1, true}};
  }
  Array array{static_cast<const char*>(x.raw_data()), x.dtype()};
  Tensor intermediate;
  while (true) {
    const bool last = groups.back().reduced;
    Groups left = groups;
    left.erase(left.end() - (last ? 1 : 2));
    left = row_major_groups(left);
    const DType dtype = accumulator_dtype(op, array.dtype);
    const bool final = is_done(left) && dtype == y.dtype();
    const Tensor target = final ? y : Tensor::empty({elements(left)}, dtype, y.device());
    (last ? reduce_last : reduce_next_to_last)(op, array, groups, static_cast<char*>(target.raw_data()));
    if (final) return;
    intermediate = target;
    array = {static_cast<const char*>(intermediate.raw_data()), dtype};
    groups = left;
    if (is_done(groups)) break;
  }
  const void* source = array.data;
  cast_function(array.dtype, y.dtype())(&source, y.raw_data(), y.numel());
}

void sum(const Call& call) { reduce(call, Reduction::sum, 0); }
void prod(const Call& call) { reduce(call, Reduction::prod, 1); }
void max(const Call& call) { reduce(call, Reduction::max, 0); }
void min(const Call& call) { reduce(call, Reduction::min, 1); }

// The index of an extreme along one axis.
template <bool largest> void arg_extreme(const Call& call) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return;
  const Axes& axes = call.attrs.as<ReduceAttrs>().axes;
  const int axis = static_cast<int>(axes[0]);
  int64_t* out = y.data<int64_t>();
  const bool along_rows = axis == call.inputs[0].ndim() - 1;
  const Tensor x = row_major(call.inputs[0]);
  const int64_t n = x.size(axis), size = static_cast<int64_t>(size_of(x.dtype()));
  const char* data = static_cast<const char*>(x.raw_data());
  if (along_rows) {
    const ArgRowsFunction function = arg_rows_function(largest, x.dtype());
    parallel_ranges(y.numel(), std::max<int64_t>(1, kGrain / n), x.numel(), [&](int64_t begin, int64_t end) {
      function(data + begin * n * size, n, end - begin, n, out + begin);
    });
    return;
  }
  int64_t columns = 1;  // not x's stride, which along an axis of extent 1 may be any
  for (int i = axis + 1; i < x.ndim(); ++i) columns *= x.size(i);
  const int64_t width = std::max<int64_t>(64, kGrain / n);
  const int64_t pieces = (columns + width - 1) / width;
  const ArgColumnsFunction function = arg_columns_function(largest, x.dtype());
  parallel_for(y.numel() / columns * pieces, x.numel(), [&](int64_t task) {
    const int64_t frame = task / pieces, begin = task % pieces * width;
    function(data + (frame * n * columns + begin) * size, columns, n, std::min(width, columns - begin),
             out + frame * columns + begin);
  });
}

void logsumexp(const Call& call) {
  const Tensor &input = call.inputs[0], &y = call.outputs[0];
  if (y.numel() == 0) return;
  if (input.numel() == 0) return fill_identity(call, -std::numeric_limits<double>::infinity());
  const DType dtype = input.dtype() == DType::float64 ? DType::float64 : DType::float32;
  const Tensor x = converted(reduced_axes_last(input, call.attrs.as<ReduceAttrs>().axes), dtype);
  const int64_t rows = y.numel(), n = x.numel() / rows, size = static_cast<int64_t>(size_of(dtype));
  const Tensor result = y.dtype() == dtype ? y : Tensor::empty(y.shape(), dtype, y.device());
  const auto function = softmax_functions(dtype).logsumexp;
  parallel_ranges(rows, std::max<int64_t>(1, kGrain / 2 / n), 2 * rows * n, [&](int64_t begin, int64_t end) {
    function(static_cast<const char*>(x.raw_data()) + begin * n * size,
             static_cast<char*>(result.raw_data()) + begin * size, end - begin, n);
  });
  if (!result.is_same(y)) copy_elements(converted(result, y.dtype()), y);
}

}  // namespace

void register_reduce_kernels() {
  set_kernel(primitives::sum, DeviceType::cpu, sum);
  set_kernel(primitives::prod, DeviceType::cpu, prod);
  set_kernel(primitives::max, DeviceType::cpu, max);
  set_kernel(primitives::min, DeviceType::cpu, min);
  set_kernel(primitives::any, DeviceType::cpu, max);
  set_kernel(primitives::all, DeviceType::cpu, min);
  set_kernel(primitives::argmax, DeviceType::cpu, arg_extreme<true>);
  set_kernel(primitives::argmin, DeviceType::cpu, arg_extreme<false>);
  set_kernel(primitives::logsumexp, DeviceType::cpu, logsumexp);
}

}  // namespace tidu::cpu
