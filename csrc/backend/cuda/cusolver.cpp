// cuSOLVER: a handle per device, and a call for each matrix.
#include "backend/cuda/cusolver.h"

#include <cusolverDn.h>

#include <algorithm>
#include <climits>
#include <map>
#include <mutex>

#include "backend/cuda/error.h"

namespace tidu::cuda {
namespace {

const char* name_of(cusolverStatus_t status) {
  switch (status) {
    case CUSOLVER_STATUS_NOT_INITIALIZED: return "CUSOLVER_STATUS_NOT_INITIALIZED";
    case CUSOLVER_STATUS_ALLOC_FAILED: return "CUSOLVER_STATUS_ALLOC_FAILED";
    case CUSOLVER_STATUS_INVALID_VALUE: return "CUSOLVER_STATUS_INVALID_VALUE";
    case CUSOLVER_STATUS_ARCH_MISMATCH: return "CUSOLVER_STATUS_ARCH_MISMATCH";
    case CUSOLVER_STATUS_EXECUTION_FAILED: return "CUSOLVER_STATUS_EXECUTION_FAILED";
    case CUSOLVER_STATUS_INTERNAL_ERROR: return "CUSOLVER_STATUS_INTERNAL_ERROR";
    default: return "status of another kind";
  }
}

// The library's functions by element type, whose parts are `Part`.
template <class T> struct Functions;
#define TIDU_FUNCTIONS(T, Real, prefix, eigenvalues, orthonormal)              \
  template <> struct Functions<T> {                                            \
    using Part = Real;                                                         \
    static constexpr auto potrf_size = cusolverDn##prefix##potrf_bufferSize;   \
    static constexpr auto potrf = cusolverDn##prefix##potrf;                   \
    static constexpr auto getrf_size = cusolverDn##prefix##getrf_bufferSize;   \
    static constexpr auto getrf = cusolverDn##prefix##getrf;                   \
    static constexpr auto gesvdj_size = cusolverDn##prefix##gesvdj_bufferSize; \
    static constexpr auto gesvdj = cusolverDn##prefix##gesvdj;                 \
    static constexpr auto syevd_size = cusolverDn##eigenvalues##_bufferSize;   \
    static constexpr auto syevd = cusolverDn##eigenvalues;                     \
    static constexpr auto geqrf_size = cusolverDn##prefix##geqrf_bufferSize;   \
    static constexpr auto geqrf = cusolverDn##prefix##geqrf;                   \
    static constexpr auto orgqr_size = cusolverDn##orthonormal##_bufferSize;   \
    static constexpr auto orgqr = cusolverDn##orthonormal;                     \
  };
TIDU_FUNCTIONS(float, float, S, Ssyevd, Sorgqr)
TIDU_FUNCTIONS(double, double, D, Dsyevd, Dorgqr)
TIDU_FUNCTIONS(cuComplex, float, C, Cheevd, Cungqr)
TIDU_FUNCTIONS(cuDoubleComplex, double, Z, Zheevd, Zungqr)
#undef TIDU_FUNCTIONS

// A row-major matrix's lower triangle is the upper one of the same memory seen column-major.
constexpr cublasFillMode_t kRowMajorLower = CUBLAS_FILL_MODE_UPPER;

// The device's handle, set to the context's stream and kept from other threads.
class Solver {
 public:
  Solver(const Call& call, Context& context)
      : call_(call), context_(context), entry_(entry_of(context.device())), lock_(entry_.mutex) {
    if (!entry_.handle) {
      check(cusolverDnCreate(&entry_.handle));
      check(cusolverDnCreateGesvdjInfo(&entry_.jacobi));
    }
    check(cusolverDnSetStream(entry_.handle, context.stream()));
  }
  operator cusolverDnHandle_t() const { return entry_.handle; }
  gesvdjInfo_t jacobi() const { return entry_.jacobi; }

  void check(cusolverStatus_t status) const {
    if (status == CUSOLVER_STATUS_SUCCESS) return;
    fail<DeviceError>("[", call_.primitive.name, "] ", describe(call_.inputs[0]),
                      ": cuSOLVER failed: ", name_of(status), " (", static_cast<int>(status), ")");
  }
  int to_int(int64_t extent) const {
    if (extent > INT_MAX)
      fail<ShapeError>("[", call_.primitive.name, "] an extent of ", extent, " is too large");
    return static_cast<int>(extent);
  }
  template <class T> T* workspace(int size) const { return context_.workspace<T>(static_cast<size_t>(size)); }

 private:
  struct Entry {
    std::mutex mutex;
    cusolverDnHandle_t handle = nullptr;
    gesvdjInfo_t jacobi = nullptr;
  };
  // Never destroyed: at exit the driver may be gone before them.
  static Entry& entry_of(int device) {
    static std::mutex mutex;
    static auto& entries = *new std::map<int, Entry>;
    const std::lock_guard lock(mutex);
    return entries[device];
  }

