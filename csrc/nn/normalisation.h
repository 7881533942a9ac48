// Normalisation of channels, axis 1 of x (N, C, ..). What has 16 bits is computed in float32 and rounded
// once.
#pragma once

#include "core/primitive.h"

namespace tidu::nn {

// (x - mean) / sqrt(variance + eps) * weight + bias of each channel. In training, mean and (biased) variance
// are those of x over all other axes; otherwise, or where `training` is not said, those that ran. Running
// means and variances (C), where they are defined, become (1 - momentum) times what they were plus momentum
// times mean and unbiased variance of x. Weight and bias (C) may be undefined.
struct BatchNormOptions {
  bool training = false;
  double momentum = 0.1, eps = 1e-5;
};
Tensor batch_norm(const Tensor& x, Tensor& running_mean, Tensor& running_variance, const Tensor& weight,
                  const Tensor& bias, const BatchNormOptions& options);
// The same of each channel of each image. Running values take the mean over images.
Tensor instance_norm(const Tensor& x, Tensor& running_mean, Tensor& running_variance, const Tensor& weight,
                     const Tensor& bias, const BatchNormOptions& options);
// Of each of `groups` groups of neighbouring channels of each image.
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5);

}  // namespace tidu::nn
