// Streams and events of device cuda.
#pragma once

#include <memory>

#include "cuda/driver.h"

namespace tidu::cuda {

// A queue of work that runs in order, beside that of other streams. Copies of a handle are the same stream.
class Stream {
 public:
  // A new stream; one of lower priority number goes first.
  explicit Stream(int device = 0, int priority = 0);
  // The stream on which this thread's work for the device is issued; at first the device's main one.
  static Stream current(int device = 0);
  static Stream main(int device = 0);

  int device() const { return device_; }
  Queue queue() const { return *queue_; }
  void* native() const;  // cudaStream_t
  void synchronize() const;
  bool is_idle() const;
  // Work issued later waits for what `other` has been given so far.
  void wait(const Stream& other) const;
  bool operator==(const Stream& other) const { return device_ == other.device_ && *queue_ == *other.queue_; }

 private:
  Stream(int device, std::shared_ptr<const Queue> queue) : device_(device), queue_(std::move(queue)) {}
  static Stream of(int device, Queue queue);

  int device_;
  std::shared_ptr<const Queue> queue_;
};

// A point in a stream's work.
class Event {
 public:
  explicit Event(bool timing = false, int device = 0);

  int device() const { return device_; }
  void record(const Stream& stream);
  void wait(const Stream& stream) const;  // later work of the stream waits
  void synchronize() const;               // this thread waits
  bool is_reached() const;                // also where it was never recorded
  // Milliseconds from this event to a later one; both with timing, recorded and reached.
  double elapsed(const Event& later) const;

 private:
  int device_;
  std::shared_ptr<void> event_;
};

// Issues this thread's work for a stream's device on that stream, in this scope.
class StreamGuard {
 public:
  explicit StreamGuard(const Stream& stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;

 private:
  Stream stream_, previous_;
};

}  // namespace tidu::cuda
