// Around the libraries' factorisations: a block a matrix, or a thread a column.
#include "kernels/cuda/linalg.h"

#include <climits>

#include "kernels/cuda/fault.cuh"
#include "kernels/cuda/portable.h"
#include "kernels/parts.h"
#include "kernels/splitting.h"
#include "kernels/turning.h"

namespace tidu::cuda {
namespace {

constexpr int kThreads = 256;

__device__ void report_matrix(const FaultRecord& record, MatrixFault fault, int64_t matrix, int64_t number) {
  if (atomicCAS(&record.fault->launch, 0ull, record.launch) != 0) return;
  record.fault->position = matrix;
  record.fault->value = number;
  record.fault->matrix = fault;
}

template <class T> __global__ void __launch_bounds__(kThreads) zero_upper(T* data, int64_t n, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count && i % n > i / n % n) data[i] = T{};
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    zero_lower(T* data, int64_t rows, int64_t columns, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count && i % columns < i / columns % rows) data[i] = T{};
}

__global__ void __launch_bounds__(kThreads)
    judge_bits(const bool* wrong, int64_t size, int64_t count, FaultRecord record) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count && wrong[i]) report_matrix(record, MatrixFault::turning, i / size, i % size);
}

__global__ void __launch_bounds__(kThreads)
    judge_each(const int* info, const int* lost, int64_t count, MatrixFault fault, FaultRecord record) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count || info[i] == 0 || (lost && lost[i] != 0)) return;
  report_matrix(record, fault, i, info[i]);
}

template <class T>
__global__ void __launch_bounds__(kThreads) find_zeros(const T* data, int64_t n, FaultRecord record) {
  const T* const a = data + blockIdx.x * n * n;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    if (number::is_zero(a[i * (n + 1)])) report_matrix(record, MatrixFault::diagonal, blockIdx.x, i + 1);
  }
}

__global__ void __launch_bounds__(kThreads) count_from_zero(const int* from, int64_t* to, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) to[i] = static_cast<int64_t>(from[i]) - 1;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    exchange(T* data, int64_t n, int64_t columns, int64_t count, const int64_t* pivots, bool inverse,
             FaultRecord record) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= columns * count) return;
  const int64_t matrix = i / columns;
  T* const column = data + matrix * n * columns + i % columns;
  for (int64_t step = 0; step < n; ++step) {
    const int64_t row = inverse ? n - 1 - step : step, other = pivots[matrix * n + row];
    if (other < 0 || other >= n) {
      report_fault(record, matrix * n + row, other, n);
      return;
    }
    const T kept = column[row * columns];
    column[row * columns] = column[other * columns];
    column[other * columns] = kept;
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) zero_where_lost(T* data, int64_t n, int* lost) {
  T* const a = data + blockIdx.x * n;
  bool bad = false;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) bad |= !(a[i] - a[i] == T(0));
  const bool any_bad = __syncthreads_or(bad) != 0;
  if (threadIdx.x == 0) lost[blockIdx.x] = any_bad;
  for (int64_t i = threadIdx.x; any_bad && i < n; i += kThreads) a[i] = T(0);
}

template <class T>
__global__ void __launch_bounds__(kThreads) nan_where_lost(T* data, int64_t n, const int* lost) {
  if (lost[blockIdx.x] == 0) return;
  const T zero = T(0);
  for (int64_t i = threadIdx.x; i < n; i += kThreads) data[blockIdx.x * n + i] = zero / zero;
}

// Row i of matrix k begins at data[k * size + i * step], and its elements are `stride` apart.
template <class T>
__global__ void __launch_bounds__(kThreads)
    turn(T* data, int64_t size, int64_t rows, int64_t step, int64_t stride, bool null, const T* values,
         int64_t n, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const int64_t matrix = i / rows;
  turn_row(values + matrix * n, n, data + matrix * size + i % rows * step, stride, null);
}

template <class T>
__global__ void __launch_bounds__(kThreads) negate_imaginary(complex<T>* data, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) data[i].im = -data[i].im;
}

// One block at a time may have all registers: with fewer the compiler spills around its divisions.
template <class T>
__global__ void __launch_bounds__(kThreads, 1)
    split(const RealPart<T>* values, int64_t n, T* left, int64_t m, T* right, int64_t k, const T* t,
          bool singular, T* room, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  split_equal(values + i * n, n, Vectors<T>{left + i * m * n, m}, Vectors<T>{right + i * k * n, k},
              t + i * m * k, singular, room + i * room_to_split(n));
}

// A block for each of `count`, or enough of them for as many threads.
cudaError_t with_grid(cudaStream_t stream, int64_t blocks, const auto& run) {
  if (blocks == 0) return cudaSuccess;
  if (blocks > INT_MAX) return cudaErrorInvalidConfiguration;
  return run(Grid{dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, stream});
}
int64_t blocks_for(int64_t threads) { return (threads + kThreads - 1) / kThreads; }

// run(T*) for the type of the elements.
cudaError_t with_elements(const Matrices& a, const auto& run) {
  switch (a.dtype) {
    case DType::float32: return run(static_cast<float*>(a.data));
    case DType::float64: return run(static_cast<double*>(a.data));
    case DType::complex64: return run(static_cast<complex<float>*>(a.data));
    case DType::complex128: return run(static_cast<complex<double>*>(a.data));
    default: return cudaErrorInvalidValue;
  }
}
// run(T*, n) for their parts, of which there are n for each element.
cudaError_t with_parts(const Matrices& a, const auto& run) {
  return with_elements(a, [&]<class T>(T* data) { return run(parts(data), int64_t{kParts<T>}); });
}

