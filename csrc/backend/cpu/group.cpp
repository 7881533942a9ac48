// Groups of pointwise calls, tile by tile: each step runs the tile function of its call, on values that stay
// in the cache. Reductions run eager's block functions on parts of a value as soon as they are there.
#include "backend/cpu/group.h"

#include <hwy/cache_control.h>

#include <algorithm>

#include "backend/cpu/threads.h"
#include "backend/cpu/tiles.h"
#include "kernels/cpu/copy.h"
#include "kernels/cpu/reduce.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu::cpu {
namespace {

// Elements of a tile: few enough for the first-level cache. Where arrays come from memory, short tiles let
// loads of one step run ahead while others compute.
constexpr int64_t kTile = 1024, kFarTile = 128, kSecondLevel = 1 << 20;
// Bytes of all arrays of which those that are written would be out of every cache when they are read.
constexpr int64_t kLastLevel = 32 << 20;
constexpr int64_t kSpan = 4096;  // elements that a thread takes at a time

constexpr size_t kMostArrays = 64;

int64_t bytes_of(DType dtype) { return static_cast<int64_t>(size_of(dtype)); }

// How the results of reductions lie in the loop: each reduces n elements, which are neighbours or, of
// `columns` results side by side, that far from each other; the latter of each of `frames`.
struct Cut {
  int64_t n = 1, columns = 1, frames = 1;
  bool operator==(const Cut&) const = default;
};
std::optional<Cut> cut_of(const Shape& shape, const Axes& axes) {
  constexpr int64_t kFrame = 1024;  // elements of one for which its blocks are worth it
  Cut cut;
  bool is_after = false;
  for (int axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    if (axes.contains(axis)) {
      if (is_after) return std::nullopt;
      cut.n *= shape[axis];
    } else if (cut.n == 1) {
      cut.frames *= shape[axis];
    } else {
      cut.columns *= shape[axis];
      is_after = true;
    }
  }
  if (is_after && cut.frames > 1 && cut.n * cut.columns < kFrame) return std::nullopt;
  return cut;
}

std::optional<ReductionName> reduction_of(const Primitive* primitive) {
#define ROWWISE(...)
#define REDUCTION(name, ...) \
  if (primitive == &primitives::name) return ReductionName::name;
#include "ops/reduce.def"
  return std::nullopt;
}

DType dtype_of_value(const Group& group, int value) {
  const int inputs = static_cast<int>(group.inputs.size());
  return value < inputs ? group.inputs[static_cast<size_t>(value)].dtype
                        : group.steps[static_cast<size_t>(value - inputs)].dtype;
}

class TileKernel final : public GroupKernel {
 public:
  explicit TileKernel(const Group& group);
  bool is_complete() const { return complete_; }
  bool may_be(size_t output, size_t input) const override { return tiles_.may_be[output][input]; }
  size_t workspace_bytes() const override { return static_cast<size_t>(workspace_size_); }
  void run(const void* const* inputs, void* const* outputs, void* workspace) const override;

 private:
  struct Reduced {
    int output;
    const ReduceFunctions* functions;
    reduction::Whole whole;
    int64_t results, result_size;
    // In a thread's memory and the workspace, where the states of blocks are.
    int64_t part_at = 0, states_at = 0, partials_at = 0;
  };
  // Where a tile's part of an output goes, whose memory begins with element `first`.
  struct Target {
    char* data;
    int64_t first;
  };

  void add_reduction(const Group& group, int k);
  void run_span(const void* const* inputs, void* const* outputs, char* partials, int64_t i) const;
  void run_range(const void* const* inputs, const Target* outputs, char* memory, int64_t begin,
                 int64_t end) const;
  void run_whole(const void* const* inputs, void* const* outputs) const;
  char** places_in(char* memory) const;
  void run_steps(char** at, char** at_inputs, char** at_outputs, int64_t count) const;
  void reduce_nothing(void* const* outputs, void* states) const;

