// cuSOLVER on the host: what the backend calls of it, carried to the LAPACK of OpenBLAS, on one thread.
#include <cblas.h>
#include <cusolverDn.h>

#include "simt/libraries/library.h"

// LAPACK's Fortran functions; a length follows for each text.
extern "C" {
void spotrf_(const char*, const int*, float*, const int*, int*, size_t);
void dpotrf_(const char*, const int*, double*, const int*, int*, size_t);
void spotrs_(const char*, const int*, const int*, const float*, const int*, float*, const int*, int*, size_t);
void dpotrs_(const char*, const int*, const int*, const double*, const int*, double*, const int*, int*,
             size_t);
void sgetrf_(const int*, const int*, float*, const int*, int*, int*);
void dgetrf_(const int*, const int*, double*, const int*, int*, int*);
void sgetrs_(const char*, const int*, const int*, const float*, const int*, const int*, float*, const int*,
             int*, size_t);
void dgetrs_(const char*, const int*, const int*, const double*, const int*, const int*, double*, const int*,
             int*, size_t);
}

namespace tidu::simt {
namespace {

Handles& handles() {
  static Handles all;
  return all;
}

cusolverStatus_t refuse(const std::string& why, cusolverStatus_t status = CUSOLVER_STATUS_INVALID_VALUE) {
  report("cuSOLVER: " + why);
  return status;
}

template <class F> cusolverStatus_t with(cusolverDnHandle_t handle, F f) {
  const std::lock_guard lock(runtime_lock());
  LibraryState* const state = handles().find(handle);
  if (!state) return refuse("not a handle, or one destroyed", CUSOLVER_STATUS_NOT_INITIALIZED);
  if (sticky_error() != cudaSuccess) return CUSOLVER_STATUS_EXECUTION_FAILED;
  return f(*state);
}

// Checks the operands of `function`, then adds f to the handle's stream.
template <class F>
cusolverStatus_t submit_checked(LibraryState& state, const char* function,
                                std::initializer_list<Operand> operands, F f) {
  for (const Operand& x : operands) {
    const std::string fault = fault_of(x, state.device);
    if (!fault.empty()) return refuse(std::string(function) + ": " + fault);
  }
  return submit_to(state, std::move(f)) == cudaSuccess ? CUSOLVER_STATUS_SUCCESS
                                                       : CUSOLVER_STATUS_EXECUTION_FAILED;
}

Operand vector(const char* name, const void* data, size_t element, int64_t length) {
  return {name, data, element, length, 1, std::max<int64_t>(1, length)};
}

// Sizes that no caller would guess.
int potrf_workspace(int n) { return 32 * n + 7; }
int getrf_workspace(int m, int n) { return 16 * std::max(m, n) + 5; }

cusolverStatus_t workspace_size(cusolverDnHandle_t handle, int n, int lda, int* size, int needed) {
  return with(handle, [&](LibraryState&) {
    if (n < 0 || lda < std::max(1, n) || !size) return refuse("bufferSize: a wrong argument");
    *size = needed;
    return CUSOLVER_STATUS_SUCCESS;
  });
}

char triangle(cublasFillMode_t uplo) { return uplo == CUBLAS_FILL_MODE_LOWER ? 'L' : 'U'; }

template <class T, class Lapack>
cusolverStatus_t factorize_cholesky(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, T* a, int lda,
                                    T* workspace, int size, int* info, Lapack lapack) {
  return with(handle, [&](LibraryState& state) {
    if (n < 0 || (uplo != CUBLAS_FILL_MODE_LOWER && uplo != CUBLAS_FILL_MODE_UPPER))
      return refuse("potrf: a wrong argument");
    if (size < potrf_workspace(n)) return refuse("potrf: the workspace is too small");
    return submit_checked(state, "potrf",
                          {{"A", a, sizeof(T), n, n, lda},
                           vector("workspace", workspace, sizeof(T), size),
                           vector("devInfo", info, sizeof(int), 1)},
                          [=] {
                            scribble(workspace, size * sizeof(T));
                            const char which = triangle(uplo);
                            lapack(&which, &n, a, &lda, info, 1);
                            wrote(a, sizeof(T), n, n, lda);
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

template <class T, class Lapack>
cusolverStatus_t solve_cholesky(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, int columns,
                                const T* a, int lda, T* b, int ldb, int* info, Lapack lapack) {
  return with(handle, [&](LibraryState& state) {
    if (n < 0 || columns < 0 || (uplo != CUBLAS_FILL_MODE_LOWER && uplo != CUBLAS_FILL_MODE_UPPER))
      return refuse("potrs: a wrong argument");
    return submit_checked(state, "potrs",
                          {{"A", a, sizeof(T), n, n, lda},
                           {"B", b, sizeof(T), n, columns, ldb},
                           vector("devInfo", info, sizeof(int), 1)},
                          [=] {
                            const char which = triangle(uplo);
                            lapack(&which, &n, &columns, a, &lda, b, &ldb, info, 1);
                            wrote(b, sizeof(T), n, columns, ldb);
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

template <class T, class Lapack>
cusolverStatus_t factorize_lu(cusolverDnHandle_t handle, int m, int n, T* a, int lda, T* workspace,
                              int* pivots, int* info, Lapack lapack) {
  return with(handle, [&](LibraryState& state) {
    if (m < 0 || n < 0) return refuse("getrf: a negative extent");
    const int size = getrf_workspace(m, n);
    return submit_checked(state, "getrf",
                          {{"A", a, sizeof(T), m, n, lda},
                           vector("workspace", workspace, sizeof(T), size),
                           vector("devIpiv", pivots, sizeof(int), std::min(m, n)),
                           vector("devInfo", info, sizeof(int), 1)},
                          [=] {
                            scribble(workspace, size * sizeof(T));
                            lapack(&m, &n, a, &lda, pivots, info);
                            wrote(a, sizeof(T), m, n, lda);
                            wrote(pivots, sizeof(int), std::min(m, n), 1, std::min(m, n));
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

template <class T, class Lapack>
cusolverStatus_t solve_lu(cusolverDnHandle_t handle, cublasOperation_t trans, int n, int columns, const T* a,
                          int lda, const int* pivots, T* b, int ldb, int* info, Lapack lapack) {
  return with(handle, [&](LibraryState& state) {
    if (n < 0 || columns < 0) return refuse("getrs: a negative extent");
    return submit_checked(state, "getrs",
                          {{"A", a, sizeof(T), n, n, lda},
                           vector("devIpiv", pivots, sizeof(int), n),
                           {"B", b, sizeof(T), n, columns, ldb},
                           vector("devInfo", info, sizeof(int), 1)},
                          [=] {
                            const char which = trans == CUBLAS_OP_N ? 'N' : 'T';
                            lapack(&which, &n, &columns, a, &lda, pivots, b, &ldb, info, 1);
                            wrote(b, sizeof(T), n, columns, ldb);
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

}  // namespace
}  // namespace tidu::simt

using namespace tidu::simt;

extern "C" {

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
  if (!handle) return refuse("cusolverDnCreate: no place for the handle");
  openblas_set_num_threads(1);
  *handle = static_cast<cusolverDnHandle_t>(handles().create());
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle) {
  return handles().destroy(handle)
             ? CUSOLVER_STATUS_SUCCESS
             : refuse("cusolverDnDestroy: not a handle", CUSOLVER_STATUS_NOT_INITIALIZED);
}

cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
  return with(handle, [&](LibraryState& state) {
    state.stream = stream;
    return CUSOLVER_STATUS_SUCCESS;
  });
}

cusolverStatus_t cusolverDnSpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t, int n, float*,
                                             int lda, int* size) {
  return workspace_size(handle, n, lda, size, potrf_workspace(n));
}
cusolverStatus_t cusolverDnDpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t, int n, double*,
                                             int lda, int* size) {
  return workspace_size(handle, n, lda, size, potrf_workspace(n));
}
cusolverStatus_t cusolverDnSpotrf(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, float* a, int lda,
                                  float* workspace, int size, int* info) {
  return factorize_cholesky(handle, uplo, n, a, lda, workspace, size, info, spotrf_);
}
cusolverStatus_t cusolverDnDpotrf(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, double* a, int lda,
                                  double* workspace, int size, int* info) {
  return factorize_cholesky(handle, uplo, n, a, lda, workspace, size, info, dpotrf_);
}
cusolverStatus_t cusolverDnSpotrs(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, int columns,
                                  const float* a, int lda, float* b, int ldb, int* info) {
  return solve_cholesky(handle, uplo, n, columns, a, lda, b, ldb, info, spotrs_);
}
cusolverStatus_t cusolverDnDpotrs(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, int columns,
                                  const double* a, int lda, double* b, int ldb, int* info) {
  return solve_cholesky(handle, uplo, n, columns, a, lda, b, ldb, info, dpotrs_);
}

cusolverStatus_t cusolverDnSgetrf_bufferSize(cusolverDnHandle_t handle, int m, int n, float*, int lda,
                                             int* size) {
  return workspace_size(handle, m, lda, size, getrf_workspace(m, n));
}
cusolverStatus_t cusolverDnDgetrf_bufferSize(cusolverDnHandle_t handle, int m, int n, double*, int lda,
                                             int* size) {
  return workspace_size(handle, m, lda, size, getrf_workspace(m, n));
}
cusolverStatus_t cusolverDnSgetrf(cusolverDnHandle_t handle, int m, int n, float* a, int lda,
                                  float* workspace, int* pivots, int* info) {
  return factorize_lu(handle, m, n, a, lda, workspace, pivots, info, sgetrf_);
}
cusolverStatus_t cusolverDnDgetrf(cusolverDnHandle_t handle, int m, int n, double* a, int lda,
                                  double* workspace, int* pivots, int* info) {
  return factorize_lu(handle, m, n, a, lda, workspace, pivots, info, dgetrf_);
}
cusolverStatus_t cusolverDnSgetrs(cusolverDnHandle_t handle, cublasOperation_t trans, int n, int columns,
                                  const float* a, int lda, const int* pivots, float* b, int ldb, int* info) {
  return solve_lu(handle, trans, n, columns, a, lda, pivots, b, ldb, info, sgetrs_);
}
cusolverStatus_t cusolverDnDgetrs(cusolverDnHandle_t handle, cublasOperation_t trans, int n, int columns,
                                  const double* a, int lda, const int* pivots, double* b, int ldb,
                                  int* info) {
  return solve_lu(handle, trans, n, columns, a, lda, pivots, b, ldb, info, dgetrs_);
}

}  // extern "C"
