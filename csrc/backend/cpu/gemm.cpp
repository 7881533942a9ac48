// Products of matrices on the calling thread: OpenBLAS's, oneDNN's and our own.
#include "backend/cpu/gemm.h"

#include <hwy/targets.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "backend/cpu/scratch.h"
#include "backend/cpu/threads.h"
#include "kernels/blas.h"
#include "kernels/cpu/copy.h"
#include "kernels/cpu/dots.h"

// dnnl_sgemm's sister, which oneDNN exports and its header leaves out. Perhaps another version has none.
extern "C" [[gnu::weak]] dnnl_status_t dnnl_gemm_bf16bf16f32(char transa, char transb, dnnl_dim_t m,
                                                             dnnl_dim_t n, dnnl_dim_t k, float alpha,
                                                             const void* a, dnnl_dim_t lda, const void* b,
                                                             dnnl_dim_t ldb, float beta, float* c,
                                                             dnnl_dim_t ldc);

namespace tidu::cpu {
namespace {

// Of a processor and a dtype, for sizes that are powers of two up to 4096: strings for the layouts NN, NT,
// TN, TT and in each for rows of the left factor from 1 on, in them columns of the right one from 1 on, a
// letter for each depth from 8 on.
constexpr int kExtents = 13, kDepths = 10;
struct Table {
  const char* ways[4 * kExtents];
};

#include "backend/cpu/gemm_ways.inc"

// What this processor has; none where nothing was measured.
struct Measured {
  const Table *float32 = nullptr, *float64 = nullptr;
};

// A second-level cache of 2 MiB holds its rows of the right factor (kGemmWorkspace) and leaves room.
bool holds_workspace() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  return sysconf(_SC_LEVEL2_CACHE_SIZE) >= 3 * kGemmWorkspace / 2;
#else
  return false;
#endif
}

const Measured& measured() {
  static const Measured found = [] {
#if HWY_ARCH_X86
    const int64_t targets = hwy::SupportedTargets();
    if (targets & (HWY_AVX3 | HWY_AVX3_DL))
      return holds_workspace() ? Measured{&kFloat32Avx512LargeL2, &kFloat64Avx512LargeL2}
                               : Measured{&kFloat32Avx512, &kFloat64Avx512};
    if (targets & HWY_AVX2) return Measured{&kFloat32Avx2, &kFloat64Avx2};
#endif
    return Measured{};
  }();
  return found;
}

// By kernels of ours: few rows or columns, where the right factor lies transposed, by sums along rows, unless
// they are whole vectors or the sums so short that what they end with shows; else by tiles of the product, as
// it is or transposed, by those which have fewer elements to copy. Either copies a right factor whose rows
// are no neighbours, the latter the result, too.
template <class T> Way own_way(const ProductSize& size, bool a_transposed, bool b_transposed) {
  constexpr int64_t kMostFew = 24, kEnd = 12, kVector = 64 / sizeof(T);
  const int64_t few = std::min(size.rows, size.columns);
  if (!a_transposed && b_transposed && few <= std::min(kMostFew, size.depth / kEnd) && few % kVector != 0)
    return 'R';
  constexpr int64_t kNarrow = 24;  // columns: elements of a lie far apart for few sums each
  if (a_transposed && size.columns <= kNarrow && size.columns < size.rows) return 'k';
  if (!b_transposed) return 'K';
  const int64_t copied = size.rows * (size.columns + (a_transposed ? 0 : size.depth));
  return copied < size.depth * size.columns ? 'k' : 'K';
}

// The power of two that n >= 1 is measured by: up to 1.6 times as much. OpenBLAS has products of up to 100 x
// 100 x 100 that copy nothing, as of 64 x 64 x 64 and not of 128 x 128 x 128.
int measured_log2(int64_t n) { return std::bit_width(static_cast<uint64_t>(n + n / 4)) - 1; }

// oneDNN would share a product out over OpenMP's threads, which are not ours.
class OneOmpThread {
 public:
  OneOmpThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneOmpThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }

 private:
  int before_;
};

CBLAS_TRANSPOSE transposition(bool transposed) { return transposed ? CblasTrans : CblasNoTrans; }

constexpr auto gemm_of(float) { return TIDU_BLAS(cblas_sgemm); }
constexpr auto gemm_of(double) { return TIDU_BLAS(cblas_dgemm); }
constexpr auto dot_of(float) { return TIDU_BLAS(cblas_sdot); }
constexpr auto dot_of(double) { return TIDU_BLAS(cblas_ddot); }
constexpr auto gemv_of(float) { return TIDU_BLAS(cblas_sgemv); }
constexpr auto gemv_of(double) { return TIDU_BLAS(cblas_dgemv); }
constexpr auto syrk_of(float) { return TIDU_BLAS(cblas_ssyrk); }
constexpr auto syrk_of(double) { return TIDU_BLAS(cblas_dsyrk); }

