// cuBLAS: a handle per device; each call brings its stream and its workspace. With workspaces of their own
// and no atomics, the library promises equal bits for equal calls on one kind of GPU. Products with a bias go
// through its cuBLASLt, which adds it to the sums before they are rounded.
#include "backend/cuda/cublas.h"

#include <cublasLt.h>
#include <cublas_v2.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <map>
#include <mutex>
#include <optional>

#include "backend/cuda/elements.h"
#include "cuda/matmul.h"

namespace tidu::cuda {
namespace {

void check(cublasStatus_t status, const char* function, const Call& call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail<DeviceError>("[", call.primitive.name, "] ", function,
                    " of cuBLAS failed: ", cublasGetStatusName(status), " (", cublasGetStatusString(status),
                    ") for ", describe(call.inputs[0]), " @ ", describe(call.inputs[1]));
}

// How cuBLASLt computes a product with a bias, and the bytes of workspace that it needs for it.
struct Algorithm {
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace;
};

// All that an algorithm is chosen by; the workspace that it may use follows from it.
using Question = std::array<int64_t, 16>;

// Handles are not to be used by two threads at once, and are never destroyed: at exit the driver may be gone
// before them.
struct Handle {
  std::mutex mutex;
  cublasHandle_t handle = nullptr;
  int64_t workspace = 0;  // bytes that NVIDIA recommends
  std::map<Question, std::optional<Algorithm>> algorithms;

  cublasLtHandle_t lt() const { return reinterpret_cast<cublasLtHandle_t>(handle); }
};

Handle& handle_of(int device, const Call& call) {
  static std::mutex mutex;
  static auto& handles = *new std::map<int, Handle>;
  const std::lock_guard lock(mutex);
  Handle& entry = handles[device];
  if (!entry.handle) {
    check(cublasCreate(&entry.handle), "cublasCreate", call);
    const auto flags = CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    check(cublasSetMathMode(entry.handle, static_cast<cublasMath_t>(flags)), "cublasSetMathMode", call);
    int major = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    entry.workspace = int64_t{major >= 9 ? 32 : 4} << 20;
  }
  return entry;
}

// In what the library computes a product.
struct Arithmetic {
  cudaDataType elements, sums;
  cublasComputeType_t compute;
  const void *zero, *one;  // of the type of the sums
};

Arithmetic arithmetic_of(DType dtype) {
  static constexpr float kFloat[] = {0, 1};
  static constexpr double kDouble[] = {0, 1};
  const auto in_floats = [](cudaDataType elements, cublasComputeType_t compute = CUBLAS_COMPUTE_32F) {
    return Arithmetic{elements, CUDA_R_32F, compute, &kFloat[0], &kFloat[1]};
  };
  switch (dtype) {
    case DType::float16: return in_floats(CUDA_R_16F);
    case DType::bfloat16: return in_floats(CUDA_R_16BF);
    case DType::float32:
      return in_floats(CUDA_R_32F, allow_tf32() ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F);
    default: return {CUDA_R_64F, CUDA_R_64F, CUBLAS_COMPUTE_64F, &kDouble[0], &kDouble[1]};
  }
}

cublasOperation_t operation(bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; }

// Bytes that divide the address, of which no algorithm needs more than 256.
uint32_t alignment(const void* data) {
  return uint32_t{1} << std::min(8, std::countr_zero(reinterpret_cast<uintptr_t>(data)));
}

// A product with a bias as cuBLASLt is told of it. Its matrices are column-major: it sees ours transposed and
// multiplies c^T = b^T a^T. Values have the types that the header names for each attribute.
struct BiasedProduct {
  BiasedProduct(const Gemm& gemm, const Arithmetic& arithmetic, const Call& call) {
    check(cublasLtMatmulDescInit(&product, arithmetic.compute, arithmetic.sums), "cublasLtMatmulDescInit",
          call);
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, auto value) {
      check(cublasLtMatmulDescSetAttribute(&product, attribute, &value, sizeof value),
            "cublasLtMatmulDescSetAttribute", call);
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, static_cast<int32_t>(operation(gemm.b.transposed)));
    set(CUBLASLT_MATMUL_DESC_TRANSB, static_cast<int32_t>(operation(gemm.a.transposed)));
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_BIAS});
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, gemm.bias);

    const auto lay_out = [&](cublasLtMatrixLayoutOpaque_t& matrix, bool transposed, int64_t rows,
                             int64_t columns, int64_t leading, int64_t by_batch) {
      if (transposed) std::swap(rows, columns);
      check(cublasLtMatrixLayoutInit(&matrix, arithmetic.elements, static_cast<uint64_t>(rows),
                                     static_cast<uint64_t>(columns), leading),
            "cublasLtMatrixLayoutInit", call);
      if (gemm.batches == 1) return;
      const auto set = [&](cublasLtMatrixLayoutAttribute_t attribute, auto value) {
        check(cublasLtMatrixLayoutSetAttribute(&matrix, attribute, &value, sizeof value),
              "cublasLtMatrixLayoutSetAttribute", call);
      };
      set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(gemm.batches));
      set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, by_batch);
    };
    lay_out(b, gemm.b.transposed, gemm.n, gemm.k, gemm.b.leading, gemm.b.by_batch);
    lay_out(a, gemm.a.transposed, gemm.k, gemm.m, gemm.a.leading, gemm.a.by_batch);
    lay_out(c, false, gemm.n, gemm.m, gemm.n, gemm.m * gemm.n);
  }

  cublasLtMatmulDescOpaque_t product;
  cublasLtMatrixLayoutOpaque_t a, b, c;
};

