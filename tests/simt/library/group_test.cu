// Groups on device cuda under the runtime: a graph replays what was captured of them, and the checked form
// sees what they read.
#include <cstdlib>

#include "backend/group.h"
#include "cuda/driver.h"
#include "ops/elementwise.h"
#include "tests/simt/simt.h"

extern "C" tidu::cuda::Driver* tidu_cuda_driver();

namespace tidu::cuda {
namespace {

Driver& device() {
  static Driver& driver = *[] {
    setenv("TIDU_CACHE_DIR", "/dev/null", 1);  // nothing is kept
    return tidu_cuda_driver();
  }();
  return driver;
}
cudaStream_t stream() {
  return static_cast<cudaStream_t>(device().native_queue(0, device().current_queue(0)));
}

// x * rate + x, the rate in memory.
std::unique_ptr<GroupKernel> scaled_sum(int64_t n) {
  Group group{.shape = {n}, .inputs = {}, .steps = {}, .outputs = {}};
  group.inputs.push_back({DType::float32, {1}});
  group.inputs.push_back({DType::float32, {0}});
  group.steps.push_back({&primitives::multiply, {}, DType::float32, {0, 1}});
  group.steps.push_back({&primitives::add, {}, DType::float32, {2, 0}});
  group.outputs.push_back({.value = 3, .dtype = DType::float32});
  return device().prepare(group);
}

TEST(SimtGroups, AreCapturedAsOneLaunchThatReadsMemoryWhenItIsReplayed) {
  constexpr int n = 1001;
  const auto kernel = scaled_sum(n);
  ASSERT_TRUE(kernel);
  const Buffer<float> x(std::vector<float>(n, 3)), rate(std::vector<float>{2}), y(std::vector<float>(n, 0));
  const void* const from[] = {x.get(), rate.get()};
  void* const to[] = {y.get()};
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  ASSERT_EQ(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeGlobal), cudaSuccess);
  kernel->run(from, to, nullptr);
  ASSERT_EQ(cudaStreamEndCapture(stream(), &graph), cudaSuccess) << simt::last_report();
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0ull), cudaSuccess);
  EXPECT_EQ(y.values(), std::vector<float>(n, 0));
  for (const float value : {2.0f, 5.0f}) {
    ASSERT_EQ(cudaMemcpy(rate.get(), &value, sizeof value, cudaMemcpyHostToDevice), cudaSuccess);
    simt::set_launch_log(true);
    ASSERT_EQ(cudaGraphLaunch(executable, stream()), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream()), cudaSuccess);
    EXPECT_EQ(simt::launch_log().size(), 1u);
    simt::set_launch_log(false);
    EXPECT_EQ(y.values(), std::vector<float>(n, 3 * value + 3));
  }
  ASSERT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

#ifdef TIDU_SIMT_CHECKED
TEST(SimtGroups, ThatReadPastTheEndAreFound) {
  const auto kernel = scaled_sum(4096);
  const Buffer<float> x(std::vector<float>(4000, 3)), rate(std::vector<float>{2}),
      y(std::vector<float>(4096, 0));
  const void* const from[] = {x.get(), rate.get()};
  void* const to[] = {y.get()};
  kernel->run(from, to, nullptr);
  cudaDeviceSynchronize();
  expect_failure(cudaErrorIllegalAddress, {"multiply_add_vectors", "reads 16 bytes out of bounds"});
}
#endif

}  // namespace
}  // namespace tidu::cuda
