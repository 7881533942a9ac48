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

template <class Key, class Value> auto sorting(Key* keys, Value* values, int64_t count) {
  return [=](const auto& policy) { thrust::stable_sort_by_key(policy, keys, keys + count, values); };
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

// The ranks of a mask's elements, and then the room for finding them.
template <class Rank> size_t ranks_bytes(int64_t n) {
  return (static_cast<size_t>(n) * sizeof(Rank) + 255) / 256 * 256;
}
template <class Rank> auto ranking(const bool* mask, int64_t n, Rank* ranks) {
  return [=](const auto& policy) {
    const auto ones = thrust::make_transform_iterator(mask, AsRank<Rank>());
    thrust::inclusive_scan(policy, ones, ones + n, ranks);
  };
}

// The number of true elements stays on the device: each true element's rank among them is its place.
template <class Rank>
cudaError_t find(cudaStream_t stream, Room room, const bool* mask, int64_t n, int64_t* positions,
                 int64_t count) {
  Rank* const ranks = static_cast<Rank*>(room.data);
  const size_t taken = ranks_bytes<Rank>(n);
  const auto rank = ranking(mask, n, ranks);
  return run_thrust(stream, {static_cast<char*>(room.data) + taken, room.bytes - taken},
                    [=](const auto& policy) {
                      rank(policy);
                      const auto numbers = thrust::make_counting_iterator(int64_t{0});
                      const auto places = thrust::make_transform_iterator(ranks, PlaceOfRank<Rank>());
                      thrust::scatter_if(policy, numbers, numbers + n, places, numbers, positions,
                                         IsFound<Rank>{mask, ranks, count});
                    });
}

constexpr int64_t kNarrow = int64_t{1} << 31;

}  // namespace

template <class Key, class Value>
cudaError_t sort_pairs(cudaStream_t stream, Room room, Key* keys, Value* values, int64_t count) {
  return run_thrust(stream, room, sorting(keys, values, count));
}
template <class Key, class Value> size_t sort_bytes(int64_t count) {
  const size_t of_host = static_cast<size_t>(count) * (sizeof(Key) + sizeof(Value)) + 64;
  return thrust_bytes(of_host, sorting<Key, Value>(nullptr, nullptr, count));
}

#define TIDU_SORTS(Key, Value)                                                            \
  template cudaError_t sort_pairs<Key, Value>(cudaStream_t, Room, Key*, Value*, int64_t); \
  template size_t sort_bytes<Key, Value>(int64_t);
TIDU_SORTS(uint32_t, uint32_t)
TIDU_SORTS(uint32_t, int64_t)
TIDU_SORTS(uint64_t, int64_t)
#undef TIDU_SORTS

cudaError_t find_true(cudaStream_t stream, Room room, const bool* mask, int64_t n, int64_t* positions,
                      int64_t count) {
  return n < kNarrow ? find<uint32_t>(stream, room, mask, n, positions, count)
                     : find<uint64_t>(stream, room, mask, n, positions, count);
}
size_t find_bytes(int64_t n) {
  const auto bytes = [n]<class Rank>() {
    return ranks_bytes<Rank>(n) + thrust_bytes(0, ranking<Rank>(nullptr, n, nullptr));
  };
  return n < kNarrow ? bytes.operator()<uint32_t>() : bytes.operator()<uint64_t>();
}

}  // namespace tidu::cuda
