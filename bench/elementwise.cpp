// Elementwise operations, casts and reductions against the machine's copy speed. Bytes count each input and
// output once.
#include <benchmark/benchmark.h>

#include <cstring>

#include "tidu.h"

namespace tidu {
namespace {

constexpr int64_t kSmall = 1 << 12, kMiddle = 1 << 18, kLarge = 1 << 24;

void copy_peer(benchmark::State& state) {
  const Tensor x = ones({state.range(0)}), y = ones({state.range(0)});
  for (auto _ : state) {
    std::memcpy(y.raw_data(), x.raw_data(), x.nbytes());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * 2 * x.nbytes());
}
BENCHMARK(copy_peer)->Arg(kSmall)->Arg(kMiddle)->Arg(kLarge);

void unary(benchmark::State& state, Tensor (*f)(const Tensor&)) {
  const Tensor x = random_uniform(random_key(1), {state.range(0)}, 0.1, 2);
  for (auto _ : state) benchmark::DoNotOptimize(f(x));
  state.SetBytesProcessed(state.iterations() * 2 * x.nbytes());
}
#define UNARY_BENCHMARK(name) \
  BENCHMARK_CAPTURE(unary, name, name)->Arg(kSmall)->Arg(kMiddle)->Arg(kLarge)->UseRealTime()
UNARY_BENCHMARK(negative);
UNARY_BENCHMARK(exp);
UNARY_BENCHMARK(log);
UNARY_BENCHMARK(tanh);
UNARY_BENCHMARK(sigmoid);
UNARY_BENCHMARK(sin);
UNARY_BENCHMARK(gelu);

void add(benchmark::State& state) {
  const Tensor x = ones({state.range(0)}), y = ones({state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(x + y);
  state.SetBytesProcessed(state.iterations() * 3 * x.nbytes());
}
BENCHMARK(add)->Arg(kSmall)->Arg(kMiddle)->Arg(kLarge)->UseRealTime();

void add_transposed(benchmark::State& state) {
  const int64_t n = state.range(0);
  const Tensor x = ones({n, n}), y = matrix_transpose(ones({n, n}));
  for (auto _ : state) benchmark::DoNotOptimize(x + y);
  state.SetBytesProcessed(state.iterations() * 3 * x.nbytes());
}
BENCHMARK(add_transposed)->Arg(64)->Arg(512)->Arg(4096)->UseRealTime();

void to_half(benchmark::State& state) {
  const Tensor x = ones({state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(astype(x, DType::float16));
  state.SetBytesProcessed(state.iterations() * (x.nbytes() + x.nbytes() / 2));
}
BENCHMARK(to_half)->Arg(kSmall)->Arg(kMiddle)->Arg(kLarge)->UseRealTime();

void sum_all(benchmark::State& state) {
  const Tensor x = ones({state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(sum(x));
  state.SetBytesProcessed(state.iterations() * x.nbytes());
}
BENCHMARK(sum_all)->Arg(kSmall)->Arg(kMiddle)->Arg(kLarge)->UseRealTime();

void sum_axis(benchmark::State& state) {
  const Tensor x = ones({4096, 4096});
  const Axes axis{state.range(0)};
  for (auto _ : state) benchmark::DoNotOptimize(sum(x, axis));
  state.SetBytesProcessed(state.iterations() * x.nbytes());
}
BENCHMARK(sum_axis)->Arg(0)->Arg(1)->UseRealTime();

}  // namespace
}  // namespace tidu
