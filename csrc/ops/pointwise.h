// Composites of rows, element by element in one pass over memory where nobody sees their calls: a few
// elements at a time go through all of the rows, by ops/handful.h.
#pragma once

#include <algorithm>
#include <tuple>

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/handful.h"

namespace tidu {
namespace handful {

// One element for each of a loop's, or one for all.
template <class T> class Elements {
 public:
  explicit Elements(const Tensor& x)
      : data_(static_cast<const T*>(x.raw_data())), is_one_(x.numel() == 1 || !x.is_contiguous()) {}
  Handful<T> at(int64_t begin, int64_t size) const {
    return is_one_ ? Handful<T>(*data_, size) : Handful<T>(static_cast<const void*>(data_ + begin), size);
  }

 private:
  const T* data_;
  bool is_one_;
};

// Whether x can be elements of a loop over a tensor of this shape, which nobody sees. One element that is
// expanded to another shape gives the result a shape that neither has, or does not fit at all.
inline bool can_be_elements(const Tensor& x, DType dtype, const Shape& shape) {
  if (x.dtype() != dtype || x.device().type != DeviceType::cpu || x.is_abstract() || is_seen(x)) return false;
  const auto is_zero = [](int64_t stride) { return stride == 0; };
  return x.numel() == 1 ||
         (x.shape() == shape && (x.is_contiguous() || std::ranges::all_of(x.strides(), is_zero)));
}

// body(begin, size) for all handfuls of `total` elements.
template <class Body> void for_handfuls(int64_t total, const Body& body) {
  over_elements(
      total,
      [](const void* context, int64_t begin, int64_t end) {
        for (; begin < end; begin += kMost)
          (*static_cast<const Body*>(context))(begin, std::min(kMost, end - begin));
      },
      &body);
}

template <class T, class F, class... X> Tensor compute(const Shape& shape, const F& f, const X&... x) {
  using Result = typename ElementOf<std::decay_t<decltype(f(Elements<T>(x).at(0, 0)...))>>::Type;
  const Tensor result = Tensor::empty(shape, dtype_of<Result>);
  auto* const data = static_cast<Result*>(result.raw_data());
  const std::tuple all(Elements<T>{x}...);
  for_handfuls(result.numel(), [&](int64_t begin, int64_t size) {
    const auto part =
        std::apply([&](const auto&... elements) { return f(elements.at(begin, size)...); }, all);
    std::copy_n(part.data(), size, data + begin);
  });
  return result;
}

}  // namespace handful

// f(x...), f being made of rows and numbers and written for tensors and handfuls alike.
template <class F, class... X> Tensor pointwise(const F& f, const X&... x) {
  const Tensor& largest =
      *std::ranges::max({&x...}, {}, [](const Tensor* operand) { return operand->numel(); });
  const Shape& shape = largest.shape();
  const DType dtype = largest.dtype();
  const bool is_float = dtype == DType::float32 || dtype == DType::float64;
  const auto fits = [&](const Tensor& operand) {
    return handful::can_be_elements(operand, dtype, shape) && operand.ndim() <= shape.size();
  };
  if (!is_float || largest.numel() == 0 || !(fits(x) && ...)) return f(x...);
  return dtype == DType::float32 ? handful::compute<float>(shape, f, x...)
                                 : handful::compute<double>(shape, f, x...);
}

// What intermediates are computed in: of integers a float that holds them, of floats of 16 bits float32.
inline DType intermediate_type(DType dtype) {
  if (is_inexact(dtype)) return is_narrow(dtype) ? DType::float32 : dtype;
  return size_of(dtype) > 2 ? DType::float64 : kDefaultFloat;
}
inline Tensor for_intermediates(const Tensor& x) { return astype(x, intermediate_type(x.dtype())); }

// What `compute` makes of x as a float, or of complex x: of 16 bits in float32, and rounded once. A function
// that takes handfuls, too, is pointwise.
template <class F> Tensor rounded_once(const Tensor& x, F compute) {
  const DType dtype = is_inexact(x.dtype()) ? x.dtype() : kDefaultFloat;
  const Tensor values = for_intermediates(x);
  Tensor result;
  if constexpr (std::is_invocable_v<F, const handful::Handful<float>&>) {
    result = pointwise(compute, values);
  } else {
    result = compute(values);
  }
  return is_complex(dtype) ? result : astype(result, dtype);
}

}  // namespace tidu
