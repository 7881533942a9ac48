// Elementwise operations: promotion and broadcasting, the same for every row of the table.
#include "ops/elementwise.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/bind.h"
#include "core/trace.h"
#include "ops/checked.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

// What the kernel computes in.
DType computing_type(DType dtype, Types types, const char* op) {
  if (is_complex(dtype)) {
    if (types == Types::boolean) return DType::bool_;
    if (on_complex(types) != OnComplex::refused) return dtype;
    fail<DTypeError>("[", op, "] is not defined for complex numbers: ", dtype, " (take real, imag or abs)");
  }
  switch (real_types(types)) {
    case Types::floating: return is_floating(dtype) ? dtype : kDefaultFloat;
    case Types::numeric:
      if (dtype == DType::bool_)
        fail<DTypeError>("[", op,
                         "] is not defined for bool (convert with astype, or use logical_not, logical_xor)");
      return dtype;
    case Types::integral:
      if (is_floating(dtype)) fail<DTypeError>("[", op, "] takes bool and integer tensors, not ", dtype);
      return dtype;
    case Types::boolean: return DType::bool_;
    case Types::complex: return complex_of(dtype);
    default: return dtype;
  }
}

// An allocator of single objects, for std::allocate_shared.
template <class T> struct FromPool {
  using value_type = T;
  FromPool() = default;
  template <class U> FromPool(const FromPool<U>&) {}
  T* allocate(size_t) { return static_cast<T*>(Pooled<T>::operator new(sizeof(T))); }
  void deallocate(T* object, size_t) { Pooled<T>::operator delete(object, sizeof(T)); }
  bool operator==(const FromPool&) const = default;
};

// In memory of its own, so that the allocator's statistics count tensors of users alone.
Tensor number_of(const void* bytes, DType dtype) {
  auto number = std::allocate_shared<std::complex<double>>(FromPool<std::complex<double>>());
  void* const data = number.get();
  std::memcpy(data, bytes, size_of(dtype));
  return Tensor::from_memory(data, {}, {}, dtype, std::move(number), {}, false);
}

Tensor complex_constant(const Scalar& value, DType dtype, Device device) {
  const std::complex<double> wide(value.to_double(), value.imaginary);
  const std::complex<float> narrow(wide);
  const VisibleTraces none(nullptr);
  return to(number_of(dtype == DType::complex64 ? static_cast<const void*>(&narrow) : &wide, dtype), device);
}

// A 0-d tensor of a number. On the cpu the last few are kept, since expressions such as 1 - y * y make the
// same ones over and over; they are nobody's result, so nobody writes to them.
Tensor constant(const Scalar& value, DType dtype, Device device) {
  if (is_complex(dtype)) return complex_constant(value, dtype, device);
  if (device.type != DeviceType::cpu)
    return Tensor::number(constant(value, dtype, Device{}).raw_data(), dtype, device);
  struct Entry {
    int64_t bits = 0;
    Kind kind{};
    DType dtype{};
    Tensor tensor;
  };
  // On the heap: of memory of its own a thread has little to give to a library that is opened at run time.
  thread_local const auto recent = std::make_unique<Entry[]>(64);
  const uint64_t mixed =
      (static_cast<uint64_t>(value.integer) ^ static_cast<uint64_t>(dtype) << 3) * 0x9e3779b97f4a7c15u;
  Entry& entry = recent[mixed >> 58];
  if (entry.tensor.defined() && entry.bits == value.integer && entry.kind == value.kind &&
      entry.dtype == dtype)
    return entry.tensor;
  const VisibleTraces none(nullptr);  // a constant of whatever is recorded
  entry = {value.integer, value.kind, dtype, number_of(full({}, value, dtype).raw_data(), dtype)};
  return entry.tensor;
}

// An operand as a tensor of the given dtype and shape. A number needs no recorded broadcast: no derivative
// depends on it.
Tensor materialize(const Operand& operand, DType dtype, const Shape& shape, Device device, const char* op) {
  if (operand.tensor()) return broadcast_to(astype(*operand.tensor(), dtype), shape);
  // What fits an integer type depends on the value.
  const bool may_not_fit = operand.scalar_kind() != Kind::floating && !is_inexact(dtype);
  if (operand.later() && !(may_not_fit && dtype != DType::int64))
    return broadcast_to(to(astype(operand.later()->tensor, dtype), device), shape);
  operand.scalar().check_fits(dtype, op);
  const Tensor number = constant(operand.scalar(), dtype, device);
  return shape.empty() ? number : number.view(shape, Strides(shape.size(), 0), 0);
}

