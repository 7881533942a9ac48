// Streams, events and graphs: queues of work that runs in order, points in them, and work kept to be run
// again.
#pragma once

#include <cuda_runtime.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
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

// Work in an order that it may run in, with the memory that was allocated while it was captured.
struct Graph {
  std::vector<std::function<void()>> work;
  std::vector<void*> memory;
  Graph() = default;
  Graph(const Graph&) = delete;
  ~Graph();
};

// How many pieces of captured work of each stream come before some point.
using Clock = std::map<const Stream*, uint64_t>;

struct Capture {
  const Stream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::vector<std::shared_ptr<Stream>> streams;
  bool invalid = false;
};

struct Stream {
  int device = 0;
  unsigned flags = 0;
  int priority = 0;
  uint64_t issued = 0, done = 0;
  std::deque<Work> queue;
  std::shared_ptr<Capture> capture;  // while it captures
  Clock clock;                       // of the capture
};

struct Event {
  int device = 0;
  unsigned flags = 0;
  bool recorded = false;
  Point point;
  std::chrono::steady_clock::time_point time;  // when it was reached
  std::shared_ptr<Capture> capture;            // of the stream where it was recorded, while that captured
  Clock clock;
};

// The stream of a handle, or of the current device for 0; null if there is none (any more).
std::shared_ptr<Stream> find_stream(cudaStream_t handle);
std::shared_ptr<Event> find_event(cudaEvent_t handle);

// Adds work to a stream, or to the graph that it captures; it runs at once unless streams are deferred.
[[nodiscard]] cudaError_t submit(const std::shared_ptr<Stream>& stream, std::function<void()> run,
                                 std::vector<Point> after = {});
// Runs a stream's work, and what it waits for, up to a position.
void finish(const Point& point);
void finish(const std::shared_ptr<Stream>& stream);
void finish_device(int device);

// The error of a call that no capture in progress survives; success where none is.
cudaError_t refuse_in_capture(const char* call);
// Ends a capture without a graph: its streams work as before.
void end_capture(const std::shared_ptr<Capture>& capture);
// The captures in progress.
std::vector<std::shared_ptr<Capture>>& captures();

// " stream 0x55.., event 0x55.." of those that were created and not destroyed.
std::string live_handles();

}  // namespace tidu::simt
