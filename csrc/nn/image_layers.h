// The layers for images x (N, C, ..): convolutions, poolings and normalisations of channels, along one to
// three axes. They have the names, and from one key the numbers, of the layers of the Python package.
#pragma once

#include "nn/convolution.h"
#include "nn/module.h"
#include "nn/normalisation.h"
#include "nn/pooling.h"

namespace tidu::nn {

// What convolutions have: weight and bias begin uniform in +-1 / sqrt(fan), the fan that of one output.
class ConvolutionLayer : public Module {
 public:
  void members(MemberVisitor& visit) override;

  Tensor
      weight;   // (outputs, channels / groups, kernel ..), transposed (channels, outputs / groups, kernel ..)
  Tensor bias;  // (outputs), or undefined

 protected:
  ConvolutionLayer(const Shape& weight_shape, int64_t outputs, const Tensor& key, bool with_bias);
};

// convolution. The kernel is one number for all axes, or one for each.
template <int rank> class Conv : public ConvolutionLayer {
 public:
  Conv(int64_t channels, int64_t outputs, const Dims& kernel, const Tensor& key,
       ConvolutionOptions options = {}, bool with_bias = true);
  Tensor forward(const Tensor& x) override { return convolution(rank, x, weight, bias, options_); }

 private:
  ConvolutionOptions options_;
};
using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

// transposed_convolution.
template <int rank> class ConvTranspose : public ConvolutionLayer {
 public:
  ConvTranspose(int64_t channels, int64_t outputs, const Dims& kernel, const Tensor& key,
                TransposedOptions options = {}, bool with_bias = true);
  Tensor forward(const Tensor& x) override { return transposed_convolution(rank, x, weight, bias, options_); }

 private:
  TransposedOptions options_;
};
using ConvTranspose1d = ConvTranspose<1>;
using ConvTranspose2d = ConvTranspose<2>;
using ConvTranspose3d = ConvTranspose<3>;

// The values of max_pool.
template <int rank> class MaxPool : public Module {
 public:
  explicit MaxPool(PoolingOptions options) : options_(std::move(options)) {}
  Tensor forward(const Tensor& x) override { return max_pool(rank, x, options_, false).values; }

 private:
  PoolingOptions options_;
};
using MaxPool1d = MaxPool<1>;
using MaxPool2d = MaxPool<2>;
using MaxPool3d = MaxPool<3>;

// avg_pool.
template <int rank> class AvgPool : public Module {
 public:
  explicit AvgPool(PoolingOptions options, bool count_include_pad = true)
      : options_(std::move(options)), count_include_pad_(count_include_pad) {}
  Tensor forward(const Tensor& x) override { return avg_pool(rank, x, options_, count_include_pad_); }

 private:
  PoolingOptions options_;
  bool count_include_pad_;
};
using AvgPool1d = AvgPool<1>;
using AvgPool2d = AvgPool<2>;
using AvgPool3d = AvgPool<3>;

// Normalisation by the mean and variance of x in training, which the buffers follow, and by the buffers
// otherwise, if there are any. The weight begins one, the bias zero.
struct RunningOptions {
  double momentum = 0.1, eps = 1e-5;
  bool affine = true, track_running_stats = true;
};
class RunningNorm : public Module {
 public:
  void members(MemberVisitor& visit) override;

  Tensor weight, bias;
  Tensor running_mean, running_var, num_batches_tracked;

 protected:
  RunningNorm(int64_t channels, RunningOptions options, Device device);
  using Function = Tensor(const Tensor&, Tensor&, Tensor&, const Tensor&, const Tensor&,
                          const BatchNormOptions&);
  Tensor normalised(Function& function, const Tensor& x);

 private:
  RunningOptions options_;
};
// batch_norm.
template <int rank> class BatchNorm : public RunningNorm {
 public:
  explicit BatchNorm(int64_t channels, RunningOptions options = {}, Device device = {})
      : RunningNorm(channels, options, device) {}
  Tensor forward(const Tensor& x) override;
};
using BatchNorm1d = BatchNorm<1>;  // of x (N, C) too
using BatchNorm2d = BatchNorm<2>;
using BatchNorm3d = BatchNorm<3>;
// instance_norm, of x (C, ..) too.
template <int rank> class InstanceNorm : public RunningNorm {
 public:
  explicit InstanceNorm(int64_t channels,
                        RunningOptions options = {.affine = false, .track_running_stats = false},
                        Device device = {})
      : RunningNorm(channels, options, device) {}
  Tensor forward(const Tensor& x) override;
};
using InstanceNorm1d = InstanceNorm<1>;
using InstanceNorm2d = InstanceNorm<2>;
using InstanceNorm3d = InstanceNorm<3>;

// group_norm; the weight begins one, the bias zero.
class GroupNorm : public Module {
 public:
  GroupNorm(int64_t groups, int64_t channels, double eps = 1e-5, Device device = {});
  Tensor forward(const Tensor& x) override { return group_norm(x, groups_, weight, bias, eps_); }
  void members(MemberVisitor& visit) override;

  Tensor weight, bias;

 private:
  int64_t groups_;
  double eps_;
};

}  // namespace tidu::nn
