// Random numbers.
#include "ops/random.h"

#include <cmath>
#include <limits>

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/order.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void infer(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& key = call.inputs[0];
  const auto& attrs = call.attrs.as<RandomAttrs>();
  if (key.shape != (attrs.keys < 0 ? Shape{2} : Shape{attrs.keys, 2}) || key.dtype != DType::uint32) {
    fail<ShapeError>("[", call.primitive.name,
                     "] the key, a uint32 tensor of shape (2,) as random.key(seed) makes, comes first: not ",
                     key);
  }
  outputs[0] = {attrs.shape, attrs.dtype, key.device};
  if (attrs.keys >= 0) outputs[0].shape.insert(0, attrs.keys);
}

// What the kernels of a primitive draw.
template <DType a, DType b> void check_drawn(const SpecCall& call, size_t) {
  const auto& [shape, dtype, keys] = call.attrs.as<RandomAttrs>();
  require(keys >= -1 && attr::are_extents(shape) && (dtype == a || dtype == b), call,
          "no numbers of this shape and dtype are drawn");
}
void check_permutation(const SpecCall& call, size_t) {
  check_drawn<DType::int64, DType::int64>(call, 1);
  const auto& attrs = call.attrs.as<RandomAttrs>();
  require(attrs.keys == -1 && attrs.shape.size() == 1, call, "a permutation is a vector of one key");
}

// Halves are drawn in float32.
DType drawn_type(DType dtype, const char* op) {
  if (!is_floating(dtype)) fail<DTypeError>("[", op, "] yields floating-point numbers, not ", dtype);
  return dtype == DType::float64 ? dtype : DType::float32;
}

double largest(DType dtype) {
  return dtype == DType::float64    ? std::numeric_limits<double>::max()
         : dtype == DType::float32  ? std::numeric_limits<float>::max()
         : dtype == DType::bfloat16 ? 0x1.fep127
                                    : 65504;
}

// The largest number of `dtype` below `bound`, which rounding may reach.
double next_below(double bound, DType dtype) {
  const int digits = dtype == DType::float64   ? 53
                     : dtype == DType::float32 ? 24
                     : dtype == DType::float16 ? 11
                                               : 8;
  int exponent = 0;
  const bool spacing_halves = std::frexp(bound, &exponent) == 0.5;
  const double spacing = std::ldexp(1.0, exponent - digits - spacing_halves);
  return (std::ceil(bound / spacing) - 1) * spacing;
}

// Numbers of dtype `drawn` from the key of each lane. The call itself may be one of many keys.
Tensor draw_lanes(const BatchedCall& batched, const Primitive& primitive, DType drawn) {
  const Tensor& keys = batched.call.inputs[0];
  const int64_t count = keys.numel() / 2;
  const Shape& each = batched.call.attrs.as<RandomAttrs>().shape;
  Shape shape(keys.shape().begin(), keys.shape().end() - 1);
  for (int64_t extent : each) shape.push_back(extent);
  return reshape(bind(primitive, {reshape(keys, {count, 2})}, RandomAttrs{each, drawn, count}), shape);
}

Tensors batch_random(const BatchedCall& batched) {
  return {draw_lanes(batched, batched.call.primitive, batched.call.attrs.as<RandomAttrs>().dtype)};
}

// The order of the numbers that the kernel for one key sorts.
Tensors batch_permutation(const BatchedCall& batched) {
  return {argsort(draw_lanes(batched, primitives::random_bits, DType::uint64))};
}

}  // namespace

namespace primitives {
// Ten rounds of Philox give four words.
// | `random_bits` | no derivative: 0 | | |
Primitive random_bits("random_bits", {.batching = batch_random,
                                      .attrs = RandomAttrs{},
                                      .check = check_drawn<DType::uint32, DType::uint64>,
                                      .infer = infer,
                                      .derivative = Zero{},
                                      .flops = flops_per_output<20>});
// | `random_uniform` | no derivative: 0 | | |
Primitive random_uniform("random_uniform", {.batching = batch_random,
                                            .attrs = RandomAttrs{},
                                            .check = check_drawn<DType::float32, DType::float64>,
                                            .infer = infer,
                                            .derivative = Zero{},
                                            .flops = flops_per_output<22>});
// | `random_normal` | no derivative: 0 | | |
Primitive random_normal("random_normal", {.batching = batch_random,
                                          .attrs = RandomAttrs{},
                                          .check = check_drawn<DType::float32, DType::float64>,
                                          .infer = infer,
                                          .derivative = Zero{},
                                          .flops = flops_per_output<22, 2>});
// | `random_permutation` | no derivative: 0 | | |
Primitive random_permutation("random_permutation", {.batching = batch_permutation,
                                                    .attrs = RandomAttrs{},
                                                    .check = check_permutation,
                                                    .infer = infer,
                                                    .derivative = Zero{},
                                                    .flops = flops_per_output<20>});
}  // namespace primitives

