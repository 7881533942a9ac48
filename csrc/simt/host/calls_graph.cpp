// Entry points of the CUDA runtime: the capture of streams, and graphs.
#include <unordered_map>

#include "simt/host/entry.h"
#include "simt/host/stream.h"

namespace tidu::simt {

namespace {

// Graphs and their executable forms are both the captured work.
std::unordered_map<const void*, std::shared_ptr<Graph>>& graphs() {
  static auto& all = *new std::unordered_map<const void*, std::shared_ptr<Graph>>;
  return all;
}

std::shared_ptr<Graph> find_graph(const void* handle) {
  const auto found = graphs().find(handle);
  if (found != graphs().end()) return found->second;
  report("no such graph: it was destroyed or never made");
  return nullptr;
}

// Each handle is the address of its own entry.
template <class Handle> Handle handle_for(const std::shared_ptr<Graph>& graph) {
  const void* const handle = new char;
  graphs().emplace(handle, graph);
  return static_cast<Handle>(const_cast<void*>(handle));
}

cudaError_t destroy(const void* handle) {
  if (find_graph(handle) == nullptr) return cudaErrorInvalidValue;
  graphs().erase(handle);
  delete static_cast<const char*>(handle);
  return cudaSuccess;
}

}  // namespace

}  // namespace tidu::simt

using namespace tidu::simt;

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return entry(handle, [&](const auto& stream) {
    if (handle == nullptr || handle == cudaStreamLegacy) {
      return wrong("cudaStreamBeginCapture: the default stream cannot be captured",
                   cudaErrorStreamCaptureUnsupported);
    }
    if (stream->capture)
      return wrong("cudaStreamBeginCapture: the stream is being captured", cudaErrorIllegalState);
    begin_capture(stream, mode);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  *graph = nullptr;
  return entry(handle, [&](const auto& stream) {
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture == nullptr)
      return wrong("cudaStreamEndCapture: the stream is not being captured", cudaErrorIllegalState);
    if (capture->origin != stream.get()) {
      return invalidate(*capture, "cudaStreamEndCapture: the capture began in another stream",
                        cudaErrorStreamCaptureUnmatched);
    }
    bool joined = true;
    for (const auto& other : capture->streams) {
      joined = joined && stream->clock[other.get()] >= other->clock[other.get()];
    }
    end_capture(capture);
    if (capture->invalid)
      return wrong("cudaStreamEndCapture: the capture has failed", cudaErrorStreamCaptureInvalidated);
    if (!joined) {
      return wrong(
          "cudaStreamEndCapture: work of another stream is not waited for by the one that began the capture",
          cudaErrorStreamCaptureUnjoined);
    }
    *graph = handle_for<cudaGraph_t>(capture->graph);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return entry(handle, [&](const auto& stream) {
    *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t handle, unsigned long long) {
  return entry([&] {
    const auto graph = find_graph(handle);
    if (graph == nullptr) return cudaErrorInvalidValue;
    *executable = handle_for<cudaGraphExec_t>(graph);
    return cudaSuccess;
  });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  return entry([&] {
    const auto graph = find_graph(handle);
    const auto stream = find_stream(stream_handle);
    if (graph == nullptr) return cudaErrorInvalidValue;
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return submit(stream, [graph] {
      for (const auto& run : graph->work) run();
    });
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t handle) {
  return entry([&] { return destroy(handle); });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  return entry([&] { return destroy(handle); });
}
