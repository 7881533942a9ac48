// What one eager call costs on tensors so small that only the overhead shows. Items are calls.
#include <benchmark/benchmark.h>

#include "tidu.h"

namespace tidu {
namespace {

void add_8_floats(benchmark::State& state) {
  const Tensor a = ones({8}), b = ones({8});
  for (auto _ : state) benchmark::DoNotOptimize(a + b);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(add_8_floats);

void add_number(benchmark::State& state) {
  const Tensor a = ones({8});
  for (auto _ : state) benchmark::DoNotOptimize(a + 2.0);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(add_number);

void broadcast_add(benchmark::State& state) {
  const Tensor a = ones({4, 8}), b = ones({8});
  for (auto _ : state) benchmark::DoNotOptimize(a + b);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(broadcast_add);

void sum_8_floats(benchmark::State& state) {
  const Tensor a = ones({8});
  for (auto _ : state) benchmark::DoNotOptimize(sum(a));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(sum_8_floats);

void reshape_view(benchmark::State& state) {
  const Tensor a = ones({2, 4});
  for (auto _ : state) benchmark::DoNotOptimize(reshape(a, {8}));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(reshape_view);

void matmul_4x4(benchmark::State& state) {
  const Tensor a = ones({4, 4}), b = ones({4, 4});
  for (auto _ : state) benchmark::DoNotOptimize(matmul(a, b));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(matmul_4x4);

// A chain of sin on 8 floats, recorded and taken back; items are the operations of the chain.
void chain_forward_and_backward(benchmark::State& state) {
  constexpr int kLength = 1000;
  Tensor x = ones({8});
  x.set_requires_grad();
  for (auto _ : state) {
    Tensor y = x;
    for (int i = 0; i < kLength; ++i) y = sin(y);
    sum(y).backward();
    x.set_grad({});
  }
  state.SetItemsProcessed(state.iterations() * kLength);
}
BENCHMARK(chain_forward_and_backward);

}  // namespace
}  // namespace tidu
