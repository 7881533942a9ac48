// The sum of exponentials of a row, found in any order and without overflow.
#pragma once

#include <limits>

#include "kernels/cuda/reduce.cuh"
#include "kernels/scalar.h"

namespace tidu::cuda {

// exp(x - largest), where x is that largest element perhaps an infinite one.
template <class A> TIDU_HD A shifted_exp(A x, A largest) {
  return x == largest ? A(1) : scalar::exp(x - largest);
}

template <class T> struct LogSumExp {
  using Real = Accumulator<T>;
  struct alignas(2 * sizeof(Real)) State {
    Real largest;  // NaN apart
    Real sum;      // of exp(x - largest)
  };
  using Element = T;
  using Result = T;
  TIDU_HD static State identity() { return {-std::numeric_limits<Real>::infinity(), Real(0)}; }
  TIDU_HD static State lift(T element, int64_t) {
    const Real x = static_cast<Real>(element);
    return x == x ? State{x, Real(1)} : State{identity().largest, x};
  }
  TIDU_HD static State combine(State a, State b) {
    const bool first = a.largest > b.largest;
    const State &high = first ? a : b, &low = first ? b : a;
    return {high.largest, fma(low.sum, shifted_exp(low.largest, high.largest), high.sum)};
  }
  TIDU_HD static T finish(State state) { return static_cast<T>(state.largest + scalar::log(state.sum)); }
};

}  // namespace tidu::cuda
