// Arrays of Philox numbers (kernels/philox.h), the same as on the cpu, bit for bit: a thread makes one draw,
// which is 16 bytes of any kind. Of many keys, whose arrays begin anywhere, a thread makes one element.
#include "ops/random.h"

#include "backend/cuda/context.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/try.h"
#include "kernels/cuda/creation.h"
#include "kernels/cuda/generate.cuh"
#include "kernels/cuda/sort.h"
#include "kernels/philox.h"

namespace tidu::cuda {
namespace {

// Keys in device memory: two words each, `stride` words apart, for `each` elements of y; the next key lies
// `step` words on.
struct Keys {
  const uint32_t* words;
  int64_t stride, step, each;
};

using philox::join;

struct Bits {
  static __device__ void apply(const philox::Draw& b, Vec<uint32_t, 4>& y) {
#pragma unroll
    for (int w = 0; w < 4; ++w) y[w] = b.word[w];
  }
  static __device__ void apply(const philox::Draw& b, Vec<uint64_t, 2>& y) {
    y[0] = join(b.word[0], b.word[1]);
    y[1] = join(b.word[2], b.word[3]);
  }
};

struct Uniform {
  static __device__ void apply(const philox::Draw& b, Vec<float, 4>& y) {
#pragma unroll
    for (int w = 0; w < 4; ++w) y[w] = philox::uniform(b.word[w]);
  }
  static __device__ void apply(const philox::Draw& b, Vec<double, 2>& y) {
    y[0] = philox::uniform(join(b.word[0], b.word[1]));
    y[1] = philox::uniform(join(b.word[2], b.word[3]));
  }
};

struct Normal {
  static __device__ void apply(const philox::Draw& b, Vec<float, 4>& y) {
    philox::normal_pair(b.word[0], b.word[1], &y[0], &y[1]);
    philox::normal_pair(b.word[2], b.word[3], &y[2], &y[3]);
  }
  static __device__ void apply(const philox::Draw& b, Vec<double, 2>& y) {
    philox::normal_pair(join(b.word[0], b.word[1]), join(b.word[2], b.word[3]), &y[0], &y[1]);
  }
};

template <class Kind, class T> struct Draw {
  Keys keys;
  __device__ Vec<T, kVec<T>> draw(int64_t key, int64_t v) const {
    const uint32_t* words = keys.words + key * keys.step;
    Vec<T, kVec<T>> y;
    Kind::apply(philox::draw(join(words[0], words[keys.stride]), static_cast<uint64_t>(v)), y);
    return y;
  }
  __device__ Vec<T, kVec<T>> operator()(int64_t v) const { return draw(0, v); }
};

template <class Kind, class T> struct DrawMany : Draw<Kind, T> {
  __device__ Vec<T, 1> operator()(int64_t i) const {
    const int64_t key = i / this->keys.each, at = i - key * this->keys.each;
    const Vec<T, kVec<T>> made = this->draw(key, at / kVec<T>);
    T y = made[0];
#pragma unroll
    for (int j = 1; j < kVec<T>; ++j) y = at % kVec<T> == j ? made[j] : y;  // an index would need memory
    return {y};
  }
};

// For `count` elements.
Keys keys_of(const Call& call, int64_t count) {
  const Tensor& keys = call.inputs[0];
  const int last = keys.ndim() - 1;
  const int64_t each = last > 0 ? count / keys.size(0) : count;
  return {keys.data<uint32_t>(), keys.strides()[last], last > 0 ? keys.strides()[0] : 0, each};
}

// y is aligned to 16 bytes.
template <class Kind, class T> cudaError_t draw(const Call& call, T* y, Context& context) {
  const int64_t count = call.outputs[0].numel();
  if (count == 0) return cudaSuccess;
  const Keys keys = keys_of(call, count);
  if (keys.each == count) return generate<T, kVec<T>>(context.stream(), Draw<Kind, T>{keys}, y, count);
  return generate<T, 1>(context.stream(), DrawMany<Kind, T>{{keys}}, y, count);
}

template <class Kind, class Narrow, class Wide> cudaError_t draw(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  if (y.dtype() == dtype_of<Narrow>) return draw<Kind>(call, y.data<Narrow>(), context);
  return draw<Kind>(call, y.data<Wide>(), context);
}

// 0 .. n-1 in the order of n random numbers, equal ones in their own.
cudaError_t permutation(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  const int64_t count = y.numel();
  if (count == 0) return cudaSuccess;
  uint64_t* const keys = context.workspace<uint64_t>(static_cast<size_t>(count));
  const Room room = context.room(sort_bytes<uint64_t, int64_t>(count));
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  int64_t* const order = y.data<int64_t>();
  TIDU_TRY(draw<Bits>(call, keys, context));
  const Number zero{.real = false, .integer = 0}, one{.real = false, .integer = 1};
  TIDU_TRY(arange(stream, zero, one, DType::int64, order, count));
  return sort_pairs(stream, room, keys, order, count);
}

}  // namespace

void register_random_kernels() {
  set_operation<draw<Bits, uint32_t, uint64_t>>(primitives::random_bits);
  set_operation<draw<Uniform, float, double>>(primitives::random_uniform);
  set_operation<draw<Normal, float, double>>(primitives::random_normal);
  set_counted_operation<permutation>(primitives::random_permutation);
}

}  // namespace tidu::cuda
