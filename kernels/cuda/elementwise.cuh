// Makes kernels of the rows of csrc/ops/elementwise.def for one type. To be included by the files that
// instantiate row_function.
#pragma once

#include "kernels/complex.h"
#include "kernels/convert.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/map.cuh"
#include "kernels/rows.h"

namespace tidu::cuda {

// A row's scalar function for elements of a type.
using same_result = void;
using boolean_result = bool;
#define TIDU_ROW(name, result, parameters, call)                                                      \
  template <class T> struct name##_row {                                                              \
    using Out = std::conditional_t<std::is_void_v<result##_result>, T, bool>;                         \
    static __device__ __forceinline__ Out apply parameters { return static_cast<Out>(scalar::call); } \
  };
#define UNARY(name, types, result, ...) TIDU_ROW(name, result, (T x), name(static_cast<Computed<T>>(x)))
#define BINARY(name, types, result, ...) \
  TIDU_ROW(name, result, (T a, T b), name(static_cast<Computed<T>>(a), static_cast<Computed<T>>(b)))
#define TERNARY(name, types, result, ...) TIDU_ROW(name, result, (bool c, T a, T b), name(c, a, b))
#define PARAMETER(name, value) , p.name
#define UNARY_WITH(name, parameters, types, result, ...)                             \
  template <class T> struct name##_row {                                             \
    using Out = std::conditional_t<std::is_void_v<result##_result>, T, bool>;        \
    using Parameters = name##_parameters<Computed<T>>;                               \
    static __device__ __forceinline__ Out apply(T x, const Parameters& p) {          \
      return static_cast<Out>(scalar::name(static_cast<Computed<T>>(x) parameters)); \
    }                                                                                \
  };
#include "ops/elementwise.def"
#undef TIDU_ROW

// map of a row with parameters.
template <class F, class Out, class... In> cudaError_t map_with(cudaStream_t stream, const Loop& over) {
  constexpr int operands = sizeof...(In) + 1;
  static_assert(operands + kMaxParameters <= kMaxOperands);
  Loop loop = over;
  const auto parameters = parameters_from<typename F::Parameters>(loop.parameters(operands));
  memcpy(loop.parameters(operands), &parameters, sizeof parameters);
  return map<F, Out, In...>(stream, loop);
}

// The function of a row with inputs of these types, the last of which is the one that it computes in.
template <class Types, template <class> class Row, class T, class... In> constexpr LoopFunction map_of() {
  if constexpr (Types::template holds<T>) {
    using F = Row<T>;
    if constexpr (HasParameters<F>) {
      return &map_with<F, typename F::Out, In..., T>;
    } else {
      return &map<F, typename F::Out, In..., T>;
    }
  } else {
    return nullptr;
  }
}

template <class T> LoopFunction row_function(int row) {
  static constexpr LoopFunction rows[] = {
#define UNARY(name, types, ...) map_of<types##_types, name##_row, T>(),
#define BINARY(name, types, ...) map_of<types##_types, name##_row, T, T>(),
#define TERNARY(name, types, ...) map_of<types##_types, name##_row, T, bool, T>(),
#include "ops/elementwise.def"
  };
  return rows[row];
}

}  // namespace tidu::cuda
