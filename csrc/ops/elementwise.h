// The elementwise operations of elementwise.def: functions, operators, primitives.
#pragma once

#include <complex>
#include <concepts>

#include "core/primitive.h"
#include "kernels/rows.h"

namespace tidu {

// A C++ number. It adapts to the tensors that it meets: it only changes their dtype where its kind is the
// higher one (a floating-point number with an integer tensor gives float32).
struct Scalar {
  Kind kind;
  union {
    int64_t integer;   // of kinds boolean and signed_integer
    uint64_t natural;  // of kind unsigned_integer: 2^63 and more
    double real;       // of kinds floating and complex
  };
  double imaginary = 0;

  Scalar(bool value) : kind(Kind::boolean), integer(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Scalar(T value)
      : kind(std::in_range<int64_t>(value) ? Kind::signed_integer : Kind::unsigned_integer),
        integer(static_cast<int64_t>(value)) {}
  Scalar(std::floating_point auto value) : kind(Kind::floating), real(static_cast<double>(value)) {}
  Scalar(std::complex<double> value) : kind(Kind::complex), real(value.real()), imaginary(value.imag()) {}

  // Of a complex number the real part.
  double to_double() const {
    return kind >= Kind::floating           ? real
           : kind == Kind::unsigned_integer ? static_cast<double>(natural)
                                            : static_cast<double>(integer);
  }
  // A ValueError that names `op` where the number, without its fraction, is none of an integer dtype.
  void check_fits(DType dtype, const char* op) const;
};

// A number of a recorded program, whose value is known later: a 0-d tensor, but it takes on dtypes like a
// number.
class LaterNumber {
 public:
  LaterNumber(Kind kind, Tensor tensor) : kind(kind), tensor(std::move(tensor)) {}
  virtual ~LaterNumber() = default;
  // For code that must know the value: the program is only right for this one from then on.
  virtual Scalar value() const = 0;

  const Kind kind;
  const Tensor tensor;
};

// A tensor or a number.
class Operand {
 public:
  Operand(const Tensor& tensor) : tensor_(&tensor) {}
  template <class T>
  requires std::is_arithmetic_v<T> Operand(T value) : scalar_(value) {}
  Operand(const Scalar& value) : scalar_(value) {}
  Operand(const LaterNumber& later) : later_(&later) {}

  const Tensor* tensor() const { return tensor_; }  // null for a number
  Scalar scalar() const { return later_ ? later_->value() : scalar_; }
  Kind scalar_kind() const { return later_ ? later_->kind : scalar_.kind; }
  const LaterNumber* later() const { return later_; }  // null for others

 private:
  const Tensor* tensor_ = nullptr;
  const LaterNumber* later_ = nullptr;
  Scalar scalar_{false};
};

// A number as x has, in a tensor of shape ().
Tensor number_like(const Tensor& x, double value);

// The dtype in which operands meet.
DType result_type(std::span<const Operand> operands);

#define UNARY(name, types, result, low, high, cost, derivative, doc) Tensor name(const Tensor& x);
#define BINARY(name, types, result, low, high, cost, derivative, doc) \
  Tensor name(const Operand& a, const Operand& b);
#define TERNARY(name, types, result, low, high, cost, derivative, doc) \
  Tensor name(const Operand& c, const Operand& a, const Operand& b);
#define UNARY_WITH(name, ...) Tensor name(const Tensor& x, const name##_parameters<double>& p = {});
#include "ops/elementwise.def"

namespace primitives {
#define UNARY(name, ...) extern Primitive name;
#define BINARY(name, ...) extern Primitive name;
#define TERNARY(name, ...) extern Primitive name;
#include "ops/elementwise.def"
}  // namespace primitives

inline Tensor operator-(const Tensor& x) { return negative(x); }
inline Tensor operator+(const Operand& a, const Operand& b) { return add(a, b); }
inline Tensor operator-(const Operand& a, const Operand& b) { return subtract(a, b); }
inline Tensor operator*(const Operand& a, const Operand& b) { return multiply(a, b); }
inline Tensor operator/(const Operand& a, const Operand& b) { return divide(a, b); }
inline Tensor operator==(const Operand& a, const Operand& b) { return equal(a, b); }
inline Tensor operator!=(const Operand& a, const Operand& b) { return not_equal(a, b); }
inline Tensor operator<(const Operand& a, const Operand& b) { return less(a, b); }
inline Tensor operator<=(const Operand& a, const Operand& b) { return less_equal(a, b); }
inline Tensor operator>(const Operand& a, const Operand& b) { return greater(a, b); }
inline Tensor operator>=(const Operand& a, const Operand& b) { return greater_equal(a, b); }

// The parameters of a call: named doubles.
struct Parameter {
  const char* name;
  double value;  // the default
};
struct ParameterAttrs {
  std::span<const Parameter> declared;
  double values[kMaxParameters] = {};
  void fields(auto&& field) const {
    for (size_t i = 0; i < declared.size(); ++i) field(declared[i].name, values[i]);
  }
};
// Empty where the row has none.
inline std::span<const double> parameters_of(const Call& call) {
  if (call.attrs.empty()) return {};
  const auto& attrs = call.attrs.as<ParameterAttrs>();
  return {attrs.values, attrs.declared.size()};
}

// One row of the table, for bindings and tests.
enum class Types : uint8_t {
  floating,
  numeric,
  any,
  integral,
  boolean,
  choice,
  complex,
  floating_complex,
  numeric_complex,
  any_complex,
  numeric_parts,
  any_parts
};
// Of the real dtypes among them.
constexpr Types real_types(Types types) {
  switch (types) {
    case Types::floating_complex: return Types::floating;
    case Types::numeric_complex:
    case Types::numeric_parts: return Types::numeric;
    case Types::any_complex:
    case Types::any_parts: return Types::any;
    default: return types;
  }
}
constexpr OnComplex on_complex(Types types) {
  if (types == Types::choice || types >= Types::numeric_parts) return OnComplex::parts;
  return types >= Types::complex ? OnComplex::native : OnComplex::refused;
}
struct ElementwiseRow {
  Primitive* primitive;
  int arity;
  Types types;
  bool boolean_result;
  double low, high;
  const char* doc;
  std::span<const Parameter> parameters;
  Attrs attrs;  // of a call with the defaults
  Tensor (*unary)(const Tensor&);
  Tensor (*binary)(const Operand&, const Operand&);
  Tensor (*ternary)(const Operand&, const Operand&, const Operand&);
};
const std::vector<ElementwiseRow>& elementwise_table();

}  // namespace tidu
