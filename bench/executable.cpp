// Executables beside eager calls and programs: a chain of small calls, and training steps.
#include <benchmark/benchmark.h>

#include "ops/update.h"
#include "tidu.h"

namespace tidu {
namespace {

// Items are calls of the chain.
void chain(benchmark::State& state, const Passes& passes) {
  constexpr int kLength = 1000;
  const Tensor x = ones({8});
  const Executable executable(record(
                                  [](const Tensors& in) {
                                    Tensor y = in[0];
                                    for (int i = 0; i < kLength; ++i) y = sin(y);
                                    return Tensors{y};
                                  },
                                  Tensors{x}),
                              {}, passes);
  for (auto _ : state) benchmark::DoNotOptimize(executable({&x, 1}));
  state.SetItemsProcessed(state.iterations() * kLength);
}
BENCHMARK_CAPTURE(chain, calls, Passes{.fuse = false});
BENCHMARK_CAPTURE(chain, one_group, Passes{});

void call_of_one_operation(benchmark::State& state) {
  const Tensor x = ones({8});
  const Executable executable(record([](const Tensors& in) { return Tensors{sin(in[0])}; }, Tensors{x}));
  for (auto _ : state) benchmark::DoNotOptimize(executable({&x, 1}));
}
BENCHMARK(call_of_one_operation);

constexpr int64_t kPixels = 784, kHidden = 256, kClasses = 10;

Tensors step(const Tensors& in) {
  const Tensors parameters(in.begin(), in.begin() + 4);
  const auto found = value_and_grad(
      [&](const Tensors& p) {
        const Tensor hidden = sigmoid(linear(in[4], p[0], p[1]));
        return mean(softmax_cross_entropy(linear(hidden, p[2], p[3]), in[5]));
      },
      parameters);
  apply_update(primitives::sgd_update, parameters, found.gradients, SgdAttrs{4, 0.1, 0, 0, false, false});
  return {found.value};
}

Tensors arguments_of(int64_t batch) {
  return {random_normal(random_key(1), {kHidden, kPixels}, 0, 0.03),
          zeros({kHidden}),
          random_normal(random_key(2), {kClasses, kHidden}, 0, 0.06),
          zeros({kClasses}),
          random_uniform(random_key(3), {batch, kPixels}),
          random_integers(random_key(4), {batch}, 0, kClasses)};
}

void step_eager(benchmark::State& state) {
  const Tensors arguments = arguments_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(step(arguments));
}
void step_executable(benchmark::State& state, const Passes& passes) {
  const Tensors arguments = arguments_of(state.range(0));
  const Executable executable(record(step, arguments), {}, passes);
  for (auto _ : state) benchmark::DoNotOptimize(executable(arguments));
}
void make_executable(benchmark::State& state) {
  const Tensors arguments = arguments_of(state.range(0));
  for (auto _ : state) {
    const Executable executable(record(step, arguments));
    benchmark::DoNotOptimize(executable.arena_bytes());
  }
}
BENCHMARK(step_eager)->Arg(1)->Arg(16)->Arg(128)->UseRealTime();
BENCHMARK_CAPTURE(step_executable, all, Passes{})->Arg(1)->Arg(16)->Arg(128)->UseRealTime();
BENCHMARK_CAPTURE(step_executable, no_products, Passes{.products = false})
    ->Arg(1)
    ->Arg(16)
    ->Arg(128)
    ->UseRealTime();
BENCHMARK_CAPTURE(step_executable, no_groups, Passes{.fuse = false})
    ->Arg(1)
    ->Arg(16)
    ->Arg(128)
    ->UseRealTime();
BENCHMARK(make_executable)->Arg(16)->UseRealTime();

}  // namespace
}  // namespace tidu
