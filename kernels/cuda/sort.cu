// Sorting: CUB's radix sort for GPUs. The SIMT runtime does not execute CUB and has a merge sort by one
// thread.
#include "kernels/cuda/sort.h"

#include "kernels/cuda/portable.h"

#ifdef __CUDACC__
#include <cub/device/device_radix_sort.cuh>
#endif

namespace tidu::cuda {

#ifdef __CUDACC__

cudaError_t sort_workspace(int64_t count, size_t* bytes) {
  const uint64_t* keys = nullptr;
  const int64_t* values = nullptr;
  return cub::DeviceRadixSort::SortPairs(nullptr, *bytes, keys, const_cast<uint64_t*>(keys), values,
                                         const_cast<int64_t*>(values), count);
}

cudaError_t sort_pairs(cudaStream_t stream, void* workspace, size_t bytes, const Pairs& pairs,
                       const Pairs& sorted, int64_t count, int bits) {
  const uint64_t* keys = pairs.keys;
  const int64_t* values = pairs.values;
  return cub::DeviceRadixSort::SortPairs(workspace, bytes, keys, sorted.keys, values, sorted.values, count, 0,
                                         bits, stream);
}

#else

namespace {

__global__ void merge_sort_kernel(Pairs from, Pairs to, int64_t count) {
  const uint64_t* result = to.keys;
  for (int64_t width = 1; width < count || from.keys != result; width *= 2) {
    for (int64_t begin = 0; begin < count; begin += 2 * width) {
      const int64_t middle = begin + width < count ? begin + width : count,
                    end = middle + width < count ? middle + width : count;
      int64_t left = begin, right = middle;
      for (int64_t i = begin; i < end; ++i) {
        const bool first = right == end || (left < middle && from.keys[left] <= from.keys[right]);
        const int64_t next = first ? left++ : right++;
        to.keys[i] = from.keys[next];
        to.values[i] = from.values[next];
      }
    }
    const Pairs other = from;
    from = to;
    to = other;
  }
}

}  // namespace

cudaError_t sort_workspace(int64_t, size_t* bytes) {
  *bytes = 0;
  return cudaSuccess;
}

cudaError_t sort_pairs(cudaStream_t stream, void*, size_t, const Pairs& pairs, const Pairs& sorted,
                       int64_t count, int) {
  return launch<merge_sort_kernel>({1, 1, 0, stream}, pairs, sorted, count);
}

#endif

}  // namespace tidu::cuda