// Looked at before the operands are broadcast, so that an error shows them as they were given.
Device common_device(std::span<const Operand> operands, const char* op) {
  const Tensor* first = nullptr;
  bool same = true;
  for (const Operand& operand : operands) {
    if (!operand.tensor()) continue;
    if (!operand.tensor()->defined()) fail<ValueError>("[", op, "] an argument is an undefined tensor");
    if (!first) first = operand.tensor();
    same &= operand.tensor()->device() == first->device();
  }
  if (!same) {
    Tensors given;
    for (const Operand& operand : operands) {
      if (operand.tensor()) given.push_back(*operand.tensor());
    }
    fail_on_devices(op, given);
  }
  return first ? first->device() : Device{};
}

Tensor apply(Primitive& primitive, Types types, std::span<const Operand> operands) {
  const Device device = common_device(operands, primitive.name);
  const bool choice = types == Types::choice;
  const DType dtype = computing_type(result_type(operands.subspan(choice)), types, primitive.name);
  Shape shape;
  for (const Operand& operand : operands) {
    if (operand.tensor()) shape = broadcast_shapes(shape, operand.tensor()->shape(), primitive.name);
  }
  Tensor inputs[3];
  for (size_t i = 0; i < operands.size(); ++i) {
    inputs[i] =
        materialize(operands[i], choice && i == 0 ? DType::bool_ : dtype, shape, device, primitive.name);
  }
  Tensor output;
  bind(primitive, {inputs, operands.size()}, {}, {&output, 1});
  return output;
}

Tensor apply_unary(Primitive& primitive, Types types, const Tensor& x, const Attrs& attrs = {}) {
  if (!x.defined()) fail<ValueError>("[", primitive.name, "] the argument is an undefined tensor");
  if (types == Types::complex && !is_complex(x.dtype())) return x;
  if (is_complex(x.dtype()) && &primitive == &primitives::abs) return complex_abs(x);
  if (is_complex(x.dtype()) && &primitive == &primitives::sign) return complex_sign(x);
  if (&primitive == &primitives::hardtanh) {
    const auto p = parameters_from<hardtanh_parameters<double>>(attrs.as<ParameterAttrs>().values);
    if (!(p.min_val <= p.max_val))
      fail<ValueError>("[hardtanh] min_val ", p.min_val, " exceeds max_val ", p.max_val);
  }
  const DType dtype = computing_type(x.dtype(), types, primitive.name);
  return dtype == x.dtype() ? bind(primitive, {x}, attrs) : bind(primitive, {astype(x, dtype)}, attrs);
}

// Integers have no negative powers. Gives the exponent again, of integers that are tensors.
Tensor checked_exponent(const Operand& a, const Operand& b) {
  constexpr const char* kWhy =
      "integers have no negative powers (convert the base to a floating-point dtype first)";
  const Operand operands[2] = {a, b};
  if (is_inexact(result_type(operands))) return {};
  if (b.tensor()) {
    if (kind_of(b.tensor()->dtype()) != Kind::signed_integer) return *b.tensor();
    return checked(
        *b.tensor(), [](const Tensor& exponent) { return exponent < 0; }, "pow", kWhy);
  }
  if (b.scalar().kind == Kind::signed_integer && b.scalar().integer < 0) fail<ValueError>("[pow] ", kWhy);
  return {};
}

// What computes the power of a tensor to some numbers at once, as NumPy does; null for others.
Primitive* direct_power(const Operand& a, const Operand& b) {
  if (!a.tensor() || b.tensor() || b.later() || !a.tensor()->defined()) return nullptr;
  const Kind kind = b.scalar_kind();
  if (is_integral(a.tensor()->dtype()) && kind == Kind::signed_integer && b.scalar().integer == 2)
    return &primitives::square;
  if (!is_inexact(a.tensor()->dtype()) || kind == Kind::complex) return nullptr;
  const double exponent = b.scalar().to_double();
  if (exponent == 2) return &primitives::square;
  if (exponent == 0.5) return &primitives::sqrt;
  return exponent == -1 ? &primitives::reciprocal : nullptr;
}

