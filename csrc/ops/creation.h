// Making tensors from nothing and from host values.
#pragma once

#include "ops/elementwise.h"

namespace tidu {

// A tensor filled with one number.
Tensor full(const Shape& shape, const Scalar& value, DType dtype, Device device = {});
Tensor zeros(const Shape& shape, DType dtype = kDefaultFloat, Device device = {});
Tensor ones(const Shape& shape, DType dtype = kDefaultFloat, Device device = {});
Tensor full_like(const Tensor& like, const Scalar& value);
Tensor zeros_like(const Tensor& like);
Tensor ones_like(const Tensor& like);

// start, start + step ..: max(0, ceil((stop - start) / step)) elements, a vector.
Tensor arange(const Scalar& start, const Scalar& stop, const Scalar& step, DType dtype, Device device = {});
Tensor arange(int64_t stop, DType dtype = kDefaultInt, Device device = {});
// `count` values from start to stop, both included.
Tensor linspace(double start, double stop, int64_t count, DType dtype = kDefaultFloat, Device device = {});
// Ones on the diagonal with the given offset of a (rows, columns) matrix.
Tensor eye(int64_t rows, int64_t columns, int64_t offset = 0, DType dtype = kDefaultFloat,
           Device device = {});
// 1 where the last axis equals the class index; integer indices of any shape give shape + (classes,).
Tensor one_hot(const Tensor& indices, int64_t classes, DType dtype = kDefaultFloat);

// Row-major host values; their number must be that of the shape.
template <class T> Tensor tensor(std::span<const T> values, const Shape& shape, Device device = {});
template <class T> Tensor tensor(std::initializer_list<T> values) {
  return tensor(std::span<const T>(values.begin(), values.size()), {static_cast<int64_t>(values.size())});
}
template <class T> Tensor tensor(std::initializer_list<T> values, const Shape& shape) {
  return tensor(std::span<const T>(values.begin(), values.size()), shape);
}

// The elements on the host in row-major order, converted to T; a GradientError where a derivative by them
// would be lost.
template <class T> std::vector<T> to_vector(const Tensor& tensor);
// The value of a tensor with one element, converted to T.
template <class T> T item(const Tensor& tensor);

// Copies the elements, row-major and unconverted, into `host` (tensor.nbytes() bytes).
void copy_to_host(const Tensor& tensor, void* host);
// A new tensor on `device` from nbytes row-major bytes at `host`.
Tensor copy_from_host(const void* host, const Shape& shape, DType dtype, Device device = {});

// --- Primitives

// A Scalar that is compared bit for bit.
struct Number {
  Kind kind;
  int64_t bits;  // of the scalar's integer or real

  operator Scalar() const {
    Scalar scalar(bits);
    scalar.kind = kind;
    return scalar;
  }
  bool operator==(const Number&) const = default;
  friend uint64_t hash_value(Number number) { return static_cast<uint64_t>(number.bits); }
};
// "true", "3", "3.0"
AttrValue to_value(Number number);
void from_value(Number& number, const AttrValue& value);

struct FullAttrs {
  attr::Extents shape;
  DType dtype;
  Number value;
  void fields(auto&& field) const { field("shape", shape), field("dtype", dtype), field("value", value); }
};
struct ArangeAttrs {
  int64_t count;
  DType dtype;
  bool real;  // which of the two pairs holds
  int64_t start, step;
  double real_start, real_step;
  void fields(auto&& field) const {
    field("count", count), field("dtype", dtype), field("real", real), field("start", start),
        field("step", step);
    field("real_start", real_start), field("real_step", real_step);
  }
};

namespace primitives {
extern Primitive full, arange;
}

}  // namespace tidu
