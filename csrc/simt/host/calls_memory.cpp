// Entry points of the CUDA runtime: memory, pools, copies.
#include <algorithm>
#include <cstring>

#include "simt/host/entry.h"
#include "simt/host/stream.h"
#include "simt/machine/hooks.h"

namespace tidu::simt {

namespace {

// --- Copies.

enum class Side { host, pinned, device };

Side side_of(const void* p) {
  const Allocation* const a = allocation_at(p);
  if (a == nullptr) return Side::host;
  return a->device == kPinned ? Side::pinned : Side::device;
}

// Empty if all of [p, p + bytes) is in one live allocation or in ordinary memory, else what is wrong.
std::string fault_of(const void* p, size_t bytes) {
  if (p == nullptr) return "is null";
  const Allocation* const a = allocation_at(p);
  if (a == nullptr) return "";
  const auto begin = static_cast<size_t>(static_cast<const char*>(p) - a->base);
  if (a->live && begin + bytes <= a->bytes) return "";
  return "of " + std::to_string(bytes) + " bytes is not within a live allocation" + describe(p);
}

cudaError_t check_copy(const char* call, void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (const std::string fault = fault_of(to, bytes); !fault.empty()) {
    return wrong(std::string(call) + ": the destination " + fault);
  }
  if (const std::string fault = fault_of(from, bytes); !fault.empty()) {
    return wrong(std::string(call) + ": the source " + fault);
  }
  if (kind == cudaMemcpyDefault) return cudaSuccess;
  const bool to_device = side_of(to) == Side::device, from_device = side_of(from) == Side::device;
  const bool says_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool says_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device == says_to && from_device == says_from) return cudaSuccess;
  return wrong(std::string(call) + ": the kind of copy does not fit its pointers: the destination is " +
                   (to_device ? "device" : "host") + " memory, the source " +
                   (from_device ? "device" : "host") + " memory",
               cudaErrorInvalidMemcpyDirection);
}

void copy_now(void* to, const void* from, size_t bytes) {
  if (sticky_error() != cudaSuccess) return;
  // What was alive at the call may be freed when the copy runs.
  for (const void* p : {static_cast<const void*>(to), from}) {
    if (const std::string fault = fault_of(p, bytes); !fault.empty()) {
      report("a queued copy runs too late: its memory " + fault);
      sticky_error() = cudaErrorIllegalAddress;
      return;
    }
  }
  const DeviceAccess access;
  std::memmove(to, from, bytes);
  if (observer) observer->copied(to, from, bytes);
}

// Pageable memory is read before the call returns and written before it returns; pinned memory when the
// stream comes to it.
cudaError_t copy(const char* call, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t handle, bool blocking) {
  if (bytes == 0) return cudaSuccess;
  const cudaError_t error = check_copy(call, to, from, bytes, kind);
  if (error != cudaSuccess) return error;
  const auto stream = find_stream(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  const bool pageable = side_of(from) == Side::host || side_of(to) == Side::host;
  if (pageable && stream->capture) {
    return invalidate(*stream->capture, std::string(call) + ": a captured copy needs pinned host memory",
                      cudaErrorStreamCaptureUnsupported);
  }
  std::function<void()> run = [to, from, bytes] { copy_now(to, from, bytes); };
  if (side_of(from) == Side::host && !blocking) {
    const auto* begin = static_cast<const char*>(from);
    auto kept = std::make_shared<std::vector<char>>(begin, begin + bytes);
    run = [to, kept, bytes] { copy_now(to, kept->data(), bytes); };
  }
  if (const cudaError_t error = submit(stream, std::move(run), {}, cudaGraphNodeTypeMemcpy)) return error;
  if (blocking || side_of(to) == Side::host) finish(stream);
  return sticky_error();
}

cudaError_t set(const char* call, void* to, int value, size_t bytes, cudaStream_t handle) {
  if (bytes == 0) return cudaSuccess;
  if (const std::string fault = fault_of(to, bytes); !fault.empty() || side_of(to) == Side::host) {
    return wrong(std::string(call) + ": the destination " +
                 (fault.empty() ? "is ordinary host memory" : fault));
  }
  const auto stream = find_stream(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  const auto run = [to, value, bytes] {
    if (sticky_error() != cudaSuccess) return;
    const DeviceAccess access;
    std::memset(to, value, bytes);
    if (observer) observer->written(to, bytes);
  };
  return submit(stream, run, {}, cudaGraphNodeTypeMemset);
}

// --- Freeing.

cudaError_t check_free(const char* call, const void* p, bool pinned) {
  const Allocation* const a = allocation_at(p);
  if (a == nullptr)
    return wrong(std::string(call) + ": the pointer is of no allocation of this device runtime");
  if (!a->live) return wrong(std::string(call) + ": the memory was freed before" + describe(p));
  if (p != a->base)
    return wrong(std::string(call) + ": the pointer is not the start of its allocation" + describe(p));
  if ((a->device == kPinned) != pinned) {
    return wrong(std::string(call) + (pinned ? ": this is device memory" : ": this is pinned host memory"));
  }
  return cudaSuccess;
}

void release_now(void* p) {
  const Allocation* const a = allocation_at(p);
  if (a->live) {
    if (!release(*a)) sticky_error() = cudaErrorIllegalAddress;
  } else {
    report("cudaFreeAsync: the memory was freed twice" + describe(p));
    sticky_error() = cudaErrorInvalidValue;
  }
}

cudaError_t allocate_for(void** p, size_t bytes, int device, bool pooled) {
  if (p == nullptr) return wrong("an allocation needs a place for its pointer");
  *p = nullptr;
  if (bytes == 0) return cudaSuccess;
  *p = allocate(device, bytes, pooled);
  if (*p != nullptr) return cudaSuccess;
  return wrong("out of memory: " + std::to_string(bytes) + " bytes asked for", cudaErrorMemoryAllocation);
}

// Memory allocated during a capture is the graph's.
cudaError_t allocate_on(void** p, size_t bytes, int device, Stream& stream) {
  const cudaError_t error = allocate_for(p, bytes, device, true);
  if (error == cudaSuccess && stream.capture) stream.capture->graph->memory.push_back(*p);
  return error;
}

cudaError_t free_captured(Capture& capture, void* p) {
  const auto& memory = capture.graph->memory;
  if (std::find(memory.begin(), memory.end(), p) != memory.end()) return cudaSuccess;
  return invalidate(capture, "cudaFreeAsync: a capture may free only what was allocated in it",
                    cudaErrorInvalidValue);
}

// Handles of pools are devices counted from 1.
int device_of(cudaMemPool_t pool) { return static_cast<int>(reinterpret_cast<uintptr_t>(pool)) - 1; }

}  // namespace

}  // namespace tidu::simt

using namespace tidu::simt;

// --- Memory.

cudaError_t cudaMalloc(void** p, size_t bytes) {
  return entry([&] {
    if (const cudaError_t error = refuse_in_capture("cudaMalloc")) return error;
    return allocate_for(p, bytes, current_device(), false);
  });
}
cudaError_t cudaFree(void* p) {
  return entry([&] {
    if (p == nullptr) return cudaSuccess;
    if (const cudaError_t error = refuse_in_capture("cudaFree")) return error;
    const cudaError_t error = check_free("cudaFree", p, false);
    if (error != cudaSuccess) return error;
    finish_device(allocation_at(p)->device);
    release_now(p);
    return sticky_error();
  });
}
cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t handle) {
  return entry(handle, [&](const auto& stream) { return allocate_on(p, bytes, stream->device, *stream); });
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t handle) {
  if (p == nullptr) return entry([] { return cudaSuccess; });
  return entry(handle, [&](const auto& stream) {
    const cudaError_t error = check_free("cudaFreeAsync", p, false);
    if (error != cudaSuccess) return error;
    if (stream->capture) return free_captured(*stream->capture, p);
    return submit(stream, [p] { release_now(p); });
  });
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  return entry([&] {
    if (const cudaError_t error = refuse_in_capture("cudaHostAlloc")) return error;
    return allocate_for(p, bytes, kPinned, false);
  });
}
cudaError_t cudaMallocHost(void** p, size_t bytes) { return cudaHostAlloc(p, bytes, 0); }
cudaError_t cudaFreeHost(void* p) {
  return entry([&] {
    if (p == nullptr) return cudaSuccess;
    if (const cudaError_t error = refuse_in_capture("cudaFreeHost")) return error;
    const cudaError_t error = check_free("cudaFreeHost", p, true);
    if (error != cudaSuccess) return error;
    for (int i = 0; i < device_count(); ++i) finish_device(i);
    release_now(p);
    return sticky_error();
  });
}
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  return entry([&] {
    if (side_of(host) != Side::pinned) return wrong("cudaHostGetDevicePointer: not pinned host memory");
    *device = host;
    return cudaSuccess;
  });
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return entry([&] {
    const MemoryUse& use = memory_use(current_device());
    *total = memory_limit();
    *free = memory_limit() - (use.pool_reserved + use.live - use.pool_used);
    return cudaSuccess;
  });
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  return entry([&] {
    *attributes = {};
    const Allocation* const a = allocation_at(p);
    if (a == nullptr || !a->live) {
      attributes->type = cudaMemoryTypeUnregistered;
      attributes->device = cudaInvalidDeviceId;
      return cudaSuccess;
    }
    attributes->type = a->device == kPinned ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
    attributes->device = a->device == kPinned ? current_device() : a->device;
    attributes->devicePointer = const_cast<void*>(p);
    attributes->hostPointer = a->device == kPinned ? const_cast<void*>(p) : nullptr;
    return cudaSuccess;
  });
}

