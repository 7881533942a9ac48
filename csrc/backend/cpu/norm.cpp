// Normalisation over trailing axes, and of channels.
#include "ops/norm.h"

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "base/few.h"
#include "kernels/cpu/norm.h"

namespace tidu::cpu {
namespace {

// Row-major, in the dtype that the kernels compute in.
Tensor dense(const Tensor& x, Workspace& workspace) {
  return converted(x, x.dtype() == DType::float64 ? DType::float64 : DType::float32, workspace);
}

// The inputs of a call from number `begin` on.
struct DenseInputs : Few<Tensor, 2> {
  DenseInputs(const Call& call, size_t begin, Workspace& workspace)
      : Few(std::max(call.inputs.size(), begin) - begin) {
    for (size_t i = 0; i < size(); ++i) (*this)[i] = dense(call.inputs[begin + i], workspace);
  }
};

// Runs function(work, first element) over ranges of rows of x; `more` are of the weight and the bias.
template <class Function>
void over_rows(const Call& call, bool centred, const Tensor& x, std::span<const Tensor> more,
               const Function& function) {
  const auto& attrs = call.attrs.as<NormAttrs>();
  int64_t n = 1;
  for (int i = 0; i < attrs.axes; ++i) n *= x.size(x.ndim() - 1 - i);
  const auto data = [&](size_t i) { return i < more.size() ? more[i].raw_data() : nullptr; };
  const NormWork work{centred, attrs.eps, 0, n, x.raw_data(), data(0), data(1)};
  const auto size = static_cast<int64_t>(size_of(x.dtype()));
  const int64_t rows = x.numel() / n;
  parallel_ranges(rows, std::max<int64_t>(1, kGrain / 2 / n), 2 * rows * n, [&](int64_t begin, int64_t end) {
    NormWork part = work;
    part.rows = end - begin;
    part.x = static_cast<const char*>(work.x) + begin * n * size;
    function(part, begin * n * size);
  });
}

template <bool centred> void norm(const Call& call, Workspace& workspace) {
  const Tensor& output = call.outputs[0];
  if (output.numel() == 0) return;
  const Tensor x = dense(call.inputs[0], workspace), result = room_for(output, x.dtype(), workspace);
  const DenseInputs more(call, 1, workspace);
  if (workspace.counts()) return;
  const auto function = norm_functions(x.dtype()).norm;
  over_rows(call, centred, x, more, [&](const NormWork& work, int64_t offset) {
    function(work, static_cast<char*>(result.raw_data()) + offset);
  });
  deliver(result, output);
}

template <bool centred> void norm_grad(const Call& call, Workspace& workspace) {
  const Tensor& output = call.outputs[0];
  if (output.numel() == 0) return;
  const Tensor x = dense(call.inputs[0], workspace), g = dense(call.inputs[1], workspace),
               result = room_for(output, x.dtype(), workspace);
  const DenseInputs more(call, 2, workspace);
  if (workspace.counts()) return;
  const auto function = norm_functions(x.dtype()).grad;
  over_rows(call, centred, x, more, [&](const NormWork& work, int64_t offset) {
    function(work, static_cast<const char*>(g.raw_data()) + offset,
             static_cast<char*>(result.raw_data()) + offset);
  });
  deliver(result, output);
}

// Runs function(work, begin, end) over ranges of channels of x (N, C, ..).
template <class Function>
void over_channels(const Call& call, const Tensor& x, std::span<const Tensor> more,
                   const Function& function) {
  const auto data = [&](size_t i) { return i < more.size() ? more[i].raw_data() : nullptr; };
  const int64_t images = x.size(0), channels = x.size(1);
  int64_t inner = 1;
  for (int axis = 2; axis < x.ndim(); ++axis) inner *= x.size(axis);
  const ChannelWork work{
      call.attrs.as<BatchNormAttrs>().eps, images, channels, inner, x.raw_data(), data(0), data(1)};
  // Where rows are short, neighbouring channels share cache lines.
  const int64_t together = inner < 16 ? 16 : 1;
  const int64_t each = std::max<int64_t>(together, kGrain / 2 / std::max<int64_t>(images * inner, 1));
  parallel_ranges(channels, each, 2 * x.numel(),
                  [&](int64_t begin, int64_t end) { function(work, begin, end); });
}

void batch_norm(const Call& call, Workspace& workspace) {
  const Tensor x = dense(call.inputs[0], workspace), y = room_for(call.outputs[0], x.dtype(), workspace);
  const DenseInputs more(call, 1, workspace);
  if (workspace.counts()) return;
  const auto function = channel_functions(x.dtype()).norm;
  over_channels(call, x, more, [&](const ChannelWork& work, int64_t begin, int64_t end) {
    function(work, begin, end, y.raw_data(), call.outputs[1].raw_data(), call.outputs[2].raw_data());
  });
  deliver(y, call.outputs[0]);
}

void batch_norm_grad(const Call& call, Workspace& workspace) {
  const Tensor x = dense(call.inputs[0], workspace), g = dense(call.inputs[1], workspace),
               y = room_for(call.outputs[0], x.dtype(), workspace);
  const DenseInputs more(call, 2, workspace);
  if (workspace.counts()) return;
  const auto function = channel_functions(x.dtype()).grad;
  over_channels(call, x, more, [&](const ChannelWork& work, int64_t begin, int64_t end) {
    function(work, begin, end, g.raw_data(), y.raw_data(), call.outputs[1].raw_data(),
             call.outputs[2].raw_data());
  });
  deliver(y, call.outputs[0]);
}

}  // namespace

void register_norm_kernels() {
  set_kernel_with_workspace<norm<true>>(primitives::layer_norm);
  set_kernel_with_workspace<norm<false>>(primitives::rms_norm);
  set_kernel_with_workspace<norm_grad<true>>(primitives::layer_norm_grad);
  set_kernel_with_workspace<norm_grad<false>>(primitives::rms_norm_grad);
  set_kernel_with_workspace<batch_norm>(primitives::batch_norm);
  set_kernel_with_workspace<batch_norm_grad>(primitives::batch_norm_grad);
}

}  // namespace tidu::cpu
