// Prints a table of csrc/backend/cpu/gemm_ways.inc, measured on this processor by one thread:
//   bench_gemm_ways float32 kFloat32Avx512
// and for processors with AVX2 alone
//   ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell bench_gemm_ways float32 kFloat32Avx2
#include <hwy/aligned_allocator.h>
#include <hwy/targets.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cpu/gemm.h"
#include "kernels/blas.h"

namespace tidu::cpu {
namespace {

constexpr int64_t kMost = 4096;                 // rows, columns, depth
constexpr int64_t kLongest = int64_t{1} << 24;  // multiplications: beyond, ways are those of less depth
constexpr double kNoise = 1.04;                 // a way that is less simple gains more than this

// The processor's, so that others may use it in between.
double now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds(const auto& run, int runs) {
  const double start = now();
  for (int i = 0; i < runs; ++i) run();
  return (now() - start) / runs;
}

template <class T> bool differs(Way way, const ProductSize& size, bool b_transposed, bool a_transposed) {
  if (way == 'K' || way == 'k') return std::min(size.rows, size.columns) > 1;
  if (way == 'R') return !a_transposed && b_transposed && std::min(size.rows, size.columns) > 1;
  const bool onednn = way == 'D' || way == 'd' || way == 'Y' || way == 'y';
  if (onednn && std::is_same_v<T, double>) return false;
  if (way == 'v') return size.rows == 1 || size.columns == 1;
  if (way == 'X' || way == 'Y') return b_transposed;
  if (way == 'x' || way == 'y') return !a_transposed;
  return true;
}

// Of a size, whose rows lie next to each other, a power of two apart, which is slower; and of a quarter more,
// whose rows lie a cache line further apart: libraries like powers of two.
template <class T> Way fastest(const ProductSize& size, bool a_transposed, bool b_transposed) {
  constexpr int64_t kLine = 64 / sizeof(T);
  const auto leading = [&](bool transposed, int64_t rows, int64_t columns) {
    return transposed ? rows : columns;
  };
  const auto more = [](int64_t n) { return n + n / 4; };
  const ProductSize sizes[] = {size, {more(size.rows), more(size.columns), more(size.depth)}};
  const auto ones = [](int64_t n) {  // aligned, as tensors are
    auto x = hwy::AllocateAligned<T>(static_cast<size_t>(n));
    std::fill_n(x.get(), n, T(1));
    return x;
  };
  const auto a = ones((sizes[1].rows + kLine) * (sizes[1].depth + kLine)),
             b = ones((sizes[1].depth + kLine) * (sizes[1].columns + kLine)),
             c = ones(sizes[1].rows * sizes[1].columns);
  struct Candidate {
    Way way;
    double times[2] = {INFINITY, INFINITY};
    double of_both() const { return times[0] * times[1]; }
  };
  std::vector<Candidate> candidates;
  for (const Way way : kWays) {
    if (differs<T>(way, size, b_transposed, a_transposed)) candidates.push_back({way});
  }
  // In turns, so that what else the machine does slows all alike; what is far behind leaves.
  constexpr double kLong = 2e-4, kFar = 1.3;
  for (int round = 0; round < 9; ++round) {
    double least = INFINITY;
    for (Candidate& candidate : candidates) {
      for (const int i : {0, 1}) {
        const auto& [rows, columns, depth, _] = sizes[i];
        const Factor<T> left{a.get(), leading(a_transposed, rows, depth) + i * kLine, a_transposed},
            right{b.get(), leading(b_transposed, depth, columns) + i * kLine, b_transposed};
        const auto run = [&] { multiply(candidate.way, sizes[i], left, right, c.get(), sizes[i].columns); };
        double& time = candidate.times[i];
        if (round == 0) time = seconds(run, 1);
        time = std::min(time, seconds(run, std::clamp(static_cast<int>(kLong / time), 1, 1000)));
      }
      least = std::min(least, candidate.of_both());
    }
    if (round > 0)
      std::erase_if(candidates, [&](const Candidate& x) { return x.of_both() > kFar * kFar * least; });
  }
  const Candidate* best = &candidates[0];
  for (const Candidate& candidate : candidates) {
    if (candidate.of_both() * kNoise * kNoise < best->of_both()) best = &candidate;
  }
  return best->way;
}

template <class T> void print_table(const char* name) {
  std::printf("constexpr Table %s = {{\n", name);
  for (int layout = 0; layout < 4; ++layout) {
    for (int64_t rows = 1; rows <= kMost; rows *= 2) {
      std::string line;
      for (int64_t columns = 1; columns <= kMost; columns *= 2) {
        Way way = 'B';
        for (int64_t depth = 8; depth <= kMost; depth *= 2) {
          if (rows * columns * depth <= kLongest)
            way = fastest<T>({rows, columns, depth}, layout / 2 == 1, layout % 2 == 1);
          line += way;
        }
      }
      std::printf("    \"%s\",\n", line.c_str());
      std::fflush(stdout);
    }
  }
  std::printf("}};\n");
}

}  // namespace
}  // namespace tidu::cpu

int main(int count, char** words) {
  if (count != 3) return std::fprintf(stderr, "usage: %s float32|float64 NAME\n", words[0]), 2;
  if (std::string_view(words[2]).ends_with("Avx2")) hwy::DisableTargets(HWY_AVX3 | HWY_AVX3_DL);
  TIDU_BLAS(openblas_set_num_threads)(1);
  std::string(words[1]) == "float64" ? tidu::cpu::print_table<double>(words[2])
                                     : tidu::cpu::print_table<float>(words[2]);
}