cudaError_t turn_vectors(cudaStream_t stream, const Matrices& vectors, const Matrices& values, int64_t rows,
                         int64_t step, int64_t stride, bool null) {
  const int64_t threads = rows * vectors.count;
  return with_grid(stream, blocks_for(threads), [&](const Grid& grid) {
    return with_parts(vectors, [&]<class T>(T* data, int64_t n) {
      cudaError_t error = cudaSuccess;
      for (int64_t part = 0; error == cudaSuccess && part < n; ++part) {
        error = launch<turn<T>>(grid, data + part, n * vectors.rows * vectors.columns, rows, n * step,
                                n * stride, null, static_cast<const T*>(values.data), values.rows, threads);
      }
      return error;
    });
  });
}

}  // namespace

cudaError_t keep_lower(cudaStream_t stream, const Matrices& a) {
  const int64_t elements = a.rows * a.columns * a.count;
  return with_grid(stream, blocks_for(elements), [&](const Grid& grid) {
    return with_elements(
        a, [&]<class T>(T* data) { return launch<zero_upper<T>>(grid, data, a.rows, elements); });
  });
}

cudaError_t keep_upper(cudaStream_t stream, const Matrices& a) {
  const int64_t elements = a.rows * a.columns * a.count;
  return with_grid(stream, blocks_for(elements), [&](const Grid& grid) {
    return with_elements(
        a, [&]<class T>(T* data) { return launch<zero_lower<T>>(grid, data, a.rows, a.columns, elements); });
  });
}

cudaError_t judge_mask(cudaStream_t stream, const Matrices& wrong, const FaultRecord& record) {
  const int64_t size = wrong.rows * wrong.columns, elements = size * wrong.count;
  return with_grid(stream, blocks_for(elements), [&](const Grid& grid) {
    return launch<judge_bits>(grid, static_cast<const bool*>(wrong.data), size, elements, record);
  });
}

cudaError_t judge(cudaStream_t stream, const int* info, const int* lost, int64_t count, MatrixFault fault,
                  const FaultRecord& record) {
  return with_grid(stream, blocks_for(count), [&](const Grid& grid) {
    return launch<judge_each>(grid, info, lost, count, fault, record);
  });
}

cudaError_t judge_diagonal(cudaStream_t stream, const Matrices& a, const FaultRecord& record) {
  return with_grid(stream, a.count, [&](const Grid& grid) {
    return with_elements(a, [&]<class T>(T* data) {
      return launch<find_zeros<T>>(grid, static_cast<const T*>(data), a.rows, record);
    });
  });
}

cudaError_t number_pivots(cudaStream_t stream, const int* from, int64_t* to, int64_t count) {
  return with_grid(stream, blocks_for(count),
                   [&](const Grid& grid) { return launch<count_from_zero>(grid, from, to, count); });
}

cudaError_t exchange_rows(cudaStream_t stream, const Matrices& a, const int64_t* pivots, bool inverse,
                          const FaultRecord& record) {
  return with_grid(stream, blocks_for(a.columns * a.count), [&](const Grid& grid) {
    return with_elements(a, [&]<class T>(T* data) {
      return launch<exchange<T>>(grid, data, a.rows, a.columns, a.count, pivots, inverse, record);
    });
  });
}

cudaError_t set_aside(cudaStream_t stream, const Matrices& a, int* lost) {
  return with_grid(stream, a.count, [&](const Grid& grid) {
    return with_parts(a, [&]<class T>(T* data, int64_t n) {
      return launch<zero_where_lost<T>>(grid, data, n * a.rows * a.columns, lost);
    });
  });
}

cudaError_t lose(cudaStream_t stream, const Matrices& a, const int* lost) {
  return with_grid(stream, a.count, [&](const Grid& grid) {
    return with_parts(a, [&]<class T>(T* data, int64_t n) {
      return launch<nan_where_lost<T>>(grid, data, n * a.rows * a.columns, lost);
    });
  });
}

cudaError_t conjugate(cudaStream_t stream, const Matrices& a) {
  const int64_t elements = a.rows * a.columns * a.count;
  return with_grid(stream, blocks_for(elements), [&](const Grid& grid) {
    return with_elements(a, [&]<class T>(T* data) {
      if constexpr (is_complex_type<T>) {
        return launch<negate_imaginary<RealPart<T>>>(grid, data, elements);
      } else {
        return cudaSuccess;
      }
    });
  });
}

cudaError_t turn_columns(cudaStream_t stream, const Matrices& vectors, const Matrices& values) {
  return turn_vectors(stream, vectors, values, vectors.rows, vectors.columns, 1, true);
}

cudaError_t turn_rows(cudaStream_t stream, const Matrices& vectors, const Matrices& values) {
  return turn_vectors(stream, vectors, values, vectors.columns, 1, vectors.columns, false);
}

cudaError_t split_equal_values(cudaStream_t stream, const Matrices& values, const Matrices& left,
                               const Matrices& right, const Matrices& t, bool singular, void* room) {
  return with_grid(stream, blocks_for(values.count), [&](const Grid& grid) {
    return with_elements(left, [&]<class T>(T* vectors) {
      return launch<split<T>>(grid, static_cast<const RealPart<T>*>(values.data), values.rows, vectors,
                              left.rows, static_cast<T*>(right.data), right.rows,
                              static_cast<const T*>(t.data), singular, static_cast<T*>(room), values.count);
    });
  });
}

}  // namespace tidu::cuda
