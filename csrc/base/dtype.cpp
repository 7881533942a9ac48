// Names, kinds and promotion of element types.
#include "base/dtype.h"

#include <algorithm>

namespace tidu {
namespace {

struct Info {
  const char* name;
  Kind kind;
};

constexpr Info kInfo[kDTypeCount] = {
    {"bool", Kind::boolean},
    {"int8", Kind::signed_integer},
    {"int16", Kind::signed_integer},
    {"int32", Kind::signed_integer},
    {"int64", Kind::signed_integer},
    {"uint8", Kind::unsigned_integer},
    {"uint16", Kind::unsigned_integer},
    {"uint32", Kind::unsigned_integer},
    {"uint64", Kind::unsigned_integer},
    {"float16", Kind::floating},
    {"bfloat16", Kind::floating},
    {"float32", Kind::floating},
    {"float64", Kind::floating},
    {"complex64", Kind::complex},
    {"complex128", Kind::complex},
};

const Info& info(DType dtype) { return kInfo[static_cast<int>(dtype)]; }

DType signed_integer_of_size(size_t size) {
  return size <= 1 ? DType::int8 : size == 2 ? DType::int16 : size == 4 ? DType::int32 : DType::int64;
}

}  // namespace

const char* name_of(DType dtype) { return info(dtype).name; }
Kind kind_of(DType dtype) { return info(dtype).kind; }

DType dtype_from_name(std::string_view name) {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (name == kInfo[i].name) return static_cast<DType>(i);
  }
  fail<DTypeError>("[dtype] unknown dtype '", name,
                   "' (one of bool, int8 .. int64, uint8 .. uint64, float16, bfloat16, float32, float64, "
                   "complex64, complex128)");
}

DType part_of(DType dtype) {
  return dtype == DType::complex64 ? DType::float32 : dtype == DType::complex128 ? DType::float64 : dtype;
}
DType complex_of(DType dtype) {
  if (is_complex(dtype)) return dtype;
  return dtype == DType::float64 ? DType::complex128 : DType::complex64;
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  const Kind ka = kind_of(a), kb = kind_of(b);
  if (ka == kb) {
    const bool halves = std::min(a, b) == DType::float16 && std::max(a, b) == DType::bfloat16;
    return halves ? DType::float32 : std::max(a, b);
  }
  if (ka == Kind::complex || kb == Kind::complex) return std::max(complex_of(a), complex_of(b));
  if (ka == Kind::boolean) return b;
  if (kb == Kind::boolean) return a;
  if (ka == Kind::floating) return a;
  if (kb == Kind::floating) return b;
  const DType with_sign = ka == Kind::signed_integer ? a : b, without = ka == Kind::signed_integer ? b : a;
  if (without == DType::uint64) return DType::float64;
  return signed_integer_of_size(std::max(size_of(with_sign), 2 * size_of(without)));
}

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name_of(dtype); }

}  // namespace tidu
