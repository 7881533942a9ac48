// Arrays of Philox numbers: a thread makes one block, which is 16 bytes of any kind.
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
  Key key;
  __device__ Vec<T, kVec<T>> operator()(int64_t v) const {
    Vec<T, kVec<T>> y;
    Kind::apply(philox::block(join(key.words[0], key.words[key.stride]), static_cast<uint64_t>(v)), y);
    return y;
  }
};

template <class Kind, class T> cudaError_t draw(cudaStream_t stream, Key key, T* y, int64_t count) {
  return generate<T, kVec<T>>(stream, Draw<Kind, T>{key}, y, count);
}

}  // namespace

cudaError_t random_bits(cudaStream_t stream, Key key, uint32_t* y, int64_t count) {
  return draw<Bits>(stream, key, y, count);
}
cudaError_t random_bits(cudaStream_t stream, Key key, uint64_t* y, int64_t count) {
  return draw<Bits>(stream, key, y, count);
}
cudaError_t random_uniform(cudaStream_t stream, Key key, float* y, int64_t count) {
  return draw<Uniform>(stream, key, y, count);
}
cudaError_t random_uniform(cudaStream_t stream, Key key, double* y, int64_t count) {
  return draw<Uniform>(stream, key, y, count);
}
cudaError_t random_normal(cudaStream_t stream, Key key, float* y, int64_t count) {
  return draw<Normal>(stream, key, y, count);
}
cudaError_t random_normal(cudaStream_t stream, Key key, double* y, int64_t count) {
  return draw<Normal>(stream, key, y, count);
}

}  // namespace tidu::cuda