Tensor apply_binary(Primitive& primitive, Types types, const Operand& a, const Operand& given) {
  const bool is_power = &primitive == &primitives::pow;
  const Tensor exponent = is_power ? checked_exponent(a, given) : Tensor();
  const Operand b = exponent.defined() ? Operand(exponent) : given;
  if (is_power) {
    if (Primitive* const direct = direct_power(a, b)) return apply_unary(*direct, types, *a.tensor());
  }
  // The usual case, two tensors alike, needs no conversion.
  if (a.tensor() && b.tensor() && a.tensor()->defined() && b.tensor()->defined()) {
    const Tensor &x = *a.tensor(), &y = *b.tensor();
    if (x.dtype() == y.dtype() && x.shape() == y.shape() &&
        computing_type(x.dtype(), types, primitive.name) == x.dtype()) {
      return bind(primitive, {x, y});
    }
  }
  const Operand operands[2] = {a, b};
  return apply(primitive, types, operands);
}

template <bool kBoolean> void infer(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& last = call.inputs.back();
  for (size_t i = 0; i + 1 < call.inputs.size(); ++i) {
    if (call.inputs[i].shape == last.shape) continue;
    fail<ShapeError>("[", call.primitive.name, "] shapes differ: ", call.inputs[i].shape, " and ", last.shape,
                     " (broadcast_to comes first)");
  }
  outputs[0] = last;
  if (kBoolean) outputs[0].dtype = DType::bool_;
}

// One dtype that the kernel computes in, but that the first of three inputs chooses.
template <Types types> void check(const SpecCall& call, size_t) {
  constexpr bool choice = types == Types::choice;
  const DType dtype = call.inputs.back().dtype;
  bool fits = computing_type(dtype, types, call.primitive.name) == dtype;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    fits = fits && call.inputs[i].dtype == (choice && i == 0 ? DType::bool_ : dtype);
  require(fits, call, "the dtypes do not fit");
}

constexpr bool same = false, boolean = true;

constexpr CountFlops arithmetic = flops_per_output<1>, transcendental = flops_per_output<0, 1>;

Definition row_of(Attributes attrs, int arity, Types types, Check check, Infer infer, Derivative derivative,
                  CountFlops flops) {
  return {.batching = batch_by_fields,
          .attrs = std::move(attrs),
          .inputs = arity,
          .check = check,
          .infer = infer,
          .derivative = std::move(derivative),
          .pointwise = true,
          .on_complex = on_complex(types),
          .flops = flops};
}

// What derivatives say of parameters: p.negative_slope.
struct no_parameters {};
template <class Parameters> Parameters parameters_in(const Attrs& attrs) {
  if constexpr (std::is_same_v<Parameters, no_parameters>) {
    return {};
  } else {
    return parameters_from<Parameters>(attrs.as<ParameterAttrs>().values);
  }
}

// sqrt(1 + x^2)
template <class X> X beside_one(const X& x) {
  return is_complex(x.dtype()) ? sqrt(1 + square(x)) : hypot(x, 1);
}

// Near 1 the result tells little of x. Of 16 bits the tape keeps x, and the slope is computed from that; of
// others what is lost is below half a unit of the largest slope, for which x is not kept beside y.
bool is_kept_narrow(const Tensor& x) { return x.defined() && is_narrow(x.dtype()); }
template <class X> X slope_of_tanh(const X& x, const X& y) {
  return is_kept_narrow(x) ? square(reciprocal(cosh(widened(x)))) : 1 - square(y);
}
template <class X> X slope_of_sigmoid(const X& x, const X& y) {
  return y * (is_kept_narrow(x) ? sigmoid(-widened(x)) : 1 - y);
}

// sqrt(pi) / 2 exp(y^2). In the tails, where y magnifies how it was rounded, exp(-y^2) is q / erfcx(|y|) of
// the rest q = erfc(|y|), which is exact.
template <class X> X slope_of_erfinv(const X& x, const X& y) {
  const X rest = 1 - abs(x);
  return where(logical_and(rest > 0, rest < 0.5), 0.88622692545275801365 * erfcx(abs(y), {0}) / rest,
               0.88622692545275801365 * exp(square(y)));
}
// sqrt(2 pi) exp(y^2 / 2), likewise.
template <class X> X slope_of_ndtri(const X& x, const X& y) {
  const X rest = minimum(x, 1 - x);
  return where(logical_and(rest > 0, rest < 0.25),
               1.25331413731550025121 * erfcx(0.70710678118654752440 * abs(y), {0}) / rest,
               2.50662827463100050242 * exp(0.5 * square(y)));
}