Tensor random_key(uint64_t seed, Device device) {
  const uint32_t words[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  return copy_from_host(words, {2}, DType::uint32, device);
}

Tensor random_bits(const Tensor& key, const Shape& shape) {
  return bind(primitives::random_bits, {key}, RandomAttrs{shape, DType::uint32});
}

Tensor random_split(const Tensor& key, int64_t count) {
  if (count < 0) fail<ValueError>("[random_split] the number of keys is ", count);
  return random_bits(key, {count, 2});
}

Tensor random_fold_in(const Tensor& key, uint64_t number) {
  const uint32_t words[2] = {static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32)};
  const Tensor folded = bitwise_xor(key, copy_from_host(words, {2}, DType::uint32, key.device()));
  // Hashed twice, so that folding 0 in is not splitting.
  return random_bits(random_bits(folded, {2}), {2});
}

Tensor random_uniform(const Tensor& key, const Shape& shape, double low, double high, DType dtype) {
  if (!(low <= high)) fail<ValueError>("[random_uniform] the interval [", low, ", ", high, ") is empty");
  const DType drawn = drawn_type(dtype, "random_uniform");
  if (low < -largest(dtype) || high > largest(dtype))
    fail<ValueError>("[random_uniform] the interval [", low, ", ", high, ") exceeds the numbers of ", dtype);
  const Tensor unit = bind(primitives::random_uniform, {key}, RandomAttrs{shape, drawn});
  if (low == 0 && high == 1 && drawn == dtype) return unit;
  // In halves where the width of the interval is no number of the dtype.
  const bool wide = high / 2 - low / 2 > largest(drawn) / 2;
  const Tensor part = wide ? low / 2 + (high / 2 - low / 2) * unit : low + (high - low) * unit;
  const Tensor scaled = astype(wide ? part + part : part, dtype);
  return where(scaled < high, scaled, std::max(low, next_below(high, dtype)));
}

Tensor random_normal(const Tensor& key, const Shape& shape, double mean, double std, DType dtype) {
  if (!(std >= 0)) fail<ValueError>("[random_normal] the standard deviation is ", std);
  const DType drawn = drawn_type(dtype, "random_normal");
  const Tensor standard = bind(primitives::random_normal, {key}, RandomAttrs{shape, drawn});
  return astype(mean == 0 && std == 1 ? standard : mean + std * standard, dtype);
}

Tensor random_bernoulli(const Tensor& key, double probability, const Shape& shape) {
  if (!(probability >= 0 && probability <= 1))
    fail<ValueError>("[random_bernoulli] the probability is ", probability);
  return random_uniform(key, shape) < probability;
}

Tensor random_integers(const Tensor& key, const Shape& shape, int64_t low, int64_t high, DType dtype) {
  if (low >= high) fail<ValueError>("[random_integers] the range [", low, ", ", high, ") is empty");
  if (!is_integral(dtype)) fail<DTypeError>("[random_integers] yields integers, not ", dtype);
  Scalar(low).check_fits(dtype, "random_integers");
  Scalar(high - 1).check_fits(dtype, "random_integers");
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  if (range > INT64_MAX)
    fail<ValueError>("[random_integers] the range [", low, ", ", high, ") is wider than 2^63");
  const Tensor bits = bind(primitives::random_bits, {key}, RandomAttrs{shape, DType::uint64});
  const Tensor rest = remainder(bits, static_cast<int64_t>(range));
  return astype(low == 0 ? rest : rest + static_cast<uint64_t>(low), dtype);  // which wraps
}

Tensor random_permutation(const Tensor& key, int64_t count) {
  if (count < 0) fail<ValueError>("[random_permutation] the number of elements is ", count);
  return bind(primitives::random_permutation, {key}, RandomAttrs{Shape{count}, DType::int64});
}

}  // namespace tidu
