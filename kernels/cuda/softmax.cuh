// The kernels of softmax and its relatives, for a job that says what is made of a row:
//
//   template <class T> struct Job {
//     static constexpr bool exponential;   whether it wants exp(x - largest) or x
//     static constexpr bool any_axis;      whether its axis may be another than the last
//     static constexpr bool loss;          whether it writes one number a row, at one element, or all
//     elements Job(const SoftmaxPass& pass, int64_t row, bool first);    one thread of a row is the first
//     void prepare(Real largest, Real sum);
//     T value(Real x, int64_t i) const;    the loss, in Real, only of element `label.value`
//   };
#pragma once

#include "kernels/cuda/block.cuh"
#include "kernels/cuda/part.cuh"
#include "kernels/cuda/softmax.h"
#include "kernels/reduction.h"

namespace tidu::cuda {

struct SoftmaxPass {
  Softmax rows;
  Labels labels;
  int64_t count;  // of rows
  int threads;    // of a group that holds a row
};

template <class A> struct Largest {
  TIDU_HD static A combine(A a, A b) { return a > b ? a : b; }
};
template <class A> struct Total {
  TIDU_HD static A combine(A a, A b) { return a + b; }
};

template <class T> inline constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();

// A group of threads, part of a warp or a block, holds one row in registers: each thread `held` elements.
template <class T, template <class> class Job, int v, int held, bool block>
TIDU_PART(block ? SoftmaxTuning::kLongThreads : SoftmaxTuning::kThreads, 1)
softmax_rows(TIDU_PASS(SoftmaxPass) pass) {
  using Real = Computed<T>;
  TIDU_SHARED(largest_stage, WarpStage<Real>);
  TIDU_SHARED(sum_stage, WarpStage<Real>);
  constexpr int vectors = held / v;
  const int threads = pass.threads, thread = static_cast<int>(threadIdx.x);
  const int lane = block ? thread : thread & (threads - 1);
  const int64_t row =
      block ? TIDU_BLOCK : int64_t{TIDU_BLOCK} * (SoftmaxTuning::kThreads / threads) + thread / threads;
  const bool active = row < pass.count;
  const Walk::Place place = active ? pass.rows.kept.at(row) : Walk::Place{};
  const int n = active ? static_cast<int>(pass.rows.n) : 0;
  Job<T> job(pass, active ? row : 0, active && lane == 0);
  const T* x = static_cast<const T*>(pass.rows.x) + place.in;
  // What is beyond the row adds nothing to the sum, or to one that is not used: that of nothing but -inf.
  constexpr Real nothing = -std::numeric_limits<Real>::infinity();
  Real element[held], largest = nothing, of_label = nothing;
  // One address that moves on: the many of single elements would take the registers that hold the row. All
  // is loaded before any of it is used, and set before it is loaded, lest each load waits for the one before.
  const int64_t stride = v > 1 ? v : pass.rows.x_stride, step = threads * stride;
  const T* from = x + lane * stride;
  Vec<T, v> some[vectors];
#pragma unroll
  for (int k = 0; k < vectors; ++k, from += step) {
#pragma unroll
    for (int j = 0; j < v; ++j) some[k][j] = static_cast<T>(nothing);
    if ((k * threads + lane) * v < n) some[k] = load_vec<v>(from);
  }
#pragma unroll
  for (int k = 0; k < vectors; ++k) {
#pragma unroll
    for (int j = 0; j < v; ++j) {
      element[k * v + j] = static_cast<Real>(some[k][j]);
      largest = Largest<Real>::combine(element[k * v + j], largest);
      if constexpr (Job<T>::loss) {
        if ((k * threads + lane) * v + j == static_cast<int>(job.label.value)) of_label = element[k * v + j];
      }
    }
  }
  largest = block ? block_reduce<Largest<Real>>(largest, largest_stage)
                  : warp_reduce<Largest<Real>>(largest, threads);
  Real sum = 0;
#pragma unroll
  for (int k = 0; k < vectors; ++k) {
    if (k * threads * v >= n) continue;
#pragma unroll
    for (int j = 0; j < v; ++j) {
      const Real e = reduction::shifted_exp(element[k * v + j], largest);
      if (Job<T>::exponential) element[k * v + j] = e;
      sum += e;
    }
  }
  sum = block ? block_reduce<Total<Real>>(sum, sum_stage) : warp_reduce<Total<Real>>(sum, threads);
  if (!active) return;
  job.prepare(largest, sum);
  if constexpr (Job<T>::loss) {
    const int vector = static_cast<int>(job.label.value) / v;
    if ((vector & (threads - 1)) == lane)
      static_cast<Real*>(pass.rows.y)[place.out] = job.value(of_label, job.label.value);
  } else {
    T* y = static_cast<T*>(pass.rows.y) + place.out;
#pragma unroll
    for (int k = 0; k < vectors; ++k) {
      const int i = (k * threads + lane) * v;
      if (i >= n) continue;
      Vec<T, v> some;
#pragma unroll
      for (int j = 0; j < v; ++j) some[j] = job.value(element[k * v + j], i + j);
      store_vec<v>(y + i, some);
    }
  }
}

// Where shared memory holds the elements of rows of n that lie one behind the other: the banks are `banks`
// elements wide, and one is left out wherever a whole number of rows fills whole lines of them. So neither
// neighbours nor the same element of neighbouring rows meet in a bank.
template <int banks> struct ShortRows {
  int n, together = banks, lines;  // rows that end with a line, and the lines that they fill
  int inverse;                     // of lines, in units of 2^-16: for dividing what is below 2^11

  __device__ __forceinline__ explicit ShortRows(int n) : n(n), lines(n) {
    while (together > 1 && lines % 2 == 0) together /= 2, lines /= 2;
    inverse = (1 << 16) / lines + 1;
  }
  __device__ __forceinline__ int of_row(int row) const { return row * n + row / together; }
  __device__ __forceinline__ int of_line(int line) const { return line * banks + (line * inverse >> 16); }
};

// A thread has a short row. All rows of a block go through shared memory, to and from which they move as they
// lie, since single rows would be reached in pieces of sectors.
template <class T, template <class> class Job>
TIDU_PART(SoftmaxTuning::kThreads, 1)
softmax_short_rows(TIDU_PASS(SoftmaxPass) pass) {
  using Real = Computed<T>;
  TIDU_DYNAMIC_SHARED(stage, Real);
  constexpr int threads = SoftmaxTuning::kThreads, banks = 128 / static_cast<int>(sizeof(Real)), loads = 16;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % banks, line = thread / banks;
  const int64_t first = int64_t{TIDU_BLOCK} * threads, rest = pass.count - first;
  const int rows = rest < threads ? static_cast<int>(rest) : threads, n = static_cast<int>(pass.rows.n);
  const int elements = rows * n, step = threads / banks;
  const ShortRows<banks> places(n);
  const T* const x = static_cast<const T*>(pass.rows.x) + first * n;
  for (int begin = 0; begin < n; begin += loads) {
    T some[loads] = {};
#pragma unroll
    for (int k = 0; k < loads; ++k) {
      const int i = (begin + k) * threads + thread;
      if (i < elements) some[k] = x[i];
    }
    loads_above();
#pragma unroll
    for (int k = 0; k < loads; ++k) {
      if ((begin + k) * threads + thread < elements)
        stage[places.of_line((begin + k) * step + line) + lane] = static_cast<Real>(some[k]);
    }
  }
  __syncthreads();
  if (thread < rows) {
    const int64_t row = first + thread;
    Real* const element = stage + places.of_row(thread);
    Job<T> job(pass, row, true);
    Real largest = -std::numeric_limits<Real>::infinity(), sum = 0, of_label = 0;
    for (int i = 0; i < n; ++i) {
      largest = Largest<Real>::combine(element[i], largest);
      if constexpr (Job<T>::loss) of_label = i == job.label.value ? element[i] : of_label;
    }
    for (int i = 0; i < n; ++i) {
      const Real e = reduction::shifted_exp(element[i], largest);
      if (Job<T>::exponential) element[i] = e;
      sum += e;
    }
    job.prepare(largest, sum);
    if constexpr (Job<T>::loss) {
      static_cast<Real*>(pass.rows.y)[pass.rows.kept.at(row).out] = job.value(of_label, job.label.value);
    } else {
      for (int i = 0; i < n; ++i) element[i] = static_cast<Real>(job.value(element[i], i));
    }
  }
  if constexpr (!Job<T>::loss) {
    __syncthreads();
    T* const y = static_cast<T*>(pass.rows.y) + first * n;
#pragma unroll 4
    for (int k = 0; k < n; ++k) {
      const int i = k * threads + thread;
      if (i < elements) y[i] = static_cast<T>(stage[places.of_line(k * step + line) + lane]);
    }
  }
}

// Neighbouring threads hold neighbouring columns, the rows of threads in a block share their elements.
template <class T, template <class> class Job, int held>
__global__ void __launch_bounds__(SoftmaxTuning::kThreads, 1) softmax_columns(SoftmaxPass pass) {
  using Real = Computed<T>;
  constexpr Real nothing = -std::numeric_limits<Real>::infinity();
  TIDU_SHARED(stage, Staged<Real, SoftmaxTuning::kThreads>);
  const int width = pass.threads, height = SoftmaxTuning::kThreads / width;
  const int first = static_cast<int>(threadIdx.x) / width;
  const int64_t row = int64_t{blockIdx.x} * width + threadIdx.x % width;
  const bool active = row < pass.count;
  const Walk::Place place = active ? pass.rows.kept.at(row) : Walk::Place{};
  const int n = active ? static_cast<int>(pass.rows.n) : 0;
  const int64_t step = height * pass.rows.x_stride;
  const T* from = static_cast<const T*>(pass.rows.x) + place.in + first * pass.rows.x_stride;
  T some[held];
#pragma unroll
  for (int k = 0; k < held; ++k, from += step) {
    some[k] = static_cast<T>(nothing);
    if (k * height + first < n) some[k] = *from;
  }
  Real element[held], largest = nothing;
#pragma unroll
  for (int k = 0; k < held; ++k) {
    element[k] = static_cast<Real>(some[k]);
    largest = Largest<Real>::combine(element[k], largest);
  }
  largest = column_reduce_all<Largest<Real>>(largest, width, height, stage);
  Real sum = 0;
#pragma unroll
  for (int k = 0; k < held; ++k) {
    if (k * height >= n) continue;
    const Real e = reduction::shifted_exp(element[k], largest);
    if (Job<T>::exponential) element[k] = e;
    sum += e;
  }
  sum = column_reduce_all<Total<Real>>(sum, width, height, stage);
  if (!active) return;
  Job<T> job(pass, row, first == 0);
  job.prepare(largest, sum);
  T* y = static_cast<T*>(pass.rows.y) + place.out;
#pragma unroll
  for (int k = 0; k < held; ++k) {
    const int i = k * height + first;
    if (i < n) y[i * pass.rows.y_stride] = job.value(element[k], i);
  }
}

// Each thread makes v neighbours of y from what was found of their rows.
template <class T, template <class> class Job, int v>
__global__ void __launch_bounds__(SoftmaxTuning::kThreads) softmax_elements(SoftmaxPass pass) {
  using Real = Computed<T>;
  using State = typename reduction::LogSumExp<T>::State;
  const int64_t at = (int64_t{blockIdx.x} * SoftmaxTuning::kThreads + threadIdx.x) * v;
  if (at >= pass.count * pass.rows.n) return;
  const int64_t inner = pass.rows.y_stride, frame = at / (pass.rows.n * inner);
  const int64_t rest = at - frame * pass.rows.n * inner, i = rest / inner,
                row = frame * inner + rest - i * inner;
  const T* x = static_cast<const T*>(pass.rows.x) + pass.rows.kept.at(row).in + i * pass.rows.x_stride;
  const State* states = static_cast<const State*>(pass.rows.workspace);
  const Vec<T, v> from = load_vec<v>(x);
  Vec<T, v> to;
#pragma unroll
  for (int j = 0; j < v; ++j) {
    const int64_t here = inner == 1 ? row : row + j, index = inner == 1 ? i + j : i;
    const State state = load_vec<1>(states + here)[0];
    Job<T> job(pass, here, index == 0);
    job.prepare(state.largest, state.sum);
    const Real element = static_cast<Real>(from[j]);
    to[j] = job.value(Job<T>::exponential ? reduction::shifted_exp(element, state.largest) : element, index);
  }
  store_vec<v>(static_cast<T*>(pass.rows.y) + at, to);
}

// The number of each row from what was found of it.
template <class T, template <class> class Job>
__global__ void __launch_bounds__(SoftmaxTuning::kThreads) row_losses(SoftmaxPass pass) {
  using State = typename reduction::LogSumExp<T>::State;
  const int64_t row = int64_t{blockIdx.x} * SoftmaxTuning::kThreads + threadIdx.x;
  if (row >= pass.count) return;
  const State state = load_vec<1>(static_cast<const State*>(pass.rows.workspace) + row)[0];
  const Walk::Place place = pass.rows.kept.at(row);
  Job<T> job(pass, row, true);
  job.prepare(state.largest, state.sum);
  const T* x = static_cast<const T*>(pass.rows.x) + place.in;
  const int64_t i = job.label.value;
  static_cast<Computed<T>*>(pass.rows.y)[place.out] =
      job.value(static_cast<Computed<T>>(x[i * pass.rows.x_stride]), i);
}

#ifndef TIDU_PARTS

// "softmax_rows<float, Loss" for a text.
template <class T, template <class> class Job> std::string softmax_function(const char* kernel) {
  const std::string job = spelled<Job<T>>();
  return std::string(kernel) + "<" + spelled<T>() + ", " + job.substr(0, job.find('<'));
}
inline constexpr const char* kSoftmaxHeader = "kernels/cuda/softmax_jobs.cuh";

template <class T> bool vectorises(const Softmax& rows, int v, bool loss) {
  const auto aligned = [v](const void* p) {
    return reinterpret_cast<uintptr_t>(p) % (sizeof(T) * static_cast<size_t>(v)) == 0;
  };
  bool possible = v > 1 && aligned(rows.x) && (loss || aligned(rows.y));
  if (rows.y_stride > 1) {
    return possible && rows.y_stride % v == 0 && rows.x_stride % v == 0 && rows.kept.reads_together(v) &&
           rows.kept.extent[rows.kept.rank - 1] % v == 0;
  }
  return possible && rows.n % v == 0 && rows.x_stride == 1 && rows.kept.reads_at_multiples(v);
}

template <class T, template <class> class Job, int v, int held, bool block>
[[nodiscard]] cudaError_t launch_rows_of(cudaStream_t stream, unsigned blocks, unsigned threads,
                                         const SoftmaxPass& pass) {
  return launch_part<softmax_rows<T, Job, v, held, block>>(
      {blocks, threads, 0, stream}, pass, kSoftmaxHeader, [] {
        return softmax_function<T, Job>("softmax_rows") + ", " + std::to_string(v) + ", " +
               std::to_string(held) + (block ? ", true>(block, pass)" : ", false>(block, pass)");
      });
}

template <class T, template <class> class Job, int v>
[[nodiscard]] cudaError_t launch_rows(cudaStream_t stream, SoftmaxPass pass) {
  using S = SoftmaxTuning;
  constexpr int registers = sizeof(T) == 8 ? 2 : 1;
  constexpr int few = S::kFew / registers, many = S::kMany / registers;
  constexpr int blocks_many = S::held(v > 1) / registers;
  const int64_t n = pass.rows.n;
  pass.threads = 1;
  if (n > kWarp * many) {
    pass.threads = n <= S::kThreads * blocks_many ? S::kThreads : S::kLongThreads;
    const unsigned blocks = static_cast<unsigned>(pass.count), threads = static_cast<unsigned>(pass.threads);
    return launch_rows_of<T, Job, v, blocks_many, true>(stream, blocks, threads, pass);
  }
  // With several vectors a thread there are fewer steps of the reductions, and more loads on their way.
  while (pass.threads < kWarp && pass.threads * (v > 1 ? few : 1) < n) pass.threads *= 2;
  const int64_t groups = S::kThreads / pass.threads;
  const unsigned blocks = static_cast<unsigned>((pass.count + groups - 1) / groups);
  return n <= kWarp * few ? launch_rows_of<T, Job, v, few, false>(stream, blocks, S::kThreads, pass)
                          : launch_rows_of<T, Job, v, many, false>(stream, blocks, S::kThreads, pass);
}

template <class T, template <class> class Job>
[[nodiscard]] cudaError_t launch_short_rows(cudaStream_t stream, const SoftmaxPass& pass) {
  constexpr int threads = SoftmaxTuning::kThreads;
  const unsigned blocks = static_cast<unsigned>((pass.count + threads - 1) / threads);
  // Of each row, and at most one left out for each.
  const auto bytes = static_cast<size_t>(threads * (pass.rows.n + 1)) * sizeof(Computed<T>);
  return launch_part<softmax_short_rows<T, Job>>({blocks, threads, bytes, stream}, pass, kSoftmaxHeader, [] {
    return softmax_function<T, Job>("softmax_short_rows") + ">(block, pass)";
  });
}

template <class T, template <class> class Job>
[[nodiscard]] cudaError_t launch_columns(cudaStream_t stream, SoftmaxPass pass) {
  using S = SoftmaxTuning;
  constexpr int many = S::kMany / (sizeof(T) == 8 ? 2 : 1);
  int height = 1;
  while (height < S::kMaxHeight && height * S::kEach < pass.rows.n) height *= 2;
  pass.threads = S::kThreads / height;
  const unsigned blocks = static_cast<unsigned>((pass.count + pass.threads - 1) / pass.threads);
  return launch<softmax_columns<T, Job, many>>({blocks, S::kThreads, 0, stream}, pass);
}

template <class T, template <class> class Job, int v>
[[nodiscard]] cudaError_t launch_elements(cudaStream_t stream, const SoftmaxPass& pass) {
  constexpr int64_t each = int64_t{SoftmaxTuning::kThreads} * v;
  const unsigned blocks = static_cast<unsigned>((pass.count * pass.rows.n + each - 1) / each);
  return launch<softmax_elements<T, Job, v>>({blocks, SoftmaxTuning::kThreads, 0, stream}, pass);
}

template <template <class> class Job>
[[nodiscard]] cudaError_t softmax_with(cudaStream_t stream, DType dtype, const Softmax& rows,
                                       const Labels& labels) {
  const SoftmaxPass pass = {rows, labels, rows.kept.size(), 0};
  if (pass.count == 0 || rows.n == 0) return cudaSuccess;
  return visit_floating(dtype, cudaErrorInvalidValue, [&]<class T>() {
    constexpr int widest = kVec<T>;
    const bool wide = vectorises<T>(rows, widest, Job<T>::loss);
    if (rows.is_short(!Job<T>::loss)) return launch_short_rows<T, Job>(stream, pass);
    if (rows.fits(dtype, wide))
      return wide ? launch_rows<T, Job, widest>(stream, pass) : launch_rows<T, Job, 1>(stream, pass);
    if constexpr (Job<T>::any_axis) {
      if (rows.column_fits(dtype)) return launch_columns<T, Job>(stream, pass);
    }
    const cudaError_t error = logsumexp_states(stream, dtype, rows.states());
    if (error != cudaSuccess) return error;
    if constexpr (Job<T>::loss) {
      const unsigned blocks = static_cast<unsigned>((pass.count - 1) / SoftmaxTuning::kThreads + 1);
      return launch<row_losses<T, Job>>({blocks, SoftmaxTuning::kThreads, 0, stream}, pass);
    } else {
      return wide ? launch_elements<T, Job, widest>(stream, pass) : launch_elements<T, Job, 1>(stream, pass);
    }
  });
}

#endif

}  // namespace tidu::cuda
