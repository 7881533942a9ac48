// Determinants and adjugates.
#include <cmath>

#include "base/few.h"
#include "core/bind.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/linalg_rules.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/spectral.h"

namespace tidu::linalg {
namespace {

void infer_numbers(const SpecCall& call, std::span<Spec> outputs) {
  for (Spec& output : outputs) {
    output = call.inputs[0];
    for (int i = 0; i < 2; ++i) output.shape.erase(output.shape.size() - 1);
  }
}

// A factor for each matrix, on its elements.
Tensor on_matrices(const Tensor& x) { return expand_dims(expand_dims(x, -1), -1); }

// 1 or -1: of the exchanges of rows.
Tensor parity(const Tensor& pivots, DType dtype) {
  const Tensor moved = pivots != arange(pivots.size(-1), DType::int64, pivots.device());
  return 1 - 2 * astype(remainder(sum(moved, Axes{-1}), 2), dtype);
}

void run_det(const Call& call) {
  const auto [lu, pivots] = factors_of({"det"}, call.inputs[0], false);
  call.outputs[0] = parity(pivots, part_of(lu.dtype())) * prod(diagonal(lu), Axes{-1});
}

const Custom det_rule{
    .reads = [](Reads) -> Reads { return kInput0; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& t = tangents[0];
      const Counted counted(nonzero_matrices(t), call.inputs[0]);
      const Tensor cofactors = matrix_transpose(adjugate(counted.or_identity(call.inputs[0])));
      return {squeeze(counted.result(sum(cofactors * t, Axes{-2, -1}, true)), {-2, -1})};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Tensor g = on_matrices(cotangents[0]);
      const Counted counted(g != 0, call.inputs[0]);
      return {counted.result(g * adjoint(adjugate(counted.or_identity(call.inputs[0]))))};
    },
};

void check_factors(const SpecCall& call, size_t) {
  check_square(call, 1);
  require(call.inputs[1] == call.inputs[0] && are_pivots(call.inputs[2], call.inputs[0]), call,
          "the factors do not fit the matrices");
}

void run_slogdet(const Call& call) {
  const Tensor on_diagonal = diagonal(call.inputs[1]);
  call.outputs[0] = parity(call.inputs[2], part_of(on_diagonal.dtype())) * prod(sign(on_diagonal), Axes{-1});
  call.outputs[1] = sum(log(abs(on_diagonal)), Axes{-1});
}

// The inverses of the matrices that count.
Tensor counted_inverse(const Call& call, const Tensor& nonzero) {
  const Tensor& factors = call.inputs[1];
  const Tensor lu = Counted::shown(nonzero, regular_factors(factors)).or_identity(factors);
  return solve_known({"slogdet"}, call.inputs[0], broadcast_to(identity_like(lu), lu.shape()),
                     {lu, call.inputs[2]});
}

// With tr(A^-1 A') = x + iy the logarithm moves by x, and the sign, a point of the unit circle, by iy times
// itself.
const Custom slogdet_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kInput1 | kInput2 | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& t = tangents[0];
      if (!t.defined()) return {Tensor(), Tensor()};
      const Tensor inverse = counted_inverse(call, nonzero_matrices(t));
      const Tensor moved = sum(matrix_transpose(inverse) * t, Axes{-2, -1});
      if (!is_complex(t.dtype())) return {Tensor(), moved};
      return {call.outputs[0] * complex_from(zeros_like(imag(moved)), imag(moved)), real(moved)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      Tensor pulled = cotangents[1];
      if (cotangents[0].defined() && is_complex(cotangents[0].dtype())) {
        const Tensor turned = imag(cotangents[0] * conj(call.outputs[0]));
        pulled = complex_from(pulled.defined() ? pulled : zeros_like(turned), turned);
      }
      if (!pulled.defined()) return {Tensor(), Tensor(), Tensor()};
      const Tensor g = on_matrices(pulled);
      return {g * adjoint(counted_inverse(call, g != 0)), Tensor(), Tensor()};
    },
};

// The parts of matrices cut before row and column `at`.
struct Quarters {
  Tensor first, right, below, last;
  Quarters(const Tensor& x, int64_t at) {
    const auto part = [&](bool down, bool across) {
      const auto cut = [&](const Tensor& y, int axis, bool second) {
        return second ? slice_axis(y, axis, at, std::nullopt) : slice_axis(y, axis, 0, at);
      };
      return cut(cut(x, -2, down), -1, across);
    };
    first = part(false, false), right = part(false, true), below = part(true, false), last = part(true, true);
  }
};

struct Cofactors {
  Tensor adjugate, determinant;  // the latter (.., 1, 1)
};

// Without row or column i.
Tensor without(const Tensor& x, int64_t axis, int64_t i) {
  return concat({slice_axis(x, axis, 0, i), slice_axis(x, axis, i + 1, std::nullopt)}, axis);
}

// By expansion along the first row: products of elements of different rows and columns, and their sums.
Tensor det_of_small(const Tensor& x) {
  Tensor result = select(select(x, -2, 0), -1, 0);
  if (x.size(-1) == 1) return result;
  const Tensor below = slice_axis(x, -2, 1, std::nullopt);
  for (int64_t j = 0; j < x.size(-1); ++j) {
    const Tensor term = select(select(x, -2, 0), -1, j) * det_of_small(without(below, -1, j));
    result = j == 0 ? term : j % 2 == 0 ? result + term : result - term;
  }
  return result;
}

constexpr int64_t kSmall = 4;

// Of at most so many rows.
Cofactors cofactors_of_small(const Tensor& x) {
  const int64_t n = x.size(-1);
  if (n == 1) return {ones_like(x), x};
  const auto each_left_out = [n](const Tensor& y, int64_t axis) {
    Few<Tensor, kSmall> left(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) left[static_cast<size_t>(i)] = without(y, axis, i);
    return stack(left, -3);
  };
  const Tensor minors_of = each_left_out(each_left_out(x, -2), -1);
  const Tensor place = arange(n, DType::int64, x.device());
  const Tensor odd = remainder(expand_dims(place, 1) + place, 2) == 1;
  const Tensor minors = det_of_small(minors_of), cofactors = where(odd, -minors, minors);
  const Tensor first = slice_axis(x, -2, 0, 1) * slice_axis(cofactors, -2, 0, 1);
  return {matrix_transpose(cofactors), sum(first, Axes{-1}, true)};
}

// Of matrices that are near the identity but for the last rows: by the Schur complement of the others, so
// that nothing is divided by what may be small.
Cofactors cofactors_by_parts(const Tensor& x) {
  const int64_t leading = x.size(-1) - kSmall;
  if (leading <= 0) return cofactors_of_small(x);
  const Quarters part(x, leading);
  const Lu factors = factors_of({"det"}, stop_gradient(part.first), false);
  const Tensor inverse =
      solve_known({"det"}, part.first, broadcast_to(identity_like(part.first), part.first.shape()), factors);
  const Tensor inputs[] = {part.first, factors.lu, factors.pivots};
  Tensor sign_log[2];
  bind(primitives::slogdet, inputs, {}, sign_log);
  const Tensor determinant = on_matrices(sign_log[0] * exp(sign_log[1]));
  const Tensor right = matmul(inverse, part.right), below = matmul(part.below, inverse);
  const Cofactors schur = cofactors_of_small(part.last - matmul(part.below, right));
  const Tensor schur_below = matmul(schur.adjugate, below);
  const Tensor top = concat(
                   {schur.determinant * inverse + matmul(right, schur_below), -matmul(right, schur.adjugate)},
                   -1),
               bottom = concat({-schur_below, schur.adjugate}, -1);
  return {determinant * concat({top, bottom}, -2), determinant * schur.determinant};
}

}  // namespace