// Without the terms of logarithms that would be below -100.
constexpr double kLeastOfBernoulliLoss = 3.7200759760208361e-44;
template <class X> X second_slope_of_bernoulli_loss(const X& a, const X& b) {
  // Squares would leave the range before the quotients do.
  return where(a >= 1, 0, (1 - b) / (1 - a) / (1 - a)) + where(a < kLeastOfBernoulliLoss, 0, b / a / a);
}
template <class X> X mixed_slope_of_bernoulli_loss(const X& a) {
  return -where(a >= 1, 0, reciprocal(1 - a)) - where(a < kLeastOfBernoulliLoss, 0, reciprocal(a));
}

// What the slopes of a handful of elements are computed of.
template <class T> struct FewCall {
  handful::Handful<bool> condition;
  handful::Handful<T> inputs[3], outputs[1];
  const Attrs& attrs;
};
const Tensor& condition_of(const Call& call) { return call.inputs[0]; }
template <class T> const handful::Handful<bool>& condition_of(const FewCall<T>& call) {
  return call.condition;
}

bool has_condition(const Call& call) { return call.inputs.size() == 3; }

// Whether the product of a slope with t can be computed without calls, since nobody sees them.
bool can_be_handfuls(const Call& call, Reads reads, const Tensor& t) {
  const bool is_float = t.dtype() == DType::float32 || t.dtype() == DType::float64;
  if (!is_float || t.numel() == 0) return false;
  const auto fits = [&](const Tensor& x, DType dtype) {
    return handful::can_be_elements(x, dtype, t.shape());
  };
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const bool is_condition = i == 0 && has_condition(call);
    if ((reads & input_bit(i)) && !fits(call.inputs[i], is_condition ? DType::bool_ : t.dtype()))
      return false;
  }
  return fits(t, t.dtype()) && (!(reads & (kOutput | kFineOutput)) || fits(call.outputs[0], t.dtype()));
}

// Of `size` elements from `begin` on.
template <class T, class Rule>
void multiply_few(const Call& call, const Rule& slope_of, const handful::Elements<T>& t, int64_t begin,
                  int64_t size, T* result) {
  const auto elements = [&]<class E>(std::type_identity<E>, std::span<const Tensor> tensors, size_t i) {
    const bool is_known = i < tensors.size() && tensors[i].defined() && tensors[i].impl().storage &&
                          tensors[i].dtype() == dtype_of<E>;
    return is_known ? handful::Elements<E>(tensors[i]).at(begin, size) : handful::Handful<E>(nullptr, size);
  };
  constexpr std::type_identity<T> number;
  const auto slope = slope_of(FewCall<T>{
      elements(std::type_identity<bool>(), call.inputs.first(has_condition(call) ? 1 : 0), 0),
      {elements(number, call.inputs, 0), elements(number, call.inputs, 1), elements(number, call.inputs, 2)},
      {elements(number, call.outputs, 0)},
      call.attrs});
  const handful::Handful<T> factor = t.at(begin, size);
  if constexpr (std::is_same_v<decltype(slope), const handful::Handful<bool>>) {
    const handful::Handful<T> zero(T(0), size);
    const void* const operands[] = {slope.data(), factor.data(), zero.data()};
    handful::tile<primitives::where, T>()(operands, result + begin, size);
  } else {
    const void* const operands[] = {slope.data(), factor.data()};
    handful::tile<primitives::multiply_no_nan, T>()(operands, result + begin, size);
  }
}

template <class T, class Rule> Tensor multiply_by_handfuls(const Call& call, Tensor& t, bool is_last) {
  const handful::Elements<T> factor(t);
  Tensor result = is_last && is_free(t) ? std::move(t) : Tensor::empty(t.shape(), dtype_of<T>);
  auto* const data = static_cast<T*>(result.raw_data());
  handful::for_handfuls(result.numel(), [&](int64_t begin, int64_t size) {
    multiply_few(call, Rule(), factor, begin, size, data);
  });
  return result;
}

template <Reads reads, class Rule> Partial partial_of(Rule) {
  return {Partial::expression, reads, [](const Call& call) -> Tensor { return Rule()(call); },
          [](const Call& call, Tensor& t, bool is_last) {
            if (!can_be_handfuls(call, reads, t)) return Tensor();
            return t.dtype() == DType::float32 ? multiply_by_handfuls<float, Rule>(call, t, is_last)
                                               : multiply_by_handfuls<double, Rule>(call, t, is_last);
          }};
}

