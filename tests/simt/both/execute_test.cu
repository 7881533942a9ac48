// The SIMT runtime: indices, barriers, warp exchanges, shared memory, atomics, under every schedule.
#include <numeric>

#include "tests/simt/simt.h"

using namespace tidu::cuda;
using tidu::simt::Schedule;

namespace {

class Simt : public testing::TestWithParam<Schedule> {
 protected:
  void SetUp() override { tidu::simt::set_schedule(GetParam()); }
  void TearDown() override {
    tidu::simt::set_schedule({});
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << tidu::simt::last_report();
  }
};

INSTANTIATE_TEST_SUITE_P(Schedules, Simt,
                         testing::Values(Schedule{}, Schedule{Schedule::descending},
                                         Schedule{Schedule::random, 1}, Schedule{Schedule::random, 2}),
                         [](const auto& info) { return std::to_string(info.index); });

__global__ void axpy(float a, const float* x, float* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = fmaf(a, x[i], y[i]);
}

TEST_P(Simt, AKernelWithoutBarriers) {
  const int n = 1000;
  std::vector<float> x(n);
  std::iota(x.begin(), x.end(), 0.0f);
  Buffer<float> dx(x), dy(x);
  ASSERT_EQ((launch<axpy>({4, 256, 0, nullptr}, 2.0f, dx.get(), dy.get(), n)), cudaSuccess);
  const auto y = dy.values();
  for (int i = 0; i < n; ++i) EXPECT_EQ(y[i], 3.0f * x[i]);
}

template <class T> __global__ void block_sum(const T* x, T* sums) {
  TIDU_SHARED(partial, T[128]);
  const unsigned t = threadIdx.x;
  partial[t] = x[blockIdx.x * blockDim.x + t];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (t < half) partial[t] += partial[t + half];
    __syncthreads();
  }
  if (t == 0) sums[blockIdx.x] = partial[0];
}

TEST_P(Simt, BarriersAndSharedMemory) {
  std::vector<int> x(128 * 7);
  std::iota(x.begin(), x.end(), 0);
  Buffer<int> dx(x), sums(7);
  ASSERT_EQ((launch<block_sum<int>>({7, 128, 0, nullptr}, dx.get(), sums.get())), cudaSuccess);
  const auto s = sums.values();
  for (int b = 0; b < 7; ++b) EXPECT_EQ(s[b], 128 * b * 128 + 127 * 64);
}

