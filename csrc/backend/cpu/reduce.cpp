// Reductions over any axes, as a sequence of reductions of rows or columns in fixed trees.
#include "ops/reduce.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "kernels/cpu/copy.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cpu/softmax.h"

namespace tidu::cpu {
namespace {

// Adjacent axes that are all kept or all reduced, as one.
struct AxisGroup {
  int64_t extent;
  int64_t stride;
  bool reduced;
};
class AxisGroups {
 public:
  AxisGroups() = default;
  AxisGroups(const AxisGroups& other) { *this = other; }
  AxisGroups& operator=(const AxisGroups& other) {
    size_ = other.size_;
    std::copy(other.begin(), other.end(), groups_);
    return *this;
  }

  size_t size() const { return size_; }
  AxisGroup& operator[](size_t i) { return groups_[i]; }
  const AxisGroup& operator[](size_t i) const { return groups_[i]; }
  AxisGroup* begin() { return groups_; }
  const AxisGroup* begin() const { return groups_; }
  const AxisGroup* end() const { return groups_ + size_; }
  AxisGroup& back() { return groups_[size_ - 1]; }
  const AxisGroup& back() const { return groups_[size_ - 1]; }
  void push_back(const AxisGroup& group) { groups_[size_++] = group; }
  // Leaves out the one that is `from_end` before the last.
  void drop(size_t from_end) {
    std::copy(end() - from_end, end(), begin() + (size_ - from_end - 1));
    --size_;
  }

 private:
  size_t size_ = 0;
  AxisGroup groups_[kMaxRank];
};

// Neighbours of one kind that lie one after another in memory become one.
AxisGroups merged(const AxisGroups& groups) {
  AxisGroups result;
  for (const AxisGroup& group : groups) {
    if (result.size() > 0 && result.back().reduced == group.reduced &&
        result.back().stride == group.stride * group.extent) {
      result.back() = {result.back().extent * group.extent, group.stride, group.reduced};
    } else {
      result.push_back(group);
    }
  }
  return result;
}

bool is_done(const AxisGroups& groups) {
  return std::ranges::none_of(groups, [](const AxisGroup& group) { return group.reduced; });
}

// The axes of x with the reduced ones moved to where memory is walked in order, upwards; the kept ones stay
// in their order, which is that of the output. `origin` is where the walk begins, in elements from x's first.
AxisGroups groups_of(const Tensor& x, const Axes& axes, int64_t* origin) {
  AxisGroups groups;
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) == 1) continue;
    AxisGroup group{x.size(i), x.strides()[i], axes.contains(i)};
    if (group.reduced && group.stride < 0) {
      *origin += (group.extent - 1) * group.stride;
      group.stride = -group.stride;
    }
    groups.push_back(group);
  }
  const auto before = [](const AxisGroup& a, const AxisGroup& b) {
    return std::abs(a.stride) > std::abs(b.stride);
  };
  // Insertion sort that never swaps two kept axes.
  for (size_t i = 1; i < groups.size(); ++i) {
    for (size_t j = i; j > 0; --j) {
      if (!before(groups[j], groups[j - 1]) || (!groups[j].reduced && !groups[j - 1].reduced)) break;
      std::swap(groups[j], groups[j - 1]);
    }
  }
  groups = merged(groups);
  // One of those that are reduced is the last or the next to last.
  if (is_done(groups)) groups.push_back({1, 1, true});
  if (!groups.back().reduced && !groups[groups.size() - 2].reduced) {
    size_t from = groups.size() - 3;
    while (!groups[from].reduced) --from;
    std::rotate(groups.begin() + from, groups.begin() + from + 1, groups.begin() + groups.size() - 1);
  }
  return groups;
}

AxisGroups row_major_groups(AxisGroups groups) {
  int64_t stride = 1;
  for (size_t i = groups.size(); i-- > 0;) {
    groups[i].stride = stride;
    stride *= groups[i].extent;
  }
  return merged(groups);
}

int64_t elements(const AxisGroups& groups) {
  int64_t n = 1;
  for (const AxisGroup& group : groups) n *= group.extent;
  return n;
}

