// Groups made at random, with tensors for their inputs: any rows of the table, dtypes and layouts.
#pragma once

#include <cstring>
#include <random>

#include "../testing.h"
#include "core/bind.h"
#include "core/group.h"
#include "ops/convert.h"

namespace tidu::cuda_testing {

inline bool holds(Types types, DType dtype) {
  const Kind kind = kind_of(dtype);
  switch (types) {
    case Types::floating: return is_floating(dtype);
    case Types::numeric: return kind != Kind::boolean;
    case Types::any: return true;
    case Types::integral: return !is_floating(dtype);
    case Types::boolean: return kind == Kind::boolean;
    case Types::choice: return true;
  }
  return false;
}

// A group and what it is run on. Inputs are on the cpu; their layout is that of `view` of `memory`.
struct GroupCase {
  struct Input {
    Tensor memory;
    std::function<Tensor(const Tensor&)> view;
  };
  Group group;
  std::vector<Input> inputs;

  void add_input(Input input) {
    const Tensor seen = input.view(input.memory);
    group.inputs.push_back({seen.dtype(), seen.strides()});
    inputs.push_back(std::move(input));
  }
  // Of a known value: it has no memory in the group.
  void add_number(const Tensor& value) {
    group.inputs.push_back({value.dtype(), Strides(group.shape.size(), 0), std::array<char, 8>{}});
    std::memcpy(group.inputs.back().number->data(), value.raw_data(), value.nbytes());
    const Shape shape = group.shape;
    inputs.push_back({value, [shape](const Tensor& x) { return broadcast_to(x, shape); }});
  }
  int add_step(const Primitive& primitive, std::vector<int> from, DType dtype, Attrs attrs = {}) {
    group.steps.push_back({&primitive, std::move(attrs), dtype, std::move(from)});
    return value_count() - 1;
  }
  int add_row(const ElementwiseRow& row, std::vector<int> from, Attrs attrs) {
    const DType dtype = row.boolean_result ? DType::bool_ : dtype_of(from.back());
    return add_step(*row.primitive, std::move(from), dtype, std::move(attrs));
  }
  void add_output(int value) { group.outputs.push_back({.value = value, .dtype = dtype_of(value)}); }

  int value_count() const { return static_cast<int>(group.inputs.size() + group.steps.size()); }
  DType dtype_of(int value) const {
    const int count = static_cast<int>(group.inputs.size());
    return value < count ? group.inputs[value].dtype : group.steps[value - count].dtype;
  }
};

class RandomGroup {
 public:
  explicit RandomGroup(uint64_t seed) : random_(seed) {
    const Shape shapes[] = {{1000}, {7, 33}, {6, 10, 16}, {5, 1, 12}, {64, 8}, {3}, {}, {2, 3, 4, 5}, {4, 0}};
    made_.group.shape = shapes[below(std::size(shapes))];
    const int inputs = 1 + below(5), steps = 1 + below(12);
    for (int i = 0; i < inputs; ++i) add_input();
    for (int i = 0; i < steps; ++i) add_step();
    const int count = made_.value_count();
    made_.add_output(count - 1);
    for (int i = below(3); i > 0; --i) made_.add_output(below(count));
  }
  const GroupCase& made() const { return made_; }

 private:
  int below(size_t n) { return static_cast<int>(random_() % n); }
  DType any_dtype() {
    // Those that training is made of twice as often.
    constexpr DType kUsual[] = {DType::float32, DType::float32, DType::bfloat16, DType::float16,
                                DType::float64};
    return below(2) == 0 ? kUsual[below(std::size(kUsual))] : static_cast<DType>(below(kDTypeCount));
  }

  void add_input() {
    const Shape shape = made_.group.shape;
    const DType dtype = any_dtype();
    const uint64_t seed = random_();
    const auto add = [&](const Shape& memory, std::function<Tensor(const Tensor&)> view) {
      made_.add_input({copy(numbers(memory, dtype, seed)), std::move(view)});
    };
    const int axes = shape.size();
    const auto broadcast = [shape](const Tensor& x) { return broadcast_to(x, shape); };
    Shape some = shape;
    switch (below(7)) {
      case 0: return made_.add_number(copy(numbers({}, dtype, seed)));
      case 1:  // some axes repeated
        for (int i = 0; i < axes; ++i) some[i] = below(2) == 0 ? 1 : shape[i];
        return add(some, broadcast);
      case 2: {  // the axes the other way round
        Axes reversed;
        for (int i = 0; i < axes; ++i) some[i] = shape[axes - 1 - i], reversed.push_back(axes - 1 - i);
        return add(some, [reversed](const Tensor& x) { return permute_dims(x, reversed); });
      }
      case 3: {  // every second, from the second on
        Dims starts, steps;
        for (int i = 0; i < axes; ++i) some[i] = 2 * shape[i] + 1, starts.push_back(1), steps.push_back(2);
        return add(some, [=](const Tensor& x) { return slice(x, starts, shape, steps); });
      }
      case 4:  // not aligned
        return add({num_elements(shape) + 1},
                   [shape](const Tensor& x) { return reshape(slice_axis(x, 0, 1, std::nullopt), shape); });
      default: return add(shape, [](const Tensor& x) { return x; });
    }
  }

  // A value of a dtype, converted from any where there is none.
  int value_of(DType dtype) {
    std::vector<int> found;
    for (int v = 0; v < made_.value_count(); ++v) {
      if (made_.dtype_of(v) == dtype) found.push_back(v);
    }
    if (!found.empty()) return found[below(found.size())];
    return made_.add_step(primitives::astype, {below(made_.value_count())}, dtype);
  }

  void add_step() {
    const auto& table = elementwise_table();
    const ElementwiseRow& row = table[below(table.size())];
    DType dtype = made_.dtype_of(below(made_.value_count()));
    while (!holds(row.types, dtype)) dtype = static_cast<DType>(below(kDTypeCount));
    std::vector<int> from;
    for (int i = 0; i < row.arity; ++i)
      from.push_back(value_of(row.types == Types::choice && i == 0 ? DType::bool_ : dtype));
    Attrs attrs = row.attrs;
    if (!row.parameters.empty()) attrs = ParameterAttrs{row.parameters, {0.25 * below(9), 0.125 * below(9)}};
    made_.add_row(row, from, attrs);
  }

  std::mt19937_64 random_;
  GroupCase made_;
};

}  // namespace tidu::cuda_testing
