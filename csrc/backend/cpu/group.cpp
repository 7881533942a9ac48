// Groups of pointwise calls, tile by tile: each step runs the tile function of its call, on values that stay
// in the cache. Reductions run eager's block functions on parts of a value as soon as they are there.
#include "backend/cpu/group.h"

#include <algorithm>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/space.h"
#include "backend/cpu/steps.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/cast.h"
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
constexpr int64_t kSpan = 4096;  // elements that a thread takes at a time

constexpr size_t kMostArrays = 64;

struct alignas(64) Line {
  char bytes[64];
};
constexpr int64_t kLine = sizeof(Line);
constexpr int64_t lines_of(int64_t bytes) { return (bytes + kLine - 1) / kLine; }
constexpr int64_t rounded(int64_t bytes) { return lines_of(bytes) * kLine; }

// Memory of the calling thread, which grows to what is asked for.
enum class Use { tiles, partials };
template <Use> char* own_memory(int64_t bytes) {
  thread_local std::vector<Line> memory;
  const size_t lines = static_cast<size_t>(lines_of(bytes));
  if (memory.size() < lines) memory = std::vector<Line>(lines);
  return reinterpret_cast<char*>(memory.data());
}

int64_t bytes_of(DType dtype) { return static_cast<int64_t>(size_of(dtype)); }

// How the results of reductions lie in the loop: each reduces n elements, which are neighbours or, of
// `columns` results side by side, that far from each other.
struct Cut {
  int64_t n = 1, columns = 1;
  bool operator==(const Cut&) const = default;
};
std::optional<Cut> cut_of(const Shape& shape, const Axes& axes) {
  Cut cut;
  bool leading = true, trailing = true, kept = false, reduced = false;
  for (int axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    if (axes.contains(axis)) {
      cut.n *= shape[axis];
      leading &= !kept;
      reduced = true;
    } else {
      cut.columns *= shape[axis];
      trailing &= !reduced;
      kept = true;
    }
  }
  if (trailing) cut.columns = 1;
  return leading || trailing ? std::optional(cut) : std::nullopt;
}

std::optional<Reduction> reduction_of(const Primitive* primitive) {
#define ROWWISE(...)
#define REDUCTION(name, ...) \
  if (primitive == &primitives::name) return Reduction::name;
#include "ops/reduce.def"
  return std::nullopt;
}

bool is_same_value(const Primitive* primitive) {
  return primitive == &primitives::alias || primitive == &primitives::stop_gradient;
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
  void run(const void* const* inputs, void* const* outputs) const override;

 private:
  // What a step reads and writes is in places, of which a tile has a table: constants, inputs, buffers,
  // outputs.
  struct Step {
    TileFunction function;
    int inputs[4] = {-1, -1, -1, -1};
    int output = -1;
  };
  struct Array {
    int argument;
    int64_t size;        // of an element
    bool direct = true;  // read or written where it is
  };
  // An output that is not written where it is computed.
  struct Store {
    int place, output;
  };
  struct Reduced {
    int output;
    const ReduceFunctions* functions;
    reduction::Whole whole;
    int64_t results, result_size;
    // In a thread's memory and that of partial states.
    int64_t part_at = 0, states_at = 0, partials_at = 0;
  };
  // Where a tile's part of an output goes, whose memory begins with element `first`.
  struct Target {
    char* data;
    int64_t first;
  };

  class Lowering;
  void run_span(const void* const* inputs, void* const* outputs, char* partials, int64_t i) const;
  void run_range(const void* const* inputs, const Target* outputs, char* memory, int64_t begin,
                 int64_t end) const;
  void run_steps(char** at, char** at_inputs, char** at_outputs, int64_t count) const;
  void reduce_nothing(void* const* outputs) const;

  Space space_;
  std::vector<std::vector<Line>> constants_;
  std::vector<Array> inputs_, outputs_;
  std::vector<Step> steps_;
  std::vector<ListStep> list_;  // the same steps as a list, where that is faster
  DType list_dtype_ = DType::float32;
  std::vector<Store> stores_;
  std::vector<Reduced> reduced_;
  Cut cut_;
  int64_t room_;  // elements of a buffer
  int64_t tile_;  // and of a tile
  int64_t buffer_size_ = 0;
  int buffers_ = 0;
  int64_t spans_ = 0;   // the tasks: each a range of elements
  int64_t span_ = 0;    // elements of one, or where columns are reduced its rows
  int64_t blocks_ = 1;  // into which a reduction's elements are cut
  // Where in a thread's memory, after the table of places: buffers, packed inputs, parts to be reduced.
  int64_t buffers_at_ = 0, packs_at_ = 0, memory_size_ = 0;
  int64_t partials_size_ = 0;
  bool complete_ = true;
};

