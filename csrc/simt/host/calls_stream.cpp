// Entry points of the CUDA runtime: streams and events.
#include "simt/host/entry.h"
#include "simt/host/stream.h"

using namespace tidu::simt;

// --- Streams.

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return entry([&] {
    *stream = make_stream(flags, priority);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return entry(stream, [&](const auto& found) {
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    destroy_stream(found);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return entry(stream, [&](const auto& found) {
    if (const cudaError_t error = refuse_captured(*found, "cudaStreamSynchronize")) return error;
    finish(found);
    return sticky_error();
  });
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return entry(stream, [&](const auto& found) {
    if (const cudaError_t error = refuse_captured(*found, "cudaStreamQuery")) return error;
    return poll({found, found->issued}) ? sticky_error() : cudaErrorNotReady;
  });
}
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
  return entry(stream, [&](const auto& found) {
    return submit(
        found, [f, data] { call_host(f, data); }, {}, cudaGraphNodeTypeHost);
  });
}

// --- Events.

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return entry([&] {
    *event = make_event(flags);
    return cudaSuccess;
  });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return entry([&] { return destroy_event(event) ? cudaSuccess : cudaErrorInvalidResourceHandle; });
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
  return entry(event, [&](const auto& found) {
    if (found->capture) return wrong("cudaEventSynchronize: the event is captured", cudaErrorCapturedEvent);
    if (found->recorded) finish(found->point);
    return sticky_error();
  });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return entry(event, [&](const auto& found) {
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
