// Arrays of Philox numbers: a thread makes one block, which is 16 bytes of any kind. Of many keys, whose
// arrays begin anywhere, a thread makes one element.
#include "kernels/cuda/random.h"

#include "kernels/cuda/generate.cuh"
#include "kernels/philox.h"

namespace tidu::cuda {
namespace {

using philox::join;

struct Bits {
  static __device__ void apply(const philox::Block& b, Vec<uint32_t, 4>& y) {
#pragma unroll
    for (int w = 0; w < 4; ++w) y[w] = b.word[w];
  }
  static __device__ void apply(const philox::Block& b, Vec<uint64_t, 2>& y) {
    y[0] = join(b.word[0], b.word[1]);
    y[1] = join(b.word[2], b.word[3]);
  }
};

struct Uniform {
  static __device__ void apply(const philox::Block& b, Vec<float, 4>& y) {
#pragma unroll
    for (int w = 0; w < 4; ++w) y[w] = philox::uniform(b.word[w]);
  }
  static __device__ void apply(const philox::Block& b, Vec<double, 2>& y) {
    y[0] = philox::uniform(join(b.word[0], b.word[1]));
    y[1] = philox::uniform(join(b.word[2], b.word[3]));
  }
};

struct Normal {
  static __device__ void apply(const philox::Block& b, Vec<float, 4>& y) {
    philox::normal_pair(b.word[0], b.word[1], &y[0], &y[1]);
    philox::normal_pair(b.word[2], b.word[3], &y[2], &y[3]);
  }
  static __device__ void apply(const philox::Block& b, Vec<double, 2>& y) {
    philox::normal_pair(join(b.word[0], b.word[1]), join(b.word[2], b.word[3]), &y[0], &y[1]);
  }
};

template <class Kind, class T> struct Draw {
  Keys keys;
  __device__ Vec<T, kVec<T>> block(int64_t key, int64_t v) const {
    const uint32_t* words = keys.words + key * keys.step;
    Vec<T, kVec<T>> y;
    Kind::apply(philox::block(join(words[0], words[keys.stride]), static_cast<uint64_t>(v)), y);
    return y;
  }
  __device__ Vec<T, kVec<T>> operator()(int64_t v) const { return block(0, v); }
};

template <class Kind, class T> struct DrawMany : Draw<Kind, T> {
  __device__ Vec<T, 1> operator()(int64_t i) const {
    const int64_t key = i / this->keys.each, at = i - key * this->keys.each;
    const Vec<T, kVec<T>> made = this->block(key, at / kVec<T>);
    T y = made[0];
#pragma unroll
    for (int j = 1; j < kVec<T>; ++j) y = at % kVec<T> == j ? made[j] : y;  // an index would need memory
    return {y};
  }
};

template <class Kind, class T> cudaError_t draw(cudaStream_t stream, Keys keys, T* y, int64_t count) {
  if (keys.each == count) return generate<T, kVec<T>>(stream, Draw<Kind, T>{keys}, y, count);
  return generate<T, 1>(stream, DrawMany<Kind, T>{{keys}}, y, count);
}

}  // namespace

cudaError_t random_bits(cudaStream_t stream, Keys keys, uint32_t* y, int64_t count) {
  return draw<Bits>(stream, keys, y, count);
}
cudaError_t random_bits(cudaStream_t stream, Keys keys, uint64_t* y, int64_t count) {
  return draw<Bits>(stream, keys, y, count);
}
cudaError_t random_uniform(cudaStream_t stream, Keys keys, float* y, int64_t count) {
  return draw<Uniform>(stream, keys, y, count);
}
cudaError_t random_uniform(cudaStream_t stream, Keys keys, double* y, int64_t count) {
  return draw<Uniform>(stream, keys, y, count);
}
cudaError_t random_normal(cudaStream_t stream, Keys keys, float* y, int64_t count) {
  return draw<Normal>(stream, keys, y, count);
}
cudaError_t random_normal(cudaStream_t stream, Keys keys, double* y, int64_t count) {
  return draw<Normal>(stream, keys, y, count);
}

}  // namespace tidu::cuda