  Space space_;
  Tiles tiles_;
  std::vector<Reduced> reduced_;
  Cut cut_;
  int64_t room_;           // elements of a buffer
  int64_t tile_;           // and of a tile
  int64_t spans_ = 0;      // the tasks: each a range of elements
  int64_t span_ = 0;       // elements of one, or where columns are reduced its rows
  bool streams_ = false;   // whether results go past the caches
  int64_t blocks_ = 1;     // into which a reduction's elements are cut
  bool is_whole_ = false;  // whether one tile is all, and reads and writes what lies as it does
  // Where in a thread's memory, after the table of places: buffers, packed inputs, parts to be reduced.
  int64_t buffers_at_ = 0, packs_at_ = 0, memory_size_ = 0;
  int64_t workspace_size_ = 0;
  bool complete_ = true;
};

std::vector<Strides> strides_of(const Group& group) {
  std::vector<Strides> result;
  for (const Group::Input& input : group.inputs) {
    if (!input.number) result.push_back(input.strides);
  }
  return result;
}

TileKernel::TileKernel(const Group& group) : space_(group.shape, strides_of(group)) {
  const int64_t numel = space_.size();
  int64_t width = 0;  // bytes of all arrays, for an element
  for (const Group::Input& input : group.inputs) width += input.number ? 0 : bytes_of(input.dtype);
  for (const Group::Output& output : group.outputs) width += output.reduction ? 0 : bytes_of(output.dtype);
  room_ = std::min(kTile, numel);
  if (std::optional<Tiles> tiles = tiles_of(group, space_, room_)) {
    tiles_ = std::move(*tiles);
    for (size_t k = 0; k < group.outputs.size(); ++k) {
      if (group.outputs[k].reduction) add_reduction(group, static_cast<int>(k));
    }
  } else {
    complete_ = false;
  }
  const bool far = numel * width > kSecondLevel && !space_.transposed() && tiles_.list.empty();
  tile_ = far ? kFarTile : room_;
  complete_ &= tiles_.inputs.size() <= kMostArrays && tiles_.outputs.size() <= kMostArrays;
  if (!complete_) return;
  if (numel == 0) {
    for (const Reduced& reduced : reduced_)
      workspace_size_ = std::max(workspace_size_, reduced.results * reduced.functions->state_size);
    return;
  }
  if (reduced_.empty()) {
    // Whole squares where an input is transposed.
    const int64_t whole = space_.transposed() ? space_.height(tile_) * space_.columns() : 1;
    streams_ = numel * width > kLastLevel && !tiles_.streaming.empty();
    const int64_t span = streams_ ? kGrain : kSpan;
    span_ = numel < kGrain ? numel : (span + whole - 1) / whole * whole;
    spans_ = (numel + span_ - 1) / span_;
    is_whole_ = numel <= tile_ && tiles_.stores.empty();
    for (size_t k = 0; k < tiles_.inputs.size(); ++k)
      is_whole_ &= tiles_.inputs[k].single || space_.is_row_major(k);
  } else if (cut_.columns == 1) {
    blocks_ = (cut_.n + kRowBlock - 1) / kRowBlock;
    span_ = blocks_ > 1 ? kRowBlock : std::max<int64_t>(1, kSpan / cut_.n) * cut_.n;
    spans_ = blocks_ > 1 ? numel / cut_.n * blocks_ : (numel + span_ - 1) / span_;
  } else {
    blocks_ = (cut_.n + kColumnBlock - 1) / kColumnBlock;
    span_ = kColumnBlock * std::max<int64_t>(1, kSpan / (kColumnBlock * cut_.columns));
    spans_ =
        cut_.frames * ((cut_.n + span_ - 1) / span_) * ((cut_.columns + kColumnChunk - 1) / kColumnChunk);
  }
  // Lines apart, so that places of one index are not in one set of the cache.
  tiles_.buffer_size = rounded(tiles_.buffer_size) + kLine;
  const size_t places = tiles_.constants.size() + tiles_.inputs.size() + static_cast<size_t>(tiles_.buffers) +
                        tiles_.outputs.size();
  buffers_at_ = rounded(static_cast<int64_t>(places * sizeof(void*)));
  packs_at_ = buffers_at_ + tiles_.buffers * tiles_.buffer_size;
  memory_size_ = packs_at_ + static_cast<int64_t>(tiles_.inputs.size()) * tiles_.buffer_size;
  const int64_t elements = cut_.columns == 1 ? span_ : span_ * std::min(cut_.columns, kColumnChunk);
  for (Reduced& reduced : reduced_) {
    reduced.part_at = memory_size_;
    reduced.states_at = reduced.part_at + rounded(elements * tiles_.outputs[reduced.output].size);
    const int64_t states = cut_.columns == 1 ? span_ / cut_.n + 1 : kColumnChunk;
    memory_size_ = reduced.states_at + rounded(states * reduced.functions->state_size);
    reduced.partials_at = workspace_size_;
    if (blocks_ > 1) workspace_size_ += rounded(numel / cut_.n * blocks_ * reduced.functions->state_size);
  }
}

void TileKernel::add_reduction(const Group& group, int k) {
  const Group::Output& output = group.outputs[static_cast<size_t>(k)];
  const std::optional<ReductionName> reduction = reduction_of(output.reduction);
  if (!reduction || !reduces(group, output)) {
    complete_ = false;
    return;
  }
  const auto& [axes, correction] = output.attrs.as<ReduceAttrs>();
  cut_ = *cut_of(group.shape, axes);
  int64_t results = 1;
  for (int axis = 0; axis < group.shape.size(); ++axis)
    results *= axes.contains(axis) ? 1 : group.shape[axis];
  reduced_.push_back({.output = k,
                      .functions = &reduce_functions(*reduction, dtype_of_value(group, output.value)),
                      .whole = {cut_.n, correction},
                      .results = results,
                      .result_size = bytes_of(output.dtype)});
}

void TileKernel::run(const void* const* inputs, void* const* outputs, void* workspace) const {
  if (space_.size() == 0) return reduce_nothing(outputs, workspace);
  if (is_whole_) return run_whole(inputs, outputs);
  char* const partials = static_cast<char*>(workspace);
  // Several steps on an element are worth more than one.
  parallel_for(spans_, 2 * space_.size(), [&](int64_t i) { run_span(inputs, outputs, partials, i); });
  if (blocks_ == 1) return;
  for (const Reduced& reduced : reduced_) {
    const auto& functions = *reduced.functions;
    for (int64_t frame = 0; frame < cut_.frames; ++frame) {
      char* const states =
          partials + reduced.partials_at + frame * blocks_ * cut_.columns * functions.state_size;
      functions.combine(states, blocks_, cut_.columns);
      functions.finish(
          states, reduced.whole,
          static_cast<char*>(outputs[reduced.output]) + frame * cut_.columns * reduced.result_size,
          cut_.columns);
    }
  }
}

void TileKernel::run_span(const void* const* inputs, void* const* outputs, char* partials, int64_t i) const {
  char* const memory = own_memory<Use::tiles>(memory_size_);
  Target targets[kMostArrays];
  for (size_t k = 0; k < tiles_.outputs.size(); ++k) targets[k] = {static_cast<char*>(outputs[k]), 0};
  // The part [begin, end) of what is reduced, which is put where element `first` would be the first.
  const auto compute = [&](int64_t begin, int64_t end, int64_t first) {
    for (const Reduced& reduced : reduced_) targets[reduced.output] = {memory + reduced.part_at, first};
    run_range(inputs, targets, memory, begin, end);
  };
  // Of blocks, the index-th of which is the first; all of a result's are in one block, or its own span.
  const auto states_of = [&](const Reduced& reduced, int64_t index) {
    return blocks_ == 1 ? memory + reduced.states_at
                        : partials + reduced.partials_at + index * reduced.functions->state_size;
  };
  const auto finish = [&](const Reduced& reduced, int64_t result, int64_t count) {
    if (blocks_ > 1) return;
    reduced.functions->finish(memory + reduced.states_at, reduced.whole,
                              static_cast<char*>(outputs[reduced.output]) + result * reduced.result_size,
                              count);
  };
  if (cut_.columns == 1) {
    const int64_t row = i / blocks_, begin = blocks_ == 1 ? i * span_ : row * cut_.n + i % blocks_ * span_,
                  end = std::min(begin + span_, blocks_ == 1 ? space_.size() : (row + 1) * cut_.n);
    compute(begin, end, begin);
    if (streams_) hwy::FlushStream();
    const int64_t length = std::min(cut_.n, end - begin), count = (end - begin) / length;
    for (const Reduced& reduced : reduced_) {
      reduced.functions->rows(memory + reduced.part_at, length, count, length, states_of(reduced, i));
      finish(reduced, begin / cut_.n, count);
    }
    return;
  }
  const int64_t chunks = (cut_.columns + kColumnChunk - 1) / kColumnChunk,
                runs = (cut_.n + span_ - 1) / span_, row = i / chunks % runs * span_,
                rows = std::min(span_, cut_.n - row), column = i % chunks * kColumnChunk,
                columns = std::min(kColumnChunk, cut_.columns - column), frame = i / (chunks * runs),
                begin = (frame * cut_.n + row) * cut_.columns + column;
  if (chunks == 1) {
    compute(begin, begin + rows * columns, begin);
  } else {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t here = begin + r * cut_.columns;
      compute(here, here + columns, here - r * columns);
    }
  }
  for (const Reduced& reduced : reduced_) {
    const int64_t size = tiles_.outputs[reduced.output].size;
    for (int64_t r = 0; r < rows; r += kColumnBlock) {
      reduced.functions->columns(
          memory + reduced.part_at + r * columns * size, columns, std::min(kColumnBlock, rows - r), columns,
          states_of(reduced, (frame * blocks_ + (row + r) / kColumnBlock) * cut_.columns + column));
    }
    finish(reduced, frame * cut_.columns + column, columns);
  }
}

