// Groups as kernels that are generated, compiled and launched have the bits of the same calls one by one.
#include <gtest/gtest.h>

#include "cuda/stream.h"
#include "groups.h"
#include "ops/reduce.h"

namespace tidu::cuda_testing {
namespace {

class CudaGroups : public GroupTest {};

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
  for (int d = 0; d < kRealDTypes; ++d) {
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
    for (int other = 0; other < kRealDTypes; ++other)
      c.add_output(c.add_step(primitives::astype, {0}, static_cast<DType>(other)));
    std::ostringstream what;
    what << dtype;
    expect_bits_of_calls(c, what.str());
  }
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
  prepared(c.group)->run(from, at, nullptr);
  expect_same(inputs[1], want[0], "in place");
}

TEST_F(CudaGroups, RunOnEveryDevice) {
  const GroupCase c = chain({100}, {whole({100}, 1), whole({100}, 2)});
  const auto kernel = prepared(c.group);
  const Tensors want = by_calls(c, on_device(c));
  for (int i = 0; i < cuda::device_count(); ++i) {
    const Device device{DeviceType::cuda, static_cast<int8_t>(i)};
    expect_same(by_kernel(c, *kernel, on_device(c, device), device)[0], want[0],
                "device " + std::to_string(i));
  }
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

}  // namespace
}  // namespace tidu::cuda_testing