// --- Pools: one a device, of the memory that allocations in stream order come from.

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return entry([&] {
    if (no_such_device(device)) return cudaErrorInvalidDevice;
    *pool = reinterpret_cast<cudaMemPool_t>(static_cast<uintptr_t>(device) + 1);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return entry([&] {
    if (no_such_device(device_of(pool))) return cudaErrorInvalidValue;
    MemoryUse& use = memory_use(device_of(pool));
    switch (attribute) {
      case cudaMemPoolAttrReleaseThreshold: use.pool_threshold = *static_cast<uint64_t*>(value); break;
      case cudaMemPoolAttrReservedMemHigh: use.pool_reserved_high = use.pool_reserved; break;
      case cudaMemPoolAttrUsedMemHigh: use.pool_used_high = use.pool_used; break;
      case cudaMemPoolReuseFollowEventDependencies:
      case cudaMemPoolReuseAllowOpportunistic:
      case cudaMemPoolReuseAllowInternalDependencies: break;
      default: return wrong("cudaMemPoolSetAttribute: this attribute cannot be set");
    }
    return cudaSuccess;
  });
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return entry([&] {
    if (no_such_device(device_of(pool))) return cudaErrorInvalidValue;
    const MemoryUse& use = memory_use(device_of(pool));
    auto& number = *static_cast<uint64_t*>(value);
    switch (attribute) {
      case cudaMemPoolAttrReleaseThreshold: number = use.pool_threshold; break;
      case cudaMemPoolAttrReservedMemCurrent: number = use.pool_reserved; break;
      case cudaMemPoolAttrReservedMemHigh: number = use.pool_reserved_high; break;
      case cudaMemPoolAttrUsedMemCurrent: number = use.pool_used; break;
      case cudaMemPoolAttrUsedMemHigh: number = use.pool_used_high; break;
      default: *static_cast<int*>(value) = 1; break;
    }
    return cudaSuccess;
  });
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep) {
  return entry([&] {
    if (no_such_device(device_of(pool))) return cudaErrorInvalidValue;
    MemoryUse& use = memory_use(device_of(pool));
    use.pool_reserved = std::min(use.pool_reserved, std::max(use.pool_used, keep));
    return cudaSuccess;
  });
}
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, size_t) {
  return entry([] { return cudaSuccess; });
}

// --- Copies.

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return entry([&] { return copy("cudaMemcpyAsync", to, from, bytes, kind, stream, false); });
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return entry([&] { return copy("cudaMemcpy", to, from, bytes, kind, nullptr, true); });
}
cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes,
                                cudaStream_t stream) {
  return entry([&] {
    if (no_such_device(to_device) || no_such_device(from_device)) return cudaErrorInvalidDevice;
    if (bytes == 0) return cudaSuccess;
    const Allocation *const a = allocation_at(to), *const b = allocation_at(from);
    if (a == nullptr || b == nullptr || a->device != to_device || b->device != from_device) {
      return wrong("cudaMemcpyPeerAsync: a pointer is not of the device that is said");
    }
    return copy("cudaMemcpyPeerAsync", to, from, bytes, cudaMemcpyDeviceToDevice, stream, false);
  });
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return entry([&] { return set("cudaMemsetAsync", to, value, bytes, stream); });
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return entry([&] { return set("cudaMemset", to, value, bytes, nullptr); });
}
