// What the kernels of every device need of the table of elementwise operations (csrc/ops/elementwise.def).
#pragma once

#include "kernels/types.h"

namespace tidu {

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
  template <class T> static constexpr bool holds = !std::is_same_v<T, bool> && !is_complex_type<T>;
};
struct any_types {
  template <class T> static constexpr bool holds = !is_complex_type<T>;
};
struct complex_types {
  template <class T> static constexpr bool holds = is_complex_type<T>;
};
template <class Types> struct and_complex {
  template <class T> static constexpr bool holds = Types::template holds<T> || is_complex_type<T>;
};
using floating_complex_types = and_complex<floating_types>;
using numeric_complex_types = and_complex<numeric_types>;
using any_complex_types = and_complex<any_types>;
// Kernels see the parts.
using numeric_parts_types = numeric_types;
using any_parts_types = any_types;
using choice_types = any_types;

// The parameters of the rows that have some, with their defaults: leaky_relu_parameters<double>{0.2}. A call
// holds them as doubles; kernels get them as values of the type that they compute in.
#define PARAMETER(name, value) T name = static_cast<T>(value);
#define UNARY_WITH(name, parameters, ...)       \
  template <class T> struct name##_parameters { \
    using Value = T;                            \
    parameters                                  \
  };
#include "ops/elementwise.def"

// The most of one row.
inline constexpr int kMaxParameters = 2;

template <class Parameters>
inline constexpr int parameter_count = static_cast<int>(sizeof(Parameters) /
                                                        sizeof(typename Parameters::Value));

template <class Parameters> Parameters parameters_from(const double* values) {
  static_assert(parameter_count<Parameters> <= kMaxParameters);
  typename Parameters::Value converted[parameter_count<Parameters>];
  for (int i = 0; i < parameter_count<Parameters>; ++i)
    converted[i] = static_cast<typename Parameters::Value>(values[i]);
  Parameters parameters;
  memcpy(&parameters, converted, sizeof parameters);
  return parameters;
}

}  // namespace tidu
