// The checked build: traffic of kernels whose counts are known by hand.
#include <gtest/gtest.h>

#include "kernels/cuda/portable.h"
#include "simt/check/traffic.h"
#include "simt/control.h"

using namespace tidu::cuda;
using tidu::simt::LaunchTraffic;
using tidu::simt::Schedule;
using tidu::simt::Traffic;

namespace {

class Counted : public testing::TestWithParam<Schedule> {
 protected:
  void SetUp() override {
    tidu::simt::set_schedule(GetParam());
    for (float** p : {&x_, &y_}) {
      ASSERT_EQ(cudaMalloc(p, kCount * sizeof(float)), cudaSuccess);
      ASSERT_EQ(cudaMemset(*p, 0, kCount * sizeof(float)), cudaSuccess);
    }
    tidu::simt::count_traffic(true);
    tidu::simt::take_traffic();
  }
  void TearDown() override {
    tidu::simt::count_traffic(false);
    tidu::simt::set_schedule({});
    cudaFree(x_);
    cudaFree(y_);
  }
  Traffic traffic(cudaError_t error) {
    EXPECT_EQ(error, cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess) << tidu::simt::last_report();
    const auto launches = tidu::simt::take_traffic();
    EXPECT_EQ(launches.size(), 1u);
    return launches.empty() ? Traffic{} : launches.back().traffic;
  }

  static constexpr int kCount = 64 * 1024;
  float *x_ = nullptr, *y_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Schedules, Counted,
                         testing::Values(Schedule{}, Schedule{Schedule::descending},
                                         Schedule{Schedule::random, 1}),
                         [](const auto& info) { return std::to_string(info.index); });

__global__ void copy(const float* x, float* y, int stride) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  y[i] = x[i * stride];
}
TEST_P(Counted, SectorsOfStridedCopies) {
  for (const int stride : {1, 2, 8, 16}) {
    const Traffic t = traffic(launch<copy>({4, 128, 0, nullptr}, x_, y_, stride));
    const uint64_t sectors = std::min(4 * stride, 32);
    EXPECT_EQ(t.load.requests, 16u);
    EXPECT_EQ(t.load.bytes, 2048u);
    EXPECT_EQ(t.load.sectors, 16 * sectors) << "stride " << stride;
    EXPECT_EQ(t.load.least_sectors, 64u);
    EXPECT_EQ(t.store.requests, 16u);
    EXPECT_EQ(t.store.sectors, 64u);
    EXPECT_EQ(t.bytes_read, 2048u);
    EXPECT_EQ(t.bytes_written, 2048u);
    EXPECT_EQ(t.sectors_read, 16 * sectors);
    EXPECT_EQ(t.shared_load.requests, 0u);
  }
}
TEST_P(Counted, MisalignedWarpsTouchAnotherSector) {
  const Traffic t = traffic(launch<copy>({4, 128, 0, nullptr}, x_ + 1, y_, 1));
  EXPECT_EQ(t.load.sectors, 16u * 5);
  EXPECT_EQ(t.sectors_read, 65u);
}
TEST_P(Counted, OneAddressForAll) {
  const Traffic t = traffic(launch<copy>({4, 128, 0, nullptr}, x_, y_, 0));
  EXPECT_EQ(t.load.sectors, 16u);
  EXPECT_EQ(t.load.least_sectors, 16u);
  EXPECT_EQ(t.bytes_read, 4u);
}

__global__ void copy_vectors(const float* x, float* y) {
  const unsigned i = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  store_vec(y + i, load_vec<4>(x + i));
}
TEST_P(Counted, VectorsAreOneRequest) {
  const Traffic t = traffic(launch<copy_vectors>({2, 64, 0, nullptr}, x_, y_));
  EXPECT_EQ(t.load.requests, 4u);
  EXPECT_EQ(t.load.sectors, 64u);
  EXPECT_EQ(t.store.requests, 4u);
}

template <int pitch> __global__ void transpose(const float* x, float* y, int n) {
  TIDU_SHARED(tile, float[32][pitch]);
  const unsigned column = blockIdx.x * 32, row = blockIdx.y * 32;
  for (unsigned i = threadIdx.y; i < 32; i += 8)
    tile[i][threadIdx.x] = x[(row + i) * n + column + threadIdx.x];
  __syncthreads();
  for (unsigned i = threadIdx.y; i < 32; i += 8)
    y[(column + i) * n + row + threadIdx.x] = tile[threadIdx.x][i];
}
TEST_P(Counted, BankConflictsOfATransposedTile) {
  const auto conflicted = traffic(launch<transpose<32>>({dim3(4, 4), dim3(32, 8), 0, nullptr}, x_, y_, 128));
  EXPECT_EQ(conflicted.shared_store.wavefronts, conflicted.shared_store.requests);
  EXPECT_EQ(conflicted.shared_load.requests, 512u);
  EXPECT_EQ(conflicted.shared_load.wavefronts, 512u * 32);
  EXPECT_EQ(conflicted.shared_load.least_wavefronts, 512u);
  EXPECT_EQ(conflicted.barriers, 16u);
  const auto padded = traffic(launch<transpose<33>>({dim3(4, 4), dim3(32, 8), 0, nullptr}, x_, y_, 128));
  EXPECT_EQ(padded.shared_load.wavefronts, 512u);
  EXPECT_EQ(padded.load.sectors, padded.load.least_sectors);
  EXPECT_EQ(padded.store.sectors, padded.store.least_sectors);
  EXPECT_EQ(padded.bytes_read, 128u * 128 * 4);
}

