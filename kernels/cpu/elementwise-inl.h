// Elementwise tile kernels, compiled once per instruction set: contiguous inputs and output, no strides, no
// threads.
//
// A tile function reads n elements of each input and writes n; the output may be one of the inputs. The body
// is a loop over the scalar function of the row, which the compiler vectorises, unless vector_form has an
// overload for the row.
#include <cstdint>

#include "kernels/cpu/elementwise.h"
#include "kernels/rows.h"

#if defined(TIDU_KERNELS_CPU_ELEMENTWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDU_KERNELS_CPU_ELEMENTWISE_INL_H_
#undef TIDU_KERNELS_CPU_ELEMENTWISE_INL_H_
#else
#define TIDU_KERNELS_CPU_ELEMENTWISE_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/tail-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// clang-format off
template <class D, class V> HWY_INLINE V vector_form(Row<"exp">, D d, V x) { return math::exp(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"exp2">, D d, V x) { return math::exp2(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"expm1">, D d, V x) { return math::expm1(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"log">, D d, V x) { return math::log(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"log2">, D d, V x) { return math::log2(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"log1p">, D d, V x) { return math::log1p(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"sin">, D d, V x) { return math::sin(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"cos">, D d, V x) { return math::cos(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"tanh">, D d, V x) { return math::tanh(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"sigmoid">, D d, V x) { return math::sigmoid(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"log_sigmoid">, D d, V x) { return math::log_sigmoid(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"softplus">, D d, V x) { return math::softplus(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"silu">, D d, V x) { return math::silu(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"gelu_tanh">, D d, V x) { return math::gelu_tanh(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"mish">, D d, V x) { return math::mish(d, x); }
#if HWY_NATIVE_FMA
template <class D, class V> HWY_INLINE V vector_form(Row<"ndtr">, D d, V x) { return math::ndtr(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"erf">, D d, V x) { return math::erf(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"erfc">, D d, V x) { return math::erfc(d, x); }
template <class D, class V> HWY_INLINE V vector_form(Row<"gelu">, D d, V x) { return math::gelu(d, x); }
#endif
#if HWY_TARGET != HWY_SCALAR
template <class D, class V> requires(sizeof(hn::TFromD<D>) == 4)
HWY_INLINE V vector_form(Row<"pow">, D d, V a, V b) { return math::pow(d, a, b); }
#endif
// clang-format on
template <class D, class V, class T>
HWY_INLINE V vector_form(Row<"elu">, D d, V x, const elu_parameters<T>& p) {
  const V below = hn::Mul(hn::Set(d, p.alpha), math::expm1(d, x));
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, below);
}

template <class Tag, class T, class... P>
concept HasVectorForm = (sizeof(T) >= 4) &&
                        requires(hn::ScalableTag<T> d, hn::Vec<hn::ScalableTag<T>> x, P... parameters) {
  vector_form(Tag{}, d, x, parameters...);
};

// Every element goes through the same instructions wherever it stands: the tail is padded to a whole vector.
template <class Tag, class T, class... P>
HWY_INLINE void vector_loop(const T* x, T* y, int64_t n, const P&... parameters) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(vector_form(Tag{}, d, hn::LoadU(d, x + i), parameters...), d, y + i);
  if (i == n) return;
  const auto rest = load_tail(d, x + i, n - i, T(0));
  store_tail(vector_form(Tag{}, d, rest, parameters...), d, y + i, n - i);
}

// What is read of an array: a bool as the byte 0 or 1 that it is, for loads of bool are not vectorised.
template <class T> using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
template <class T> HWY_INLINE T loaded(Stored<T> x) { return static_cast<T>(x); }

template <class Function, class T, class... P>
HWY_INLINE void unary_loop(const Stored<T>* x, void* output, int64_t n, const P&... parameters) {
  if constexpr (std::is_floating_point_v<T> && HasVectorForm<typename Function::Tag, T, P...>) {
    vector_loop<typename Function::Tag>(x, static_cast<T*>(output), n, parameters...);
  } else {
    auto* y = static_cast<decltype(Function::apply(T{}, parameters...))*>(output);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = Function::apply(loaded<T>(x[i]), parameters...);
  }
}

template <class Function, class T> void unary_tile(const void* const* inputs, void* output, int64_t n) {
  unary_loop<Function, T>(static_cast<const Stored<T>*>(inputs[0]), output, n);
}

template <class Function, class T> void unary_with_tile(const void* const* inputs, void* output, int64_t n) {
  using Parameters = typename Function::template Parameters<T>;
  const auto parameters = parameters_from<Parameters>(static_cast<const double*>(inputs[1]));
  unary_loop<Function, T>(static_cast<const Stored<T>*>(inputs[0]), output, n, parameters);
}

template <class Tag, class T>
concept HasBinaryVectorForm = std::is_floating_point_v<T> &&
    requires(hn::ScalableTag<T> d, hn::Vec<hn::ScalableTag<T>> x) {
  vector_form(Tag{}, d, x, x);
};

template <class Function, class T> void binary_tile(const void* const* inputs, void* output, int64_t n) {
  const auto *a = static_cast<const Stored<T>*>(inputs[0]), *b = static_cast<const Stored<T>*>(inputs[1]);
  using Out = decltype(Function::apply(T{}, T{}));
  Out* y = static_cast<Out*>(output);
  if constexpr (HasBinaryVectorForm<typename Function::Tag, T>) {
    const hn::ScalableTag<T> d;
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
      hn::StoreU(vector_form(typename Function::Tag{}, d, hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d,
                 y + i);
    if (i == n) return;
    const auto rest = vector_form(typename Function::Tag{}, d, load_tail(d, a + i, n - i, T(0)),
                                  load_tail(d, b + i, n - i, T(0)));
    store_tail(rest, d, y + i, n - i);
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = Function::apply(loaded<T>(a[i]), loaded<T>(b[i]));
  }
}

// The first input is the condition.
template <class Function, class T> void choice_tile(const void* const* inputs, void* output, int64_t n) {
  const auto* condition = static_cast<const Stored<bool>*>(inputs[0]);
  const auto *a = static_cast<const Stored<T>*>(inputs[1]), *b = static_cast<const Stored<T>*>(inputs[2]);
  T* y = static_cast<T*>(output);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i)
    y[i] = Function::apply(loaded<bool>(condition[i]), loaded<T>(a[i]), loaded<T>(b[i]));
}

}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
