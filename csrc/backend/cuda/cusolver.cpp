// cuSOLVER: a handle per device. The library's matrices are column-major: a row-major symmetric matrix is the
// same to it, with its triangles exchanged.
#include "backend/cuda/cusolver.h"

#include <cusolverDn.h>

#include <algorithm>
#include <climits>
#include <map>
#include <mutex>
#include <vector>

#include "backend/cuda/error.h"
#include "kernels/cuda/triangle.h"

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

void check_solver(cusolverStatus_t status, const SolverCall& call) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  fail<DeviceError>(call.what, ": cuSOLVER failed: ", name_of(status), " (", static_cast<int>(status), ")");
}

// The device's handle, set to the call's stream and kept from other threads.
class Solver {
 public:
  explicit Solver(const SolverCall& call) : entry_(entry_of(call.device)), lock_(entry_.mutex) {
    if (!entry_.handle) check_solver(cusolverDnCreate(&entry_.handle), call);
    check_solver(cusolverDnSetStream(entry_.handle, call.stream), call);
  }
  operator cusolverDnHandle_t() const { return entry_.handle; }

 private:
  struct Entry {
    std::mutex mutex;
    cusolverDnHandle_t handle = nullptr;
  };
  // Never destroyed: at exit the driver may be gone before them.
  static Entry& entry_of(int device) {
    static std::mutex mutex;
    static auto& entries = *new std::map<int, Entry>;
    const std::lock_guard lock(mutex);
    return entries[device];
  }

  Entry& entry_;
  std::lock_guard<std::mutex> lock_;
};

// The library's functions by element type.
template <class T> struct Functions;
template <> struct Functions<float> {
  static constexpr auto potrf_size = cusolverDnSpotrf_bufferSize;
  static constexpr auto potrf = cusolverDnSpotrf;
  static constexpr auto potrs = cusolverDnSpotrs;
  static constexpr auto getrf_size = cusolverDnSgetrf_bufferSize;
  static constexpr auto getrf = cusolverDnSgetrf;
  static constexpr auto getrs = cusolverDnSgetrs;
};
template <> struct Functions<double> {
  static constexpr auto potrf_size = cusolverDnDpotrf_bufferSize;
  static constexpr auto potrf = cusolverDnDpotrf;
  static constexpr auto potrs = cusolverDnDpotrs;
  static constexpr auto getrf_size = cusolverDnDgetrf_bufferSize;
  static constexpr auto getrf = cusolverDnDgetrf;
  static constexpr auto getrs = cusolverDnDgetrs;
};

// A row-major matrix's lower triangle is the upper one of the same memory seen column-major.
constexpr cublasFillMode_t kRowMajorLower = CUBLAS_FILL_MODE_UPPER;

// Calls f<T>(handle, n) with what the library takes.
template <class F> void with_solver(const SolverCall& call, const SquareMatrices& a, F f) {
  if (a.n > INT_MAX) fail<ShapeError>(call.what, ": matrices have at most ", INT_MAX, " rows");
  const Solver solver(call);
  const int n = static_cast<int>(a.n);
  if (a.dtype == DType::float32) return f.template operator()<float>(solver, n);
  if (a.dtype == DType::float64) return f.template operator()<double>(solver, n);
  fail<DTypeError>(call.what, ": float32 and float64 matrices are factorised, not ", a.dtype,
                   " (use astype)");
}

int columns_of(const SolverCall& call, const Columns& b) {
  if (b.count > INT_MAX) fail<ShapeError>(call.what, ": at most ", INT_MAX, " right-hand sides");
  return static_cast<int>(b.count);
}

// Of matrices without rows.
void accept_all(const SolverCall& call, int* info, int64_t count) {
  check(cudaMemsetAsync(info, 0, static_cast<size_t>(count) * sizeof(int), call.stream),
        [&] { return call.what; });
}

// The first matrix that was not as it must be, and the number in its verdict.
struct Failure {
  std::string matrix;
  int number = 0;  // 0: there is none
};
Failure first_failure(const SolverCall& call, const int* info, int64_t count) {
  std::vector<int> host(static_cast<size_t>(count));
  const auto what = [&] { return call.what; };
  check(cudaMemcpyAsync(host.data(), info, host.size() * sizeof(int), cudaMemcpyDeviceToHost, call.stream),
        what);
  check(cudaStreamSynchronize(call.stream), what);
  const auto found = std::find_if(host.begin(), host.end(), [](int value) { return value != 0; });
  if (found == host.end()) return {};
  if (*found < 0) fail<DeviceError>(call.what, ": cuSOLVER refused its argument ", -*found);
  return {count == 1 ? "the matrix" : str("matrix ", found - host.begin()), *found};
}

}  // namespace

