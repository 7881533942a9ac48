// Kernels that are functions in texts that define TIDU_PARTS. There a kernel calls several of them, by blocks
// with at least as many threads: so the number of a block is TIDU_BLOCK, and nothing ends a thread but
// return.
#pragma once

#include "kernels/cuda/portable.h"

#ifdef TIDU_PARTS

#define TIDU_PART(...) __device__ __forceinline__ void
#define TIDU_PASS(type) const unsigned part_block, const type &
#define TIDU_BLOCK part_block

#else

#include "kernels/cuda/part.h"

#define TIDU_PART(...) __global__ void __launch_bounds__(__VA_ARGS__)
#define TIDU_PASS(type) const __grid_constant__ type
#define TIDU_BLOCK blockIdx.x

namespace tidu::cuda {

// Launches one, and notes it; call() gives its call.
template <auto kernel, class Pass, class Call>
[[nodiscard]] cudaError_t launch_part(const Grid& grid, const Pass& pass, const char* header,
                                      const Call& call) {
  if (std::vector<Part>* const noted = noted_parts()) {
    const auto* const bytes = reinterpret_cast<const std::byte*>(&pass);
    noted->push_back({.header = header,
                      .definition = "",
                      .call = call(),
                      .pass_type = spelled<Pass>(),
                      .pass = {bytes, bytes + sizeof pass},
                      .blocks = grid.blocks.x,
                      .threads = grid.threads.x,
                      .shared_bytes = grid.shared_bytes});
  }
  return launch<kernel>(grid, pass);
}

}  // namespace tidu::cuda

#endif
