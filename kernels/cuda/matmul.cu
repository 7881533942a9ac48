// Which kernel a product runs on, and the way to it by dtype.
#include "kernels/cuda/matmul.h"

#include <algorithm>

#include "kernels/cuda/portable.h"

namespace tidu::cuda {

// Defined in matmul_launch.cuh, instantiated in matmul_*.cu.
template <class T>
cudaError_t launch_product(cudaStream_t stream, const MatmulProblem& problem, const MatmulPlan& plan,
                           void* workspace, unsigned* arrivals);

template <class T>
TiledProduct tile_product(const MatmulProblem& problem, const MatmulPlan& plan, void* workspace,
                          unsigned* arrivals);

namespace {

bool is_float(DType dtype) { return dtype >= DType::float16; }
bool is_wide(DType dtype) {
  return dtype == DType::int64 || dtype == DType::uint64 || dtype == DType::float64;
}

// Blocks that keep a large GPU busy. A constant, because the bits of a split sum depend on it.
constexpr int64_t kEnoughBlocks = 128;

int64_t up(int64_t n, int64_t divisor) { return (n + divisor - 1) / divisor; }

int64_t tiles(const MatmulProblem& p, int64_t rows, int64_t columns) {
  return up(p.m, rows) * up(p.n, columns) * p.batches();
}

// Splits of k that fill `enough` units of work with at least `least` steps of k each.
MatmulPlan split(MatmulKernel kernel, const MatmulProblem& p, int64_t units, int64_t enough, int64_t least) {
  if (units >= enough || p.k < 2 * least) return {kernel};
  const int64_t wanted = std::min(up(enough, units), p.k / least);
  const int64_t depth = up(up(p.k, wanted), kSplitStep) * kSplitStep;
  return {kernel, static_cast<int>(up(p.k, depth))};
}

}  // namespace

MatmulPlan plan_matmul(const MatmulProblem& p) {
  if (p.m * p.n * p.batches() == 0) return {MatmulKernel::small};
  const int64_t fewer = std::min(p.m, p.n), more = std::max(p.m, p.n);
  if (fewer <= 4) {
    const bool by_a = p.m >= p.n;
    const bool rows = p.k >= kWarp && ((by_a ? p.a.by_row : p.b.by_column) != 1 || more == 1);
    return rows ? split(MatmulKernel::vector, p, more * p.batches(), 4 * kEnoughBlocks, 1024)
                : split(MatmulKernel::vector, p, up(more, 32) * p.batches(), kEnoughBlocks, 256);
  }
  // Few blocks wait for one step of k after the other: there their warps take different ones.
  constexpr int64_t kLeast = 128, kLeastOfSlices = 512, kFewBlocks = 4;
  const auto sliced = [&] {
    return split(MatmulKernel::sliced, p, tiles(p, 16, 16), kEnoughBlocks, kLeastOfSlices);
  };
  if (is_float(p.dtype) && fewer <= 16) {
    const int64_t blocks = up(more, 128) * p.batches();
    return blocks <= kFewBlocks ? sliced() : split(MatmulKernel::narrow, p, blocks, kEnoughBlocks, kLeast);
  }
  if (p.dtype == DType::float32 && tiles(p, 128, 64) >= kEnoughBlocks) return {MatmulKernel::large};
  if (is_float(p.dtype) && tiles(p, 64, 64) >= kEnoughBlocks) return {MatmulKernel::medium};
  if (is_float(p.dtype) && tiles(p, 32, 32) <= kEnoughBlocks / 2 && p.k >= 2 * kLeast) return sliced();
  return split(MatmulKernel::small, p, tiles(p, 32, 32), kEnoughBlocks, kLeast);
}

size_t matmul_workspace(const MatmulProblem& p, const MatmulPlan& plan) {
  if (plan.splits == 1) return 0;
  const int64_t fewer = std::min(p.m, p.n), more = std::max(p.m, p.n);
  const auto sums = [&]() -> int64_t {
    switch (plan.kernel) {
      case MatmulKernel::large: return tiles(p, 128, 64) * (128 * 64);
      case MatmulKernel::medium: return tiles(p, 64, 64) * (64 * 64);
      case MatmulKernel::small: return tiles(p, 32, 32) * (32 * 32);
      case MatmulKernel::narrow: return up(more, 128) * up(fewer, 16) * p.batches() * (128 * 16);
      case MatmulKernel::sliced: return tiles(p, 16, 16) * (16 * 16);
      case MatmulKernel::vector: break;
    }
    return up(more, kWarp) * p.batches() * (kWarp * (fewer == 1 ? 1 : 4));
  };
  return static_cast<size_t>(plan.splits * sums()) * (is_wide(p.dtype) ? 8 : 4);
}

cudaError_t matmul(cudaStream_t stream, const MatmulProblem& problem, const MatmulPlan& plan, void* workspace,
                   unsigned* arrivals) {
  return visit_dtype(problem.dtype, [&]<class T>() {
    return launch_product<Wrapping<T>>(stream, problem, plan, workspace, arrivals);
  });
}

TiledProduct tiled_product(const MatmulProblem& problem, const MatmulPlan& plan, void* workspace,
                           unsigned* arrivals) {
  return visit_floating(problem.dtype, TiledProduct(),
                        [&]<class T>() { return tile_product<T>(problem, plan, workspace, arrivals); });
}

}  // namespace tidu::cuda
