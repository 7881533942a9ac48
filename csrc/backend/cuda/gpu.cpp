// One GPU.
#include "backend/cuda/gpu.h"

#include <algorithm>

#include "backend/cuda/graph.h"
#include "kernels/cuda/matmul.h"
#include "ops/linalg.h"

namespace tidu::cuda {
namespace {

// As many as machines have; a plug-in that is loaded late has little memory for a thread's own variables.
constexpr int kMaxDevices = 16;
constinit thread_local Queue current_queues[kMaxDevices] = {};  // 0 stands for the main one

constinit thread_local Graph* captured_graphs[kMaxDevices] = {};

int number_of_devices = 0;
std::atomic<Gpu*> gpus[kMaxDevices];  // outlive every tensor

Properties read_properties(int index) {
  cudaDeviceProp found;
  check(cudaGetDeviceProperties(&found, index), "[cuda] the device's properties");
  Properties result{found.name, found.major, found.minor, static_cast<int64_t>(found.totalGlobalMem),
                    found.multiProcessorCount};
  check(cudaDriverGetVersion(&result.driver_version), "[cuda] the driver's version");
  check(cudaRuntimeGetVersion(&result.runtime_version), "[cuda] the runtime's version");
  return result;
}

}  // namespace

Gpu::Gpu(int index) : index_(index), properties_(read_properties(index)) {
  const DeviceGuard guard(index);
  int pools = 0;
  check(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, index), "[cuda] the device");
  if (!pools) {
    fail<DeviceError>(properties_.name, " has no memory pools (CUDA compute capability 6.0 or newer has)");
  }
  for (const Queue queue : {kMainQueue, kCaptureQueue}) open_queue(queues_[queue], 0);
  queue_count_ = kCaptureQueue + 1;
  allocator_ = std::make_unique<PoolAllocator>(*this);
  void* fault = nullptr;
  check(cudaHostAlloc(&fault, sizeof(Fault), cudaHostAllocMapped), "[cuda] pinned memory");
  fault_ = new (fault) Fault{};
  void* mapped = nullptr;
  check(cudaHostGetDevicePointer(&mapped, fault, 0), "[cuda] mapped memory");
  device_fault_ = static_cast<Fault*>(mapped);
}

void Gpu::open_queue(QueueState& queue, int priority) {
  int lowest = 0, highest = 0;
  check(cudaDeviceGetStreamPriorityRange(&lowest, &highest), "[cuda] stream priorities");
  check(cudaStreamCreateWithPriority(&queue.stream, cudaStreamNonBlocking,
                                     std::clamp(priority, highest, lowest)),
        "[cuda] a new stream");
  check(cudaEventCreateWithFlags(&queue.event, cudaEventDisableTiming), "[cuda] a new event");
  queue.priority = priority;
  queue.in_use = true;
}

Queue Gpu::new_queue(int priority) {
  std::lock_guard lock(mutex_);
  for (Queue queue = kMainQueue; queue < queue_count_; ++queue) {
    QueueState& state = queues_[queue];
    if (state.in_use || state.priority != priority) continue;
    state.in_use = true;
    return queue;
  }
  if (queue_count_ == kMaxQueues)
    fail<DeviceError>("[Stream] ", name(), " has ", kMaxQueues, " streams already");
  const DeviceGuard guard(index_);
  open_queue(queues_[queue_count_], priority);
  return queue_count_++;
}

void Gpu::release_queue(Queue queue) noexcept {
  std::lock_guard lock(mutex_);
  queues_[queue].in_use = false;
}

Queue Gpu::current_queue() const {
  const Queue queue = current_queues[index_];
  return queue == 0 ? kMainQueue : queue;
}
void Gpu::set_current_queue(Queue queue) { current_queues[index_] = queue; }

Graph* Gpu::captured() const { return captured_graphs[index_]; }
void Gpu::set_captured(Graph* graph) { captured_graphs[index_] = graph; }

void Gpu::refuse_captured(const char* what) const {
  if (captured()) fail<DeviceError>(what, ": not in work that is taken up to be issued again");
}

