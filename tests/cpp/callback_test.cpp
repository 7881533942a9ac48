// Functions of the host inside of recorded code.
#include "transforms/callback.h"

#include <gtest/gtest.h>

#include "program/recorder.h"
#include "tidu.h"

namespace tidu {
namespace {

// Twice its argument, by other means.
Tensors twice(const Tensors& x) { return {tensor<float>({2 * item<float>(x[0])}, {})}; }

TEST(Callback, ComputesWheneverValuesAreKnown) {
  const Tensor x = tensor<float>({1, 2, 3}, {3});
  const Function f = [](const Tensors& x) {
    return Tensors{pure_callback(twice, {x[0].spec()}, {x[0] + 1})[0] * x[0]};
  };
  const Program program = record(f, std::vector<Spec>{{{}, DType::float32, {}}});
  EXPECT_EQ(item<float>(program(Tensors{tensor<float>({3}, {})})[0]), 24);
  const Tensor lanes = vmap(f)({x})[0];
  for (int i = 0; i < 3; ++i) EXPECT_EQ(item<float>(select(lanes, 0, i)), 2.0f * (i + 2) * (i + 1));
}

TEST(Callback, ResultsMustBeWhatWasSaid) {
  const Spec other{{2}, DType::float32, {}};
  EXPECT_THROW(pure_callback(twice, {other}, {tensor<float>({1}, {})}), ShapeError);
}

TEST(Callback, ResultsMustBeAsManyAsWasSaid) {
  const Tensor x = tensor<float>({1}, {});
  const std::vector<Spec> none, one{x.spec()}, two{x.spec(), x.spec()};
  for (const auto& [given, said] :
       {std::pair(2, one), std::pair(0, one), std::pair(1, two), std::pair(1, none)}) {
    const Function f = [given = given](const Tensors& x) { return Tensors(given, x[0]); };
    const auto call = [&](const Tensors& x) { return pure_callback(f, said, x); };
    EXPECT_THROW(call({x}), ValueError) << given;
    const Program program = record([&](const Tensors& x) { return call(x); }, one);
    EXPECT_EQ(program.outputs.size(), said.size());
    if (said.empty()) continue;
    EXPECT_THROW(program(Tensors{x}), ValueError) << given;
  }
  EXPECT_EQ(pure_callback([](const Tensors& x) { return Tensors{x[0], x[0] * 2}; }, two, {x}).size(), 2u);
}

TEST(Callback, EffectsHaveNoResults) {
  const Function f = [](const Tensors& x) {
    debug_callback([](const Tensors&) {}, x);
    return x;
  };
  Program program = record(f, std::vector<Spec>{{{}, DType::float32, {}}});
  program.verify();
  ASSERT_EQ(program.instructions.size(), 1u);
  EXPECT_TRUE(program.instructions[0].outputs.empty());
  program.variables.push_back(program.variables[0]);
  program.instructions[0].outputs.push_back(static_cast<int>(program.variables.size()) - 1);
  EXPECT_THROW(program.verify(), ValueError);
}

TEST(Callback, ProgramsKeepEffectsInTheirOrder) {
  std::vector<float> seen;
  const auto note = [&](const Tensors& x) { seen.push_back(item<float>(x[0])); };
  const Function f = [&](const Tensors& x) {
    debug_callback(note, {x[0] * 2});
    debug_callback(note, {x[0]});
    return Tensors{x[0] + 1};
  };
  const Program program = record(f, std::vector<Spec>{{{}, DType::float32, {}}});
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(item<float>(program(Tensors{tensor<float>({3}, {})})[0]), 4);
  EXPECT_EQ(seen, (std::vector<float>{6, 3}));
  vmap(f)({tensor<float>({1, 2}, {2})});
  EXPECT_EQ(seen, (std::vector<float>{6, 3, 2, 4, 1, 2}));
}

TEST(Callback, PrintFillsTheBraces) {
  ::testing::internal::CaptureStdout();
  debug_print("a {} b {}.", {tensor<float>({1}, {}), tensor<float>({2}, {})});
  debug_print("left over {} {}", {tensor<float>({1}, {})});
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(text,
            "a tensor(1, float32 cpu) b tensor(2, float32 cpu).\nleft over tensor(1, float32 cpu) {}\n");
}

}  // namespace
}  // namespace tidu
