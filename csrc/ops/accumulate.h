// What the rows of reductions and scans share: which dtypes a kernel takes, and what it gives.
#pragma once

#include "core/primitive.h"
#include "kernels/reduction.h"
#include "ops/convert.h"

namespace tidu {

// The column `types` of their tables.
enum class Takes : uint8_t { any, floating, boolean };

// What a kernel of a row computes in.
inline DType computing_type(DType dtype, Takes types) {
  if (types == Takes::boolean) return DType::bool_;
  return types == Takes::floating && !is_inexact(dtype) ? kDefaultFloat : dtype;
}

inline void check_computed(const SpecCall& call, Takes types) {
  const Spec& x = call.inputs[0];
  if (const DType dtype = computing_type(x.dtype, types); dtype != x.dtype) {
    fail<DTypeError>("[", call.primitive.name, "] is not computed of ", x, " (convert it to ", dtype, ")");
  }
}

// What a struct of kernels/reduction.h makes of elements of a dtype; of integers that it takes for floats,
// what it makes of these.
template <template <class> class Struct, Takes types> DType result_dtype(DType dtype) {
  if (is_complex(dtype)) return dtype;
  return visit_dtype(dtype, []<class T>() {
    if constexpr (types == Takes::floating && std::is_integral_v<T>) {
      return dtype_of<typename Struct<float>::Result>;
    } else {
      return dtype_of<typename Struct<T>::Result>;
    }
  });
}

// Sums do the same to both parts of complex numbers.
template <template <class> class Struct> constexpr OnComplex on_complex() {
  constexpr bool sums = std::is_same_v<Struct<float>, reduction::Sum<float>> ||
                        std::is_same_v<Struct<float>, reduction::Mean<float>>;
  return sums ? OnComplex::parts : OnComplex::refused;
}

inline Definition row_of(Attributes attrs, Check check, Infer infer, Derivative derivative,
                         OnComplex on_complex, CountFlops flops) {
  return {.batching = batch_by_fields,
          .attrs = std::move(attrs),
          .check = check,
          .infer = infer,
          .derivative = std::move(derivative),
          .on_complex = on_complex,
          .flops = flops};
}

}  // namespace tidu
