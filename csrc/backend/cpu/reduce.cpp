// Reductions over any axes, as a sequence of reductions of rows or columns in fixed trees.
#include "ops/reduce.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "core/backend.h"
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
class Groups {
 public:
  Groups() = default;
  Groups(const Groups& other) { *this = other; }
  Groups& operator=(const Groups& other) {
    size_ = other.size_;
    std::copy(other.begin(), other.end(), groups_);
    return *this;
  }

  size_t size() const { return size_; }
  Group& operator[](size_t i) { return groups_[i]; }
  const Group& operator[](size_t i) const { return groups_[i]; }
  Group* begin() { return groups_; }
  const Group* begin() const { return groups_; }
  const Group* end() const { return groups_ + size_; }
  Group& back() { return groups_[size_ - 1]; }
  const Group& back() const { return groups_[size_ - 1]; }
  void push_back(const Group& group) { groups_[size_++] = group; }
  // Leaves out the one that is `from_end` before the last.
  void drop(size_t from_end) {
    std::copy(end() - from_end, end(), begin() + (size_ - from_end - 1));
    --size_;
  }

 private:
  size_t size_ = 0;
  Group groups_[kMaxRank];
};

// Neighbours of one kind that lie one after another in memory become one.
Groups merged(const Groups& groups) {
  Groups result;
  for (const Group& group : groups) {
    if (result.size() > 0 && result.back().reduced == group.reduced &&
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

// Blocks of the tree that one task reduces: a power of two, so that its result is a node of the tree.
int64_t blocks_per_task(int64_t block, int64_t width) {
  int64_t count = 1;
  while (count * block * width < kGrain) count *= 2;
  return count;
}

// A call's workspace, taken piece by piece; or only counts what would be taken, so that the same walk through
// a reduction's steps says how much it needs.
class Arena {
 public:
  static Arena counting() { return Arena(nullptr, true); }
  explicit Arena(void* memory, bool counts = false) : memory_(static_cast<char*>(memory)), counts_(counts) {}

  bool counts() const { return counts_; }
  int64_t taken() const { return taken_; }
  char* take(int64_t bytes) {
    constexpr int64_t kAlignment = 64;
    char* const here = counts_ ? nullptr : memory_ + taken_;
    taken_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return here;
  }

 private:
  char* memory_;
  bool counts_;
  int64_t taken_ = 0;
};

// One step of a reduction: what is read, elements at first and then states, and where the states go. The
// states of the last step become results at once, in place where they have one size.
struct Pass {
  const ReduceFunctions& functions;
  Arena& arena;
  int64_t size;  // of what is read
  int64_t result_size;
  reduction::Whole whole;
  const char* x = nullptr;
  bool reads_states = false;
  char* states = nullptr;
  char* results = nullptr;  // of the last step

  ReduceRowsFunction rows() const { return reads_states ? functions.rows_of_states : functions.rows; }
  ReduceColumnsFunction columns() const {
    return reads_states ? functions.columns_of_states : functions.columns;
  }
  const char* at(int64_t offset) const { return x + offset * size; }
  char* state(int64_t i) const { return states + i * functions.state_size; }
  void finish(int64_t begin, int64_t count) const {
    if (results) functions.finish(state(begin), whole, results + begin * result_size, count);
  }
};

// The tree over partial states, n for each of `columns` neighbouring results.
void combine_partials(const Pass& pass, char* partials, int64_t n, int64_t columns, int64_t first) {
  pass.functions.combine(partials, n, columns);
  std::memcpy(pass.state(first), partials, static_cast<size_t>(columns * pass.functions.state_size));
  pass.finish(first, columns);
}

// The last group is reduced, of stride 1: a state for each index of the groups before it.
void reduce_last(const Pass& pass, const Groups& groups) {
  const int64_t n = groups.back().extent, rows = elements(groups) / n, size = pass.functions.state_size;
  const size_t outer = groups.size() - 1;
  const ReduceRowsFunction reduce = pass.rows();
  const int64_t run = blocks_per_task(kRowBlock, 1) * kRowBlock;
  if (n >= 2 * run && rows < 16) {
    const int64_t runs = (n + run - 1) / run;
    char* const partials = pass.arena.take(rows * runs * size);
    if (pass.arena.counts()) return;
    parallel_for(rows * runs, rows * n, [&](int64_t task) {
      const int64_t row = task / runs, begin = task % runs * run;
      reduce(pass.at(offset_of(groups, outer, row) + begin), 0, 1, std::min(run, n - begin),
             partials + task * size);
    });
    for (int64_t row = 0; row < rows; ++row)
      combine_partials(pass, partials + row * runs * size, runs, 1, row);
    return;
  }
  if (pass.arena.counts()) return;
  // Rows a stride apart go in one call.
  const int64_t inner = outer > 0 ? groups[outer - 1].extent : 1,
                stride = outer > 0 ? groups[outer - 1].stride : 0;
  const int64_t piece = std::max<int64_t>(1, std::min(inner, kGrain / n)),
                pieces = (inner + piece - 1) / piece;
  parallel_for(rows / inner * pieces, rows * n, [&](int64_t task) {
    const int64_t begin = task % pieces * piece, row = task / pieces * inner + begin,
                  count = std::min(piece, inner - begin);
    reduce(pass.at(offset_of(groups, outer, row)), stride, count, n, pass.state(row));
    pass.finish(row, count);
  });
}

// The last group is kept, of stride 1, the one before it reduced.
void reduce_next_to_last(const Pass& pass, const Groups& groups) {
  const Group &down = groups[groups.size() - 2], &along = groups.back();
  const int64_t n = down.extent, columns = along.extent, size = pass.functions.state_size;
  const size_t outer = groups.size() - 2;
  const int64_t frames = elements(groups) / (n * columns);
  const ReduceColumnsFunction reduce = pass.columns();
  const int64_t run = blocks_per_task(kColumnBlock, columns) * kColumnBlock, runs = (n + run - 1) / run;
  // Whole chunks of columns, so that the kernel sees the same ones as in a single call.
  const int64_t width = (kGrain / std::min(n, run) / kColumnChunk + 1) * kColumnChunk;
  const int64_t pieces = (columns + width - 1) / width;
  char* const partials = runs > 1 ? pass.arena.take(frames * runs * columns * size) : nullptr;
  if (pass.arena.counts()) return;
  parallel_for(frames * runs * pieces, frames * n * columns, [&](int64_t task) {
    const int64_t column = task % pieces * width, row = task / pieces % runs * run,
                  frame = task / (pieces * runs), count = std::min(width, columns - column);
    const int64_t first = task / pieces * columns + column;
    reduce(pass.at(offset_of(groups, outer, frame) + row * down.stride + column), down.stride,
           std::min(run, n - row), count, partials ? partials + first * size : pass.state(first));
    if (!partials) pass.finish(first, count);
  });
  if (!partials) return;
  for (int64_t frame = 0; frame < frames; ++frame)
    combine_partials(pass, partials + frame * runs * columns * size, runs, columns, frame * columns);
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
void fill_identity(Pass& pass, const Tensor& y) {
  pass.states = pass.arena.take(y.numel() * pass.functions.state_size);
  if (pass.arena.counts()) return;
  pass.results = static_cast<char*>(y.raw_data());
  pass.functions.rows(nullptr, 0, y.numel(), 0, pass.states);
  pass.finish(0, y.numel());
}

// Takes a row-major copy of x where it is not row-major.
const char* row_major_data(const Tensor& x, Arena& arena) {
  if (x.is_contiguous()) return arena.counts() ? nullptr : static_cast<const char*>(x.raw_data());
  char* const memory = arena.take(x.numel() * static_cast<int64_t>(size_of(x.dtype())));
  if (!arena.counts())
    copy_elements(x,
                  Tensor::from_memory(memory, x.shape(), contiguous_strides(x.shape()), x.dtype(), nullptr));
  return memory;
}

void reduce(const Call& call, Reduction reduction, Arena& arena) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (y.numel() == 0) return;
  const auto& [axes, correction] = call.attrs.as<ReduceAttrs>();
  Pass pass{.functions = reduce_functions(reduction, x.dtype()),
            .arena = arena,
            .size = static_cast<int64_t>(size_of(x.dtype())),
            .result_size = static_cast<int64_t>(size_of(y.dtype())),
            .whole = {x.numel() / y.numel(), correction}};
  if (x.numel() == 0) return fill_identity(pass, y);
  Groups groups = groups_of(x, axes);
  if (is_done(groups) || !fits_kernels(groups)) {
    pass.x = row_major_data(reduced_axes_last(x, axes), arena);
    groups = Groups();
    groups.push_back({y.numel(), pass.whole.count, false});
    groups.push_back({pass.whole.count, 1, true});
  } else if (!arena.counts()) {
    pass.x = static_cast<const char*>(x.raw_data());
  }
  for (bool final = false; !final; pass.reads_states = true) {
    const bool last = groups.back().reduced;
    Groups left = groups;
    left.drop(last ? 0 : 1);
    left = row_major_groups(left);
    final = is_done(left);
    const bool in_place = final && pass.functions.state_size == pass.result_size;
    if (final && !arena.counts()) pass.results = static_cast<char*>(y.raw_data());
    pass.states = in_place ? pass.results : arena.take(elements(left) * pass.functions.state_size);
    (last ? reduce_last : reduce_next_to_last)(pass, groups);
    pass.x = pass.states;
    pass.size = pass.functions.state_size;
    groups = left;
  }
}

template <Reduction reduction> void reduce(const Call& call) {
  Arena arena(call.workspace);
  reduce(call, reduction, arena);
}

template <Reduction reduction> size_t workspace_of(const Call& call) {
  Arena arena = Arena::counting();
  reduce(call, reduction, arena);
  return static_cast<size_t>(arena.taken());
}

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
  const DType dtype = input.dtype() == DType::float64 ? DType::float64 : DType::float32;
  const Tensor x = converted(reduced_axes_last(input, call.attrs.as<ReduceAttrs>().axes), dtype);
  const int64_t rows = y.numel(), n = x.numel() / rows, size = static_cast<int64_t>(size_of(dtype));
  const Tensor result = y.dtype() == dtype ? y : Tensor::empty(y.shape(), dtype, y.device());
  const auto function = softmax_functions(dtype).logsumexp;
  parallel_ranges(rows, kGrain / 2 / std::clamp<int64_t>(n, 1, kGrain / 2), 2 * rows * n,
                  [&](int64_t begin, int64_t end) {
                    function(static_cast<const char*>(x.raw_data()) + begin * n * size,
                             static_cast<char*>(result.raw_data()) + begin * size, end - begin, n);
                  });
  if (!result.is_same(y)) copy_elements(converted(result, y.dtype()), y);
}

}  // namespace

void register_reduce_kernels() {
#define ROWWISE(...)
#define REDUCTION(name, ...) \
  set_kernel(primitives::name, DeviceType::cpu, reduce<Reduction::name>, workspace_of<Reduction::name>);
#include "ops/reduce.def"
  set_kernel(primitives::argmax, DeviceType::cpu, arg_extreme<true>);
  set_kernel(primitives::argmin, DeviceType::cpu, arg_extreme<false>);
  set_kernel(primitives::logsumexp, DeviceType::cpu, logsumexp);
}

}  // namespace tidu::cpu
