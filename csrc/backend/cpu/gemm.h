// Products of matrices on the calling thread, each by the kernel or library and in the way that is fastest at
// its size.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "kernels/cpu/gemm.h"
#include "kernels/types.h"

namespace tidu::cpu {

// Of matrices rows x depth and depth x columns.
struct ProductSize {
  int64_t rows, columns, depth;
  bool adds = false;  // to what is there
};

// A matrix whose rows, or those of its transpose, lie `leading` elements apart.
template <class T> struct Factor {
  const T* data;
  int64_t leading;
  bool transposed = false;
};

template <class T> GemmFactor strided(const Factor<T>& x) {
  return {x.data, x.transposed ? 1 : x.leading, x.transposed ? x.leading : 1};
}

// A letter for what is asked of whom:
//   B, D, K    OpenBLAS, oneDNN, kernels/cpu/gemm.h
//   R          kernels/cpu/dots.h, where the right factor alone lies transposed
//   v          OpenBLAS, for the product of a matrix and a vector
//   X, Y       OpenBLAS, oneDNN with a copy of the right factor, which lies transposed, row by row
//   b d k x y  the same for the transpose of the product, which is then copied
using Way = char;
inline constexpr std::string_view kWays = "KRkBDvbdXYxy";  // the simpler ones first

// Whether a kernel of ours computes it: to the same bits in whatever blocks of the result.
inline bool is_own(Way way) { return way == 'K' || way == 'k' || way == 'R'; }

// Whether it is the fastest for products of some size, of float and double.
bool prefers_own();

// T is float or double. Bits depend on the way, so the way depends on these and the processor alone.
template <class T> Way fastest_way(const ProductSize& size, bool a_transposed, bool b_transposed);

// c = a @ b, rows of c `ldc` elements apart.
template <class T>
void multiply(Way way, const ProductSize& size, Factor<std::type_identity_t<T>> a,
              Factor<std::type_identity_t<T>> b, T* c, int64_t ldc);
template <class T>
void multiply(const ProductSize& size, Factor<std::type_identity_t<T>> a, Factor<std::type_identity_t<T>> b,
              T* c, int64_t ldc) {
  multiply(fastest_way<T>(size, a.transposed, b.transposed), size, a, b, c, ldc);
}

// c = a @ a^T, both halves to the same bits, rows of c `ldc` elements apart. T is float or double.
template <class T> void multiply_by_transpose(int64_t rows, int64_t depth, Factor<T> a, T* c, int64_t ldc);

// Whether the processor multiplies bfloat16 itself, by oneDNN.
bool multiplies_bfloat16();
// Of these, sums in float.
void multiply(const ProductSize& size, Factor<bfloat16> a, Factor<bfloat16> b, float* c, int64_t ldc);

}  // namespace tidu::cpu
