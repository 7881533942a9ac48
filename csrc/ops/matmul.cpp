// Matrix products.
#include "ops/matmul.h"

#include "core/bind.h"
#include "ops/autocast.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/parts.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void check(const SpecCall& call, size_t) {
  const Spec &a = call.inputs[0], &b = call.inputs[1], &last = call.inputs.back();
  const int rank = a.shape.size();
  bool fits = rank >= 2 && b.shape.size() == rank && a.dtype == b.dtype && last.dtype == a.dtype;
  for (int i = 0; fits && i < rank - 2; ++i) fits = a.shape[i] == b.shape[i];
  fits = fits && a.shape[rank - 1] == b.shape[rank - 2];
  if (call.inputs.size() > 2) fits = fits && last.shape == Shape{b.shape.back()} && rank == 2;
  require(fits, call, "the matrices do not fit");
}

// With one right factor for all lanes, or one left factor and many vectors, a single product of matrices.
Tensors batch_matmul(const BatchedCall& batched) {
  const auto& inputs = batched.call.inputs;
  const bool many_a = batched.batched[0], many_b = batched.batched[1];
  const Tensor &a = inputs[0], &b = inputs[1];
  const bool is_vector = b.size(-1) == 1 && a.ndim() == 2 && b.ndim() == 3;
  if (many_a && !many_b && inputs.size() > 2 && !batched.batched[2] && b.ndim() == 2 && a.numel() > 0) {
    const Tensor y = bind(primitives::matmul, {reshape(a, {-1, a.size(-1)}), b, inputs[2]});
    return {reshape(y, {a.size(0), a.size(1), b.size(1)})};
  }
  Tensor product = !many_a && many_b && is_vector
                       ? expand_dims(matmul(squeeze(b, {-1}), matrix_transpose(a)), -1)
                   : many_a && many_b ? matmul(a, b)
                   : many_a           ? matmul(a, b.ndim() == 2 ? b : batched.lanes(1))
                                      : matmul(a.ndim() == 2 ? a : batched.lanes(0), b);
  if (inputs.size() > 2) product = product + (batched.batched[2] ? expand_dims(inputs[2], 1) : inputs[2]);
  return {product};
}

}  // namespace

namespace primitives {

// | `matmul` | $Y = A B + c$, $c$ added to each row | $\dot Y = \dot A B + A \dot B + \dot c$ | $\bar A =
// \bar Y B^T$, $\bar B = A^T \bar Y$, $\bar c$: the sum of the rows of $\bar Y$ |
Primitive matmul(
    "matmul",
    {.batching = batch_matmul,
     .attrs = kNoAttrs,
     .inputs = {2, 3},
     .check = check,
     .infer =
         [](const SpecCall& call, std::span<Spec> outputs) {
           outputs[0] = call.inputs[0];
           outputs[0].shape.back() = call.inputs[1].shape.back();
         },
     .derivative = Multilinear{.addends = kInput2,
                               .transpose =
                                   [](const Call& call, const Tensor& cotangent, int i) {
                                     const Tensor x = i == 0 ? cotangent : matrix_transpose(call.inputs[0]);
                                     const Tensor y = i == 0 ? matrix_transpose(call.inputs[1]) : cotangent;
                                     // Where the input is a transposed matrix (a layer's weight, say), so is
                                     // its cotangent: what leaves the transpose again is row-major and needs
                                     // no copy.
                                     const Strides& strides = call.inputs[i].strides();
                                     const bool transposed =
                                         strides[strides.size() - 2] == 1 && strides.back() != 1;
                                     return transposed ? matrix_transpose(bind(matmul, {matrix_transpose(y),
                                                                                        matrix_transpose(x)}))
                                                       : bind(matmul, {x, y});
                                   }},
     .flops =
         [](const SpecCall& call, std::span<const Spec> outputs) {
           const int64_t n = num_elements(outputs[0].shape);
           const bool has_bias = call.inputs.size() > 2;
           return Flops{.multiply_adds = n * call.inputs[0].shape.back(), .arithmetic = has_bias ? n : 0};
         }});

}  // namespace primitives

namespace {

Shape batch_of(const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); }

Tensor with_batch(const Tensor& x, const Shape& batch) {
  Shape shape = batch;
  shape.push_back(x.size(-2));
  shape.push_back(x.size(-1));
  return broadcast_to(x, shape);
}

// Of complex matrices: four products of their parts, or two where one matrix is real.
Tensor complex_product(const Tensor& a, const Tensor& b) {
  const Tensor ar = real(a), br = real(b);
  if (!is_complex(a.dtype())) return complex_from(matmul(ar, br), matmul(ar, imag(b)));
  if (!is_complex(b.dtype())) return complex_from(matmul(ar, br), matmul(imag(a), br));
  const Tensor ai = imag(a), bi = imag(b);
  return complex_from(matmul(ar, br) - matmul(ai, bi), matmul(ar, bi) + matmul(ai, br));
}

