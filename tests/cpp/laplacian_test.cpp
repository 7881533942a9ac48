// The Laplacian and the biharmonic from C++, against closed forms.
#include "transforms/laplacian.h"

#include <gtest/gtest.h>

#include "tidu.h"

namespace tidu {
namespace {

TEST(Laplacian, OfAWave) {
  const Tensor wave = random_uniform(random_key(1), {5}, -1, 1, DType::float64),
               x = random_uniform(random_key(2), {5}, -1, 1, DType::float64);
  const Function f = [&](const Tensors& in) { return Tensors{sin(sum(wave * in[0]))}; };
  const Tensor k2 = sum(square(wave)), y = sin(sum(wave * x));
  for (const std::optional<int64_t> chunk : {std::optional<int64_t>(), std::optional<int64_t>(2)}) {
    EXPECT_NEAR(item<double>(laplacian(f, x, {}, chunk)[0] + k2 * y), 0, 1e-12);
    EXPECT_NEAR(item<double>(biharmonic(f, x, {}, chunk)[0] - k2 * k2 * y), 0, 1e-11);
  }
  const Draws draws{20000, random_key(3)};
  EXPECT_NEAR(item<double>(laplacian(f, x, draws)[0]), item<double>(-k2 * y), 0.1);
  EXPECT_THROW(laplacian(f, x, {}, 0), ValueError);
  EXPECT_THROW(laplacian(f, arange(3), {}), DTypeError);
}

}  // namespace
}  // namespace tidu
