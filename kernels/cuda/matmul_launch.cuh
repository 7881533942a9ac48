// Launches of one element type: from a problem and a plan to the kernel that fits the operands' layouts.
#pragma once

#include <climits>
#include <cstdlib>
#include <utility>

#include "kernels/cuda/matmul_tile.cuh"
#include "kernels/cuda/matmul_vector.cuh"

namespace tidu::cuda {

// Which kernels there are for T. Large products of 16-bit floats are the library's, whose tensor cores ours
// do not match; integers have one tile.
template <class T> constexpr bool has_kernel(MatmulKernel kernel) {
  switch (kernel) {
    case MatmulKernel::large: return std::is_same_v<T, float>;
    case MatmulKernel::medium:
    case MatmulKernel::narrow: return is_floating_sum<T>;
    case MatmulKernel::small:
    case MatmulKernel::vector: return true;
  }
  return false;
}

// How the lines of an operand lie in memory.
struct Layout {
  bool along_k;  // neighbours along k, or across lines
  bool vectors;  // whole accesses of n neighbours
};

template <int n, class T> Layout layout_of(const Operand<T>& x, int64_t lines, int64_t k) {
  const bool along_k = lines == 1 || (k > 1 && x.by_line != 1);
  const int64_t step = along_k ? x.by_k : x.by_line, other = along_k ? x.by_line : x.by_k,
                extent = along_k ? k : lines, others = along_k ? lines : k;
  const bool vectors = step == 1 && extent % n == 0 && (others == 1 || other % n == 0) &&
                       x.by_batch[0] % n == 0 && x.by_batch[1] % n == 0 &&
                       reinterpret_cast<uintptr_t>(x.data) % (n * sizeof(T)) == 0;
  return {along_k, vectors};
}

// The product as the kernel sees it.
template <class T> Product<T> product_of(const MatmulProblem& problem, const MatmulPlan& plan) {
  const auto operand = [](const MatrixView& x, int64_t by_line, int64_t by_k) {
    return Operand<T>{static_cast<const T*>(x.data), by_line, by_k, {x.by_batch[0], x.by_batch[1]}};
  };
  Product<T> p = {};
  p.m = problem.m, p.n = problem.n, p.k = problem.k;
  p.a = operand(problem.a, problem.a.by_row, problem.a.by_column);
  p.b = operand(problem.b, problem.b.by_column, problem.b.by_row);
  p.out = static_cast<T*>(problem.out);
  p.out_by_row = p.n, p.out_by_column = 1;
  p.bias = static_cast<const T*>(problem.bias);
  p.bias_by_column = 1;
  const bool by_fewer = plan.kernel == MatmulKernel::narrow || plan.kernel == MatmulKernel::vector;
  if (by_fewer && p.m < p.n) {
    std::swap(p.m, p.n);
    std::swap(p.a, p.b);
    std::swap(p.out_by_row, p.out_by_column);
    std::swap(p.bias_by_row, p.bias_by_column);
  }
  constexpr int64_t kVector = kGroup<T>;
  p.vector_out = p.out_by_column == 1 && p.n % kVector == 0 &&
                 reinterpret_cast<uintptr_t>(p.out) % (kVector * sizeof(T)) == 0;
  p.splits = static_cast<unsigned>(plan.splits);
  p.depth = ((p.k + plan.splits - 1) / plan.splits + kSplitStep - 1) / kSplitStep * kSplitStep;
  p.batches = static_cast<unsigned>(problem.batches());
  p.inner_batches = static_cast<unsigned>(problem.batch[1]);
  return p;
}

template <class T> __global__ void __launch_bounds__(256) add_splits(const Product<T> p, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= count) return;
  Accumulator<T> sums[1] = {p.partial[i]};
#pragma unroll 8
  for (unsigned split = 1; split < p.splits; ++split) {
    sums[0] = add_sums<T>(sums[0], p.partial[split * count + i]);
  }
  const int64_t row = i / p.n;
  write_outputs<1>(p, static_cast<unsigned>(row / p.m), row % p.m, i % p.n, sums);
}

// Grids have less than 2^31 blocks.
template <auto kernel, class... Args>
cudaError_t launch_blocks(cudaStream_t stream, int64_t blocks, int threads, Args... args) {
  if (blocks > INT_MAX) return cudaErrorInvalidConfiguration;
  return launch<kernel>({dim3(static_cast<unsigned>(blocks)), dim3(threads), 0, stream}, args...);
}

