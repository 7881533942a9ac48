// Streams, events and the order of work. See runtime.h for the entry points' lock.
#include "simt/stream.h"

#include <algorithm>
#include <cstdlib>
#include <unordered_map>

#include "simt/control.h"
#include "simt/device.h"
#include "simt/runtime.h"

namespace tidu::simt {

namespace {

struct Streams {
  std::unordered_map<const void*, std::shared_ptr<Stream>> created;
  std::vector<std::shared_ptr<Stream>> destroyed;  // with work left to do
  std::vector<std::shared_ptr<Stream>>
      legacy;  // of each device: waits for all blocking ones, and they for it
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

bool defer = std::getenv("TIDU_SIMT_DEFERRED") != nullptr;

bool reached(const Point& point) { return point.stream == nullptr || point.stream->done >= point.position; }

cudaError_t check_shape(const Launch& launch) {
  const dim3 &grid = launch.grid, &block = launch.block;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 ||
      threads == 0 || block.x > 1024 || block.y > 1024 || block.z > 64 || threads > 1024) {
    return wrong("launch of " + readable_name(launch.kernel) + ": no such grid or block: grid (" +
                     std::to_string(grid.x) + "," + std::to_string(grid.y) + "," + std::to_string(grid.z) +
                     "), block (" + std::to_string(block.x) + "," + std::to_string(block.y) + "," +
                     std::to_string(block.z) + ")",
                 cudaErrorInvalidConfiguration);
  }
  if (launch.shared_bytes > 227 * 1024) {
    return wrong("launch of " + readable_name(launch.kernel) + ": " + std::to_string(launch.shared_bytes) +
                 " bytes of dynamic shared memory, at most 232448 are there");
  }
  return cudaSuccess;
}

std::vector<std::string> log_of_launches;
bool keep_log = false;

void run_launch(const Launch& launch) {
  if (sticky_error() != cudaSuccess) return;
  if (keep_log) log_of_launches.push_back(describe(launch));
  const DeviceAccess access;
  sticky_error() = execute(launch);
}

// One piece of a stream's work, and all that it waits for.
void step(Stream& stream) {
  const Work work = std::move(stream.queue.front());
  stream.queue.pop_front();
  for (const Point& earlier : work.after) finish(earlier);
  if (work.run) work.run();
  ++stream.done;
}

// Whether a point has been reached. Where it has not, some work is done, so that asking again gets there.
bool poll(const Point& point) {
  if (reached(point)) return true;
  step(*point.stream);
  return false;
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

}  // namespace

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

std::shared_ptr<Event> find_event(cudaEvent_t handle) {
  const auto found = streams().events.find(handle);
  if (found == streams().events.end()) {
    report("no such event: it was destroyed or never created");
    return nullptr;
  }
  return found->second;
}

cudaError_t submit(const std::shared_ptr<Stream>& stream, std::function<void()> run,
                   std::vector<Point> after) {
  if (const auto& capture = stream->capture) {
    if (capture->invalid)
      return wrong("the capture of this stream has failed before", cudaErrorStreamCaptureInvalidated);
    capture->graph->work.push_back(std::move(run));
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

std::vector<std::shared_ptr<Capture>>& captures() {
  static auto& all = *new std::vector<std::shared_ptr<Capture>>;
  return all;
}

cudaError_t refuse_in_capture(const char* call) {
  for (const auto& capture : captures()) {
    if (capture->mode == cudaStreamCaptureModeRelaxed) continue;
    return invalidate(*capture, std::string(call) + ": a stream is being captured",
                      cudaErrorStreamCaptureUnsupported);
  }
  return cudaSuccess;
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

void set_launch_log(bool on) {
  keep_log = on;
  log_of_launches.clear();
}
std::vector<std::string> launch_log() { return log_of_launches; }

cudaError_t queue_launch(const Launch& launch) {
  return entry([&] {
    const cudaError_t error = check_shape(launch);
    if (error != cudaSuccess) return error;
    const auto stream = find_stream(static_cast<cudaStream_t>(launch.stream));
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->device != current_device()) {
      return wrong("launch of " + readable_name(launch.kernel) +
                       ": the stream is of cuda:" + std::to_string(stream->device) +
                       ", the current device is cuda:" + std::to_string(current_device()),
                   cudaErrorInvalidResourceHandle);
    }
    if (!defer && stream->queue.empty() && (stream->flags & cudaStreamNonBlocking) != 0 &&
        stream->capture == nullptr) {
      ++stream->issued;
      run_launch(launch);
      ++stream->done;
      return cudaSuccess;
    }
    // Kernel parameters are plain values: a copy of their bytes is a copy of them.
    const auto* bytes = static_cast<const std::byte*>(launch.parameters);
    auto kept = std::make_shared<std::vector<std::max_align_t>>(
        launch.parameter_bytes / sizeof(std::max_align_t) + 1);
    std::memcpy(kept->data(), bytes, launch.parameter_bytes);
    return submit(stream, [launch, kept] {
      Launch again = launch;
      again.parameters = kept->data();
      run_launch(again);
    });
  });
}

}  // namespace tidu::simt

using namespace tidu::simt;

// --- Streams.

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return entry([&] {
    auto made = std::make_shared<Stream>();
    made->device = current_device();
    made->flags = flags;
    made->priority = priority;
    *stream = reinterpret_cast<cudaStream_t>(made.get());
    streams().created.emplace(made.get(), made);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return entry([&] {
    const auto found = find_stream(stream);
    if (found == nullptr || stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (found->capture) end_capture(found->capture);
    if (found->done != found->issued) streams().destroyed.push_back(found);
    streams().created.erase(found.get());
    return cudaSuccess;
  });
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return entry([&] {
    const auto found = find_stream(stream);
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = refuse_captured(*found, "cudaStreamSynchronize")) return error;
    finish(found);
    return sticky_error();
  });
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return entry([&] {
    const auto found = find_stream(stream);
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = refuse_captured(*found, "cudaStreamQuery")) return error;
    return poll({found, found->issued}) ? sticky_error() : cudaErrorNotReady;
  });
}
namespace {

// A stream that waits for captured work becomes part of the capture.
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

}  // namespace

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return entry([&] {
    const auto found = find_stream(stream);
    const auto awaited = find_event(event);
    if (found == nullptr || awaited == nullptr) return cudaErrorInvalidResourceHandle;
    if (awaited->capture) return join(found, *awaited);
    if (!awaited->recorded || reached(awaited->point)) return cudaSuccess;
    if (found->capture) {
      return invalidate(*found->capture,
                        "cudaStreamWaitEvent: a captured stream waits for work outside its capture",
                        cudaErrorStreamCaptureIsolation);
    }
    return submit(found, {}, {awaited->point});
  });
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return entry([&] {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
  });
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t f, void* data) {
  return entry([&] {
    const auto found = find_stream(stream);
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    return submit(found, [f, data] { call_host(f, data); });
  });
}

// --- Events.

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return entry([&] {
    auto made = std::make_shared<Event>();
    made->device = current_device();
    made->flags = flags;
    *event = reinterpret_cast<cudaEvent_t>(made.get());
    streams().events.emplace(made.get(), made);
    return cudaSuccess;
  });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return entry([&] { return streams().events.erase(event) ? cudaSuccess : cudaErrorInvalidResourceHandle; });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return entry([&] {
    const auto found = find_stream(stream);
    const auto made = find_event(event);
    if (found == nullptr || made == nullptr) return cudaErrorInvalidResourceHandle;
    if (found->device != made->device) {
      return wrong("cudaEventRecord: the event is of cuda:" + std::to_string(made->device) +
                       ", the stream of cuda:" + std::to_string(found->device),
                   cudaErrorInvalidResourceHandle);
    }
    made->recorded = true;
    made->capture = found->capture;
    made->clock = found->clock;
    made->point = {};
    if (found->capture) return cudaSuccess;
    made->point = {found, found->issued + 1};
    return submit(found, [made, position = found->issued + 1] {
      if (made->point.position == position) made->time = std::chrono::steady_clock::now();
    });
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return entry([&] {
    const auto found = find_event(event);
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (found->capture) return wrong("cudaEventSynchronize: the event is captured", cudaErrorCapturedEvent);
    if (found->recorded) finish(found->point);
    return sticky_error();
  });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return entry([&] {
    const auto found = find_event(event);
    if (found == nullptr) return cudaErrorInvalidResourceHandle;
    if (found->capture) return wrong("cudaEventQuery: the event is captured", cudaErrorCapturedEvent);
    return poll(found->point) ? sticky_error() : cudaErrorNotReady;
  });
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  return entry([&] {
    const auto from = find_event(start), to = find_event(end);
    if (from == nullptr || to == nullptr || !from->recorded || !to->recorded ||
        ((from->flags | to->flags) & cudaEventDisableTiming) != 0) {
      return wrong("cudaEventElapsedTime: an event was not recorded, or was created without timing",
                   cudaErrorInvalidResourceHandle);
    }
    if (!reached(from->point) || !reached(to->point)) return cudaErrorNotReady;
    *ms = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return cudaSuccess;
  });
}

// --- Devices' queues as a whole.

cudaError_t cudaDeviceSynchronize() {
  return entry([&] {
    if (const cudaError_t error = refuse_in_capture("cudaDeviceSynchronize")) return error;
    finish_device(current_device());
    return sticky_error();
  });
}
