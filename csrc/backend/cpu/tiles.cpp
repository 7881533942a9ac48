// Calls to steps, in an order in which values stay in registers; values to places; steps to lists.
#include "backend/cpu/tiles.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/elementwise.h"
#include "kernels/cpu/cast.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

namespace tidu::cpu {
namespace {

int64_t bytes_of(DType dtype) { return static_cast<int64_t>(size_of(dtype)); }

class Lowering {
 public:
  Lowering(const Group& group, const Space& space, int64_t room) : group_(group), space_(space), room_(room) {
    for (const Group::Input& input : group.inputs) {
      if (input.number) {
        ids_.push_back(number(input.dtype, input.number->data()));
      } else {
        tiles_.inputs.push_back({static_cast<int>(ids_.size()), bytes_of(input.dtype)});
        ids_.push_back(value(input.dtype, {Place::input, static_cast<int>(tiles_.inputs.size()) - 1}));
      }
    }
    for (const Group::Step& step : group.steps) ids_.push_back(lower(step));
    for (size_t k = 0; k < group.outputs.size(); ++k) add_output(static_cast<int>(k));
    if (!complete_) return;
    sort();
    place_values();
    make_list();
    name_places();
  }

  std::optional<Tiles> take() { return complete_ ? std::optional(std::move(tiles_)) : std::nullopt; }

 private:
  using Step = Tiles::Step;
  struct Place {
    enum Kind : uint8_t { constant, input, buffer, output } kind;
    int index;
  };
  struct Value {
    DType dtype;
    Place place;
    int step = -1;       // that makes it
    int last_read = -1;  // by which step
    int reads = 0;
    int wide = -1;    // the same value in float32
    int output = -1;  // where it leaves
    bool is_parameter = false, is_single = false;
  };

  int value(DType dtype, Place place) {
    values_.push_back({dtype, place});
    return static_cast<int>(values_.size()) - 1;
  }
  char* constant(int64_t bytes, Place* place) {
    *place = {Place::constant, static_cast<int>(tiles_.constants.size())};
    // Vectors of lists are read whole.
    return tiles_.constants.emplace_back(static_cast<size_t>(lines_of(bytes) + 1)).data()->bytes;
  }
  int number(DType dtype, const char* bytes) {
    Place place;
    const int64_t size = bytes_of(dtype);
    char* const data = constant(std::max<int64_t>(1, room_) * size, &place);
    for (int64_t i = 0; i < room_; ++i) std::memcpy(data + i * size, bytes, static_cast<size_t>(size));
    return value(dtype, place);
  }