  const Call& call_;
  Context& context_;
  Entry& entry_;
  std::lock_guard<std::mutex> lock_;
};

// Calls f(T*) for the type of the elements, as the library has it.
template <class F> void with_elements(const Matrices& a, const F& f) {
  switch (a.dtype) {
    case DType::float32: return f(static_cast<float*>(a.data));
    case DType::complex64: return f(static_cast<cuComplex*>(a.data));
    case DType::complex128: return f(static_cast<cuDoubleComplex*>(a.data));
    default: return f(static_cast<double*>(a.data));
  }
}

}  // namespace

void factorize_cholesky(const Call& call, Context& context, const Matrices& a, int* info) {
  const Solver solver(call, context);
  const int n = solver.to_int(a.rows);
  with_elements(a, [&]<class T>(T* data) {
    int size = 0;
    solver.check(Functions<T>::potrf_size(solver, kRowMajorLower, n, data, n, &size));
    T* const workspace = solver.workspace<T>(size);
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::potrf(solver, kRowMajorLower, n, data + i * a.rows * a.rows, n, workspace,
                                       size, info + i));
    }
  });
}

void factorize_lu(const Call& call, Context& context, const Matrices& a, int* pivots, int* info) {
  const Solver solver(call, context);
  const int m = solver.to_int(a.columns), n = solver.to_int(a.rows);  // seen column-major
  with_elements(a, [&]<class T>(T* data) {
    int size = 0;
    solver.check(Functions<T>::getrf_size(solver, m, n, data, m, &size));
    T* const workspace = solver.workspace<T>(size);
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::getrf(solver, m, n, data + i * a.rows * a.columns, m, workspace,
                                       pivots + i * std::min(m, n), info + i));
    }
  });
}

void decompose_singular(const Call& call, Context& context, bool complete, const Matrices& a, void* s,
                        void* vh, void* uh, int* info) {
  const Solver solver(call, context);
  const int m = solver.to_int(a.columns), n = solver.to_int(a.rows), k = std::min(m, n);
  const int64_t left = int64_t{m} * (complete ? m : k), right = int64_t{n} * (complete ? n : k);
  with_elements(a, [&]<class T>(T* data) {
    auto* const values = static_cast<typename Functions<T>::Part*>(s);
    T *const u = static_cast<T*>(vh), *const v = static_cast<T*>(uh);
    constexpr auto vectors = CUSOLVER_EIG_MODE_VECTOR;
    const int economic = complete ? 0 : 1;
    int size = 0;
    solver.check(Functions<T>::gesvdj_size(solver, vectors, economic, m, n, data, m, values, u, m, v, n,
                                           &size, solver.jacobi()));
    T* const workspace = solver.workspace<T>(size);
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::gesvdj(solver, vectors, economic, m, n, data + i * m * n, m, values + i * k,
                                        u + i * left, m, v + i * right, n, workspace, size, info + i,
                                        solver.jacobi()));
    }
  });
}

void decompose_symmetric(const Call& call, Context& context, const Matrices& a, void* w, int* info) {
  const Solver solver(call, context);
  const int n = solver.to_int(a.rows);
  with_elements(a, [&]<class T>(T* data) {
    auto* const values = static_cast<typename Functions<T>::Part*>(w);
    constexpr auto lower = CUBLAS_FILL_MODE_LOWER;
    constexpr auto vectors = CUSOLVER_EIG_MODE_VECTOR;
    int size = 0;
    solver.check(Functions<T>::syevd_size(solver, vectors, lower, n, data, n, values, &size));
    T* const workspace = solver.workspace<T>(size);
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::syevd(solver, vectors, lower, n, data + i * a.rows * a.rows, n,
                                       values + i * n, workspace, size, info + i));
    }
  });
}

void orthogonalise(const Call& call, Context& context, const Matrices& a, int64_t n,
                   const std::function<cudaError_t()>& take) {
  const Solver solver(call, context);
  const int m = solver.to_int(a.columns), all = solver.to_int(a.rows), first = solver.to_int(n);
  const int reflections = std::min(m, first);
  int* const info = context.workspace<int>(1);
  with_elements(a, [&]<class T>(T* data) {
    T* const factors = context.workspace<T>(static_cast<size_t>(a.count) * reflections + 1);
    int size = 0, other = 0;
    solver.check(Functions<T>::geqrf_size(solver, m, first, data, m, &size));
    solver.check(Functions<T>::orgqr_size(solver, m, all, reflections, data, m, factors, &other));
    size = std::max(size, other);
    T* const workspace = solver.workspace<T>(size);
    const int64_t step = a.rows * a.columns;
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::geqrf(solver, m, first, data + i * step, m, factors + i * reflections,
                                       workspace, size, info));
    }
    check(take(), "[qr]");
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::orgqr(solver, m, all, reflections, data + i * step, m,
                                       factors + i * reflections, workspace, size, info));
    }
  });
}

}  // namespace tidu::cuda
