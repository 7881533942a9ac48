// Making tensors.
#include "ops/creation.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "backend/backend.h"
#include "base/digits.h"
#include "core/bind.h"
#include "core/escape.h"
#include "core/host_lock.h"
#include "core/trace.h"
#include "ops/checked.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/indexing.h"
#include "ops/shape.h"

namespace tidu {
namespace {

// Numbers that do not fit the dtype have no conversion to it.
void check_full(const SpecCall& call, size_t) {
  const auto& attrs = call.attrs.as<FullAttrs>();
  const Scalar value = attrs.value;
  value.check_fits(attrs.dtype, "full");
  require(!is_complex(attrs.dtype), call, "complex numbers are made of their parts");
}

void check_arange(const SpecCall& call, size_t) {
  const auto& attrs = call.attrs.as<ArangeAttrs>();
  require(attrs.count >= 0, call, "a negative number of elements");
  require(!is_complex(attrs.dtype), call, "complex numbers are made of their parts");
}

}  // namespace

namespace primitives {

// | `full` | $y$ constant | | |
Primitive full("full", {.batching = batch_by_fields,
                        .attrs = FullAttrs{},
                        .inputs = 0,
                        .check = check_full,
                        .infer =
                            [](const SpecCall& call, std::span<Spec> outputs) {
                              const auto& attrs = call.attrs.as<FullAttrs>();
                              outputs[0] = {attrs.shape, attrs.dtype, outputs[0].device};
                            },
                        .derivative = Zero{},
                        .flops = no_flops});

// | `arange` | $y$ constant | | |
Primitive arange("arange", {.batching = batch_by_fields,
                            .attrs = ArangeAttrs{},
                            .inputs = 0,
                            .check = check_arange,
                            .infer =
                                [](const SpecCall& call, std::span<Spec> outputs) {
                                  const auto& attrs = call.attrs.as<ArangeAttrs>();
                                  outputs[0] = {Shape{attrs.count}, attrs.dtype, outputs[0].device};
                                },
                            .derivative = Zero{},
                            .flops = no_flops});

}  // namespace primitives

namespace {

template <class T> Tensor create(const Primitive& primitive, const T& attrs, Device device) {
  Attrs::OnStack<T> on_stack(attrs);
  Tensor output;
  bind(primitive, std::span<const Tensor>(), on_stack.attrs(), {&output, 1}, device);
  return output;
}

// An integer of kind unsigned_integer as int64 has it: other kernels than those of uint64 take none so large.
Scalar storable(const Scalar& value, DType dtype) {
  if (value.kind != Kind::unsigned_integer || dtype == DType::uint64) return value;
  return is_inexact(dtype) ? Scalar(value.to_double()) : Scalar(true);
}

}  // namespace

void Scalar::check_fits(DType dtype, const char* op) const {
  if (kind == Kind::complex && !is_complex(dtype))
    fail<DTypeError>("[", op, "] the complex number ", real, " + ", imaginary, "j does not fit ", dtype,
                     " (a complex dtype does)");
  if (is_inexact(dtype) || dtype == DType::bool_) return;
  const int bits = static_cast<int>(size_of(dtype)) * 8;
  const bool is_signed = kind_of(dtype) == Kind::signed_integer;
  bool fits = false;
  if (kind == Kind::floating) {
    const double whole = std::trunc(real), bound = std::ldexp(1.0, is_signed ? bits - 1 : bits);
    fits = whole >= (is_signed ? -bound : 0) && whole < bound;
  } else if (kind == Kind::unsigned_integer) {
    fits = dtype == DType::uint64;
  } else if (is_signed) {
    fits = bits == 64 || (integer >> (bits - 1)) == (integer >> 63);
  } else {
    fits = integer >= 0 && (bits == 64 || integer >> bits == 0);
  }
  if (fits) return;
  const std::string number = kind == Kind::floating           ? str(real)
                             : kind == Kind::unsigned_integer ? str(natural)
                                                              : str(integer);
  fail<ValueError>("[", op, "] the number ", number, " does not fit ", dtype, " (a wider dtype does)");
}

AttrValue to_value(Number number) {
  const Scalar scalar = number;
  switch (number.kind) {
    case Kind::boolean: return std::string(scalar.integer ? "true" : "false");
    case Kind::signed_integer: return std::to_string(scalar.integer);
    case Kind::unsigned_integer: return std::to_string(scalar.natural);
    default: break;
  }
  const std::string text = exact(scalar.real);
  return text.find_first_not_of("-0123456789") == text.npos ? text + ".0" : text;
}

void from_value(Number& number, const AttrValue& value) {
  const auto& text = std::get<std::string>(value);
  const auto integer = [&]<class T>(T parsed) -> std::optional<int64_t> {
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, parsed);
    if (error != std::errc() || end != last) return std::nullopt;
    return static_cast<int64_t>(parsed);
  };
  if (text == "true" || text == "false") {
    number = {Kind::boolean, text == "true"};
  } else if (const auto whole = integer(int64_t{})) {
    number = {Kind::signed_integer, *whole};
  } else if (const auto natural = integer(uint64_t{})) {
    number = {Kind::unsigned_integer, *natural};
  } else if (const auto real = number_from(text)) {
    number = {Kind::floating, std::bit_cast<int64_t>(*real)};
  } else {
    fail<ValueError>("'", text, "' is no number");
  }
}