// a @ b, to each row of which a bias (n) is added if there is one; b is a matrix then.
Tensor product_of(const Tensor& a, const Tensor& b, const Tensor& bias = {}) {
  if (a.ndim() == 0 || b.ndim() == 0)
    fail<ShapeError>("[matmul] 0-d tensors have no matrix product: ", describe(a), " @ ", describe(b),
                     " (use *)");
  const int64_t k = a.size(-1), other = b.size(b.ndim() == 1 ? 0 : -2);
  if (k != other)
    fail<ShapeError>("[matmul] inner dimensions differ: ", describe(a), " @ ", describe(b), " (", k,
                     " != ", other, ")");
  const DType dtype = promote(a.dtype(), b.dtype());
  Tensor x = astype(a, dtype), y = astype(b, dtype);
  if (a.ndim() == 1) x = expand_dims(x, 0);
  if (b.ndim() == 1) y = expand_dims(y, 1);
  // Many matrices times one is a single taller product.
  const bool flat = x.ndim() > 2 && y.ndim() == 2 && x.numel() > 0;
  const Shape batch = broadcast_shapes(batch_of(x), batch_of(y), "matmul");
  const Tensor inputs[] = {flat ? reshape(x, {-1, k}) : with_batch(x, batch), flat ? y : with_batch(y, batch),
                           bias};
  Tensor product;
  bind(primitives::matmul, {inputs, bias.defined() ? size_t{3} : size_t{2}}, {}, {&product, 1});
  Shape shape = batch;
  if (a.ndim() > 1) shape.push_back(x.size(-2));
  if (b.ndim() > 1) shape.push_back(y.size(-1));
  return reshape(product, shape);
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (is_complex(a.dtype()) || is_complex(b.dtype())) return complex_product(a, b);
  if (!autocasting().enabled) return product_of(a, b);
  Tensor cast[] = {a, b};
  cast_operands(cast);
  return product_of(cast[0], cast[1]);
}

Tensor linear(const Tensor& given_x, const Tensor& given_weight, const Tensor& given_bias) {
  Tensor cast[] = {given_x, given_weight, given_bias};
  cast_operands(cast);
  const Tensor &x = cast[0], &weight = cast[1], &bias = cast[2];
  if (weight.ndim() != 2 || x.ndim() == 0 || x.size(-1) != weight.size(1)) {
    fail<ShapeError>("[linear] the input ", describe(x), " does not fit the weight ", describe(weight),
                     " of (outputs, inputs)");
  }
  if (bias.defined() && bias.shape() != Shape{weight.size(0)}) {
    fail<ShapeError>("[linear] the bias ", describe(bias), " does not fit the weight ", describe(weight),
                     " of (outputs, inputs)");
  }
  if (!bias.defined()) return matmul(x, matrix_transpose(weight));
  const DType dtype = promote(promote(x.dtype(), weight.dtype()), bias.dtype());
  // Where x is empty its matrices are not flattened, and a product with a bias is one of matrices.
  if (is_complex(dtype) || x.numel() == 0) return matmul(x, matrix_transpose(weight)) + bias;
  return product_of(astype(x, dtype), matrix_transpose(astype(weight, dtype)), astype(bias, dtype));
}

Tensor outer(const Tensor& a, const Tensor& b) {
  if (a.ndim() != 1 || b.ndim() != 1)
    fail<ShapeError>("[outer] takes two vectors, not ", describe(a), " and ", describe(b));
  return expand_dims(a, 1) * expand_dims(b, 0);
}

Tensor vecdot(const Tensor& a, const Tensor& b, int64_t axis) {
  const int rank = std::max(a.ndim(), b.ndim());
  const int at = normalize_axis(axis, rank, "vecdot") - rank;  // from the end, where both have it
  if (std::min(a.ndim(), b.ndim()) < -at || a.size(at) != b.size(at)) {
    fail<ShapeError>("[vecdot] axis ", axis, " must have one extent in both: ", describe(a), " and ",
                     describe(b));
  }
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), "vecdot");
  const DType dtype = promote(a.dtype(), b.dtype());
  // As products, of which short vectors take longer to begin than they are; long ones are not one sum.
  constexpr int64_t kLong = 32, kMost = 1 << 16;
  const int64_t length = a.size(at);
  const bool is_product =
      at == -1 && length >= kLong && is_inexact(dtype) && (length <= kMost || !is_narrow(dtype));
  const Axes axes{rank + at};
  const auto dot = [&](std::span<const Tensor> part) {
    const Tensor left = conj(part[0]), &right = part[1];
    if (!is_product) return sum(widened(left) * widened(right), axes, true);
    const Tensor row = expand_dims(astype(left, dtype), -2), column = expand_dims(astype(right, dtype), -1);
    return squeeze(matmul(row, column), Axes{-1});
  };
  const auto add = [](const Tensor& sums, const Axes& axis) { return sum(sums, axis, true); };
  const Tensor all[] = {broadcast_to(a, shape), broadcast_to(b, shape)};
  const Tensor product =
      is_product && length <= kMost ? dot(all) : by_parts({all[0], all[1]}, axes, dot, add);
  return astype(squeeze(product, axes), dtype);
}

}  // namespace tidu