template <class T> void openblas(const ProductSize& size, Factor<T> a, Factor<T> b, T* c, int64_t ldc) {
  gemm_of(T())(CblasRowMajor, transposition(a.transposed), transposition(b.transposed),
               static_cast<blasint>(size.rows), static_cast<blasint>(size.columns),
               static_cast<blasint>(size.depth), 1, a.data, static_cast<blasint>(a.leading), b.data,
               static_cast<blasint>(b.leading), size.adds ? 1 : 0, c, static_cast<blasint>(ldc));
}

void onednn(const ProductSize& size, Factor<float> a, Factor<float> b, float* c, int64_t ldc) {
  const SignalsHeldBack held;
  const OneOmpThread one;
  dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', size.rows, size.columns, size.depth, 1,
             a.data, a.leading, b.data, b.leading, size.adds ? 1 : 0, c, ldc);
}

// Whether there is a kernel for this processor.
template <class T> bool by_kernel(const ProductSize& size, Factor<T> a, Factor<T> b, T* c, int64_t ldc) {
  const GemmFunction gemm = gemm_function(dtype_of<T>);
  if (!gemm) return false;
  gemm({size.rows, size.columns, size.depth, size.adds}, strided(a), strided(b), c, ldc,
       own_memory<Use::factor>(kGemmWorkspace));
  return true;
}

template <class T> bool by_dots(const ProductSize& size, Factor<T> a, Factor<T> b, T* c, int64_t ldc) {
  const DotsFunction dots = dots_function(dtype_of<T>);
  if (!dots) return false;
  dots({size.rows, size.columns, size.depth, size.adds}, strided(a), strided(b), c, ldc);
  return true;
}

// Of one row or one column. The sums start from zeros of ours: a library may multiply what it finds by 0.
template <class T>
void multiply_vector(const ProductSize& size, Factor<T> a, Factor<T> b, T* c, int64_t ldc) {
  const bool row = size.rows == 1;
  const int64_t n = row ? size.columns : size.rows, c_step = row ? 1 : ldc;
  for (int64_t i = 0; !size.adds && i < n; ++i) c[i * c_step] = 0;
  const Factor<T>&vector = row ? a : b, &matrix = row ? b : a;
  // As stored: n x depth, or depth x n.
  const bool across = row != matrix.transposed;
  const int64_t step = row == vector.transposed ? vector.leading : 1;
  if (n == 1) {
    *c += dot_of(T())(static_cast<blasint>(size.depth), vector.data, static_cast<blasint>(step), matrix.data,
                      static_cast<blasint>(matrix.transposed ? 1 : matrix.leading));
    return;
  }
  gemv_of(T())(CblasRowMajor, transposition(across), static_cast<blasint>(across ? size.depth : n),
               static_cast<blasint>(across ? n : size.depth), 1, matrix.data,
               static_cast<blasint>(matrix.leading), vector.data, static_cast<blasint>(step), 1, c,
               static_cast<blasint>(c_step));
}

template <class T, Use use> T* own(int64_t n) {
  return reinterpret_cast<T*>(own_memory<use>(n * static_cast<int64_t>(sizeof(T))));
}

}  // namespace

bool prefers_own() { return measured().float32; }

template <class T> Way fastest_way(const ProductSize& size, bool a_transposed, bool b_transposed) {
  constexpr int64_t kNoDifference = 1 << 12;
  const bool vector = size.rows == 1 || size.columns == 1;
  // A matrix from memory is read along its rows, which here are not those that the sums run over.
  constexpr int64_t kFromMemory = 1 << 16;
  const bool across = size.rows == 1 ? !b_transposed : a_transposed;
  if (size.rows * size.columns == 1 ||
      (vector && across && size.rows * size.columns * size.depth >= kFromMemory))
    return 'v';
  const Table* const table = std::is_same_v<T, float> ? measured().float32 : measured().float64;
  const int64_t work = size.rows * size.columns * size.depth;
  if (!table || work <= kNoDifference) return 'B';
  // oneDNN's products of floats are faster for few rows or columns, unless they have to turn b.
  constexpr bool wide = std::is_same_v<T, double>;
  // Multiplications from which on our kernel is the fastest way.
  constexpr int64_t kOwn = wide ? 1 << 20 : 1 << 21;
  const int64_t least = wide ? 2 : work < 1 << 23 || b_transposed ? 96 : 192;
  if (std::min(size.rows, size.columns) >= least && work >= kOwn)
    return own_way<T>(size, a_transposed, b_transposed);
  // Nothing was measured beyond; there right factors come from memory.
  constexpr int64_t kMostMeasured = 1 << 24;
  if (!vector && work > kMostMeasured) return own_way<T>(size, a_transposed, b_transposed);
  // From memory oneDNN reads factors as they lie, and best where those of the transpose lie row by row.
  constexpr int64_t kDeep = 1 << 14;
  if (!wide && !vector && size.depth >= kDeep)
    return a_transposed && (b_transposed || size.rows >= size.columns) ? 'd' : 'D';
  const int row = std::min(measured_log2(size.rows), kExtents - 1),
            column = std::min(measured_log2(size.columns), kExtents - 1),
            depth = std::clamp(measured_log2(size.depth) - 3, 0, kDepths - 1);
  const int layout = 2 * a_transposed + b_transposed;
  const Way way = table->ways[layout * kExtents + row][column * kDepths + depth];
  // What was measured may be a vector where this is none, or have a smaller factor to copy.
  constexpr int64_t kMostCopied = 1 << 20;
  switch (way) {
    case 'v': return vector ? 'v' : 'B';
    case 'X': return size.depth * size.columns <= kMostCopied ? 'X' : 'B';
    case 'Y': return size.depth * size.columns <= kMostCopied ? 'Y' : 'D';
    case 'x': return size.depth * size.rows <= kMostCopied ? 'x' : 'b';
    case 'y': return size.depth * size.rows <= kMostCopied ? 'y' : 'd';
    default: return way;
  }
}

