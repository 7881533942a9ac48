// What the tests of device cuda share: the same tensor on both devices, and its elements as numbers.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "cuda/driver.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/random.h"
#include "ops/shape.h"

namespace tidu::cuda_testing {

inline constexpr tidu::Device kCuda{DeviceType::cuda, 0};

// The elements in order, as doubles.
inline std::vector<double> values(const Tensor& x) {
  const Tensor here = copy(x.device().type == DeviceType::cpu ? x : to(x, {}));
  std::vector<double> result;
  visit_dtype(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < here.numel(); ++i) result.push_back(static_cast<double>(here.data<T>()[i]));
  });
  return result;
}

// The bytes of the elements in order.
inline std::string bytes(const Tensor& x) {
  const Tensor here = copy(x.device().type == DeviceType::cpu ? x : to(x, {}));
  return std::string(static_cast<const char*>(here.raw_data()), here.nbytes());
}

// |got - want| <= slack, NaN and infinities equal.
inline void expect_near(const Tensor& got, const Tensor& want, const Tensor& slack, const std::string& what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const std::vector<double> have = values(got), wanted = values(want), room = values(slack);
  for (size_t i = 0; i < have.size(); ++i) {
    if (have[i] == wanted[i] || (std::isnan(have[i]) && std::isnan(wanted[i]))) continue;
    ASSERT_NEAR(have[i], wanted[i], room[i]) << what << " at " << i;
  }
}

// Numbers of any dtype, of either sign where it has one.
inline Tensor numbers(const Shape& shape, DType dtype, uint64_t seed = 1) {
  const Tensor x = random_normal(random_key(seed), shape, 0.2, 1, DType::float32);
  if (is_floating(dtype)) return astype(x, dtype);
  if (kind_of(dtype) == Kind::boolean) return x > 0.5;
  const double size = size_of(dtype) == 1 ? 30 : 1000;
  return astype(kind_of(dtype) == Kind::unsigned_integer ? abs(x) * size : x * size, dtype);
}

// A view of memory that is made on the cpu and copied to device cuda.
struct Layout {
  std::string name;
  Shape memory;
  std::function<Tensor(const Tensor&)> view;
};

// (6, 10, 14) laid out in many ways.
inline std::vector<Layout> layouts() {
  const Shape shape{6, 10, 14};
  return {
      {"contiguous", shape, [](const Tensor& x) { return x; }},
      {"reversed axes",
       {14, 10, 6},
       [](const Tensor& x) {
         return permute_dims(x, {2, 1, 0});
       }},
      {"swapped outer axes",
       {10, 6, 14},
       [](const Tensor& x) {
         return permute_dims(x, {1, 0, 2});
       }},
      {"swapped inner axes",
       {6, 14, 10},
       [](const Tensor& x) {
         return permute_dims(x, {0, 2, 1});
       }},
      {"broadcast last", {10, 1}, [=](const Tensor& x) { return broadcast_to(x, shape); }},
      {"broadcast first", {14}, [=](const Tensor& x) { return broadcast_to(x, shape); }},
      {"broadcast both", {6, 1, 1}, [=](const Tensor& x) { return broadcast_to(x, shape); }},
      {"broadcast middle", {6, 1, 14}, [=](const Tensor& x) { return broadcast_to(x, shape); }},
      {"one element", {}, [=](const Tensor& x) { return broadcast_to(x, shape); }},
      {"flipped", shape,
       [](const Tensor& x) {
         return flip(x, {0, 2});
       }},
      {"strided",
       {13, 10, 30},
       [=](const Tensor& x) {
         return slice(x, {1, 0, 28}, shape, {2, 1, -2});
       }},
      {"unaligned",
       {6, 10, 15},
       [=](const Tensor& x) {
         return slice(x, {0, 0, 1}, shape, {1, 1, 1});
       }},
      {"empty", {6, 0, 14}, [](const Tensor& x) { return x; }},
      {"no axes", {}, [](const Tensor& x) { return x; }},
  };
}

// Of the dtype itself, and of what is computed in for it.
inline double epsilon(DType dtype) {
  if (dtype == DType::float16) return 0x1p-10;
  if (dtype == DType::bfloat16) return 0x1p-7;
  return dtype == DType::float32 ? 0x1p-23 : 0x1p-52;
}
inline double computed_epsilon(DType dtype) { return std::min(epsilon(dtype), 0x1p-23); }

inline constexpr DType kFloats[] = {DType::float16, DType::bfloat16, DType::float32, DType::float64};

}  // namespace tidu::cuda_testing