// The table of places, with those of constants and buffers.
char** TileKernel::places_in(char* memory) const {
  char** const at = reinterpret_cast<char**>(memory);
  char** next = at;
  for (const std::vector<Line>& constant : tiles_.constants)
    *next++ = const_cast<char*>(constant.data()->bytes);
  next += tiles_.inputs.size();
  for (int i = 0; i < tiles_.buffers; ++i) *next++ = memory + buffers_at_ + i * tiles_.buffer_size;
  return at;
}

void TileKernel::run_whole(const void* const* inputs, void* const* outputs) const {
  char** const at = places_in(own_memory<Use::tiles>(memory_size_));
  char** const at_inputs = at + tiles_.constants.size();
  char** const at_outputs = at_inputs + tiles_.inputs.size() + tiles_.buffers;
  for (size_t k = 0; k < tiles_.inputs.size(); ++k)
    at_inputs[k] = static_cast<char*>(const_cast<void*>(inputs[tiles_.inputs[k].argument]));
  for (size_t k = 0; k < tiles_.outputs.size(); ++k) at_outputs[k] = static_cast<char*>(outputs[k]);
  run_steps(at, at_inputs, at_outputs, space_.size());
}

void TileKernel::run_range(const void* const* inputs, const Target* outputs, char* memory, int64_t begin,
                           int64_t end) const {
  char** const at = places_in(memory);
  char** const at_inputs = at + tiles_.constants.size();
  char** const at_outputs = at_inputs + tiles_.inputs.size() + tiles_.buffers;
  struct Packed {
    const char* source;
    int64_t size, columns;
  };
  Packed packed[kMostArrays];
  std::fill_n(packed, tiles_.inputs.size(), Packed());
  space_.for_tiles(begin, end, tile_, [&](const Tile& tile) {
    int64_t offsets[kMostArrays];
    space_.locate(tile.begin, offsets);
    for (size_t k = 0; k < tiles_.inputs.size(); ++k) {
      const int64_t size = tiles_.inputs[k].size;
      const BlockStrides strides = space_.strides(k);
      const char* const source =
          static_cast<const char*>(inputs[tiles_.inputs[k].argument]) + offsets[k] * size;
      const int64_t plane = tile.rows * tile.columns, by_plane = space_.plane_stride(k);
      if (tiles_.inputs[k].single ||
          ((strides.column == 1 || tile.columns == 1) && (tile.rows == 1 || strides.row == tile.columns) &&
           (tile.planes == 1 || by_plane == plane))) {
        at_inputs[k] = const_cast<char*>(source);
        continue;
      }
      at_inputs[k] = memory + packs_at_ + static_cast<int64_t>(k) * tiles_.buffer_size;
      // A broadcast input brings the same block again and again.
      Packed& last = packed[k];
      const bool repeats = tile.planes == 1 || by_plane == 0;
      if (repeats && source == last.source && tile.size() <= last.size && tile.columns == last.columns)
        continue;
      last = {repeats ? source : nullptr, tile.size(), tile.columns};
      const CopyBlockFunction copy = copy_block_function(static_cast<size_t>(size));
      for (int64_t i = 0; i < tile.planes; ++i)
        copy(source + i * by_plane * size, strides, at_inputs[k] + i * plane * size, {tile.columns, 1},
             tile.rows, tile.columns);
    }
    for (size_t k = 0; k < tiles_.outputs.size(); ++k)
      at_outputs[k] = outputs[k].data + (tile.begin - outputs[k].first) * tiles_.outputs[k].size;
    run_steps(at, at_inputs, at_outputs, tile.size());
    for (const auto [place, output] : tiles_.stores) {
      copy_block_function(static_cast<size_t>(tiles_.outputs[output].size))(
          at[place], {tile.columns, 1}, at_outputs[output], {space_.columns(), 1}, tile.rows, tile.columns);
    }
  });
}

