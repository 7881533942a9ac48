// Costs counted on programs, against hand counts and what the allocator gives out.
#include <gtest/gtest.h>

#include <algorithm>

#include "tidu.h"

namespace tidu {
namespace {

Tensor random_matrix(uint64_t seed, int64_t rows, int64_t columns) {
  return random_uniform(random_key(seed), {rows, columns}, -1, 1);
}

const Cost& of(const std::vector<NamedCost>& costs, const std::string& name) {
  const auto found = std::ranges::find(costs, name, &NamedCost::name);
  if (found == costs.end()) throw std::out_of_range(name);
  return found->cost;
}

TEST(Cost, OfLeastSquares) {
  constexpr int64_t n = 30, d = 7;
  const Function loss = [](const Tensors& in) {
    const Tensor r = matmul(in[1], in[0]) - in[2];
    return Tensors{sum(r * r)};
  };
  const auto costs = cost(loss, {random_matrix(1, d, 1)}, {random_matrix(2, n, d), random_matrix(3, n, 1)});
  ASSERT_EQ(costs.size(), 4u);
  EXPECT_EQ(of(costs, "f").flops, (Flops{n * d, 3 * n, 0}));
  // X (Xw - y), twice; of the residual each element is multiplied by the ones of the sum, and added.
  EXPECT_EQ(of(costs, "gradient").flops.multiply_adds, 2 * n * d);
  EXPECT_EQ(of(costs, "hvp").flops.multiply_adds, 2 * n * d);
  // X times the unit vectors is X.
  EXPECT_EQ(of(costs, "hessian").flops.multiply_adds, n * d * d);
  EXPECT_EQ(of(costs, "f").argument_bytes, static_cast<int64_t>(4 * (d + n * d + n)));
}

TEST(Cost, OfFunctionsThatAreNoScalars) {
  const Function function = [](const Tensors& in) { return Tensors{exp(in[0]), argmax(in[0], 1)}; };
  const auto costs = cost(function, {random_matrix(1, 3, 4)});
  EXPECT_EQ(of(costs, "f").flops, (Flops{0, 12, 12}));
  EXPECT_EQ(of(costs, "jvp").flops, (Flops{0, 12, 12}));
  EXPECT_EQ(of(costs, "vjp").flops, (Flops{0, 12, 12}));
  EXPECT_EQ(cost(function, {random_matrix(1, 3, 4)}, {}, false).size(), 3u);
}

TEST(Simplify, MakesEqualCallsOnceAndKeepsTheValues) {
  const Function function = [](const Tensors& in) {
    const Tensor x = in[0];
    const Tensor twice = exp(x) + exp(matrix_transpose(matrix_transpose(x)));
    return Tensors{twice, sum(exp(alias(x))), linalg::det(matmul(x, matrix_transpose(x)))};
  };
  const Tensor x = random_matrix(4, 5, 5);
  const Program program = record(function, Tensors{x}), simple = simplify(program);
  const auto count = [](const Program& p, const Primitive& primitive) {
    return std::ranges::count(p.instructions, &primitive, &Program::Instruction::primitive);
  };
  EXPECT_EQ(count(program, primitives::exp), 3);
  EXPECT_EQ(count(simple, primitives::exp), 1);
  EXPECT_EQ(count(simple, primitives::det), 0);
  EXPECT_EQ(count(simple, primitives::lu_factor), 1);
  const Tensors a = program({&x, 1}), b = simple({&x, 1});
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(item<bool>(all(a[i] == b[i])));
}

TEST(Plan, PeakIsWhatARunAllocates) {
  const Tensor x = random_matrix(5, 40, 40);
  const auto function = [](const Tensors& in) {
    const Tensor y = linalg::solve(matmul(in[0], matrix_transpose(in[0])) + 40, sin(in[0]));
    return Tensors{sum(softmax(y)) + linalg::slogdet(in[0]).logabsdet};
  };
  const Program program = simplify(record(
      [&](const Tensors& in) {
        return value_and_grad([&](const Tensors& p) { return function(p)[0]; }, in).gradients;
      },
      Tensors{x}));
  Allocator& allocator = backend(Device{}).allocator(0);
  allocator.reset_peak();
  const int64_t before = allocator.stats().live_bytes;
  const Tensors gradients = program({&x, 1});
  EXPECT_EQ(peak_bytes(lifetimes_of(program)), allocator.stats().peak_bytes - before);
}

TEST(Plan, ArenaKeepsWhatIsAliveApart) {
  // Lifetimes drawn at random, of sizes from 0 to a few pages.
  uint64_t state = 1;
  const auto draw = [&](uint64_t below) {
    return ((state = state * 6364136223846793005u + 1) >> 33) % below;
  };
  for (const int count : {300, 3000}) {
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < count; ++i) {
      const int first = static_cast<int>(draw(1u << 30) % (count / 3));
      lifetimes.push_back({static_cast<int64_t>(draw(1u << 30) % 9000), first,
                           first + static_cast<int>(draw(1u << 30) % 20)});
    }
    const Placement placement = placement_of(lifetimes);
    EXPECT_GE(placement.bytes, peak_bytes(lifetimes));
    // Many are placed by time alone, which wastes more.
    const double most = (count > 2000 ? 1.3 : 1.2) * static_cast<double>(peak_bytes(lifetimes));
    EXPECT_LE(static_cast<double>(placement.bytes), most);
    for (size_t i = 0; i < lifetimes.size(); ++i) {
      EXPECT_EQ(placement.offsets[i] % 64, 0);
      EXPECT_LE(placement.offsets[i] + lifetimes[i].bytes, placement.bytes);
      for (size_t k = 0; k < i; ++k) {
        const bool meet = lifetimes[i].first <= lifetimes[k].last && lifetimes[k].first <= lifetimes[i].last;
        const bool apart = placement.offsets[i] + lifetimes[i].bytes <= placement.offsets[k] ||
                           placement.offsets[k] + lifetimes[k].bytes <= placement.offsets[i];
        ASSERT_TRUE(!meet || apart || lifetimes[i].bytes == 0 || lifetimes[k].bytes == 0) << i << ' ' << k;
      }
    }
  }
}

TEST(Plan, ArenaGrowsAtItsEnd) {
  // One after the other, each of them longer, few and many: they share one place.
  for (const int count : {50, 3000}) {
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < count; ++i) lifetimes.push_back({64 * (i + 1), i, i});
    EXPECT_EQ(placement_of(lifetimes).bytes, 64 * count);
  }
}

}  // namespace
}  // namespace tidu
