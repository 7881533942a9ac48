// Errors of the CUDA runtime as exceptions.
#include "backend/cuda/error.h"

#include "backend/cuda/emulation.h"
#include "backend/cuda/gpu.h"
#include "base/error.h"

namespace tidu::cuda {

std::string describe(cudaError_t error) {
  return str("CUDA error ", static_cast<int>(error), " (", cudaGetErrorName(error), ": ",
             cudaGetErrorString(error), ")");
}

bool is_of_earlier_work(cudaError_t error) {
  return error == cudaErrorECCUncorrectable || error == cudaErrorNvlinkUncorrectable ||
         error == cudaErrorLaunchTimeout || error == cudaErrorAssert || error == cudaErrorIllegalAddress ||
         (error >= cudaErrorHardwareStackError && error <= cudaErrorLaunchFailure) ||
         error == cudaErrorTensorMemoryLeak || error == cudaErrorUnknown;
}

void fail_cuda(cudaError_t error, const std::string& what) {
  cudaGetLastError();  // so that the next call does not report it once more
  if (error == cudaErrorMemoryAllocation) {
    fail<OutOfMemoryError>(what, ": out of memory: ", describe(error));
  }
  std::string text = str(what, ": ", describe(error));
  if (is_of_earlier_work(error)) {
    int device = 0;
    cudaGetDevice(&device);
    if (Gpu* failed = gpu_if_made(device)) text += failed->describe_unfinished_calls();
  }
  if (has_emulation()) {
    if (const std::string report = simt::last_report(); !report.empty()) text += "\n" + report;
    if (!is_of_earlier_work(error)) simt::clear_report();
  }
  fail<DeviceError>(text);
}

}  // namespace tidu::cuda
