// Operations that go wrong in known ways, added to the emulated plug-in for errors_test.cpp.
// Each takes one int32 tensor and overwrites it.
#include "backend/cuda/context.h"
#include "kernels/cuda/fault.cuh"
#include "kernels/cuda/portable.h"
#include "simt/control.h"

namespace tidu::cuda {
namespace {

__global__ void fill(int* x, int n, int value) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) x[i] = value;
}
__global__ void write_outside(int* x) { x[-(int64_t{1} << 40)] = 1; }
__global__ void report_third(FaultRecord record) {
  if (threadIdx.x == 3) report_fault(record, 3, 77, 10);
}

int* data(const Call& call) { return call.inputs[0].data<int>(); }
int count(const Call& call) { return static_cast<int>(call.inputs[0].numel()); }

cudaError_t good(const Call& call, Context& context) {
  return launch<fill>({1, 32, 0, context.stream()}, data(call), count(call), context.device() + 1);
}
cudaError_t outside(const Call& call, Context& context) {
  return launch<write_outside>({1, 1, 0, context.stream()}, data(call));
}
cudaError_t too_many_threads(const Call& call, Context& context) {
  return launch<fill>({1, 4096, 0, context.stream()}, data(call), count(call), 1);
}
cudaError_t fault(const Call&, Context& context) {
  return launch<report_third>({1, 32, 0, context.stream()}, context.fault_record());
}
cudaError_t workspace(const Call& call, Context& context) {
  int* space = context.workspace<int>(static_cast<size_t>(count(call)));
  if (context.workspace<int>(1) == space) return cudaErrorInvalidValue;
  if (context.only_counts()) return cudaSuccess;
  const cudaError_t error = launch<fill>({1, 32, 0, context.stream()}, space, count(call), 5);
  if (error != cudaSuccess) return error;
  return cudaMemcpyAsync(data(call), space, call.inputs[0].nbytes(), cudaMemcpyDeviceToDevice,
                         context.stream());
}
// What no GPU can do: goes on after an error that is for good.
cudaError_t recover(const Call&, Context&) {
  simt::clear_error();
  simt::clear_report();
  return cudaSuccess;
}

template <Operation operation, bool takes_memory = false> Primitive& primitive(const char* name) {
  static Primitive result(name, {.batching = batch_by_fields,
                                 .attrs = kNoAttrs,
                                 .inputs = 1,
                                 .infer = [](const SpecCall&, std::span<Spec>) {},
                                 .derivative = Opaque{"it overwrites its input"},
                                 .overwrites = true});
  takes_memory ? set_counted_operation<operation>(result) : set_operation<operation>(result);
  return result;
}

const Primitive* const all[] = {
    &primitive<good>("test_good"),
    &primitive<outside>("test_outside"),
    &primitive<too_many_threads>("test_too_many_threads"),
    &primitive<fault>("test_fault"),
    &primitive<workspace, true>("test_workspace"),
    &primitive<recover>("test_recover"),
};

}  // namespace
}  // namespace tidu::cuda
