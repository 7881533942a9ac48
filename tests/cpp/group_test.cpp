// Groups of pointwise calls against the same calls one by one, bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>

#include "backend/backend.h"
#include "backend/cpu/threads.h"
#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

constexpr int kRealDTypes = static_cast<int>(DType::complex64);  // groups know no others

struct Threads {
  explicit Threads(int count) : before(cpu::num_threads()) { cpu::set_num_threads(count); }
  ~Threads() { cpu::set_num_threads(before); }
  int before;
};

// A group, what it is run on, and what the calls one by one give.
struct Case {
  Group group;
  std::vector<Tensor> values;  // of all inputs and steps; inputs broadcast to the loop's shape

  int input(const Tensor& x) {
    values.push_back(x);
    group.inputs.push_back({x.dtype(), x.strides()});
    return static_cast<int>(values.size()) - 1;
  }
  int number(const Tensor& x) {
    values.push_back(x.view(group.shape, Strides(group.shape.size(), 0), x.impl().offset));
    Group::Input input{x.dtype(), {}, std::array<char, 8>{}};
    std::memcpy(input.number->data(), x.raw_data(), x.nbytes());
    group.inputs.push_back(input);
    return static_cast<int>(values.size()) - 1;
  }
  int step(const Primitive& primitive, const std::vector<int>& inputs, const Attrs& attrs = {}) {
    Tensors given;
    for (const int x : inputs) given.push_back(values[static_cast<size_t>(x)]);
    Tensor result;
    bind(primitive, given, attrs, {&result, 1});
    values.push_back(result);
    group.steps.push_back({&primitive, attrs, result.dtype(), inputs});
    return static_cast<int>(values.size()) - 1;
  }
  int cast(int x, DType dtype) { return step(primitives::astype, {x}, DTypeAttrs{dtype}); }
  void output(int value, const Primitive* reduction = nullptr, const Attrs& attrs = {}) {
    group.outputs.push_back({value, reduction, attrs, values[static_cast<size_t>(value)].dtype()});
    const Tensor expected = this->expected(group.outputs.back());
    group.outputs.back().dtype = expected.dtype();
  }
  Tensor expected(const Group::Output& output) const {
    const Tensor& value = values[static_cast<size_t>(output.value)];
    if (!output.reduction) return contiguous(value);
    Tensor result;
    bind(*output.reduction, {&value, 1}, output.attrs, {&result, 1});
    return result;
  }
};

template <class T> bool same(T a, T b) {
  if constexpr (is_half<T>) {
    return a.bits == b.bits || (std::isnan(static_cast<float>(a)) && std::isnan(static_cast<float>(b)));
  } else if constexpr (std::is_floating_point_v<T>) {
    // Which of two NaN an addition gives is the compiler's choice.
    return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
  } else {
    return a == b;
  }
}

void expect_same(const Tensor& got, const Tensor& want, const std::string& what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  ASSERT_EQ(got.dtype(), want.dtype()) << what;
  visit_dtype(got.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < got.numel(); ++i) {
      const T a = got.data<T>()[i], b = want.data<T>()[i];
      ASSERT_TRUE(same(a, b)) << what << " at " << i << ": " << static_cast<double>(a) << " for "
                              << static_cast<double>(b);
    }
  });
}

