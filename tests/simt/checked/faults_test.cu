// The checked build: kernels wrong in one way each are reported at the line that is wrong, good ones are not.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cuda/portable.h"
#include "simt/control.h"

using namespace tidu::cuda;
using tidu::float16;
using tidu::simt::Schedule;

namespace {

// Device memory of a test, uninitialised.
template <class T> class Buffer {
 public:
  explicit Buffer(size_t n) { EXPECT_EQ(cudaMalloc(&p_, n * sizeof(T)), cudaSuccess); }
  Buffer(const Buffer&) = delete;
  ~Buffer() { cudaFree(p_); }
  T* get() const { return static_cast<T*>(p_); }

 private:
  void* p_ = nullptr;
};

template <class T> struct Zeros : Buffer<T> {
  explicit Zeros(size_t n) : Buffer<T>(n) {
    EXPECT_EQ(cudaMemset(this->get(), 0, n * sizeof(T)), cudaSuccess);
  }
};

// "tests/simt/checked/faults_test.cu:57" for the line of this file that ends in "// fault: NAME".
std::string line_of(const std::string& name) {
  std::ifstream file(TIDU_SOURCE_DIR "/tests/simt/checked/faults_test.cu");
  int number = 1;
  for (std::string line; std::getline(file, line); ++number) {
    if (line.ends_with("// fault: " + name))
      return "tests/simt/checked/faults_test.cu:" + std::to_string(number);
  }
  ADD_FAILURE() << "no line is marked " << name;
  return "";
}

class Checked : public testing::TestWithParam<Schedule> {
 protected:
  void SetUp() override { tidu::simt::set_schedule(GetParam()); }
  void TearDown() override { tidu::simt::set_schedule({}); }

  void expect_good(cudaError_t error) {
    EXPECT_EQ(error, cudaSuccess) << tidu::simt::last_report();
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess) << tidu::simt::last_report();
  }
  // The launch ends in an error whose text names the line and has all of the words.
  void expect_fault(cudaError_t error, const std::string& line, const std::vector<std::string>& words) {
    expect_fault_at(error, {line}, words);
  }
  // At one of the lines, by the order of threads.
  void expect_fault_at(cudaError_t error, const std::vector<std::string>& lines,
                       const std::vector<std::string>& words) {
    if (error == cudaSuccess) error = cudaDeviceSynchronize();
    EXPECT_NE(error, cudaSuccess);
    const std::string report = tidu::simt::last_report();
    EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return report.starts_with(line_of(line) + ": ");
    })) << report;
    for (const std::string& word : words) {
      EXPECT_NE(report.find(word), std::string::npos) << '"' << word << "\" in:\n" << report;
    }
    tidu::simt::clear_error();
    tidu::simt::clear_report();
  }
};

INSTANTIATE_TEST_SUITE_P(Schedules, Checked,
                         testing::Values(Schedule{}, Schedule{Schedule::descending},
                                         Schedule{Schedule::random, 1}, Schedule{Schedule::random, 2}),
                         [](const auto& info) { return std::to_string(info.index); });

__device__ int thread_number() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

// --- Addresses.

__global__ void past_the_end(float* y, int n) {
  const int i = thread_number();
  if (i <= n) y[i] = 1.0f;  // fault: past the end
}
TEST_P(Checked, WritePastTheEnd) {
  Buffer<float> y(1000);
  expect_fault(launch<past_the_end>({4, 256, 0, nullptr}, y.get(), 1000), "past the end",
               {"writes 4 bytes out of bounds", "0 bytes past the end", "4000 bytes", "past_the_end",
                "block (3,0,0)", "thread (232,0,0)"});
}

__global__ void before_the_start(const float* x, float* y) {
  const int i = thread_number();
  y[i] = x[i - 1];  // fault: before the start
}
TEST_P(Checked, ReadBeforeTheStart) {
  Zeros<float> x(256);
  Buffer<float> y(256);
  expect_fault(launch<before_the_start>({1, 256, 0, nullptr}, x.get(), y.get()), "before the start",
               {"reads 4 bytes out of bounds", "thread (0,0,0)"});
}

