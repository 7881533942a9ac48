// Running an operation.
#include "backend/cuda/context.h"

#include <nvtx3/nvToolsExt.h>

#include "backend/cuda/blocking.h"
#include "backend/cuda/elements.h"
#include "backend/cuda/gpu.h"

namespace tidu::cuda {
namespace {

std::string describe_call(const Call& call) {
  std::string text = str("[", call.primitive.name, "]");
  for (const Tensor& input : call.inputs) text += " " + tidu::describe(input);
  if (call.inputs.empty()) text += " -> " + tidu::describe(call.outputs[0]);
  return text;
}

bool is_number(const Tensor& x) { return x.impl().storage->is_number(); }

cudaError_t write_number(Tensor* x, cudaStream_t stream) {
  const Tensor written = Tensor::empty({}, x->dtype(), x->device());
  TIDU_TRY(copy_view(stream, {}, x->view({}, {}, 0), written));
  *x = written.view(x->shape(), Strides(x->ndim(), 0), 0);
  return cudaSuccess;
}

// A range of profilers' timelines, closed also where a constructor after it throws.
class Range {
 public:
  explicit Range(const char* name) { nvtxRangePushA(name); }
  Range(const Range&) = delete;
  ~Range() { nvtxRangePop(); }
};

}  // namespace

// What holds from before a call's first launch to after its last.
class CallScope {
 public:
  explicit CallScope(const Call& call)
      : gpu_(gpu_of(call)),
        lock_(gpu_.mutex()),
        guard_(gpu_.index()),
        queue_(gpu_.current_queue()),
        range_(call.primitive.name) {
    for (const Tensor& input : call.inputs) gpu_.use(*input.impl().storage, queue_);
    for (const Tensor& output : call.outputs) gpu_.use(*output.impl().storage, queue_);
    context_.stream_ = gpu_.stream(queue_);
    context_.device_ = gpu_.index();
    context_.fault_record_ = gpu_.fault_record(gpu_.note(call, queue_));
  }

  Context& context() { return context_; }
  void synchronize() { gpu_.synchronize(queue_); }

 private:
  static Gpu& gpu_of(const Call& call) {
    const Tensor& any = call.outputs.empty() ? call.inputs[0] : call.outputs[0];
    return gpu(any.device().index);
  }

  Gpu& gpu_;
  std::lock_guard<std::recursive_mutex> lock_;
  DeviceGuard guard_;
  Queue queue_;
  Range range_;
  Context context_;
};

void run(Operation operation, const Call& call, bool passes_numbers) {
  CallScope scope(call);
  const auto issue = [&] {
    if (passes_numbers || std::ranges::none_of(call.inputs, is_number))
      return operation(call, scope.context());
    Tensors inputs(call.inputs.begin(), call.inputs.end());
    for (Tensor& input : inputs) {
      if (is_number(input)) TIDU_TRY(write_number(&input, scope.context().stream()));
    }
    return operation(Call{call.primitive, inputs, call.attrs, call.outputs, call.workspace}, scope.context());
  };
  check(issue(), [&] { return describe_call(call); });
  if (is_blocking()) scope.synchronize();
}

unsigned* Context::arrivals() const {
  Gpu& gpu = cuda::gpu(device_);
  return gpu.arrivals(gpu.current_queue());
}

void* Context::workspace_bytes(size_t bytes) {
  const Shape shape{static_cast<int64_t>(bytes)};
  workspaces_.push_back(Tensor::empty(shape, DType::uint8, {DeviceType::cuda, static_cast<int8_t>(device_)}));
  return workspaces_.back().raw_data();
}

}  // namespace tidu::cuda
