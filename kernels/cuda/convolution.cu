// Convolutions as products of matrices.
#include "kernels/cuda/convolution.h"

#include <algorithm>

#include "kernels/convert.h"
#include "kernels/cuda/portable.h"

namespace tidu::cuda {
namespace {

using Tuning = ConvolutionTuning;

// The part of a place that an output or an element of a kernel contributes, and what it does to an address.
struct Place {
  int64_t shift = 0, at[kMaxSpatial] = {};
};

// Numbers divided in 32 bits, which a GPU does in place, where they fit.
template <class Index> struct Columns {
  __device__ __forceinline__ static Place of_column(const Convolution& work, int64_t number) {
    Place place;
    Index rest = static_cast<Index>(number);
#pragma unroll
    for (int k = kMaxSpatial - 1; k >= 0; --k) {
      const Index n = static_cast<Index>(work.axis[k].count), next = rest / n;
      place.at[k] = static_cast<int64_t>(rest - next * n) * work.axis[k].stride - work.axis[k].low;
      rest = next;
    }
    place.shift = static_cast<int64_t>(rest) * work.by_image;
    return place;
  }
  __device__ __forceinline__ static Place of_row(const Convolution& work, int64_t number) {
    Place place;
    Index rest = static_cast<Index>(number);
#pragma unroll
    for (int k = kMaxSpatial - 1; k >= 0; --k) {
      const Index n = static_cast<Index>(work.axis[k].kernel), next = rest / n;
      place.at[k] = static_cast<int64_t>(rest - next * n) * work.axis[k].dilation;
      rest = next;
    }
    place.shift = static_cast<int64_t>(rest) * work.by_channel;
    return place;
  }
};

// What a column and a row of the second matrix meet with in x.
template <class T>
__device__ __forceinline__ Computed<T> element_of(const Convolution& work, const T* x, const Place& column,
                                                  const Place& row) {
  int64_t shift = column.shift + row.shift;
#pragma unroll
  for (int k = 0; k < kMaxSpatial; ++k) {
    const int64_t element = work.axis[k].element(column.at[k] + row.at[k]);
    if (element < 0) return Computed<T>(0);
    shift += element * work.by_place[k];
  }
  return static_cast<Computed<T>>(x[shift]);
}

template <class T, class Index>
__global__ void __launch_bounds__(Tuning::kThreads)
    convolve_kernel(const __grid_constant__ Convolution work, unsigned across, int64_t part,
                    Computed<T>* parts) {
  using Real = Computed<T>;
  constexpr int kTile = Tuning::kTile, kStep = Tuning::kStep, kHeld = Tuning::kHeld, kSide = kTile / kHeld;
  TIDU_SHARED(left, Real[kStep][kTile + 1]);
  TIDU_SHARED(right, Real[kStep][kTile + 1]);
  // A division that is called keeps registers. Host compilers do not know the pragma that reads this.
  [[maybe_unused]] constexpr int kTogether = sizeof(Index) == 8 ? 1 : 4;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t group = blockIdx.x / across, column0 = static_cast<int64_t>(blockIdx.x % across) * kTile,
                output0 = static_cast<int64_t>(blockIdx.y) * kTile;
  const int64_t depth = work.depth(), columns = work.columns(), begin = blockIdx.z * part,
                end = begin + part < depth ? begin + part : depth;
  const T* const x = static_cast<const T*>(work.x) + group * work.by_group;
  const T* const kernel = static_cast<const T*>(work.kernel) + group * work.outputs * depth;
  // This thread reads one column of each piece, and one row of the kernels.
  const int my_column = thread % kTile, my_row = thread / kTile, my_step = thread % kStep,
            my_output = thread / kStep;
  const bool has_column = column0 + my_column < columns;
  const Place column = Columns<Index>::of_column(work, has_column ? column0 + my_column : 0);

  Real sums[kHeld][kHeld] = {};
  for (int64_t at = begin; at < end; at += kStep) {
#pragma unroll kTogether
    for (int k = 0; k < kTile; k += Tuning::kThreads / kStep) {
      const int64_t output = output0 + my_output + k, row = at + my_step;
      left[my_step][my_output + k] =
          output < work.outputs && row < end ? static_cast<Real>(kernel[output * depth + row]) : Real(0);
    }
#pragma unroll kTogether
    for (int k = 0; k < kStep; k += Tuning::kThreads / kTile) {
      const int64_t row = at + my_row + k;
      right[my_row + k][my_column] =
          has_column && row < end ? element_of(work, x, column, Columns<Index>::of_row(work, row)) : Real(0);
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kStep; ++k) {
      Real a[kHeld], b[kHeld];
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        a[i] = left[k][thread / kSide + i * kSide];
        b[i] = right[k][thread % kSide + i * kSide];
      }
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
#pragma unroll
        for (int j = 0; j < kHeld; ++j) sums[i][j] += a[i] * b[j];
      }
    }
    __syncthreads();
  }

