// Streams, events, memory in stream order, deferred work, capture and graphs.
#include <atomic>
#include <functional>
#include <thread>

#include "tests/simt/simt.h"

using namespace tidu::cuda;

namespace {

__global__ void add_one(int* x, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) x[i] += 1;
}

struct OwnStream {
  cudaStream_t stream = nullptr;
  explicit OwnStream(unsigned flags = cudaStreamNonBlocking) { cudaStreamCreateWithFlags(&stream, flags); }
  ~OwnStream() { cudaStreamDestroy(stream); }
  operator cudaStream_t() const { return stream; }
};

struct OwnEvent {
  cudaEvent_t event = nullptr;
  OwnEvent() { cudaEventCreate(&event); }
  ~OwnEvent() { cudaEventDestroy(event); }
  operator cudaEvent_t() const { return event; }
};

template <class T> struct Pinned {
  T* p = nullptr;
  explicit Pinned(size_t n) {
    EXPECT_EQ(cudaMallocHost(reinterpret_cast<void**>(&p), n * sizeof(T)), cudaSuccess);
  }
  ~Pinned() { cudaFreeHost(p); }
};

cudaError_t increment(int* x, cudaStream_t stream) { return launch<add_one>({1, 32, 0, stream}, x, 1); }

class Deferred : public testing::Test {
 protected:
  void SetUp() override { tidu::simt::set_deferred(true); }
  void TearDown() override {
    cudaDeviceSynchronize();
    tidu::simt::set_deferred(false);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << tidu::simt::last_report();
  }
};

TEST(SimtStream, WorkRunsInOrder) {
  Buffer<int> x(std::vector<int>{0});
  OwnStream stream;
  OwnEvent begin, end;
  ASSERT_EQ(cudaEventRecord(begin, stream), cudaSuccess);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(increment(x.get(), stream), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(end, stream), cudaSuccess);
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  float ms = -1;
  ASSERT_EQ(cudaEventElapsedTime(&ms, begin, end), cudaSuccess);
  EXPECT_GE(ms, 0.0f);
  EXPECT_EQ(x.values()[0], 5);
}

// Without the synchronisation the host reads the pinned buffer too early: every time, not now and then.
TEST_F(Deferred, MissingSynchronisationIsSeen) {
  Buffer<int> x(std::vector<int>{41});
  Pinned<int> host(1);
  *host.p = 0;
  OwnStream stream;
  ASSERT_EQ(increment(x.get(), stream), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(host.p, x.get(), 4, cudaMemcpyDeviceToHost, stream), cudaSuccess);
  EXPECT_EQ(*host.p, 0);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(*host.p, 42);
}

// Without the wait on the event the second stream's kernel comes first.
TEST_F(Deferred, OnlyAnEventOrdersTwoStreams) {
  for (const bool waits : {false, true}) {
    Buffer<int> x(std::vector<int>{0}), y(1);
    OwnStream producer, consumer;
    OwnEvent ready;
    ASSERT_EQ(increment(x.get(), producer), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(ready, producer), cudaSuccess);
    if (waits) { ASSERT_EQ(cudaStreamWaitEvent(consumer, ready, 0), cudaSuccess); }
    ASSERT_EQ(cudaMemcpyAsync(y.get(), x.get(), 4, cudaMemcpyDeviceToDevice, consumer), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(consumer), cudaSuccess);
    EXPECT_EQ(y.values()[0], waits ? 1 : 0);
  }
}

// A pageable source is read at the call, a pinned one when the copy runs.
TEST_F(Deferred, WhenSourcesAreRead) {
  Buffer<int> x(2);
  Pinned<int> pinned(1);
  int pageable = 1;
  *pinned.p = 1;
  OwnStream stream;
  ASSERT_EQ(cudaMemcpyAsync(x.get(), &pageable, 4, cudaMemcpyHostToDevice, stream), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(x.get() + 1, pinned.p, 4, cudaMemcpyHostToDevice, stream), cudaSuccess);
  pageable = *pinned.p = 2;
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(x.values(), (std::vector<int>{1, 2}));
}

TEST_F(Deferred, PollingEndsAndTheDefaultStreamWaits) {
  Buffer<int> x(std::vector<int>{0});
  OwnStream stream(cudaStreamDefault);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(increment(x.get(), stream), cudaSuccess);
  ASSERT_EQ(increment(x.get(), nullptr), cudaSuccess);
  int polls = 0;
  while (cudaStreamQuery(nullptr) == cudaErrorNotReady) ++polls;
  EXPECT_GT(polls, 0);
  EXPECT_EQ(cudaGetLastError(), cudaErrorNotReady);  // kept as an error, as CUDA does
  EXPECT_EQ(x.values()[0], 4);
}

