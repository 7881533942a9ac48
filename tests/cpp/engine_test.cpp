// What the engine promises of primitives and traces beside the numbers: who is called, when, and what is
// kept.
#include <cmath>
#include <map>
#include <set>

#include "autodiff/tape.h"
#include "backend/backend.h"
#include "core/bind.h"
#include "finite_difference.h"
#include "ops/assign.h"
#include "ops/attention.h"
#include "ops/update.h"
#include "program/recorder.h"

namespace tidu {
namespace {

using testing::check_derivatives;
using testing::expect_close;
using testing::random_point;

// Counts the calls that are shown to it.
class Counter : public Trace {
 public:
  void record(const Call& call, bool) override { ++calls[call.primitive.name]; }
  void record_custom(CustomCall&, bool) override { ++calls["custom"]; }
  bool differentiates() const override { return false; }
  std::map<std::string, int> calls;
};

// The calls of f's pullback where only the inputs of `wanted` are differentiated.
std::map<std::string, int> calls_of_pullback(const Function& f, const Tensors& inputs, Reads wanted) {
  Tensors primals;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (wanted & input_bit(i)) primals.push_back(inputs[i]);
  }
  const Vjp at = vjp(
      [&](const Tensors& given) {
        Tensors all = inputs;
        for (size_t i = 0, next = 0; i < all.size(); ++i) {
          if (wanted & input_bit(i)) all[i] = given[next++];
        }
        return f(all);
      },
      primals);
  Counter counter;
  const LiveTrace live(counter);
  at.pullback({ones_like(at.outputs[0])});
  return counter.calls;
}

// Names the calls whose results nobody has used once all is over: no later call, nor who holds them still.
class Unused : public Trace {
 public:
  void record(const Call& call, bool) override {
    const auto is_abstract = [](const Tensor& x) { return x.is_abstract(); };
    const bool computes = !call.primitive.view && !std::ranges::any_of(call.outputs, is_abstract);
    calls_.push_back({call.primitive.name,
                      computes,
                      {call.inputs.begin(), call.inputs.end()},
                      {call.outputs.begin(), call.outputs.end()}});
  }
  void record_custom(CustomCall&, bool) override {}
  bool differentiates() const override { return false; }

  std::vector<std::string> names() const {
    std::map<const Storage*, int64_t> held_here;
    std::map<const TensorImpl*, int64_t> handles;
    for (const Seen& call : calls_) {
      for (const Tensors* tensors : {&call.inputs, &call.outputs}) {
        for (const Tensor& x : *tensors) ++handles[&x.impl()];
      }
    }
    for (const auto& [impl, count] : handles) ++held_here[impl->storage.get()];
    std::set<const Storage*> used;
    std::vector<std::string> result;
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
      const bool is_used = std::ranges::any_of(call->outputs, [&](const Tensor& x) {
        const Storage* const memory = x.impl().storage.get();
        return !memory || used.contains(memory) || x.ref()->use_count() > handles.at(&x.impl()) ||
               memory->use_count() > held_here.at(memory);
      });
      if (!is_used && call->computes) result.push_back(call->name);
      if (!is_used && call->computes) continue;
      for (const Tensor& x : call->inputs) used.insert(x.impl().storage.get());
    }
    return result;
  }

 private:
  struct Seen {
    std::string name;
    bool computes;
    Tensors inputs, outputs;
  };
  std::vector<Seen> calls_;
};

int total(const std::map<std::string, int>& calls) {
  int sum = 0;
  for (const auto& [name, count] : calls) sum += count;
  return sum;
}