template <class Shape, class T> cudaError_t launch_tiles(cudaStream_t stream, const Product<T>& p) {
  constexpr int kWide = is_floating_sum<T> ? (sizeof(T) == 8 ? 2 : 4) : 1;
  const Layout a = layout_of<kWide>(p.a, p.m, p.k), b = layout_of<kWide>(p.b, p.n, p.k);
  const int64_t blocks = (p.m + Shape::m - 1) / Shape::m * ((p.n + Shape::n - 1) / Shape::n) * p.splits *
                         static_cast<int64_t>(p.batches);
  const auto with_width = [&]<int n>() {
    const auto go = [&]<bool a_along_k, bool b_along_k>() {
      return launch_blocks<multiply_tiles<T, Shape, a_along_k, b_along_k, n>>(stream, blocks, Shape::threads,
                                                                              p);
    };
    if (a.along_k) {
      return b.along_k ? go.template operator()<true, true>() : go.template operator()<true, false>();
    }
    return b.along_k ? go.template operator()<false, true>() : go.template operator()<false, false>();
  };
  if constexpr (kWide > 1) {
    if (a.vectors && b.vectors) return with_width.template operator()<kWide>();
  }
  return with_width.template operator()<1>();
}

template <class T> cudaError_t launch_vectors(cudaStream_t stream, const Product<T>& p) {
  constexpr int kMost = 4;
  if (p.n > kMost) return cudaErrorInvalidValue;
  const Layout a = layout_of<kVec<T>>(p.a, p.m, p.k), b = layout_of<kVec<T>>(p.b, p.n, p.k);
  const int64_t units = static_cast<int64_t>(p.splits) * p.batches;
  const auto go = [&]<int columns>() {
    if (!a.along_k || p.k < kWarp) {  // a warp a row would leave lanes without work
      return launch_blocks<multiply_columns<T, columns>>(stream, (p.m + kWarp - 1) / kWarp * units,
                                                         kWarp * kColumnWarps, p);
    }
    const int64_t blocks = (p.m * units + kRowWarps - 1) / kRowWarps;
    if (a.vectors && b.vectors && b.along_k) {
      return launch_blocks<multiply_rows<T, columns, kVec<T>>>(stream, blocks, kWarp * kRowWarps, p);
    }
    return launch_blocks<multiply_rows<T, columns, 1>>(stream, blocks, kWarp * kRowWarps, p);
  };
  return p.n == 1 ? go.template operator()<1>() : go.template operator()<kMost>();
}

template <class T>
cudaError_t launch_product(cudaStream_t stream, const MatmulProblem& problem, const MatmulPlan& plan,
                           void* workspace) {
  if (!has_kernel<T>(plan.kernel) || problem.batches() > INT_MAX) return cudaErrorInvalidValue;
  Product<T> p = product_of<T>(problem, plan);
  const int64_t count = p.m * p.n * p.batches;
  if (count == 0) return cudaSuccess;
  if (p.depth > INT_MAX - kSplitStep) return cudaErrorInvalidValue;
  if (plan.splits > 1) p.partial = static_cast<Accumulator<T>*>(workspace);
  cudaError_t error = cudaErrorInvalidValue;
  switch (plan.kernel) {
    case MatmulKernel::large:
      if constexpr (has_kernel<T>(MatmulKernel::large)) error = launch_tiles<LargeTile>(stream, p);
      break;
    case MatmulKernel::medium:
      if constexpr (has_kernel<T>(MatmulKernel::medium)) error = launch_tiles<MediumTile>(stream, p);
      break;
    case MatmulKernel::narrow:
      if constexpr (has_kernel<T>(MatmulKernel::narrow)) error = launch_tiles<NarrowTile>(stream, p);
      break;
    case MatmulKernel::small: error = launch_tiles<SmallTile>(stream, p); break;
    case MatmulKernel::vector: error = launch_vectors(stream, p); break;
  }
  if (error != cudaSuccess || !p.partial) return error;
  return launch_blocks<add_splits<T>>(stream, (count + 255) / 256, 256, p, count);
}

}  // namespace tidu::cuda