// Runs the kernel; output k is written to the memory of input `in_place[k]` where that is one and may be.
void expect_eager(const Case& c, const std::vector<int>& in_place = {}) {
  const std::unique_ptr<GroupKernel> kernel = backend(Device{}).prepare(c.group);
  ASSERT_TRUE(kernel);
  std::vector<Tensor> expected;
  for (const Group::Output& output : c.group.outputs) expected.push_back(c.expected(output));
  for (const int threads : {1, 2, 3}) {
    const Threads scope(threads);
    std::vector<Tensor> fresh;
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    for (size_t k = 0; k < c.group.inputs.size(); ++k)
      inputs.push_back(c.group.inputs[k].number ? nullptr : c.values[k].raw_data());
    for (size_t k = 0; k < expected.size(); ++k) {
      const int input = k < in_place.size() ? in_place[k] : -1;
      if (input >= 0 && kernel->may_be(k, static_cast<size_t>(input))) {
        fresh.push_back(copy(c.values[static_cast<size_t>(input)]));
        inputs[static_cast<size_t>(input)] = fresh.back().raw_data();
      } else {
        fresh.push_back(Tensor::empty(expected[k].shape(), expected[k].dtype()));
        if (fresh.back().numel() > 0) std::memset(fresh.back().raw_data(), 0x5a, fresh.back().nbytes());
      }
      outputs.push_back(fresh.back().raw_data());
    }
    constexpr uint8_t kUntouched = 0xa5;
    const auto bytes = static_cast<int64_t>(kernel->workspace_bytes());
    const Tensor workspace = full({bytes + 4096}, kUntouched, DType::uint8);
    kernel->run(inputs.data(), outputs.data(), workspace.raw_data());
    const uint8_t* const memory = workspace.data<uint8_t>();
    EXPECT_EQ(std::count(memory + bytes, memory + workspace.numel(), kUntouched), 4096);
    for (size_t k = 0; k < expected.size(); ++k)
      expect_same(fresh[k], expected[k], str("output ", k, " in ", threads, " threads"));
  }
}

// --- Random groups

class Maker {
 public:
  enum Sizes { small, large, beside_blocks };
  Maker(uint64_t seed, Sizes sizes) : random_(seed) {
    c_.group.shape = sizes == small ? small_shape() : sizes == large ? large_shape() : shape_beside_blocks();
  }

