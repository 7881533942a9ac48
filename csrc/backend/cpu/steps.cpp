// Lists of elementwise steps that keep what they compute in vector registers: each step jumps to the next.
#include "backend/cpu/steps.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/steps.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <utility>

#include "kernels/cpu/elementwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {

// Rows whose formula in kernels/scalar.h is an instruction or two, which compilers find in loops.
// clang-format off
#define STEP(name) template <class D, class V> HWY_INLINE V cheap_form(Row<#name>, [[maybe_unused]] D d, V x)
STEP(negative) { return hn::Neg(x); }
STEP(abs) { return hn::Abs(x); }
STEP(square) { return hn::Mul(x, x); }
STEP(reciprocal) { return hn::Div(hn::Set(d, 1), x); }
STEP(sqrt) { return hn::Sqrt(x); }
STEP(rsqrt) { return hn::Div(hn::Set(d, 1), hn::Sqrt(x)); }
STEP(relu) { return hn::IfThenZeroElse(hn::Le(x, hn::Zero(d)), x); }
#undef STEP
#define STEP(name) template <class D, class V> HWY_INLINE V cheap_form(Row<#name>, [[maybe_unused]] D d, V a, V b)
STEP(add) { return hn::Add(a, b); }
STEP(subtract) { return hn::Sub(a, b); }
STEP(multiply) { return hn::Mul(a, b); }
STEP(divide) { return hn::Div(a, b); }
STEP(maximum) { return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b); }
STEP(minimum) { return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b); }
STEP(multiply_no_nan) {
  return hn::IfThenZeroElse(hn::Or(hn::Eq(a, hn::Zero(d)), hn::Eq(b, hn::Zero(d))), hn::Mul(a, b));
}
#undef STEP
// clang-format on

template <class Tag, class D, class... V>
concept IsCheap = requires(D d, V... x) {
  cheap_form(Tag{}, d, x...);
};
template <class Tag, class D, class... V>
concept HasForm = IsCheap<Tag, D, V...> || requires(D d, V... x) {
  vector_form(Tag{}, d, x...);
};

template <class Tag, class D, class... V> HWY_INLINE auto form(Tag tag, D d, V... x) {
  if constexpr (IsCheap<Tag, D, V...>) {
    return cheap_form(tag, d, x...);
  } else {
    return vector_form(tag, d, x...);
  }
}

namespace {

using cpu::ListStep;
using cpu::StepForm;

template <class T> using Vector = hn::Vec<hn::ScalableTag<T>>;

// The value is in as many vectors `a`. No step may have a local variable whose address is taken, else the
// call of the next is no jump.
template <class T, class... A>
HWY_INLINE void next(const ListStep* step, char* const* at, int64_t i, A... a) {
  using Function = void (*)(const ListStep*, char* const*, int64_t, A...);
  ++step;
  reinterpret_cast<Function>(sizeof...(A) == 1 ? step->narrow : step->wide)(step, at, i, a...);
}

// An operand in memory: an array, or one number.
template <class T> struct Elements {
  const T* x;
  Elements(const ListStep* step, char* const* at, int64_t i) : x(reinterpret_cast<T*>(at[step->place]) + i) {}
  HWY_INLINE Vector<T> operator[](size_t k) const {
    const hn::ScalableTag<T> d;
    return hn::LoadU(d, x + k * hn::Lanes(d));
  }
};
template <class T> struct Number {
  T x;
  Number(const ListStep* step, char* const* at, int64_t) : x(*reinterpret_cast<T*>(at[step->place])) {}
  HWY_INLINE Vector<T> operator[](size_t) const { return hn::Set(hn::ScalableTag<T>(), x); }
};

template <class T, class Operand> struct Load {
  template <size_t... k, class... A>
  static HWY_INLINE void go(std::index_sequence<k...>, const ListStep* step, char* const* at, int64_t i,
                            A...) {
    const Operand x(step, at, i);
    next<T>(step, at, i, x[k]...);
  }
};
template <class T> struct Store {
  template <size_t... k, class... A>
  static HWY_INLINE void go(std::index_sequence<k...>, const ListStep* step, char* const* at, int64_t i,
                            A... a) {
    const hn::ScalableTag<T> d;
    T* const y = reinterpret_cast<T*>(at[step->place]) + i;
    (hn::StoreU(a, d, y + k * hn::Lanes(d)), ...);
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
template <class T, class Tag> struct Unary {
  template <class K, class... A>
  static HWY_INLINE void go(K, const ListStep* step, char* const* at, int64_t i, A... a) {
    next<T>(step, at, i, form(Tag{}, hn::ScalableTag<T>(), a)...);
  }
};
template <class T, class Tag, class Operand, bool first> struct Binary {
  template <size_t... k, class... A>
  static HWY_INLINE void go(std::index_sequence<k...>, const ListStep* step, char* const* at, int64_t i,
                            A... a) {
    const hn::ScalableTag<T> d;
    const Operand x(step, at, i);
    if constexpr (first) {
      next<T>(step, at, i, form(Tag{}, d, x[k], a)...);
    } else {
      next<T>(step, at, i, form(Tag{}, d, a, x[k])...);
    }
  }
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

template <class T, class Operand> ListStep binary_step(StepForm wanted, std::string_view row) {
#define UNARY(...)
#define BINARY(name, ...)                                                                       \
  if constexpr (HasForm<Row<#name>, hn::ScalableTag<T>, Vector<T>, Vector<T>>) {                \
    if (row == #name)                                                                           \
      return wanted == StepForm::of_value ? step_of<Binary<T, Row<#name>, Operand, false>, T>() \
                                          : step_of<Binary<T, Row<#name>, Operand, true>, T>(); \
  }
#include "ops/elementwise.def"
  return {};
}

template <class T> ListStep find_step_of(StepForm wanted, std::string_view row, bool number) {
  switch (wanted) {
    case StepForm::load:
      return number ? step_of<Load<T, Number<T>>, T>() : step_of<Load<T, Elements<T>>, T>();
    case StepForm::store: return step_of<Store<T>, T>();
    case StepForm::call: return step_of<CallTile<T>, T>();
    case StepForm::end: return step_of<End<T>, T>();
    default: break;
  }
#define UNARY(name, ...)                                              \
  if constexpr (HasForm<Row<#name>, hn::ScalableTag<T>, Vector<T>>) { \
    if (row == #name) return step_of<Unary<T, Row<#name>>, T>();      \
  }
#define UNARY_WITH(...)
#include "ops/elementwise.def"
  return number ? binary_step<T, Number<T>>(wanted, row) : binary_step<T, Elements<T>>(wanted, row);
}

ListStep find_step(StepForm wanted, std::string_view row, DType dtype, bool number) {
#ifdef TIDU_SIBLING_CALLS
  if (dtype == DType::float32) return find_step_of<float>(wanted, row, number);
  if (dtype == DType::float64) return find_step_of<double>(wanted, row, number);
#else
  // Without optimised sibling calls each step would take a frame of the stack.
  (void)wanted, (void)row, (void)dtype, (void)number, (void)&find_step_of<float>, (void)&find_step_of<double>;
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

ListStep list_step(StepForm form, std::string_view row, DType dtype, int place, bool number) {
  ListStep step = HWY_DYNAMIC_DISPATCH(find_step)(form, row, dtype, number);
  step.place = place;
  return step;
}
int64_t list_lanes(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_lanes)(dtype); }
void run_list(const ListStep* list, DType dtype, char* const* places, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(run_any_list)(list, dtype, places, begin, end);
}

}  // namespace tidu::cpu
#endif
