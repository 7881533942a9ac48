// Softmax and fused cross-entropy over rows of logits. Bytes count the least traffic: logits once, results
// once.
#include <benchmark/benchmark.h>

#include "tidu.h"

namespace tidu {
namespace {

void rows(benchmark::State& state, Tensor (*f)(const Tensor&, int64_t)) {
  const Tensor x = random_normal(random_key(1), {state.range(0), state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(f(x, -1));
  state.SetBytesProcessed(state.iterations() * 2 * x.nbytes());
}
#define SHAPES ->Args({128, 10})->Args({4096, 128})->Args({512, 8192})->UseRealTime()
BENCHMARK_CAPTURE(rows, softmax, softmax) SHAPES;
BENCHMARK_CAPTURE(rows, log_softmax, log_softmax) SHAPES;

void cross_entropy(benchmark::State& state) {
  const Tensor x = random_normal(random_key(1), {state.range(0), state.range(1)});
  const Tensor labels = random_integers(random_key(2), {state.range(0)}, 0, state.range(1));
  for (auto _ : state) benchmark::DoNotOptimize(softmax_cross_entropy(x, labels));
  state.SetBytesProcessed(state.iterations() * x.nbytes());
}
BENCHMARK(cross_entropy) SHAPES;

void cross_entropy_and_gradient(benchmark::State& state) {
  const Tensor x = random_normal(random_key(1), {state.range(0), state.range(1)});
  const Tensor labels = random_integers(random_key(2), {state.range(0)}, 0, state.range(1));
  const auto loss = [&](const Tensor& logits) { return mean(softmax_cross_entropy(logits, labels)); };
  for (auto _ : state) benchmark::DoNotOptimize(grad(loss)(x));
  state.SetBytesProcessed(state.iterations() * 3 * x.nbytes());
}
BENCHMARK(cross_entropy_and_gradient) SHAPES;

}  // namespace
}  // namespace tidu