// Freed in stream order, used by a stream that did not wait.
TEST_F(Deferred, CopyFromMemoryFreedOnAnotherStream) {
  void* p = nullptr;
  Buffer<int> y(1);
  OwnStream one, two;
  ASSERT_EQ(cudaMallocAsync(&p, 4, one), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(y.get(), p, 4, cudaMemcpyDeviceToDevice, two), cudaSuccess);
  ASSERT_EQ(cudaFreeAsync(p, one), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(one), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(two), cudaErrorIllegalAddress);
  expect_failure(cudaErrorIllegalAddress, {"a queued copy runs too late", "freed after launch"});
}

TEST(SimtStream, HostFunctionsMayNotCallTheRuntime) {
  static std::atomic<int> called = 0;
  static cudaError_t inside = cudaSuccess;
  OwnStream stream;
  ASSERT_EQ(cudaLaunchHostFunc(
                stream,
                [](void*) {
                  ++called;
                  inside = cudaDeviceSynchronize();
                },
                nullptr),
            cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(called, 1);
  EXPECT_EQ(inside, cudaErrorNotPermitted);
  cudaGetLastError();
}

TEST(SimtStream, PoolStatistics) {
  OwnStream stream;
  cudaMemPool_t pool;
  ASSERT_EQ(cudaDeviceGetDefaultMemPool(&pool, 0), cudaSuccess);
  ASSERT_EQ(cudaMemPoolTrimTo(pool, 0), cudaSuccess);
  const auto value = [&](cudaMemPoolAttr attribute) {
    uint64_t v = 0;
    EXPECT_EQ(cudaMemPoolGetAttribute(pool, attribute, &v), cudaSuccess);
    return v;
  };
  const uint64_t used = value(cudaMemPoolAttrUsedMemCurrent);
  void* p = nullptr;
  ASSERT_EQ(cudaMallocAsync(&p, 1000, stream), cudaSuccess);
  EXPECT_EQ(value(cudaMemPoolAttrUsedMemCurrent), used + 1000);
  ASSERT_EQ(cudaFreeAsync(p, stream), cudaSuccess);
  EXPECT_EQ(value(cudaMemPoolAttrUsedMemCurrent), used);
  EXPECT_GE(value(cudaMemPoolAttrReservedMemCurrent), used + 1000);
  ASSERT_EQ(cudaMemPoolTrimTo(pool, 0), cudaSuccess);
  EXPECT_EQ(value(cudaMemPoolAttrReservedMemCurrent), used);
}

TEST(SimtStream, LaunchLog) {
  Buffer<int> x(1);
  tidu::simt::set_launch_log(true);
  ASSERT_EQ(increment(x.get(), nullptr), cudaSuccess);
  const auto log = tidu::simt::launch_log();
  tidu::simt::set_launch_log(false);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_NE(log[0].find("add_one grid (1,1,1) block (32,1,1), 0 bytes shared"), std::string::npos) << log[0];
}

// --- Graphs.

TEST(SimtGraph, CapturedWorkRunsWhenLaunched) {
  Buffer<int> x(std::vector<int>{0});
  OwnStream stream, side;
  OwnEvent fork, join;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(increment(x.get(), stream), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(fork, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(side, fork, 0), cudaSuccess);
  ASSERT_EQ(increment(x.get(), side), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(join, side), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(stream, join, 0), cudaSuccess);
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0ull), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(x.values()[0], 0);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(x.values()[0], 6);
  ASSERT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
}

TEST(SimtGraph, MemoryOfACaptureIsTheGraphs) {
  OwnStream stream;
  cudaGraph_t graph;
  void* p = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  ASSERT_EQ(cudaMallocAsync(&p, 400, stream), cudaSuccess);
  ASSERT_EQ(cudaMemsetAsync(p, 0, 400, stream), cudaSuccess);
  ASSERT_EQ(cudaFreeAsync(p, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_NE(tidu::simt::leaks().find("of 400 bytes"), std::string::npos);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(tidu::simt::leaks().find("of 400 bytes"), std::string::npos);
}

cudaGraph_t captured(cudaStream_t stream, const std::function<void()>& issue) {
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  issue();
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess) << tidu::simt::last_report();
  return graph;
}

TEST(SimtGraph, RunsWhatItsGraphsInsideWereLastGiven) {
  Buffer<int> x(std::vector<int>{0}), y(std::vector<int>{0});
  OwnStream stream;
  const cudaGraph_t to_x = captured(stream, [&] { EXPECT_EQ(increment(x.get(), stream), cudaSuccess); });
  const cudaGraph_t to_y = captured(stream, [&] { EXPECT_EQ(increment(y.get(), stream), cudaSuccess); });
  const cudaGraph_t twice = captured(stream, [&] {
    EXPECT_EQ(increment(y.get(), stream), cudaSuccess);
    EXPECT_EQ(increment(y.get(), stream), cudaSuccess);
  });
  const cudaGraph_t zeroed =
      captured(stream, [&] { EXPECT_EQ(cudaMemsetAsync(y.get(), 0, sizeof(int), stream), cudaSuccess); });
  cudaGraph_t graph;
  cudaGraphNode_t first, second;
  cudaGraphExec_t executable;
  ASSERT_EQ(cudaGraphCreate(&graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphAddChildGraphNode(&first, graph, nullptr, 0, to_x), cudaSuccess);
  ASSERT_EQ(cudaGraphAddChildGraphNode(&second, graph, &first, 1, to_x), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0ull), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  ASSERT_EQ(cudaGraphExecChildGraphNodeSetParams(executable, second, to_y), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(to_y), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(x.values()[0], 3);
  EXPECT_EQ(y.values()[0], 1);

  // Other nodes are another graph, and a graph that failed to change is as it was.
  EXPECT_EQ(cudaGraphExecChildGraphNodeSetParams(executable, second, twice), cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(cudaGraphExecChildGraphNodeSetParams(executable, second, zeroed),
            cudaErrorGraphExecUpdateFailure);
  ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(x.values()[0], 4);
  EXPECT_EQ(y.values()[0], 2);

  size_t count = 0;
  ASSERT_EQ(cudaGraphGetNodes(twice, nullptr, &count), cudaSuccess);
  EXPECT_EQ(count, 2u);
  cudaGraphNodeType type;
  EXPECT_EQ(cudaGraphNodeGetType(second, &type), cudaSuccess);
  EXPECT_EQ(type, cudaGraphNodeTypeGraph);
  // A node is its graph's, and an executable graph changes as long as that is there.
  EXPECT_EQ(cudaGraphAddChildGraphNode(&first, twice, &second, 1, to_x), cudaErrorInvalidValue);
  for (const cudaGraph_t each : {to_x, twice, zeroed, graph}) EXPECT_EQ(cudaGraphDestroy(each), cudaSuccess);
  EXPECT_EQ(cudaGraphExecChildGraphNodeSetParams(executable, second, to_x), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  cudaGetLastError();
}

TEST(SimtGraph, ModesOfCapture) {
  OwnStream stream;
  cudaGraph_t graph;
  void* p = nullptr;
  // What is unsafe beside a capture that is not of this thread, or is relaxed, is allowed ..
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  std::thread([&] {
    EXPECT_EQ(cudaMalloc(&p, 4), cudaSuccess);
    EXPECT_EQ(cudaFree(p), cudaSuccess);
  }).join();
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  // .. but none survives that the whole device is waited for.
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  cudaGetLastError();
}

TEST(SimtGraph, ErrorsOfCapture) {
  OwnStream stream, side;
  OwnEvent event;
  Buffer<int> x(1);
  cudaGraph_t graph;
  const auto begin = [&] {
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  };

  begin();  // synchronising
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(increment(x.get(), stream), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);

  begin();  // a call that is unsafe in a capture
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);

  begin();  // a stream that joins and is not waited for
  EXPECT_EQ(cudaEventRecord(event, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(side, event, 0), cudaSuccess);
  EXPECT_EQ(increment(x.get(), side), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorCapturedEvent);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureUnjoined);

  OwnStream blocking(cudaStreamDefault);  // the default stream would wait for it
  ASSERT_EQ(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(increment(x.get(), nullptr), cudaErrorStreamCaptureImplicit);
  EXPECT_EQ(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);

  begin();  // ended elsewhere
  EXPECT_EQ(cudaEventRecord(event, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(side, event, 0), cudaSuccess);
  EXPECT_EQ(cudaStreamEndCapture(side, &graph), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);

  int pageable = 0;
  begin();  // pageable memory
  EXPECT_EQ(cudaMemcpyAsync(x.get(), &pageable, 4, cudaMemcpyHostToDevice, stream),
            cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  cudaGetLastError();

  begin();  // and after all that, a capture works
  EXPECT_EQ(increment(x.get(), stream), cudaSuccess);
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

}  // namespace