// A = U M V^H with constant orthogonal U and V, in which M is diagonal at this A, and M = T N with a constant
// diagonal T that makes N near the identity but for the rows of the four smallest singular values. Both steps
// are exact for every A, so derivatives pass through N and never see how U and V turn.
Tensor adjugate(const Tensor& given) {
  const Tensor x = computable("adjugate", given);
  require_square("adjugate", x);
  const int64_t n = x.size(-1);
  if (n == 0) return x;
  const Counted counted(ones({}, DType::bool_, x.device()), x);
  const Tensor safe = counted.or_identity(x);
  const auto [u, s, vh] = constant_svd(safe, false);
  const Tensor leading = arange(n, DType::int64, x.device()) < n - kSmall;
  // With more than four that are nothing, so is the adjugate, up to its third derivative.
  const double rounding = (part_of(x.dtype()) == DType::float64 ? 0x1p-52 : 0x1p-23) * static_cast<double>(n);
  const Tensor missing = logical_and(s <= rounding * slice_axis(s, -1, 0, 1), leading);
  const Tensor scale = where(logical_and(leading, logical_not(missing)), s, 1);
  const Tensor in_place = matmul(matmul(adjoint(u), safe), adjoint(vh));
  const Tensor scaled =
      in_place / expand_dims(scale, -1) + expand_dims(astype(missing, x.dtype()), -1) * identity_like(x);
  const Tensor product = where(any(missing, Axes{-1}, true), 0, prod(scale, Axes{-1}, true));
  const Tensor sides = on_matrices(sign(det(matmul(u, vh)))) * expand_dims(product, -1);
  const Tensor inside = cofactors_by_parts(scaled).adjugate * (sides / expand_dims(scale, -2));
  return counted.result(matmul(matmul(adjoint(vh), inside), adjoint(u)));
}

}  // namespace tidu::linalg

