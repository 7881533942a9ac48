// Prints a table of csrc/backend/cpu/gemm_ways.inc, measured on this processor by one thread:
//   bench_gemm_ways float32 kFloat32Avx512
// and for processors with AVX2 alone
//   ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell bench_gemm_ways float32 kFloat32Avx2
#include <cblas.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "backend/cpu/gemm.h"

namespace tidu::cpu {
namespace {

constexpr int64_t kLongest = int64_t{1} << 27;  // multiplications: beyond, ways are those of less depth
constexpr double kNoise = 1.04;                 // a way that is less simple gains more than this

double seconds(const auto& run) {
  using Clock = std::chrono::steady_clock;
  double least = INFINITY;
  for (int round = 0; round < 5; ++round) {
    const auto start = Clock::now();
    double passed = 0;
    int runs = 0;
    for (; passed < 5e-4; ++runs) {
      run();
      passed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    least = std::min(least, passed / runs);
  }
  return least;
}

template <class T> bool differs(Way way, const ProductSize& size, bool b_transposed, bool a_transposed) {
  const bool onednn = way == 'D' || way == 'd' || way == 'Y' || way == 'y';
  if (onednn && std::is_same_v<T, double>) return false;
  if (way == 'v') return size.rows == 1 || size.columns == 1;
  if (way == 'X' || way == 'Y') return b_transposed;
  if (way == 'x' || way == 'y') return !a_transposed;
  return true;
}

// Rows of matrices lie next to each other, or a cache line further apart: a power of two is slower.
template <class T> Way fastest(const ProductSize& size, bool a_transposed, bool b_transposed) {
  constexpr int64_t kLine = 64 / sizeof(T);
  const auto leading = [&](bool transposed, int64_t rows, int64_t columns) {
    return transposed ? rows : columns;
  };
  const std::vector<T> a((size.rows + kLine) * (size.depth + kLine), T(1)),
      b((size.depth + kLine) * (size.columns + kLine), T(1));
  std::vector<T> c(size.rows * size.columns);
  Way best = 'B';
  double least = INFINITY;
  for (const Way way : kWays) {
    if (!differs<T>(way, size, b_transposed, a_transposed)) continue;
    double product = 1;
    for (const int64_t apart : {int64_t{0}, kLine}) {
      const Factor<T> left{a.data(), leading(a_transposed, size.rows, size.depth) + apart, a_transposed},
          right{b.data(), leading(b_transposed, size.depth, size.columns) + apart, b_transposed};
      product *= seconds([&] { multiply(way, size, left, right, c.data(), size.columns); });
    }
    const double time = std::sqrt(product);
    if (time * kNoise < least) best = way, least = time;
  }
  return best;
}

template <class T> void print_table(const char* name) {
  std::printf("constexpr Table %s = {\n", name);
  for (int layout = 0; layout < 4; ++layout) {
    for (int64_t rows = 1; rows <= kMostRows; rows *= 2) {
      std::string line;
      for (int64_t columns = 1; columns <= kMostColumns; columns *= 2) {
        Way way = 'B';
        for (int64_t depth = 16, i = 0; i < kDepthSteps; depth *= 4, ++i) {
          if (rows * columns * depth <= kLongest)
            way = fastest<T>({rows, columns, depth}, layout / 2 == 1, layout % 2 == 1);
          line += way;
        }
      }
      std::printf("    \"%s\",\n", line.c_str());
    }
  }
  std::printf("};\n");
}

}  // namespace
}  // namespace tidu::cpu

int main(int count, char** words) {
  if (count != 3) return std::fprintf(stderr, "usage: %s float32|float64 NAME\n", words[0]), 2;
  openblas_set_num_threads(1);
  std::string(words[1]) == "float64" ? tidu::cpu::print_table<double>(words[2])
                                     : tidu::cpu::print_table<float>(words[2]);
}