  Case make() {
    const int inputs = 1 + pick(6), steps = 1 + pick(24);
    for (int i = 0; i < inputs; ++i) add_input();
    while (static_cast<int>(c_.group.steps.size()) < steps) add_step();
    const int outputs = 1 + pick(4);
    for (int i = 0; i < outputs; ++i) add_output(i == 0);
    return std::move(c_);
  }
  // For each output an input of its dtype whose memory it may take, or -1.
  std::vector<int> in_place(const Case& c) {
    std::vector<int> result;
    for (const Group::Output& output : c.group.outputs) {
      result.push_back(-1);
      for (size_t k = 0; k < c.group.inputs.size() && !output.reduction && result.back() < 0; ++k) {
        const bool taken = std::ranges::find(result, static_cast<int>(k)) != result.end();
        if (!taken && !c.group.inputs[k].number && c.group.inputs[k].dtype == output.dtype &&
            c.values[k].is_contiguous())
          result.back() = static_cast<int>(k);
      }
    }
    return result;
  }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<uint64_t>(below)); }
  bool chance(int percent) { return pick(100) < percent; }

  Shape small_shape() {
    Shape shape;
    const int rank = pick(5);
    constexpr int64_t extents[] = {0, 1, 2, 3, 5, 8, 13, 17};
    for (int i = 0; i < rank; ++i) shape.push_back(extents[chance(3) ? 0 : 1 + pick(7)]);
    return shape;
  }
  Shape large_shape() {
    const Shape shapes[] = {{40001},     {1, 16384},   {130, 300},     {300, 130},    {7, 6000},
                            {2, 9001},   {5000, 3},    {64, 513},      {65, 1100},    {20, 2100},
                            {9, 50, 40}, {33, 1, 600}, {3, 200, 7, 9}, {2, 130, 1500}};
    return shapes[pick(static_cast<int>(std::size(shapes)))];
  }

  // One less, as many and one more than there are in tiles, squares, blocks, chunks and tasks.
  Shape shape_beside_blocks() {
    constexpr int64_t few[] = {1, 2, 3, 5}, blocks[] = {32, 64, 128, 1024, 4096, 16384};
    while (true) {
      Shape shape;
      const int rank = 1 + pick(3);
      for (int i = 0; i < rank; ++i)
        shape.push_back(chance(40) ? few[pick(std::size(few))]
                                   : blocks[pick(std::size(blocks))] + pick(3) - 1);
      const int64_t n = num_elements(shape);
      if (n > 100 && n < 40000) return shape;
    }
  }

  Tensor data(const Shape& shape, DType dtype) {
    const Tensor result = Tensor::empty(shape, dtype);
    std::normal_distribution<double> normal(0, 2);
    visit_dtype(dtype, [&]<class T>() {
      for (int64_t i = 0; i < result.numel(); ++i) {
        if constexpr (std::is_integral_v<T>) {
          result.data<T>()[i] = static_cast<T>(chance(5) ? random_() : random_() % 7);
        } else {
          constexpr double special[] = {0., -0., 1., -1., 1e30, -1e-30, 7000., INFINITY, -INFINITY, NAN};
          result.data<T>()[i] = static_cast<T>(static_cast<std::conditional_t<is_half<T>, float, T>>(
              chance(5) ? special[pick(std::size(special))] : normal(random_)));
        }
      }
    });
    return result;
  }

  void add_input() {
    const DType dtype = chance(50) ? DType::float32 : static_cast<DType>(pick(kRealDTypes));
    const Shape& shape = c_.group.shape;
    const int rank = shape.size();
    if (chance(20)) {
      c_.number(data({}, dtype));
      return;
    }
    // Axes in any order, some of them broadcast, some walked backwards or in steps of two.
    Axes order = all_axes(rank);
    if (chance(30)) std::shuffle(order.begin(), order.end(), random_);
    Shape base;
    Axes back(rank, 0);
    const bool plain = chance(50);
    for (int i = 0; i < rank; ++i) back[static_cast<int>(order[i])] = i;
    for (int i = 0; i < rank; ++i) base.push_back(shape[static_cast<int>(order[i])]);
    Dims starts(rank, 0), steps(rank, 1);
    for (int i = 0; i < rank && !plain; ++i) {
      if (chance(25)) {
        base[i] = 1;
      } else if (chance(15) && base[i] > 0) {
        starts[i] = base[i] - 1;
        steps[i] = -1;
      } else if (chance(15)) {
        steps[i] = 2;
      }
    }
    Shape held = base;
    for (int i = 0; i < rank; ++i) held[i] *= std::abs(steps[i]);
    const Tensor x = slice(data(held, dtype), starts, base, steps);
    c_.input(broadcast_to(permute_dims(x, back), shape));
  }

  int any_value() { return pick(static_cast<int>(c_.values.size())); }
  DType dtype_of(int value) { return c_.values[static_cast<size_t>(value)].dtype(); }
  int value_of(DType dtype) {
    const int x = any_value();
    return dtype_of(x) == dtype ? x : c_.cast(x, dtype);
  }

  void add_step() {
    if (chance(15)) {
      const Primitive* const same_value[] = {&primitives::copy, &primitives::alias,
                                             &primitives::stop_gradient};
      if (chance(50)) {
        c_.step(*same_value[pick(3)], {any_value()});
      } else {
        c_.cast(any_value(), static_cast<DType>(pick(kRealDTypes)));
      }
      return;
    }
    const auto& table = elementwise_table();
    const ElementwiseRow& row = table[static_cast<size_t>(pick(static_cast<int>(table.size())))];
    if (row.types == Types::complex) return;
    int x = any_value();
    const DType dtype = dtype_of(x);
    switch (row.types) {
      case Types::floating:
        if (!is_floating(dtype)) x = c_.cast(x, DType::float32);
        break;
      case Types::numeric:
        if (dtype == DType::bool_) x = c_.cast(x, DType::int16);
        break;
      case Types::integral:
        if (is_floating(dtype)) x = c_.cast(x, DType::int64);
        break;
      case Types::boolean:
        if (dtype != DType::bool_) x = c_.cast(x, DType::bool_);
        break;
      default: break;
    }
    std::vector<int> inputs{x};
    if (row.arity > 1) inputs.push_back(value_of(dtype_of(x)));
    if (row.arity > 2) inputs.insert(inputs.begin(), value_of(DType::bool_));
    Attrs attrs = row.attrs;
    if (!attrs.empty()) {
      std::vector<AttrValue> parameters;
      for ([[maybe_unused]] const auto& field : attrs.fields()) parameters.emplace_back(0.25 * pick(9));
      attrs = attrs.with_values(parameters);
    }
    c_.step(*row.primitive, inputs, attrs);
  }

  void add_output(bool last) {
    const int value = last ? static_cast<int>(c_.values.size()) - 1 : any_value();
    if (chance(50)) {
      const auto& table = reduce_table();
      const ReduceRow& row = table[static_cast<size_t>(pick(static_cast<int>(table.size())))];
      const int rank = c_.group.shape.size(), begin = chance(50) ? 0 : pick(rank + 1),
                end = chance(50) ? rank : begin + pick(rank - begin + 1);
      ReduceAttrs attrs{.axes = {}, .correction = row.kind == ReduceRow::moment ? 1.0 : 0.0};
      for (int axis = begin; axis < end; ++axis) attrs.axes.push_back(axis);
      const Group::Output output{value, row.primitive, attrs, dtype_of(value)};
      const bool of_bool = row.primitive == &primitives::any || row.primitive == &primitives::all;
      const bool has_value = (row.of_nothing || num_elements(c_.group.shape) > 0) &&
                             (!of_bool || dtype_of(value) == DType::bool_);
      if (has_value && backend(Device{}).reduces(c_.group, output))
        return c_.output(value, row.primitive, attrs);
    }
    c_.output(value);
  }

  std::mt19937_64 random_;
  Case c_;
};

