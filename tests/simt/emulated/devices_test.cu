// Two devices, and several host threads at once.
#include <cstdlib>
#include <thread>

#include "tests/simt/simt.h"

using namespace tidu::cuda;

namespace {

// Before the runtime first asks.
const bool two_devices = setenv("TIDU_CUDA_DEVICES", "2", 1) == 0;

__global__ void add_one(int* x) { x[threadIdx.x] += 1; }

TEST(SimtDevices, EachHasItsMemoryAndStreams) {
  ASSERT_TRUE(two_devices);
  int count = 0, can = 0;
  ASSERT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  ASSERT_EQ(count, 2);
  ASSERT_EQ(cudaDeviceCanAccessPeer(&can, 0, 1), cudaSuccess);
  EXPECT_EQ(can, 1);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  expect_failure(cudaErrorInvalidDevice, {"no such device"});

  Buffer<int> here(std::vector<int>(32, 1));
  cudaStream_t stream_here = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream_here), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  Buffer<int> there(std::vector<int>(32, 5));
  cudaPointerAttributes attributes;
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, there.get()), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(attributes.device, 1);

  EXPECT_EQ((launch<add_one>({1, 32, 0, stream_here}, here.get())), cudaErrorInvalidResourceHandle);
  expect_failure(cudaErrorInvalidResourceHandle, {"the stream is of cuda:0, the current device is cuda:1"});

  ASSERT_EQ((launch<add_one>({1, 32, 0, nullptr}, there.get())), cudaSuccess);
  EXPECT_EQ(cudaMemcpyPeerAsync(here.get(), 1, there.get(), 1, 128, nullptr), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue, {"a pointer is not of the device that is said"});
  ASSERT_EQ(cudaMemcpyPeerAsync(here.get(), 0, there.get(), 1, 128, nullptr), cudaSuccess);
  EXPECT_EQ(here.values(), std::vector<int>(32, 6));
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  ASSERT_EQ(cudaStreamDestroy(stream_here), cudaSuccess);
}

TEST(SimtDevices, HostThreadsTakeTurns) {
  Buffer<int> x(std::vector<int>(32, 0)), y(std::vector<int>(32, 0));
  const auto work = [](int* p) {
    cudaStream_t stream;
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    for (int i = 0; i < 200; ++i) ASSERT_EQ((launch<add_one>({1, 32, 0, stream}, p)), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  };
  std::thread other(work, x.get());
  work(y.get());
  other.join();
  EXPECT_EQ(x.values(), std::vector<int>(32, 200));
  EXPECT_EQ(y.values(), std::vector<int>(32, 200));
}

}  // namespace
