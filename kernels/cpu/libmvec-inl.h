// Vector forms of functions of the C library, where it has them: glibc's libmvec, from 2.35 on.
//
// Their errors are up to 4 units in the last place; what the tests hold to fewer has no form. These forms are
// calls, which would empty all vector registers: so they are none of a fused group's lists (vector_form), but
// of loops alone.
#if defined(TIDU_KERNELS_CPU_LIBMVEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDU_KERNELS_CPU_LIBMVEC_INL_H_
#undef TIDU_KERNELS_CPU_LIBMVEC_INL_H_
#else
#define TIDU_KERNELS_CPU_LIBMVEC_INL_H_
#endif

#include <hwy/highway.h>

#include <concepts>

#include "kernels/cpu/math-inl.h"
#include "kernels/rows.h"

#if defined(TIDU_LIBMVEC) && (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2)
HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {
namespace libmvec {

#if HWY_TARGET == HWY_AVX3
#define TIDU_NAME_32(letters, name) _ZGVeN16##letters##_##name##f
#define TIDU_NAME_64(letters, name) _ZGVeN8##letters##_##name
using Raw32 = __m512;
using Raw64 = __m512d;
#else
#define TIDU_NAME_32(letters, name) _ZGVdN8##letters##_##name##f
#define TIDU_NAME_64(letters, name) _ZGVdN4##letters##_##name
using Raw32 = __m256;
using Raw64 = __m256d;
#endif

}  // namespace libmvec

// A function has as many arguments as letters v.
#define TIDU_PARAMETERS_v(Raw) (Raw)
#define TIDU_PARAMETERS_vv(Raw) (Raw, Raw)
#define TIDU_FORM_OF(bits, T, letters, name)                                                               \
  namespace libmvec {                                                                                      \
  extern "C" Raw##bits TIDU_NAME_##bits(letters, name) TIDU_PARAMETERS_##letters(Raw##bits);               \
  }                                                                                                        \
  template <class D, class... V>                                                                           \
  requires std::same_as<hwy::HWY_NAMESPACE::TFromD<D>, T> HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> tile_form( \
      Row<#name>, D, V... x) {                                                                             \
    return {libmvec::TIDU_NAME_##bits(letters, name)(x.raw...)};                                           \
  }
#define TIDU_FLOAT_FORM(letters, name) TIDU_FORM_OF(32, float, letters, name)
#define TIDU_DOUBLE_FORM(letters, name) TIDU_FORM_OF(64, double, letters, name)

TIDU_FLOAT_FORM(v, sinh)
TIDU_DOUBLE_FORM(v, sinh)
TIDU_FLOAT_FORM(v, cosh)
TIDU_DOUBLE_FORM(v, cosh)
TIDU_FLOAT_FORM(v, asinh)
TIDU_DOUBLE_FORM(v, asinh)
TIDU_FLOAT_FORM(v, acosh)
TIDU_DOUBLE_FORM(v, acosh)
TIDU_FLOAT_FORM(v, atanh)
TIDU_DOUBLE_FORM(v, atanh)
TIDU_DOUBLE_FORM(v, log10)
TIDU_DOUBLE_FORM(v, cbrt)
TIDU_FLOAT_FORM(vv, hypot)
TIDU_DOUBLE_FORM(vv, hypot)

// Small powers are products, whatever stands beside them.
namespace libmvec {
extern "C" Raw64 TIDU_NAME_64(vv, pow)(Raw64, Raw64);
}
template <class D, class V>
requires std::same_as < hwy::HWY_NAMESPACE::TFromD<D>,
double > HWY_INLINE V tile_form(Row<"pow">, D d, V a, V b) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto few = math::is_product(d, a, b);
  const V small =
      hn::AllFalse(d, few) ? a : math::power_by_products<true>(d, a, hn::IfThenElse(few, b, hn::Zero(d)));
  if (hn::AllTrue(d, few)) return small;
  return hn::IfThenElse(few, small, V{libmvec::TIDU_NAME_64(vv, pow)(a.raw, b.raw)});
}

#undef TIDU_DOUBLE_FORM
#undef TIDU_FLOAT_FORM
#undef TIDU_FORM_OF
#undef TIDU_PARAMETERS_vv
#undef TIDU_PARAMETERS_v
#undef TIDU_NAME_64
#undef TIDU_NAME_32

}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target include guard
