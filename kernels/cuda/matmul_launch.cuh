// Launches of one element type: from a problem and a plan to the kernel that fits the operands' layouts.
#pragma once

#include <climits>
#include <cstdlib>
#include <utility>

#include "kernels/cuda/matmul_tile.cuh"
#include "kernels/cuda/matmul_vector.cuh"
#include "kernels/cuda/part.cuh"

namespace tidu::cuda {

// Which kernels there are for T. Large products of 16-bit floats are the library's, whose tensor cores ours
// do not match; integers have one tile.
template <class T> constexpr bool has_kernel(MatmulKernel kernel) {
  switch (kernel) {
    case MatmulKernel::large: return std::is_same_v<T, float>;
    case MatmulKernel::medium:
    case MatmulKernel::narrow:
    case MatmulKernel::sliced: return is_floating_sum<T>;
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

template <int n, class T> Layout layout_of(const Factor<T>& x, int64_t lines, int64_t k) {
  const bool along_k = lines == 1 || (k > 1 && x.by_line != 1);
  const int64_t step = along_k ? x.by_k : x.by_line, other = along_k ? x.by_line : x.by_k,
                extent = along_k ? k : lines, others = along_k ? lines : k;
  const bool vectors = step == 1 && extent % n == 0 && (others == 1 || other % n == 0) &&
                       x.by_batch[0] % n == 0 && x.by_batch[1] % n == 0 &&
                       reinterpret_cast<uintptr_t>(x.data) % (n * sizeof(T)) == 0;
  return {along_k, vectors};
}

// The product as the kernel sees it.
template <class T>
Product<T> product_of(const MatmulProblem& problem, const MatmulPlan& plan, void* workspace,
                      unsigned* arrivals) {
  const auto operand = [](const MatrixView& x, int64_t by_line, int64_t by_k) {
    return Factor<T>{static_cast<const T*>(x.data), by_line, by_k, {x.by_batch[0], x.by_batch[1]}};
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
  if (plan.splits > 1) {
    p.partial = static_cast<Accumulator<T>*>(workspace);
    p.arrivals = arrivals;
  }
  return p;
}

// So many parts of the output, each of whose splits is a share of a block. Grids have less than 2^31 blocks.
template <auto kernel, class T, class... Call>
cudaError_t launch_parts(cudaStream_t stream, int64_t parts, int64_t of_block, int threads,
                         size_t shared_bytes, const Product<T>& p, const Call&... call) {
  const int64_t blocks = (parts * p.splits + of_block - 1) / of_block;
  if (blocks > INT_MAX || (p.splits > 1 && parts > kMaxArrivals)) return cudaErrorInvalidConfiguration;
  const Grid grid(dim3(static_cast<unsigned>(blocks)), dim3(threads), shared_bytes, stream);
  if constexpr (sizeof...(call) > 0) {
    return launch_part<kernel>(grid, p, "kernels/cuda/matmul_tile.cuh", call...);
  } else {
    return launch<kernel>(grid, p);
  }
}

// go.operator()<a_along_k, b_along_k, n>() by how the operands lie.
template <class T, class Go> decltype(auto) with_layouts(const Product<T>& p, const Go& go) {
  constexpr int kWide = is_floating_sum<T> ? (sizeof(T) == 8 ? 2 : 4) : 1;
  const Layout a = layout_of<kWide>(p.a, p.m, p.k), b = layout_of<kWide>(p.b, p.n, p.k);
  const auto with_width = [&]<int n>() {
    if (a.along_k) {
      return b.along_k ? go.template operator()<true, true, n>() : go.template operator()<true, false, n>();
    }
    return b.along_k ? go.template operator()<false, true, n>() : go.template operator()<false, false, n>();
  };
  if constexpr (kWide > 1) {
    if (a.vectors && b.vectors) return with_width.template operator()<kWide>();
  }
  return with_width.template operator()<1>();
}

template <class Shape, class T> int64_t tiles_of(const Product<T>& p) {
  return (p.m + Shape::m - 1) / Shape::m * ((p.n + Shape::n - 1) / Shape::n) * p.batches;
}

template <class Shape, bool a_along_k, bool b_along_k, int n> std::string tile_function() {
  const std::string shape = spelled<Shape>();
  return "multiply_tile<" + shape + (a_along_k ? ", true" : ", false") +
         (b_along_k ? ", true, " : ", false, ") + std::to_string(n) + ">";
}

template <class Shape, class T> cudaError_t launch_tiles(cudaStream_t stream, const Product<T>& p) {
  return with_layouts(p, [&]<bool a_along_k, bool b_along_k, int n>() {
    return launch_parts<multiply_tiles<T, Shape, a_along_k, b_along_k, n>>(
        stream, tiles_of<Shape>(p), 1, Shape::threads, sizeof(Stage<T, Shape>), p,
        [] { return tile_function<Shape, a_along_k, b_along_k, n>() + "(block, pass, ToMemory())"; });
  });
}

template <class T> cudaError_t launch_vectors(cudaStream_t stream, const Product<T>& p) {
  constexpr int kMost = 4;
  if (p.n > kMost) return cudaErrorInvalidValue;
  const Layout a = layout_of<kVec<T>>(p.a, p.m, p.k), b = layout_of<kVec<T>>(p.b, p.n, p.k);
  const int64_t rows = p.m * p.batches;
  const auto go = [&]<int columns>() {
    if (!a.along_k || p.k < kWarp) {  // a warp a row would leave lanes without work
      return launch_parts<multiply_columns<T, columns>>(stream, (p.m + kWarp - 1) / kWarp * p.batches, 1,
                                                        kWarp * kColumnWarps, 0, p);
    }
    if (a.vectors && b.vectors && b.along_k) {
      return launch_parts<multiply_rows<T, columns, kVec<T>>>(stream, rows, kRowWarps, kWarp * kRowWarps, 0,
                                                              p);
    }
    return launch_parts<multiply_rows<T, columns, 1>>(stream, rows, kRowWarps, kWarp * kRowWarps, 0, p);
  };
  return p.n == 1 ? go.template operator()<1>() : go.template operator()<kMost>();
}

template <class T>
cudaError_t launch_product(cudaStream_t stream, const MatmulProblem& problem, const MatmulPlan& plan,
                           void* workspace, unsigned* arrivals) {
  if (!has_kernel<T>(plan.kernel) || problem.batches() > INT_MAX) return cudaErrorInvalidValue;
  const Product<T> p = product_of<T>(problem, plan, workspace, arrivals);
  if (p.m * p.n * p.batches == 0) return cudaSuccess;
  if (p.depth > INT_MAX - kSplitStep) return cudaErrorInvalidValue;
  switch (plan.kernel) {
    case MatmulKernel::large:
      if constexpr (has_kernel<T>(MatmulKernel::large)) return launch_tiles<LargeTile>(stream, p);
      break;
    case MatmulKernel::medium:
      if constexpr (has_kernel<T>(MatmulKernel::medium)) return launch_tiles<MediumTile>(stream, p);
      break;
    case MatmulKernel::narrow:
      if constexpr (has_kernel<T>(MatmulKernel::narrow)) return launch_tiles<NarrowTile>(stream, p);
      break;
    case MatmulKernel::sliced:
      if constexpr (has_kernel<T>(MatmulKernel::sliced)) return launch_tiles<SlicedTile>(stream, p);
      break;
    case MatmulKernel::small: return launch_tiles<SmallTile>(stream, p);
    case MatmulKernel::vector: return launch_vectors(stream, p);
  }
  return cudaErrorInvalidValue;
}

template <class T>
TiledProduct tile_product(const MatmulProblem& problem, const MatmulPlan& plan, void* workspace,
                          unsigned* arrivals) {
  const Product<T> p = product_of<T>(problem, plan, workspace, arrivals);
  const auto* const bytes = reinterpret_cast<const std::byte*>(&p);
  static_assert(sizeof p == kProductBytes);
  TiledProduct made{
      .function = "", .product = {bytes, bytes + sizeof p}, .vector_out = offsetof(Product<T>, vector_out)};
  const auto by = [&]<class Shape>(std::type_identity<Shape>) {
    if constexpr (is_floating_sum<T> && (std::is_same_v<T, float> || !std::is_same_v<Shape, LargeTile>)) {
      const int64_t blocks = tiles_of<Shape>(p) * p.splits;
      if (blocks > INT_MAX || p.depth > INT_MAX - kSplitStep) return;
      made.blocks = static_cast<unsigned>(blocks);
      made.threads = Shape::threads;
      made.shared_bytes = sizeof(Stage<T, Shape>);
      made.function = with_layouts(p, [&]<bool a_along_k, bool b_along_k, int n>() {
        return tile_function<Shape, a_along_k, b_along_k, n>();
      });
    }
  };
  switch (plan.kernel) {
    case MatmulKernel::large: by(std::type_identity<LargeTile>()); break;
    case MatmulKernel::medium: by(std::type_identity<MediumTile>()); break;
    case MatmulKernel::small: by(std::type_identity<SmallTile>()); break;
    case MatmulKernel::narrow: by(std::type_identity<NarrowTile>()); break;
    case MatmulKernel::sliced: by(std::type_identity<SlicedTile>()); break;
    case MatmulKernel::vector: break;
  }
  return made;
}

}  // namespace tidu::cuda