TEST(Rules, OnlyWantedCotangentsAreComputed) {
  const Tensor a = random_point(1, {3, 4}), b = random_point(2, {4, 5}), c = random_point(3, {5});
  const Function product = [](const Tensors& in) { return Tensors{matmul(in[0], in[1])}; };
  EXPECT_EQ(calls_of_pullback(product, {a, b}, kInput0)["matmul"], 1);
  EXPECT_EQ(calls_of_pullback(product, {a, b}, kInput1)["matmul"], 1);
  EXPECT_EQ(calls_of_pullback(product, {a, b}, kInput0 | kInput1)["matmul"], 2);
  const Function layer = [](const Tensors& in) { return Tensors{linear(in[0], in[1], in[2])}; };
  EXPECT_EQ(calls_of_pullback(layer, {a, matrix_transpose(b), c}, kInput2)["matmul"], 0);

  const Tensor labels = tensor<int64_t>({0, 3, 1});
  const Function loss_gradient = [&](const Tensors& in) {
    Tensor result;
    const Tensor inputs[] = {in[0], labels, in[1]};
    bind(primitives::softmax_cross_entropy_grad, inputs, CrossEntropyAttrs{}, {&result, 1});
    return Tensors{result};
  };
  const Tensor indices = tensor<int64_t>({2, 0, 2});
  const auto scattered = [&](Tensor (*f)(const Tensor&, const Tensor&, const Tensor&, int64_t)) -> Function {
    return [=](const Tensors& in) { return Tensors{f(in[0], indices, in[1], 0)}; };
  };
  const Tensor g = random_point(4, {3}), rows = random_point(5, {3, 4});
  const std::vector<std::tuple<const char*, Function, Tensors>> calls = {
      {"multiply", [](const Tensors& in) { return Tensors{in[0] * in[1]}; }, {a, rows}},
      {"divide", [](const Tensors& in) { return Tensors{in[0] / in[1]}; }, {a, rows}},
      {"pow", [](const Tensors& in) { return Tensors{pow(abs(in[0]), in[1])}; }, {a, rows}},
      {"concat", [](const Tensors& in) { return Tensors{concat(in, 0)}; }, {a, rows}},
      {"slice_update",
       [](const Tensors& in) {
         return Tensors{slice_update(in[0], in[1], {1, 1}, {1, 2})};
       },
       {a, random_point(6, {2, 2})}},
      {"softmax_cross_entropy_grad", loss_gradient, {a, g}},
      {"scatter_multiply", scattered(scatter_multiply), {a, rows}},
      {"scatter_min", scattered(scatter_min), {a, rows}},
      {"scatter_add", scattered(scatter_add), {a, rows}},
  };
  for (const auto& [name, f, inputs] : calls) {
    const int first = total(calls_of_pullback(f, inputs, kInput0)),
              second = total(calls_of_pullback(f, inputs, kInput1)),
              both = total(calls_of_pullback(f, inputs, kInput0 | kInput1));
    EXPECT_LE(std::max(first, second), both) << name;
    EXPECT_LE(first + second, both + std::min(first, second)) << name;  // nothing of the other one alone
    EXPECT_LT(std::min(first, second), both) << name;
  }
}

TEST(Rules, NothingIsComputedThatNobodyUses) {
  const Tensor a = random_point(1, {3, 4}), b = random_point(2, {3, 4}), w = random_point(3, {4}),
               indices = tensor<int64_t>({2, 0, 2});
  const Tensor images = random_point(4, {2, 4, 3}), q = random_point(5, {2, 3, 4}),
               mask = random_point(6, {2, 3, 3});
  const std::vector<std::tuple<const char*, Function, Tensors>> functions = {
      {"matmul",
       [](const Tensors& in) { return Tensors{linear(in[0], in[1], in[2])}; },
       {a, random_point(7, {5, 4}), random_point(8, {5})}},
      {"scatter_max",
       [&](const Tensors& in) { return Tensors{scatter_max(in[0], indices, in[1], 0)}; },
       {a, b}},
      {"scatter_multiply",
       [&](const Tensors& in) { return Tensors{scatter_multiply(in[0], indices, in[1], 0)}; },
       {a, b}},
      {"prod", [](const Tensors& in) { return Tensors{prod(in[0], Axes{1})}; }, {a}},
      {"cumulative_prod", [](const Tensors& in) { return Tensors{cumulative_prod(in[0], 1)}; }, {a}},
      {"layer_norm",
       [](const Tensors& in) { return Tensors{layer_norm(in[0], {4}, in[1], in[2], 1e-5)}; },
       {a, w, random_point(9, {4})}},
      {"batch_norm",
       [](const Tensors& in) { return Tensors{batch_norm(in[0], in[1], in[2]).y}; },
       {images, w, random_point(9, {4})}},
      {"attention",
       [](const Tensors& in) {
         return Tensors{scaled_dot_product_attention(in[0], in[1], in[2], in[3], false, {})};
       },
       {q, random_point(10, {2, 3, 4}), random_point(11, {2, 3, 4}), mask}},
  };
  for (const auto& [name, f, inputs] : functions) {
    for (Reads wanted = 1; wanted < (1u << inputs.size()); ++wanted) {
      Tensors primals;
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (wanted & input_bit(i)) primals.push_back(inputs[i]);
      }
      const Function of_wanted = [&](const Tensors& given) {
        Tensors all = inputs;
        for (size_t i = 0, next = 0; i < all.size(); ++i) {
          if (wanted & input_bit(i)) all[i] = given[next++];
        }
        return f(all);
      };
      const Vjp at = vjp(of_wanted, primals);
      const Tensor g = random_point(12, at.outputs[0].shape());
      Unused in_reverse, in_forward;
      Tensors found;
      {
        const LiveTrace live(in_reverse);
        found = at.pullback({g});
      }
      EXPECT_EQ(in_reverse.names(), std::vector<std::string>()) << name << " by " << wanted;
      if (std::string(name) == "attention" || std::string(name) == "batch_norm") continue;  // other outputs
      Jvp moved;
      {
        const LiveTrace live(in_forward);
        moved = jvp(of_wanted, primals, primals);
      }
      EXPECT_EQ(in_forward.names(), std::vector<std::string>()) << name << " along " << wanted;
    }
  }
}