// The derivative column of the table.
#define ZERO (Zero{})
#define D(...) (Elementwise{{{__VA_ARGS__}}})
// A product of its two inputs, in which 0 times an infinity or NaN is 0 where one factor is a tangent.
#define PRODUCT                                                                                         \
  (Multilinear{.transpose = [](const Call& call, const Tensor& cotangent,                               \
                               int i) { return multiply_no_nan(cotangent, conj(call.inputs[1 - i])); }, \
               .of_tangents = &primitives::multiply_no_nan})
#define CONJUGATE \
  (LinearMap{.transpose = [](const Call&, Cotangents cotangents, int) { return conj(cotangents[0]); }})
#define NONE (Partial{})
#define ONE (Partial{Partial::one})
#define MINUS_ONE (Partial{Partial::minus_one})
#define ONE_BETWEEN_JUMPS (Partial{.kind = Partial::one, .jumps = true})
#define PARTIAL(reads, names, e)                                           \
  (partial_of<reads>([](const auto& call) {                                \
    [[maybe_unused]] const auto p = parameters_in<Parameters>(call.attrs); \
    names return e;                                                        \
  }))
#define INPUT(name, i) const auto& name = call.inputs[i];
#define OUTPUT(name) const auto& name = call.outputs[0];
#define FINE_INPUT(name, i) const auto& name = widened(call.inputs[i]);
#define CONDITION(name) const auto& name = condition_of(call);
#define FROM_X(e) PARTIAL(kInput0, INPUT(x, 0), e)
#define FROM_FINE_X(e) PARTIAL(kInput0, FINE_INPUT(x, 0), e)
#define FROM_Y(e) PARTIAL(kOutput, OUTPUT(y), e)
#define FROM_FINE_Y(e) PARTIAL(kFineOutput, OUTPUT(y), e)
#define FROM_XY(e) PARTIAL(kInput0 | kOutput, INPUT(x, 0) OUTPUT(y), e)
#define FROM_FINE_XY(e) PARTIAL(kInput0 | kFineOutput, FINE_INPUT(x, 0) OUTPUT(y), e)
#define FROM_A(e) PARTIAL(kInput0, INPUT(a, 0), e)
#define FROM_FINE_A(e) PARTIAL(kInput0, FINE_INPUT(a, 0), e)
#define FROM_B(e) PARTIAL(kInput1, INPUT(b, 1), e)
#define FROM_C(e) PARTIAL(kInput0, CONDITION(c), e)
#define FROM_AB(e) PARTIAL(kInput0 | kInput1, INPUT(a, 0) INPUT(b, 1), e)
#define FROM_AY(e) PARTIAL(kInput0 | kOutput, INPUT(a, 0) OUTPUT(y), e)
#define FROM_BY(e) PARTIAL(kInput1 | kOutput, INPUT(b, 1) OUTPUT(y), e)
#define FROM_FINE_B(e) PARTIAL(kInput1, FINE_INPUT(b, 1), e)
#define FROM_FINE_AB(e) PARTIAL(kInput0 | kInput1, FINE_INPUT(a, 0) FINE_INPUT(b, 1), e)
#define FROM_FINE_AY(e) PARTIAL(kInput0 | kFineOutput, FINE_INPUT(a, 0) OUTPUT(y), e)
#define FROM_FINE_BY(e) PARTIAL(kInput1 | kFineOutput, FINE_INPUT(b, 1) OUTPUT(y), e)
#define FROM_FINE_ABY(e) PARTIAL(kInput0 | kInput1 | kOutput, FINE_INPUT(a, 0) FINE_INPUT(b, 1) OUTPUT(y), e)

// In functions, where a name means the operation and not the primitive.
#define ROW(name, parameters, derivative)           \
  Derivative derivative_of_##name() {               \
    using Parameters [[maybe_unused]] = parameters; \
    return derivative;                              \
  }
#define UNARY(name, types, result, low, high, cost, derivative, doc) ROW(name, no_parameters, derivative)
#define BINARY UNARY
#define TERNARY UNARY
#define UNARY_WITH(name, parameters, types, result, low, high, cost, derivative, doc) \
  ROW(name, name##_parameters<double>, derivative)
#include "ops/elementwise.def"
#undef ROW

#define PARAMETER(name, value) {#name, value},
#define UNARY_WITH(name, parameters, ...) constexpr Parameter parameters_of_##name[] = {parameters};
#include "ops/elementwise.def"

template <class Parameters>
ParameterAttrs attrs_of(std::span<const Parameter> declared, const Parameters& parameters) {
  ParameterAttrs attrs{declared};
  std::memcpy(attrs.values, &parameters, sizeof parameters);
  return attrs;
}

}  // namespace