// Puts a group's steps into calls of tile functions, and their values into places.
class TileKernel::Lowering {
 public:
  Lowering(TileKernel& kernel, const Group& group) : kernel_(kernel) {
    for (const Group::Input& input : group.inputs) {
      if (input.number) {
        ids_.push_back(number(input.dtype, input.number->data()));
      } else {
        kernel.inputs_.push_back({static_cast<int>(ids_.size()), bytes_of(input.dtype)});
        ids_.push_back(value(input.dtype, {Place::input, static_cast<int>(kernel.inputs_.size()) - 1}));
      }
    }
    for (const Group::Step& step : group.steps) ids_.push_back(lower(step));
    for (size_t k = 0; k < group.outputs.size(); ++k) add_output(group, static_cast<int>(k));
    if (kernel.complete_) place_values();
  }

 private:
  struct Place {
    enum Kind : uint8_t { constant, input, buffer, output } kind;
    int index;
  };
  struct Value {
    DType dtype;
    Place place;
    int last_read = -1;  // by which step
    int reads = 0;
    int wide = -1;    // the same value in float32
    int output = -1;  // where it leaves
    bool is_parameter = false;
  };

  int value(DType dtype, Place place) {
    values_.push_back({dtype, place});
    return static_cast<int>(values_.size()) - 1;
  }
  char* constant(int64_t bytes, Place* place) {
    *place = {Place::constant, static_cast<int>(kernel_.constants_.size())};
    // Vectors of lists are read whole.
    return kernel_.constants_.emplace_back(static_cast<size_t>(lines_of(bytes) + 1)).data()->bytes;
  }
  int number(DType dtype, const char* bytes) {
    Place place;
    const int64_t size = bytes_of(dtype);
    char* const data = constant(std::max<int64_t>(1, kernel_.room_) * size, &place);
    for (int64_t i = 0; i < kernel_.room_; ++i)
      std::memcpy(data + i * size, bytes, static_cast<size_t>(size));
    return value(dtype, place);
  }

  int add_step(TileFunction function, std::span<const int> inputs, DType dtype, std::string_view row = {}) {
    Step step{.function = function, .output = value(dtype, {Place::buffer, -1})};
    std::ranges::copy(inputs, step.inputs);
    for (const int x : inputs) {
      values_[x].last_read = static_cast<int>(kernel_.steps_.size());
      ++values_[x].reads;
    }
    kernel_.steps_.push_back(step);
    rows_.push_back(row);
    return step.output;
  }
  // What was widened once is not widened again.
  int converted(int x, DType dtype) {
    const DType from = values_[x].dtype;
    if (from == dtype) return x;
    const bool widens = is_narrow(from) && dtype == DType::float32;
    if (widens && values_[x].wide >= 0) return values_[x].wide;
    const TileFunction cast = cast_function(from, dtype);
    int result;
    if (values_[x].place.kind == Place::constant) {
      const void* const data = kernel_.constants_[values_[x].place.index].data();
      char bytes[8];
      cast(&data, bytes, 1);
      result = number(dtype, bytes);
    } else {
      result = add_step(cast, {&x, 1}, dtype);
    }
    if (widens) values_[x].wide = result;
    return result;
  }

  int lower(const Group::Step& step) {
    const Primitive* const primitive = step.primitive;
    int x[4] = {};
    size_t count = std::min<size_t>(step.inputs.size(), 3);
    for (size_t k = 0; k < count; ++k) x[k] = ids_[step.inputs[k]];
    if (is_same_value(primitive) || primitive == &primitives::copy) return x[0];
    if (primitive == &primitives::astype) return converted(x[0], step.dtype);
    // 16-bit floats are computed in float32 and rounded after each step, as a call by itself does.
    for (size_t k = 0; k < count; ++k) {
      if (is_narrow(values_[x[k]].dtype)) x[k] = converted(x[k], DType::float32);
    }
    const TileFunction function = tile_function(primitive->name, values_[x[count - 1]].dtype);
    if (!function) {
      kernel_.complete_ = false;
      return x[0];
    }
    if (!step.attrs.empty()) {
      Place place;
      const double* const parameters = step.attrs.as<ParameterAttrs>().values;
      std::memcpy(constant(sizeof(ParameterAttrs::values), &place), parameters,
                  sizeof(ParameterAttrs::values));
      x[count] = value(DType::float64, place);
      values_[x[count++]].is_parameter = true;
    }
    const int result =
        add_step(function, {x, count}, is_narrow(step.dtype) ? DType::float32 : step.dtype, primitive->name);
    return converted(result, step.dtype);
  }