TEST(Rules, OpaqueRaisesAndSaysWhy) {
  static Primitive opaque(
      "test_opaque",
      {.batching = batch_by_fields,
       .attrs = kNoAttrs,
       .infer = [](const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; },
       .derivative = Opaque{"nobody has written its rule"}});
  set_kernel(opaque, DeviceType::cpu,
             [](const Call& call) { backend({}).copy(call.inputs[0], call.outputs[0]); });
  const Function f = [](const Tensors& in) { return Tensors{bind(opaque, {in[0]})}; };
  const Tensor x = random_point(1, {3});
  expect_close(f({x})[0], x);
  for (const bool forward : {false, true}) {
    try {
      forward ? (void)jvp(f, {x}, {x}) : (void)vjp(f, {x}).pullback({x});
      FAIL() << "must raise";
    } catch (const GradientError& error) {
      EXPECT_NE(std::string(error.what()).find("nobody has written its rule"), std::string::npos);
    }
  }
}

TEST(Rules, ACustomRuleWithoutVjpIsTransposed) {
  // a * sin(b), of which only the jvp is given.
  static Primitive half(
      "test_half",
      {.batching = batch_by_fields,
       .attrs = kNoAttrs,
       .infer = [](const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; },
       .derivative = Custom{.reads = [](Reads) -> Reads { return kInput0 | kInput1; },
                            .jvp = [](const Call& call, Tangents t) -> Tensors {
                              const Tensor &a = call.inputs[0], &b = call.inputs[1];
                              Tensor sum;
                              if (t[0].defined()) sum = sin(b) * t[0];
                              if (t[1].defined()) {
                                const Tensor part = a * cos(b) * t[1];
                                sum = sum.defined() ? sum + part : part;
                              }
                              return {sum};
                            }}});
  set_kernel(half, DeviceType::cpu, [](const Call& call) {
    const VisibleTraces none(nullptr);
    backend({}).copy(contiguous(call.inputs[0] * sin(call.inputs[1])), call.outputs[0]);
  });
  const Tensor a = random_point(1, {3}), b = random_point(2, {3});
  check_derivatives([&](const Tensor& x) { return bind(half, {x, b}); }, a);
  check_derivatives([&](const Tensor& x) { return bind(half, {a, x}); }, b);
  check_derivatives([&](const Tensor& x) { return bind(half, {x, x}); }, b);
}

TEST(Calls, WriteOverAnOperandThatNobodyElseHas) {
  const Tensor x = random_point(1, {3}), y = random_point(2, {3});
  const Tensor expected = x + y;
  const auto is_written_over = [&](Tensor first, const Tensor& second) {
    const void* const memory = first.raw_data();
    const Tensor result = bind_over(primitives::add, std::move(first), second);
    expect_close(result, expected, 0);
    return result.raw_data() == memory;
  };
  EXPECT_TRUE(is_written_over(copy(x), y));
  EXPECT_FALSE(is_written_over(x, y));  // is held here
  const Tensor whole = copy(x);
  EXPECT_FALSE(is_written_over(whole.view({3}, {1}, 0), y));  // a view
  expect_close(whole, x, 0);
  EXPECT_FALSE(is_written_over(stack({x, x}, 1).view({3}, {2}, 0), y));  // has gaps
  double values[3];
  std::copy_n(x.data<double>(), 3, values);
  EXPECT_FALSE(is_written_over(Tensor::from_memory(values, {3}, {1}, DType::float64, {}), y));
  grad([&](const Tensor& z) {
    EXPECT_FALSE(is_written_over(x + 0 * z, y));  // is tracked
    return sum(z);
  })(x);
}