__global__ void last_vector(const float* x, float* y, int n) {
  const int i = thread_number() * 4;
  if (i < n) {
    store_vec(y + i, load_vec<4>(x + i));  // fault: last vector
  }
}
TEST_P(Checked, VectorThatReachesPastTheEnd) {
  Zeros<float> x(1022), y(1024);
  expect_fault(launch<last_vector>({1, 256, 0, nullptr}, x.get(), y.get(), 1022), "last vector",
               {"reads 16 bytes out of bounds", "thread (255,0,0)"});
}
TEST_P(Checked, MisalignedVector) {
  Zeros<float> x(1025), y(1024);
  expect_fault(launch<last_vector>({1, 256, 0, nullptr}, x.get() + 1, y.get(), 1024), "last vector",
               {"reads 16 bytes at an address that is no multiple of that"});
}

__global__ void past_the_tile(float* y) {
  TIDU_SHARED(tile, float[64]);
  TIDU_SHARED(other, float[64]);
  const unsigned t = threadIdx.x;
  tile[t] = 0.0f;
  other[t] = 1.0f;
  __syncthreads();
  const float* next = tile + 1;  // through a pointer, of which the compiler knows no end
  y[t] = next[t] + other[t];     // fault: past the tile
}
TEST_P(Checked, ReadPastASharedVariable) {
  Buffer<float> y(64);
  expect_fault(
      launch<past_the_tile>({1, 64, 0, nullptr}, y.get()), "past the tile",
      {"reads 4 bytes out of bounds", "past the end", "256 bytes of shared `tile`", "thread (63,0,0)"});
}

__global__ void past_the_dynamic(float* y) {
  TIDU_DYNAMIC_SHARED(buffer, float);
  buffer[threadIdx.x] = 0.0f;  // fault: past the dynamic
  y[threadIdx.x] = buffer[threadIdx.x];
}
TEST_P(Checked, WritePastDynamicSharedMemory) {
  Buffer<float> y(64);
  expect_good(launch<past_the_dynamic>({1, 64, 256, nullptr}, y.get()));
  expect_fault(launch<past_the_dynamic>({1, 64, 252, nullptr}, y.get()), "past the dynamic",
               {"out of bounds", "252 bytes of shared `dynamic`", "thread (63,0,0)"});
}

__global__ void set(float* y) {
  y[threadIdx.x] = 1.0f;  // fault: set
}
TEST_P(Checked, UseAfterFree) {
  float* p;
  {
    Buffer<float> y(64);
    p = y.get();
  }
  expect_fault(launch<set>({1, 64, 0, nullptr}, p), "set", {"out of bounds", "freed"});
}
TEST_P(Checked, PointerToTheHost) {
  std::vector<float> host(64);
  expect_fault(launch<set>({1, 64, 0, nullptr}, host.data()), "set", {"neither device nor shared memory"});
  EXPECT_EQ(host[0], 0.0f);
}
TEST_P(Checked, NullPointer) {
  expect_fault(launch<set>({1, 64, 0, nullptr}, static_cast<float*>(nullptr)), "set",
               {"neither device nor shared"});
}

// --- Values that nothing has written.

__global__ void read_shared(float* y, int written) {
  TIDU_SHARED(tile, float[64]);
  const int t = static_cast<int>(threadIdx.x);
  if (t < written) tile[t] = 1.0f;
  __syncthreads();
  y[thread_number()] = tile[t];  // fault: unwritten shared
}
TEST_P(Checked, UninitialisedSharedMemory) {
  Buffer<float> y(128);
  expect_good(launch<read_shared>({2, 64, 0, nullptr}, y.get(), 64));
  expect_fault(launch<read_shared>({1, 64, 0, nullptr}, y.get(), 63), "unwritten shared",
               {"reads 4 bytes that nothing has written", "byte 252 of the 256 bytes of shared `tile`"});
}

