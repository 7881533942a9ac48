// One GPU: its streams, memory, the calls issued to it and the faults that kernels found.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "backend/cuda/allocator.h"
#include "backend/cuda/call_log.h"
#include "backend/cuda/error.h"
#include "backend/cuda/staging.h"
#include "cuda/driver.h"
#include "kernels/cuda/fault.h"

namespace tidu::cuda {

inline constexpr Queue kMainQueue = 1;
// Of the stream from which graphs are taken up: a thread's current one meanwhile, and nobody else's.
inline constexpr Queue kCaptureQueue = 2;

class Graph;

class Gpu {
 public:
  explicit Gpu(int index);

  int index() const { return index_; }
  Device name() const { return {DeviceType::cuda, static_cast<int8_t>(index_)}; }
  const Properties& properties() const { return properties_; }
  PoolAllocator& allocator() { return *allocator_; }
  Staging& staging() { return staging_; }

  // Held while a call is issued, so that a tensor's queue says where its last use was issued.
  std::recursive_mutex& mutex() { return mutex_; }

  // What a thread takes up is a graph's only as long as nobody waits for the whole device.
  std::shared_mutex& capture_mutex() { return capture_mutex_; }
  // The graph that takes up what this thread issues, or null.
  Graph* captured() const;
  void set_captured(Graph* graph);
  // Throws where this thread's work is being taken up: what `what` does would be done once, and not again.
  void refuse_captured(const char* what) const;

  // Streams are never destroyed: memory may be given back on one long after its handle went.
  cudaStream_t stream(Queue queue) const { return queues_[queue].stream; }
  Queue new_queue(int priority);
  void release_queue(Queue queue) noexcept;
  Queue current_queue() const;
  void set_current_queue(Queue queue);

  // Counts of zero in device memory for a kernel that leaves them so, kMaxArrivals of them: of the stream or,
  // where work is taken up, of the graph.
  unsigned* arrivals(Queue queue);

  // Work issued to `queue` from now on waits for what queue `last` of `other` was given so far.
  void wait(Queue queue, Gpu& other, Queue last);
  // Readies a storage for use by work on `queue`.
  void use(Storage& storage, Queue queue) {
    const Queue last = storage.queue();
    if (last == queue || queue == kCaptureQueue || storage.is_number()) return;
    if (last != 0) wait(queue, *this, last);
    storage.set_queue(queue);
  }

  // Notes a call that is about to be issued on a queue.
  uint64_t note(const Call& call, Queue queue) { return calls_.add(call, queue); }
  uint64_t note(const char* name, const Spec& output, Queue queue) { return calls_.add(name, output, queue); }
  // The number of the next call that is taken up for a graph; and that those from `begin` to before `end`
  // never run again.
  uint64_t next_captured() const { return calls_.next_captured(); }
  void forget_captured(uint64_t begin, uint64_t end) { calls_.forget_captured(begin, end); }
  FaultRecord fault_record(uint64_t call) const { return {device_fault_, call}; }

  // Waits for all work of the device, for what `what` says.
  void wait_for_all(const std::string& what);
  // These raise what went wrong since the last of them.
  void synchronize();
  void synchronize(Queue queue);
  // After work on a queue was waited for by other means.
  void raise_faults();

  // For the message of an error that one of them caused.
  std::string describe_unfinished_calls();

 private:
  struct QueueState {
    cudaStream_t stream = nullptr;
    cudaEvent_t event = nullptr;  // for those who wait for it
    int priority = 0;
    bool in_use = false;
    uint64_t finished = 0;  // the last call known to be done
    unsigned* arrivals = nullptr;
  };
  static constexpr Queue kMaxQueues = 1024;

  void open_queue(QueueState& queue, int priority);

  int index_;
  Properties properties_;
  std::recursive_mutex mutex_;
  std::shared_mutex capture_mutex_;
  std::array<QueueState, kMaxQueues> queues_;  // number 0 stays empty
  Queue queue_count_ = 1;
  std::unique_ptr<PoolAllocator> allocator_;
  Staging staging_;
  CallLog calls_;
  Fault* fault_ = nullptr;         // as the host sees it
  Fault* device_fault_ = nullptr;  // as kernels do
};

// The GPUs, made at the first use of each; `index` is below device_count().
Gpu& gpu(int index);
// The same where it was made already, else null.
Gpu* gpu_if_made(int index);
int device_count();
void set_device_count(int count);

}  // namespace tidu::cuda
