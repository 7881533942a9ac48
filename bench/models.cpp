// The two models of the examples at batch 128: forward, gradient, whole step; beside them the step's bare
// matrix products.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <omp.h>

#include "backend/cpu/threads.h"
#include "ops/update.h"
#include "tidu.h"

namespace tidu {
namespace {

constexpr int64_t kPixels = 784, kHidden = 256, kClasses = 10;

struct Model {
  Tensors parameters;
  Tensor (*logits)(const Tensors& parameters, const Tensor& x);
};

Model logistic_regression() {
  return {{random_normal(random_key(1), {kClasses, kPixels}, 0, 0.03), zeros({kClasses})},
          [](const Tensors& p, const Tensor& x) { return linear(x, p[0], p[1]); }};
}

Model two_layer_network() {
  return {
      {random_normal(random_key(1), {kHidden, kPixels}, 0, 0.03), zeros({kHidden}),
       random_normal(random_key(2), {kClasses, kHidden}, 0, 0.06), zeros({kClasses})},
      [](const Tensors& p, const Tensor& x) { return linear(sigmoid(linear(x, p[0], p[1])), p[2], p[3]); }};
}

struct Batch {
  Tensor x, labels;
};
Batch batch_of(int64_t count) {
  return {random_uniform(random_key(3), {count, kPixels}),
          random_integers(random_key(4), {count}, 0, kClasses)};
}

Tensor loss(const Model& model, const Tensors& parameters, const Batch& batch) {
  return mean(softmax_cross_entropy(model.logits(parameters, batch.x), batch.labels));
}

void forward(benchmark::State& state, Model (*make)()) {
  const Model model = make();
  const Batch batch = batch_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(loss(model, model.parameters, batch));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void forward_and_backward(benchmark::State& state, Model (*make)()) {
  const Model model = make();
  const Batch batch = batch_of(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        value_and_grad([&](const Tensors& p) { return loss(model, p, batch); }, model.parameters));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void adam_step(benchmark::State& state, Model (*make)()) {
  const Model model = make();
  const Batch batch = batch_of(state.range(0));
  const int count = static_cast<int>(model.parameters.size());
  Tensors adam_state = model.parameters;
  for (int i = 0; i < 2 * count; ++i) adam_state.push_back(zeros_like(model.parameters[i % count]));
  int64_t step = 0;
  for (auto _ : state) {
    const auto result =
        value_and_grad([&](const Tensors& p) { return loss(model, p, batch); }, model.parameters);
    apply_update(primitives::adam_update, adam_state, result.gradients,
                 AdamAttrs{count, 1e-3, 0.9, 0.999, 1e-8, 0, false, ++step});
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// What the step of the network cannot do without: its five products through oneDNN with as many threads.
void network_products_peer(benchmark::State& state) {
  const int64_t n = state.range(0);
  const Tensor x = random_uniform(random_key(3), {n, kPixels}), w1 = zeros({kHidden, kPixels}),
               h = zeros({n, kHidden});
  const Tensor w2 = zeros({kClasses, kHidden}), y = zeros({n, kClasses}), g1 = zeros_like(w1),
               g2 = zeros_like(w2), gh = zeros_like(h);
  omp_set_num_threads(cpu::num_threads());
  const auto product = [](char ta, char tb, int64_t m, int64_t columns, int64_t k, const Tensor& a,
                          const Tensor& b, const Tensor& c) {
    dnnl_sgemm(ta, tb, m, columns, k, 1.0f, a.data<float>(), ta == 'T' ? m : k, b.data<float>(),
               tb == 'T' ? k : columns, 0.0f, c.data<float>(), columns);
  };
  for (auto _ : state) {
    product('N', 'T', n, kHidden, kPixels, x, w1, h);
    product('N', 'T', n, kClasses, kHidden, h, w2, y);
    product('T', 'N', kClasses, kHidden, n, y, h, g2);
    product('N', 'N', n, kHidden, kClasses, y, w2, gh);
    product('T', 'N', kHidden, kPixels, n, gh, x, g1);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * n);
}

BENCHMARK_CAPTURE(forward, logistic_regression, logistic_regression)->Arg(128)->UseRealTime();
BENCHMARK_CAPTURE(forward_and_backward, logistic_regression, logistic_regression)->Arg(128)->UseRealTime();
BENCHMARK_CAPTURE(adam_step, logistic_regression, logistic_regression)->Arg(128)->UseRealTime();
BENCHMARK_CAPTURE(forward, two_layer_network, two_layer_network)->Arg(128)->UseRealTime();
BENCHMARK_CAPTURE(forward_and_backward, two_layer_network, two_layer_network)->Arg(128)->UseRealTime();
BENCHMARK_CAPTURE(adam_step, two_layer_network, two_layer_network)->Arg(128)->UseRealTime();
BENCHMARK(network_products_peer)->Arg(128)->UseRealTime();

}  // namespace
}  // namespace tidu