__global__ void double_it(const float* x, float* y) {
  y[threadIdx.x] = 2.0f * x[threadIdx.x];  // fault: unwritten device
}
TEST_P(Checked, UninitialisedDeviceMemory) {
  Buffer<float> x(64), y(64), z(64);
  EXPECT_EQ(cudaMemset(x.get(), 0, 63 * sizeof(float)), cudaSuccess);
  expect_fault(launch<double_it>({1, 64, 0, nullptr}, x.get(), y.get()), "unwritten device",
               {"that nothing has written", "byte 252"});
  // Copying it is no use of it; what the copy holds is still nothing.
  EXPECT_EQ(cudaMemcpy(z.get(), x.get(), 64 * sizeof(float), cudaMemcpyDeviceToDevice), cudaSuccess);
  expect_good(launch<double_it>({1, 63, 0, nullptr}, z.get(), y.get()));
  expect_fault(launch<double_it>({1, 64, 0, nullptr}, z.get(), y.get()), "unwritten device",
               {"nothing has written"});
}
TEST_P(Checked, ReusedMemoryIsUninitialisedAgain) {
  for (int i = 0; i < 3; ++i) {
    Buffer<float> y(64);
    expect_fault(launch<double_it>({1, 64, 0, nullptr}, y.get(), y.get()), "unwritten device", {});
    expect_good(launch<set>({1, 64, 0, nullptr}, y.get()));
    expect_good(launch<double_it>({1, 64, 0, nullptr}, y.get(), y.get()));
  }
}

// --- Indices outside of arrays that lie inside of what may be touched.

__global__ void into_the_next_row(float* y, int column) {
  TIDU_SHARED(tile, float[8][32]);
  const unsigned t = threadIdx.x;
  for (unsigned i = 0; i < 8; ++i) tile[i][t] = 1.0f;
  __syncthreads();
  y[t] = tile[3][static_cast<int>(t) + column];  // fault: next row
}
TEST_P(Checked, RowsOfSharedArrays) {
  Buffer<float> y(32);
  expect_good(launch<into_the_next_row>({1, 32, 0, nullptr}, y.get(), 0));
  expect_fault(launch<into_the_next_row>({1, 32, 0, nullptr}, y.get(), 1), "next row",
               {"index 32 of an array 'float [32]'", "thread (31,0,0)"});
  expect_fault(launch<into_the_next_row>({1, 32, 0, nullptr}, y.get(), -1), "next row", {"index -1 of"});
}

__global__ void beyond_a_local(float* y, int count) {
  float sums[4] = {};
  for (int i = 0; i < count; ++i) sums[i] += 1.0f;  // fault: local array
  y[threadIdx.x] = sums[threadIdx.x % 4];
}
TEST_P(Checked, LocalArrays) {
  Buffer<float> y(32);
  expect_good(launch<beyond_a_local>({1, 32, 0, nullptr}, y.get(), 4));
  expect_fault(launch<beyond_a_local>({1, 32, 0, nullptr}, y.get(), 5), "local array", {"index 4 of"});
}

__global__ void beyond_a_vector(float* y, int count) {
  Vec<float, 4> sums = {};
  for (int i = 0; i < count; ++i) sums[i] += 1.0f;  // fault: vector
  store_vec(y + threadIdx.x * 4, sums);
}
TEST_P(Checked, Vectors) {
  Buffer<float> y(128);
  expect_good(launch<beyond_a_vector>({1, 32, 0, nullptr}, y.get(), 4));
  for (const int count : {5, 6})
    expect_fault(launch<beyond_a_vector>({1, 32, 0, nullptr}, y.get(), count), "vector",
                 {"index 4 of a vector of 4"});
}

// --- Races in a block.

template <bool before, bool after> __global__ void reverse(float* y) {
  TIDU_SHARED(tile, float[256]);
  const unsigned t = threadIdx.x;
  for (unsigned i = 0; i < 3; ++i) {
    tile[t] = y[t];  // fault: no barrier after
    if (before) __syncthreads();
    y[t] = tile[255 - t];  // fault: no barrier before
    if (after) __syncthreads();
  }
}
TEST_P(Checked, MissingBarrier) {
  Zeros<float> y(256);
  expect_good(launch<reverse<true, true>>({1, 256, 0, nullptr}, y.get()));
  expect_fault_at(launch<reverse<true, false>>({1, 256, 0, nullptr}, y.get()),
                  {"no barrier after", "no barrier before"}, {"race", "tile", "no __syncthreads() between"});
}
// What other threads have not yet written is uninitialised the first time, and a race after.
TEST_P(Checked, MissingBarrierBeforeARead) {
  Zeros<float> y(256);
  expect_fault(launch<reverse<false, true>>({1, 256, 0, nullptr}, y.get()), "no barrier before", {"tile"});
}

