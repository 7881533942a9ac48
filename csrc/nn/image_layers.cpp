// The layers for images.
#include "nn/image_layers.h"

#include <cmath>

#include "core/trace.h"
#include "nn/spatial.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/random.h"
#include "ops/shape.h"

namespace tidu::nn {

namespace {

Shape with_kernel(const char* op, int rank, int64_t channels, int64_t outputs, const Dims& kernel,
                  int64_t groups, bool transposed) {
  if (groups < 1 || channels % groups != 0 || outputs % groups != 0) {
    fail<ValueError>("[", op, rank, "d] ", groups, " groups do not divide ", channels, " channels and ",
                     outputs, " outputs");
  }
  Shape shape = transposed ? Shape{channels, outputs / groups} : Shape{outputs, channels / groups};
  for (const int64_t extent : each_axis(RankedName{op, rank}, "kernel", kernel, rank, 1))
    shape.push_back(extent);
  return shape;
}

void begin_affine(Tensor& weight, Tensor& bias, int64_t channels, Device device) {
  weight = ones({channels}, kDefaultFloat, device).set_requires_grad();
  bias = zeros({channels}, kDefaultFloat, device).set_requires_grad();
}

}  // namespace

ConvolutionLayer::ConvolutionLayer(const Shape& weight_shape, int64_t outputs, const Tensor& key,
                                   bool with_bias) {
  int64_t fan = 1;
  for (int axis = 1; axis < weight_shape.size(); ++axis) fan *= weight_shape[axis];
  const double bound = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(fan, 1)));
  const Tensor keys = random_split(key);
  weight = random_uniform(select(keys, 0, 0), weight_shape, -bound, bound).set_requires_grad();
  if (with_bias) bias = random_uniform(select(keys, 0, 1), {outputs}, -bound, bound).set_requires_grad();
}
void ConvolutionLayer::members(MemberVisitor& visit) {
  visit.parameter("weight", weight);
  visit.parameter("bias", bias);
}

template <int rank>
Conv<rank>::Conv(int64_t channels, int64_t outputs, const Dims& kernel, const Tensor& key,
                 ConvolutionOptions options, bool with_bias)
    : ConvolutionLayer(with_kernel("Conv", rank, channels, outputs, kernel, options.groups, false), outputs,
                       key, with_bias),
      options_(std::move(options)) {}
template class Conv<1>;
template class Conv<2>;
template class Conv<3>;

template <int rank>
ConvTranspose<rank>::ConvTranspose(int64_t channels, int64_t outputs, const Dims& kernel, const Tensor& key,
                                   TransposedOptions options, bool with_bias)
    : ConvolutionLayer(with_kernel("ConvTranspose", rank, channels, outputs, kernel, options.groups, true),
                       outputs, key, with_bias),
      options_(std::move(options)) {}
template class ConvTranspose<1>;
template class ConvTranspose<2>;
template class ConvTranspose<3>;

RunningNorm::RunningNorm(int64_t channels, RunningOptions options, Device device) : options_(options) {
  if (options.affine) begin_affine(weight, bias, channels, device);
  if (!options.track_running_stats) return;
  running_mean = zeros({channels}, kDefaultFloat, device);
  running_var = ones({channels}, kDefaultFloat, device);
  num_batches_tracked = zeros({}, DType::int64, device);
}
void RunningNorm::members(MemberVisitor& visit) {
  visit.parameter("weight", weight);
  visit.parameter("bias", bias);
  if (!options_.track_running_stats) return;
  visit.buffer("running_mean", running_mean);
  visit.buffer("running_var", running_var);
  visit.buffer("num_batches_tracked", num_batches_tracked);
}
Tensor RunningNorm::normalised(Function& function, const Tensor& x) {
  if (training() && options_.track_running_stats) {
    const GradMode off(false);
    num_batches_tracked = num_batches_tracked + 1;
  }
  const bool from_x = training() || !options_.track_running_stats;
  return function(x, running_mean, running_var, weight, bias,
                  {.training = from_x, .momentum = options_.momentum, .eps = options_.eps});
}

template <int rank> Tensor BatchNorm<rank>::forward(const Tensor& x) {
  if (x.ndim() != rank + 2 && !(rank == 1 && x.ndim() == 2)) {
    fail<ShapeError>("[BatchNorm", rank, "d] takes x (N, C, ..) of ", rank + 2, " axes",
                     rank == 1 ? " or 2" : "", ", not ", describe(x));
  }
  return normalised(batch_norm, x);
}
template class BatchNorm<1>;
template class BatchNorm<2>;
template class BatchNorm<3>;

template <int rank> Tensor InstanceNorm<rank>::forward(const Tensor& x) {
  if (x.ndim() != rank + 1 && x.ndim() != rank + 2)
    fail<ShapeError>("[InstanceNorm", rank, "d] takes x of ", rank + 1, " or ", rank + 2, " axes, not ",
                     describe(x));
  if (x.ndim() == rank + 2) return normalised(instance_norm, x);
  return select(normalised(instance_norm, expand_dims(x, 0)), 0, 0);
}
template class InstanceNorm<1>;
template class InstanceNorm<2>;
template class InstanceNorm<3>;

GroupNorm::GroupNorm(int64_t groups, int64_t channels, double eps, Device device)
    : groups_(groups), eps_(eps) {
  if (groups < 1 || channels % groups != 0)
    fail<ValueError>("[GroupNorm] ", groups, " groups do not divide ", channels, " channels");
  begin_affine(weight, bias, channels, device);
}
void GroupNorm::members(MemberVisitor& visit) {
  visit.parameter("weight", weight);
  visit.parameter("bias", bias);
}

}  // namespace tidu::nn
