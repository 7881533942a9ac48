// The host side of device cuda: copies in every direction, memory, streams and events, errors. It needs no
// kernel. Streams of an emulated device may be deferred (TIDU_SIMT_DEFERRED=1): a missing wait is an error
// then.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <thread>

#include "cuda/driver.h"
#include "cuda/stream.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu {
namespace {

constexpr Device kFirst{DeviceType::cuda, 0}, kSecond{DeviceType::cuda, 1};

std::vector<int32_t> numbers(int64_t count, int32_t first = 0) {
  std::vector<int32_t> result(static_cast<size_t>(count));
  std::iota(result.begin(), result.end(), first);
  return result;
}
Tensor on(Device device, const std::vector<int32_t>& values) {
  return tensor(std::span(values), {static_cast<int64_t>(values.size())}, device);
}
MemoryStats stats(Device device = kFirst) { return backend(device).allocator(device.index).stats(); }

TEST(CudaHost, CopiesArriveInEveryDirection) {
  constexpr int64_t mebi = 1 << 18;  // elements of 1 MiB, a chunk of a staged copy
  for (const int64_t count :
       {int64_t{0}, int64_t{1}, int64_t{1000}, mebi - 1, mebi, mebi + 1, 9 * mebi + 5}) {
    const std::vector<int32_t> values = numbers(count);
    const Tensor host = on({}, values), there = to(host, kFirst);
    EXPECT_EQ(there.device(), kFirst);
    EXPECT_EQ(to_vector<int32_t>(there), values);
    EXPECT_EQ(to_vector<int32_t>(to(there, {})), values);
    if (cuda::device_count() < 2) continue;
    const Tensor peer = to(there, kSecond);
    EXPECT_EQ(peer.device(), kSecond);
    EXPECT_EQ(to_vector<int32_t>(peer), values);
    EXPECT_EQ(to_vector<int32_t>(to(peer, kFirst)), values);
    EXPECT_EQ(to_vector<int32_t>(there), values);
  }
}

TEST(CudaHost, TheHostMayReuseItsMemoryAtOnce) {
  std::vector<int32_t> values = numbers(1 << 20);
  const Tensor x = on(kFirst, values);
  std::fill(values.begin(), values.end(), -1);
  EXPECT_EQ(to_vector<int32_t>(x), numbers(1 << 20));
}

TEST(CudaHost, TransposedHostTensorsAreMoved) {
  const Tensor host = reshape(on({}, numbers(6)), {2, 3});
  EXPECT_EQ(to_vector<int32_t>(to(matrix_transpose(host), kFirst)), (std::vector<int32_t>{0, 3, 1, 4, 2, 5}));
}

TEST(CudaHost, MemoryIsCountedByTheByte) {
  const MemoryStats before = stats();
  backend(kFirst).allocator(0).reset_peak();
  {
    const Tensor x = Tensor::empty({1001}, DType::int8, kFirst),
                 y = Tensor::empty({10}, DType::int64, kFirst);
    EXPECT_EQ(stats().live_bytes - before.live_bytes, 1081);
    EXPECT_EQ(stats().allocations - before.allocations, 2);
    EXPECT_GE(stats().reserved_bytes, stats().live_bytes);
    const Tensor view = x.view({1}, {1}, 5);
    EXPECT_EQ(stats().live_bytes - before.live_bytes, 1081);
    EXPECT_EQ(Tensor::empty({0, 3}, DType::int8, kFirst).raw_data(), nullptr);
  }
  EXPECT_EQ(stats().live_bytes, before.live_bytes);
  EXPECT_EQ(stats().peak_bytes, before.live_bytes + 1081);
  backend(kFirst).allocator(0).reset_peak();
  EXPECT_EQ(stats().peak_bytes, before.live_bytes);
}

TEST(CudaHost, BeyondTheLimitMemoryIsOutAndTheProgramGoesOn) {
  Allocator& allocator = backend(kFirst).allocator(0);
  const int64_t all = cuda::properties().memory_bytes;
  allocator.empty_cache();
  allocator.set_limit(stats().live_bytes + 10'000);
  std::string message;
  try {
    Tensor::empty({10'001}, DType::int8, kFirst);
  } catch (const OutOfMemoryError& error) { message = error.what(); }
  EXPECT_NE(message.find("out of memory on cuda:0: asked for 10001 bytes"), std::string::npos) << message;
  for (int i = 0; i < 20; ++i) Tensor::empty({10'000 - 100 * i}, DType::int8, kFirst);  // from what is cached
  allocator.set_limit(all);
  EXPECT_EQ(to_vector<int32_t>(on(kFirst, numbers(100'000))), numbers(100'000));
  EXPECT_THROW(Tensor::empty({int64_t{1} << 60}, DType::int8, kFirst), OutOfMemoryError);
  EXPECT_THROW(Tensor::empty({all}, DType::float64, kFirst), OutOfMemoryError);
}

TEST(CudaHost, FreedMemoryIsGivenBack) {
  Tensor x = Tensor::empty({1 << 20}, DType::int8, kFirst);
  x = {};
  backend(kFirst).allocator(0).empty_cache();
  EXPECT_EQ(stats().reserved_bytes, stats().live_bytes);
}

TEST(CudaHost, TheCurrentStreamIsAThreadsOwn) {
  const cuda::Stream stream, other;
  const cuda::Stream before = cuda::Stream::current();
  EXPECT_EQ(before, cuda::Stream::main());
  {
    const cuda::StreamGuard guard(stream);
    EXPECT_EQ(cuda::Stream::current(), stream);
    std::thread([&] { EXPECT_EQ(cuda::Stream::current(), before); }).join();
    {
      const cuda::StreamGuard inner(other);
      EXPECT_EQ(cuda::Stream::current(), other);
      EXPECT_EQ(Tensor::empty({3}, DType::int8, kFirst).impl().storage->queue(), other.queue());
    }
    EXPECT_EQ(cuda::Stream::current(), stream);
  }
  EXPECT_EQ(cuda::Stream::current(), before);
}

TEST(CudaHost, TensorsOutliveTheStreamThatMadeThem) {
  Tensor x;
  Queue queue = 0;
  {
    const cuda::Stream stream(0, 0);
    const cuda::StreamGuard guard(stream);
    x = on(kFirst, numbers(1000));
    queue = stream.queue();
  }
  EXPECT_EQ(to_vector<int32_t>(x), numbers(1000));
  EXPECT_EQ(cuda::Stream(0, 0).queue(), queue) << "a stream that nobody holds is used again";
}

TEST(CudaHost, AUseOnAnotherStreamWaitsForTheLast) {
  const cuda::Stream streams[3] = {cuda::Stream(), cuda::Stream(0, -1), cuda::Stream()};
  for (int round = 0; round < 10; ++round) {
    Tensor x;
    {
      const cuda::StreamGuard guard(streams[round % 3]);
      x = on(kFirst, numbers(500'000, round));
    }
    const cuda::StreamGuard guard(streams[(round + 1) % 3]);
    EXPECT_EQ(to_vector<int32_t>(x), numbers(500'000, round));
    EXPECT_EQ(x.impl().storage->queue(), streams[(round + 1) % 3].queue());
  }
}

TEST(CudaHost, PeersWaitForEachOther) {
  if (cuda::device_count() < 2) GTEST_SKIP() << "one device";
  const cuda::Stream here(0), there(1);
  const cuda::StreamGuard first(here), second(there);
  for (int round = 0; round < 10; ++round) {
    Tensor x = on(kFirst, numbers(300'000, round));
    const Tensor y = to(x, kSecond);
    x = {};
    const Tensor reused = on(kFirst, numbers(300'000, -round));  // perhaps in x's memory
    EXPECT_EQ(to_vector<int32_t>(y), numbers(300'000, round));
  }
}

TEST(CudaHost, EventsMarkAPlaceInAStream) {
  const cuda::Stream stream, other;
  cuda::Event plain, first(true), second(true);
  EXPECT_TRUE(plain.is_reached());
  plain.synchronize();
  first.record(stream);
  Tensor x;
  {
    const cuda::StreamGuard guard(stream);
    x = on(kFirst, numbers(100'000));
  }
  second.record(stream);
  second.wait(other);
  other.synchronize();
  EXPECT_TRUE(second.is_reached());
  second.synchronize();
  EXPECT_GE(first.elapsed(second), 0);
  plain.record(stream);
  plain.synchronize();
  EXPECT_THROW(first.elapsed(plain), ValueError);
  EXPECT_THROW(first.elapsed(cuda::Event(true)), ValueError);
  stream.wait(other);
  stream.synchronize();
  EXPECT_TRUE(stream.is_idle());
  if (cuda::device_count() > 1) { EXPECT_THROW(plain.record(cuda::Stream(1)), DeviceError); }
}

TEST(CudaHost, DevicesThatAreNotThereAreErrors) {
  EXPECT_THROW(on({DeviceType::cuda, 100}, {1}), DeviceError);
  EXPECT_THROW(cuda::synchronize(-1), DeviceError);
  EXPECT_THROW(cuda::Stream(77), DeviceError);
}

TEST(CudaHost, TheFormIsChosenOnce) {
  EXPECT_EQ(backend(kFirst).description(0).ends_with("emulated"), cuda::is_emulated());
  if (!cuda::is_emulated()) return;
  EXPECT_EQ(cuda::properties().name.find("emulation") != std::string::npos, true);
}

TEST(CudaHost, ThreadsShareADevice) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      const cuda::Stream stream;
      const cuda::StreamGuard guard(stream);
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(to_vector<int32_t>(on(kFirst, numbers(10'000, 100 * t + i))), numbers(10'000, 100 * t + i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  cuda::synchronize();
}

}  // namespace
}  // namespace tidu
