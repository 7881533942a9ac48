// Streams, events and captures: the order of work.
#include "simt/host/stream.h"

#include <algorithm>
#include <cstdlib>
#include <unordered_map>

#include "simt/control.h"

namespace tidu::simt {

namespace {

struct Streams {
  std::unordered_map<const void*, std::shared_ptr<Stream>> created;
  std::vector<std::shared_ptr<Stream>> destroyed;  // with work left to do
  // Of each device: waits for all blocking ones, and they for it.
  std::vector<std::shared_ptr<Stream>> legacy;
  std::unordered_map<const void*, std::shared_ptr<Event>> events;
};

Streams& streams() {
  static Streams& all = *new Streams;
  return all;
}

const std::shared_ptr<Stream>& legacy_stream(int device) {
  auto& all = streams().legacy;
  while (all.size() <= static_cast<size_t>(device)) {
    all.push_back(std::make_shared<Stream>());
    all.back()->device = static_cast<int>(all.size()) - 1;
  }
  return all[static_cast<size_t>(device)];
}

bool is_legacy(const Stream& stream) {
  const auto& all = streams().legacy;
  return static_cast<size_t>(stream.device) < all.size() &&
         all[static_cast<size_t>(stream.device)].get() == &stream;
}

// In progress.
std::vector<std::shared_ptr<Capture>>& captures() {
  static auto& all = *new std::vector<std::shared_ptr<Capture>>;
  return all;
}

bool defer = std::getenv("TIDU_SIMT_DEFERRED") != nullptr;

// One piece of a stream's work, and all that it waits for.
void step(Stream& stream) {
  const Work work = std::move(stream.queue.front());
  stream.queue.pop_front();
  for (const Point& earlier : work.after) finish(earlier);
  if (work.run) work.run();
  ++stream.done;
}

}  // namespace

cudaStream_t make_stream(unsigned flags, int priority) {
  auto made = std::make_shared<Stream>();
  made->device = current_device();
  made->flags = flags;
  made->priority = priority;
  streams().created.emplace(made.get(), made);
  return reinterpret_cast<cudaStream_t>(made.get());
}

void destroy_stream(const std::shared_ptr<Stream>& stream) {
  if (stream->capture) end_capture(stream->capture);
  if (stream->done != stream->issued) streams().destroyed.push_back(stream);
  streams().created.erase(stream.get());
}

std::shared_ptr<Stream> find_stream(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread) {
    return legacy_stream(current_device());
  }
  const auto found = streams().created.find(handle);
  if (found == streams().created.end()) {
    report("no such stream: it was destroyed or never created");
    return nullptr;
  }
  return found->second;
}

cudaEvent_t make_event(unsigned flags) {
  auto made = std::make_shared<Event>();
  made->device = current_device();
  made->flags = flags;
  streams().events.emplace(made.get(), made);
  return reinterpret_cast<cudaEvent_t>(made.get());
}

bool destroy_event(cudaEvent_t handle) { return streams().events.erase(handle) != 0; }

std::shared_ptr<Event> find_event(cudaEvent_t handle) {
  const auto found = streams().events.find(handle);
  if (found == streams().events.end()) {
    report("no such event: it was destroyed or never created");
    return nullptr;
  }
  return found->second;
}

cudaError_t submit(const std::shared_ptr<Stream>& stream, std::function<void()> run, std::vector<Point> after,
                   cudaGraphNodeType type) {
  if (const auto& capture = stream->capture) {
    if (capture->invalid)
      return wrong("the capture of this stream has failed before", cudaErrorStreamCaptureInvalidated);
    capture->graph->nodes.push_back(std::make_shared<GraphNode>(GraphNode{type, std::move(run), nullptr}));
    ++stream->clock[stream.get()];
    return cudaSuccess;
  }
  if (is_legacy(*stream)) {
    for (const auto& [handle, other] : streams().created) {
      if (other->device != stream->device || (other->flags & cudaStreamNonBlocking) != 0) continue;
      if (other->capture) {
        return invalidate(*other->capture,
                          "the default stream would wait for a stream that is being captured",
                          cudaErrorStreamCaptureImplicit);
      }
      after.push_back({other, other->issued});
    }
  } else if ((stream->flags & cudaStreamNonBlocking) == 0) {
    const auto& legacy = legacy_stream(stream->device);
    after.push_back({legacy, legacy->issued});
  }
  std::erase_if(after, reached);
  stream->queue.push_back({std::move(run), std::move(after)});
  ++stream->issued;
  if (!defer) finish(stream);
  return cudaSuccess;
}

