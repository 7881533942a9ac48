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
#include <thread>
#include <vector>

#include "simt/host/entry.h"

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

struct Graph;

// One piece of a graph's work: that of a stream, or another graph.
struct GraphNode {
  cudaGraphNodeType type;
  std::function<void()> run;
  std::shared_ptr<const Graph> child;
};

// Work in an order that it may run in, with the memory that was allocated while it was captured.
struct Graph {
  std::vector<std::shared_ptr<GraphNode>> nodes;
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
  std::thread::id thread = std::this_thread::get_id();  // where it began
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

// Of the current device.
cudaStream_t make_stream(unsigned flags, int priority);
cudaEvent_t make_event(unsigned flags);
void destroy_stream(const std::shared_ptr<Stream>& stream);
bool destroy_event(cudaEvent_t handle);

// The stream of a handle, or of the current device for 0; null if there is none (any more).
std::shared_ptr<Stream> find_stream(cudaStream_t handle);
std::shared_ptr<Event> find_event(cudaEvent_t handle);

// An entry point that is given a stream or an event: f(stream), f(event).
template <class F> cudaError_t entry(cudaStream_t handle, F f) {
  return entry([&] {
    const std::shared_ptr<Stream> found = find_stream(handle);
    return found ? f(found) : cudaErrorInvalidResourceHandle;
  });
}
template <class F> cudaError_t entry(cudaEvent_t handle, F f) {
  return entry([&] {
    const std::shared_ptr<Event> found = find_event(handle);
    return found ? f(found) : cudaErrorInvalidResourceHandle;
  });
}

// Adds work to a stream, or a node to the graph that it captures; it runs at once unless streams are
// deferred.
[[nodiscard]] cudaError_t submit(const std::shared_ptr<Stream>& stream, std::function<void()> run,
                                 std::vector<Point> after = {},
                                 cudaGraphNodeType type = cudaGraphNodeTypeKernel);
// Whether work of the stream runs when it is submitted, and waits for nothing.
bool runs_at_once(const Stream& stream);

bool reached(const Point& point);
// The same; where it has not been reached some work is done, so that asking again gets there.
bool poll(const Point& point);
// Runs a stream's work, and what it waits for, up to a position.
void finish(const Point& point);
void finish(const std::shared_ptr<Stream>& stream);
void finish_device(int device);

// The error of a call that fails the capture.
cudaError_t invalidate(Capture& capture, const std::string& why, cudaError_t error);
// Of a call that is unsafe beside a capture in progress, as far as the mode of each says so; of one that no
// capture survives, whatever its mode; of one on a captured stream. Success where there is none.
cudaError_t refuse_in_capture(const char* call);
cudaError_t refuse_in_any_capture(const char* call);
cudaError_t refuse_captured(const Stream& stream, const char* call);
// A stream that waits for captured work becomes part of the capture.
cudaError_t join(const std::shared_ptr<Stream>& stream, const Event& event);
void begin_capture(const std::shared_ptr<Stream>& stream, cudaStreamCaptureMode mode);
// Its streams work as before.
void end_capture(const std::shared_ptr<Capture>& capture);

// " stream 0x55.., event 0x55.." of those that were created and not destroyed.
std::string live_handles();

}  // namespace tidu::simt
