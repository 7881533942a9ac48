// Executables on device cuda whose work is issued as graphs: what a later call gives is what the program
// gives, whatever changed since the graphs were made.
#include "cuda/graphs.h"

#include <gtest/gtest.h>

#include "compile/executable.h"
#include "cuda/matmul.h"
#include "cuda/stream.h"
#include "groups.h"
#include "nn/functional.h"
#include "optim/optimizer.h"
#include "tidu.h"
#include "transforms/compile.h"

namespace tidu::cuda_testing {
namespace {

class CudaGraphs : public GroupTest {
 protected:
  void SetUp() override { cuda::set_graphs(true); }
};

Tensor on_cuda(const Shape& shape, uint64_t seed, DType dtype = DType::float32) {
  return to(numbers(shape, dtype, seed), kCuda);
}
bool says(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

// A product, a loop, a reduction, a row kernel and a scan: kernels with workspaces and without.
Tensors everything(const Tensors& in) {
  const Tensor hidden = sigmoid(matmul(in[0], in[1]) + in[2]);
  return {softmax(hidden), sum(hidden * hidden), cumulative_sum(sum(hidden, {0}), 0)};
}
Tensors arguments(uint64_t seed) {
  return {on_cuda({33, 300}, seed), on_cuda({300, 40}, seed + 1), on_cuda({40}, seed + 2)};
}

TEST_F(CudaGraphs, GiveWhatTheProgramGivesOfOtherMemoryAtEachCall) {
  const Program program = record(everything, arguments(1));
  const Executable executable(program);
  std::vector<Tensors> got, want, kept;
  for (uint64_t call = 0; call < 5; ++call) {
    kept.push_back(arguments(10 * (call / 2)));  // values that come again are elsewhere
    got.push_back(executable(kept.back()));
    want.push_back(program(kept.back()));
  }
  // Results of earlier calls are as they were.
  for (size_t call = 0; call < got.size(); ++call) {
    for (size_t i = 0; i < want[call].size(); ++i)
      expect_same(got[call][i], want[call][i], str("call ", call, ", output ", i));
  }
  EXPECT_TRUE(says(executable.explain(), "launches as graphs take them up")) << executable.explain();
  EXPECT_TRUE(says(executable.explain(), "launch, in graph 0")) << executable.explain();
}

TEST_F(CudaGraphs, FollowMemoryThatLiesOtherwise) {
  const auto f = [](const Tensors& in) { return Tensors{exp(in[0]) + sum(in[0]), in[0] * 2}; };
  const Tensor memory = on_cuda({1025}, 3);
  const Tensor aligned = slice_axis(memory, 0, 0, 1024), unaligned = slice_axis(memory, 0, 1, 1025);
  const Program program = record(f, Tensors{aligned});
  const Executable executable(program);
  for (const Tensor& x : {aligned, aligned, unaligned, aligned, unaligned, unaligned}) {
    const Tensors got = executable(Tensors{x}), want = program(Tensors{x});
    for (size_t i = 0; i < want.size(); ++i) expect_same(got[i], want[i], str("output ", i));
  }
}

TEST_F(CudaGraphs, WriteToArgumentsAtEachCall) {
  const auto step = [](const Tensors& in) {
    Tensor w = in[0], momentum = in[1];
    assign(momentum, momentum * 0.9 + in[2]);
    assign(w, w - momentum * 0.1);
    return Tensors{sum(w)};
  };
  Tensor w = on_cuda({50, 7}, 1), v = on_cuda({50, 7}, 2), want_w = copy(w), want_v = copy(v);
  const Program program = record(step, Tensors{w, v, w});
  const Executable executable(program);
  for (uint64_t call = 0; call < 4; ++call) {
    const Tensor g = on_cuda({50, 7}, 10 + call);
    const Tensors got = executable(Tensors{w, v, g}), want = program(Tensors{want_w, want_v, g});
    expect_same(got[0], want[0], str("result of call ", call));
    expect_same(w, want_w, str("w after call ", call));
    expect_same(v, want_v, str("v after call ", call));
  }
}

TEST_F(CudaGraphs, LeaveToCallsWhatTheyCannotHave) {
  const auto f = [](const Tensors& in) {
    const Tensor scale = to(in[1], kCuda);  // from the host, which may write other values there
    const Tensor y = exp(in[0] * scale);
    return Tensors{to(sum(y), {}), y - 1.0};
  };
  const Tensors first{on_cuda({100}, 1), numbers({100}, DType::float32, 2)};
  const Program program = record(f, first);
  const Executable executable(program);
  for (uint64_t call = 0; call < 4; ++call) {
    const Tensors in{on_cuda({100}, call), numbers({100}, DType::float32, call + 7)};
    const Tensors got = executable(in), want = program(in);
    for (size_t i = 0; i < want.size(); ++i) expect_same(got[i], want[i], str("call ", call, ", output ", i));
  }
  EXPECT_TRUE(says(executable.explain(), "to: in no graph: it reads or writes memory of the host"))
      << executable.explain();
}

TEST_F(CudaGraphs, AreNotMadeWhereTheyAreSwitchedOff) {
  cuda::set_graphs(false);
  const Program program = record(everything, arguments(1));
  const Executable executable(program);
  for (int call = 0; call < 3; ++call) executable(arguments(1));
  EXPECT_FALSE(says(executable.explain(), "graph")) << executable.explain();
  cuda::set_graphs(true);
  executable(arguments(1));
  EXPECT_TRUE(says(executable.explain(), "graph 0")) << executable.explain();
}

TEST_F(CudaGraphs, AreMadeAnewForProductsThatAreComputedOtherwise) {
  const auto f = [](const Tensors& in) { return Tensors{matmul(in[0], in[1]) * 2}; };
  const Tensors in{on_cuda({48, 130}, 1), on_cuda({130, 40}, 2)};
  const Program program = record(f, in);
  const Executable executable(program);
  for (const auto library : {cuda::MatmulLibrary::tidu, cuda::MatmulLibrary::tidu,
                             cuda::MatmulLibrary::cublas, cuda::MatmulLibrary::tidu}) {
    cuda::set_matmul(library);
    expect_same(executable(in)[0], program(in)[0], cuda::name_of(library));
  }
  cuda::set_matmul(cuda::MatmulLibrary::automatic);
}

TEST_F(CudaGraphs, RunOnTheCurrentStreamAfterWhatMadeTheirArguments) {
  const auto f = [](const Tensors& in) { return Tensors{tanh(sum(in[0] * 3, {0})) + in[1]}; };
  const Tensors in{on_cuda({30, 20}, 1), on_cuda({20}, 2)};
  const Program program = record(f, in);
  const Executable executable(program);
  executable(in);
  const cuda::Stream streams[] = {cuda::Stream(0), cuda::Stream(0)};
  for (int call = 0; call < 4; ++call) {
    const Tensors now{in[0] + call, in[1] * call};  // on the main stream, perhaps not yet done
    const Tensor want = program(now)[0];
    const cuda::StreamGuard guard(streams[call % 2]);
    const Tensor got = executable(now)[0];
    streams[call % 2].synchronize();
    expect_same(got, want, str("call ", call));
  }
}

// A network with one hidden layer, and a step of an optimiser on batches of images with labels.
template <class Optimizer, class Options> struct Training {
  Tensors weights;
  Optimizer optimizer;
  Training(int64_t images, int64_t hidden, Options options)
      : weights{on_cuda({hidden, images}, 1) * 0.05, on_cuda({10, hidden}, 2) * 0.05},
        optimizer(
            [&] {
              for (Tensor& weight : weights) weight.set_requires_grad();
              return weights;
            }(),
            options) {}

  Tensors step(const Tensors& in) {
    optimizer.zero_grad();
    const Tensor scores =
        matmul(sigmoid(matmul(in[0], permute_dims(weights[0], {1, 0}))), permute_dims(weights[1], {1, 0}));
    const Tensor loss = nn::cross_entropy(scores, in[1]);
    loss.backward();
    optimizer.step();
    return {loss};
  }
  static Tensors batch(int64_t size, int64_t images, uint64_t seed) {
    return {on_cuda({size, images}, seed), to(random_integers(random_key(seed), {size}, 0, 10), kCuda)};
  }
};

// What changes by step is read at each: Adam's count of steps, and the learning rate.
TEST_F(CudaGraphs, TrainWithTheBitsOfEagerSteps) {
  using Adam = Training<optim::Adam, optim::AdamOptions>;
  Adam eager(30, 20, {.lr = 0.01}), trained(30, 20, {.lr = 0.01});
  const Function step = compile([&](const Tensors& in) { return trained.step(in); });
  for (uint64_t call = 0; call < 6; ++call) {
    if (call == 4) eager.optimizer.set_lr(0.1), trained.optimizer.set_lr(0.1);
    const Tensors batch = Adam::batch(16, 30, call);
    expect_same(step(batch)[0], eager.step(batch)[0], str("loss of step ", call));
  }
  for (size_t i = 0; i < 2; ++i)
    expect_same(stop_gradient(trained.weights[i]), stop_gradient(eager.weights[i]), str("weight ", i));
}

// 784-256-10 at batch 128: what a call launches before small kernels are joined, and that all but the copy of
// the clock is one graph.
TEST_F(CudaGraphs, CountTheLaunchesOfATrainingStep) {
  using SGD = Training<optim::SGD, optim::SGDOptions>;
  SGD training(784, 256, {.lr = 0.1});
  const Tensors batch = SGD::batch(128, 784, 1);
  const Compiled step([&](const Tensors& in) { return training.step(in); }, batch);
  for (int call = 0; call < 2; ++call) step(batch);
  const std::string text = step.explain();
  EXPECT_TRUE(says(text, "10 launches as graphs take them up")) << text;
  EXPECT_TRUE(says(text, "  matmul+sgd_update: 1 launch, in graph 0")) << text;
  EXPECT_TRUE(says(text, "to: in no graph: it reads or writes memory of the host")) << text;
  EXPECT_FALSE(says(text, "in graph 1")) << text;
}

// What the third call launches, line by line, with small kernels joined and without.
TEST_F(CudaGraphs, JoinSmallWork) {
  const auto f = [](const Tensors& in) {
    return Tensors{sum(in[0]), sum(in[0] * in[0], {0}), logsumexp(in[0] * 2)};
  };
  const Tensors in{on_cuda({20, 8}, 1)};
  const Program program = record(f, in);
  const Tensors want = program(in);
  const auto launches = [&](const Passes& passes) {
    const Executable executable(program, {}, passes);
    for (int call = 0; call < 4; ++call) {
      const Tensors got = executable(in);
      for (size_t i = 0; i < want.size(); ++i)
        expect_same(got[i], want[i], str("join ", passes.join, ", call ", call, ", output ", i));
    }
    const std::string text = executable.explain(), title = " launches as graphs take them up:\n";
    const size_t begin = text.find(title), end = begin + title.size();
    return text.substr(begin - 1, 1) + "\n" + text.substr(end);
  };
  EXPECT_EQ(launches({.join = false}),
            "4\n"
            "  sum: 1 launch, in graph 0\n"
            "  multiply+multiply: 1 launch, in graph 0\n"
            "  sum: 1 launch, in graph 0\n"
            "  logsumexp: 1 launch, in graph 0\n");
  EXPECT_EQ(launches({}),
            "1\n"
            "  sum: 1 launch, in graph 0\n"
            "  multiply+multiply: in the launch of a step before, in graph 0\n"
            "  sum: in the launch of a step before, in graph 0\n"
            "  logsumexp: in the launch of a step before, in graph 0\n");
}

TEST_F(CudaGraphs, NameTheCallThatMetAValueItCannotUse) {
  const auto f = [](const Tensors& in) { return Tensors{take(in[0] * 2, in[1], 0) + 1.0}; };
  const auto indices = [](int last) { return to(tensor<int64_t>({0, 2, last}, {3}), kCuda); };
  const Tensor x = on_cuda({5, 3}, 1);
  const Program program = record(f, Tensors{x, indices(1)});
  const Executable executable(program);
  for (int call = 0; call < 300; ++call) executable(Tensors{x, indices(call % 5)});
  cuda::synchronize();
  executable(Tensors{x, indices(5)});
  try {
    cuda::synchronize();
    FAIL() << "no error";
  } catch (const IndexError& error) {
    EXPECT_TRUE(says(error.what(), "[gather]") && says(error.what(), "float32(5, 3)")) << error.what();
    EXPECT_TRUE(says(error.what(), "index 5 at position 2 is out of range for extent 5")) << error.what();
  }
  expect_same(executable(Tensors{x, indices(4)})[0], program(Tensors{x, indices(4)})[0], "the next call");
}

}  // namespace
}  // namespace tidu::cuda_testing