Tensor full(const Shape& shape, const Scalar& value, DType dtype, Device device) {
  value.check_fits(dtype, "full");
  if (std::ranges::any_of(shape, [](int64_t extent) { return extent < 0; }))
    fail<ShapeError>("[full] the shape ", shape, " has a negative extent");
  if (is_complex(dtype)) {
    const DType part = part_of(dtype);
    if (value.to_double() == 0 && value.imaginary == 0) {
      Shape pairs = shape;
      pairs.push_back(2);
      return view_as_complex(full(pairs, 0, part, device));
    }
    return complex_from(full(shape, value.to_double(), part, device),
                        full(shape, value.imaginary, part, device));
  }
  const Scalar stored = storable(value, dtype);
  return create(primitives::full, FullAttrs{shape, dtype, {stored.kind, stored.integer}}, device);
}

Tensor zeros(const Shape& shape, DType dtype, Device device) { return full(shape, 0, dtype, device); }
Tensor ones(const Shape& shape, DType dtype, Device device) { return full(shape, 1, dtype, device); }
Tensor full_like(const Tensor& like, const Scalar& value) {
  return full(like.shape(), value, like.dtype(), like.device());
}
Tensor zeros_like(const Tensor& like) { return full_like(like, 0); }
Tensor ones_like(const Tensor& like) { return full_like(like, 1); }

Tensor arange(const Scalar& start, const Scalar& stop, const Scalar& step, DType dtype, Device device) {
  if (is_complex(dtype)) return astype(arange(start, stop, step, part_of(dtype), device), dtype);
  if (step.to_double() == 0) fail<ValueError>("[arange] step must not be 0");
  for (const Scalar& bound : {start, stop, step}) {
    if (bound.kind == Kind::complex) fail<ValueError>("[arange] takes real numbers");
    if (bound.kind == Kind::unsigned_integer)
      fail<ValueError>("[arange] the number ", bound.natural, " does not fit int64");
  }
  ArangeAttrs attrs{0, dtype, false, 0, 0, 0, 0};
  attrs.real = start.kind == Kind::floating || stop.kind == Kind::floating || step.kind == Kind::floating;
  if (attrs.real) {
    attrs.real_start = start.to_double();
    attrs.real_step = step.to_double();
    const double count = std::ceil((stop.to_double() - start.to_double()) / step.to_double());
    if (!(count < 0x1p62))
      fail<ValueError>("[arange] ", start.to_double(), " .. ", stop.to_double(),
                       " has no finite number of steps");
    attrs.count = std::max<int64_t>(0, static_cast<int64_t>(count));
  } else {
    attrs.start = start.integer;
    attrs.step = step.integer;
    const __int128 span = static_cast<__int128>(stop.integer) - start.integer, by = step.integer;
    const __int128 count = by > 0 ? (span + by - 1) / by : (span + by + 1) / by;
    if (count > INT64_MAX)
      fail<ValueError>("[arange] ", attrs.start, " .. ", stop.integer, " has over 2^63 steps");
    attrs.count = span == 0 || (span > 0) != (by > 0) ? 0 : static_cast<int64_t>(count);
  }
  if (attrs.count > 0) {
    const int64_t steps = attrs.count - 1;
    const double last = attrs.real_start + attrs.real_step * static_cast<double>(steps);
    start.check_fits(dtype, "arange");
    (attrs.real ? Scalar(last) : Scalar(attrs.start + attrs.step * steps)).check_fits(dtype, "arange");
  }
  return create(primitives::arange, attrs, device);
}

Tensor arange(int64_t stop, DType dtype, Device device) { return arange(0, stop, 1, dtype, device); }

