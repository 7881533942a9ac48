// Groups as kernels that are generated, compiled and launched have the bits of the same calls one by one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/backend.h"
#include "cuda/stream.h"
#include "ops/reduce.h"
#include "random_group.h"

namespace tidu::cuda_testing {
namespace {

namespace fs = std::filesystem;

// Where this test keeps compiled code.
const fs::path kFolder = fs::temp_directory_path() / ("tidu_group_test_" + std::to_string(getpid()));

class CudaGroups : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (std::getenv("TIDU_CUDA") == nullptr) cuda::emulate();
    ASSERT_EQ(cuda::why_not(), "");
    setenv("TIDU_CACHE_DIR", kFolder.c_str(), 1);
  }
  static void TearDownTestSuite() { fs::remove_all(kFolder); }
};

std::unique_ptr<GroupKernel> prepared(const Group& group) { return backend(kCuda).prepare(group); }

Tensors on_device(const GroupCase& c) {
  Tensors inputs;
  for (const auto& [memory, view] : c.inputs) inputs.push_back(view(to(memory, kCuda)));
  return inputs;
}

// The outputs by one call after another.
Tensors by_calls(const GroupCase& c, const Tensors& inputs) {
  Tensors values = inputs;
  for (const Group::Step& step : c.group.steps) {
    Tensors from;
    for (const int value : step.inputs) from.push_back(values[value]);
    Tensor result;
    if (step.primitive == &primitives::astype) {
      result = astype(from[0], step.dtype);
    } else {
      bind(*step.primitive, from, step.attrs, {&result, 1});
    }
    values.push_back(result);
  }
  Tensors outputs;
  for (const Group::Output& output : c.group.outputs) outputs.push_back(values[output.value]);
  return outputs;
}

Tensors by_kernel(const GroupCase& c, const GroupKernel& kernel, const Tensors& inputs) {
  std::vector<const void*> from;
  for (size_t k = 0; k < inputs.size(); ++k)
    from.push_back(c.group.inputs[k].number ? nullptr : inputs[k].raw_data());
  Tensors outputs;
  std::vector<void*> at;
  for (const Group::Output& output : c.group.outputs) {
    outputs.push_back(Tensor::empty(c.group.shape, output.dtype, kCuda));
    at.push_back(outputs.back().raw_data());
  }
  kernel.run(from.data(), at.data());
  return outputs;
}

// The same bits, but for what a NaN carries.
void expect_same(const Tensor& got, const Tensor& want, const std::string& what) {
  ASSERT_EQ(got.dtype(), want.dtype()) << what;
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const std::string have = bytes(got), wanted = bytes(want);
  if (have == wanted) return;
  const std::vector<double> a = values(got), b = values(want);
  const size_t size = size_of(got.dtype());
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    ASSERT_EQ(have.substr(i * size, size), wanted.substr(i * size, size))
        << what << ", element " << i << ": " << a[i] << " instead of " << b[i];
  }
}

void expect_bits_of_calls(const GroupCase& c, const std::string& what) {
  const auto kernel = prepared(c.group);
  ASSERT_TRUE(kernel) << what;
  const Tensors inputs = on_device(c);
  const Tensors got = by_kernel(c, *kernel, inputs), want = by_calls(c, inputs);
  for (size_t i = 0; i < got.size(); ++i)
    expect_same(got[i], want[i], what + ", output " + std::to_string(i));
}

TEST_F(CudaGroups, OfRandomStepsHaveTheBitsOfTheirCalls) {
  for (uint64_t seed = 1; seed <= 16; ++seed)
    expect_bits_of_calls(RandomGroup(seed).made(), "seed " + std::to_string(seed));
}

TEST_F(CudaGroups, ComputeEveryRowInEveryDtype) {
  for (int d = 0; d < kDTypeCount; ++d) {
    const DType dtype = static_cast<DType>(d);
    GroupCase c;
    c.group.shape = {37};
    for (uint64_t seed = 1; seed <= 3; ++seed)
      c.add_input(
          {copy(numbers({37}, seed == 3 ? DType::bool_ : dtype, seed)), [](const Tensor& x) { return x; }});
    for (const ElementwiseRow& row : elementwise_table()) {
      if (!holds(row.types, dtype)) continue;
      const std::vector<int> from = row.arity == 1   ? std::vector{0}
                                    : row.arity == 2 ? std::vector{0, 1}
                                                     : std::vector{2, 0, 1};
      c.add_output(c.add_row(row, from, row.attrs));
    }
    for (int other = 0; other < kDTypeCount; ++other)
      c.add_output(c.add_step(primitives::astype, {0}, static_cast<DType>(other)));
    std::ostringstream what;
    what << dtype;
    expect_bits_of_calls(c, what.str());
  }
}

