// Entry points of the CUDA runtime: devices, memory, copies, errors. Those of streams are in stream.cpp.
#include "simt/runtime.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "simt/control.h"
#include "simt/hooks.h"
#include "simt/stream.h"

namespace tidu::simt {

std::recursive_mutex& runtime_lock() {
  static std::recursive_mutex& lock = *new std::recursive_mutex;
  return lock;
}

namespace {

thread_local int device_of_thread = 0;
thread_local cudaError_t error_of_thread = cudaSuccess;

bool no_such_device(int device) { return device < 0 || device >= device_count(); }

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
    stream->capture->invalid = true;
    return wrong(std::string(call) + ": a captured copy needs pinned host memory",
                 cudaErrorStreamCaptureUnsupported);
  }
  std::function<void()> run = [to, from, bytes] { copy_now(to, from, bytes); };
  if (side_of(from) == Side::host && !blocking) {
    const auto* begin = static_cast<const char*>(from);
    auto kept = std::make_shared<std::vector<char>>(begin, begin + bytes);
    run = [to, kept, bytes] { copy_now(to, kept->data(), bytes); };
  }
  if (const cudaError_t error = submit(stream, std::move(run))) return error;
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
  return submit(stream, [to, value, bytes] {
    if (sticky_error() != cudaSuccess) return;
    const DeviceAccess access;
    std::memset(to, value, bytes);
    if (observer) observer->written(to, bytes);
  });
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
  capture.invalid = true;
  return wrong("cudaFreeAsync: a capture may free only what was allocated in it");
}

// Handles of pools are devices counted from 1.
int device_of(cudaMemPool_t pool) { return static_cast<int>(reinterpret_cast<uintptr_t>(pool)) - 1; }

}  // namespace

int current_device() { return device_of_thread; }
cudaError_t& last_error() { return error_of_thread; }
cudaError_t& sticky_error() {
  static cudaError_t error = cudaSuccess;
  return error;
}
namespace {
bool host_function_runs = false;
}
bool in_host_function() { return host_function_runs; }
void call_host(cudaHostFn_t f, void* data) {
  if (sticky_error() != cudaSuccess) return;
  host_function_runs = true;
  f(data);
  host_function_runs = false;
}

std::string leaks() {
  std::string text;
  for_each_live(
      [](const Allocation& a, void* all) {
        *static_cast<std::string*>(all) +=
            "allocation " + std::to_string(a.number) + " of " + std::to_string(a.bytes) + " bytes, " +
            (a.device == kPinned ? "pinned" : "cuda:" + std::to_string(a.device)) + "\n";
      },
      &text);
  const std::string handles = live_handles();
  return handles.empty() ? text : text + handles + "\n";
}

namespace {

constexpr int kLeakStatus = 23;  // LeakSanitizer's

// A library may keep pinned memory, streams and events for as long as the process lives.
bool device_memory_leaks() {
  const std::lock_guard lock(runtime_lock());
  for (int device = 0; device < device_count(); ++device) {
    finish_device(device);  // a deferred stream may have yet to free some
    if (memory_use(device).live != 0) return true;
  }
  return false;
}

[[maybe_unused]] const bool leaks_at_exit = [] {
  if (std::getenv("TIDU_SIMT_LEAKS") == nullptr) return false;
  return std::atexit([] {
           if (!device_memory_leaks()) return;
           std::fprintf(stderr, "tidu simt: never freed:\n%s", leaks().c_str());
           std::fflush(nullptr);
           std::_Exit(kLeakStatus);  // a handler of exit() must not call it again
         }) == 0;
}();

}  // namespace

void clear_error() {
  const std::lock_guard lock(runtime_lock());
  sticky_error() = last_error() = cudaSuccess;
}

}  // namespace tidu::simt

using namespace tidu::simt;