  void add_output(const Group& group, int k) {
    const Group::Output& output = group.outputs[static_cast<size_t>(k)];
    int x = ids_[output.value];
    kernel_.outputs_.push_back({k, bytes_of(values_[x].dtype)});
    if (output.reduction) add_reduction(group, k);
    // What is stored is never read from an input's memory, which other outputs may have overwritten by then.
    if (values_[x].place.kind != Place::buffer || values_[x].output >= 0)
      x = add_step(cast_function(values_[x].dtype, values_[x].dtype), {&x, 1}, values_[x].dtype);
    values_[x].output = k;
  }

  void add_reduction(const Group& group, int k) {
    const Group::Output& output = group.outputs[static_cast<size_t>(k)];
    const std::optional<Reduction> reduction = reduction_of(output.reduction);
    if (!reduction || !reduces(group, output)) {
      kernel_.complete_ = false;
      return;
    }
    const auto& [axes, correction] = output.attrs.as<ReduceAttrs>();
    kernel_.cut_ = *cut_of(group.shape, axes);
    int64_t results = 1;
    for (int axis = 0; axis < group.shape.size(); ++axis)
      results *= axes.contains(axis) ? 1 : group.shape[axis];
    kernel_.reduced_.push_back(
        {.output = k,
         .functions = &reduce_functions(*reduction, dtype_of_value(group, output.value)),
         .whole = {kernel_.cut_.n, correction},
         .results = results,
         .result_size = bytes_of(output.dtype)});
  }

  // Each value a buffer from when it is computed until it is last read, or the memory where it leaves unless
  // a later step reads an input that may be the same memory.
  void place_values() {
    const int steps = static_cast<int>(kernel_.steps_.size());
    int last_read[kDTypeCount] = {};
    for (const Value& value : values_) {
      if (value.place.kind != Place::input || !kernel_.space_.is_row_major(value.place.index)) continue;
      int& last = last_read[static_cast<size_t>(value.dtype)];
      last = std::max(last, value.last_read);
    }
    for (const Value& value : values_)
      kernel_.buffer_size_ = std::max(kernel_.buffer_size_, kernel_.room_ * bytes_of(value.dtype));
    std::vector<int> free;
    for (int i = 0; i < steps; ++i) {
      Step& step = kernel_.steps_[i];
      Value& result = values_[step.output];
      const auto release = [&](bool same_size) {
        for (const int* input = step.inputs; input < step.inputs + 4 && *input >= 0; ++input) {
          const Value& x = values_[*input];
          const bool again = std::count<const int*>(step.inputs, input, *input) > 0;
          if (x.place.kind == Place::buffer && x.last_read == i && !again && x.output < 0 &&
              (bytes_of(x.dtype) == bytes_of(result.dtype)) == same_size)
            free.push_back(x.place.index);
        }
      };
      release(true);
      const bool in_order = i >= last_read[static_cast<size_t>(result.dtype)] || is_reduced(result.output);
      if (result.output >= 0 && in_order && !kernel_.space_.transposed()) {
        result.place = {Place::output, result.output};
      } else {
        // Of lists, parts of a value stay while parts of others, perhaps of another size, are computed.
        if (free.empty() || result.output >= 0) free.push_back(kernel_.buffers_++);
        result.place.index = free.back();
        free.pop_back();
      }
      release(false);
      if (result.output < 0 && result.last_read < 0) free.push_back(result.place.index);
    }
    for (const Value& value : values_) {
      if (value.output < 0 || value.place.kind != Place::buffer) continue;
      kernel_.stores_.push_back({place_of(value), value.output});
      kernel_.outputs_[value.output].direct = false;
    }
    make_list();
    for (Step& step : kernel_.steps_) {
      for (int& input : step.inputs) input = input < 0 ? 0 : place_of(values_[input]);
      step.output = place_of(values_[step.output]);
    }
  }

