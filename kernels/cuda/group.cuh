// What the kernels of groups are made of. Their text is generated (csrc/backend/cuda/generate.cpp) and
// compiled when a program is: it includes this, says what is loaded, computed and stored for n elements that
// lie side by side, and names two kernels.
#pragma once

#include "kernels/convert.h"
#include "kernels/cuda/loop.h"
#include "kernels/cuda/portable.h"
#include "kernels/scalar.h"
#include "kernels/update.h"

namespace tidu::cuda {

// Element numbers, and what they are multiplied and divided by: of 64 bits only where there are as many
// elements, or steps as wide.
struct Narrow {
  using Index = uint32_t;
  using Step = int32_t;
  using Extent = Divisor;
  static TIDU_HD Index value(const Extent& extent) { return extent.value(); }
  static TIDU_HD Index quotient(Index i, const Extent& extent) { return extent.quotient(i); }
};
struct Wide {
  using Index = uint64_t;
  using Step = int64_t;
  using Extent = uint64_t;
  static TIDU_HD Index value(const Extent& extent) { return extent; }
  static TIDU_HD Index quotient(Index i, const Extent& extent) { return i / extent; }
};

// The elements of a loop in row-major order, as outputs lie; dimensions count from the innermost.
template <class Width, int rank> struct Span {
  typename Width::Index count, vectors;
  typename Width::Extent extent[rank];
};

// Element i, and where it is in each dimension.
template <class Width, int rank> struct Place {
  typename Width::Index i, at[rank];

  __device__ __forceinline__ Place(const Span<Width, rank>& span, typename Width::Index element)
      : i(element) {
#pragma unroll
    for (int d = 0; d + 1 < rank; ++d) {
      const auto next = Width::quotient(element, span.extent[d]);
      at[d] = element - next * Width::value(span.extent[d]);
      element = next;
    }
    at[rank - 1] = element;
  }
};

// The inputs, by how they lie beside the loop. load<n> gives the n elements from a place on: neighbours in
// the innermost dimension.

// As the outputs.
template <class T> struct Dense {
  const T* data;
  template <int n> __device__ __forceinline__ Vec<T, n> load(const auto& place) const {
    return load_vec<n>(data + place.i);
  }
};

template <class T, class Width, int rank> struct Strided {
  const T* data;
  typename Width::Step stride[rank];

  __device__ __forceinline__ const T* first(const Place<Width, rank>& place) const {
    typename Width::Step offset = 0;
#pragma unroll
    for (int d = 0; d < rank; ++d) offset += static_cast<typename Width::Step>(place.at[d]) * stride[d];
    return data + offset;
  }
};

// Side by side in the innermost dimension.
template <class T, class Width, int rank> struct Rows : Strided<T, Width, rank> {
  template <int n> __device__ __forceinline__ Vec<T, n> load(const Place<Width, rank>& place) const {
    return load_vec<n>(this->first(place));
  }
};

// The same all along the innermost dimension.
template <class T, class Width, int rank> struct Repeated : Strided<T, Width, rank> {
  template <int n> __device__ __forceinline__ Vec<T, n> load(const Place<Width, rank>& place) const {
    const T x = *this->first(place);
    Vec<T, n> v;
#pragma unroll
    for (int j = 0; j < n; ++j) v[j] = x;
    return v;
  }
};

// Apart.
template <class T, class Width, int rank> struct Scattered : Strided<T, Width, rank> {
  template <int n> __device__ __forceinline__ Vec<T, n> load(const Place<Width, rank>& place) const {
    const T* const x = this->first(place);
    Vec<T, n> v;
#pragma unroll
    for (int j = 0; j < n; ++j) v[j] = x[j * this->stride[0]];
    return v;
  }
};

// Array k of a parameter, p and what belongs to it with the gradient last, after its update. A ClockRow says
// what is another at each step, where there is one.
template <int k, template <class> class Rule, class Step, class T, class... Others>
__device__ __forceinline__ auto updated(Step step, const double* clock, T p, Others... others) {
  using Real = Computed<T>;
  if (clock) step.set({clock[0], clock[1], clock[2], clock[3]});
  const Rule<Real> rule(step);
  const auto after = [&](auto... arrays) {
    rule(arrays...);
    const Real all[] = {arrays...};
    return all[k];
  };
  return static_cast<std::conditional_t<k == 0, T, Real>>(
      after(static_cast<Real>(p), static_cast<Real>(others)...));
}

// A group G has
//   Arguments                the kernels' parameter: a Span called `span`, inputs, numbers, outputs
//   Place                    of its span
//   Inputs<n>, Outputs<n>    n elements of each
//   load<n>(a, place), compute(a, inputs, outputs, j), store<n>(a, place, outputs)
// where compute does element j of the n.

template <int n, class G>
__device__ __forceinline__ void finish_group(const typename G::Arguments& a, const typename G::Place& place,
                                             const typename G::template Inputs<n>& x) {
  typename G::template Outputs<n> y;
#pragma unroll
  for (int j = 0; j < n; ++j) G::compute(a, x, y, j);
  G::template store<n>(a, place, y);
}

// In blocks of so many threads: n elements at once, and by the first threads those that are left, which only
// a loop of rank 1 has.
template <class G, int n, int threads>
__device__ __forceinline__ void run_vectors(unsigned block, const typename G::Arguments& a) {
  using Index = decltype(a.span.count);
  const Index v = static_cast<Index>(block) * threads + threadIdx.x, left = a.span.vectors * n + v;
  if (v < a.span.vectors) {
    const typename G::Place place(a.span, v * n);
    const auto x = G::template load<n>(a, place);
    loads_above();
    finish_group<n, G>(a, place, x);
  }
  if (left < a.span.count) {
    const typename G::Place place(a.span, left);
    finish_group<1, G>(a, place, G::template load<1>(a, place));
  }
}

// Elements wherever they lie: a thread takes n of them, as many apart as there are threads.
template <class G, int n, int threads>
__device__ __forceinline__ void run_elements(unsigned block, const typename G::Arguments& a) {
  using Index = decltype(a.span.count);
  const Index first = static_cast<Index>(block) * (threads * n) + threadIdx.x;
  typename G::template Inputs<1> x[n] = {};
#pragma unroll
  for (int j = 0; j < n; ++j) {
    const Index i = first + j * threads;
    if (i < a.span.count) x[j] = G::template load<1>(a, typename G::Place(a.span, i));
  }
  loads_above();
#pragma unroll
  for (int j = 0; j < n; ++j) {
    const Index i = first + j * threads;
    if (i < a.span.count) finish_group<1, G>(a, typename G::Place(a.span, i), x[j]);
  }
}

}  // namespace tidu::cuda
