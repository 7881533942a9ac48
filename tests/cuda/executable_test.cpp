// Executables on device cuda: groups as kernels, beside calls, in the order of streams.
#include "compile/executable.h"

#include <gtest/gtest.h>

#include "cuda/stream.h"
#include "groups.h"
#include "tidu.h"

namespace tidu::cuda_testing {
namespace {

class CudaExecutable : public GroupTest {};

Tensor on_cuda(const Shape& shape, uint64_t seed) { return to(numbers(shape, DType::float32, seed), kCuda); }

Tensors layer(const Tensors& in) {
  const Tensor hidden = tanh(matmul(in[0], in[1]) * 0.5 + in[2]);
  return {hidden * hidden - in[2], sum(exp(hidden) * 2)};
}

TEST_F(CudaExecutable, HasTheBitsOfItsProgram) {
  const Tensors arguments{on_cuda({33, 20}, 1), on_cuda({20, 40}, 2), on_cuda({40}, 3)};
  const Program program = record(layer, arguments);
  const Executable executable(program);
  const Tensors want = program(arguments);
  for (int call = 0; call < 2; ++call) {
    const Tensors got = executable(arguments);
    for (size_t i = 0; i < want.size(); ++i) expect_same(got[i], want[i], "output " + std::to_string(i));
  }
}

// What is in memory at the third product, of 64 x 64 and 64 x 256 floats: a, the product before and its own
// result, and not the ramp of a, which the loop at the end makes again.
TEST_F(CudaExecutable, MakesCheapValuesAgainWhereThatLowersThePeak) {
  const auto f = [](const Tensors& in) {
    const Tensor a = matmul(in[0], in[1]), ramp = maximum(a, 0.0);
    const Tensor c = matmul(matmul(matmul(ramp, in[2]), in[3]), in[1]);
    return Tensors{sum(a * c + ramp * c, 0)};
  };
  const Tensors arguments{on_cuda({64, 64}, 1), on_cuda({64, 64}, 2), on_cuda({64, 256}, 3),
                          on_cuda({256, 64}, 4)};
  const Program program = record(f, arguments);
  const Executable kept(program, {}, {.again = false}), again(program);
  constexpr int64_t kBytes = 4 * 64 * 64;
  EXPECT_EQ(kept.arena_bytes(), 7 * kBytes) << kept.explain();
  EXPECT_EQ(again.arena_bytes(), 6 * kBytes) << again.explain();
  const Tensor want = program(arguments)[0];
  expect_same(kept(arguments)[0], want, "kept");
  expect_same(again(arguments)[0], want, "made again");
}

TEST_F(CudaExecutable, RunsOnTheCurrentStreamAfterWhatMadeItsArguments) {
  const Tensors made{on_cuda({33, 20}, 1), on_cuda({20, 40}, 2), on_cuda({40}, 3)};
  const Program program =
      record([](const Tensors& in) { return Tensors{tanh(in[0] * 3 + in[1])}; }, Tensors{made[0], made[0]});
  const Executable executable(program);
  const Tensor want = program(Tensors{made[0], made[0]})[0];
  cuda::synchronize();
  const Tensor x = made[0] + 0.0;  // on the main stream, perhaps not yet done
  const cuda::Stream stream(0);
  const Tensor y = [&] {
    const cuda::StreamGuard guard(stream);
    const Tensors results = executable(Tensors{x, x});
    stream.synchronize();
    return results[0];
  }();
  expect_same(y, want, "on a stream");
}

}  // namespace
}  // namespace tidu::cuda_testing