  int add_step(TileFunction function, std::span<const int> inputs, DType dtype, std::string_view row = {}) {
    Step step{.function = function, .output = value(dtype, {Place::buffer, -1})};
    std::ranges::copy(inputs, step.inputs);
    values_[step.output].step = static_cast<int>(steps().size());
    steps().push_back(step);
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
      const void* const data = tiles_.constants[values_[x].place.index].data();
      char bytes[8];
      cast(&data, bytes, 1);
      result = number(dtype, bytes);
    } else {
      const bool of_bool = from == DType::bool_ || dtype == DType::bool_;
      result = add_step(cast, {&x, 1}, dtype, of_bool ? "astype" : "");
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
      complete_ = false;
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

  void add_output(int k) {
    int x = ids_[group_.outputs[static_cast<size_t>(k)].value];
    tiles_.outputs.push_back({k, bytes_of(values_[x].dtype)});
    if (values_[x].place.kind != Place::buffer || values_[x].output >= 0)
      x = add_step(cast_function(values_[x].dtype, values_[x].dtype), {&x, 1}, values_[x].dtype, "copy");
    values_[x].output = k;
  }

  // The steps that outputs need, each after those that it reads, of which the one that keeps most values
  // waiting comes first and a product with an input last: the next step takes it from registers.
  void sort() {
    const auto count = [&](DType dtype) { return std::ranges::count(values_, dtype, &Value::dtype); };
    tiles_.list_dtype = count(DType::float64) > count(DType::float32) ? DType::float64 : DType::float32;
    std::vector<int> waiting(steps().size());  // values, while a step's own is computed
    const auto operands = [&](int i) {
      std::vector<int> made;
      for (const int x : steps()[i].inputs) {
        if (x >= 0 && values_[x].step >= 0 && std::ranges::find(made, values_[x].step) == made.end())
          made.push_back(values_[x].step);
      }
      std::ranges::stable_sort(made, std::greater(), [&](int step) { return waiting[step]; });
      return made;
    };
    for (int i = 0; i < static_cast<int>(steps().size()); ++i) {
      const std::vector<int> made = operands(i);
      for (size_t k = 0; k < made.size(); ++k)
        waiting[i] = std::max(waiting[i], waiting[made[k]] + static_cast<int>(k));
      waiting[i] = std::max(waiting[i], is_product_of_inputs(i) ? 0 : 1);
    }
    std::vector<int> order;
    std::vector<bool> done(steps().size());
    std::vector<std::pair<int, bool>> open;  // a step, and whether its operands are computed
    for (int root = 0; root < static_cast<int>(steps().size()); ++root) {
      if (values_[steps()[root].output].output < 0) continue;
      open.emplace_back(root, false);
      while (!open.empty()) {
        const auto [i, ready] = open.back();
        open.pop_back();
        if (done[i]) continue;
        if (ready) {
          done[i] = true;
          order.push_back(i);
          continue;
        }
        open.emplace_back(i, true);
        const std::vector<int> made = operands(i);
        for (auto step = made.rbegin(); step != made.rend(); ++step) open.emplace_back(*step, false);
      }
    }
    std::vector<Step> sorted;
    std::vector<std::string_view> rows;
    for (const int i : order) {
      sorted.push_back(steps()[i]);
      rows.push_back(rows_[i]);
    }
    steps() = std::move(sorted);
    rows_ = std::move(rows);
    for (int i = 0; i < static_cast<int>(steps().size()); ++i) {
      values_[steps()[i].output].step = i;
      for (const int x : steps()[i].inputs) {
        if (x < 0) continue;
        values_[x].last_read = i;
        ++values_[x].reads;
      }
    }
  }
  bool is_product_of_inputs(int i) const {
    const Step& step = steps()[i];
    return rows_[i] == "multiply" && values_[step.inputs[0]].step < 0 && values_[step.inputs[1]].step < 0;
  }

  // Each value a buffer from when it is computed until it is last read, or the memory where it leaves.
  void place_values() {
    for (const Value& value : values_)
      tiles_.buffer_size = std::max(tiles_.buffer_size, room_ * bytes_of(value.dtype));
    std::vector<int> free;
    for (int i = 0; i < static_cast<int>(steps().size()); ++i) {
      const Step& step = steps()[i];
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
      if (result.output >= 0 && !space_.transposed()) {
        result.place = {Place::output, result.output};
      } else {
        // Of lists, parts of a value stay while parts of others, perhaps of another size, are computed.
        if (free.empty() || result.output >= 0) free.push_back(tiles_.buffers++);
        result.place.index = free.back();
        free.pop_back();
      }
      release(false);
    }
    tiles_.may_be.assign(tiles_.outputs.size(), std::vector<bool>(group_.inputs.size(), true));
    for (const Value& value : values_) {
      if (value.output < 0) continue;
      if (value.place.kind == Place::buffer) {
        tiles_.stores.push_back({place_of(value), value.output});
        tiles_.outputs[value.output].direct = false;
        continue;
      }
      for (const Value& input : values_) {
        if (input.place.kind == Place::input)
          tiles_.may_be[value.output][tiles_.inputs[input.place.index].argument] =
              input.last_read <= value.step;
      }
    }
  }

  // The steps in registers, where most of them are computed there. A value goes to its place only if it is
  // read other than by the next step, from registers.
  void make_list() {
    const int count = static_cast<int>(steps().size());
    for (int i = 0; i < count; ++i) in_registers_.push_back(is_in_registers(i));
    find_singles();
    std::vector<ListStep> list;
    std::vector<std::pair<size_t, ListOperand>> streamed;
    const auto add = [&](StepForm form, int value, std::string_view row, std::span<const ListOperand> x) {
      list.push_back(list_step(form, tiles_.list_dtype, row, is_flag(value), x));
    };
    int computed = 0, held = -1;  // the value in registers
    for (int i = 0; i < count; ++i) {
      if (!in_registers_[i]) {
        add_call(steps()[i], list);
        held = -1;
        continue;
      }
      const bool folds = is_folded(i, held);
      if (folds) ++i;
      const Step& step = steps()[i];
      const int first = step.inputs[0], second = step.inputs[1];
      computed += 1 + folds - (is_flag(first) && is_flag(step.output));
      const bool is_binary = second >= 0 && !values_[second].is_parameter && step.inputs[2] < 0;
      if (held_by(i, held) == 0 && !is_binary) {
        const ListOperand from = operand(first);
        add(StepForm::load, first, {}, {&from, 1});
        held = first;
      }
      std::vector<ListOperand> operands = operands_of(i, held);
      if (folds) fold(steps()[i - 1], held == first ? 1 : 0, operands);
      add(StepForm::row, first, rows_[i], operands);
      held = step.output;
      const ListOperand to = operand(held);
      const int taken = is_folded(i + 1, held) ? 1 : held_by(i + 1, held);
      if (values_[held].output < 0 && values_[held].reads == taken) continue;
      if (values_[held].place.kind == Place::output && values_[held].reads == taken && !is_flag(held))
        streamed.emplace_back(list.size(), to);
      add(StepForm::store, held, {}, {&to, 1});
    }
    list.push_back(list_step(StepForm::end, tiles_.list_dtype));
    // Bytes of bools are computed faster as such.
    if (2 * computed < count) return;
    if (!streamed.empty()) tiles_.streaming = list;
    for (const auto& [at, to] : streamed)
      tiles_.streaming[at] = list_step(StepForm::stream, tiles_.list_dtype, {}, false, {&to, 1});
    tiles_.list = std::move(list);
    for (const Value& value : values_) {
      if (value.is_single) tiles_.inputs[value.place.index].single = true;
    }
  }
  // Inputs of one element that are read from registers alone, and beside other than numbers.
  void find_singles() {
    const auto is_one = [&](const Value& value) {
      if (value.place.kind == Place::constant) return true;
      if (value.place.kind != Place::input || value.dtype != tiles_.list_dtype) return false;
      const Strides& strides =
          group_.inputs[static_cast<size_t>(tiles_.inputs[value.place.index].argument)].strides;
      for (int axis = 0; axis < group_.shape.size(); ++axis) {
        if (group_.shape[axis] > 1 && strides[axis] != 0) return false;
      }
      return true;
    };
    for (Value& value : values_) value.is_single = value.place.kind == Place::input && is_one(value);
    for (int i = 0; i < static_cast<int>(steps().size()); ++i) {
      int ones = 0;
      for (const int x : steps()[i].inputs) ones += x >= 0 && is_one(values_[x]);
      if (in_registers_[i] && ones < 2) continue;
      for (const int x : steps()[i].inputs) {
        if (x >= 0) values_[x].is_single = false;
      }
    }
  }
  bool is_flag(int value) const { return values_[value].dtype == DType::bool_; }
  bool is_in_registers(int i) const {
    const Step& step = steps()[i];
    const auto is_value = [&](int x) { return values_[x].dtype == tiles_.list_dtype; };
    if (!is_value(step.output) && !is_flag(step.output)) return false;
    const bool flags = is_flag(step.inputs[0]);
    for (int k = 0; k < 4 && step.inputs[k] >= 0; ++k) {
      const int x = step.inputs[k];
      const bool takes_flag = flags && (k == 0 || step.inputs[2] < 0);
      if (!(takes_flag ? is_flag(x) : is_value(x)) && !values_[x].is_parameter) return false;
    }
    return list_step(StepForm::row, tiles_.list_dtype, rows_[i], flags, operands_of(i, step.inputs[0])).wide;
  }
  ListOperand operand(int value) const {
    const Value& x = values_[value];
    const bool is_number =
        x.is_single || (x.place.kind == Place::constant && !x.is_parameter && x.dtype != DType::bool_);
    return {is_number ? ListOperand::number : ListOperand::array, place_of(x)};
  }
  std::vector<ListOperand> operands_of(int i, int held) const {
    const Step& step = steps()[i];
    std::vector<ListOperand> result;
    bool is_taken = false;
    for (int k = 0; k < 4 && step.inputs[k] >= 0; ++k) {
      // Of three operands one is in registers.
      const bool takes = step.inputs[k] == held && !(step.inputs[2] >= 0 && is_taken);
      is_taken |= takes;
      result.push_back(takes ? ListOperand{} : operand(step.inputs[k]));
    }
    // Two numbers as an array and a number.
    if (result.size() == 2 && result[0].kind == ListOperand::number && result[1].kind == ListOperand::number)
      result[0].kind = ListOperand::array;
    return result;
  }
  // How many operands of a step are the value in registers.
  int held_by(int i, int held) const {
    if (i >= static_cast<int>(steps().size()) || !in_registers_[i]) return 0;
    return static_cast<int>(std::ranges::count(operands_of(i, held), ListOperand::held, &ListOperand::kind));
  }

  // Whether the next step takes the product that this one is as an operand beside the value in registers.
  bool is_folded(int i, int held) const {
    if (i + 1 >= static_cast<int>(steps().size()) || !in_registers_[i] || !in_registers_[i + 1]) return false;
    const Step &product = steps()[i], &sum = steps()[i + 1];
    const Value& result = values_[product.output];
    const bool takes = (sum.inputs[0] == held && sum.inputs[1] == product.output) ||
                       (sum.inputs[1] == held && sum.inputs[0] == product.output);
    return held >= 0 && takes && result.reads == 1 && result.output < 0 && !is_flag(held) &&
           rows_[i] == "multiply" && (rows_[i + 1] == "add" || rows_[i + 1] == "subtract") &&
           held_by(i, held) == 0;
  }
  // Puts the product in the place of the operand which it is.
  void fold(const Step& product, size_t k, std::vector<ListOperand>& operands) const {
    ListOperand x = operand(product.inputs[0]), y = operand(product.inputs[1]);
    if (x.kind == ListOperand::number) std::swap(x, y);
    operands[k] = {y.kind == ListOperand::number ? ListOperand::times_number : ListOperand::times_array,
                   x.place};
    operands.push_back(y);
  }

  void add_call(const Step& step, std::vector<ListStep>& list) {
    ListStep call = list_step(StepForm::call, tiles_.list_dtype);
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

  int place_of(const Value& value) const {
    const Place place = value.place;
    int before = 0;
    if (place.kind > Place::constant) before += static_cast<int>(tiles_.constants.size());
    if (place.kind > Place::input) before += static_cast<int>(tiles_.inputs.size());
    if (place.kind > Place::buffer) before += tiles_.buffers;
    return before + place.index;
  }
  void name_places() {
    for (Step& step : steps()) {
      for (int& input : step.inputs) input = input < 0 ? 0 : place_of(values_[input]);
      step.output = place_of(values_[step.output]);
    }
  }

  std::vector<Step>& steps() { return tiles_.steps; }
  const std::vector<Step>& steps() const { return tiles_.steps; }

  const Group& group_;
  const Space& space_;
  const int64_t room_;
  Tiles tiles_;
  std::vector<Value> values_;
  std::vector<int> ids_;                // of the values of the group
  std::vector<std::string_view> rows_;  // of the steps; empty where lists know none
  std::vector<bool> in_registers_;      // the steps
  bool complete_ = true;
};

}  // namespace

std::optional<Tiles> tiles_of(const Group& group, const Space& space, int64_t room) {
  return Lowering(group, space, room).take();
}

bool is_same_value(const Primitive* primitive) {
  return primitive == &primitives::alias || primitive == &primitives::stop_gradient;
}

}  // namespace tidu::cpu