  // The steps in registers, where most of them are computed there. A value goes to its place only if a step
  // other than the next reads it.
  void make_list() {
    const DType dtype = values_.back().dtype == DType::float64 ? DType::float64 : DType::float32;
    std::vector<ListStep> list;
    const auto add = [&](StepForm form, int value, std::string_view row = {}) {
      const bool number = value >= 0 && values_[value].place.kind == Place::constant;
      list.push_back(list_step(form, row, dtype, value < 0 ? 0 : place_of(values_[value]), number));
    };
    const auto in_registers = [&](size_t i) {
      const Step& step = kernel_.steps_[i];
      if (values_[step.output].dtype != dtype || step.inputs[2] >= 0) return false;
      for (const int x : step.inputs) {
        if (x >= 0 && values_[x].dtype != dtype) return false;
      }
      return list_step(StepForm::of_value, rows_[i], dtype, 0).wide != nullptr;
    };
    size_t count = 0;
    int held = -1;  // the value in registers
    for (size_t i = 0; i < kernel_.steps_.size(); ++i) {
      const Step& step = kernel_.steps_[i];
      const int a = step.inputs[0], b = step.inputs[1];
      if (!in_registers(i)) {
        add_call(step, list, dtype);
        held = -1;
        continue;
      }
      ++count;
      if (b >= 0 && b == held && a != held) {
        add(StepForm::of_place_first, a, rows_[i]);
      } else {
        if (a != held) add(StepForm::load, a);
        add(StepForm::of_value, b, rows_[i]);
      }
      held = step.output;
      const int* const next = i + 1 < kernel_.steps_.size() ? kernel_.steps_[i + 1].inputs : nullptr;
      const bool taken = next && in_registers(i + 1) && (next[0] == held) != (next[1] == held);
      if (values_[held].output >= 0 || values_[held].reads > taken) add(StepForm::store, held);
    }
    add(StepForm::end, -1);
    if (2 * count < kernel_.steps_.size()) return;
    kernel_.list_ = std::move(list);
    kernel_.list_dtype_ = dtype;
  }
  void add_call(const Step& step, std::vector<ListStep>& list, DType dtype) {
    ListStep call = list_step(StepForm::call, {}, dtype, 0);
    call.function = step.function;
    for (int k = 0; k < 4 && step.inputs[k] >= 0; ++k) {
      const Value& x = values_[step.inputs[k]];
      call.inputs[k] = place_of(x);
      call.input_sizes[k] = x.is_parameter ? 0 : static_cast<int>(bytes_of(x.dtype));
    }
    call.output = place_of(values_[step.output]);
    call.output_size = static_cast<int>(bytes_of(values_[step.output].dtype));
    list.push_back(call);
  }

  bool is_reduced(int output) const {
    return std::ranges::any_of(kernel_.reduced_,
                               [&](const Reduced& reduced) { return reduced.output == output; });
  }
  int place_of(const Value& value) const {
    const Place place = value.place;
    int before = 0;
    if (place.kind > Place::constant) before += static_cast<int>(kernel_.constants_.size());
    if (place.kind > Place::input) before += static_cast<int>(kernel_.inputs_.size());
    if (place.kind > Place::buffer) before += kernel_.buffers_;
    return before + place.index;
  }