// Where item `index` of the row-major space of the first `count` groups begins.
int64_t offset_of(const AxisGroups& groups, size_t count, int64_t index) {
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

// One step of a reduction: what is read, elements at first and then states, and where the states go. The
// states of the last step become results at once, in place where they have one size.
struct Pass {
  const ReduceFunctions& functions;
  Workspace& workspace;
  int64_t size;  // of what is read
  int64_t result_size;
  reduction::Whole whole;
  bool yields_truth;
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

// Elements that are no neighbours in memory are copied to where they are, as many as fit into kPackBytes.
constexpr int64_t kPackBytes = 32768;
struct Pack {
  alignas(64) char data[kPackBytes];

  const char* rows(const Pass& pass, int64_t offset, int64_t rows, int64_t by_row, int64_t columns,
                   int64_t by_column) {
    copy_block_function(static_cast<size_t>(pass.size))(pass.at(offset), {by_row, by_column}, data,
                                                        {columns, 1}, rows, columns);
    return data;
  }
};

// Rows of which one part has settled whether any is true, or all are, so that the others need not be read:
// its state is not that of no elements.
class Settled {
 public:
  Settled(const Pass& pass, int64_t rows) : looks_(pass.yields_truth && rows <= kRows) {
    if (looks_) pass.functions.rows(nullptr, 0, 1, 0, &open_);
  }
  bool has(int64_t row, char* state) const {
    if (!looks_ || !rows_[row]) return false;
    *state = open_ ? 0 : 1;
    return true;
  }
  void note(int64_t row, const char* state) {
    if (looks_ && *state != open_) rows_[row] = true;
  }

 private:
  static constexpr int64_t kRows = 16;
  bool looks_;
  char open_ = 0;
  std::atomic<bool> rows_[kRows] = {};
};

// The last group is reduced: a state for each index of the groups before it.
void reduce_last(const Pass& pass, const AxisGroups& groups) {
  const int64_t n = groups.back().extent, step = groups.back().stride, rows = elements(groups) / n,
                size = pass.functions.state_size;
  const size_t outer = groups.size() - 1;
  const ReduceRowsFunction reduce = pass.rows();
  const bool packs = step != 1 && n > 1;
  const int64_t run = packs ? kPackBytes / pass.size : blocks_per_task(kRowBlock, 1) * kRowBlock;
  const auto reduce_at = [&](int64_t offset, int64_t by_row, int64_t count, int64_t length, char* states) {
    if (!packs) return reduce(pass.at(offset), by_row, count, length, states);
    Pack pack;
    reduce(pack.rows(pass, offset, count, by_row, length, step), length, count, length, states);
  };
  if (packs ? n > run : n >= 2 * run && rows < 16) {
    const int64_t runs = (n + run - 1) / run;
    char* const partials = pass.workspace.take(rows * runs * size);
    if (pass.workspace.counts()) return;
    Settled settled(pass, rows);
    parallel_for(rows * runs, rows * n, [&](int64_t task) {
      const int64_t row = task / runs, begin = task % runs * run;
      char* const state = partials + task * size;
      if (settled.has(row, state)) return;
      reduce_at(offset_of(groups, outer, row) + begin * step, 0, 1, std::min(run, n - begin), state);
      settled.note(row, state);
    });
    for (int64_t row = 0; row < rows; ++row)
      combine_partials(pass, partials + row * runs * size, runs, 1, row);
    return;
  }
  if (pass.workspace.counts()) return;
  // Rows a stride apart go in one call.
  const int64_t inner = outer > 0 ? groups[outer - 1].extent : 1,
                stride = outer > 0 ? groups[outer - 1].stride : 0;
  const int64_t piece = std::max<int64_t>(1, std::min(inner, (packs ? run : kGrain) / n)),
                pieces = (inner + piece - 1) / piece;
  parallel_for(rows / inner * pieces, rows * n, [&](int64_t task) {
    const int64_t begin = task % pieces * piece, row = task / pieces * inner + begin,
                  count = std::min(piece, inner - begin);
    reduce_at(offset_of(groups, outer, row), stride, count, n, pass.state(row));
    pass.finish(row, count);
  });
}

// The last group is kept, the one before it reduced.
void reduce_next_to_last(const Pass& pass, const AxisGroups& groups) {
  const AxisGroup &down = groups[groups.size() - 2], &along = groups.back();
  const int64_t n = down.extent, columns = along.extent, size = pass.functions.state_size;
  const size_t outer = groups.size() - 2;
  const int64_t frames = elements(groups) / (n * columns);
  const ReduceColumnsFunction reduce = pass.columns();
  const bool packs = along.stride != 1 && columns > 1;
  const int64_t run = packs ? kColumnBlock : blocks_per_task(kColumnBlock, columns) * kColumnBlock,
                runs = (n + run - 1) / run;
  // Whole chunks of columns, so that the kernel sees the same ones as in a single call.
  const int64_t width = packs ? kPackBytes / pass.size / std::min(n, run)
                              : (kGrain / std::min(n, run) / kColumnChunk + 1) * kColumnChunk;
  const int64_t pieces = (columns + width - 1) / width;
  char* const partials = runs > 1 ? pass.workspace.take(frames * runs * columns * size) : nullptr;
  if (pass.workspace.counts()) return;
  parallel_for(frames * runs * pieces, frames * n * columns, [&](int64_t task) {
    const int64_t column = task % pieces * width, row = task / pieces % runs * run,
                  frame = task / (pieces * runs), count = std::min(width, columns - column);
    const int64_t first = task / pieces * columns + column, length = std::min(run, n - row),
                  offset = offset_of(groups, outer, frame) + row * down.stride + column * along.stride;
    char* const states = partials ? partials + first * size : pass.state(first);
    if (packs) {
      Pack pack;
      reduce(pack.rows(pass, offset, length, down.stride, count, along.stride), count, length, count, states);
    } else {
      reduce(pass.at(offset), down.stride, length, count, states);
    }
    if (!partials) pass.finish(first, count);
  });
  if (!partials) return;
  for (int64_t frame = 0; frame < frames; ++frame)
    combine_partials(pass, partials + frame * runs * columns * size, runs, columns, frame * columns);
}

// x with its kept axes first and the reduced ones last; those, where their order does not matter, as memory
// is walked upwards.
Tensor reduced_axes_last(const Tensor& x, const Axes& axes, bool ordered) {
  Shape shape;
  Strides strides;
  int64_t offset = x.impl().offset;
  for (const bool reduced : {false, true}) {
    for (int i = 0; i < x.ndim(); ++i) {
      if (axes.contains(i) != reduced) continue;
      int64_t stride = x.strides()[i];
      int at = shape.size();
      if (reduced && !ordered) {
        if (stride < 0) offset += (x.size(i) - 1) * std::exchange(stride, -stride);
        while (at > x.ndim() - axes.size() && strides[at - 1] < stride) --at;
      }
      shape.insert(at, x.size(i));
      strides.insert(at, stride);
    }
  }
  return x.view(shape, strides, offset);
}

// The value of no elements.
void fill_identity(Pass& pass, const Tensor& y) {
  pass.states = pass.workspace.take(y.numel() * pass.functions.state_size);
  if (pass.workspace.counts()) return;
  pass.results = static_cast<char*>(y.raw_data());
  pass.functions.rows(nullptr, 0, y.numel(), 0, pass.states);
  pass.finish(0, y.numel());
}

void reduce(const Call& call, ReductionName reduction, Workspace& workspace) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (y.numel() == 0) return;
  const auto& [axes, correction] = call.attrs.as<ReduceAttrs>();
  Pass pass{.functions = reduce_functions(reduction, x.dtype()),
            .workspace = workspace,
            .size = static_cast<int64_t>(size_of(x.dtype())),
            .result_size = static_cast<int64_t>(size_of(y.dtype())),
            .whole = {x.numel() / y.numel(), correction},
            .yields_truth = reduction == ReductionName::any || reduction == ReductionName::all};
  if (x.numel() == 0) return fill_identity(pass, y);
  int64_t origin = 0;
  AxisGroups groups = groups_of(x, axes, &origin);
  if (!workspace.counts()) pass.x = static_cast<const char*>(x.raw_data()) + origin * pass.size;
  for (bool final = false; !final; pass.reads_states = true) {
    const bool last = groups.back().reduced;
    AxisGroups left = groups;
    left.drop(last ? 0 : 1);
    left = row_major_groups(left);
    final = is_done(left);
    const bool in_place = final && pass.functions.state_size == pass.result_size;
    if (final && !workspace.counts()) pass.results = static_cast<char*>(y.raw_data());
    pass.states = in_place ? pass.results : workspace.take(elements(left) * pass.functions.state_size);
    (last ? reduce_last : reduce_next_to_last)(pass, groups);
    pass.x = pass.states;
    pass.size = pass.functions.state_size;
    groups = left;
  }
}

template <ReductionName reduction> void reduce(const Call& call, Workspace& workspace) {
  reduce(call, reduction, workspace);
}

// The index of an extreme along axes, in their order.
template <bool largest> void arg_extreme(const Call& call, Workspace& workspace) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (y.numel() == 0) return;
  const Axes& axes = call.attrs.as<ReduceAttrs>().axes;
  const int axis = static_cast<int>(axes[0]);
  const int64_t n = x.numel() / y.numel(), size = static_cast<int64_t>(size_of(x.dtype()));
  if (axes.size() == 1 && x.is_contiguous() && axis != x.ndim() - 1) {
    if (workspace.counts()) return;
    int64_t* const out = y.data<int64_t>();
    const char* const data = static_cast<const char*>(x.raw_data());
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
    return;
  }
  const Tensor last = reduced_axes_last(x, axes, true);
  const Rows rows(last, n, x.dtype());
  const ArgRowsFunction function = arg_rows_function(largest, x.dtype());
  const int64_t pieces = rows.pieces();
  // The extremes of the pieces of each row, then among those.
  int64_t* const index = workspace.take<int64_t>(pieces == 1 ? 0 : y.numel() * pieces);
  char* const extreme = workspace.take(pieces == 1 ? 0 : y.numel() * pieces * size);
  if (workspace.counts()) return;
  int64_t* const out = y.data<int64_t>();
  if (pieces == 1) {
    rows.for_each(kGrain, [&](const char* data, int64_t first, int64_t count, int64_t) {
      function(data, n, count, n, out + first);
    });
    return;
  }
  int64_t length = 0;  // of the first piece, and of all but the last
  rows.for_each(kGrain, [&](const char* data, int64_t i, int64_t, int64_t count) {
    function(data, 0, 1, count, index + i);
    std::memcpy(extreme + i * size, data + index[i] * size, static_cast<size_t>(size));
    if (i == 0) length = count;
  });
  function(extreme, pieces, y.numel(), pieces, out);
  for (int64_t row = 0; row < y.numel(); ++row) out[row] = out[row] * length + index[row * pieces + out[row]];
}