__global__ void dynamic_reverse(int* x) {
  TIDU_DYNAMIC_SHARED(buffer, int);
  buffer[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = buffer[blockDim.x - 1 - threadIdx.x];
}

TEST_P(Simt, DynamicSharedMemory) {
  std::vector<int> x(300);
  std::iota(x.begin(), x.end(), 0);
  Buffer<int> dx(x);
  ASSERT_EQ((launch<dynamic_reverse>({1, 300, 300 * sizeof(int), nullptr}, dx.get())), cudaSuccess);
  const auto y = dx.values();
  for (int i = 0; i < 300; ++i) EXPECT_EQ(y[i], 299 - i);
}

__global__ void warp_operations(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int* const mine = out + threadIdx.x * 16;
  mine[0] = __shfl_sync(kFullMask, lane * 10, 5);
  mine[1] = __shfl_up_sync(kFullMask, lane, 3);
  mine[2] = __shfl_down_sync(kFullMask, lane, 3, 8);
  mine[3] = __shfl_xor_sync(kFullMask, lane, 16);
  mine[4] = static_cast<int>(__ballot_sync(kFullMask, lane % 3 == 0));
  mine[5] = __any_sync(kFullMask, lane == 31);
  mine[6] = __all_sync(kFullMask, lane != 31);
  mine[7] = __reduce_add_sync(kFullMask, lane - 16);
  mine[8] = __reduce_min_sync(kFullMask, lane - 16);
  mine[9] = static_cast<int>(__match_any_sync(kFullMask, lane / 8));
  if (lane < 16) mine[10] = __shfl_xor_sync(0xffffu, lane, 8);
  __syncwarp();
  mine[11] = static_cast<int>(__shfl_sync(kFullMask, 1.5 * lane, lane + 1));
  mine[12] = __syncthreads_count(lane < 7);
  mine[13] = __syncthreads_or(lane == 9);
  mine[14] = __syncthreads_and(lane != 9);
}

TEST_P(Simt, WarpOperations) {
  Buffer<int> out(32 * 16);
  ASSERT_EQ((launch<warp_operations>({1, 32, 0, nullptr}, out.get())), cudaSuccess);
  const auto all = out.values();
  for (int lane = 0; lane < 32; ++lane) {
    const int* mine = all.data() + lane * 16;
    EXPECT_EQ(mine[0], 50);
    EXPECT_EQ(mine[1], lane < 3 ? lane : lane - 3);
    EXPECT_EQ(mine[2], lane % 8 + 3 < 8 ? lane + 3 : lane);
    EXPECT_EQ(mine[3], lane ^ 16);
    EXPECT_EQ(mine[4], 0x49249249);
    EXPECT_EQ(mine[5], 1);
    EXPECT_EQ(mine[6], 0);
    EXPECT_EQ(mine[7], -16);
    EXPECT_EQ(mine[8], -16);
    EXPECT_EQ(static_cast<unsigned>(mine[9]), 0xffu << lane / 8 * 8);
    if (lane < 16) { EXPECT_EQ(mine[10], lane ^ 8); }
    EXPECT_EQ(mine[11], static_cast<int>(1.5 * ((lane + 1) % 32)));
    EXPECT_EQ(mine[12], 7);
    EXPECT_EQ(mine[13], 1);
    EXPECT_EQ(mine[14], 0);
  }
}

__global__ void count(int* bins, const int* x, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  atomicAdd(&bins[x[i]], 1);
  atomicMax(&bins[10], x[i]);
}

TEST_P(Simt, Atomics) {
  std::vector<int> x(500);
  for (int i = 0; i < 500; ++i) x[i] = i * i % 10;
  Buffer<int> dx(x), bins(std::vector<int>(11, 0));
  ASSERT_EQ((launch<count>({4, 128, 0, nullptr}, bins.get(), dx.get(), 500)), cudaSuccess);
  std::vector<int> expected(11, 0);
  for (const int v : x) ++expected[v];
  expected[10] = 9;
  EXPECT_EQ(bins.values(), expected);
}

__global__ void copy_vec(const float* x, float* y) {
  const unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  store_vec(y + i, load_vec<4>(x + i));
}

TEST_P(Simt, VectorAccesses) {
  std::vector<float> x(256);
  std::iota(x.begin(), x.end(), 0.0f);
  Buffer<float> dx(x), dy(256);
  ASSERT_EQ((launch<copy_vec>({2, 32, 0, nullptr}, dx.get(), dy.get())), cudaSuccess);
  EXPECT_EQ(dy.values(), x);
}

__global__ void indices(int* out) {
  const unsigned t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned b = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  out[b * 24 + t] = static_cast<int>(b * 24 + t);
}

TEST_P(Simt, ThreeDimensions) {
  Buffer<int> out(24 * 30);
  ASSERT_EQ((launch<indices>({dim3(5, 3, 2), dim3(4, 3, 2), 0, nullptr}, out.get())), cudaSuccess);
  const auto v = out.values();
  for (int i = 0; i < 24 * 30; ++i) EXPECT_EQ(v[i], i);
}

// Lanes that returned do not hold up barriers, and lanes that never were do not hold up a last, partial warp.
__global__ void partial_warp(int* out) {
  if (threadIdx.x < 3) return;
  const unsigned voted = __ballot_sync(kFullMask, 1);
  __syncthreads();
  out[threadIdx.x] = static_cast<int>(voted);
}

TEST_P(Simt, EndedLanes) {
  Buffer<int> out(std::vector<int>(40, 0));
  ASSERT_EQ((launch<partial_warp>({1, 40, 0, nullptr}, out.get())), cudaSuccess);
  const auto v = out.values();
  EXPECT_EQ(v[2], 0);
  EXPECT_EQ(static_cast<unsigned>(v[3]), 0xfffffff8u);
  EXPECT_EQ(v[39], 0xff);
}

TEST(SimtMemory, FreshMemoryIsNotANumber) {
  Buffer<float> x(1000);
  for (const float v : x.values()) EXPECT_NE(v, v);
}

}  // namespace