void expect_random(uint64_t first, uint64_t count, Maker::Sizes sizes) {
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE(str("seed ", seed));
    Maker maker(seed, sizes);
    const Case c = maker.make();
    expect_eager(c);
    expect_eager(c, maker.in_place(c));
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Group, SmallOnesGiveTheBitsOfTheirCalls) { expect_random(1, 1500, Maker::small); }
TEST(Group, LargeOnesGiveTheBitsOfTheirCalls) { expect_random(100000, 100, Maker::large); }
TEST(Group, OnesBesideBlocksGiveTheBitsOfTheirCalls) { expect_random(200000, 150, Maker::beside_blocks); }

// Two reductions of one loop, whose parts lie beside each other in a thread's memory.
TEST(Group, ReducesTwiceBesideBlocks) {
  const auto expect = [](const Shape& shape, int64_t axis) {
    SCOPED_TRACE(str(shape, " along ", axis));
    Case c;
    c.group.shape = shape;
    const int x = c.input(random_normal(random_key(1), shape)),
              row = c.input(broadcast_to(random_normal(random_key(2), {shape.back()}), shape)),
              y = c.step(primitives::multiply, {x, row}), z = c.step(primitives::tanh, {y});
    const ReduceAttrs attrs{Axes{axis}};
    c.output(y, &primitives::sum, attrs);
    c.output(z, &primitives::max, attrs);
    c.output(c.step(primitives::add, {y, z}), &primitives::mean, attrs);
    c.output(z);
    expect_eager(c);
  };
  for (const int64_t columns : {1, 2, 3, 1023, 1024, 1025, 2049}) {
    for (const int64_t n : {1, 2, 63, 64, 65, 129}) expect({n, columns}, 0);
  }
  for (const int64_t columns : {1, 2, 3}) {
    for (const int64_t n : {1023, 1025, 2048, 4095, 4096, 4097, 8193}) expect({n, columns}, 0);
    expect({3, 1025, columns}, 1);
  }
  for (const int64_t n : {1, 2, 15, 16, 17, 1365, 1366, 4095, 4096, 4097, 8193}) expect({3, n}, 1);
}

// Adam reads the parameter twice and the moments again after they have changed.
TEST(Group, UpdatesTheMemoryThatItReads) {
  for (const int64_t n : {1, 63, 700, 50000}) {
    Case c;
    c.group.shape = {n};
    const auto normal = [&](uint64_t seed) { return random_normal(random_key(seed), {n}); };
    const int p = c.input(normal(1)), g = c.input(normal(2)), m = c.input(normal(3)),
              v = c.input(square(normal(4)));
    const auto number = [&](float x) { return c.number(full({}, x, DType::float32)); };
    const auto times = [&](int a, int b) { return c.step(primitives::multiply, {a, b}); };
    const auto plus = [&](int a, int b) { return c.step(primitives::add, {a, b}); };
    const int decay = number(0.01f), b1 = number(0.9f), c1 = number(0.1f), b2 = number(0.999f),
              c2 = number(0.001f), correction = number(1.5f), epsilon = number(1e-8f), rate = number(1e-3f);
    const int decayed = plus(g, times(decay, p));
    const int m1 = plus(times(b1, m), times(c1, decayed));
    const int squared = c.step(primitives::square, {decayed});
    const int v1 = plus(times(b2, v), times(c2, squared));
    const int root = plus(c.step(primitives::sqrt, {times(v1, correction)}), epsilon);
    const int moved = c.step(primitives::divide, {times(rate, m1), root});
    const int p1 = c.step(primitives::subtract, {p, moved});
    c.output(p1), c.output(m1), c.output(v1);
    expect_eager(c, {p, m, v});
  }
}

