// The element types, shared by every layer and by device code.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#ifdef __CUDACC__
#define TIDU_HD __host__ __device__
#else
#define TIDU_HD
#endif

namespace tidu {

// Order matters: within a kind, a later type holds every value range of an earlier one of its sign.
enum class DType : uint8_t {
  bool_,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  bfloat16,
  float32,
  float64,
  complex64,
  complex128,
};
inline constexpr int kDTypeCount = 15;

// IEEE 754 binary16: stored as bits, computed in float. Uninitialised by default, as a float is.
struct float16 {
  uint16_t bits;

  float16() = default;
  TIDU_HD explicit float16(float value) : bits(round(value)) {}
  TIDU_HD operator float() const { return widen(bits); }

 private:
  TIDU_HD static float from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
  }
  TIDU_HD static uint32_t to_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
  }

  // Rounds to nearest even; NaN stays NaN, overflow becomes infinity, small values become subnormal.
  TIDU_HD static uint16_t round(float value) {
#ifdef __CUDA_ARCH__
    uint16_t half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
#else
    const uint32_t u = to_bits(value), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
    if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);
    if (magnitude < 0x38800000u) {
      // Adding 0.5 aligns the half's subnormal spacing (2^-24) with float's last place, so the FPU rounds.
      const uint32_t rounded = to_bits(from_bits(magnitude) + 0.5f) - 0x3f000000u;
      return static_cast<uint16_t>(sign | rounded);
    }
    const uint32_t odd = (magnitude >> 13) & 1u;
    return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
#endif
  }
  TIDU_HD static float widen(uint16_t bits) {
#ifdef __CUDA_ARCH__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
#else
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
    if (rest >= 0x7c00u) return from_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    if (rest >= 0x0400u) return from_bits(sign | ((rest << 13) + 0x38000000u));
    const float subnormal = static_cast<float>(rest) * 0x1p-24f;
    return sign != 0 ? -subnormal : subnormal;
#endif
  }
};

// The upper half of a float: stored as bits, computed in float.
struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  TIDU_HD explicit bfloat16(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
    uint32_t u;
    memcpy(&u, &value, 4);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
#endif
  }
  TIDU_HD operator float() const {
    const uint32_t u = static_cast<uint32_t>(bits) << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
  }
};

// Two floats or doubles side by side, as C, NumPy and CUDA's libraries have them.
//
// kernels/complex.h computes with them; whatever else there is of kernels is shown their parts. Uninitialised
// by default, as a float is.
template <class T> struct complex { T re, im; };

static_assert(sizeof(float16) == 2 && sizeof(bfloat16) == 2 && sizeof(bool) == 1);

template <class T> struct DTypeOf;
template <> struct DTypeOf<bool> { static constexpr DType value = DType::bool_; };
template <> struct DTypeOf<int8_t> { static constexpr DType value = DType::int8; };
template <> struct DTypeOf<int16_t> { static constexpr DType value = DType::int16; };
template <> struct DTypeOf<int32_t> { static constexpr DType value = DType::int32; };
template <> struct DTypeOf<int64_t> { static constexpr DType value = DType::int64; };
template <> struct DTypeOf<uint8_t> { static constexpr DType value = DType::uint8; };
template <> struct DTypeOf<uint16_t> { static constexpr DType value = DType::uint16; };
template <> struct DTypeOf<uint32_t> { static constexpr DType value = DType::uint32; };
template <> struct DTypeOf<uint64_t> { static constexpr DType value = DType::uint64; };
template <> struct DTypeOf<float16> { static constexpr DType value = DType::float16; };
template <> struct DTypeOf<bfloat16> { static constexpr DType value = DType::bfloat16; };
template <> struct DTypeOf<float> { static constexpr DType value = DType::float32; };
template <> struct DTypeOf<double> { static constexpr DType value = DType::float64; };
template <> struct DTypeOf<complex<float>> { static constexpr DType value = DType::complex64; };
template <> struct DTypeOf<complex<double>> { static constexpr DType value = DType::complex128; };
template <class T> inline constexpr DType dtype_of = DTypeOf<T>::value;

template <class T> inline constexpr bool is_complex_type = false;
template <class T> inline constexpr bool is_complex_type<complex<T>> = true;

template <class T> inline constexpr bool is_half = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;

// Calls f.template operator()<T>() with the C++ type of `dtype`, which is real: of complex numbers kernels
// see the parts, and those that compute with them name their types.
template <class F> decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::bool_: return f.template operator()<bool>();
    case DType::int8: return f.template operator()<int8_t>();
    case DType::int16: return f.template operator()<int16_t>();
    case DType::int32: return f.template operator()<int32_t>();
    case DType::int64: return f.template operator()<int64_t>();
    case DType::uint8: return f.template operator()<uint8_t>();
    case DType::uint16: return f.template operator()<uint16_t>();
    case DType::uint32: return f.template operator()<uint32_t>();
    case DType::uint64: return f.template operator()<uint64_t>();
    case DType::float16: return f.template operator()<float16>();
    case DType::bfloat16: return f.template operator()<bfloat16>();
    case DType::float32: return f.template operator()<float>();
    case DType::float64: return f.template operator()<double>();
    case DType::complex64:
    case DType::complex128: __builtin_trap();
  }
  __builtin_unreachable();
}

// The same with a floating-point type; `otherwise` for other dtypes.
template <class Result, class F> Result visit_floating(DType dtype, Result otherwise, F&& f) {
  return visit_dtype(dtype, [&]<class T>() -> Result {
    if constexpr (is_half<T> || std::is_floating_point_v<T>) {
      return f.template operator()<T>();
    } else {
      return otherwise;
    }
  });
}

// Whose sums and products are those of T, bit for bit: for a signed integer the unsigned one.
template <class T> struct WrappingOf { using type = T; };
template <> struct WrappingOf<int8_t> { using type = uint8_t; };
template <> struct WrappingOf<int16_t> { using type = uint16_t; };
template <> struct WrappingOf<int32_t> { using type = uint32_t; };
template <> struct WrappingOf<int64_t> { using type = uint64_t; };
template <class T> using Wrapping = typename WrappingOf<T>::type;

}  // namespace tidu