  TileKernel& kernel_;
  std::vector<Value> values_;
  std::vector<int> ids_;                // of the values of the group
  std::vector<std::string_view> rows_;  // of the steps; empty for conversions
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
  Lowering(*this, group);
  const bool far = numel * width > kSecondLevel && !space_.transposed() && list_.empty();
  tile_ = far ? kFarTile : room_;
  complete_ &= inputs_.size() <= kMostArrays && outputs_.size() <= kMostArrays;
  if (numel == 0 || !complete_) return;
  if (reduced_.empty()) {
    // Whole squares where an input is transposed.
    const int64_t whole = space_.transposed() ? space_.height(tile_) * space_.columns() : 1;
    span_ = numel < kGrain ? numel : (kSpan + whole - 1) / whole * whole;
    spans_ = (numel + span_ - 1) / span_;
  } else if (cut_.columns == 1) {
    blocks_ = (cut_.n + kRowBlock - 1) / kRowBlock;
    span_ = blocks_ > 1 ? kRowBlock : std::max<int64_t>(1, kSpan / cut_.n) * cut_.n;
    spans_ = blocks_ > 1 ? numel / cut_.n * blocks_ : (numel + span_ - 1) / span_;
  } else {
    blocks_ = (cut_.n + kColumnBlock - 1) / kColumnBlock;
    span_ = kColumnBlock * std::max<int64_t>(1, kSpan / (kColumnBlock * cut_.columns));
    spans_ = (cut_.n + span_ - 1) / span_ * ((cut_.columns + kColumnChunk - 1) / kColumnChunk);
  }
  // Lines apart, so that places of one index are not in one set of the cache.
  buffer_size_ = rounded(buffer_size_) + kLine;
  const size_t places = constants_.size() + inputs_.size() + static_cast<size_t>(buffers_) + outputs_.size();
  buffers_at_ = rounded(static_cast<int64_t>(places * sizeof(void*)));
  packs_at_ = buffers_at_ + buffers_ * buffer_size_;
  memory_size_ = packs_at_ + static_cast<int64_t>(inputs_.size()) * buffer_size_;
  const int64_t elements = cut_.columns == 1 ? span_ : span_ * std::min(cut_.columns, kColumnChunk);
  for (Reduced& reduced : reduced_) {
    reduced.part_at = memory_size_;
    reduced.states_at = reduced.part_at + rounded(elements * outputs_[reduced.output].size);
    const int64_t states = cut_.columns == 1 ? span_ / cut_.n + 1 : kColumnChunk;
    memory_size_ = reduced.states_at + rounded(states * reduced.functions->state_size);
    reduced.partials_at = partials_size_;
    if (blocks_ > 1) partials_size_ += rounded(numel / cut_.n * blocks_ * reduced.functions->state_size);
  }
}

void TileKernel::run(const void* const* inputs, void* const* outputs) const {
  if (space_.size() == 0) return reduce_nothing(outputs);
  char* const partials = own_memory<Use::partials>(partials_size_);
  // Several steps on an element are worth more than one.
  parallel_for(spans_, 2 * space_.size(), [&](int64_t i) { run_span(inputs, outputs, partials, i); });
  if (blocks_ == 1) return;
  const int64_t frames = space_.size() / cut_.n / cut_.columns;
  for (const Reduced& reduced : reduced_) {
    const auto& functions = *reduced.functions;
    for (int64_t frame = 0; frame < frames; ++frame) {
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
  for (size_t k = 0; k < outputs_.size(); ++k) targets[k] = {static_cast<char*>(outputs[k]), 0};
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
    const int64_t length = std::min(cut_.n, end - begin), count = (end - begin) / length;
    for (const Reduced& reduced : reduced_) {
      reduced.functions->rows(memory + reduced.part_at, length, count, length, states_of(reduced, i));
      finish(reduced, begin / cut_.n, count);
    }
    return;
  }
  const int64_t chunks = (cut_.columns + kColumnChunk - 1) / kColumnChunk, row = i / chunks * span_,
                rows = std::min(span_, cut_.n - row), column = i % chunks * kColumnChunk,
                columns = std::min(kColumnChunk, cut_.columns - column), begin = row * cut_.columns + column;
  if (chunks == 1) {
    compute(begin, begin + rows * columns, begin);
  } else {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t here = begin + r * cut_.columns;
      compute(here, here + columns, here - r * columns);
    }
  }
  for (const Reduced& reduced : reduced_) {
    const int64_t size = outputs_[reduced.output].size;
    for (int64_t r = 0; r < rows; r += kColumnBlock) {
      reduced.functions->columns(memory + reduced.part_at + r * columns * size, columns,
                                 std::min(kColumnBlock, rows - r), columns,
                                 states_of(reduced, (row + r) / kColumnBlock * cut_.columns + column));
    }
    finish(reduced, column, columns);
  }
}