// Conditions from registers and from memory, as each operand, of each pair of special values.
TEST(Group, ChoosesBetweenSpecialValues) {
  const std::vector<double> special{0., -0., 1., -1.5, 1e30, -1e-30, INFINITY, -INFINITY, NAN};
  const auto n = static_cast<int64_t>(special.size());
  const Primitive* const predicates[] = {&primitives::equal,   &primitives::not_equal,
                                         &primitives::less,    &primitives::less_equal,
                                         &primitives::greater, &primitives::greater_equal};
  const Primitive* const of_one[] = {&primitives::isnan, &primitives::isinf, &primitives::isfinite};
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const Primitive* const predicate : predicates) {
      for (const Primitive* const test : of_one) {
        Case c;
        c.group.shape = {n, n};
        const Tensor values = astype(tensor<double>(special, {n}), dtype);
        const int a = c.input(broadcast_to(expand_dims(values, 1), {n, n})),
                  b = c.input(broadcast_to(values, {n, n})), k = c.number(full({}, 0.5, dtype));
        const auto step = [&](const Primitive& primitive, const std::vector<int>& inputs) {
          return c.step(primitive, inputs);
        };
        const int first = step(*predicate, {a, b}), second = step(*predicate, {k, a}),
                  third = step(*predicate, {b, k}), fourth = step(*test, {a});
        const int both = step(primitives::logical_and, {first, fourth}),
                  one = step(primitives::logical_xor, {both, third}),
                  none = step(primitives::logical_not, {step(primitives::logical_or, {second, one})});
        c.output(step(primitives::where, {none, a, b}));
        c.output(step(primitives::where, {first, k, step(primitives::negative, {b})}));
        c.output(step(primitives::where, {third, step(primitives::multiply, {a, b}), k}));
        c.output(c.cast(second, dtype));
        c.output(c.cast(a, DType::bool_));
        c.output(step(primitives::where, {c.cast(step(primitives::sign, {b}), DType::bool_), k, a}));
        c.output(fourth);
        expect_eager(c);
        if (HasFailure()) return;
      }
    }
  }
}

// As each operand, beside numbers, arrays and each other, in registers and in calls.
TEST(Group, ReadsInputsOfOneElement) {
  for (const int64_t n : {1, 5, 16, 700, 40000}) {
    for (const DType dtype : {DType::float32, DType::float64}) {
      Case c;
      c.group.shape = {n, 3};
      const auto normal = [&](uint64_t seed, const Shape& shape) {
        return random_normal(random_key(seed), shape, 0, 1, dtype);
      };
      const auto one = [&](uint64_t seed) { return c.input(broadcast_to(normal(seed, {}), {n, 3})); };
      const int x = c.input(normal(1, {n, 3})), a = one(2), b = one(3), c1 = one(4), d = one(5),
                k = c.number(full({}, 0.5, dtype));
      const auto step = [&](const Primitive& primitive, const std::vector<int>& inputs) {
        return c.step(primitive, inputs);
      };
      const int y = step(primitives::subtract, {a, step(primitives::multiply, {x, a})});
      c.output(step(primitives::add, {step(primitives::multiply, {x, c1}), y}));
      c.output(step(primitives::multiply, {b, k}));
      c.output(step(primitives::add, {step(primitives::multiply, {b, b}), y}));
      c.output(step(primitives::where, {step(primitives::less, {x, c1}), c1, y}));
      c.output(step(primitives::atan2, {d, x}));
      c.output(step(primitives::sqrt, {a}));
      expect_eager(c);
      if (HasFailure()) return;
    }
  }
}

