// compile: what is recorded of functions, and what calls of it do.
#include "transforms/compile.h"

#include <gtest/gtest.h>

#include "nn/layers.h"
#include "optim/optimizer.h"
#include "tidu.h"

namespace tidu {
namespace {

Tensor numbers(const Shape& shape, int seed, DType dtype = DType::float32) {
  return random_normal(random_key(seed), shape, 0, 1, dtype);
}

void expect_same(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.spec(), b.spec());
  EXPECT_EQ(host_bytes(a), host_bytes(b));
}

struct Network : nn::Module {
  nn::Linear first{6, 8, random_key(1)}, second{8, 3, random_key(2)};
  Tensor forward(const Tensor& x) override { return second(sigmoid(first(x))); }
  void members(nn::MemberVisitor& visit) override {
    visit.module("first", first), visit.module("second", second);
  }
};

// The parameters after some steps.
template <class Optimizer, class Options> Tensors trained(Options options, bool compiled, bool by_backward) {
  Network network;
  Optimizer optimizer(network.parameters(), options);
  Function step = [&](const Tensors& in) {
    if (by_backward) {
      optimizer.zero_grad();
      const Tensor loss = mean(square(network(in[0]) - in[1]));
      loss.backward();
      optimizer.step();
      return Tensors{loss};
    }
    Tensors values;
    for (const Tensor& parameter : network.parameters()) values.push_back(stop_gradient(parameter));
    const auto [loss, gradients] = value_and_grad(
        [&](const Tensors& p) { return mean(square(network.forward_with(p, in[0]) - in[1])); }, values);
    optimizer.step(gradients);
    return Tensors{loss};
  };
  if (compiled) step = compile(step);
  Tensors results;
  for (int i = 0; i < 5; ++i) {
    if (i == 3) optimizer.set_lr(0.02);
    results.push_back(step({numbers({4, 6}, i), numbers({4, 3}, i + 100)})[0]);
  }
  for (const Tensor& parameter : network.parameters()) results.push_back(stop_gradient(parameter));
  return results;
}

TEST(Compile, TrainingStepsHaveTheBitsOfEagerOnes) {
  const auto check = [&]<class Optimizer>(std::type_identity<Optimizer>, auto options) {
    for (const bool by_backward : {false, true}) {
      const Tensors eager = trained<Optimizer>(options, false, by_backward);
      const Tensors compiled = trained<Optimizer>(options, true, by_backward);
      for (size_t i = 0; i < eager.size(); ++i) expect_same(eager[i], compiled[i]);
    }
  };
  check(std::type_identity<optim::SGD>(), optim::SGDOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true});
  check(std::type_identity<optim::Adam>(), optim::AdamOptions{.lr = 0.05});
  check(std::type_identity<optim::AdamW>(), optim::AdamOptions{.lr = 0.05, .weight_decay = 0.1});
  check(std::type_identity<optim::RMSprop>(), optim::RMSpropOptions{.lr = 0.05, .momentum = 0.5});
}

TEST(Compile, RecordsOnceForEachKindOfArguments) {
  int recorded = 0;
  const Tensor w = numbers({3}, 1);
  const Function f = compile([&](const Tensors& in) {
    ++recorded;
    return Tensors{sin(in[0]) * w, sum(in[0])};
  });
  const auto eager = [&](const Tensor& x) { return Tensors{sin(x) * w, sum(x)}; };
  for (const Tensor& x : {numbers({3}, 2), numbers({3}, 3), numbers({2, 3}, 4), numbers({3}, 5),
                          matrix_transpose(numbers({3, 2}, 6)), numbers({0, 3}, 7)}) {
    const Tensors got = f({x}), want = eager(x);
    for (size_t i = 0; i < 2; ++i) expect_same(got[i], want[i]);
  }
  EXPECT_EQ(recorded, 4);
}

TEST(Compile, ValuesAreUnknownInside) {
  const Tensor w = numbers({3}, 1);
  for (const bool closed : {false, true}) {
    const Function f = compile(
        [&](const Tensors& in) { return Tensors{item<float>(sum(closed ? w : in[0])) > 0 ? w : in[0]}; });
    try {
      f({numbers({3}, 2)});
      FAIL() << "no error";
    } catch (const TraceError& error) {
      EXPECT_NE(std::string(error.what()).find("not known while a program is recorded"), std::string::npos);
    }
  }
}

TEST(Compile, DerivativesPassThrough) {
  const Tensor w = numbers({3}, 1, DType::float64), x = numbers({3}, 2, DType::float64);
  const Function f = [&](const Tensors& in) { return Tensors{sum(sin(in[0] * w) * in[0])}; };
  const Function compiled = compile(f);
  const auto gradient = [](const Function& g) -> Function {
    return [g](const Tensors& in) {
      return value_and_grad([&](const Tensors& at) { return g(at)[0]; }, in).gradients;
    };
  };
  const Tensor want = gradient(f)({x})[0];
  for (int i = 0; i < 2; ++i) {
    expect_same(gradient(compiled)({x})[0], want);
    expect_same(compile(gradient(compiled))({x})[0], want);
  }
  Tensor leaf = copy(x);
  leaf.set_requires_grad();
  compiled({leaf})[0].backward();
  expect_same(leaf.grad(), want);
}

TEST(Compile, MemoryThatIsSharedWithWhatIsWritten) {
  Tensor w = numbers({4}, 1);
  const Tensor other = reshape(w, {2, 2}), before = copy(w);
  const Function f = compile([&](const Tensors& in) {
    const Tensor y = other * 1;
    assign(w, in[0]);
    return Tensors{y};
  });
  EXPECT_THROW(f({numbers({4}, 2)}), TraceError);
  expect_same(w, before);
}

}  // namespace
}  // namespace tidu
