// The text of groups' kernels, and what NVRTC itself makes of it for GPUs; it needs none.
#include "backend/cuda/generate.h"

#include <gtest/gtest.h>

#include "../groups.h"
#include "backend/cuda/nvrtc.h"
#include "ops/reduce.h"
#include "ops/update.h"

namespace tidu::cuda_testing {
namespace {

// multiply by a number, add, tanh.
Group chain(const Shape& shape, const Strides& strides, float number) {
  Group group{.shape = shape, .inputs = {}, .steps = {}, .outputs = {}};
  group.inputs.push_back({DType::float32, contiguous_strides(shape)});
  group.inputs.push_back({DType::float32, strides});
  group.inputs.push_back({DType::float32, Strides(shape.size(), 0), std::array<char, 8>{}});
  std::memcpy(group.inputs[2].number->data(), &number, sizeof number);
  group.steps.push_back({&primitives::multiply, {}, DType::float32, {0, 2}});
  group.steps.push_back({&primitives::add, {}, DType::float32, {3, 1}});
  group.steps.push_back({&primitives::tanh, {}, DType::float32, {4}});
  group.outputs.push_back({.value = 5, .dtype = DType::float32});
  return group;
}

std::string text_of(const Group& group) { return cuda::generate(group)->text; }

TEST(CudaGenerate, TheTextKnowsNoSizesAndNoNumbers) {
  const std::string text = text_of(chain({64, 32}, {0, 1}, 0.5f));
  EXPECT_EQ(text, text_of(chain({128, 16}, {0, 1}, 2.5f)));
  EXPECT_EQ(text, text_of(chain({128, 16}, {32, 1}, 0.5f)));  // rows further apart
  EXPECT_NE(text, text_of(chain({128, 16}, {1, 0}, 0.5f)));   // the same along each row
  EXPECT_NE(text, text_of(chain({128, 18}, {0, 1}, 0.5f)));   // rows of other vectors
  EXPECT_EQ(text_of(chain({64, 32}, {32, 1}, 0.5f)), text_of(chain({7}, {1}, 0.5f)));
}

TEST(CudaGenerate, VectorsAreAsWideAsTheLayoutAllows) {
  const auto vector = [](const Shape& shape, const Strides& strides) {
    return cuda::generate(chain(shape, strides, 1))->vector;
  };
  EXPECT_EQ(vector({1003}, {1}), 4);
  EXPECT_EQ(vector({1003}, {0}), 4);
  EXPECT_EQ(vector({5, 8}, {0, 1}), 4);
  EXPECT_EQ(vector({5, 8}, {10, 1}), 2);  // rows begin at even places
  EXPECT_EQ(vector({5, 8}, {11, 1}), 1);
  EXPECT_EQ(vector({5, 10}, {0, 1}), 2);
  EXPECT_EQ(vector({5, 7}, {1, 0}), 1);
  EXPECT_EQ(vector({8, 8}, {1, 8}), 4);  // each element of the input alone
}

TEST(CudaGenerate, NumbersOf64BitsOnlyWhereTheyAreNeeded) {
  const auto is_wide = [](const Shape& shape, const Strides& strides) {
    return text_of(chain(shape, strides, 1)).find("Wide") != std::string::npos;
  };
  EXPECT_FALSE(is_wide({1 << 20, 1 << 10}, {0, 1}));
  EXPECT_TRUE(is_wide({1 << 20, 1 << 11}, {0, 1}));
  EXPECT_TRUE(is_wide({4, 4}, {int64_t{1} << 30, 1}));
}

TEST(CudaGenerate, SomeGroupsAreLeftToTheirCalls) {
  Group group = chain({8}, {1}, 1);
  group.outputs[0].reduction = &primitives::sum;
  EXPECT_FALSE(cuda::generate(group));
  group = chain({8}, {1}, 1);
  group.steps[2].primitive = &primitives::sum;
  EXPECT_FALSE(cuda::generate(group));
  group = chain({8}, {1}, 1);
  for (int i = 0; i < 254; ++i) group.steps.push_back({&primitives::sin, {}, DType::float32, {i}});
  EXPECT_FALSE(cuda::generate(group));
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// No warning, no registers spilled to memory, for A100 and H100.
void expect_to_compile(const std::string& text, size_t kernels, const std::string& what) {
  const Nvrtc& nvrtc = *cuda::find_nvrtc();
  for (const char* architecture : {"sm_80", "sm_90"}) {
    std::vector<std::string> options = cuda::compiler_options(architecture);
    options.emplace_back("--ptxas-options=-v");
    const cuda::Compiled compiled = cuda::compile(nvrtc, text, options);
    ASSERT_FALSE(compiled.code.empty()) << what << "\n" << compiled.log << "\n" << text;
    EXPECT_EQ(compiled.log.find("warning"), std::string::npos) << what << "\n"
                                                               << compiled.log << "\n"
                                                               << text;
    // A line for each kernel, and for each function that they call.
    const size_t reports = count(compiled.log, "bytes spill stores");
    EXPECT_GE(reports, kernels) << what << "\n" << compiled.log;
    EXPECT_EQ(count(compiled.log, " 0 bytes spill stores, 0 bytes spill loads"), reports) << what << "\n"
                                                                                          << compiled.log;
  }
}

void expect_to_compile(const Group& group, const std::string& what) {
  expect_to_compile(text_of(group), cuda::generate(group)->vector > 1 ? 2 : 1, what);
}

// A weight's gradient, which is a product, with the weight and what an optimiser keeps beside it.
Group step_of_weight(const Primitive& update, Attrs attrs, int arrays, DType dtype) {
  Group group{.shape = {256, 784}, .inputs = {}, .steps = {}, .outputs = {}};
  const DType state = state_dtype(dtype);
  for (int k = 0; k < arrays; ++k) group.inputs.push_back({k < 2 ? dtype : state, {784, 1}});
  group.inputs.push_back({DType::float64, {0, 0}});
  group.product = {0, 128, {{dtype, {1, 256}}, {dtype, {784, 1}}}};
  std::vector<int> inputs;
  for (int k = 1; k < arrays; ++k) inputs.push_back(k);
  inputs.push_back(0);
  inputs.push_back(arrays);
  for (int k = 0; k + 1 < arrays; ++k) {
    const DType made = k == 0 ? dtype : state;
    group.steps.push_back({&update, attrs, made, inputs, k});
    group.outputs.push_back({.value = arrays + 1 + k, .dtype = made});
  }
  return group;
}

class CudaGenerateForGpus : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda::find_nvrtc()) GTEST_SKIP() << "there is no NVRTC on this machine";
  }
};