TEST(Rules, AJvpThatCallsItsOwnPrimitiveIsNotTransposed) {
  static Primitive twice(
      "test_twice",
      {.batching = batch_by_fields,
       .attrs = kNoAttrs,
       .infer = [](const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; },
       .derivative = Custom{.reads = [](Reads) -> Reads { return 0; },
                            .jvp = [](const Call&, Tangents t) -> Tensors { return {bind(twice, {t[0]})}; },
                            .linear = kInput0}});
  set_kernel(twice, DeviceType::cpu, [](const Call& call) {
    const VisibleTraces none(nullptr);
    backend({}).copy(contiguous(2 * call.inputs[0]), call.outputs[0]);
  });
  const Tensor x = random_point(1, {3});
  const Function f = [](const Tensors& in) { return Tensors{bind(twice, {in[0]})}; };
  expect_close(jvp(f, {x}, {x}).tangents[0], 2 * x, 0);
  for (int i = 0; i < 2; ++i) {  // the second time, too
    try {
      vjp(f, {x}).pullback({x});
      FAIL();
    } catch (const GradientError& error) {
      EXPECT_NE(std::string(error.what()).find("calls 'test_twice' itself"), std::string::npos)
          << error.what();
    }
  }
}

TEST(Attributes, AreCheckedComparedAndHashed) {
  const Attrs a = SliceAttrs{Dims{1}, Dims{2}, Dims{1}}, b = SliceAttrs{Dims{1}, Dims{2}, Dims{1}},
              c = SliceAttrs{Dims{1}, Dims{2}, Dims{-1}}, other = AxisAttrs{1}, none;
  EXPECT_TRUE(a == b);
  EXPECT_EQ(a.hash(), b.hash());
  EXPECT_FALSE(a == c);
  EXPECT_NE(a.hash(), c.hash());
  EXPECT_FALSE(a == other);
  EXPECT_FALSE(a == none);
  EXPECT_TRUE(none == Attrs());
  EXPECT_EQ(a.to_string(), "starts=(1,), sizes=(2,), steps=(1,)");
  EXPECT_THROW(a.as<AxisAttrs>(), std::logic_error);
  EXPECT_THROW(none.as<AxisAttrs>(), std::logic_error);
  // 0.0 and -0.0 are two values, NaN is one.
  SgdAttrs zero{}, minus{}, nan{};
  minus.lr = -0.0;
  nan.lr = std::nan("");
  EXPECT_FALSE(Attrs(zero) == Attrs(minus));
  EXPECT_TRUE(Attrs(nan) == Attrs(nan));
}

TEST(Attributes, ProgramsAreValues) {
  const Tensor x = random_point(1, {3});
  const auto shared = [&](const Function& f) {
    return ProgramField{std::make_shared<const Program>(record(f, Tensors{x}))};
  };
  const ProgramField a = shared([](const Tensors&in) { return Tensors{sin(in[0])}; }),
                     b = shared([](const Tensors&in) { return Tensors{sin(in[0])}; }),
                     c = shared([](const Tensors&in) { return Tensors{cos(in[0])}; });
  EXPECT_TRUE(a == b);
  EXPECT_EQ(hash_value(a), hash_value(b));
  EXPECT_FALSE(a == c);
}

TEST(Specs, PrimitivesAreInferredWithoutTensors) {
  const std::vector<Spec> inputs = {{{2, 3}, DType::float32, {}}, {{3, 4}, DType::float32, {}}};
  Spec output;
  primitives::matmul.infer({primitives::matmul, inputs, Attrs()}, {&output, 1});
  EXPECT_TRUE(output == (Spec{{2, 4}, DType::float32, {}}));
  const Attrs attrs = PermuteAttrs{Dims{1, 0}};
  primitives::permute_dims.infer({primitives::permute_dims, std::span(inputs).first(1), attrs}, {&output, 1});
  EXPECT_TRUE(output == (Spec{{3, 2}, DType::float32, {}}));
}

