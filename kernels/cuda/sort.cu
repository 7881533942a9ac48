// Sorting and compaction, by Thrust.
#include "kernels/cuda/sort.h"

#include "kernels/cuda/thrust.cuh"

// After the choice of Thrust's system.
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#include <thrust/scan.h>
#include <thrust/scatter.h>
#include <thrust/sort.h>

namespace tidu::cuda {
namespace {

template <class Key, class Value>
cudaError_t sort(cudaStream_t stream, Scratch scratch, Key* keys, Value* values, int64_t count) {
  const size_t bytes = static_cast<size_t>(count) * (sizeof(Key) + sizeof(Value)) + 64;
  return run_thrust(stream, scratch, bytes, [=](const auto& policy) {
    thrust::stable_sort_by_key(policy, keys, keys + count, values);
  });
}

template <class Rank> struct AsRank {
  TIDU_HD Rank operator()(bool set) const { return set ? 1 : 0; }
};
template <class Rank> struct PlaceOfRank {
  TIDU_HD int64_t operator()(Rank rank) const { return static_cast<int64_t>(rank) - 1; }
};
template <class Rank> struct IsFound {
  const bool* mask;
  const Rank* ranks;
  int64_t count;
  TIDU_HD bool operator()(int64_t i) const { return mask[i] && static_cast<int64_t>(ranks[i]) <= count; }
};

// The number of true elements stays on the device: each true element's rank among them is its place.
template <class Rank>
cudaError_t find(cudaStream_t stream, Scratch scratch, const bool* mask, int64_t n, int64_t* positions,
                 int64_t count) {
  Rank* const ranks = scratch.of<Rank>(static_cast<size_t>(n));
  return run_thrust(stream, scratch, 0, [=](const auto& policy) {
    const auto ones = thrust::make_transform_iterator(mask, AsRank<Rank>());
    thrust::inclusive_scan(policy, ones, ones + n, ranks);
    const auto numbers = thrust::make_counting_iterator(int64_t{0});
    const auto places = thrust::make_transform_iterator(ranks, PlaceOfRank<Rank>());
    thrust::scatter_if(policy, numbers, numbers + n, places, numbers, positions,
                       IsFound<Rank>{mask, ranks, count});
  });
}

}  // namespace

cudaError_t sort_pairs(cudaStream_t stream, Scratch scratch, uint32_t* keys, uint32_t* values,
                       int64_t count) {
  return sort(stream, scratch, keys, values, count);
}
cudaError_t sort_pairs(cudaStream_t stream, Scratch scratch, uint32_t* keys, int64_t* values, int64_t count) {
  return sort(stream, scratch, keys, values, count);
}
cudaError_t sort_pairs(cudaStream_t stream, Scratch scratch, uint64_t* keys, int64_t* values, int64_t count) {
  return sort(stream, scratch, keys, values, count);
}

cudaError_t find_true(cudaStream_t stream, Scratch scratch, const bool* mask, int64_t n, int64_t* positions,
                      int64_t count) {
  constexpr int64_t narrow = int64_t{1} << 31;
  return n < narrow ? find<uint32_t>(stream, scratch, mask, n, positions, count)
                    : find<uint64_t>(stream, scratch, mask, n, positions, count);
}

}  // namespace tidu::cuda