Tensor linspace(double start, double stop, int64_t count, DType dtype, Device device) {
  if (count < 0) fail<ValueError>("[linspace] the number of values is ", count);
  if (count > 0) Scalar(start).check_fits(dtype, "linspace"), Scalar(stop).check_fits(dtype, "linspace");
  if (is_complex(dtype)) return astype(linspace(start, stop, count, part_of(dtype), device), dtype);
  // The last value is stop itself, whatever start + (count - 1) * step rounds to.
  const int64_t steps = std::max<int64_t>(count - 1, 1);
  const auto steps_from = [&](double from, double by, int64_t values) {
    return create(primitives::arange, ArangeAttrs{values, dtype, true, 0, 0, from, by}, device);
  };
  const Tensor last =
      astype(full({std::min<int64_t>(count, 1)}, count > 1 ? stop : start, DType::float64, device), dtype);
  if (count <= 1) return last;
  if (std::isfinite(stop - start) || !std::isfinite(start) || !std::isfinite(stop))
    return concat({steps_from(start, (stop - start) / static_cast<double>(steps), steps), last}, 0);
  // From both ends, since the whole way is no number; two values take no step.
  const double part = count > 2 ? stop / static_cast<double>(steps) - start / static_cast<double>(steps) : 0;
  const Tensor upper = flip(steps_from(stop, -part, count - count / 2), Axes{0});
  return concat({steps_from(start, part, count / 2), upper}, 0);
}

// Rows with a one in the same place, an element too long, which lie in rows of a matrix as a diagonal does.
Tensor eye(int64_t rows, int64_t columns, int64_t offset, DType dtype, Device device) {
  if (rows < 0 || columns < 0)
    fail<ShapeError>("[eye] cannot make ", rows, " rows and ", columns, " columns");
  const int64_t below = offset < 0 ? std::min(rows, -std::max(offset, -rows)) : 0,
                from = std::clamp<int64_t>(offset, 0, columns), ones = std::min(rows - below, columns - from);
  if (ones == 0) return zeros({rows, columns}, dtype, device);
  const Tensor row = astype(arange(columns + 1, DType::int64, device) == from, dtype);
  const Tensor long_rows = reshape(broadcast_to(row, {ones, columns + 1}), {-1});
  const Tensor diagonal = reshape(slice_axis(long_rows, 0, 0, ones * columns), {ones, columns});
  const auto nothing = [&](int64_t n) { return zeros({n, columns}, dtype, device); };
  return ones == rows ? diagonal : concat({nothing(below), diagonal, nothing(rows - below - ones)}, 0);
}

Tensor one_hot(const Tensor& indices, int64_t classes, DType dtype) {
  if (is_inexact(indices.dtype()))
    fail<DTypeError>("[one_hot] class indices must be integers, not ", describe(indices));
  if (classes < 0) fail<ValueError>("[one_hot] the number of classes is ", classes);
  return astype(is_class(checked_indices(indices, classes, "one_hot"), classes), dtype);
}

Tensor copy_from_host(const void* host, const Shape& shape, DType dtype, Device device) {
  Tensor result = Tensor::empty(shape, dtype, device);
  if (result.numel()) backend(device).copy_from_host(result, host);
  return result;
}

void copy_to_host(const Tensor& tensor, void* host) {
  check_known(tensor, "read");
  if (tensor.numel() == 0) return;
  const GradMode off(false);
  const Tensor dense = contiguous(tensor);
  const Unlocked unlocked(dense);
  backend(tensor.device()).copy_to_host(host, dense);
}

template <class T> Tensor tensor(std::span<const T> values, const Shape& shape, Device device) {
  if (static_cast<int64_t>(values.size()) != num_elements(shape)) {
    fail<ShapeError>("[tensor] ", values.size(), " values cannot fill shape ", shape);
  }
  return copy_from_host(values.data(), shape, dtype_of<T>, device);
}

namespace {

template <class T> void read(const Tensor& tensor, T* elements) {
  const GradMode off(false);
  copy_to_host(astype(tensor, dtype_of<T>), elements);
}

}  // namespace

template <class T> std::vector<T> to_vector(const Tensor& tensor) {
  check_escape(tensor, "to_vector");
  if constexpr (std::is_same_v<T, bool>) {
    const auto elements = std::make_unique<bool[]>(tensor.numel());
    read(tensor, elements.get());
    return std::vector<bool>(elements.get(), elements.get() + tensor.numel());
  } else {
    std::vector<T> elements(tensor.numel());
    read(tensor, elements.data());
    return elements;
  }
}

template <class T> T item(const Tensor& tensor) {
  if (tensor.numel() != 1) fail<ShapeError>("[item] needs one element, not ", describe(tensor));
  const GradMode off(false);
  check_escape(tensor, "item");
  T element;
  read(tensor, &element);
  return element;
}

#define INSTANTIATE(T)                                              \
  template Tensor tensor(std::span<const T>, const Shape&, Device); \
  template std::vector<T> to_vector(const Tensor&);                 \
  template T item(const Tensor&);
INSTANTIATE(bool)
INSTANTIATE(int8_t)
INSTANTIATE(int16_t)
INSTANTIATE(int32_t)
INSTANTIATE(int64_t)
INSTANTIATE(uint8_t)
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)
INSTANTIATE(float16)
INSTANTIATE(bfloat16)
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tidu