// Of more bytes than caches hold results go past them, but for those that are read again.
TEST(Group, WritesLargeResults) {
  constexpr int64_t n = 4'200'007;
  Case c;
  c.group.shape = {n};
  const int a = c.input(random_normal(random_key(1), {n})), b = c.input(random_normal(random_key(2), {n})),
            x = c.step(primitives::multiply, {a, b}), y = c.step(primitives::add, {x, b});
  c.output(x);
  c.output(c.step(primitives::subtract, {y, x}));
  expect_eager(c);
  expect_eager(c, {a, b});
}

TEST(Group, SwapsWhatItReads) {
  Case c;
  c.group.shape = {3000};
  const int a = c.input(random_normal(random_key(1), {3000})),
            b = c.input(random_normal(random_key(2), {3000}));
  c.output(c.step(primitives::copy, {b}));
  c.output(c.step(primitives::alias, {a}));
  c.output(c.step(primitives::add, {a, b}));
  expect_eager(c, {a, b, -1});
}

TEST(Group, RunsChainsOfThousandsOfSteps) {
  Case c;
  c.group.shape = {8};
  int x = c.input(random_normal(random_key(1), {8}));
  for (int i = 0; i < 3000; ++i) x = c.step(primitives::sin, {x});
  c.output(x);
  expect_eager(c);
}

TEST(Group, IsRunByTwoThreadsAtOnce) {
  Case c;
  c.group.shape = {300, 200};
  const int x = c.input(random_normal(random_key(1), {300, 200}));
  const int y = c.step(primitives::tanh, {c.step(primitives::multiply, {x, x})});
  c.output(y);
  c.output(y, &primitives::sum, ReduceAttrs{Axes{0}});
  const std::unique_ptr<GroupKernel> kernel = backend(Device{}).prepare(c.group);
  ASSERT_TRUE(kernel);
  Tensor results[2][2];
  std::vector<std::thread> threads;
  for (auto& result : results) {
    for (int k = 0; k < 2; ++k)
      result[k] = zeros(c.expected(c.group.outputs[static_cast<size_t>(k)]).shape());
    threads.emplace_back([&] {
      const void* const inputs[] = {c.values[0].raw_data()};
      void* const outputs[] = {result[0].raw_data(), result[1].raw_data()};
      const Tensor workspace = Tensor::empty({static_cast<int64_t>(kernel->workspace_bytes())}, DType::uint8);
      for (int i = 0; i < 200; ++i) kernel->run(inputs, outputs, workspace.raw_data());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) {
    for (size_t k = 0; k < 2; ++k) expect_same(result[k], c.expected(c.group.outputs[k]), str("output ", k));
  }
}

TEST(Group, RefusesWhatIsNoLoop) {
  Case c;
  c.group.shape = {2, 3, 4};
  const int x = c.input(ones({2, 3, 4})), y = c.step(primitives::exp, {x});
  const auto output = [&](int value, const Primitive& reduction, const Axes& axes) {
    return Group::Output{value, &reduction, ReduceAttrs{axes}, DType::float32};
  };
  Backend& cpu = backend(Device{});
  EXPECT_TRUE(cpu.reduces(c.group, output(y, primitives::sum, {0})));
  EXPECT_TRUE(cpu.reduces(c.group, output(y, primitives::max, {1, 2})));
  EXPECT_FALSE(cpu.reduces(c.group, output(y, primitives::sum, {1})));
  EXPECT_FALSE(cpu.reduces(c.group, output(y, primitives::argmax, {0})));
  EXPECT_FALSE(cpu.reduces(c.group, output(y, primitives::logsumexp, {0})));
  EXPECT_FALSE(cpu.reduces(c.group, output(x, primitives::sum, {0})));
  c.group.outputs.push_back(output(y, primitives::sum, {0}));
  EXPECT_TRUE(cpu.prepare(c.group));
  EXPECT_TRUE(cpu.reduces(c.group, output(y, primitives::mean, {0})));
  EXPECT_FALSE(cpu.reduces(c.group, output(y, primitives::sum, {1, 2})));
  c.group.outputs.push_back(output(y, primitives::sum, {1, 2}));
  EXPECT_FALSE(cpu.prepare(c.group));
  c.group.outputs.clear();
  c.group.steps.push_back({&primitives::sum, ReduceAttrs{Axes{0}}, DType::float32, {y}});
  EXPECT_FALSE(cpu.prepare(c.group));
}

}  // namespace
}  // namespace tidu
