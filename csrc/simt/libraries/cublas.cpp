// cuBLAS on the host: what the backend calls of it, carried to the BLAS of OpenBLAS, on one thread so that
// the order of its sums is fixed.
#include "simt/libraries/cublas.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/blas.h"

namespace tidu::simt {
namespace {

// To the nearest value with 10 bits of fraction, ties away from zero.
float round_to_tf32(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}

float widen(float x) { return x; }
float widen(__half x) { return __half2float(x); }
float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
void narrow(float x, __half& to) { to = __float2half_rn(x); }
void narrow(float x, __nv_bfloat16& to) { to = __float2bfloat16_rn(x); }
void narrow(float x, float& to) { to = x; }

CBLAS_TRANSPOSE blas(bool transposed) { return transposed ? CblasTrans : CblasNoTrans; }

// Matrix i of the batch as dense floats, its columns `rows` apart.
template <class T> std::vector<float> dense(const Matrix& x, int64_t i, bool tf32) {
  const T* const from = static_cast<const T*>(x.data) + i * x.by_matrix;
  std::vector<float> to(static_cast<size_t>(x.rows) * x.columns);
  for (int64_t column = 0; column < x.columns; ++column) {
    for (int64_t row = 0; row < x.rows; ++row) {
      const float value = widen(from[column * x.leading + row]);
      to[column * x.rows + row] = tf32 ? round_to_tf32(value) : value;
    }
  }
  return to;
}

// Through dense floats, rounded once.
template <class T> void multiply_by_copies(const Product& p, int64_t i) {
  const std::vector<float> a = dense<T>(p.a, i, p.tf32), b = dense<T>(p.b, i, p.tf32);
  std::vector<float> c =
      p.beta == 0 ? std::vector<float>(static_cast<size_t>(p.m) * p.n) : dense<T>(p.c, i, false);
  TIDU_BLAS(cblas_sgemm)
  (CblasColMajor, blas(p.a.transposed), blas(p.b.transposed), p.m, p.n, p.k, static_cast<float>(p.alpha),
   a.data(), std::max(1, p.a.rows), b.data(), std::max(1, p.b.rows), static_cast<float>(p.beta), c.data(),
   std::max(1, p.m));
  T* const out = static_cast<T*>(const_cast<void*>(p.c.data)) + i * p.c.by_matrix;
  for (int64_t column = 0; column < p.n; ++column) {
    for (int64_t row = 0; row < p.m; ++row) narrow(c[column * p.m + row], out[column * p.c.leading + row]);
  }
}

template <class T, class Gemm> void multiply_in_place(const Product& p, int64_t i, Gemm gemm) {
  const auto at = [&](const Matrix& x) { return static_cast<const T*>(x.data) + i * x.by_matrix; };
  gemm(CblasColMajor, blas(p.a.transposed), blas(p.b.transposed), p.m, p.n, p.k, static_cast<T>(p.alpha),
       at(p.a), p.a.leading, at(p.b), p.b.leading, static_cast<T>(p.beta), const_cast<T*>(at(p.c)),
       p.c.leading);
}

size_t size_of(cudaDataType type) {
  switch (type) {
    case CUDA_R_16F:
    case CUDA_R_16BF: return 2;
    case CUDA_R_32F: return 4;
    case CUDA_R_64F: return 8;
    default: return 0;
  }
}

void run(const Product& p) {
  const auto element = static_cast<int64_t>(size_of(p.type));
  for (int64_t i = 0; i < p.count; ++i) {
    char* const c = static_cast<char*>(const_cast<void*>(p.c.data)) + i * p.c.by_matrix * element;
    if (p.bias) {
      for (int64_t column = 0; column < p.n; ++column)
        std::memcpy(c + column * p.c.leading * element, p.bias, static_cast<size_t>(p.m * element));
    }
    switch (p.type) {
      case CUDA_R_16F: multiply_by_copies<__half>(p, i); break;
      case CUDA_R_16BF: multiply_by_copies<__nv_bfloat16>(p, i); break;
      case CUDA_R_32F:
        if (p.tf32) {
          multiply_by_copies<float>(p, i);
        } else {
          multiply_in_place<float>(p, i, TIDU_BLAS(cblas_sgemm));
        }
        break;
      default: multiply_in_place<double>(p, i, TIDU_BLAS(cblas_dgemm)); break;
    }
    wrote(c, static_cast<size_t>(element), p.m, p.n, p.c.leading);
  }
}

}  // namespace

Handles& cublas_handles() {
  static Handles all;
  return all;
}

bool has_combination(cudaDataType type, cublasComputeType_t compute) {
  switch (type) {
    case CUDA_R_16F:
    case CUDA_R_16BF: return compute == CUBLAS_COMPUTE_32F;
    case CUDA_R_32F: return compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    case CUDA_R_64F: return compute == CUBLAS_COMPUTE_64F;
    default: return false;
  }
}

cublasStatus_t submit_product(const LibraryState& state, const Product& p) {
  if (p.count > 1 && (p.a.by_matrix < 0 || p.b.by_matrix < 0))
    return refuse("gemm: a GPU may read outside of a batch that runs backwards");
  const auto element = size_of(p.type);
  const auto operand = [&](const char* name, const Matrix& x) {
    return MatrixArgument{name, x.data, element, x.rows, x.columns, x.leading, x.by_matrix, p.count};
  };
  const auto vector = [](const char* name, const void* data, size_t size, int64_t count) {
    return MatrixArgument{name, data, size, count, 1, std::max<int64_t>(count, 1)};
  };
  std::vector<MatrixArgument> operands{operand("A", p.a), operand("B", p.b), operand("C", p.c)};
  if (p.bias) operands.push_back(vector("bias", p.bias, element, p.m));
  if (state.workspace) {
    const auto bytes = static_cast<int64_t>(state.workspace_bytes);
    operands.push_back(vector("workspace", state.workspace, 1, bytes));
  }
  for (const MatrixArgument& x : operands) {
    const std::string fault = fault_of(x, state.device);
    if (!fault.empty()) return refuse("gemm: operand " + fault);
  }
  if (p.count > 1 && std::abs(p.c.by_matrix) < (p.n - 1LL) * p.c.leading + p.m)
    return refuse("gemm: matrices of C overlap");
  const cudaError_t error = submit_to(state, [p, workspace = state.workspace, bytes = state.workspace_bytes] {
    scribble(workspace, bytes);
    run(p);
  });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

namespace {

template <class T, class Trsm>
cublasStatus_t solve_triangular(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
                                cublasOperation_t trans, cublasDiagType_t diag, int m, int n, const T* alpha,
                                const T* a, int lda, T* b, int ldb, Trsm trsm) {
  return with(handle, [&](LibraryState& state) {
    if (m < 0 || n < 0 || !alpha || trans == CUBLAS_OP_C)
      return refuse("trsm: a wrong argument, or one that is not emulated");
    const int order = side == CUBLAS_SIDE_LEFT ? m : n;
    for (const MatrixArgument& x : {MatrixArgument{"A", a, sizeof(T), order, order, lda},
                                    MatrixArgument{"B", b, sizeof(T), m, n, ldb}}) {
      const std::string fault = fault_of(x, state.device);
      if (!fault.empty()) return refuse("trsm: operand " + fault);
    }
    const cudaError_t error =
        submit_to(state, [=, alpha = *alpha, workspace = state.workspace, bytes = state.workspace_bytes] {
          scribble(workspace, bytes);
          trsm(CblasColMajor, side == CUBLAS_SIDE_LEFT ? CblasLeft : CblasRight,
               uplo == CUBLAS_FILL_MODE_LOWER ? CblasLower : CblasUpper, blas(trans != CUBLAS_OP_N),
               diag == CUBLAS_DIAG_UNIT ? CblasUnit : CblasNonUnit, m, n, alpha, a, lda, b, ldb);
          wrote(b, sizeof(T), m, n, ldb);
        });
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
  });
}

// A function of the BLAS that takes a complex factor by its address.
auto by_address(auto trsm) {
  return [trsm](auto layout, auto side, auto uplo, auto trans, auto diag, int m, int n, auto alpha, auto a,
                int lda, auto b,
                int ldb) { trsm(layout, side, uplo, trans, diag, m, n, &alpha, a, lda, b, ldb); };
}

}  // namespace
}  // namespace tidu::simt

using namespace tidu::simt;

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (!handle) return refuse("cublasCreate: no place for the handle");
  TIDU_BLAS(openblas_set_num_threads)(1);
  *handle = static_cast<cublasHandle_t>(cublas_handles().create());
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  return cublas_handles().destroy(handle)
             ? CUBLAS_STATUS_SUCCESS
             : refuse("cublasDestroy: not a handle", CUBLAS_STATUS_NOT_INITIALIZED);
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return with(handle, [&](LibraryState& state) {
    state.stream = stream;
    state.workspace = nullptr;
    state.workspace_bytes = 0;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
  return with(handle, [&](LibraryState& state) {
    if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0)
      return refuse("cublasSetWorkspace: not aligned to 256 bytes");
    state.workspace = workspace;
    state.workspace_bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  return with(handle, [&](LibraryState&) {
    const int known = CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    return (mode & ~known) == CUBLAS_DEFAULT_MATH
               ? CUBLAS_STATUS_SUCCESS
               : refuse("cublasSetMathMode: not emulated", CUBLAS_STATUS_NOT_SUPPORTED);
  });
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS of another kind";
  }
}

const char* cublasGetStatusString(cublasStatus_t status) {
  static std::string text;
  const std::lock_guard lock(runtime_lock());
  text = status == CUBLAS_STATUS_SUCCESS ? "success" : last_report();
  return text.c_str();
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                          cublasOperation_t transb, int m, int n, int k, const void* alpha,
                                          const void* A, cudaDataType Atype, int lda, long long strideA,
                                          const void* B, cudaDataType Btype, int ldb, long long strideB,
                                          const void* beta, void* C, cudaDataType Ctype, int ldc,
                                          long long strideC, int batchCount, cublasComputeType_t computeType,
                                          cublasGemmAlgo_t) {
  return with(handle, [&](LibraryState& state) {
    if (m < 0 || n < 0 || k < 0 || batchCount < 0) return refuse("gemm: a negative extent");
    if (!alpha || !beta) return refuse("gemm: alpha or beta is missing");
    if (Atype != Btype || Atype != Ctype || !has_combination(Atype, computeType))
      return refuse("gemm: no such combination of types", CUBLAS_STATUS_NOT_SUPPORTED);
    const auto matrix = [](const void* data, cublasOperation_t operation, int rows, int columns, int leading,
                           int64_t by_matrix) {
      const bool transposed = operation != CUBLAS_OP_N;
      if (transposed) std::swap(rows, columns);
      return Matrix{data, transposed, rows, columns, leading, by_matrix};
    };
    const auto scalar = [&](const void* value) {
      return Atype == CUDA_R_64F ? *static_cast<const double*>(value) : *static_cast<const float*>(value);
    };
    const Product p{Atype,
                    computeType == CUBLAS_COMPUTE_32F_FAST_TF32,
                    m,
                    n,
                    k,
                    batchCount,
                    scalar(alpha),
                    scalar(beta),
                    matrix(A, transa, m, k, lda, strideA),
                    matrix(B, transb, k, n, ldb, strideB),
                    matrix(C, CUBLAS_OP_N, m, n, ldc, strideC)};
    if (p.beta != 0 && size_of(Atype) == 2)
      return refuse("gemm: a GPU may round a product in 16 bits before it adds C to it");
    return submit_product(state, p);
  });
}

cublasStatus_t cublasStrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
                              cublasOperation_t trans, cublasDiagType_t diag, int m, int n,
                              const float* alpha, const float* A, int lda, float* B, int ldb) {
  return solve_triangular(handle, side, uplo, trans, diag, m, n, alpha, A, lda, B, ldb,
                          TIDU_BLAS(cblas_strsm));
}
cublasStatus_t cublasDtrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
                              cublasOperation_t trans, cublasDiagType_t diag, int m, int n,
                              const double* alpha, const double* A, int lda, double* B, int ldb) {
  return solve_triangular(handle, side, uplo, trans, diag, m, n, alpha, A, lda, B, ldb,
                          TIDU_BLAS(cblas_dtrsm));
}

cublasStatus_t cublasCtrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
                              cublasOperation_t trans, cublasDiagType_t diag, int m, int n,
                              const cuComplex* alpha, const cuComplex* A, int lda, cuComplex* B, int ldb) {
  return solve_triangular(handle, side, uplo, trans, diag, m, n, alpha, A, lda, B, ldb,
                          by_address(TIDU_BLAS(cblas_ctrsm)));
}
cublasStatus_t cublasZtrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo,
                              cublasOperation_t trans, cublasDiagType_t diag, int m, int n,
                              const cuDoubleComplex* alpha, const cuDoubleComplex* A, int lda,
                              cuDoubleComplex* B, int ldb) {
  return solve_triangular(handle, side, uplo, trans, diag, m, n, alpha, A, lda, B, ldb,
                          by_address(TIDU_BLAS(cblas_ztrsm)));
}

}  // extern "C"