  const int64_t places = work.places();
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    const int64_t number = column0 + thread % kSide + j * kSide;
    if (number >= columns) continue;
    const int64_t image = static_cast<int64_t>(static_cast<Index>(number) / static_cast<Index>(places)),
                  place = number - image * places;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const int64_t output = output0 + thread / kSide + i * kSide;
      if (output >= work.outputs) continue;
      const int64_t to = ((image * work.groups + group) * work.outputs + output) * places + place;
      if (parts) {
        parts[blockIdx.z * work.size() + to] = sums[i][j];
      } else {
        const Real bias =
            work.bias ? static_cast<Real>(static_cast<const T*>(work.bias)[group * work.outputs + output])
                      : Real(0);
        static_cast<T*>(work.y)[to] = static_cast<T>(sums[i][j] + bias);
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(Tuning::kThreads)
    add_parts_kernel(const __grid_constant__ Convolution work, int splits, const Computed<T>* parts) {
  using Real = Computed<T>;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * Tuning::kThreads + threadIdx.x, size = work.size();
  if (i >= size) return;
  Real sum = 0;
  for (int k = 0; k < splits; ++k) sum += parts[k * size + i];
  if (work.bias) {
    sum +=
        static_cast<Real>(static_cast<const T*>(work.bias)[i / work.places() % (work.groups * work.outputs)]);
  }
  static_cast<T*>(work.y)[i] = static_cast<T>(sum);
}

int64_t up(int64_t n, int64_t divisor) { return (n + divisor - 1) / divisor; }

}  // namespace

int convolution_splits(const Convolution& work) {
  constexpr int64_t kEnoughBlocks = 128, kLeast = 16 * Tuning::kStep, kMost = 64;
  const int64_t blocks = work.groups * up(work.columns(), Tuning::kTile) * up(work.outputs, Tuning::kTile);
  const int64_t wanted =
      std::min({up(kEnoughBlocks, std::max<int64_t>(blocks, 1)), work.depth() / kLeast, kMost});
  return static_cast<int>(std::max<int64_t>(wanted, 1));
}

size_t convolution_workspace(const Convolution& work, int splits) {
  const size_t each = work.dtype == DType::float64 ? 8 : 4;
  return splits > 1 ? static_cast<size_t>(work.size() * splits) * each : 0;
}

cudaError_t convolve(cudaStream_t stream, const Convolution& work, int splits, void* workspace) {
  if (work.size() == 0) return cudaSuccess;
  return visit_floating(work.dtype, cudaErrorInvalidValue, [&]<class T>() {
    const int64_t across = up(work.columns(), Tuning::kTile), down = up(work.outputs, Tuning::kTile);
    constexpr int64_t kMostBlocks = 65535;
    if (across * work.groups > INT32_MAX || down > kMostBlocks) return cudaErrorInvalidConfiguration;
    const int64_t part = up(up(work.depth(), splits), Tuning::kStep) * Tuning::kStep;
    auto* const parts = splits > 1 ? static_cast<Computed<T>*>(workspace) : nullptr;
    const Grid grid({static_cast<unsigned>(across * work.groups), static_cast<unsigned>(down),
                     static_cast<unsigned>(splits)},
                    Tuning::kThreads, 0, stream);
    const bool narrow = std::max(work.columns(), work.depth()) <= UINT32_MAX;
    const cudaError_t error =
        narrow ? launch<convolve_kernel<T, uint32_t>>(grid, work, static_cast<unsigned>(across), part, parts)
               : launch<convolve_kernel<T, uint64_t>>(grid, work, static_cast<unsigned>(across), part, parts);
    if (error != cudaSuccess || splits == 1) return error;
    return launch<add_parts_kernel<T>>(
        {static_cast<unsigned>(up(work.size(), Tuning::kThreads)), Tuning::kThreads, 0, stream}, work, splits,
        static_cast<const Computed<T>*>(parts));
  });
}

}  // namespace tidu::cuda
