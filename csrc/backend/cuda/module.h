// Kernels compiled while a program runs, loaded.
#pragma once

#include <cuda_runtime.h>

#include <string>

namespace tidu::cuda {

class Module {
 public:
  // Whether there is an NVRTC, and it knows the device.
  static bool can_be_made(int device);
  // That of a text for the device's architecture: compiled, or taken from disk, at the first call and kept
  // for the life of the process. A DeviceError that begins with `what` says why it does not compile.
  static const Module& of(const std::string& text, int device, const std::string& what);

  cudaKernel_t kernel(const std::string& name) const;

 private:
  Module(const std::string& text, const std::string& architecture, const std::string& what);

  cudaLibrary_t library_ = nullptr;
};

}  // namespace tidu::cuda