size_t cholesky_workspace(const SolverCall& call, const SquareMatrices& a) {
  int size = 0;
  size_t element = 0;
  with_solver(call, a, [&]<class T>(const Solver& solver, int n) {
    check_solver(
        Functions<T>::potrf_size(solver, kRowMajorLower, n, static_cast<T*>(a.data), std::max(n, 1), &size),
        call);
    element = sizeof(T);
  });
  return static_cast<size_t>(size) * element;
}

void cholesky(const SolverCall& call, const SquareMatrices& a, void* workspace, int* info) {
  if (a.n == 0) return accept_all(call, info, a.count);
  with_solver(call, a, [&]<class T>(const Solver& solver, int n) {
    T* const data = static_cast<T*>(a.data);
    int size = 0;
    check_solver(Functions<T>::potrf_size(solver, kRowMajorLower, n, data, n, &size), call);
    for (int64_t i = 0; i < a.count; ++i) {
      check_solver(Functions<T>::potrf(solver, kRowMajorLower, n, data + i * a.n * a.n, n,
                                       static_cast<T*>(workspace), size, info + i),
                   call);
    }
  });
  check(keep_lower(call.stream, a.dtype, a.data, a.n, a.count), [&] { return call.what; });
}

void cholesky_solve(const SolverCall& call, const SquareMatrices& lower, const Columns& b, int* info) {
  const int columns = columns_of(call, b);
  if (lower.n == 0 || columns == 0) return accept_all(call, info, lower.count);
  with_solver(call, lower, [&]<class T>(const Solver& solver, int n) {
    for (int64_t i = 0; i < lower.count; ++i) {
      check_solver(Functions<T>::potrs(solver, kRowMajorLower, n, columns,
                                       static_cast<const T*>(lower.data) + i * lower.n * lower.n, n,
                                       static_cast<T*>(b.data) + i * lower.n * b.count, n, info + i),
                   call);
    }
  });
}

void require_positive_definite(const SolverCall& call, const int* info, int64_t count) {
  const Failure failure = first_failure(call, info, count);
  if (failure.number == 0) return;
  fail<ValueError>(call.what, ": ", failure.matrix, " is not positive definite: its leading minor of order ",
                   failure.number, " is not");
}

size_t lu_workspace(const SolverCall& call, const SquareMatrices& a) {
  int size = 0;
  size_t element = 0;
  with_solver(call, a, [&]<class T>(const Solver& solver, int n) {
    check_solver(Functions<T>::getrf_size(solver, n, n, static_cast<T*>(a.data), std::max(n, 1), &size),
                 call);
    element = sizeof(T);
  });
  return static_cast<size_t>(size) * element;
}

void lu_factor(const SolverCall& call, const SquareMatrices& a, int* pivots, void* workspace, int* info) {
  if (a.n == 0) return accept_all(call, info, a.count);
  with_solver(call, a, [&]<class T>(const Solver& solver, int n) {
    for (int64_t i = 0; i < a.count; ++i) {
      check_solver(Functions<T>::getrf(solver, n, n, static_cast<T*>(a.data) + i * a.n * a.n, n,
                                       static_cast<T*>(workspace), pivots + i * a.n, info + i),
                   call);
    }
  });
}

void lu_solve(const SolverCall& call, const SquareMatrices& lu, const int* pivots, bool transposed,
              const Columns& b, int* info) {
  const int columns = columns_of(call, b);
  if (lu.n == 0 || columns == 0) return accept_all(call, info, lu.count);
  with_solver(call, lu, [&]<class T>(const Solver& solver, int n) {
    for (int64_t i = 0; i < lu.count; ++i) {
      check_solver(Functions<T>::getrs(solver, transposed ? CUBLAS_OP_T : CUBLAS_OP_N, n, columns,
                                       static_cast<const T*>(lu.data) + i * lu.n * lu.n, n, pivots + i * lu.n,
                                       static_cast<T*>(b.data) + i * lu.n * b.count, n, info + i),
                   call);
    }
  });
}

void require_regular(const SolverCall& call, const int* info, int64_t count) {
  const Failure failure = first_failure(call, info, count);
  if (failure.number == 0) return;
  fail<ValueError>(call.what, ": ", failure.matrix, " is singular: pivot ", failure.number, " is zero");
}

}  // namespace tidu::cuda
