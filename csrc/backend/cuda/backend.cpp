// The cuda device: copies, streams and events, and opening it.
#include <cuda_runtime.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "backend/cuda/blocking.h"
#include "backend/cuda/emulation.h"
#include "backend/cuda/gpu.h"
#include "backend/cuda/graph.h"
#include "backend/cuda/group.h"
#include "backend/cuda/kernels.h"
#include "cuda/driver.h"
#include "cuda/graphs.h"

namespace tidu::cuda {
namespace {

std::atomic<bool>& blocking() {
  static std::atomic<bool> value = [] {
    const char* set = std::getenv("TIDU_CUDA_BLOCKING");
    return set && *set && *set != '0';
  }();
  return value;
}

Gpu& gpu_of(const Tensor& tensor) { return gpu(tensor.device().index); }
cudaEvent_t as_event(void* event) { return static_cast<cudaEvent_t>(event); }

class CudaDriver final : public Driver {
 public:
  int device_count() const override { return cuda::device_count(); }
  Allocator& allocator(int index) override { return gpu(index).allocator(); }

  void copy_from_host(const Tensor& target, const void* host) override {
    Gpu& gpu = gpu_of(target);
    gpu.refuse_captured("[copy] from the host to the device");
    const DeviceGuard guard(gpu.index());
    const Queue queue = gpu.current_queue();
    gpu.use(*target.impl().storage, queue);
    gpu.staging().to_device(target.raw_data(), host, target.nbytes(), gpu.stream(queue));
  }

  void copy_to_host(void* host, const Tensor& source) override {
    if (source.impl().storage->is_number()) {
      std::memcpy(host, source.raw_data(), source.nbytes());
      return;
    }
    Gpu& gpu = gpu_of(source);
    gpu.refuse_captured("[copy] from the device to the host");
    const DeviceGuard guard(gpu.index());
    const Queue queue = gpu.current_queue();
    gpu.use(*source.impl().storage, queue);
    gpu.staging().to_host(host, source.raw_data(), source.nbytes(), gpu.stream(queue));
    gpu.synchronize(queue);
  }

  // On the target's stream; the source's stream waits for it, so that what happens to the source later comes
  // later.
  void copy(const Tensor& source, const Tensor& target) override {
    if (source.impl().storage->is_number()) return copy_from_host(target, source.raw_data());
    Gpu &from = gpu_of(source), &to = gpu_of(target);
    to.refuse_captured("[copy] between devices");
    from.refuse_captured("[copy] between devices");
    const std::scoped_lock lock(from.mutex(), to.mutex());
    from.allocator().share_with(to.index());
    const Queue queue = to.current_queue();
    to.use(*target.impl().storage, queue);
    Queue source_queue = source.impl().storage->queue();
    if (source_queue == 0) source_queue = from.current_queue();
    to.wait(queue, from, source_queue);
    {
      const DeviceGuard guard(to.index());
      check(cudaMemcpyPeerAsync(target.raw_data(), to.index(), source.raw_data(), from.index(),
                                source.nbytes(), to.stream(queue)),
            [&] { return str("[to] ", tidu::describe(source), " to ", to.name()); });
    }
    from.wait(source_queue, to, queue);
    source.impl().storage->set_queue(source_queue);
  }

  bool has_graphs() const override { return uses_graphs() && !cuda::is_blocking(); }
  std::unique_ptr<WorkGraph> new_graph(int index) override { return std::make_unique<Graph>(gpu(index)); }

  std::unique_ptr<GroupKernel> prepare(const Group& group) override { return prepare_group(group); }
  bool multiplies(const Group& group) override { return multiplies_for_group(group); }

  void use(std::span<const Tensor> tensors) override {
    for (const Tensor& tensor : tensors) {
      Gpu& gpu = gpu_of(tensor);
      const std::lock_guard lock(gpu.mutex());
      const DeviceGuard guard(gpu.index());
      gpu.use(*tensor.impl().storage, gpu.current_queue());
    }
  }

  void synchronize(int index) override { gpu(index).synchronize(); }

