// The main function of the tests of device cuda: on two emulated devices, unless TIDU_CUDA says
// otherwise; where the device that it names is not there, the program ends with 77, which CTest calls
// skipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "cuda/driver.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  setenv("TIDU_CUDA_DEVICES", "2", 0);
  if (std::getenv("TIDU_CUDA") == nullptr) tidu::cuda::emulate();
  if (const std::string reason = tidu::cuda::why_not(); !reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 77;
  }
  return RUN_ALL_TESTS();
}
