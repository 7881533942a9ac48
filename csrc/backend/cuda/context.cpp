// Running an operation.
#include "backend/cuda/context.h"

#include <nvtx3/nvToolsExt.h>

#include "backend/cuda/blocking.h"
#include "backend/cuda/elements.h"
#include "backend/cuda/emulation.h"
#include "backend/cuda/gpu.h"

namespace tidu::cuda {
namespace {

std::string describe_call(const Call& call) {
  std::string text = str("[", call.primitive.name, "]");
  for (const Tensor& input : call.inputs) text += " " + tidu::describe(input);
  if (call.inputs.empty()) text += " -> " + tidu::describe(call.outputs[0]);
  return text;
}

// Whether a tensor is a number or, of a plan's tensors, which have no values, may be one.
bool is_number(const Tensor& x) {
  const Storage& storage = *x.impl().storage;
  if (!storage.is_unknown()) return storage.is_number();
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.strides()[i] != 0 && x.size(i) != 1) return false;
  }
  return true;
}

cudaError_t write_number(Tensor* x, Context& context) {
  const Tensor written = context.tensor({}, x->dtype());
  if (!context.only_counts()) TIDU_TRY(copy_view(context.stream(), {}, x->view({}, {}, 0), written));
  *x = written.view(x->shape(), Strides(x->ndim(), 0), 0);
  return cudaSuccess;
}

// The operation, with numbers among its inputs in memory.
cudaError_t apply(Operation operation, const Call& call, Context& context) {
  if (std::ranges::none_of(call.inputs, is_number)) return operation(call, context);
  Tensors inputs(call.inputs.begin(), call.inputs.end());
  for (Tensor& input : inputs) {
    if (is_number(input)) TIDU_TRY(write_number(&input, context));
  }
  return operation(Call{call.primitive, inputs, call.attrs, call.outputs}, context);
}

int device_of(const Call& call) {
  return (call.outputs.empty() ? call.inputs[0] : call.outputs[0]).device().index;
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
      : gpu_(gpu(device_of(call))),
        lock_(gpu_.mutex()),
        guard_(gpu_.index()),
        queue_(gpu_.current_queue()),
        range_(call.primitive.name),
        context_(gpu_.index()) {
    for (const Tensor& input : call.inputs) gpu_.use(*input.impl().storage, queue_);
    for (const Tensor& output : call.outputs) gpu_.use(*output.impl().storage, queue_);
    context_.only_counts_ = false;
    context_.stream_ = gpu_.stream(queue_);
    context_.memory_ = static_cast<char*>(call.workspace);
    context_.fault_record_ = gpu_.fault_record(gpu_.note(call, queue_));
  }

  Context& context() { return context_; }
  void synchronize() { gpu_.synchronize(queue_); }

 private:
  Gpu& gpu_;
  std::lock_guard<std::recursive_mutex> lock_;
  DeviceGuard guard_;
  Queue queue_;
  Range range_;
  Context context_;
};

void run(Operation operation, const Call& call, bool passes_numbers) {
  CallScope scope(call);
  Context& context = scope.context();
  check(passes_numbers ? operation(call, context) : apply(operation, call, context),
        [&] { return describe_call(call); });
  const WorkspaceBytes said = call.primitive.workspaces[static_cast<int>(DeviceType::cuda)];
  if (has_emulation() && context.taken() > (said ? said(call) : 0))
    fail<std::logic_error>(describe_call(call), " takes more memory than it said");
  if (is_blocking()) scope.synchronize();
}

size_t count_bytes(Operation operation, const Call& call) {
  Context context(device_of(call));
  const DeviceGuard guard(context.device());
  check(apply(operation, call, context), [&] { return describe_call(call); });
  return context.taken();
}

cudaStream_t Context::stream() const {
  if (only_counts_) fail<std::logic_error>("an operation launches where it is to say what memory it takes");
  return stream_;
}

unsigned* Context::arrivals() const {
  Gpu& gpu = cuda::gpu(device_);
  return gpu.arrivals(gpu.current_queue());
}

// Pieces are aligned as memory of the device is.
void* Context::take(size_t bytes) {
  constexpr size_t kAlignment = 256;
  const size_t at = taken_;
  taken_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (only_counts_) return reinterpret_cast<void*>(kAlignment + at);
  return memory_ + at;
}

Tensor Context::tensor(const Shape& shape, DType dtype) {
  const size_t bytes = static_cast<size_t>(num_elements(shape)) * size_of(dtype);
  return Tensor::from_memory(take(bytes), shape, contiguous_strides(shape), dtype, nullptr,
                             {DeviceType::cuda, static_cast<int8_t>(device_)});
}

}  // namespace tidu::cuda
