// Random numbers.
#include "ops/random.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "backend/cpu/kernels.h"
#include "backend/cpu/threads.h"
#include "core/backend.h"
#include "kernels/cpu/random.h"
#include "kernels/philox.h"

namespace tidu::cpu {
namespace {

uint64_t key_of(const Call& call) {
  const Tensor& key = call.inputs[0];
  const uint32_t* words = key.data<uint32_t>();
  return philox::join(words[0], words[key.strides()[0]]);
}

template <class T> void fill(RandomFunction<T> function, uint64_t key, T* out, int64_t n) {
  parallel_elements(n, [&](int64_t begin, int64_t end) { function(key, begin, end - begin, out + begin); });
}

template <class Narrow, class Wide>
void draw(const Call& call, RandomFunction<Narrow> narrow, RandomFunction<Wide> wide) {
  const Tensor& y = call.outputs[0];
  if (y.dtype() == dtype_of<Narrow>) return fill(narrow, key_of(call), y.data<Narrow>(), y.numel());
  fill(wide, key_of(call), y.data<Wide>(), y.numel());
}

void random_bits(const Call& call) { draw(call, random_functions().bits32, random_functions().bits64); }
void random_uniform(const Call& call) {
  draw(call, random_functions().uniform32, random_functions().uniform64);
}
void random_normal(const Call& call) { draw(call, random_functions().normal32, random_functions().normal64); }

void random_permutation(const Call& call) {
  const Tensor& y = call.outputs[0];
  const size_t n = static_cast<size_t>(y.numel());
  const std::unique_ptr<uint64_t[]> bits(new uint64_t[n]);
  fill(random_functions().bits64, key_of(call), bits.get(), y.numel());
  int64_t* order = y.data<int64_t>();
  std::iota(order, order + n, int64_t{0});
  std::sort(order, order + n,
            [&](int64_t a, int64_t b) { return bits[a] != bits[b] ? bits[a] < bits[b] : a < b; });
}

}  // namespace

void register_random_kernels() {
  set_kernel(primitives::random_bits, DeviceType::cpu, random_bits);
  set_kernel(primitives::random_uniform, DeviceType::cpu, random_uniform);
  set_kernel(primitives::random_normal, DeviceType::cpu, random_normal);
  set_kernel(primitives::random_permutation, DeviceType::cpu, random_permutation);
}

}  // namespace tidu::cpu