TEST(Linearity, FollowsFromTheForm) {
  const auto linear = [](const Primitive& primitive, Reads moving, Reads zero, int inputs) {
    Reads absent = kAllInputs;
    for (int i = 0; i < inputs; ++i) absent &= ~input_bit(static_cast<size_t>(i));
    return is_linear(primitive, moving, zero | absent);
  };
  EXPECT_TRUE(linear(primitives::add, kInput0 | kInput1, 0, 2));
  EXPECT_FALSE(linear(primitives::add, kInput0, 0, 2));  // affine
  EXPECT_TRUE(linear(primitives::add, kInput0, kInput1, 2));
  EXPECT_TRUE(linear(primitives::multiply, kInput0, 0, 2));
  EXPECT_FALSE(linear(primitives::multiply, kInput0 | kInput1, 0, 2));
  EXPECT_TRUE(linear(primitives::divide, kInput0, 0, 2));
  EXPECT_FALSE(linear(primitives::divide, kInput1, 0, 2));
  EXPECT_TRUE(linear(primitives::where, kInput1, kInput2, 3));
  EXPECT_FALSE(linear(primitives::where, kInput1, 0, 3));
  EXPECT_FALSE(linear(primitives::where, kInput0, kInput1 | kInput2, 3));
  EXPECT_FALSE(linear(primitives::maximum, kInput0, kInput1, 2));
  EXPECT_FALSE(linear(primitives::remainder, kInput0, kInput1, 2));
  EXPECT_FALSE(linear(primitives::relu, kInput0, 0, 1));
  EXPECT_FALSE(linear(primitives::floor, kInput0, 0, 1));
  EXPECT_TRUE(linear(primitives::sum, kInput0, 0, 1));
  EXPECT_TRUE(linear(primitives::matmul, kInput1, 0, 2));
  EXPECT_FALSE(linear(primitives::matmul, kInput1, 0, 3));  // with a bias
  EXPECT_TRUE(linear(primitives::softmax_cross_entropy_grad, kInput2, 0, 3));
}

TEST(Backward, GradientsOfLeavesAreReportedAsSoonAsTheyAreComplete) {
  constexpr int kLayers = 100;
  constexpr int64_t kWidth = 64, kBytes = kWidth * kWidth * 8;
  Tensors weights;
  for (int i = 0; i < kLayers; ++i) {
    weights.push_back(random_point(static_cast<uint64_t>(i), {kWidth, kWidth}));
    weights.back().set_requires_grad();
  }
  const Tensor x = random_point(1000, {1, kWidth});
  Tensor y = x;
  for (const Tensor& weight : weights) y = tanh(matmul(y, weight));
  const Tensor loss = sum(y);
  const Link* link = loss.impl().link(Tape::ambient().id());
  const Allocator& allocator = backend({}).allocator(0);
  const int64_t before = allocator.stats().live_bytes;
  int64_t most = 0;
  std::vector<const Node*> order;
  const VisibleTraces none(nullptr);
  pull_back({{Ref<Node>(static_cast<Node*>(link->value.get())), link->index, ones_like(loss)}}, false,
            [&](const Ref<Node>& leaf, Tensor gradient) {
              order.push_back(leaf.get());
              most = std::max(most, allocator.stats().live_bytes - before);
              const size_t layer = kLayers - order.size();
              const Tensor& weight = weights[layer];
              ASSERT_EQ(weight.impl().link(Tape::ambient().id())->value.get(), leaf.get());
              apply_update(primitives::sgd_update, {recorded_twin(weight)}, {gradient},
                           SgdAttrs{1, 0.1, 0, 0, false, true});
            });
  EXPECT_EQ(order.size(), static_cast<size_t>(kLayers));
  EXPECT_LE(most, 2 * kBytes);
}

TEST(Backward, ALeafOfSeveralConsumersIsReportedOnce) {
  Tensor x = random_point(1, {3}), y = random_point(2, {3});
  x.set_requires_grad();
  y.set_requires_grad();
  const Tensor z = sum(x * x * y + floor(x) * x + x);  // one way back gives nothing
  const Link* link = z.impl().link(Tape::ambient().id());
  std::map<const RefCounted*, Tensor> gradients;
  const VisibleTraces none(nullptr);
  pull_back({{Ref<Node>(static_cast<Node*>(link->value.get())), link->index, ones_like(z)}}, false,
            [&](const Ref<Node>& leaf, Tensor gradient) {
              EXPECT_TRUE(gradients.emplace(leaf.get(), gradient).second);
            });
  expect_close(gradients.at(x.impl().link(Tape::ambient().id())->value.get()), 2 * x * y + floor(x) + 1);
  expect_close(gradients.at(y.impl().link(Tape::ambient().id())->value.get()), x * x);
}

}  // namespace
}  // namespace tidu