  std::string description(int index) const override {
    const Properties& p = gpu(index).properties();
    return str(p.name, ", compute capability ", p.major, ".", p.minor, ", ", p.multiprocessors,
               " multiprocessors, ", p.memory_bytes >> 20, " MiB, CUDA ", p.runtime_version / 1000, ".",
               p.runtime_version % 1000 / 10, is_emulated() ? ", emulated" : "");
  }

  Properties properties(int index) const override { return gpu(index).properties(); }
  bool is_emulated() const override { return has_emulation(); }
  void set_blocking(bool value) override { cuda::set_blocking(value); }
  bool is_blocking() const override { return cuda::is_blocking(); }

  void finish(int index) noexcept override {
    int previous = 0;
    cudaGetDevice(&previous);
    cudaSetDevice(index);
    cudaDeviceSynchronize();
    cudaSetDevice(previous);
  }

  Queue new_queue(int index, int priority) override { return gpu(index).new_queue(priority); }
  void release_queue(int index, Queue queue) noexcept override { gpu(index).release_queue(queue); }
  Queue current_queue(int index) override { return gpu(index).current_queue(); }
  void set_current_queue(int index, Queue queue) override { gpu(index).set_current_queue(queue); }
  void synchronize_queue(int index, Queue queue) override { gpu(index).synchronize(queue); }
  bool is_idle(int index, Queue queue) override {
    return is_done(cudaStreamQuery(gpu(index).stream(queue)), "[Stream] asking whether it is idle");
  }
  void* native_queue(int index, Queue queue) override { return gpu(index).stream(queue); }

  void* new_event(int index, bool timing) override {
    const DeviceGuard guard(index);
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, timing ? cudaEventDefault : cudaEventDisableTiming),
          "[Event] new");
    return event;
  }
  void release_event(void* event) noexcept override { cudaEventDestroy(as_event(event)); }
  void record_event(void* event, int index, Queue queue) override {
    const DeviceGuard guard(index);
    check(cudaEventRecord(as_event(event), gpu(index).stream(queue)), "[Event] record");
  }
  void wait_event(void* event, int index, Queue queue) override {
    const DeviceGuard guard(index);
    check(cudaStreamWaitEvent(gpu(index).stream(queue), as_event(event), 0), "[Event] wait");
  }
  void synchronize_event(void* event, int index) override {
    check(cudaEventSynchronize(as_event(event)), "[Event] synchronize");
    gpu(index).raise_faults();
  }
  bool is_reached(void* event) override {
    return is_done(cudaEventQuery(as_event(event)), "[Event] asking whether it is reached");
  }
  double milliseconds_between(void* from, void* to) override {
    float result = 0;
    const cudaError_t error = cudaEventElapsedTime(&result, as_event(from), as_event(to));
    if (error == cudaErrorInvalidResourceHandle || error == cudaErrorNotReady) {
      cudaGetLastError();
      fail<ValueError>(
          "[Event] the time between two events is known when both were made with timing, "
          "recorded and reached (synchronize the later one first)");
    }
    check(error, "[Event] elapsed");
    return result;
  }

 private:
  static bool is_done(cudaError_t error, const char* what) {
    if (error == cudaErrorNotReady) {
      cudaGetLastError();
      return false;
    }
    check(error, what);
    return true;
  }
};

[[noreturn]] void fail_no_device(cudaError_t error) {
  const char* advice = error == cudaErrorInsufficientDriver
                           ? "no NVIDIA driver, or one older than this build's CUDA: install a driver"
                           : "there is no NVIDIA GPU here, or CUDA_VISIBLE_DEVICES hides it";
  fail<DeviceError>(advice, ", or try without a GPU: tidu.cuda.emulate() or TIDU_CUDA=emulated; ",
                    describe(error));
}

}  // namespace

bool is_blocking() { return blocking().load(std::memory_order_relaxed); }
void set_blocking(bool value) { blocking() = value; }

}  // namespace tidu::cuda

extern "C" [[gnu::visibility("default")]] tidu::cuda::Driver* tidu_cuda_driver() {
  using namespace tidu::cuda;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    cudaGetLastError();
    fail_no_device(error == cudaSuccess ? cudaErrorNoDevice : error);
  }
  set_device_count(count);
  gpu(0);  // finds out now what is wrong with it
  TIDU_FAMILIES(TIDU_REGISTER)
  return new CudaDriver;  // outlives every tensor
}