template <bool sync> __global__ void warp_sum(const float* x, float* y) {
  TIDU_SHARED(partial, float[64]);
  const unsigned t = threadIdx.x, lane = t % 32;
  partial[t] = x[t];
  __syncwarp();
  for (unsigned half = 16; half > 0; half /= 2) {
    const float other = lane < half ? partial[t + half] : 0.0f;  // fault: no syncwarp read
    if (sync) __syncwarp();
    if (lane < half) partial[t] += other;  // fault: no syncwarp
    if (sync) __syncwarp();
  }
  if (lane == 0) y[t / 32] = partial[t];
}
TEST_P(Checked, MissingSyncwarp) {
  Zeros<float> x(64), y(2);
  expect_good(launch<warp_sum<true>>({1, 64, 0, nullptr}, x.get(), y.get()));
  expect_fault_at(launch<warp_sum<false>>({1, 64, 0, nullptr}, x.get(), y.get()),
                  {"no syncwarp", "no syncwarp read"}, {"race", "no __syncwarp()"});
}

// The halves of a warp synchronise apart, which is fine as long as each keeps to itself.
template <int partner> __global__ void halves(const float* x, float* y) {
  TIDU_SHARED(tile, float[32]);
  const unsigned t = threadIdx.x, mask = t < 16 ? 0x0000ffffu : 0xffff0000u;
  tile[t] = x[t];
  __syncwarp(mask);
  for (int i = 0; i < 3; ++i) {
    const float v = tile[t ^ partner];  // fault: narrow mask
    __syncwarp(mask);
    tile[t] = v;
    __syncwarp(mask);
  }
  y[t] = tile[t];
}
TEST_P(Checked, MaskTooNarrow) {
  Zeros<float> x(32), y(32);
  expect_good(launch<halves<5>>({1, 32, 0, nullptr}, x.get(), y.get()));
  expect_fault(launch<halves<16>>({1, 32, 0, nullptr}, x.get(), y.get()), "narrow mask", {"tile"});
}

// A shuffle exchanges registers; it does not order memory.
__global__ void shuffle_is_no_barrier(float* y) {
  TIDU_SHARED(tile, float[32]);
  const unsigned t = threadIdx.x;
  tile[t] = 0.0f;
  __syncwarp();
  tile[t] = __shfl_xor_sync(kFullMask, 1.0f, 1);
  __shfl_xor_sync(kFullMask, 1.0f, 1);
  y[t] = tile[t ^ 1];  // fault: shuffle
}
TEST_P(Checked, ShuffleIsNoBarrier) {
  Buffer<float> y(32);
  expect_fault(launch<shuffle_is_no_barrier>({1, 32, 0, nullptr}, y.get()), "shuffle",
               {"race", "no __syncwarp()"});
}

__global__ void global_in_block(float* y, bool sync) {
  const unsigned t = threadIdx.x;
  y[t] = 1.0f;  // fault: global written
  if (sync) __syncthreads();
  y[256 + t] = y[t ^ 128];  // fault: global read
}
TEST_P(Checked, GlobalMemoryWithinABlock) {
  Zeros<float> y(512);
  expect_good(launch<global_in_block>({1, 256, 0, nullptr}, y.get(), true));
  expect_fault_at(launch<global_in_block>({1, 256, 0, nullptr}, y.get(), false),
                  {"global read", "global written"}, {"race", "no __syncthreads()"});
}

// --- Races between blocks.

__global__ void same_place(float* y) {
  y[threadIdx.x] = 1.0f;  // fault: same place
}
TEST_P(Checked, BlocksThatWriteOnePlace) {
  Buffer<float> y(64);
  expect_good(launch<same_place>({1, 64, 0, nullptr}, y.get()));
  expect_good(launch<same_place>({1, 64, 0, nullptr}, y.get()));
  expect_fault(launch<same_place>({2, 64, 0, nullptr}, y.get()), "same place",
               {"race", " of block (", "in the same launch"});
}

__global__ void shift(float* y) {
  const int i = thread_number();
  const float next = y[i + 1];  // fault: next block's
  __syncthreads();
  y[i] = next;  // fault: last block's
}
TEST_P(Checked, BlocksThatReadWhatOthersWrite) {
  Zeros<float> y(65);
  expect_good(launch<shift>({1, 64, 0, nullptr}, y.get()));
  expect_fault_at(launch<shift>({2, 32, 0, nullptr}, y.get()), {"next block's", "last block's"}, {"race"});
}

