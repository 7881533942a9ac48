// Element types: names, sizes, kinds and promotion.
#pragma once

#include <ostream>
#include <string_view>

#include "base/error.h"
#include "kernels/types.h"

namespace tidu {

enum class Kind : uint8_t { boolean, signed_integer, unsigned_integer, floating, complex };

// Of Python numbers and C++ literals: a scalar adapts to the tensor that it meets, unless its kind is the
// higher one.
inline constexpr DType kDefaultFloat = DType::float32;
inline constexpr DType kDefaultInt = DType::int64;
inline constexpr DType kDefaultComplex = DType::complex64;

// Bytes an element.
inline size_t size_of(DType dtype) {
  constexpr uint8_t kSizes[kDTypeCount] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
  return kSizes[static_cast<int>(dtype)];
}
const char* name_of(DType dtype);
DType dtype_from_name(std::string_view name);  // throws DTypeError
Kind kind_of(DType dtype);

inline bool is_floating(DType dtype) { return dtype >= DType::float16 && dtype <= DType::float64; }
inline bool is_complex(DType dtype) { return dtype >= DType::complex64; }
// Floating or complex.
inline bool is_inexact(DType dtype) { return dtype >= DType::float16; }
// float16 and bfloat16, in which numbers are kept but not computed with: that is done in float32.
inline bool is_narrow(DType dtype) { return dtype == DType::float16 || dtype == DType::bfloat16; }
// Whether functions of it have derivatives.
inline bool is_differentiable(DType dtype) { return is_inexact(dtype); }
inline bool is_integral(DType dtype) { return dtype != DType::bool_ && !is_inexact(dtype); }

// The real dtype of a complex one's parts, and the complex dtype that holds numbers of a real one; of others
// the same.
DType part_of(DType dtype);
DType complex_of(DType dtype);

// The smallest type that holds both, as the array API standard orders them; an integer with a float takes the
// float's type, float16 with bfloat16 gives float32, uint64 with a signed integer gives float64, and a
// complex type with a real one the complex type that holds both.
DType promote(DType a, DType b);

std::ostream& operator<<(std::ostream& out, DType dtype);

}  // namespace tidu