void TileKernel::run_range(const void* const* inputs, const Target* outputs, char* memory, int64_t begin,
                           int64_t end) const {
  char** const at = reinterpret_cast<char**>(memory);
  char** next = at;
  for (const std::vector<Line>& constant : constants_) *next++ = const_cast<char*>(constant.data()->bytes);
  char** const at_inputs = next;
  char** const at_outputs = at_inputs + inputs_.size() + buffers_;
  for (int i = 0; i < buffers_; ++i) at_inputs[inputs_.size() + i] = memory + buffers_at_ + i * buffer_size_;
  struct Packed {
    const char* source = nullptr;
    int64_t rows = 0, columns = 0;
  } packed[kMostArrays];
  space_.for_tiles(begin, end, tile_, [&](const Tile& tile) {
    int64_t offsets[kMostArrays];
    space_.locate(tile.begin, offsets);
    for (size_t k = 0; k < inputs_.size(); ++k) {
      const int64_t size = inputs_[k].size;
      const BlockStrides strides = space_.strides(k);
      const char* const source = static_cast<const char*>(inputs[inputs_[k].argument]) + offsets[k] * size;
      if ((strides.column == 1 || tile.columns == 1) && (tile.rows == 1 || strides.row == tile.columns)) {
        at_inputs[k] = const_cast<char*>(source);
        continue;
      }
      at_inputs[k] = memory + packs_at_ + static_cast<int64_t>(k) * buffer_size_;
      // A broadcast input brings the same block again and again.
      Packed& last = packed[k];
      if (source == last.source && tile.rows == last.rows && tile.columns == last.columns) continue;
      last = {source, tile.rows, tile.columns};
      copy_block_function(static_cast<size_t>(size))(source, strides, at_inputs[k], {tile.columns, 1},
                                                     tile.rows, tile.columns);
    }
    for (size_t k = 0; k < outputs_.size(); ++k)
      at_outputs[k] = outputs[k].data + (tile.begin - outputs[k].first) * outputs_[k].size;
    run_steps(at, at_inputs, at_outputs, tile.size());
    for (const auto [place, output] : stores_) {
      copy_block_function(static_cast<size_t>(outputs_[output].size))(
          at[place], {tile.columns, 1}, at_outputs[output], {space_.columns(), 1}, tile.rows, tile.columns);
    }
  });
}

void TileKernel::run_steps(char** at, char** at_inputs, char** at_outputs, int64_t count) const {
  if (list_.empty()) {
    for (const Step& step : steps_) {
      const void* const operands[4] = {at[step.inputs[0]], at[step.inputs[1]], at[step.inputs[2]],
                                       at[step.inputs[3]]};
      step.function(operands, at[step.output], count);
    }
    return;
  }
  const int64_t lanes = list_lanes(list_dtype_), rest = count % lanes, whole = count - rest;
  run_list(list_.data(), list_dtype_, at, 0, whole);
  if (rest == 0) return;
  // The last elements on copies that are as long as a vector, as buffers are.
  alignas(Line) char pads[2 * kMostArrays][2 * kLine];
  char* real[kMostArrays];
  for (size_t k = 0; k < inputs_.size(); ++k) {
    const int64_t size = inputs_[k].size;
    std::memset(pads[k], 0, sizeof *pads);
    std::memcpy(pads[k], at_inputs[k] + whole * size, static_cast<size_t>(rest * size));
    at_inputs[k] = pads[k] - whole * size;
  }
  for (size_t k = 0; k < outputs_.size(); ++k)
    real[k] = std::exchange(at_outputs[k], pads[kMostArrays + k] - whole * outputs_[k].size);
  run_list(list_.data(), list_dtype_, at, whole, whole + lanes);
  for (size_t k = 0; k < outputs_.size(); ++k) {
    const int64_t size = outputs_[k].size;
    at_outputs[k] = real[k];
    if (outputs_[k].direct)
      std::memcpy(real[k] + whole * size, pads[kMostArrays + k], static_cast<size_t>(rest * size));
  }
}

void TileKernel::reduce_nothing(void* const* outputs) const {
  for (const Reduced& reduced : reduced_) {
    std::vector<Line> states(lines_of(reduced.results * reduced.functions->state_size));
    reduced.functions->rows(nullptr, 0, reduced.results, 0, states.data());
    reduced.functions->finish(states.data(), reduced.whole, outputs[reduced.output], reduced.results);
  }
}

}  // namespace

std::unique_ptr<GroupKernel> prepare_group(const Group& group) {
  auto kernel = std::make_unique<TileKernel>(group);
  return kernel->is_complete() ? std::move(kernel) : nullptr;
}

bool reduces(const Group& group, const Group::Output& output) {
  const std::optional<Reduction> reduction = reduction_of(output.reduction);
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