unsigned* Gpu::arrivals(Queue queue) {
  if (Graph* const graph = captured()) return graph->arrivals();
  QueueState& state = queues_[queue];
  if (!state.arrivals) {
    void* made = nullptr;
    check(cudaMallocAsync(&made, kMaxArrivals * sizeof(unsigned), state.stream), "[cuda] counts of a stream");
    check(cudaMemsetAsync(made, 0, kMaxArrivals * sizeof(unsigned), state.stream),
          "[cuda] counts of a stream");
    state.arrivals = static_cast<unsigned*>(made);
  }
  return state.arrivals;
}

void Gpu::wait(Queue queue, Gpu& other, Queue last) {
  std::lock_guard lock(other.mutex_);
  const QueueState& state = other.queues_[last];
  check(cudaEventRecord(state.event, state.stream), "[cuda] between streams");
  check(cudaStreamWaitEvent(stream(queue), state.event, 0), "[cuda] between streams");
}

void Gpu::wait_for_all(const std::string& what) {
  refuse_captured(what.c_str());
  const std::shared_lock lock(capture_mutex_);
  check(cudaDeviceSynchronize(), [&] { return what; });
}

void Gpu::synchronize() {
  const DeviceGuard guard(index_);
  const uint64_t last = [&] {
    std::lock_guard lock(mutex_);
    return calls_.last();
  }();
  wait_for_all(str("[synchronize] ", name()));
  {
    std::lock_guard lock(mutex_);
    for (Queue queue = kMainQueue; queue < queue_count_; ++queue) queues_[queue].finished = last;
  }
  raise_faults();
}

void Gpu::synchronize(Queue queue) {
  refuse_captured("[synchronize] a stream");
  const DeviceGuard guard(index_);
  const uint64_t last = [&] {
    std::lock_guard lock(mutex_);
    return calls_.last();
  }();
  check(cudaStreamSynchronize(stream(queue)), [&] { return str("[synchronize] a stream of ", name()); });
  {
    std::lock_guard lock(mutex_);
    queues_[queue].finished = last;
  }
  raise_faults();
}

void Gpu::raise_faults() {
  const auto* launch = const_cast<volatile unsigned long long*>(&fault_->launch);
  if (*launch == 0) [[likely]]
    return;
  const DeviceGuard guard(index_);
  std::lock_guard lock(mutex_);
  // Another stream's kernel may still be writing it.
  wait_for_all(str("[synchronize] ", name()));
  const Fault fault = *fault_;
  *fault_ = {};
  if (fault.launch == 0) return;  // another thread was first
  if (const auto demand = calls_.demand(fault.launch))
    demand->fail_with(str(calls_.describe(fault.launch), " on ", name(), ": ", demand->why.name));
  if (fault.matrix != MatrixFault::none) {
    fail_matrix(str(calls_.describe(fault.launch), " on ", name()), fault.matrix, calls_.shape(fault.launch),
                fault.position, fault.value);
  }
  fail<IndexError>(calls_.describe(fault.launch), " on ", name(), ": index ", fault.value, " at position ",
                   fault.position, " is out of range for extent ", fault.bound,
                   fault.axis >= 0 ? str(" of axis ", fault.axis) : "");
}

std::string Gpu::describe_unfinished_calls() {
  std::lock_guard lock(mutex_);
  const std::string calls = calls_.describe_after([&](Queue queue) { return queues_[queue].finished; });
  if (calls.empty()) return "";
  return str("; in one of the operations issued since the last synchronisation, newest first: ", calls,
             " (TIDU_CUDA_BLOCKING=1 or tidu.cuda.set_blocking(True) tells which)");
}

Gpu& gpu(int index) {
  static std::once_flag once[kMaxDevices];
  std::call_once(once[index], [&] { gpus[index] = new Gpu(index); });
  return *gpus[index];
}
Gpu* gpu_if_made(int index) { return gpus[index]; }

int device_count() { return number_of_devices; }
void set_device_count(int count) { number_of_devices = std::min(count, kMaxDevices); }

}  // namespace tidu::cuda
