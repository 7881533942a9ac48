// The code of groups' kernels, emulated: kept between processes, made again where it is damaged, and an error
// that names the group where it does not compile.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../groups.h"

namespace tidu::cuda_testing {
namespace {

namespace fs = std::filesystem;

class CudaGroupCode : public GroupTest {
 protected:
  static void SetUpTestSuite() {
    GroupTest::SetUpTestSuite();
    unsetenv("TIDU_CUDA");  // it is the host's compiler that is made to fail
    cuda::emulate();
    ASSERT_EQ(cuda::why_not(), "");
  }
};

template <class Body> std::string message_of(const Body& body) {
  try {
    body();
  } catch (const DeviceError& error) { return error.what(); }
  return "no error";
}

TEST_F(CudaGroupCode, ThatDoNotCompileAreNamed) {
  GroupCase c = chain({4, 5}, {whole({4, 5}, 1), whole({4, 5}, 2)});
  c.add_output(c.add_step(primitives::sinh, {0}, DType::float32));
  setenv("TIDU_SIMT_COMPILER", "false", 1);
  const std::string text = message_of([&] { prepared(c.group); });
  EXPECT_EQ(
      text.find(
          "[group] multiply, add, tanh, sinh of float32(4, 5): the kernel made for it does not compile"),
      0u)
      << text;
  unsetenv("TIDU_SIMT_COMPILER");
  const Tensors inputs = on_device(c);
  expect_same(by_kernel(c, *prepared(c.group), inputs)[1], by_calls(c, inputs)[1], "after the error");
}

// Each child is a process that has no kernel in memory; one whose compiler is `false` only gets what is on
// disk. Its status is 0 if the group was prepared, 1 if there was an error.
[[noreturn]] void prepare_and_exit(const GroupCase& c, const char* compiler) {
  if (compiler) setenv("TIDU_SIMT_COMPILER", compiler, 1);
  std::exit(message_of([&] { prepared(c.group); }) == "no error" ? 0 : 1);
}

TEST_F(CudaGroupCode, AreCompiledOnce) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const bool is_parent = std::getenv("TIDU_GROUP_TEST") == nullptr;
  setenv("TIDU_GROUP_TEST", folder().c_str(), 0);
  const fs::path kept = std::getenv("TIDU_GROUP_TEST");
  setenv("TIDU_CACHE_DIR", kept.c_str(), 1);
  GroupCase c = chain({3, 4}, {whole({3, 4}, 1), whole({3, 4}, 2)});
  c.add_output(c.add_step(primitives::cosh, {0}, DType::float32));
  const auto exits_with = [](int status) { return testing::ExitedWithCode(status); };
  EXPECT_EXIT(prepare_and_exit(c, "false"), exits_with(1), "");
  EXPECT_EXIT(prepare_and_exit(c, nullptr), exits_with(0), "");
  EXPECT_EXIT(prepare_and_exit(c, "false"), exits_with(0), "");
  if (is_parent) {  // damaged
    for (const auto& entry : fs::directory_iterator(kept / "kernels")) {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-100, std::ios::end);
      file << "damaged";
    }
  }
  EXPECT_EXIT(prepare_and_exit(c, "false"), exits_with(1), "");
  EXPECT_EXIT(prepare_and_exit(c, nullptr), exits_with(0), "");
  EXPECT_EXIT(prepare_and_exit(c, "false"), exits_with(0), "");
  setenv("TIDU_CACHE_DIR", "/proc/no/such/folder", 1);  // cannot be written
  EXPECT_EXIT(prepare_and_exit(c, nullptr), exits_with(0), "");
}

}  // namespace
}  // namespace tidu::cuda_testing