TEST_F(CudaGenerateForGpus, CodeIsOfAnArchitectureThatTheGpuRuns) {
  const auto architecture = [](int major, int minor) {
    return cuda::architecture_for(*cuda::find_nvrtc(), major, minor);
  };
  EXPECT_EQ(architecture(8, 0), "sm_80");
  EXPECT_EQ(architecture(9, 0), "sm_90");
  EXPECT_EQ(architecture(9, 7), "sm_90");  // which does not exist
  EXPECT_EQ(architecture(3, 5), "");
  EXPECT_EQ(architecture(99, 0), "");
}

TEST_F(CudaGenerateForGpus, RandomGroupsCompile) {
  for (uint64_t seed = 101; seed <= 108; ++seed)
    expect_to_compile(RandomGroup(seed).made().group, "seed " + std::to_string(seed));
}

TEST_F(CudaGenerateForGpus, WideGroupsCompile) {
  expect_to_compile(chain({4, 4}, {int64_t{1} << 30, 1}, 1), "wide");
}

TEST_F(CudaGenerateForGpus, ProductsThatStepWeightsCompile) {
  const std::string tile = "multiply_tile<Tile<16, 16, 1, 1, 8, 4, 8>, false, false, 4>";
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    const auto expect = [&](const Primitive& update, Attrs attrs, int arrays) {
      const cuda::Generated made = *cuda::generate(step_of_weight(update, std::move(attrs), arrays, dtype));
      expect_to_compile(cuda::product_text(made, tile, 256), 1, made.name);
    };
    expect(primitives::sgd_update, SgdAttrs{1, 0.1, 0, 0, false, false, true}, 2);
    expect(primitives::sgd_update, SgdAttrs{1, 0.1, 0.9, 0, true, false, true}, 3);
    expect(primitives::adam_update, AdamAttrs{1, 0.1, 0.9, 0.99, 1e-8, 0.01, true, 1, true}, 4);
    expect(primitives::rmsprop_update, RmspropAttrs{1, 0.1, 0.9, 1e-8, 0, 0.5, true}, 4);
  }
}

TEST_F(CudaGenerateForGpus, GroupsOfManyInputsCompile) {
  Group group{.shape = {64, 64}, .inputs = {}, .steps = {}, .outputs = {}};
  for (int i = 0; i < 24; ++i)
    group.inputs.push_back({DType::float32, i % 2 ? Strides{0, 1} : Strides{64, 1}});
  for (int i = 0; i < 24; ++i)
    group.steps.push_back({&primitives::multiply, {}, DType::float32, {i == 0 ? 23 : 23 + i, i}});
  group.outputs.push_back({.value = 47, .dtype = DType::float32});
  expect_to_compile(group, "many inputs");
}

}  // namespace
}  // namespace tidu::cuda_testing
