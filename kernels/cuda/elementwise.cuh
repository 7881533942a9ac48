// Makes kernels of the rows of csrc/ops/elementwise.def for one type. To be included by the files that
// instantiate row_function.
#pragma once

#include <type_traits>

#include "kernels/convert.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/map.cuh"
#include "kernels/scalar.h"

namespace tidu::cuda {

// The sets of dtypes that the table names.
struct boolean_types {
  template <class T> static constexpr bool holds = std::is_same_v<T, bool>;
};
struct integral_types {
  template <class T> static constexpr bool holds = std::is_integral_v<T>;
};
struct floating_types {
  template <class T> static constexpr bool holds = is_half<T> || std::is_floating_point_v<T>;
};
struct numeric_types {
  template <class T> static constexpr bool holds = !std::is_same_v<T, bool>;
};
struct any_types {
  template <class T> static constexpr bool holds = true;
};
using choice_types = any_types;

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
#include "ops/elementwise.def"
#undef TIDU_ROW

// The function of a row with inputs of these types, the last of which is the one that it computes in.
template <class Types, template <class> class Row, class T, class... In> constexpr LoopFunction map_of() {
  if constexpr (Types::template holds<T>) {
    return &map<Row<T>, typename Row<T>::Out, In..., T>;
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