namespace primitives {
#define DEFINE(name, attrs, arity, types, result, cost)                                        \
  Primitive name(#name, row_of(attrs, arity, Types::types, check<Types::types>, infer<result>, \
                               derivative_of_##name(), cost));
#define UNARY(name, types, result, low, high, cost, derivative, doc) \
  DEFINE(name, kNoAttrs, 1, types, result, cost)
#define BINARY(name, types, result, low, high, cost, derivative, doc) \
  DEFINE(name, kNoAttrs, 2, types, result, cost)
#define TERNARY(name, types, result, low, high, cost, derivative, doc) \
  DEFINE(name, kNoAttrs, 3, types, result, cost)
#define UNARY_WITH(name, parameters, types, result, low, high, cost, derivative, doc) \
  DEFINE(name, attrs_of(parameters_of_##name, name##_parameters<double>()), 1, types, result, cost)
#include "ops/elementwise.def"
#undef DEFINE
}  // namespace primitives

#define UNARY(name, types, result, low, high, cost, derivative, doc) \
  Tensor name(const Tensor& x) { return apply_unary(primitives::name, Types::types, x); }
#define BINARY(name, types, result, low, high, cost, derivative, doc) \
  Tensor name(const Operand& a, const Operand& b) {                   \
    return apply_binary(primitives::name, Types::types, a, b);        \
  }
#define TERNARY(name, types, result, low, high, cost, derivative, doc) \
  Tensor name(const Operand& c, const Operand& a, const Operand& b) {  \
    const Operand operands[3] = {c, a, b};                             \
    return apply(primitives::name, Types::types, operands);            \
  }
#define UNARY_WITH(name, parameters, types, ...)                             \
  Tensor name(const Tensor& x, const name##_parameters<double>& p) {         \
    const ParameterAttrs attrs = attrs_of(parameters_of_##name, p);          \
    Attrs::OnStack<ParameterAttrs> on_stack(attrs);                          \
    return apply_unary(primitives::name, Types::types, x, on_stack.attrs()); \
  }
#include "ops/elementwise.def"

const std::vector<ElementwiseRow>& elementwise_table() {
#define UNARY(name, types, result, low, high, cost, derivative, doc) \
  {&primitives::name, 1, real_types(Types::types), result, low, high, doc, {}, {}, name, nullptr, nullptr},
#define BINARY(name, types, result, low, high, cost, derivative, doc) \
  {&primitives::name, 2, real_types(Types::types), result, low, high, doc, {}, {}, nullptr, name, nullptr},
#define TERNARY(name, types, result, low, high, cost, derivative, doc) \
  {&primitives::name, 3, real_types(Types::types), result, low, high, doc, {}, {}, nullptr, nullptr, name},
#define UNARY_WITH(name, parameters, types, result, low, high, cost, derivative, doc) \
  {&primitives::name,                                                                 \
   1,                                                                                 \
   real_types(Types::types),                                                          \
   result,                                                                            \
   low,                                                                               \
   high,                                                                              \
   doc,                                                                               \
   parameters_of_##name,                                                              \
   attrs_of(parameters_of_##name, name##_parameters<double>()),                       \
   [](const Tensor& x) { return name(x); },                                           \
   nullptr,                                                                           \
   nullptr},
  static const std::vector<ElementwiseRow> table = {
#include "ops/elementwise.def"
  };
  return table;
}

Tensor number_like(const Tensor& x, double value) { return constant(value, x.dtype(), x.device()); }

DType result_type(std::span<const Operand> operands) {
  DType dtype = DType::bool_;
  Kind scalar_kind = Kind::boolean;
  for (const Operand& operand : operands) {
    if (operand.tensor()) {
      dtype = promote(dtype, operand.tensor()->dtype());
    } else {
      scalar_kind = std::max(scalar_kind, operand.scalar_kind());
    }
  }
  if (scalar_kind == Kind::complex) return complex_of(dtype);
  if (scalar_kind == Kind::floating && !is_inexact(dtype)) return kDefaultFloat;
  if (scalar_kind > Kind::boolean && dtype == DType::bool_) return kDefaultInt;
  return dtype;
}

}  // namespace tidu
