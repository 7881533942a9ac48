// Kernels that were compiled while the process ran (libraries/nvrtc.cpp): how their shared object shows them
// to the runtime that loads it (host/calls_library.cpp). It includes this before all else.
#pragma once

// Where the plug-in shows the variables of a thread: hooks.h hides their own names, for speed.
#include <vector_types.h>
extern "C" {
extern const uint3 threadIdx __asm__("tidu_simt_thread_index");
extern const uint3 blockIdx __asm__("tidu_simt_block_index");
extern const dim3 blockDim __asm__("tidu_simt_block_shape");
extern const dim3 gridDim __asm__("tidu_simt_grid_shape");
}
namespace tidu::simt {
struct Running;
extern Running running __asm__("tidu_simt_running");
}  // namespace tidu::simt
#include <device_launch_parameters.h>

#include <new>

#include "simt/machine/device.h"

namespace tidu::simt {

struct LoadedKernel {
  const char* name;
  size_t parameter_bytes;
  void (*pack)(void* parameters, void* const* arguments);  // as cudaLaunchKernel is given them
  void (*call)(const void* parameters);
};

template <auto kernel, class... P> LoadedKernel loaded(void (*)(P...)) {
  using Parameters = typename Trampoline<kernel, P...>::Parameters;
  const auto pack = [](void* parameters, void* const* arguments) {
    [&]<size_t... i>(std::index_sequence<i...>) {
      new (parameters) Parameters(*static_cast<const P*>(arguments[i])...);
    }
    (std::index_sequence_for<P...>());
  };
  return {kernel_name<kernel>(), sizeof(Parameters), pack, &Trampoline<kernel, P...>::call};
}

}  // namespace tidu::simt
