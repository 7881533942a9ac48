// Differentiates twice through the installed library, and meets one of its errors.
#include <tidu/tidu.h>

#include <cstdio>
#include <stdexcept>

int main() {
  const auto cube = [](const tidu::Tensor& x) { return tidu::sum(x * x * x); };
  const tidu::Tensor x = tidu::tensor<double>({2.0});
  const double first = tidu::item<double>(tidu::grad(cube)(x));
  const double second = tidu::item<double>(tidu::hessian(cube)(x));
  std::printf("d x^3 = %g, d2 x^3 = %g at x = 2\n", first, second);
  try {
    tidu::matmul(tidu::zeros({2, 3}), tidu::zeros({4, 5}));
  } catch (const std::invalid_argument& error) {
    std::printf("%s\n", error.what());
    return first == 12 && second == 12 ? 0 : 1;
  }
  return 1;
}
