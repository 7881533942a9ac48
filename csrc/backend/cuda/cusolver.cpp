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

// The library's functions by element type, and what singular values and eigenvalues are.
template <class T> struct Functions;
#define TIDU_FUNCTIONS(T, Real, prefix, eigenvalues, orthonormal)              \
  template <> struct Functions<T> {                                            \
    using Value = Real;                                                        \
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

// The device's handle, kept from other threads.
class Solver {
 public:
  Solver(const Call& call, Context& context)
      : call_(call), entry_(entry_of(context.device())), lock_(entry_.mutex) {
    if (!entry_.handle) {
      check(cusolverDnCreate(&entry_.handle));
      check(cusolverDnCreateGesvdjInfo(&entry_.jacobi));
    }
    if (!context.only_counts()) check(cusolverDnSetStream(entry_.handle, context.stream()));
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

// As much as ask(solver, data, &size) says for the type of the elements.
template <class Ask>
SolverRoom room_for(const Call& call, Context& context, const Matrices& a, const Ask& ask) {
  const Solver solver(call, context);
  SolverRoom room;
  with_elements(a, [&]<class T>(T* data) {
    solver.check(ask(solver, data, &room.size));
    room.data = context.workspace<T>(static_cast<size_t>(room.size));
  });
  return room;
}

constexpr auto kVectors = CUSOLVER_EIG_MODE_VECTOR;

}  // namespace

SolverRoom room_for_cholesky(const Call& call, Context& context, const Matrices& a) {
  return room_for(call, context, a, [&]<class T>(const Solver& solver, T* data, int* size) {
    const int n = solver.to_int(a.rows);
    return Functions<T>::potrf_size(solver, kRowMajorLower, n, data, n, size);
  });
}

void factorize_cholesky(const Call& call, Context& context, const Matrices& a, int* info,
                        const SolverRoom& room) {
  const Solver solver(call, context);
  const int n = solver.to_int(a.rows);
  with_elements(a, [&]<class T>(T* data) {
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::potrf(solver, kRowMajorLower, n, data + i * a.rows * a.rows, n,
                                       static_cast<T*>(room.data), room.size, info + i));
    }
  });
}

SolverRoom room_for_lu(const Call& call, Context& context, const Matrices& a) {
  return room_for(call, context, a, [&]<class T>(const Solver& solver, T* data, int* size) {
    const int m = solver.to_int(a.columns), n = solver.to_int(a.rows);
    return Functions<T>::getrf_size(solver, m, n, data, m, size);
  });
}

void factorize_lu(const Call& call, Context& context, const Matrices& a, int* pivots, int* info,
                  const SolverRoom& room) {
  const Solver solver(call, context);
  const int m = solver.to_int(a.columns), n = solver.to_int(a.rows);  // seen column-major
  with_elements(a, [&]<class T>(T* data) {
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::getrf(solver, m, n, data + i * a.rows * a.columns, m,
                                       static_cast<T*>(room.data), pivots + i * std::min(m, n), info + i));
    }
  });
}

SolverRoom room_for_singular(const Call& call, Context& context, bool complete, const Matrices& a) {
  return room_for(call, context, a, [&]<class T>(const Solver& solver, T* data, int* size) {
    const int m = solver.to_int(a.columns), n = solver.to_int(a.rows);
    return Functions<T>::gesvdj_size(solver, kVectors, complete ? 0 : 1, m, n, data, m, nullptr, data, m,
                                     data, n, size, solver.jacobi());
  });
}

void decompose_singular(const Call& call, Context& context, bool complete, const Matrices& a, void* s,
                        void* vh, void* uh, int* info, const SolverRoom& room) {
  const Solver solver(call, context);
  const int m = solver.to_int(a.columns), n = solver.to_int(a.rows), k = std::min(m, n);
  const int64_t left = int64_t{m} * (complete ? m : k), right = int64_t{n} * (complete ? n : k);
  with_elements(a, [&]<class T>(T* data) {
    auto* const values = static_cast<typename Functions<T>::Value*>(s);
    T *const u = static_cast<T*>(vh), *const v = static_cast<T*>(uh);
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::gesvdj(solver, kVectors, complete ? 0 : 1, m, n, data + i * m * n, m,
                                        values + i * k, u + i * left, m, v + i * right, n,
                                        static_cast<T*>(room.data), room.size, info + i, solver.jacobi()));
    }
  });
}

SolverRoom room_for_symmetric(const Call& call, Context& context, const Matrices& a) {
  return room_for(call, context, a, [&]<class T>(const Solver& solver, T* data, int* size) {
    const int n = solver.to_int(a.rows);
    return Functions<T>::syevd_size(solver, kVectors, CUBLAS_FILL_MODE_LOWER, n, data, n, nullptr, size);
  });
}

void decompose_symmetric(const Call& call, Context& context, const Matrices& a, void* w, int* info,
                         const SolverRoom& room) {
  const Solver solver(call, context);
  const int n = solver.to_int(a.rows);
  with_elements(a, [&]<class T>(T* data) {
    auto* const values = static_cast<typename Functions<T>::Value*>(w);
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::syevd(solver, kVectors, CUBLAS_FILL_MODE_LOWER, n,
                                       data + i * a.rows * a.rows, n, values + i * n,
                                       static_cast<T*>(room.data), room.size, info + i));
    }
  });
}

SolverRoom room_for_orthogonal(const Call& call, Context& context, const Matrices& a, int64_t n) {
  void* reflections = nullptr;
  SolverRoom room = room_for(call, context, a, [&]<class T>(const Solver& solver, T* data, int* size) {
    const int m = solver.to_int(a.columns), all = solver.to_int(a.rows), first = solver.to_int(n);
    const int count = std::min(m, first);
    T* const made = context.workspace<T>(static_cast<size_t>(a.count) * count + 1);
    reflections = made;
    int other = 0;
    solver.check(Functions<T>::geqrf_size(solver, m, first, data, m, size));
    const cusolverStatus_t status = Functions<T>::orgqr_size(solver, m, all, count, data, m, made, &other);
    *size = std::max(*size, other);
    return status;
  });
  room.reflections = reflections;
  room.info = context.workspace<int>(1);
  return room;
}

void orthogonalise(const Call& call, Context& context, const Matrices& a, int64_t n, const SolverRoom& room,
                   const std::function<cudaError_t()>& take) {
  const Solver solver(call, context);
  const int m = solver.to_int(a.columns), all = solver.to_int(a.rows), first = solver.to_int(n);
  const int count = std::min(m, first);
  with_elements(a, [&]<class T>(T* data) {
    T *const reflections = static_cast<T*>(room.reflections), *const workspace = static_cast<T*>(room.data);
    const int64_t step = a.rows * a.columns;
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::geqrf(solver, m, first, data + i * step, m, reflections + i * count,
                                       workspace, room.size, room.info));
    }
    check(take(), "[qr]");
    for (int64_t i = 0; i < a.count; ++i) {
      solver.check(Functions<T>::orgqr(solver, m, all, count, data + i * step, m, reflections + i * count,
                                       workspace, room.size, room.info));
    }
  });
}

}  // namespace tidu::cuda
