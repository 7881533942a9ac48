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
// their upper ones hold about one element each, and nobody is inserted far away.
void random_permutation(const Call& call, Workspace& workspace) {
  const Tensor& y = call.outputs[0];
  const int64_t n = y.numel();
  struct Drawn {
    uint64_t bits;
    int64_t place;
  };
  const int width = std::bit_width(static_cast<uint64_t>(n));
  const int64_t buckets = int64_t{1} << width;
  uint64_t* const bits = workspace.take<uint64_t>(n);
  Drawn* const drawn = workspace.take<Drawn>(n);
  int64_t* const next = workspace.take<int64_t>(buckets);
  if (workspace.counts() || n == 0) return;
  fill(random_functions().bits64, call, bits, n);
  std::fill_n(next, buckets, int64_t{0});
  const auto bucket = [&](int64_t i) { return static_cast<size_t>(bits[i] >> (64 - width)); };
  for (int64_t i = 0; i < n; ++i) ++next[bucket(i)];
  std::exclusive_scan(next, next + buckets, next, int64_t{0});
  for (int64_t i = 0; i < n; ++i) drawn[next[bucket(i)]++] = {bits[i], i};
  for (int64_t i = 1; i < n; ++i) {
    const Drawn here = drawn[i];
    int64_t k = i;
    for (; k > 0 && here.bits < drawn[k - 1].bits; --k) drawn[k] = drawn[k - 1];
    drawn[k] = here;
  }
  std::transform(drawn, drawn + n, y.data<int64_t>(), [](const Drawn& x) { return x.place; });
}

}  // namespace

void register_random_kernels() {
  set_kernel(primitives::random_bits, DeviceType::cpu, random_bits);
  set_kernel(primitives::random_uniform, DeviceType::cpu, random_uniform);
  set_kernel(primitives::random_normal, DeviceType::cpu, random_normal);
  set_kernel_with_workspace<random_permutation>(primitives::random_permutation);
}

}  // namespace tidu::cpu