// The library's choice among the algorithms that sum in the type of the sums throughout.
std::optional<Algorithm> choose_algorithm(cublasLtHandle_t handle, const Gemm& gemm, BiasedProduct& biased,
                                          size_t most_workspace, const Call& call) {
  cublasLtMatmulPreferenceOpaque_t preference;
  check(cublasLtMatmulPreferenceInit(&preference), "cublasLtMatmulPreferenceInit", call);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute", call);
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{most_workspace});
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(gemm.b.data));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(gemm.a.data));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(gemm.c));
  // There is no such attribute of the bias, which is read as the result is written.
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::min(alignment(gemm.c), alignment(gemm.bias)));
  cublasLtMatmulHeuristicResult_t result;
  int results = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle, &biased.product, &biased.b, &biased.a, &biased.c, &biased.c, &preference, 1, &result, &results);
  // How the library says that it has none.
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return {};
  check(status, "cublasLtMatmulAlgoGetHeuristic", call);
  if (results == 0 || result.state != CUBLAS_STATUS_SUCCESS) return {};
  return Algorithm{result.algo, result.workspaceSize};
}

// The choice for this product, made once.
const std::optional<Algorithm>& algorithm_for(Handle& entry, const Gemm& gemm, const Arithmetic& arithmetic,
                                              BiasedProduct& biased, size_t most_workspace,
                                              const Call& call) {
  const Question question{arithmetic.elements,
                          arithmetic.compute,
                          gemm.m,
                          gemm.n,
                          gemm.k,
                          gemm.batches,
                          gemm.a.transposed,
                          gemm.a.leading,
                          gemm.a.by_batch,
                          gemm.b.transposed,
                          gemm.b.leading,
                          gemm.b.by_batch,
                          alignment(gemm.a.data),
                          alignment(gemm.b.data),
                          alignment(gemm.c),
                          alignment(gemm.bias)};
  const auto found = entry.algorithms.find(question);
  if (found != entry.algorithms.end()) return found->second;
  constexpr size_t kMost = 4096;  // for programs whose shapes never come again
  if (entry.algorithms.size() == kMost) entry.algorithms.clear();
  return entry.algorithms[question] = choose_algorithm(entry.lt(), gemm, biased, most_workspace, call);
}

// Gives the handle the context's stream and a workspace.
void prepare(const Handle& entry, Room room, const Call& call, Context& context) {
  check(cublasSetStream(entry.handle, context.stream()), "cublasSetStream", call);
  // After the stream, for setting that takes the workspace away.
  check(cublasSetWorkspace(entry.handle, room.data, room.bytes), "cublasSetWorkspace", call);
}

bool is_too_large(const Gemm& gemm) {
  return std::max({gemm.m, gemm.n, gemm.k, gemm.a.leading, gemm.b.leading, gemm.batches}) > INT_MAX;
}

template <class T> struct Functions;
template <> struct Functions<float> {
  static constexpr auto trsm = cublasStrsm;
  static constexpr float one = 1;
};
template <> struct Functions<double> {
  static constexpr auto trsm = cublasDtrsm;
  static constexpr double one = 1;
};
template <> struct Functions<cuComplex> {
  static constexpr auto trsm = cublasCtrsm;
  static constexpr cuComplex one{1, 0};
};
template <> struct Functions<cuDoubleComplex> {
  static constexpr auto trsm = cublasZtrsm;
  static constexpr cuDoubleComplex one{1, 0};
};

