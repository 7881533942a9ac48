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