void TileKernel::run_steps(char** at, char** at_inputs, char** at_outputs, int64_t count) const {
  if (tiles_.list.empty()) {
    for (const Tiles::Step& step : tiles_.steps) {
      const void* const operands[4] = {at[step.inputs[0]], at[step.inputs[1]], at[step.inputs[2]],
                                       at[step.inputs[3]]};
      step.function(operands, at[step.output], count);
    }
    return;
  }
  const int64_t lanes = list_lanes(tiles_.list_dtype), whole = count - count % lanes;
  const auto is_aligned = [](const char* place) { return reinterpret_cast<uintptr_t>(place) % kLine == 0; };
  const bool streams = streams_ && std::all_of(at_outputs, at_outputs + tiles_.outputs.size(), is_aligned);
  const ListStep* const list = (streams ? tiles_.streaming : tiles_.list).data();
  if (whole == count) return run_list(list, tiles_.list_dtype, at, 0, count);
  // What is left: the last vector of elements, the first of which are computed twice, of inputs as they were
  // before. Of fewer elements on copies that are as long as a vector, as buffers are.
  const bool is_short = count < lanes;
  const int64_t last = is_short ? 0 : count - lanes, rest = count - last;
  alignas(Line) char pads[2 * kMostArrays][2 * kLine];
  char* kept[kMostArrays];
  for (size_t k = 0; k < tiles_.inputs.size(); ++k) {
    kept[k] = at_inputs[k];
    if (tiles_.inputs[k].single) continue;
    char** const end = at_outputs + tiles_.outputs.size();
    if (!is_short && std::find(at_outputs, end, at_inputs[k]) == end) continue;
    const int64_t size = tiles_.inputs[k].size;
    if (is_short) std::memset(pads[k], 0, sizeof *pads);
    std::memcpy(pads[k], at_inputs[k] + last * size, static_cast<size_t>(rest * size));
    kept[k] = pads[k] - last * size;
  }
  run_list(list, tiles_.list_dtype, at, 0, whole);
  std::copy_n(kept, tiles_.inputs.size(), at_inputs);
  if (!is_short) return run_list(tiles_.list.data(), tiles_.list_dtype, at, last, count);
  char* real[kMostArrays];
  for (size_t k = 0; k < tiles_.outputs.size(); ++k)
    real[k] = std::exchange(at_outputs[k], pads[kMostArrays + k]);
  run_list(tiles_.list.data(), tiles_.list_dtype, at, 0, lanes);
  for (size_t k = 0; k < tiles_.outputs.size(); ++k) {
    at_outputs[k] = real[k];
    if (tiles_.outputs[k].direct)
      std::memcpy(real[k], pads[kMostArrays + k], static_cast<size_t>(rest * tiles_.outputs[k].size));
  }
}

