// Normalisation over trailing axes, and of channels.
#pragma once

#include "core/primitive.h"

namespace tidu {

// (x - mean) / sqrt(var + eps) * weight + bias over the trailing axes, which have `shape`; the variance is
// the biased one. Weight and bias have that shape or are undefined (Ba et al. 2016).
Tensor layer_norm(const Tensor& x, const Shape& shape, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5);
// x / sqrt(mean(x^2) + eps) * weight likewise (Zhang, Sennrich 2019).
Tensor rms_norm(const Tensor& x, const Shape& shape, const Tensor& weight = {}, double eps = 1e-5);

// (x - mean) / sqrt(variance + eps) * weight + bias of each channel, axis 1 of x (N, C, ..), by its mean and
// biased variance over all other axes, which come beside y, in float32 where that has 16 bits (Ioffe, Szegedy
// 2015). Weight and bias (C) or undefined.
struct BatchNormed {
  Tensor y, mean, variance;
};
BatchNormed batch_norm(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {},
                       double eps = 1e-5);

struct NormAttrs {
  int axes = 1;  // trailing ones
  double eps = 0;
  void fields(auto&& field) const {
    field("axes", axes);
    field("eps", eps);
  }
};

struct BatchNormAttrs {
  double eps = 0;
  void fields(auto&& field) const { field("eps", eps); }
};

namespace primitives {
// NormAttrs: (x, and perhaps weight, and perhaps bias), of one dtype -> y
extern Primitive layer_norm, rms_norm;
// NormAttrs: (x, g, and perhaps weight) -> the cotangent of x where g is that of y
extern Primitive layer_norm_grad, rms_norm_grad;
// BatchNormAttrs: (x (N, C, ..), and perhaps weight (C), and perhaps bias (C)), of one dtype -> (y, mean,
// variance)
extern Primitive batch_norm;
// BatchNormAttrs: (x, g, and perhaps weight) -> (the cotangent of x where g is that of y; the sums of
// normalised x times g, and of g, which are the cotangents of weight and bias, in float32 where x has 16
// bits)
extern Primitive batch_norm_grad;
}  // namespace primitives

}  // namespace tidu