template <class T>
void multiply(Way way, const ProductSize& size, Factor<std::type_identity_t<T>> a,
              Factor<std::type_identity_t<T>> b, T* c, int64_t ldc) {
  if (way == 'v') return multiply_vector<T>(size, a, b, c, ldc);
  if (way >= 'a') {
    T* const block = own<T, Use::transpose>(size.rows * size.columns);
    a.transposed = !a.transposed, b.transposed = !b.transposed;
    multiply<T>(static_cast<Way>(way - 'a' + 'A'), {size.columns, size.rows, size.depth}, b, a, block,
                size.rows);
    for (int64_t i = 0; size.adds && i < size.rows; ++i) {
      for (int64_t j = 0; j < size.columns; ++j) c[i * ldc + j] += block[j * size.rows + i];
    }
    if (!size.adds)
      copy_block_function(sizeof(T))(block, {1, size.rows}, c, {ldc, 1}, size.rows, size.columns);
    return;
  }
  if ((way == 'X' || way == 'Y') && b.transposed) {
    T* const copied = own<T, Use::factor>(size.depth * size.columns);
    copy_block_function(sizeof(T))(b.data, {1, b.leading}, copied, {size.columns, 1}, size.depth,
                                   size.columns);
    b = {copied, size.columns};
  }
  if (way == 'K' && by_kernel(size, a, b, c, ldc)) return;
  if (way == 'R' && !a.transposed && b.transposed && by_dots(size, a, b, c, ldc)) return;
  if constexpr (std::is_same_v<T, float>) {
    if (way == 'D' || way == 'Y') return onednn(size, a, b, c, ldc);
  }
  openblas<T>(size, a, b, c, ldc);
}

template <class T> void multiply_by_transpose(int64_t rows, int64_t depth, Factor<T> a, T* c, int64_t ldc) {
  // The sums start from zeros of ours, as those of vectors do.
  for (int64_t i = 0; i < rows; ++i) std::fill_n(c + i * ldc, i + 1, T(0));
  syrk_of(T())(CblasRowMajor, CblasLower, transposition(a.transposed), static_cast<blasint>(rows),
               static_cast<blasint>(depth), 1, a.data, static_cast<blasint>(a.leading), 1, c,
               static_cast<blasint>(ldc));
  constexpr int64_t kSquare = 64;
  for (int64_t i0 = 0; i0 < rows; i0 += kSquare) {
    const int64_t i1 = std::min(i0 + kSquare, rows);
    copy_block_function(sizeof(T))(c + i0 * ldc, {1, ldc}, c + i0, {ldc, 1}, i0, i1 - i0);
    for (int64_t i = i0; i < i1; ++i) {
      for (int64_t j = i0; j < i; ++j) c[j * ldc + i] = c[i * ldc + j];
    }
  }
}

bool multiplies_bfloat16() {
  static const bool does =
      dnnl_gemm_bf16bf16f32 &&
      (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
  return does;
}

void multiply(const ProductSize& size, Factor<bfloat16> a, Factor<bfloat16> b, float* c, int64_t ldc) {
  const SignalsHeldBack held;
  const OneOmpThread one;
  dnnl_gemm_bf16bf16f32(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', size.rows, size.columns,
                        size.depth, 1, a.data, a.leading, b.data, b.leading, size.adds ? 1 : 0, c, ldc);
}

template Way fastest_way<float>(const ProductSize&, bool, bool);
template Way fastest_way<double>(const ProductSize&, bool, bool);
template void multiply<float>(Way, const ProductSize&, Factor<float>, Factor<float>, float*, int64_t);
template void multiply<double>(Way, const ProductSize&, Factor<double>, Factor<double>, double*, int64_t);
template void multiply_by_transpose<float>(int64_t, int64_t, Factor<float>, float*, int64_t);
template void multiply_by_transpose<double>(int64_t, int64_t, Factor<double>, double*, int64_t);

}  // namespace tidu::cpu
