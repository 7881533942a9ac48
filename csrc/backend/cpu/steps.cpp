// Lists of elementwise steps that keep what they compute in vector registers: each step jumps to the next.
#include "backend/cpu/steps.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/steps.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/cpu/elementwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {

// Rows whose formula in kernels/scalar.h is an instruction or two, which compilers find in loops. A condition
// is a mask here, and between steps a vector of all bits or none.
// clang-format off
#define STEP(name) template <class D, class V> HWY_INLINE auto cheap_form(Row<#name>, [[maybe_unused]] D d, V x)
STEP(negative) { return hn::Neg(x); }
STEP(abs) { return hn::Abs(x); }
STEP(square) { return hn::Mul(x, x); }
STEP(reciprocal) { return hn::Div(hn::Set(d, 1), x); }
STEP(sqrt) { return hn::Sqrt(x); }
STEP(rsqrt) { return hn::Div(hn::Set(d, 1), hn::Sqrt(x)); }
STEP(relu) { return hn::IfThenZeroElse(hn::Le(x, hn::Zero(d)), x); }
STEP(isnan) { return hn::IsNaN(x); }
STEP(isinf) { return hn::Eq(hn::Abs(x), hn::Set(d, math::infinity<hn::TFromD<D>>)); }
STEP(isfinite) { return hn::Lt(hn::Abs(x), hn::Set(d, math::infinity<hn::TFromD<D>>)); }
STEP(copy) { return x; }
STEP(astype) { return hn::Not(hn::Eq(x, hn::Zero(d))); }  // to bool
STEP(sign) {
  const V zero = hn::Zero(d), one = hn::Set(d, 1);
  const V rest = hn::IfThenElse(hn::Lt(x, zero), hn::Neg(one), hn::IfThenElse(hn::Eq(x, zero), zero, x));
  return hn::IfThenElse(hn::Gt(x, zero), one, rest);
}
#undef STEP
#define STEP(name) template <class D, class V> HWY_INLINE auto cheap_form(Row<#name>, [[maybe_unused]] D d, V a, V b)
STEP(add) { return hn::Add(a, b); }
STEP(subtract) { return hn::Sub(a, b); }
STEP(multiply) { return hn::Mul(a, b); }
STEP(divide) { return hn::Div(a, b); }
STEP(maximum) { return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b); }
STEP(minimum) { return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b); }
STEP(multiply_no_nan) { return math::multiply_no_nan(d, a, b); }
STEP(equal) { return hn::Eq(a, b); }
STEP(not_equal) { return hn::Not(hn::Eq(a, b)); }
STEP(less) { return hn::Lt(a, b); }
STEP(less_equal) { return hn::Le(a, b); }
STEP(greater) { return hn::Gt(a, b); }
STEP(greater_equal) { return hn::Ge(a, b); }
#undef STEP
// Rows of conditions, as vectors.
#define STEP(name) template <class D, class V, class... W> HWY_INLINE V flag_form(Row<#name>, [[maybe_unused]] D d, V a, W... b)
STEP(logical_not) requires(sizeof...(W) == 0) { return hn::Not(a); }
STEP(logical_and) requires(sizeof...(W) == 1) { return hn::And(a, b...); }
STEP(logical_or) requires(sizeof...(W) == 1) { return hn::Or(a, b...); }
STEP(logical_xor) requires(sizeof...(W) == 1) { return hn::Xor(a, b...); }
STEP(where) requires(sizeof...(W) == 2) { return hn::IfThenElse(hn::MaskFromVec(a), b...); }
STEP(copy) requires(sizeof...(W) == 0) { return a; }
STEP(astype) requires(sizeof...(W) == 0) { return hn::And(a, hn::Set(d, 1)); }
#undef STEP
// clang-format on
template <class D, class V, class T>
HWY_INLINE V cheap_form(Row<"leaky_relu">, D d, V x, const leaky_relu_parameters<T>& p) {
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(hn::Set(d, p.negative_slope), x));
}

template <class Tag, class D, class... V>
concept IsCheap = requires(D d, V... x) {
  cheap_form(Tag{}, d, x...);
};
template <class Tag, class D, class... V>
concept HasForm = IsCheap<Tag, D, V...> || requires(D d, V... x) {
  vector_form(Tag{}, d, x...);
};
template <class Tag, class D, class... V>
concept HasFlagForm = requires(D d, V... x) {
  flag_form(Tag{}, d, x...);
};

