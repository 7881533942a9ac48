// What the tests of groups share: groups with tensors for their inputs, some made at random of any rows of
// the table, dtypes and layouts; and how they are run, as kernels and call by call.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "backend/backend.h"
#include "core/bind.h"
#include "ops/convert.h"
#include "testing.h"

namespace tidu::cuda_testing {

// Compiled code is kept for the test alone.
class GroupTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("TIDU_CACHE_DIR", folder().c_str(), 1); }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder()); }
  static const std::filesystem::path& folder() {
    static const auto folder =
        std::filesystem::temp_directory_path() / ("tidu_group_test_" + std::to_string(getpid()));
    return folder;
  }
};

// Groups know no complex numbers.
inline constexpr int kRealDTypes = static_cast<int>(DType::complex64);
inline bool holds(Types types, DType dtype) {
  const Kind kind = kind_of(dtype);
  switch (types) {
    case Types::floating: return is_floating(dtype);
    case Types::numeric: return kind != Kind::boolean;
    case Types::any: return true;
    case Types::integral: return !is_floating(dtype);
    case Types::boolean: return kind == Kind::boolean;
    case Types::choice: return true;
    default: return false;
  }
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
    return below(2) == 0 ? kUsual[below(std::size(kUsual))] : static_cast<DType>(below(kRealDTypes));
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
    if (row.types == Types::complex) return;
    DType dtype = made_.dtype_of(below(made_.value_count()));
    while (!holds(row.types, dtype)) dtype = static_cast<DType>(below(kRealDTypes));
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

inline std::unique_ptr<GroupKernel> prepared(const Group& group) { return backend(kCuda).prepare(group); }

inline Tensors on_device(const GroupCase& c, Device device = kCuda) {
  Tensors inputs;
  for (const auto& [memory, view] : c.inputs) inputs.push_back(view(to(memory, device)));
  return inputs;
}

// The outputs by one call after another.
inline Tensors by_calls(const GroupCase& c, const Tensors& inputs) {
  Tensors values = inputs;
  for (const Group::Step& step : c.group.steps) {
    Tensors from;
    for (const int value : step.inputs) from.push_back(values[value]);
    Tensor result;
    if (step.primitive == &primitives::astype) {
      result = astype(from[0], step.dtype);
    } else {
      bind(*step.primitive, from, step.attrs, {&result, 1});
    }
    values.push_back(result);
  }
  Tensors outputs;
  for (const Group::Output& output : c.group.outputs) outputs.push_back(values[output.value]);
  return outputs;
}

inline Tensors by_kernel(const GroupCase& c, const GroupKernel& kernel, const Tensors& inputs,
                         Device device = kCuda) {
  std::vector<const void*> from;
  for (size_t k = 0; k < inputs.size(); ++k)
    from.push_back(c.group.inputs[k].number ? nullptr : inputs[k].raw_data());
  Tensors outputs;
  std::vector<void*> at;
  for (const Group::Output& output : c.group.outputs) {
    outputs.push_back(Tensor::empty(c.group.shape, output.dtype, device));
    at.push_back(outputs.back().raw_data());
  }
  const Tensor workspace =
      Tensor::empty({static_cast<int64_t>(kernel.workspace_bytes())}, DType::uint8, device);
  kernel.run(from.data(), at.data(), workspace.raw_data());
  return outputs;
}

// The same bits, but for what a NaN carries.
inline void expect_same(const Tensor& got, const Tensor& want, const std::string& what) {
  ASSERT_EQ(got.dtype(), want.dtype()) << what;
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const std::string have = bytes(got), wanted = bytes(want);
  if (have == wanted) return;
  const std::vector<double> a = values(got), b = values(want);
  const size_t size = size_of(got.dtype());
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    ASSERT_EQ(have.substr(i * size, size), wanted.substr(i * size, size))
        << what << ", element " << i << ": " << a[i] << " instead of " << b[i];
  }
}

// multiply, add, tanh of float32 inputs.
inline GroupCase chain(const Shape& shape, std::vector<GroupCase::Input> inputs) {
  GroupCase c;
  c.group.shape = shape;
  for (auto& input : inputs) c.add_input(std::move(input));
  const int product = c.add_step(primitives::multiply, {0, 1}, DType::float32);
  const int sum = c.add_step(primitives::add, {product, 0}, DType::float32);
  c.add_output(c.add_step(primitives::tanh, {sum}, DType::float32));
  return c;
}
inline GroupCase::Input whole(const Shape& shape, uint64_t seed) {
  return {copy(numbers(shape, DType::float32, seed)), [](const Tensor& x) { return x; }};
}

}  // namespace tidu::cuda_testing
