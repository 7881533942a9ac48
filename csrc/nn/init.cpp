// First values of weights.
#include "nn/init.h"

#include <cmath>

#include "ops/random.h"

namespace tidu::nn {
namespace {

struct Fans {
  double in, out;
};

Fans fans_of(const Shape& shape, const char* op) {
  if (shape.size() < 2) fail<ShapeError>("[", op, "] a weight has shape (outputs, inputs, ..), not ", shape);
  double field = 1;
  for (int axis = 2; axis < shape.size(); ++axis) field *= static_cast<double>(shape[axis]);
  return {static_cast<double>(shape[1]) * field, static_cast<double>(shape[0]) * field};
}

double xavier_std(const Shape& shape, double gain, const char* op) {
  const Fans fans = fans_of(shape, op);
  return gain * std::sqrt(2 / (fans.in + fans.out));
}

double kaiming_std(const Shape& shape, double gain, Fan fan, const char* op) {
  const Fans fans = fans_of(shape, op);
  return gain / std::sqrt(fan == Fan::in ? fans.in : fans.out);
}

Tensor uniform_with_std(const Tensor& key, const Shape& shape, double std, DType dtype) {
  const double bound = std::sqrt(3.0) * std;
  return random_uniform(key, shape, -bound, bound, dtype);
}

}  // namespace

Tensor xavier_uniform(const Tensor& key, const Shape& shape, double gain, DType dtype) {
  return uniform_with_std(key, shape, xavier_std(shape, gain, "xavier_uniform"), dtype);
}
Tensor xavier_normal(const Tensor& key, const Shape& shape, double gain, DType dtype) {
  return random_normal(key, shape, 0, xavier_std(shape, gain, "xavier_normal"), dtype);
}
Tensor kaiming_uniform(const Tensor& key, const Shape& shape, double gain, Fan fan, DType dtype) {
  return uniform_with_std(key, shape, kaiming_std(shape, gain, fan, "kaiming_uniform"), dtype);
}
Tensor kaiming_normal(const Tensor& key, const Shape& shape, double gain, Fan fan, DType dtype) {
  return random_normal(key, shape, 0, kaiming_std(shape, gain, fan, "kaiming_normal"), dtype);
}

}  // namespace tidu::nn
