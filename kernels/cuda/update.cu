// The fused update steps of the optimisers. A launch takes a table of as many parameters as its arguments
// hold; blocks are shared out by the parameters' sizes.
#include "kernels/cuda/update.h"

#include <utility>

#include "kernels/convert.h"
#include "kernels/cuda/portable.h"

namespace tidu::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kTable = 60;           // parameters of a launch: their table fits the 4 KiB of its arguments
constexpr int64_t kShare = 1 << 12;  // elements of a block
constexpr int64_t kMaxBlocks = int64_t{1} << 30;

struct Table {
  void* data[kMaxUpdateArrays][kTable];
  const ClockRow* clock[kTable];
  int64_t count[kTable];
  uint32_t end[kTable];  // of each parameter's blocks
  int parameters;
};
static_assert(sizeof(Table) < 3800);

// The type of array k of a parameter of type T.
template <class T, int groups, size_t k>
using Element = std::conditional_t<k == 0 || k + 1 == groups, T, Computed<T>>;

template <class T, int n, class Real>
__device__ __forceinline__ void load_as(const void* from, Real (&to)[n]) {
  const Vec<T, n> x = load_vec<n>(static_cast<const T*>(from));
#pragma unroll
  for (int j = 0; j < n; ++j) to[j] = static_cast<Real>(x[j]);
}
template <class T, int n, class Real>
__device__ __forceinline__ void store_as(void* to, const Real (&from)[n]) {
  Vec<T, n> x;
#pragma unroll
  for (int j = 0; j < n; ++j) x[j] = static_cast<T>(from[j]);
  store_vec<n>(static_cast<T*>(to), x);
}

template <class Rule, class T, int n, size_t... k>
__device__ __forceinline__ void step_at(const Rule& rule, void* const (&arrays)[sizeof...(k)],
                                        std::index_sequence<k...>) {
  constexpr int groups = sizeof...(k);
  Computed<T> value[groups][n];
  (load_as<Element<T, groups, k>>(arrays[k], value[k]), ...);
#pragma unroll
  for (int j = 0; j < n; ++j) rule(value[k][j]...);
  ((k + 1 < groups ? store_as<Element<T, groups, k>>(arrays[k], value[k]) : void()), ...);
}

// The bytes of an element of array k.
template <class T> __host__ __device__ int64_t bytes_of(int k, int groups) {
  return k == 0 || k + 1 == groups ? sizeof(T) : sizeof(Computed<T>);
}

// Of calls that are not clocked the rule is made on the host.
template <class Rule, class Source>
__device__ __forceinline__ Rule rule_from(const Source& source, const ClockRow* clock) {
  if constexpr (std::is_same_v<Source, Rule>) {
    return source;
  } else {
    Source step = source;
    step.set(*clock);
    return Rule(step);
  }
}

template <class Rule, class T, int groups, class Source>
__global__ void __launch_bounds__(kThreads)
    update_kernel(const __grid_constant__ Table table, const __grid_constant__ Source source) {
  // Of 16-bit parameters with two states fewer, which their conversions would spill.
  constexpr int n = groups == 2 ? kVec<T> : kVec<Computed<T>> / (is_half<T> && groups > 3 ? 2 : 1);
  constexpr auto all = std::make_index_sequence<groups>();
  int parameter = 0;
  for (int high = table.parameters - 1; parameter < high;) {
    const int middle = (parameter + high) / 2;
    if (blockIdx.x < table.end[middle]) {
      high = middle;
    } else {
      parameter = middle + 1;
    }
  }
  const Rule rule = rule_from<Rule>(source, table.clock[parameter]);
  const uint32_t block = blockIdx.x - (parameter > 0 ? table.end[parameter - 1] : 0);
  const int64_t begin = block * kShare, rest = table.count[parameter] - begin;
  const int count = static_cast<int>(rest < kShare ? rest : kShare);
  char* arrays[groups];
  uintptr_t addresses = 0;
  for (int k = 0; k < groups; ++k) {
    arrays[k] = static_cast<char*>(table.data[k][parameter]) + begin * bytes_of<T>(k, groups);
    addresses |= reinterpret_cast<uintptr_t>(arrays[k]);
  }
  const auto step = [&]<int m>(int i, std::integral_constant<int, m>) {
    void* here[groups];
    for (int k = 0; k < groups; ++k) here[k] = arrays[k] + i * bytes_of<T>(k, groups);
    step_at<Rule, T, m>(rule, here, all);
  };
  const int whole = addresses % 16 == 0 ? count / n * n : 0;
  for (int i = threadIdx.x * n; i < whole; i += kThreads * n) step(i, std::integral_constant<int, n>());
  for (int i = whole + threadIdx.x; i < count; i += kThreads) step(i, std::integral_constant<int, 1>());
}

