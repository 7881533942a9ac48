// Libraries of kernels that are compiled while a process runs: what is no code, no kernel or no library.
#include <gtest/gtest.h>

#include <cstring>

#include "simt/control.h"

namespace tidu::simt {
namespace {

TEST(SimtLibrary, OnlyCodeOfTheDeviceIsLoaded) {
  cudaLibrary_t library = nullptr;
  char code[256] = "a cubin of a GPU";
  EXPECT_EQ(cudaLibraryLoadData(&library, code, nullptr, nullptr, 0, nullptr, nullptr, 0),
            cudaErrorInvalidKernelImage);
  EXPECT_EQ(library, nullptr);
  EXPECT_NE(last_report().find("no code of this device"), std::string::npos) << last_report();
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidKernelImage);
}

TEST(SimtLibrary, HandlesMustBeLive) {
  cudaKernel_t kernel = nullptr;
  int somewhere = 0;
  EXPECT_EQ(cudaLibraryGetKernel(&kernel, reinterpret_cast<cudaLibrary_t>(&somewhere), "kernel"),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaLaunchKernel(static_cast<const void*>(&somewhere), dim3(1), dim3(1), nullptr, 0, nullptr),
            cudaErrorInvalidDeviceFunction);
  EXPECT_NE(last_report().find("no such kernel"), std::string::npos) << last_report();
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDeviceFunction);
}

}  // namespace
}  // namespace tidu::simt