// multiply, add, tanh of float32 inputs.
GroupCase chain(const Shape& shape, std::vector<GroupCase::Input> inputs) {
  GroupCase c;
  c.group.shape = shape;
  for (auto& input : inputs) c.add_input(std::move(input));
  const int product = c.add_step(primitives::multiply, {0, 1}, DType::float32);
  const int sum = c.add_step(primitives::add, {product, 0}, DType::float32);
  c.add_output(c.add_step(primitives::tanh, {sum}, DType::float32));
  return c;
}
GroupCase::Input whole(const Shape& shape, uint64_t seed) {
  return {copy(numbers(shape, DType::float32, seed)), [](const Tensor& x) { return x; }};
}

TEST_F(CudaGroups, TakeInputsOfAnyLayout) {
  const Shape shape{6, 10, 14};
  for (const Layout& layout : layouts()) {
    const GroupCase::Input input{copy(numbers(layout.memory, DType::float32, 3)), layout.view};
    const Shape seen = layout.view(input.memory).shape();
    expect_bits_of_calls(chain(seen, {input, whole(seen, 4)}), layout.name);
  }
}

TEST_F(CudaGroups, OfAnySizeLeaveNothingOut) {
  for (const int64_t n : {1, 2, 3, 4, 5, 255, 1023, 1024, 1025, 4099})
    expect_bits_of_calls(chain({n}, {whole({n}, 1), whole({n}, 2)}), std::to_string(n) + " elements");
}

TEST_F(CudaGroups, MayWriteOverAnInput) {
  const GroupCase c = chain({1001}, {whole({1001}, 1), whole({1001}, 2)});
  const Tensors inputs = on_device(c), want = by_calls(c, inputs);
  const void* const from[] = {inputs[0].raw_data(), inputs[1].raw_data()};
  void* const at[] = {inputs[1].raw_data()};
  prepared(c.group)->run(from, at);
  expect_same(inputs[1], want[0], "in place");
}

TEST_F(CudaGroups, RunOnTheCurrentStreamAfterWhatMadeTheirInputs) {
  const GroupCase c = chain({1000}, {whole({1000}, 1), whole({1000}, 2)});
  const auto kernel = prepared(c.group);
  const Tensors made = on_device(c), want = by_calls(c, made);
  cuda::synchronize();
  Tensors inputs;
  for (const Tensor& x : made) inputs.push_back(x + 0.0);  // on the main stream, perhaps not yet done
  Tensors outputs;
  {
    const cuda::Stream stream(0);
    const cuda::StreamGuard guard(stream);
    backend(kCuda).use(inputs);
    outputs = by_kernel(c, *kernel, inputs);
    stream.synchronize();
  }
  expect_same(outputs[0], want[0], "on a stream");
}

TEST_F(CudaGroups, SumsAreLeftToTheirCalls) {
  GroupCase c = chain({8, 8}, {whole({8, 8}, 1), whole({8, 8}, 2)});
  c.group.outputs[0].reduction = &primitives::sum;
  EXPECT_FALSE(prepared(c.group));
}

template <class Body> std::string message_of(const Body& body) {
  try {
    body();
  } catch (const DeviceError& error) { return error.what(); }
  return "no error";
}

TEST_F(CudaGroups, ThatDoNotCompileAreNamed) {
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
  expect_bits_of_calls(c, "after the error");
}

// Each child is a process that has no kernel in memory; one whose compiler is `false` only gets what is on
// disk. Its status is 0 if the group was prepared, 1 if there was an error.
[[noreturn]] void prepare_and_exit(const GroupCase& c, const char* compiler) {
  if (compiler) setenv("TIDU_SIMT_COMPILER", compiler, 1);
  std::exit(message_of([&] { prepared(c.group); }) == "no error" ? 0 : 1);
}

TEST_F(CudaGroups, AreCompiledOnce) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const bool is_parent = std::getenv("TIDU_GROUP_TEST") == nullptr;
  setenv("TIDU_GROUP_TEST", kFolder.c_str(), 0);
  const fs::path folder = fs::path(std::getenv("TIDU_GROUP_TEST")) / "once";
  setenv("TIDU_CACHE_DIR", folder.c_str(), 1);
  GroupCase c = chain({3, 4}, {whole({3, 4}, 1), whole({3, 4}, 2)});
  c.add_output(c.add_step(primitives::cosh, {0}, DType::float32));
  const auto exits_with = [](int status) { return testing::ExitedWithCode(status); };
  EXPECT_EXIT(prepare_and_exit(c, "false"), exits_with(1), "");
  EXPECT_EXIT(prepare_and_exit(c, nullptr), exits_with(0), "");
  EXPECT_EXIT(prepare_and_exit(c, "false"), exits_with(0), "");
  if (is_parent) {  // damaged
    for (const auto& entry : fs::directory_iterator(folder / "kernels")) {
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
  if (is_parent) {
    setenv("TIDU_CACHE_DIR", kFolder.c_str(), 1);
    unsetenv("TIDU_GROUP_TEST");
  }
}

}  // namespace
}  // namespace tidu::cuda_testing