template <class T>
void solve_each(const Handle& entry, const Triangular& system, int n, int columns, const Call& call) {
  const T* const a = static_cast<const T*>(system.a.data);
  T* const b = static_cast<T*>(system.b.data);
  for (int64_t i = 0; i < system.b.count; ++i) {
    // To the library, whose matrices are column-major, these are transposed: x^T a^T = b^T.
    check(Functions<T>::trsm(entry.handle, CUBLAS_SIDE_RIGHT,
                             system.upper ? CUBLAS_FILL_MODE_LOWER : CUBLAS_FILL_MODE_UPPER,
                             system.transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                             system.unit_diagonal ? CUBLAS_DIAG_UNIT : CUBLAS_DIAG_NON_UNIT, columns, n,
                             &Functions<T>::one, a + i * n * n, n, b + i * n * columns, columns),
          "cublastrsm", call);
  }
}

}  // namespace

Room room_to_multiply(const Gemm& gemm, const Call& call, Context& context) {
  // Of use to split sums: no more than sixteen of each.
  const int64_t sums = gemm.batches * gemm.m * gemm.n * 4, most = handle_of(context.device(), call).workspace;
  return context.room(static_cast<size_t>(std::min(most, (int64_t{64} << 10) + 16 * sums)));
}

bool may_refuse(const Gemm& gemm) { return is_too_large(gemm) || (gemm.bias && is_narrow(gemm.dtype)); }

cudaError_t multiply_by_cublas(const Gemm& gemm, const Call& call, Context& context, Room room) {
  if (is_too_large(gemm)) return cudaErrorNotSupported;
  Handle& entry = handle_of(context.device(), call);
  const Arithmetic arithmetic = arithmetic_of(gemm.dtype);
  const std::lock_guard lock(entry.mutex);
  if (gemm.bias) {
    BiasedProduct biased(gemm, arithmetic, call);
    if (const auto& chosen = algorithm_for(entry, gemm, arithmetic, biased, room.bytes, call)) {
      void* const workspace = chosen->workspace > 0 ? room.data : nullptr;
      check(cublasLtMatmul(entry.lt(), &biased.product, arithmetic.one, gemm.b.data, &biased.b, gemm.a.data,
                           &biased.a, arithmetic.zero, gemm.c, &biased.c, gemm.c, &biased.c,
                           &chosen->algorithm, workspace, chosen->workspace, context.stream()),
            "cublasLtMatmul", call);
      return cudaSuccess;
    }
    // cublasGemmStridedBatchedEx rounds a product in 16 bits before it adds.
    if (is_narrow(gemm.dtype)) return cudaErrorNotSupported;
    const size_t size = size_of(gemm.dtype);
    TIDU_TRY(copy_view(context.stream(), {gemm.batches * gemm.m, gemm.n},
                       StridedMemory(gemm.bias, {0, 1}, size), StridedMemory(gemm.c, {gemm.n, 1}, size)));
  }
  prepare(entry, room, call, context);
  const cudaDataType type = arithmetic.elements;
  // The library's matrices are column-major, as in BiasedProduct.
  check(cublasGemmStridedBatchedEx(
            entry.handle, operation(gemm.b.transposed), operation(gemm.a.transposed),
            static_cast<int>(gemm.n), static_cast<int>(gemm.m), static_cast<int>(gemm.k), arithmetic.one,
            gemm.b.data, type, static_cast<int>(gemm.b.leading), gemm.b.by_batch, gemm.a.data, type,
            static_cast<int>(gemm.a.leading), gemm.a.by_batch, gemm.bias ? arithmetic.one : arithmetic.zero,
            gemm.c, type, static_cast<int>(gemm.n), gemm.m * gemm.n, static_cast<int>(gemm.batches),
            arithmetic.compute, CUBLAS_GEMM_DEFAULT),
        "cublasGemmStridedBatchedEx", call);
  return cudaSuccess;
}

Room room_to_solve(const Call& call, Context& context) {
  return context.room(static_cast<size_t>(handle_of(context.device(), call).workspace));
}

void solve_by_cublas(const Triangular& system, const Call& call, Context& context, Room room) {
  const int64_t n = system.b.rows, columns = system.b.columns;
  if (n > INT_MAX || columns > INT_MAX)
    fail<ShapeError>("[", call.primitive.name, "] an extent of ", std::max(n, columns), " is too large");
  Handle& entry = handle_of(context.device(), call);
  const std::lock_guard lock(entry.mutex);
  prepare(entry, room, call, context);
  const auto solve = [&]<class T>() {
    solve_each<T>(entry, system, static_cast<int>(n), static_cast<int>(columns), call);
  };
  switch (system.b.dtype) {
    case DType::float32: return solve.operator()<float>();
    case DType::complex64: return solve.operator()<cuComplex>();
    case DType::complex128: return solve.operator()<cuDoubleComplex>();
    default: return solve.operator()<double>();
  }
}

}  // namespace tidu::cuda