template <int pitch> __global__ void small_tile(float* y) {
  TIDU_SHARED(tile, float[16][pitch]);
  const unsigned tx = threadIdx.x, ty = threadIdx.y;
  tile[ty][tx] = 0.0f;
  __syncthreads();
  y[ty * 16 + tx] = tile[tx][ty];
}
// A warp reads two columns of 16 words, and they share banks.
TEST_P(Counted, ASmallPaddedTileConflictsTwoWays) {
  const Traffic t = traffic(launch<small_tile<17>>({1, dim3(16, 16), 0, nullptr}, y_));
  EXPECT_EQ(t.shared_load.requests, 8u);
  EXPECT_EQ(t.shared_load.wavefronts, 16u);
}

template <int n> __global__ void wide(float* y) {
  TIDU_DYNAMIC_SHARED(buffer, float);
  const unsigned t = threadIdx.x;
  for (int i = 0; i < n; ++i) buffer[t * n + i] = 0.0f;
  __syncthreads();
  y[t] = load_vec<n>(buffer + t * n)[0];
}
TEST_P(Counted, WideAccessesTakeHalvesAndQuartersOfAWarp) {
  const Traffic two = traffic(launch<wide<2>>({1, 32, 1024, nullptr}, y_));
  EXPECT_EQ(two.shared_load.requests, 1u);
  EXPECT_EQ(two.shared_load.wavefronts, 2u);
  EXPECT_EQ(two.shared_load.least_wavefronts, 2u);
  EXPECT_EQ(two.shared_store.wavefronts, 4u);  // two requests, each two ways
  const Traffic four = traffic(launch<wide<4>>({1, 32, 1024, nullptr}, y_));
  EXPECT_EQ(four.shared_load.wavefronts, 4u);
  EXPECT_EQ(four.shared_load.least_wavefronts, 4u);
}

// Lanes that take different ways are different requests; those that iterate longer go on alone.
__global__ void diverge(const float* x, float* y) {
  const unsigned t = threadIdx.x;
  float sum = 0.0f;
  for (unsigned i = 0; i <= t / 8; ++i) sum += x[i * 32 + t];
  if (t % 2 == 0) {
    y[t] = sum;
  } else {
    y[64 + t] = sum;
  }
}
TEST_P(Counted, DivergentLanes) {
  const Traffic t = traffic(launch<diverge>({1, 32, 0, nullptr}, x_, y_));
  EXPECT_EQ(t.load.requests, 4u);
  EXPECT_EQ(t.load.sectors, 4u + 3 + 2 + 1);
  EXPECT_EQ(t.load.bytes, 4u * 8 * (1 + 2 + 3 + 4));
  EXPECT_EQ(t.store.requests, 2u);
  EXPECT_EQ(t.store.sectors, 8u);
}

// What a launch wrote itself does not come from DRAM.
__global__ void again(float* y) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = 1.0f;
  y[i] = y[i] + 1.0f;
}
TEST_P(Counted, OwnWritesAreNotReadFromDram) {
  const Traffic t = traffic(launch<again>({1, 64, 0, nullptr}, y_));
  EXPECT_EQ(t.bytes_written, 256u);
  EXPECT_EQ(t.bytes_read, 0u);
}

TEST_P(Counted, SaysWhere) {
  tidu::simt::take_traffic();
  ASSERT_EQ((launch<transpose<33>>({dim3(4, 4), dim3(32, 8), 0, nullptr}, x_, y_, 128)), cudaSuccess);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const std::string json = tidu::simt::take_traffic_json();
  for (const char* part :
       {"\"kernel\": \"{anonymous}::transpose<33>\"", "\"grid\": [4, 4, 1]",
        "\"line\": \"tests/simt/checked/traffic_test.cu:", "\"access\": \"shared_store\""}) {
    EXPECT_NE(json.find(part), std::string::npos) << part << " in " << json;
  }
  EXPECT_EQ(tidu::simt::take_traffic_json(), "[]");
}

}  // namespace
