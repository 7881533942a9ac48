// What becomes of operations of device cuda that fail, now or later, emulated with deferred streams:
// the messages name the operation, and the device goes on where it can.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "core/bind.h"
#include "cuda/driver.h"
#include "cuda/stream.h"
#include "ops/creation.h"

namespace tidu {
namespace {

constexpr Device kFirst{DeviceType::cuda, 0}, kSecond{DeviceType::cuda, 1};

// Runs an operation of tests/cuda/emulated/faulty_operations.cu on x.
void run(const char* name, const Tensor& x) {
  for (const Primitive* primitive : all_primitives()) {
    if (std::string_view(primitive->name) != name) continue;
    Tensor output;
    bind(*primitive, {&x, 1}, {}, {&output, 1});
    return;
  }
  FAIL() << "no operation " << name;
}

template <class Error, class Body> std::string message_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) { return error.what(); }
  return "no error";
}

#define EXPECT_FOUND(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)
#define EXPECT_NOT_FOUND(text, part) EXPECT_EQ((text).find(part), std::string::npos) << (text)

class CudaErrors : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto program = std::filesystem::read_symlink("/proc/self/exe");
    setenv("TIDU_CUDA_PLUGIN_DIR", (program.parent_path().parent_path() / "faulty").c_str(), 1);
    setenv("TIDU_CUDA_DEVICES", "2", 1);
    setenv("TIDU_SIMT_DEFERRED", "1", 1);
    unsetenv("TIDU_CUDA");
    cuda::emulate();
    ASSERT_EQ(cuda::why_not(), "");
  }
  void SetUp() override { x = tensor<int>({1, 2, 3, 4, 5}, {5}), x = make(kFirst); }
  static Tensor make(Device device) {
    const std::vector<int> values{1, 2, 3, 4, 5};
    return tensor(std::span(values), {5}, device);
  }

  Tensor x;
};

TEST_F(CudaErrors, OperationsRunOnTheirTensorsDevice) {
  const Tensor y = make(kSecond);
  run("test_good", x);
  run("test_good", y);
  EXPECT_EQ(to_vector<int>(x), std::vector<int>(5, 1));
  EXPECT_EQ(to_vector<int>(y), std::vector<int>(5, 2));
}

TEST_F(CudaErrors, WorkspacesAreGivenBackInStreamOrder) {
  const int64_t live = backend(kFirst).allocator(0).stats().live_bytes;
  for (int i = 0; i < 3; ++i) run("test_workspace", x);
  EXPECT_EQ(backend(kFirst).allocator(0).stats().live_bytes, live);
  EXPECT_EQ(to_vector<int>(x), std::vector<int>(5, 5));
}

TEST_F(CudaErrors, ALaunchThatCannotBeNamesItsOperation) {
  const std::string text = message_of<DeviceError>([&] { run("test_too_many_threads", x); });
  EXPECT_FOUND(text, "[test_too_many_threads] int32(5,) cuda:0: CUDA error 9");
  EXPECT_NOT_FOUND(text, "newest first");
  run("test_good", x);
  EXPECT_EQ(to_vector<int>(x), std::vector<int>(5, 1));
}

TEST_F(CudaErrors, AFaultIsRaisedWhenTheDeviceIsWaitedFor) {
  run("test_good", x);
  run("test_fault", x);
  run("test_good", x);
  const std::string text = message_of<IndexError>([&] { to_vector<int>(x); });
  EXPECT_FOUND(text,
               "[test_fault] int32(5,) on cuda:0: index 77 at position 3 is out of range for extent 10");
  EXPECT_EQ(to_vector<int>(x), std::vector<int>(5, 1)) << "raised once";
  for (const auto& wait :
       {std::function<void()>([] { cuda::synchronize(); }),
        std::function<void()>([] { cuda::Stream::current().synchronize(); }), std::function<void()>([] {
          cuda::Event event;
          event.record(cuda::Stream::current());
          event.synchronize();
        })}) {
    run("test_fault", x);
    EXPECT_FOUND(message_of<IndexError>(wait), "test_fault");
    wait();
  }
}

TEST_F(CudaErrors, AFaultOfOneDeviceIsNotTheOthers) {
  const Tensor y = make(kSecond);
  run("test_fault", y);
  cuda::synchronize(0);
  EXPECT_FOUND(message_of<IndexError>([] { cuda::synchronize(1); }), "on cuda:1");
}

TEST_F(CudaErrors, AFaultOfLongAgoIsStillRaised) {
  run("test_fault", x);
  for (int i = 0; i < 300; ++i) run("test_good", x);
  EXPECT_FOUND(message_of<IndexError>([] { cuda::synchronize(); }),
               "[an earlier operation] on cuda:0: index 77");
}

TEST_F(CudaErrors, AFailureOfEarlierWorkNamesWhatItMayHaveBeen) {
  run("test_workspace", x);
  cuda::synchronize();
  run("test_good", x);
  run("test_outside", x);
  const std::string text = message_of<DeviceError>([] { cuda::synchronize(); });
  EXPECT_FOUND(text, "[synchronize] cuda:0: CUDA error 700 (cudaErrorIllegalAddress");
  EXPECT_FOUND(text, "newest first: [test_outside] int32(5,), [test_good] int32(5,) (");
  EXPECT_FOUND(text, "set_blocking");
  EXPECT_FOUND(text, "write_outside");  // of the SIMT runtime's own report
  EXPECT_FOUND(message_of<DeviceError>([&] { to_vector<int>(x); }), "CUDA error 700");
  run("test_recover", x);
  EXPECT_EQ(to_vector<int>(make(kFirst)), (std::vector<int>{1, 2, 3, 4, 5}));
}

TEST_F(CudaErrors, BlockingTellsWhich) {
  cuda::driver().set_blocking(true);
  run("test_good", x);
  const std::string text = message_of<DeviceError>([&] { run("test_outside", x); });
  EXPECT_FOUND(
      text, "in one of the operations issued since the last synchronisation, newest first: [test_outside]");
  EXPECT_NOT_FOUND(text, "[test_good]");
  run("test_recover", x);
  EXPECT_FOUND(message_of<IndexError>([&] { run("test_fault", x); }), "[test_fault]");
  cuda::driver().set_blocking(false);
}

}  // namespace
}  // namespace tidu