template <int groups, class T, class Rule, class Source>
cudaError_t update_all(cudaStream_t stream, const Source& source, std::span<const UpdateArrays> parameters) {
  Table table;
  table.parameters = 0;
  int64_t blocks = 0;
  const auto flush = [&]() -> cudaError_t {
    if (blocks == 0) return cudaSuccess;
    const Grid grid(static_cast<unsigned>(blocks), kThreads, 0, stream);
    const cudaError_t error = launch<update_kernel<Rule, T, groups, Source>>(grid, table, source);
    table.parameters = 0;
    blocks = 0;
    return error;
  };
  for (UpdateArrays rest : parameters) {
    while (rest.count > 0) {
      const int64_t count = rest.count < kMaxBlocks * kShare ? rest.count : kMaxBlocks * kShare;
      const int64_t needed = (count + kShare - 1) / kShare;
      if (table.parameters == kTable || blocks + needed > kMaxBlocks) {
        if (const cudaError_t error = flush(); error != cudaSuccess) return error;
      }
      const int at = table.parameters++;
      for (int k = 0; k < groups; ++k) {
        table.data[k][at] = rest.data[k];
        rest.data[k] = static_cast<char*>(rest.data[k]) + count * bytes_of<T>(k, groups);
      }
      table.count[at] = count;
      table.clock[at] = rest.clock;
      rest.count -= count;
      blocks += needed;
      table.end[at] = static_cast<uint32_t>(blocks);
    }
  }
  return flush();
}

// Of the rule that `Rule` names for the type that T is computed in.
template <int groups, template <class> class Rule, class Step>
cudaError_t update_any(cudaStream_t stream, const Step& step, DType dtype,
                       std::span<const UpdateArrays> parameters) {
  return visit_floating(dtype, cudaErrorInvalidValue, [&]<class T>() {
    using Applied = Rule<Computed<T>>;
    const bool clocked = !parameters.empty() && parameters[0].clock;
    return clocked ? update_all<groups, T, Applied>(stream, step, parameters)
                   : update_all<groups, T, Applied>(stream, Applied(step), parameters);
  });
}

}  // namespace

cudaError_t update(cudaStream_t stream, const SgdStep& step, DType dtype,
                   std::span<const UpdateArrays> parameters) {
  return step.momentum == 0 ? update_any<2, SgdRule>(stream, step, dtype, parameters)
                            : update_any<3, MomentumRule>(stream, step, dtype, parameters);
}

cudaError_t update(cudaStream_t stream, const AdamStep& step, DType dtype,
                   std::span<const UpdateArrays> parameters) {
  return update_any<4, AdamRule>(stream, step, dtype, parameters);
}

cudaError_t update(cudaStream_t stream, const RmspropStep& step, DType dtype,
                   std::span<const UpdateArrays> parameters) {
  return step.momentum == 0 ? update_any<3, RmspropRule>(stream, step, dtype, parameters)
                            : update_any<4, RmspropRule>(stream, step, dtype, parameters);
}

}  // namespace tidu::cuda
