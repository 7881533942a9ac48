// Streams and events: queues of work that runs in order, and points in them.
#pragma once

#include <cuda_runtime.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tidu::simt {

struct Stream;

// What a stream has done when it has finished its first `position` pieces of work.
struct Point {
  std::shared_ptr<Stream> stream;
  uint64_t position = 0;
};

struct Work {
  std::function<void()> run;  // may be empty
  std::vector<Point> after;
};

struct Stream {
  int device = 0;
  unsigned flags = 0;
  int priority = 0;
  uint64_t issued = 0, done = 0;
  std::deque<Work> queue;
};

struct Event {
  int device = 0;
  unsigned flags = 0;
  bool recorded = false;
  Point point;
  std::chrono::steady_clock::time_point time;  // when it was reached
};

// The stream of a handle, or of the current device for 0; null if there is none (any more).
std::shared_ptr<Stream> find_stream(cudaStream_t handle);
std::shared_ptr<Event> find_event(cudaEvent_t handle);

// Adds work to a stream; it runs at once unless streams are deferred.
void submit(const std::shared_ptr<Stream>& stream, std::function<void()> run, std::vector<Point> after = {});
// Runs a stream's work, and what it waits for, up to a position.
void finish(const Point& point);
void finish(const std::shared_ptr<Stream>& stream);
void finish_device(int device);

}  // namespace tidu::simt
