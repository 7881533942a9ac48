// Random numbers from explicit keys. A number depends on its key and position alone (Philox4x32-10, Salmon et
// al. 2011), so it is the same on every device, for every number of threads and in every order.
#pragma once

#include "core/primitive.h"

namespace tidu {

// A key is a uint32 tensor of shape (2,). Use each key once: split it, and give the parts away.
Tensor random_key(uint64_t seed, Device device = {});
// `count` new keys, (count, 2).
Tensor random_split(const Tensor& key, int64_t count = 2);
// A new key from a key and a number, (2,).
Tensor random_fold_in(const Tensor& key, uint64_t number);

Tensor random_bits(const Tensor& key, const Shape& shape);  // uint32
Tensor random_uniform(const Tensor& key, const Shape& shape, double low = 0, double high = 1,
                      DType dtype = kDefaultFloat);  // [low, high)
Tensor random_normal(const Tensor& key, const Shape& shape, double mean = 0, double std = 1,
                     DType dtype = kDefaultFloat);
Tensor random_bernoulli(const Tensor& key, double probability, const Shape& shape);  // bool
Tensor random_integers(const Tensor& key, const Shape& shape, int64_t low, int64_t high,
                       DType dtype = kDefaultInt);            // [low, high)
Tensor random_permutation(const Tensor& key, int64_t count);  // int64

struct RandomAttrs {
  Shape shape;  // for one key
  DType dtype;
  int64_t keys = -1;  // how many, in the rows of a matrix; -1: one, a vector
  void fields(auto&& field) const { field("shape", shape), field("dtype", dtype), field("keys", keys); }
};
namespace primitives {
extern Primitive random_bits;         // (keys), RandomAttrs: uint32 or uint64
extern Primitive random_uniform;      // (keys), RandomAttrs: float32 or float64 in [0, 1)
extern Primitive random_normal;       // (keys), RandomAttrs: float32 or float64
extern Primitive random_permutation;  // (key), RandomAttrs of an int64 vector: 0 .. n-1 in the order of n
                                      // random uint64 (ties by index)
}  // namespace primitives

}  // namespace tidu
