// cuSOLVER on the host: what the backend calls of it, carried to the LAPACK of OpenBLAS, on one thread.
#include <cusolverDn.h>

#include "kernels/lapack.h"
#include "simt/libraries/library.h"

namespace tidu::simt {
namespace {

Handles& handles() {
  static Handles all;
  return all;
}

Handles& jacobi_infos() {
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
                                std::initializer_list<MatrixArgument> operands, F f) {
  for (const MatrixArgument& x : operands) {
    const std::string fault = fault_of(x, state.device);
    if (!fault.empty()) return refuse(std::string(function) + ": " + fault);
  }
  return submit_to(state, std::move(f)) == cudaSuccess ? CUSOLVER_STATUS_SUCCESS
                                                       : CUSOLVER_STATUS_EXECUTION_FAILED;
}

MatrixArgument vector(const char* name, const void* data, size_t element, int64_t length) {
  return {name, data, element, length, 1, std::max<int64_t>(1, length)};
}

// Sizes that no caller would guess.
int potrf_workspace(int n) { return 32 * n + 7; }
int getrf_workspace(int m, int n) { return 16 * std::max(m, n) + 5; }
int gesvdj_workspace(int m, int n) { return 8 * (m + n) + 3; }

cusolverStatus_t workspace_size(cusolverDnHandle_t handle, int n, int lda, int* size, int needed) {
  return with(handle, [&](LibraryState&) {
    if (n < 0 || lda < std::max(1, n) || !size) return refuse("bufferSize: a wrong argument");
    *size = needed;
    return CUSOLVER_STATUS_SUCCESS;
  });
}

char triangle(cublasFillMode_t uplo) { return uplo == CUBLAS_FILL_MODE_LOWER ? 'L' : 'U'; }

template <class T>
cusolverStatus_t factorize_cholesky(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, T* a, int lda,
                                    T* workspace, int size, int* info) {
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
                            lapack::Functions<T>::potrf(&which, &n, a, &lda, info, 1);
                            wrote(a, sizeof(T), n, n, lda);
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

template <class T>
cusolverStatus_t factorize_lu(cusolverDnHandle_t handle, int m, int n, T* a, int lda, T* workspace,
                              int* pivots, int* info) {
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
                            *info = lapack::lu(m, n, a, lda, pivots);
                            wrote(a, sizeof(T), m, n, lda);
                            wrote(pivots, sizeof(int), std::min(m, n), 1, std::min(m, n));
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

template <class T>
cusolverStatus_t decompose_singular(cusolverDnHandle_t handle, cusolverEigMode_t mode, int econ, int m, int n,
                                    T* a, int lda, RealPart<T>* s, T* u, int ldu, T* v, int ldv, T* workspace,
                                    int size, int* info, gesvdjInfo_t parameters) {
  return with(handle, [&](LibraryState& state) {
    if (m < 0 || n < 0 || mode != CUSOLVER_EIG_MODE_VECTOR || (econ != 0 && econ != 1))
      return refuse("gesvdj: a wrong argument, or one that is not emulated");
    if (!jacobi_infos().find(parameters)) return refuse("gesvdj: no gesvdjInfo_t");
    if (size < gesvdj_workspace(m, n)) return refuse("gesvdj: the workspace is too small");
    const int k = std::min(m, n), columns = econ ? k : m, rows = econ ? k : n;
    return submit_checked(state, "gesvdj",
                          {{"A", a, sizeof(T), m, n, lda},
                           vector("S", s, sizeof *s, k),
                           {"U", u, sizeof(T), m, columns, ldu},
                           {"V", v, sizeof(T), n, rows, ldv},
                           vector("workspace", workspace, sizeof(T), size),
                           vector("devInfo", info, sizeof(int), 1)},
                          [=] {
                            scribble(workspace, size * sizeof(T));
                            std::vector<T> dense(static_cast<size_t>(m) * n),
                                left(static_cast<size_t>(m) * columns), right(static_cast<size_t>(rows) * n);
                            for (int64_t i = 0; i < int64_t{m} * n; ++i) dense[i] = a[i / m * lda + i % m];
                            const auto room = lapack::room_for_svd<T>(econ == 0, m, n);
                            std::vector<char> memory(room.bytes());
                            *info = lapack::svd(econ == 0, m, n, dense.data(), s, left.data(), right.data(),
                                                room, memory.data());
                            for (int64_t i = 0; i < int64_t{m} * columns; ++i)
                              u[i / m * ldu + i % m] = left[i];
                            for (int64_t i = 0; i < int64_t{rows} * n; ++i)
                              v[i % rows * ldv + i / rows] = number::conjugate(right[i]);
                            wrote(s, sizeof *s, k, 1, k);
                            wrote(u, sizeof(T), m, columns, ldu);
                            wrote(v, sizeof(T), n, rows, ldv);
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

int syevd_workspace(int n) { return 6 * n + 11; }
int qr_workspace(int n) { return 4 * n + 9; }

template <class T>
cusolverStatus_t decompose_symmetric(cusolverDnHandle_t handle, cusolverEigMode_t mode, cublasFillMode_t uplo,
                                     int n, T* a, int lda, RealPart<T>* w, T* workspace, int size,
                                     int* info) {
  return with(handle, [&](LibraryState& state) {
    if (n < 0 || lda != n || mode != CUSOLVER_EIG_MODE_VECTOR)
      return refuse("syevd: a wrong argument, or one that is not emulated");
    if (size < syevd_workspace(n)) return refuse("syevd: the workspace is too small");
    return submit_checked(state, "syevd",
                          {{"A", a, sizeof(T), n, n, lda},
                           vector("W", w, sizeof *w, n),
                           vector("workspace", workspace, sizeof(T), size),
                           vector("devInfo", info, sizeof(int), 1)},
                          [=] {
                            scribble(workspace, size * sizeof(T));
                            const auto room = lapack::room_for_eigh<T>(n);
                            std::vector<char> memory(room.bytes());
                            *info = lapack::eigh(triangle(uplo), n, a, w, room, memory.data());
                            wrote(a, sizeof(T), n, n, lda);
                            wrote(w, sizeof *w, n, 1, n);
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

template <class T>
cusolverStatus_t factorize_qr(cusolverDnHandle_t handle, int m, int n, T* a, int lda, T* tau, T* workspace,
                              int size, int* info) {
  return with(handle, [&](LibraryState& state) {
    if (m < 0 || n < 0) return refuse("geqrf: a negative extent");
    if (size < qr_workspace(n)) return refuse("geqrf: the workspace is too small");
    return submit_checked(state, "geqrf",
                          {{"A", a, sizeof(T), m, n, lda},
                           vector("TAU", tau, sizeof(T), std::min(m, n)),
                           vector("workspace", workspace, sizeof(T), size),
                           vector("devInfo", info, sizeof(int), 1)},
                          [=] {
                            scribble(workspace, size * sizeof(T));
                            const int length = lapack::room_for_reflections<T>(m, n);
                            std::vector<T> own(static_cast<size_t>(length));
                            lapack::Functions<T>::geqrf(&m, &n, a, &lda, tau, own.data(), &length, info);
                            wrote(a, sizeof(T), m, n, lda);
                            wrote(tau, sizeof(T), std::min(m, n), 1, std::min(m, n));
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

template <class T>
cusolverStatus_t generate_q(cusolverDnHandle_t handle, int m, int n, int k, T* a, int lda, const T* tau,
                            T* workspace, int size, int* info) {
  return with(handle, [&](LibraryState& state) {
    if (m < n || n < k || k < 0) return refuse("orgqr: a wrong extent");
    if (size < qr_workspace(n)) return refuse("orgqr: the workspace is too small");
    return submit_checked(state, "orgqr",
                          {{"A", a, sizeof(T), m, n, lda},
                           vector("TAU", tau, sizeof(T), k),
                           vector("workspace", workspace, sizeof(T), size),
                           vector("devInfo", info, sizeof(int), 1)},
                          [=] {
                            scribble(workspace, size * sizeof(T));
                            const int length = lapack::room_for_columns<T>(m, n, k);
                            std::vector<T> own(static_cast<size_t>(length));
                            lapack::Functions<T>::orgqr(&m, &n, &k, a, &lda, tau, own.data(), &length, info);
                            wrote(a, sizeof(T), m, n, lda);
                            wrote(info, sizeof(int), 1, 1, 1);
                          });
  });
}

// CUDA's complex numbers as those of LAPACK here.
float* elements(float* x) { return x; }
double* elements(double* x) { return x; }
complex<float>* elements(cuComplex* x) { return reinterpret_cast<complex<float>*>(x); }
complex<double>* elements(cuDoubleComplex* x) { return reinterpret_cast<complex<double>*>(x); }
template <class T> const auto* elements(const T* x) { return elements(const_cast<T*>(x)); }

}  // namespace
}  // namespace tidu::simt

using namespace tidu::simt;

extern "C" {

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
  if (!handle) return refuse("cusolverDnCreate: no place for the handle");
  TIDU_BLAS(openblas_set_num_threads)(1);
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

cusolverStatus_t cusolverDnCreateGesvdjInfo(gesvdjInfo_t* info) {
  if (!info) return refuse("cusolverDnCreateGesvdjInfo: no place for it");
  *info = static_cast<gesvdjInfo_t>(jacobi_infos().create());
  return CUSOLVER_STATUS_SUCCESS;
}

#define TIDU_EMULATE(T, Real, prefix, eigenvalues, orthonormal)                                              \
  cusolverStatus_t cusolverDn##prefix##potrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t, int n,  \
                                                        T*, int lda, int* size) {                            \
    return workspace_size(handle, n, lda, size, potrf_workspace(n));                                         \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##prefix##potrf(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, T* a,  \
                                             int lda, T* workspace, int size, int* info) {                   \
    return factorize_cholesky(handle, uplo, n, elements(a), lda, elements(workspace), size, info);           \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##prefix##getrf_bufferSize(cusolverDnHandle_t handle, int m, int n, T*,         \
                                                        int lda, int* size) {                                \
    return workspace_size(handle, m, lda, size, getrf_workspace(m, n));                                      \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##prefix##getrf(cusolverDnHandle_t handle, int m, int n, T* a, int lda,         \
                                             T* workspace, int* pivots, int* info) {                         \
    return factorize_lu(handle, m, n, elements(a), lda, elements(workspace), pivots, info);                  \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##prefix##gesvdj_bufferSize(                                                    \
      cusolverDnHandle_t handle, cusolverEigMode_t, int, int m, int n, const T*, int lda, const Real*,       \
      const T*, int, const T*, int, int* size, gesvdjInfo_t) {                                               \
    return workspace_size(handle, m, lda, size, gesvdj_workspace(m, n));                                     \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##prefix##gesvdj(                                                               \
      cusolverDnHandle_t handle, cusolverEigMode_t mode, int econ, int m, int n, T* a, int lda, Real* s,     \
      T* u, int ldu, T* v, int ldv, T* workspace, int size, int* info, gesvdjInfo_t parameters) {            \
    return decompose_singular(handle, mode, econ, m, n, elements(a), lda, s, elements(u), ldu, elements(v),  \
                              ldv, elements(workspace), size, info, parameters);                             \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##eigenvalues##_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t,        \
                                                        cublasFillMode_t, int n, const T*, int lda,          \
                                                        const Real*, int* size) {                            \
    return workspace_size(handle, n, lda, size, syevd_workspace(n));                                         \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##eigenvalues(cusolverDnHandle_t handle, cusolverEigMode_t mode,                \
                                           cublasFillMode_t uplo, int n, T* a, int lda, Real* w,             \
                                           T* workspace, int size, int* info) {                              \
    return decompose_symmetric(handle, mode, uplo, n, elements(a), lda, w, elements(workspace), size, info); \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##prefix##geqrf_bufferSize(cusolverDnHandle_t handle, int m, int n, T*,         \
                                                        int lda, int* size) {                                \
    return workspace_size(handle, m, lda, size, qr_workspace(n));                                            \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##prefix##geqrf(cusolverDnHandle_t handle, int m, int n, T* a, int lda, T* tau, \
                                             T* workspace, int size, int* info) {                            \
    return factorize_qr(handle, m, n, elements(a), lda, elements(tau), elements(workspace), size, info);     \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##orthonormal##_bufferSize(cusolverDnHandle_t handle, int m, int n, int,        \
                                                        const T*, int lda, const T*, int* size) {            \
    return workspace_size(handle, m, lda, size, qr_workspace(n));                                            \
  }                                                                                                          \
  cusolverStatus_t cusolverDn##orthonormal(cusolverDnHandle_t handle, int m, int n, int k, T* a, int lda,    \
                                           const T* tau, T* workspace, int size, int* info) {                \
    return generate_q(handle, m, n, k, elements(a), lda, elements(tau), elements(workspace), size, info);    \
  }

TIDU_EMULATE(float, float, S, Ssyevd, Sorgqr)
TIDU_EMULATE(double, double, D, Dsyevd, Dorgqr)
TIDU_EMULATE(cuComplex, float, C, Cheevd, Cungqr)
TIDU_EMULATE(cuDoubleComplex, double, Z, Zheevd, Zungqr)

}  // extern "C"
