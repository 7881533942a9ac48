// Launches of kernels: checked, logged, put into their streams.
#include <cstring>

#include "simt/control.h"
#include "simt/host/entry.h"
#include "simt/host/stream.h"
#include "simt/machine/device.h"
#include "simt/machine/execute.h"

namespace tidu::simt {

namespace {

cudaError_t check_shape(const Launch& launch) {
  const dim3 &grid = launch.grid, &block = launch.block;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 ||
      threads == 0 || block.x > 1024 || block.y > 1024 || block.z > 64 || threads > 1024) {
    return wrong("launch of " + readable_name(launch.kernel) + ": no such grid or block: grid " +
                     text_of(grid) + ", block " + text_of(block),
                 cudaErrorInvalidConfiguration);
  }
  if (launch.shared_bytes > 227 * 1024) {
    return wrong("launch of " + readable_name(launch.kernel) + ": " + std::to_string(launch.shared_bytes) +
                 " bytes of dynamic shared memory, at most 232448 are there");
  }
  return cudaSuccess;
}

std::vector<std::string>& log_of_launches = *new std::vector<std::string>;
bool keep_log = false;

void run_launch(const Launch& launch) {
  if (sticky_error() != cudaSuccess) return;
  if (keep_log) log_of_launches.push_back(text_of(launch));
  const DeviceAccess access;
  sticky_error() = execute(launch);
}

}  // namespace

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
    if (runs_at_once(*stream)) {
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
