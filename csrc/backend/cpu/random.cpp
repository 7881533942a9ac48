// Random numbers.
#include "ops/random.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/threads.h"
#include "backend/cpu/workspace.h"
#include "kernels/cpu/random.h"
#include "kernels/philox.h"

namespace tidu::cpu {
namespace {

// Of the only key, or of that in row i.
uint64_t key_of(const Call& call, int64_t i = 0) {
  const Tensor& keys = call.inputs[0];
  const uint32_t* words = keys.data<uint32_t>() + (keys.ndim() > 1 ? i * keys.strides()[0] : 0);
  return philox::join(words[0], words[keys.strides()[keys.ndim() - 1]]);
}

template <class T> void fill(RandomFunction<T> function, const Call& call, T* out, int64_t n) {
  const int64_t keys = call.attrs.as<RandomAttrs>().keys;
  if (keys < 0) {
    const uint64_t key = key_of(call);
    parallel_elements(n, [&](int64_t begin, int64_t end) { function(key, begin, end - begin, out + begin); });
  } else if (n > 0) {
    const int64_t each = n / keys;
    parallel_ranges(keys, std::max<int64_t>(kGrain / each, 1), n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) function(key_of(call, i), 0, each, out + i * each);
    });
  }
}

template <class Narrow, class Wide>
void draw(const Call& call, RandomFunction<Narrow> narrow, RandomFunction<Wide> wide) {
  const Tensor& y = call.outputs[0];
  if (y.dtype() == dtype_of<Narrow>) return fill(narrow, call, y.data<Narrow>(), y.numel());
  fill(wide, call, y.data<Wide>(), y.numel());
}

void random_bits(const Call& call) { draw(call, random_functions().bits32, random_functions().bits64); }
void random_uniform(const Call& call) {
  draw(call, random_functions().uniform32, random_functions().uniform64);
}
void random_normal(const Call& call) { draw(call, random_functions().normal32, random_functions().normal64); }

// Places in the order of their bits, those of equal bits in their own. As bits are spread evenly, buckets of
// their upper ones hold about one element each, and nobody is inserted far away. First they go to parts of so
// many buckets that caches near by hold one.
void random_permutation(const Call& call, Workspace& workspace) {
  constexpr int kMostLow = 10;
  const Tensor& y = call.outputs[0];
  const int64_t n = y.numel();
  struct Drawn {
    uint64_t bits;
    int64_t place;
  };
  const int width = std::bit_width(static_cast<uint64_t>(n)), low = std::min(width, kMostLow),
            high = width - low;
  const int64_t parts = int64_t{1} << high;
  uint64_t* const bits = workspace.take<uint64_t>(n);
  Drawn* const drawn = workspace.take<Drawn>(n);
  int64_t* const ends = workspace.take<int64_t>(parts + 1);
  if (workspace.counts() || n == 0) return;
  fill(random_functions().bits64, call, bits, n);
  const auto part_of = [&](uint64_t word) { return high == 0 ? 0 : word >> (64 - high); };
  std::fill_n(ends, parts + 1, int64_t{0});
  for (int64_t i = 0; i < n; ++i) ++ends[part_of(bits[i]) + 1];
  std::partial_sum(ends, ends + parts + 1, ends);
  for (int64_t i = 0; i < n; ++i) drawn[ends[part_of(bits[i])]++] = {bits[i], i};
  int64_t* const places = y.data<int64_t>();
  parallel_for(parts, 2 * n, [&](int64_t part) {
    const int64_t begin = part == 0 ? 0 : ends[part - 1], end = ends[part];
    int64_t next[1 << kMostLow] = {};
    const auto bucket = [&](int64_t i) { return drawn[i].bits >> (64 - width) & ((uint64_t{1} << low) - 1); };
    for (int64_t i = begin; i < end; ++i) ++next[bucket(i)];
    std::exclusive_scan(next, next + (1 << low), next, begin);
    for (int64_t i = begin; i < end; ++i) places[next[bucket(i)]++] = i;
    for (int64_t i = begin + 1; i < end; ++i) {
      const int64_t here = places[i];
      int64_t k = i;
      for (; k > begin && drawn[here].bits < drawn[places[k - 1]].bits; --k) places[k] = places[k - 1];
      places[k] = here;
    }
    std::transform(places + begin, places + end, places + begin, [&](int64_t i) { return drawn[i].place; });
  });
}

}  // namespace

void register_random_kernels() {
  set_kernel(primitives::random_bits, DeviceType::cpu, random_bits);
  set_kernel(primitives::random_uniform, DeviceType::cpu, random_uniform);
  set_kernel(primitives::random_normal, DeviceType::cpu, random_normal);
  set_kernel_with_workspace<random_permutation>(primitives::random_permutation);
}

}  // namespace tidu::cpu