bool runs_at_once(const Stream& stream) {
  return !defer && stream.queue.empty() && (stream.flags & cudaStreamNonBlocking) != 0 &&
         stream.capture == nullptr;
}

bool reached(const Point& point) { return point.stream == nullptr || point.stream->done >= point.position; }

bool poll(const Point& point) {
  if (reached(point)) return true;
  step(*point.stream);
  return false;
}

void finish(const Point& point) {
  while (!reached(point)) step(*point.stream);
}

void finish(const std::shared_ptr<Stream>& stream) { finish({stream, stream->issued}); }

void finish_device(int device) {
  finish(legacy_stream(device));
  for (const auto& [handle, stream] : streams().created) {
    if (stream->device == device) finish(stream);
  }
  for (const auto& stream : streams().destroyed) finish(stream);
  streams().destroyed.clear();
}

cudaError_t invalidate(Capture& capture, const std::string& why, cudaError_t error) {
  capture.invalid = true;
  return wrong(why, error);
}

cudaError_t refuse_captured(const Stream& stream, const char* call) {
  if (stream.capture == nullptr) return cudaSuccess;
  return invalidate(*stream.capture, std::string(call) + ": the stream is being captured",
                    cudaErrorStreamCaptureUnsupported);
}

cudaError_t refuse_in_capture(const char* call) {
  for (const auto& capture : captures()) {
    if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
    if (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread != std::this_thread::get_id())
      continue;
    return invalidate(*capture, std::string(call) + ": a stream is being captured",
                      cudaErrorStreamCaptureUnsupported);
  }
  return cudaSuccess;
}

cudaError_t refuse_in_any_capture(const char* call) {
  if (captures().empty()) return cudaSuccess;
  return invalidate(*captures().front(), std::string(call) + ": a stream is being captured",
                    cudaErrorStreamCaptureUnsupported);
}

cudaError_t join(const std::shared_ptr<Stream>& stream, const Event& event) {
  if (stream->capture != nullptr && stream->capture != event.capture) {
    return invalidate(*stream->capture, "cudaStreamWaitEvent: two captures would become one",
                      cudaErrorStreamCaptureMerge);
  }
  if (stream->capture == nullptr) {
    if (is_legacy(*stream)) {
      return invalidate(*event.capture, "cudaStreamWaitEvent: the default stream cannot be captured",
                        cudaErrorStreamCaptureImplicit);
    }
    stream->capture = event.capture;
    stream->capture->streams.push_back(stream);
  }
  for (const auto& [other, count] : event.clock) {
    stream->clock[other] = std::max(stream->clock[other], count);
  }
  return cudaSuccess;
}

void begin_capture(const std::shared_ptr<Stream>& stream, cudaStreamCaptureMode mode) {
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream.get();
  stream->capture->mode = mode;
  stream->capture->streams.push_back(stream);
  captures().push_back(stream->capture);
}

void end_capture(const std::shared_ptr<Capture>& capture) {
  for (const auto& stream : capture->streams) {
    stream->capture = nullptr;
    stream->clock.clear();
  }
  std::erase(captures(), capture);
}

std::string live_handles() {
  std::string text;
  for (const auto& [handle, stream] : streams().created)
    text += ", a stream of cuda:" + std::to_string(stream->device);
  for (const auto& [handle, event] : streams().events)
    text += ", an event of cuda:" + std::to_string(event->device);
  return text.empty() ? text : text.substr(2);
}

void set_deferred(bool on) { defer = on; }

Graph::~Graph() {
  for (void* p : memory) {
    if (!release(*allocation_at(p))) sticky_error() = cudaErrorIllegalAddress;
  }
}

}  // namespace tidu::simt