namespace {

using cpu::ListOperand;
using cpu::ListStep;
using cpu::StepForm;

template <class T> using Vector = hn::Vec<hn::ScalableTag<T>>;

template <class T> HWY_INLINE Vector<T> as_vector(Vector<T> x) { return x; }
template <class T> HWY_INLINE Vector<T> as_vector(hn::Mask<hn::ScalableTag<T>> x) {
  return hn::VecFromMask(hn::ScalableTag<T>(), x);
}

// A row of ops/elementwise.def, or a conversion.
template <class Tag> struct OfValues {
  template <class T, class... X> static HWY_INLINE Vector<T> of(X... x) {
    const hn::ScalableTag<T> d;
    if constexpr (IsCheap<Tag, decltype(d), X...>) {
      return as_vector<T>(cheap_form(Tag{}, d, x...));
    } else {
      return as_vector<T>(vector_form(Tag{}, d, x...));
    }
  }
};
template <class Tag> struct OfFlags {
  template <class T, class... X> static HWY_INLINE Vector<T> of(X... x) {
    return flag_form(Tag{}, hn::ScalableTag<T>(), x...);
  }
};

// The value is in as many vectors `a`. No step may have a local variable whose address is taken, else the
// call of the next is no jump.
template <class T, class... A>
HWY_INLINE void next(const ListStep* step, char* const* at, int64_t i, A... a) {
  using Function = void (*)(const ListStep*, char* const*, int64_t, A...);
  ++step;
  reinterpret_cast<Function>(sizeof...(A) == 1 ? step->narrow : step->wide)(step, at, i, a...);
}

// What a step reads, named by its slot among the step's places: an array, a bool array, one number, a product
// of two of these, parameters of a row, or the value.
template <class T> struct Elements {
  const T* x;
  Elements(const ListStep* step, char* const* at, int64_t i, int slot)
      : x(reinterpret_cast<T*>(at[step->places[slot]]) + i) {}
  HWY_INLINE Vector<T> of(size_t k, Vector<T>) const {
    const hn::ScalableTag<T> d;
    return hn::LoadU(d, x + k * hn::Lanes(d));
  }
};
template <class T> struct Flags {
  const uint8_t* x;
  Flags(const ListStep* step, char* const* at, int64_t i, int slot)
      : x(reinterpret_cast<uint8_t*>(at[step->places[slot]]) + i) {}
  HWY_INLINE Vector<T> of(size_t k, Vector<T>) const {
    const hn::ScalableTag<T> d;
    const hn::RebindToUnsigned<decltype(d)> bits;
    const hn::Rebind<uint32_t, decltype(d)> words;
    const hn::Rebind<uint8_t, decltype(d)> bytes;
    const auto wide = hn::PromoteTo(words, hn::LoadU(bytes, x + k * hn::Lanes(d)));
    if constexpr (sizeof(T) == 4) {
      return hn::BitCast(d, hn::Sub(hn::Zero(bits), wide));
    } else {
      return hn::BitCast(d, hn::Sub(hn::Zero(bits), hn::PromoteTo(bits, wide)));
    }
  }
};
template <class T> struct Number {
  T x;
  Number(const ListStep* step, char* const* at, int64_t, int slot)
      : x(*reinterpret_cast<T*>(at[step->places[slot]])) {}
  HWY_INLINE Vector<T> of(size_t, Vector<T>) const { return hn::Set(hn::ScalableTag<T>(), x); }
};
template <class T, class Factor> struct Times {
  Elements<T> x;
  Factor y;
  Times(const ListStep* step, char* const* at, int64_t i, int slot)
      : x(step, at, i, slot), y(step, at, i, 2) {}
  HWY_INLINE Vector<T> of(size_t k, Vector<T> value) const { return hn::Mul(x.of(k, value), y.of(k, value)); }
};
template <class P> struct Parameters {
  P p;
  Parameters(const ListStep* step, char* const* at, int64_t, int slot)
      : p(parameters_from<P>(reinterpret_cast<const double*>(at[step->places[slot]]))) {}
  template <class V> HWY_INLINE P of(size_t, V) const { return p; }
};
template <class T> struct Held {
  Held(const ListStep*, char* const*, int64_t, int) {}
  HWY_INLINE Vector<T> of(size_t, Vector<T> value) const { return value; }
};

template <class T, class Row, class... X> struct Compute {
  template <class K, class... A>
  static HWY_INLINE void go(K k, const ListStep* step, char* const* at, int64_t i, A... a) {
    apply(std::index_sequence_for<X...>(), k, step, at, i, a...);
  }

 private:
  template <size_t... slot, class K, class... A>
  static HWY_INLINE void apply(std::index_sequence<slot...>, K k, const ListStep* step, char* const* at,
                               int64_t i, A... a) {
    to_next(k, step, at, i, X(step, at, i, slot)..., a...);
  }
  template <size_t... k, class... A>
  static HWY_INLINE void to_next(std::index_sequence<k...>, const ListStep* step, char* const* at, int64_t i,
                                 X... x, A... a) {
    next<T>(step, at, i, value(k, a, x...)...);
  }
  static HWY_INLINE Vector<T> value(size_t k, Vector<T> held, X... x) {
    return Row::template of<T>(x.of(k, held)...);
  }
};
template <class T> struct Store {
  template <size_t... k, class... A>
  static HWY_INLINE void go(std::index_sequence<k...>, const ListStep* step, char* const* at, int64_t i,
                            A... a) {
    const hn::ScalableTag<T> d;
    T* const y = reinterpret_cast<T*>(at[step->places[0]]) + i;
    (hn::StoreU(a, d, y + k * hn::Lanes(d)), ...);
    next<T>(step, at, i, a...);
  }
};
template <class T> struct Stream {
  template <size_t... k, class... A>
  static HWY_INLINE void go(std::index_sequence<k...>, const ListStep* step, char* const* at, int64_t i,
                            A... a) {
    const hn::ScalableTag<T> d;
    T* const y = reinterpret_cast<T*>(at[step->places[0]]) + i;
    (hn::Stream(a, d, y + k * hn::Lanes(d)), ...);
    next<T>(step, at, i, a...);
  }
};
template <class T> struct StoreFlags {
  template <size_t... k, class... A>
  static HWY_INLINE void go(std::index_sequence<k...>, const ListStep* step, char* const* at, int64_t i,
                            A... a) {
    const hn::ScalableTag<T> d;
    const hn::RebindToUnsigned<decltype(d)> bits;
    const hn::Rebind<uint8_t, decltype(d)> bytes;
    uint8_t* const y = reinterpret_cast<uint8_t*>(at[step->places[0]]) + i;
    (hn::StoreU(hn::TruncateTo(bytes, hn::And(hn::BitCast(bits, a), hn::Set(bits, 1))), bytes,
                y + k * hn::Lanes(d)),
     ...);
    next<T>(step, at, i, a...);
  }
};
HWY_NOINLINE void call_tile_function(const ListStep* step, char* const* at, int64_t i, int64_t n) {
  const void* inputs[4];
  for (int k = 0; k < 4; ++k) inputs[k] = at[step->inputs[k]] + i * step->input_sizes[k];
  step->function(inputs, at[step->output] + i * step->output_size, n);
}
template <class T> struct CallTile {
  template <class K, class... A>
  static HWY_INLINE void go(K, const ListStep* step, char* const* at, int64_t i, A... a) {
    call_tile_function(step, at, i, static_cast<int64_t>(sizeof...(A) * hn::Lanes(hn::ScalableTag<T>())));
    next<T>(step, at, i, a...);
  }
};
template <class T> struct End {
  template <class K, class... A> static HWY_INLINE void go(K, const ListStep*, char* const*, int64_t, A...) {}
};

template <class Step, class... A> void run(const ListStep* step, char* const* at, int64_t i, A... a) {
  Step::go(std::index_sequence_for<A...>(), step, at, i, a...);
}
// Vectors of a list. 256 bytes of an array at a time: of more, streams from memory are prefetched less well.
using Wide = std::make_index_sequence<HWY_MAX_BYTES >= 64 ? 4 : 8>;
template <class T, size_t> using Repeated = Vector<T>;

template <class Step, class T, size_t... k> ListStep step_with(std::index_sequence<k...>) {
  return {.wide = reinterpret_cast<void (*)()>(&run<Step, Repeated<T, k>...>),
          .narrow = reinterpret_cast<void (*)()>(&run<Step, Vector<T>>)};
}
template <class Step, class T> ListStep step_of() { return step_with<Step, T>(Wide()); }

constexpr auto kHeld = ListOperand::held, kArray = ListOperand::array, kNumber = ListOperand::number;

template <class T, class Tag> ListStep of_one(bool flags) {
  if constexpr (HasForm<Tag, hn::ScalableTag<T>, Vector<T>>) {
    if (!flags) return step_of<Compute<T, OfValues<Tag>, Held<T>>, T>();
  }
  if constexpr (HasFlagForm<Tag, hn::ScalableTag<T>, Vector<T>>) {
    if (flags) return step_of<Compute<T, OfFlags<Tag>, Held<T>>, T>();
  }
  return {};
}
template <class T, class Tag, class P> ListStep of_one_with() {
  if constexpr (HasForm<Tag, hn::ScalableTag<T>, Vector<T>, P>)
    return step_of<Compute<T, OfValues<Tag>, Held<T>, Parameters<P>>, T>();
  return {};
}

template <class T, class Row> ListStep of_two_values(const ListOperand* x) {
  const auto is = [&](auto a, auto b) { return x[0].kind == a && x[1].kind == b; };
  using E = Elements<T>;
  using N = Number<T>;
  using H = Held<T>;
  if (is(kHeld, kArray)) return step_of<Compute<T, Row, H, E>, T>();
  if (is(kArray, kHeld)) return step_of<Compute<T, Row, E, H>, T>();
  if (is(kHeld, kNumber)) return step_of<Compute<T, Row, H, N>, T>();
  if (is(kNumber, kHeld)) return step_of<Compute<T, Row, N, H>, T>();
  if (is(kArray, kArray)) return step_of<Compute<T, Row, E, E>, T>();
  if (is(kArray, kNumber)) return step_of<Compute<T, Row, E, N>, T>();
  if (is(kNumber, kArray)) return step_of<Compute<T, Row, N, E>, T>();
  if constexpr (std::is_same_v<Row, OfValues<tidu::Row<"add">>> ||
                std::is_same_v<Row, OfValues<tidu::Row<"subtract">>>) {
    if (is(kHeld, ListOperand::times_array)) return step_of<Compute<T, Row, H, Times<T, E>>, T>();
    if (is(kHeld, ListOperand::times_number)) return step_of<Compute<T, Row, H, Times<T, N>>, T>();
    if (is(ListOperand::times_array, kHeld)) return step_of<Compute<T, Row, Times<T, E>, H>, T>();
    if (is(ListOperand::times_number, kHeld)) return step_of<Compute<T, Row, Times<T, N>, H>, T>();
  }
  return step_of<Compute<T, Row, H, H>, T>();
}
template <class T, class Row> ListStep of_two_flags(const ListOperand* x) {
  using F = Flags<T>;
  using H = Held<T>;
  if (x[0].kind == kHeld) {
    return x[1].kind == kHeld ? step_of<Compute<T, Row, H, H>, T>() : step_of<Compute<T, Row, H, F>, T>();
  }
  return x[1].kind == kHeld ? step_of<Compute<T, Row, F, H>, T>() : step_of<Compute<T, Row, F, F>, T>();
}
template <class T, class Tag> ListStep of_two(bool flags, const ListOperand* x) {
  if constexpr (HasForm<Tag, hn::ScalableTag<T>, Vector<T>, Vector<T>>) {
    if (!flags) return of_two_values<T, OfValues<Tag>>(x);
  }
  if constexpr (HasFlagForm<Tag, hn::ScalableTag<T>, Vector<T>, Vector<T>>) {
    if (flags) return of_two_flags<T, OfFlags<Tag>>(x);
  }
  return {};
}

template <class T, class Row, class X, class Y> ListStep of_third(const ListOperand& z) {
  if (z.kind == kHeld) return step_of<Compute<T, Row, X, Y, Held<T>>, T>();
  if (z.kind == kNumber) return step_of<Compute<T, Row, X, Y, Number<T>>, T>();
  return step_of<Compute<T, Row, X, Y, Elements<T>>, T>();
}
template <class T, class Row> ListStep of_three(const ListOperand* x) {
  using E = Elements<T>;
  using N = Number<T>;
  using H = Held<T>;
  using F = Flags<T>;
  if (x[0].kind == kHeld)
    return x[1].kind == kNumber ? of_third<T, Row, H, N>(x[2]) : of_third<T, Row, H, E>(x[2]);
  if (x[1].kind == kHeld) return of_third<T, Row, F, H>(x[2]);
  return x[1].kind == kNumber ? of_third<T, Row, F, N>(x[2]) : of_third<T, Row, F, E>(x[2]);
}

template <class T> ListStep find_row(std::string_view row, bool flags, const ListOperand* x) {
#define UNARY(name, ...) \
  if (row == #name) return of_one<T, Row<#name>>(flags);
#define UNARY_WITH(name, ...) \
  if (row == #name) return of_one_with<T, Row<#name>, name##_parameters<T>>();
#define BINARY(name, ...) \
  if (row == #name) return of_two<T, Row<#name>>(flags, x);
#define TERNARY(name, ...) \
  if (row == #name) return of_three<T, OfFlags<Row<#name>>>(x);
#include "ops/elementwise.def"
  if (row == "copy") return of_one<T, Row<"copy">>(flags);
  if (row == "astype") return of_one<T, Row<"astype">>(flags);
  return {};
}

template <class T>
ListStep find_step_of(StepForm form, std::string_view row, bool flags, const ListOperand* x) {
  switch (form) {
    case StepForm::load:
      if (flags) return step_of<Compute<T, OfFlags<Row<"copy">>, Flags<T>>, T>();
      return x[0].kind == kNumber ? step_of<Compute<T, OfValues<Row<"copy">>, Number<T>>, T>()
                                  : step_of<Compute<T, OfValues<Row<"copy">>, Elements<T>>, T>();
    case StepForm::store: return flags ? step_of<StoreFlags<T>, T>() : step_of<Store<T>, T>();
    case StepForm::stream: return step_of<Stream<T>, T>();
    case StepForm::call: return step_of<CallTile<T>, T>();
    case StepForm::end: return step_of<End<T>, T>();
    default: return find_row<T>(row, flags, x);
  }
}

ListStep find_step(StepForm form, std::string_view row, DType dtype, bool flags, const ListOperand* x) {
#ifdef TIDU_SIBLING_CALLS
  if (dtype == DType::float32) return find_step_of<float>(form, row, flags, x);
  if (dtype == DType::float64) return find_step_of<double>(form, row, flags, x);
#else
  // Without optimised sibling calls each step would take a frame of the stack.
  (void)form, (void)row, (void)dtype, (void)flags, (void)x, (void)&find_step_of<float>,
      (void)&find_step_of<double>;
#endif
  return {};
}

int64_t find_lanes(DType dtype) {
  return static_cast<int64_t>(dtype == DType::float32 ? hn::Lanes(hn::ScalableTag<float>())
                                                      : hn::Lanes(hn::ScalableTag<double>()));
}

template <class T, size_t... k>
void run_list_of(std::index_sequence<k...>, const ListStep* list, char* const* at, int64_t i, int64_t end) {
  using WideStep = void (*)(const ListStep*, char* const*, int64_t, Repeated<T, k>...);
  using NarrowStep = void (*)(const ListStep*, char* const*, int64_t, Vector<T>);
  const auto zero = hn::Zero(hn::ScalableTag<T>());
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>())), width = sizeof...(k) * lanes;
  for (; i + width <= end; i += width)
    reinterpret_cast<WideStep>(list->wide)(list, at, i, (static_cast<void>(k), zero)...);
  for (; i < end; i += lanes) reinterpret_cast<NarrowStep>(list->narrow)(list, at, i, zero);
}
void run_any_list(const ListStep* list, DType dtype, char* const* at, int64_t begin, int64_t end) {
  dtype == DType::float32 ? run_list_of<float>(Wide(), list, at, begin, end)
                          : run_list_of<double>(Wide(), list, at, begin, end);
}

}  // namespace
}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_step);
HWY_EXPORT(find_lanes);
HWY_EXPORT(run_any_list);
}  // namespace

ListStep list_step(StepForm form, DType dtype, std::string_view row, bool flags,
                   std::span<const ListOperand> operands) {
  ListOperand x[3]{};
  std::ranges::copy(operands, x);
  ListStep step = HWY_DYNAMIC_DISPATCH(find_step)(form, row, dtype, flags, x);
  for (int k = 0; k < 3; ++k) step.places[k] = x[k].place;
  return step;
}
int64_t list_lanes(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_lanes)(dtype); }
void run_list(const ListStep* list, DType dtype, char* const* places, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(run_any_list)(list, dtype, places, begin, end);
}

}  // namespace tidu::cpu
#endif