namespace tidu::primitives {

// | `det` | $y = \det A$ | $\dot y = \mathrm{tr}(\mathrm{adj}(A) \dot A)$ | $\bar A = \bar y \thinspace
// \mathrm{adj}(A)^H$ |
Primitive det("det", {.batching = batch_by_fields,
                      .attrs = kNoAttrs,
                      .check = linalg::check_square,
                      .infer = linalg::infer_numbers,
                      .derivative = linalg::det_rule,
                      .evaluate = linalg::run_det});
// | `slogdet` | $s = \mathrm{sgn} \det A$, $y = \ln \lvert \det A \rvert$ | $\dot s = i s \thinspace
// \mathrm{Im} \thinspace t$, which is 0 of real matrices, $\dot y = \mathrm{Re} \thinspace t$ with $t =
// \mathrm{tr}(A^{-1} \dot A)$ | $\bar A = (\bar y + i \thinspace \mathrm{Im}(\bar s \overline{s})) A^{-H}$ |
Primitive slogdet("slogdet", {.batching = batch_by_fields,
                              .attrs = kNoAttrs,
                              .inputs = 3,
                              .check = linalg::check_factors,
                              .infer =
                                  [](const SpecCall& call, std::span<Spec> outputs) {
                                    linalg::infer_numbers(call, outputs);
                                    outputs[1].dtype = part_of(outputs[1].dtype);
                                  },
                              .derivative = linalg::slogdet_rule,
                              .evaluate = linalg::run_slogdet,
                              .num_outputs = 2});

}  // namespace tidu::primitives

namespace tidu::linalg {

Tensor det(const Tensor& given) {
  const Tensor x = computable("det", given);
  require_square("det", x);
  return bind(primitives::det, {x});
}

SignLogDet slogdet(const Tensor& given) {
  const Tensor x = computable("slogdet", given);
  require_square("slogdet", x);
  const Lu factors = factors_of({"slogdet"}, stop_gradient(x), false);
  const Tensor inputs[] = {x, factors.lu, factors.pivots};
  Tensor outputs[2];
  bind(primitives::slogdet, inputs, {}, outputs);
  return {outputs[0], outputs[1]};
}

Tensor logdet(const Tensor& x) {
  const auto [sign, logarithm] = slogdet(x);
  if (is_complex(sign.dtype())) return log(sign) + logarithm;
  return where(sign < 0, logarithm + NAN, logarithm);  // with a derivative, as log has
}

}  // namespace tidu::linalg
