// Conversion of contiguous elements between all dtypes.
#include "kernels/cpu/cast.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cast.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <array>
#include <type_traits>

#include "kernels/cpu/convert-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

template <class From, class To> void cast_tile(const void* const* inputs, void* output, int64_t n) {
  tidu::HWY_NAMESPACE::convert_all(static_cast<const From*>(inputs[0]), static_cast<To*>(output), n);
}

template <class From, class... To> constexpr std::array<TileFunction, kDTypeCount> casts_from() {
  return {cast_tile<From, To>...};
}

// In the order of DType. A bool is read as the byte 0 or 1 that it is, which compilers vectorise better.
template <class... T> constexpr std::array<std::array<TileFunction, kDTypeCount>, kDTypeCount> all_casts() {
  return {casts_from<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>, T...>()...};
}

constexpr auto kCasts = all_casts<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t,
                                  uint64_t, float16, bfloat16, float, double>();

TileFunction find_cast(DType from, DType to) {
  return kCasts[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_cast);
}

TileFunction cast_function(DType from, DType to) { return HWY_DYNAMIC_DISPATCH(find_cast)(from, to); }

}  // namespace tidu::cpu
#endif
