// Kernels and calls that are wrong in one way each: the report names the fault and its line, and nothing is
// lost.
#include <cstdio>
#include <cstdlib>

#include "tests/simt/simt.h"

using namespace tidu::cuda;
using tidu::simt::Schedule;

namespace {

std::string line(int number) { return "fault_test.cu:" + std::to_string(number); }

cudaStream_t none = nullptr;

constexpr int kDivergent = __LINE__ + 4;
__global__ void divergent_barrier(int* x) {
  // Two barriers that half of the block each come to.
  if (threadIdx.x < 16) {
    __syncthreads();
    x[0] = 1;
  } else {
    __syncthreads();
    x[0] = 2;
  }
}

TEST(SimtFault, DivergentBarrier) {
  Buffer<int> x(1);
  ASSERT_EQ((launch<divergent_barrier>({1, 32, 0, none}, x.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"divergent barrier", line(kDivergent), line(kDivergent + 3),
                                          "divergent_barrier", "block (0,0,0)", "launched at"});
}

constexpr int kMissing = __LINE__ + 3;
__global__ void barrier_and_exchange() {
  if (threadIdx.x < 8) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}

TEST(SimtFault, ABarrierThatWaitsForAnExchange) {
  ASSERT_EQ((launch<barrier_and_exchange>({1, 32, 0, none})), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"no thread can go on", "8 wait in __syncthreads", line(kMissing),
                                          "24 wait in an exchange", line(kMissing + 2)});
}

constexpr int kBadMask = __LINE__ + 1;
__global__ void not_in_its_mask(int* x) { x[threadIdx.x] = __shfl_sync(0x0000ffffu, 1, 0); }

TEST(SimtFault, ALaneOutsideItsMask) {
  Buffer<int> x(32);
  ASSERT_EQ((launch<not_in_its_mask>({1, 32, 0, none}, x.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"is not in the mask 0x0000ffff", line(kBadMask)});
}

constexpr int kBadSource = __LINE__ + 2;
__global__ void source_outside_mask(int* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_down_sync(0x0000ffffu, 1, 1);
}

TEST(SimtFault, AShuffleFromOutsideTheMask) {
  Buffer<int> x(32);
  ASSERT_EQ((launch<source_outside_mask>({1, 32, 0, none}, x.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure,
                 {"reads lane 16, which is not in the mask", line(kBadSource), "thread (15,0,0)"});
}

constexpr int kEnded = __LINE__ + 3;
__global__ void from_a_lane_that_returned(int* x) {
  if (threadIdx.x >= 20) return;
  x[threadIdx.x] = __shfl_xor_sync(kFullMask, 1, 16);
}

TEST(SimtFault, AShuffleFromALaneThatReturned) {
  Buffer<int> x(32);
  for (const Schedule schedule : {Schedule{}, Schedule{Schedule::descending}}) {
    tidu::simt::set_schedule(schedule);
    ASSERT_EQ((launch<from_a_lane_that_returned>({1, 32, 0, none}, x.get())), cudaSuccess);
    expect_failure(cudaErrorLaunchFailure, {"reads lane 2", "which has returned", line(kEnded)});
  }
  tidu::simt::set_schedule({});
}

TEST(SimtFault, AShuffleFromALaneThatNeverWas) {
  Buffer<int> x(32);
  ASSERT_EQ((launch<from_a_lane_that_returned>({1, 16, 0, none}, x.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"which does not exist in this block", line(kEnded)});
}

constexpr int kDisagree = __LINE__ + 3;
__global__ void masks_disagree(int* x) {
  const unsigned mask = threadIdx.x == 0 ? kFullMask : 0x7fffffffu;
  x[threadIdx.x] = __any_sync(mask, 1);
}

TEST(SimtFault, MasksThatDisagree) {
  Buffer<int> x(32);
  ASSERT_EQ((launch<masks_disagree>({1, 32, 0, none}, x.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"mask", "0x7fffffff", line(kDisagree)});
}

constexpr int kDiverge = __LINE__ + 3;
__global__ void different_operations(unsigned* x) {
  if (threadIdx.x < 16) {
    x[0] = __ballot_sync(kFullMask, 1);
  } else {
    x[1] = __shfl_sync(kFullMask, 1u, 0);
  }
}

TEST(SimtFault, LanesOfOneMaskInDifferentOperations) {
  Buffer<unsigned> x(2);
  ASSERT_EQ((launch<different_operations>({1, 32, 0, none}, x.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"lanes of one mask diverge", line(kDiverge), line(kDiverge + 2)});
}

__global__ void read_far(const int* p, int* x) { *x = *p; }

TEST(SimtFault, IllegalAddress) {
  Buffer<int> x(1);
  ASSERT_EQ((launch<read_far>({1, 1, 0, none}, reinterpret_cast<const int*>(0x1000), x.get())), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);  // and every other call, as on a GPU
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorIllegalAddress);
  expect_failure(cudaErrorIllegalAddress, {"illegal memory access at", "read_far", "thread (0,0,0)"});
}

#ifndef __SANITIZE_ADDRESS__  // built with the sanitizer of undefined behaviour, too, which comes first
__global__ void divide(const int* x, int* y) { *y = 100 / *x; }

TEST(SimtFault, DivisionByZero) {
  Buffer<int> x(std::vector<int>{0}), y(1);
  ASSERT_EQ((launch<divide>({1, 1, 0, none}, x.get(), y.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"integer division by zero", "divide"});
}
#endif

[[gnu::noipa]] int recurse(int depth, int* x) {
  int local[64];
  local[0] = x[0];
  return depth == 0 ? 0 : recurse(depth - 1, local) + local[0];
}
__global__ void overflow(int* x) { *x = recurse(1000000, x); }

TEST(SimtFault, StackOverflow) {
  Buffer<int> x(1);
  ASSERT_EQ((launch<overflow>({1, 1, 0, none}, x.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"stack overflow"});
}

__global__ void load_misaligned(const float* x, float* y) { store_vec(y, load_vec<4>(x + 1)); }

TEST(SimtFault, MisalignedVector) {
  Buffer<float> x(8), y(4);
  ASSERT_EQ((launch<load_misaligned>({1, 1, 0, none}, x.get(), y.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchFailure, {"misaligned vector access", "load_misaligned"});
}

__global__ void too_much_shared(int* x) {
  TIDU_SHARED(large, int[12289]);
  large[0] = 1;
  *x = large[0];
}

TEST(SimtFault, TooMuchSharedMemory) {
  Buffer<int> x(1);
  ASSERT_EQ((launch<too_much_shared>({1, 1, 0, none}, x.get())), cudaSuccess);
  expect_failure(cudaErrorInvalidValue, {"too much shared memory with `large`", "49156"});
  EXPECT_EQ((launch<read_far>({1, 1, 227 * 1024 + 1, none}, x.get(), x.get())), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue, {"bytes of dynamic shared memory"});
}

TEST(SimtFault, ImpossibleLaunches) {
  Buffer<int> x(1);
  for (const auto& [grid, block] : {std::pair(dim3(0), dim3(1)),
                                    {dim3(1), dim3(1025)},
                                    {dim3(1, 65536), dim3(1)},
                                    {dim3(1), dim3(1, 1, 65)}}) {
    EXPECT_EQ((launch<read_far>({grid, block, 0, none}, x.get(), x.get())), cudaErrorInvalidConfiguration);
    expect_failure(cudaErrorInvalidConfiguration, {"no such grid or block"});
  }
}

constexpr int kSpin = __LINE__ + 2;
__global__ void spin_with_barrier(int* flag) {
  while (atomicAdd(flag, 0) == 0) __syncwarp();
}
#ifndef __SANITIZE_THREAD__  // which holds signals back until the thread blocks
__global__ void spin(int* flag) {
  while (atomicAdd(flag, 0) == 0) {}
}
#endif

TEST(SimtFault, Spinning) {
  Buffer<int> flag(std::vector<int>{0});
  tidu::simt::set_timeout(1);
#ifndef __SANITIZE_THREAD__
  ASSERT_EQ((launch<spin>({2, 32, 0, none}, flag.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchTimeout, {"makes no progress", "spin", "block (0,0,0)"});
#endif
  ASSERT_EQ((launch<spin_with_barrier>({1, 32, 0, none}, flag.get())), cudaSuccess);
  expect_failure(cudaErrorLaunchTimeout, {"makes no progress", line(kSpin)});
  tidu::simt::set_timeout(60);
}

__global__ void fail_in_the_middle(int* x) {
  __syncthreads();
  if (threadIdx.x == 77) x[0] = __shfl_sync(0u, 1, 0);
  __syncthreads();
}

TEST(SimtFault, AbandonedKernelsLoseNoStacks) {
  Buffer<int> x(1);
  size_t made = 0;
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ((launch<fail_in_the_middle>({3, 128, 0, none}, x.get())), cudaSuccess);
    expect_failure(cudaErrorLaunchFailure, {"thread (77,0,0) of (128,1,1)"});
    if (i == 0) made = tidu::simt::stacks_made();
  }
  EXPECT_EQ(tidu::simt::stacks_made(), made);
}

// --- Memory.

__global__ void write_one(int* x, int i) { x[i] = 7; }

#ifdef __SANITIZE_ADDRESS__
__global__ void write_shared(int i) {
  TIDU_SHARED(buffer, int[10]);
  buffer[i] = 7;
}

TEST(SimtFaultDeathTest, TheSanitizerSeesTheEnds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Buffer<int> x(10);
  EXPECT_DEATH((void)(launch<write_one>({1, 1, 0, none}, x.get(), 10)), "use-after-poison");
  EXPECT_DEATH((void)(launch<write_shared>({1, 1, 0, none}, 10)), "use-after-poison|out of bounds");
  int* freed = nullptr;
  ASSERT_EQ(cudaMalloc(&freed, 400), cudaSuccess);
  ASSERT_EQ(cudaFree(freed), cudaSuccess);
  EXPECT_DEATH((void)(launch<write_one>({1, 1, 0, none}, freed, 0)), "use-after-poison");
}
#else

TEST(SimtFault, WrittenPastTheEnd) {
  int* x = nullptr;
  ASSERT_EQ(cudaMalloc(&x, 10 * sizeof(int)), cudaSuccess);
  ASSERT_EQ((launch<write_one>({1, 1, 0, none}, x, 10)), cudaSuccess);
  EXPECT_EQ(cudaFree(x), cudaErrorIllegalAddress);
  expect_failure(cudaErrorIllegalAddress, {"written past the end", "of 40 bytes"});
}
#endif

TEST(SimtFault, FreedMemory) {
  int* x = nullptr;
  ASSERT_EQ(cudaMalloc(&x, 400), cudaSuccess);
  ASSERT_EQ(cudaFree(x), cudaSuccess);
  EXPECT_EQ(cudaFree(x), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue, {"cudaFree: the memory was freed before", "of 400 bytes"});
  int host[10];
  EXPECT_EQ(cudaMemcpy(host, x, sizeof host, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue,
                 {"the source of 40 bytes is not within a live allocation", "freed after launch"});
}

TEST(SimtFault, FreedPointersThatAreNot) {
  int* x = nullptr;
  ASSERT_EQ(cudaMalloc(&x, 400), cudaSuccess);
  EXPECT_EQ(cudaFree(x + 1), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue, {"not the start of its allocation"});
  EXPECT_EQ(cudaFreeHost(x), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue, {"this is device memory"});
  int host;
  EXPECT_EQ(cudaFree(&host), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue, {"of no allocation"});
  EXPECT_EQ(cudaFree(x), cudaSuccess);
}

TEST(SimtFault, WrongCopies) {
  Buffer<int> x(10);
  int host[20] = {};
  EXPECT_EQ(cudaMemcpy(x.get(), host, 11 * sizeof(int), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue,
                 {"destination of 44 bytes is not within a live allocation", "of 40 bytes"});
  EXPECT_EQ(cudaMemcpy(x.get(), host, 40, cudaMemcpyDeviceToHost), cudaErrorInvalidMemcpyDirection);
  expect_failure(cudaErrorInvalidMemcpyDirection,
                 {"the destination is device memory, the source host memory"});
  EXPECT_EQ(cudaMemset(x.get() + 5, 0, 24), cudaErrorInvalidValue);
  expect_failure(cudaErrorInvalidValue, {"cudaMemset: the destination of 24 bytes"});
}

TEST(SimtFault, DestroyedStreamsAndEvents) {
  cudaStream_t stream;
  cudaEvent_t event;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&event), cudaSuccess);
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  expect_failure(cudaErrorInvalidResourceHandle, {"no such stream"});
  ASSERT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(event, nullptr), cudaErrorInvalidResourceHandle);
  expect_failure(cudaErrorInvalidResourceHandle, {"no such event"});
}

TEST(SimtFault, Leaks) {
  EXPECT_EQ(tidu::simt::leaks(), "");
  void* x = nullptr;
  cudaStream_t stream;
  ASSERT_EQ(cudaMalloc(&x, 123), cudaSuccess);
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  EXPECT_NE(tidu::simt::leaks().find("of 123 bytes, cuda:0"), std::string::npos);
  EXPECT_NE(tidu::simt::leaks().find("a stream of cuda:0"), std::string::npos);
  cudaStreamDestroy(stream);
  cudaFree(x);
  EXPECT_EQ(tidu::simt::leaks(), "");
}

#ifndef __SANITIZE_THREAD__
TEST(SimtFaultDeathTest, LeaksOfDeviceMemoryFailTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv("TIDU_SIMT_LEAKS", "1", 1);  // read when the process of the death test starts anew
  const auto end = [](bool leak) {
    void *x = nullptr, *pinned = nullptr;
    (void)cudaMalloc(&x, 123);
    (void)cudaMallocHost(&pinned, 456);  // may live as long as the process
    if (!leak) cudaFree(x);
    std::exit(0);
  };
  EXPECT_EXIT(end(true), testing::ExitedWithCode(23), "never freed:\nallocation .* of 123 bytes, cuda:0");
  EXPECT_EXIT(end(false), testing::ExitedWithCode(0), "^$");
  unsetenv("TIDU_SIMT_LEAKS");
}
#endif

// A program that allocates three times must survive the failure of each, and lose nothing.
TEST(SimtFault, OutOfMemoryAtEachAllocation) {
  int failures = 0;
  for (size_t n = 1;; ++n) {
    tidu::simt::fail_allocation(n);
    void* p[3] = {};
    cudaError_t error = cudaSuccess;
    for (int i = 0; i < 3 && error == cudaSuccess; ++i) error = cudaMallocAsync(&p[i], 1000, nullptr);
    for (void* q : p) EXPECT_EQ(cudaFreeAsync(q, nullptr), cudaSuccess);
    EXPECT_EQ(tidu::simt::leaks(), "");
    if (error == cudaSuccess) break;
    EXPECT_EQ(error, cudaErrorMemoryAllocation);
    expect_failure(cudaErrorMemoryAllocation, {"out of memory: 1000 bytes"});
    ++failures;
  }
  EXPECT_EQ(failures, 3);
  tidu::simt::fail_allocation(0);
}

TEST(SimtFault, MemoryLimit) {
  void* p = nullptr;
  size_t free = 0, total = 0;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&p, free + 1), cudaErrorMemoryAllocation);
  expect_failure(cudaErrorMemoryAllocation, {"out of memory"});
}

#ifndef __SANITIZE_THREAD__
TEST(SimtFaultDeathTest, HostAccessToDeviceMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv("TIDU_SIMT_GUARD", "1", 1);  // read when the process of the death test starts anew
  EXPECT_DEATH(
      {
        Buffer<int> x(std::vector<int>{1, 2, 3});
        std::printf("%d", x.get()[1]);
      },
      "host access to device memory at .*byte 4 of allocation .* of 12 bytes, cuda:0");
  unsetenv("TIDU_SIMT_GUARD");
}
#endif

}  // namespace
