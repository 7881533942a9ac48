// Matrix products beside the libraries themselves with as many threads. Items are floating-point operations.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <omp.h>

#include "backend/cpu/threads.h"
#include "kernels/blas.h"
#include "tidu.h"

namespace tidu {
namespace {

void count_flops(benchmark::State& state, int64_t m, int64_t n, int64_t k) {
  state.SetItemsProcessed(state.iterations() * 2 * m * n * k);
}

// op(a) of (m, k) times op(b) of (k, n); `transposed` names the operand that lies transposed: 0 none, 1 a, 2
// b.
void product(benchmark::State& state, DType dtype) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2), transposed = state.range(3);
  Tensor a = random_normal(random_key(1), transposed == 1 ? Shape{k, m} : Shape{m, k}, 0, 1, dtype);
  Tensor b = random_normal(random_key(2), transposed == 2 ? Shape{n, k} : Shape{k, n}, 0, 1, dtype);
  if (transposed == 1) a = matrix_transpose(a);
  if (transposed == 2) b = matrix_transpose(b);
  for (auto _ : state) benchmark::DoNotOptimize(matmul(a, b));
  count_flops(state, m, n, k);
}

void onednn_peer(benchmark::State& state) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2), transposed = state.range(3);
  const Tensor a = random_normal(random_key(1), {m, k}), b = random_normal(random_key(2), {k, n}),
               c = zeros({m, n});
  omp_set_num_threads(cpu::num_threads());
  const int64_t lda = transposed == 1 ? m : k, ldb = transposed == 2 ? k : n;
  for (auto _ : state) {
    dnnl_sgemm(transposed == 1 ? 'T' : 'N', transposed == 2 ? 'T' : 'N', m, n, k, 1.0f, a.data<float>(), lda,
               b.data<float>(), ldb, 0.0f, c.data<float>(), n);
    benchmark::ClobberMemory();
  }
  count_flops(state, m, n, k);
}

void openblas_peer_f64(benchmark::State& state) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const Tensor a = random_normal(random_key(1), {m, k}, 0, 1, DType::float64),
               b = random_normal(random_key(2), {k, n}, 0, 1, DType::float64);
  const Tensor c = zeros({m, n}, DType::float64);
  TIDU_BLAS(openblas_set_num_threads)(cpu::num_threads());
  for (auto _ : state) {
    TIDU_BLAS(cblas_dgemm)
    (CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k),
     1, a.data<double>(), static_cast<int>(k), b.data<double>(), static_cast<int>(n), 0, c.data<double>(),
     static_cast<int>(n));
    benchmark::ClobberMemory();
  }
  TIDU_BLAS(openblas_set_num_threads)(1);
  count_flops(state, m, n, k);
}

// The products of the two-layer network at batch 128 (forward, then for the weights, then for the hidden
// layer), and squares.
#define SHAPES                                  \
  ->Args({128, 256, 784, 2})                    \
      ->Args({128, 10, 256, 2})                 \
      ->Args({256, 784, 128, 1})                \
      ->Args({10, 256, 128, 1})                 \
      ->Args({128, 256, 10, 0})                 \
      ->Args({64, 64, 64, 0})                   \
      ->Args({512, 512, 512, 0})                \
      ->Args({2048, 2048, 2048, 0})             \
      ->ArgNames({"m", "n", "k", "transposed"}) \
      ->UseRealTime()
BENCHMARK_CAPTURE(product, float32, DType::float32) SHAPES;
BENCHMARK(onednn_peer) SHAPES;
BENCHMARK_CAPTURE(product, float64, DType::float64)
    ->Args({512, 512, 512, 0})
    ->ArgNames({"m", "n", "k", "transposed"})
    ->UseRealTime();
BENCHMARK(openblas_peer_f64)
    ->Args({512, 512, 512, 0})
    ->ArgNames({"m", "n", "k", "transposed"})
    ->UseRealTime();
BENCHMARK_CAPTURE(product, bfloat16, DType::bfloat16)
    ->Args({512, 512, 512, 0})
    ->ArgNames({"m", "n", "k", "transposed"})
    ->UseRealTime();

}  // namespace
}  // namespace tidu