void logsumexp(const Call& call, Workspace& workspace) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (y.numel() == 0) return;
  // Floats hold integers of 16 bits.
  const bool wide = x.dtype() == DType::float64 || (!is_inexact(x.dtype()) && size_of(x.dtype()) >= 4);
  const DType dtype = wide ? DType::float64 : DType::float32;
  const int64_t n = x.numel() / y.numel(), size = static_cast<int64_t>(size_of(dtype)),
                y_size = static_cast<int64_t>(size_of(y.dtype()));
  const auto function = softmax_functions(dtype).logsumexp;
  const auto results_of = [&](const char* rows, int64_t first, int64_t count, int64_t length) {
    char* const out = static_cast<char*>(y.raw_data()) + first * y_size;
    if (y.dtype() == dtype) return function(rows, out, count, length);
    for (int64_t row = 0; row < count; ++row) {
      alignas(8) std::byte value[8];
      const void* const from = value;
      function(rows + row * length * size, value, 1, length);
      cast_function(dtype, y.dtype())(&from, out + row * y_size, 1);
    }
  };
  if (n == 0) return workspace.counts() ? void() : results_of(nullptr, 0, y.numel(), 0);
  const Tensor last = reduced_axes_last(x, call.attrs.as<ReduceAttrs>().axes, false);
  const Rows rows(last, n, dtype);
  const int64_t pieces = rows.pieces();
  char* const of_pieces = workspace.take(pieces == 1 ? 0 : y.numel() * pieces * size);
  if (workspace.counts()) return;
  // An exponential is worth two elements of simpler work.
  if (pieces == 1) return rows.for_each(kGrain / 2, results_of);
  rows.for_each(kGrain / 2, [&](const char* data, int64_t i, int64_t, int64_t length) {
    function(data, of_pieces + i * size, 1, length);
  });
  results_of(of_pieces, 0, y.numel(), pieces);
}

}  // namespace

void register_reduce_kernels() {
#define ROWWISE(...)
#define REDUCTION(name, ...) set_kernel_with_workspace<reduce<ReductionName::name>>(primitives::name);
#include "ops/reduce.def"
  set_kernel_with_workspace<arg_extreme<true>>(primitives::argmax);
  set_kernel_with_workspace<arg_extreme<false>>(primitives::argmin);
  set_kernel_with_workspace<logsumexp>(primitives::logsumexp);
}

}  // namespace tidu::cpu