void TileKernel::reduce_nothing(void* const* outputs, void* states) const {
  for (const Reduced& reduced : reduced_) {
    reduced.functions->rows(nullptr, 0, reduced.results, 0, states);
    reduced.functions->finish(states, reduced.whole, outputs[reduced.output], reduced.results);
  }
}

}  // namespace

std::unique_ptr<GroupKernel> prepare_group(const Group& group) {
  auto kernel = std::make_unique<TileKernel>(group);
  return kernel->is_complete() ? std::move(kernel) : nullptr;
}

bool reduces(const Group& group, const Group::Output& output) {
  const std::optional<ReductionName> reduction = reduction_of(output.reduction);
  if (!reduction) return false;
  const int inputs = static_cast<int>(group.inputs.size());
  int value = output.value;
  while (value >= inputs && is_same_value(group.steps[static_cast<size_t>(value - inputs)].primitive))
    value = group.steps[static_cast<size_t>(value - inputs)].inputs[0];
  if (value < inputs) return false;  // eager reduces it in the order of its layout
  if (!reduce_functions(*reduction, group.steps[static_cast<size_t>(value - inputs)].dtype).rows)
    return false;
  const auto cut = [&](const Group::Output& of) {
    return cut_of(group.shape, of.attrs.as<ReduceAttrs>().axes);
  };
  return cut(output) && std::ranges::all_of(group.outputs, [&](const Group::Output& other) {
           return !other.reduction || cut(other) == cut(output);
         });
}

}  // namespace tidu::cpu