__global__ void count(unsigned* counts, bool plain) {
  const unsigned bin = threadIdx.x % 4;
  if (plain && thread_number() == 40) {
    counts[bin] += 1;  // fault: plain beside atomic
  } else {
    atomicAdd(&counts[bin], 1u);  // fault: atomic beside plain
  }
}
TEST_P(Checked, AtomicsDoNotRaceWithEachOther) {
  Zeros<unsigned> counts(4);
  expect_good(launch<count>({4, 32, 0, nullptr}, counts.get(), false));
  expect_fault_at(launch<count>({4, 32, 0, nullptr}, counts.get(), true),
                  {"plain beside atomic", "atomic beside plain"}, {"race"});
}

// --- Good kernels that a coarser check would blame.

__global__ void halves_of_words(float16* y) {
  TIDU_SHARED(tile, float16[64]);
  const unsigned t = threadIdx.x;
  tile[t] = float16(1.0f);
  __syncthreads();
  y[t] = tile[63 - t];
}
TEST_P(Checked, NeighboursInOneWord) {
  Buffer<float16> y(64);
  expect_good(launch<halves_of_words>({1, 64, 0, nullptr}, y.get()));
}

__global__ void transpose(const float* x, float* y, int n) {
  TIDU_SHARED(tile, float[32][33]);
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int column = static_cast<int>(blockIdx.x) * 32, row = static_cast<int>(blockIdx.y) * 32;
  for (int i = ty; i < 32; i += 8) tile[i][tx] = x[(row + i) * n + column + tx];
  __syncthreads();
  for (int i = ty; i < 32; i += 8) y[(column + i) * n + row + tx] = tile[tx][i];
}
TEST_P(Checked, Transpose) {
  Zeros<float> x(96 * 96);
  Buffer<float> y(96 * 96);
  expect_good(launch<transpose>({dim3(3, 3), dim3(32, 8), 0, nullptr}, x.get(), y.get(), 96));
}

struct Parameters {
  const float* x;
  int strides[8];
};
__constant__ const float kTable[4] = {1, 2, 3, 4};
__global__ void parameters(Parameters p, float* y) {
  float local[8];
  for (int i = 0; i < 8; ++i)
    local[(i + threadIdx.x) % 8] = p.x[p.strides[i] * static_cast<int>(threadIdx.x)];
  y[threadIdx.x] = local[threadIdx.x % 8] + kTable[threadIdx.x % 4];
}
TEST_P(Checked, ParametersLocalsAndConstants) {
  Zeros<float> x(8 * 32);
  Buffer<float> y(32);
  expect_good(
      launch<parameters>({1, 32, 0, nullptr}, Parameters{x.get(), {0, 1, 2, 3, 4, 5, 6, 7}}, y.get()));
}

__global__ void fill(float* y) { y[thread_number()] = 1.0f; }
// The host's code beside kernels is compiled with the same instrumentation.
TEST_P(Checked, OtherThreadsOfTheHost) {
  Buffer<float> y(64 * 64);
  std::atomic<bool> started = false, done = false;
  std::thread other([&] {
    std::vector<int> own(64);
    for (size_t i = 0; !done; ++i) {
      ++own[i % 64];
      started = true;
    }
  });
  while (!started) std::this_thread::yield();
  for (int i = 0; i < 50; ++i) expect_good(launch<fill>({64, 64, 0, nullptr}, y.get()));
  done = true;
  other.join();
}

struct Wide {
  float v[40];
};
__global__ void copy_structs(const Wide* x, Wide* y, int n) {
  y[threadIdx.x] = x[threadIdx.x];
  memcpy(&y[32 + threadIdx.x], &x[threadIdx.x], static_cast<size_t>(n));  // fault: memcpy
}
TEST_P(Checked, CopiesOfTheLibrary) {
  Zeros<Wide> x(32);
  Buffer<Wide> y(64);
  expect_good(launch<copy_structs>({1, 32, 0, nullptr}, x.get(), y.get(), 160));
  expect_fault(launch<copy_structs>({1, 32, 0, nullptr}, x.get(), y.get(), 164), "memcpy", {});
}

}  // namespace
