// First values of weights, from explicit keys. A weight has shape (outputs, inputs, ..); the axes after the
// second multiply both fans. ShapeError for fewer than two axes. (Constants and plain distributions are
// zeros, ones, full, random_uniform and random_normal.)
#pragma once

#include "tensor/tensor.h"

namespace tidu::nn {

// Uniform in [-a, a) with a = gain sqrt(6 / (fan_in + fan_out)), normal with standard deviation
// gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010).
Tensor xavier_uniform(const Tensor& key, const Shape& shape, double gain = 1, DType dtype = kDefaultFloat);
Tensor xavier_normal(const Tensor& key, const Shape& shape, double gain = 1, DType dtype = kDefaultFloat);

enum class Fan : uint8_t { in, out };

// Uniform in [-a, a) with a = gain sqrt(3 / fan), normal with standard deviation gain / sqrt(fan) (He et al.
// 2015). The default gain, sqrt(2), is that of relu.
inline constexpr double kReluGain = 1.41421356237309504880;
Tensor kaiming_uniform(const Tensor& key, const Shape& shape, double gain = kReluGain, Fan fan = Fan::in,
                       DType dtype = kDefaultFloat);
Tensor kaiming_normal(const Tensor& key, const Shape& shape, double gain = kReluGain, Fan fan = Fan::in,
                      DType dtype = kDefaultFloat);

}  // namespace tidu::nn