// --- Errors.

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(runtime_lock());
  const cudaError_t error = sticky_error() != cudaSuccess ? sticky_error() : last_error();
  last_error() = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(runtime_lock());
  return sticky_error() != cudaSuccess ? sticky_error() : last_error();
}

namespace {

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorPeerAccessAlreadyEnabled, "cudaErrorPeerAccessAlreadyEnabled",
     "peer access is already enabled"},
    {cudaErrorPeerAccessNotEnabled, "cudaErrorPeerAccessNotEnabled", "peer access has not been enabled"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
};
const ErrorText* text_of(cudaError_t error) {
  const auto found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                  [&](const ErrorText& e) { return e.error == error; });
  return found == std::end(kErrors) ? nullptr : found;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  const ErrorText* const text = text_of(error);
  return text ? text->name : "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) {
  const ErrorText* const text = text_of(error);
  return text ? text->text : "unrecognized error code";
}

// --- Devices.

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return entry([&] {
    if (no_such_device(device)) return wrong("cudaSetDevice: no such device", cudaErrorInvalidDevice);
    device_of_thread = device;
    return cudaSuccess;
  });
}
cudaError_t cudaGetDevice(int* device) {
  return entry([&] {
    *device = current_device();
    return cudaSuccess;
  });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  return entry([&] {
    if (no_such_device(device)) return cudaErrorInvalidDevice;
    *p = {};
    std::snprintf(p->name, sizeof p->name, "SIMT emulation (sm_90)");
    p->uuid.bytes[0] = static_cast<char>(device);
    p->totalGlobalMem = memory_limit();
    p->sharedMemPerBlock = 48 * 1024;
    p->sharedMemPerBlockOptin = 227 * 1024;
    p->sharedMemPerMultiprocessor = 228 * 1024;
    p->reservedSharedMemPerBlock = 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->memPitch = 0x7fffffff;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->totalConstMem = 65536;
    p->major = 9;
    p->textureAlignment = 512;
    p->multiProcessorCount = 132;
    p->canMapHostMemory = 1;
    p->concurrentKernels = 1;
    p->asyncEngineCount = 3;
    p->unifiedAddressing = 1;
    p->memoryBusWidth = 5120;
    p->l2CacheSize = 50 << 20;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxBlocksPerMultiProcessor = 32;
    p->streamPrioritiesSupported = 1;
    p->memoryPoolsSupported = 1;
    p->pciBusID = device + 1;
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  const cudaError_t error = cudaGetDeviceProperties(&p, device);
  if (error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(p.sharedMemPerBlockOptin); break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMemoryPoolsSupported: *value = p.memoryPoolsSupported; break;
    default:
      return entry([] { return wrong("cudaDeviceGetAttribute: not an attribute that the emulation knows"); });
  }
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return entry([&] {
    if (no_such_device(device) || no_such_device(peer)) return cudaErrorInvalidDevice;
    *can = device != peer;
    return cudaSuccess;
  });
}

// --- Kernels' properties, as far as a host can know them.

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int) {
  return entry([&] { return kernel ? cudaSuccess : cudaErrorInvalidDeviceFunction; });
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  return entry([&] {
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    *attributes = {};
    attributes->maxThreadsPerBlock = 1024;
    attributes->numRegs = 32;
    attributes->ptxVersion = attributes->binaryVersion = 90;
    attributes->maxDynamicSharedSizeBytes = 48 * 1024;
    return cudaSuccess;
  });
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads,
                                                          size_t shared) {
  return entry([&] {
    if (threads <= 0 || threads > 1024 || shared > 227 * 1024)
      return wrong("occupancy of a block that cannot run");
    *blocks = std::min({32, 2048 / threads, static_cast<int>(228 * 1024 / (shared + 1024))});
    return cudaSuccess;
  });
}

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
  return entry([&] {
    const auto stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return allocate_on(p, bytes, stream->device, *stream);
  });
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t handle) {
  return entry([&] {
    if (p == nullptr) return cudaSuccess;
    const auto stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
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
