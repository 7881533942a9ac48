// Factors of square matrices and solutions.
#include "ops/linalg.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>

#include "core/bind.h"
#include "ops/checked.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/linalg_rules.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/spectral.h"

namespace tidu {

Tensor transposed_view(const Tensor& x) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  const int last = x.ndim() - 1;
  std::swap(shape[last], shape[last - 1]);
  std::swap(strides[last], strides[last - 1]);
  return x.view(shape, strides, x.impl().offset);
}

const char* caller_of(const Call& call) {
  if (&call.primitive == &primitives::lu_factor) return call.attrs.as<LuAttrs>().caller.name;
  if (&call.primitive == &primitives::solve_triangular) return call.attrs.as<TriangularAttrs>().caller.name;
  if (&call.primitive == &primitives::solve) return call.attrs.as<SolveAttrs>().caller.name;
  if (&call.primitive == &primitives::determined) return call.attrs.as<CallerAttrs>().caller.name;
  if (&call.primitive == &primitives::checked) return call.attrs.as<CheckedAttrs>().caller.name;
  return call.primitive.name;
}

void from_value(Caller& caller, const AttrValue& value) {
  static std::mutex mutex;
  static std::set<std::string> names;
  const std::lock_guard lock(mutex);
  caller.name = names.insert(std::get<std::string>(value)).first->c_str();
}

void fail_matrix(const std::string& call, MatrixFault fault, const Shape& matrices, int64_t index,
                 int64_t number) {
  Dims place(matrices.size() - 2, 0);
  for (int i = place.size() - 1; i >= 0; --i) {
    place[i] = index % matrices[i];
    index /= matrices[i];
  }
  const std::string matrix = call + ": " +
                             (place.empty()       ? "the matrix"
                              : place.size() == 1 ? str("matrix ", place[0])
                                                  : str("matrix ", place));
  const int64_t columns = matrices.back();
  switch (fault) {
    case MatrixFault::minor:
      fail<ValueError>(matrix, " is not positive definite: its leading minor of order ", number,
                       " is not positive");
    case MatrixFault::pivot: fail<ValueError>(matrix, " is singular: pivot ", number, " is zero");
    case MatrixFault::diagonal:
      fail<ValueError>(matrix, " is singular: element ", number, " of its diagonal is zero");
    case MatrixFault::iteration: fail<ValueError>(matrix, " was given up: the iteration does not converge");
    case MatrixFault::turning:
      if (call.starts_with("[qr]"))
        fail<GradientError>(
            matrix,
            " has more rows than columns: the further columns of its whole Q may turn, and what "
            "is differentiated depends on that (mode='reduced' leaves them out)");
      // The number is that of an element between two vectors, or of one vector; of an earlier call there may
      // be no shape any more.
      if (columns > 0 && columns == matrices[matrices.size() - 2] && number % (columns + 1) == 0)
        fail<GradientError>(matrix,
                            " has complex vectors, of which no phase is determined, and what is "
                            "differentiated depends on it (absolute values and V f(w) V^H do not)");
      fail<GradientError>(
          matrix,
          " has equal eigenvalues or singular values, and what is differentiated "
          "depends on how their vectors turn or which comes first (symmetric functions of the values have "
          "derivatives of the first and the second order, by hvp, hessian or a gradient of one gradient; "
          "V f(w) V^T has them as td.linalg.funm(x, f), U f(S) V^T as td.linalg.funm_svd(x, f); other "
          "functions "
          "may have none)");
    case MatrixFault::none: break;
  }
  fail<std::logic_error>(matrix, " has no fault");
}

namespace linalg {

void require_matrices(const char* op, const Tensor& x) {
  if (x.ndim() < 2) fail<ShapeError>("[", op, "] takes matrices (.., m, n), not ", describe(x));
}

void require_square(const char* op, const Tensor& x) {
  if (x.ndim() < 2 || x.size(-1) != x.size(-2))
    fail<ShapeError>("[", op, "] takes square matrices (.., n, n), not ", describe(x));
}

bool is_computable(DType dtype) { return is_inexact(dtype) && !is_narrow(dtype); }

Tensor computable(const char* op, const Tensor& x) {
  if (is_narrow(x.dtype())) {
    fail<DTypeError>("[", op, "] takes float32, float64, complex64 and complex128, not ", describe(x),
                     " (use astype)");
  }
  return is_inexact(x.dtype()) ? x : astype(x, kDefaultFloat);
}

void check_matrix(const SpecCall& call, size_t) {
  const Spec& x = call.inputs[0];
  require(x.shape.size() >= 2 && is_computable(x.dtype), call,
          "the first input must be matrices of float32, float64, complex64 or complex128");
}
void check_square(const SpecCall& call, size_t) {
  check_matrix(call, 1);
  const Shape& shape = call.inputs[0].shape;
  require(shape.back() == shape[shape.size() - 2], call, "the matrices must be square");
}
bool are_pivots(const Spec& pivots, const Spec& matrix) {
  return pivots.dtype == DType::int64 && pivots.shape == Shape(matrix.shape.begin(), matrix.shape.end() - 1);
}

Shape batch_of(const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); }

Tensor with_batch(const Tensor& x, const Shape& batch, int inner) {
  Shape shape = batch;
  for (int i = x.ndim() - inner; i < x.ndim(); ++i) shape.push_back(x.size(i));
  return broadcast_to(x, shape);
}

Tensor identity_like(const Tensor& x) { return eye(x.size(-1), x.size(-1), 0, x.dtype(), x.device()); }

Tensor adjoint(const Tensor& x) { return conj(matrix_transpose(x)); }
Tensor symmetric(const Tensor& x) { return 0.5 * (x + adjoint(x)); }
Tensor half_lower(const Tensor& x) { return 0.5 * (tril(x) + tril(x, -1)); }

Tensor nonzero_matrices(const Tensor& x) { return any(x != 0, Axes{-2, -1}, true); }

Tensor finite_matrices(const Tensor& x) { return all(isfinite(x), Axes{-2, -1}, true); }
Tensor regular_factors(const Tensor& x) {
  return logical_and(finite_matrices(x), expand_dims(all(diagonal(x) != 0, Axes{-1}, true), -1));
}

Counted::Counted(const Tensor& nonzero, const Tensor& value) : value_(value) {
  counted_ = finite_matrices(value);
  lost_ = logical_and(nonzero, logical_not(counted_));
}
Counted::Counted(const Tensor& nonzero, const Tensor& value, const Tensor& regular)
    : Counted(nonzero, value) {
  counted_ = logical_and(counted_, logical_or(nonzero, regular));
}
Counted Counted::of(const Tensor& source) const {
  Counted result = *this;
  result.value_ = source;
  return result;
}
Counted Counted::shown(const Tensor& nonzero, const Tensor& in_order) {
  Counted result;
  result.counted_ = logical_or(nonzero, in_order);
  return result;
}
Tensor Counted::or_identity(const Tensor& x) const {
  return where(counted_, x, eye(x.size(-2), x.size(-1), 0, x.dtype(), x.device()));
}
Tensor Counted::or_zero(const Tensor& x) const { return where(counted_, x, 0); }
// What is lost is NaN, and so are all its derivatives.
Tensor Counted::result(const Tensor& x) const {
  if (!lost_.defined()) return x;
  const Tensor nan = exp(NAN * sum(value_, Axes{-2, -1}, true));
  return where(lost_, is_complex(x.dtype()) ? nan : real(nan), x);
}

namespace {

Tensor solve_lower(Caller caller, const Tensor& a, const Tensor& b, bool unit = false) {
  return bind(primitives::solve_triangular, {a, b}, TriangularAttrs{false, unit, caller});
}
Tensor solve_upper(Caller caller, const Tensor& a, const Tensor& b, bool unit = false) {
  return bind(primitives::solve_triangular, {a, b}, TriangularAttrs{true, unit, caller});
}
constexpr Caller kCholesky{"cholesky"}, kLu{"lu_factor"};

void infer_same(const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; }
void infer_second(const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[1]; }

void check_pivots(const SpecCall& call, size_t) {
  check_matrix(call, 1);
  require(are_pivots(call.inputs[1], call.inputs[0]), call, "there must be a pivot for each row");
}
// (a, b), perhaps with the factors of a.
void check_system(const SpecCall& call, size_t) {
  check_square(call, 1);
  const Spec &a = call.inputs[0], &b = call.inputs[1];
  const int rank = a.shape.size();
  bool fits = b.shape.size() == rank && b.dtype == a.dtype;
  for (int i = 0; fits && i < rank - 1; ++i) fits = a.shape[i] == b.shape[i];
  if (call.inputs.size() > 2) fits = fits && call.inputs[2] == a && are_pivots(call.inputs[3], a);
  require(fits, call, "the right-hand sides do not fit the matrices");
}

// --- Cholesky

Flops cholesky_flops(const SpecCall& call, std::span<const Spec>) {
  const Extents x(call.inputs[0]);
  return x.each(x.n * (x.n * x.n - 1) / 6, x.n * (x.n + 1) / 2);
}

const Custom cholesky_rule{
    .reads = [](Reads) -> Reads { return kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor a = symmetric(tangents[0]);
      const Counted counted(nonzero_matrices(a), call.outputs[0]);
      const Tensor l = counted.or_identity(call.outputs[0]);
      const Tensor inside = solve_lower(kCholesky, l, adjoint(solve_lower(kCholesky, l, a)));
      return {counted.result(matmul(l, half_lower(inside)))};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Counted counted(nonzero_matrices(cotangents[0]), call.outputs[0]);
      const Tensor lh = adjoint(counted.or_identity(call.outputs[0]));
      const Tensor inside = half_lower(matmul(lh, cotangents[0]));
      const Tensor left = solve_upper(kCholesky, lh, inside);
      return {counted.result(symmetric(solve_upper(kCholesky, lh, adjoint(left))))};
    },
};

// --- Triangular systems

// Solutions, but for those that are not finite and have a cotangent of 0. A sum that is too large for a
// number does no harm: beside a cotangent of 0 any solution counts for nothing.
Tensor columns_that_count(const Tensor& nonzero, const Tensor& x) {
  const Tensor finite = isfinite(sum(x, Axes{-2}, true));
  return where(logical_or(finite, nonzero), x, 0);
}

Flops triangular_flops(const SpecCall& call, std::span<const Spec>) {
  const Extents b(call.inputs[1]);
  const bool unit = call.attrs.as<TriangularAttrs>().unit_diagonal;
  return b.each(b.n * b.m * (b.m - 1) / 2, unit ? 0 : b.m * b.n);
}

// The tangent of X in A X = B from those of A and B.
template <class Solve>
Tensor push_solution(const Call& call, const Tensor& a, const Tensor& b, const Solve& solve) {
  if (!a.defined()) return b.defined() ? solve(b) : b;
  const Tensor& x = call.outputs[0];
  if (b.defined()) return solve(b - matmul(a, x));
  // What has fewer columns is solved for.
  return x.size(-1) > x.size(-2) ? -matmul(solve(a), x) : solve(-matmul(a, x));
}

// A^-H G, the cotangent of B in A X = B, and A^-H G X^H, that of A but for its sign, as far as they are
// wanted: `inverse(nonzero)` is A^-H for the matrices of G that are not zero, and `of_product` what it makes
// of G X^H.
struct Pulled {
  Tensor a, b;
};
template <class Inverse>
Pulled pull_solution(const Call& call, const Tensor& g, Reads wanted, const Inverse& inverse) {
  const Tensor columns = any(g != 0, Axes{-2}, true);
  const auto solve = inverse(any(columns, Axes{-1}, true));
  if (!(wanted & kInput0)) return {Tensor(), solve(g)};
  const Tensor x = columns_that_count(columns, call.outputs[0]);
  if (!(wanted & kInput1) && g.size(-1) > g.size(-2)) return {solve.of_product(g, x), Tensor()};
  const Tensor b = solve(g);
  return {matmul(b, adjoint(x)), b};
}

Tensor triangle(const Call& call, const Tensor& x) {
  const auto& [is_upper, unit, caller] = call.attrs.as<TriangularAttrs>();
  return is_upper ? triu(x, unit ? 1 : 0) : tril(x, unit ? -1 : 0);
}

// A^-H of a triangle A.
struct AdjointTriangle {
  Tensor matrix;
  TriangularAttrs attrs;

  Tensor operator()(const Tensor& g) const { return bind(primitives::solve_triangular, {matrix, g}, attrs); }

  // Of G X^H what the triangle of A needs: the rows of one half, and of the other those columns that lie
  // beside its own square. That leaves a quarter of the product out, and is not worth the calls for small
  // ones.
  Tensor of_product(const Tensor& g, const Tensor& x) const {
    constexpr int64_t kWorthwhile = 64;
    const int64_t n = matrix.size(-1), half = n / 2;
    if (n < kWorthwhile) return (*this)(matmul(g, adjoint(x)));
    const auto part = [half](const Tensor& t, int axis, bool last) {
      return last ? slice_axis(t, axis, half, std::nullopt) : slice_axis(t, axis, 0, half);
    };
    const auto rows = [&](const Tensor& t, bool last) { return part(t, -2, last); };
    const auto block = [&](bool row, bool column) { return part(rows(matrix, row), -1, column); };
    const bool first = attrs.upper, second = !first;  // the half that does not depend on the other
    const Tensor of_first = AdjointTriangle{block(first, first), attrs}(matmul(rows(g, first), adjoint(x)));
    const Tensor square = AdjointTriangle{block(second, second),
                                          attrs}(matmul(rows(g, second), adjoint(rows(x, second))) -
                                                 matmul(block(second, first), part(of_first, -1, second)));
    const auto join = [](const Tensor& a, const Tensor& b, int axis, bool swap) {
      return swap ? concat({b, a}, axis) : concat({a, b}, axis);
    };
    const Tensor of_second = join(zeros_like(block(second, first)), square, -1, first);
    return join(of_first, of_second, -2, first);
  }
};

const Custom solve_triangular_rule{
    .reads = [](Reads wanted) -> Reads { return kInput0 | (wanted & kInput0 ? kOutput : 0); },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const auto solve = [&](const Tensor& b) {
        return bind(primitives::solve_triangular, {call.inputs[0], b}, call.attrs);
      };
      const Tensor a = tangents[0].defined() ? triangle(call, tangents[0]) : tangents[0];
      return {push_solution(call, a, tangents[1], solve)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const auto& [is_upper, unit, caller] = call.attrs.as<TriangularAttrs>();
      const TriangularAttrs attrs{!is_upper, unit, caller};
      const Pulled by = pull_solution(call, cotangents[0], wanted, [&](const Tensor& nonzero) {
        const Tensor in_order = finite_matrices(triangle(call, call.inputs[0]));
        const Tensor ah = adjoint(Counted::shown(nonzero, in_order).or_identity(call.inputs[0]));
        return AdjointTriangle{ah, attrs};
      });
      return {by.a.defined() ? triangle(call, -by.a) : by.a, by.b};
    },
    .linear = kInput1,
};

// --- LU

// Of each of the first min(m, n) columns, pivots are compared, and the rest divided by one.
Flops lu_flops(const SpecCall& call, std::span<const Spec>) {
  const Extents x(call.inputs[0]);
  const int64_t m = x.m - 1, n = x.n - 1, k = std::min(x.m, x.n);
  return x.each(k * m * n - (m + n) * k * (k - 1) / 2 + k * (k - 1) * (2 * k - 1) / 6,
                2 * k * m - k * (k - 1));
}

Tensor unit_lower(const Tensor& lu) { return tril(lu, -1) + identity_like(lu); }

Tensor exchange(const Tensor& x, const Tensor& pivots, bool inverse) {
  return bind(primitives::exchange_rows, {x, pivots}, ExchangeAttrs{inverse});
}

const LinearMap exchange_rule{
    .reads = kInput1,
    .transpose =
        [](const Call& call, Cotangents cotangents, int) {
          return exchange(cotangents[0], call.inputs[1], !call.attrs.as<ExchangeAttrs>().inverse);
        },
};

// Pivots for all rows; those beyond the factors' stay where they are.
Tensor all_pivots(const Tensor& pivots, int64_t rows) {
  const int64_t known = pivots.size(-1);
  if (known == rows) return pivots;
  Shape shape(pivots.shape().begin(), pivots.shape().end() - 1);
  shape.push_back(rows - known);
  const Tensor others = slice_axis(arange(rows, DType::int64, pivots.device()), 0, known, std::nullopt);
  return concat({pivots, broadcast_to(others, shape)}, -1);
}

// A matrix (.., m, n) cut at k = min(m, n): a square, and what is right of it or below.
struct Cut {
  Tensor square, right, below;
  explicit Cut(const Tensor& x) : square(x) {
    const int64_t m = x.size(-2), n = x.size(-1);
    if (m < n) right = slice_axis(x, -1, m, std::nullopt), square = slice_axis(x, -1, 0, m);
    if (m > n) below = slice_axis(x, -2, n, std::nullopt), square = slice_axis(x, -2, 0, n);
  }
  Tensor whole() const {
    return right.defined()   ? concat({square, right}, -1)
           : below.defined() ? concat({square, below}, -2)
                             : square;
  }
};

// With P A' = S and F = L^-1 S U^-1 of the squares: L' and U' of these, right of them L^-1 S - tril(F, -1) U,
// below S U^-1 - L triu(F).
const Custom lu_rule{
    .reads = [](Reads) -> Reads { return kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& factors = call.outputs[0];
      const Counted counted(nonzero_matrices(tangents[0]), factors, regular_factors(factors));
      const Cut lu(counted.or_identity(factors));
      Cut moved(exchange(tangents[0], all_pivots(call.outputs[1], factors.size(-2)), false));
      const auto over_u = [&](const Tensor& x) {
        return matrix_transpose(solve_lower(kLu, matrix_transpose(lu.square), matrix_transpose(x)));
      };
      const Tensor inside = over_u(solve_lower(kLu, lu.square, moved.square, true));
      moved.square = matmul(unit_lower(lu.square), tril(inside, -1)) + matmul(triu(inside), triu(lu.square));
      if (moved.right.defined())
        moved.right = solve_lower(kLu, lu.square, moved.right, true) - matmul(tril(inside, -1), lu.right);
      if (moved.below.defined()) moved.below = over_u(moved.below) - matmul(lu.below, triu(inside));
      return {counted.result(moved.whole()), Tensor()};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      if (!cotangents[0].defined()) return {Tensor()};
      const Tensor& factors = call.outputs[0];
      const Counted counted(nonzero_matrices(cotangents[0]), factors, regular_factors(factors));
      const Cut lu(counted.or_identity(factors));
      Cut g(cotangents[0]);
      const Tensor luh = adjoint(lu.square);
      const auto over_uh = [&](const Tensor& x) { return adjoint(solve_upper(kLu, lu.square, adjoint(x))); };
      Tensor inside = tril(matmul(adjoint(unit_lower(lu.square)), tril(g.square, -1)), -1) +
                      triu(matmul(triu(g.square), adjoint(triu(lu.square))));
      if (g.right.defined()) {
        inside = inside - tril(matmul(g.right, adjoint(lu.right)), -1);
        g.right = solve_upper(kLu, luh, g.right, true);
      }
      if (g.below.defined()) {
        inside = inside - triu(matmul(adjoint(lu.below), g.below));
        g.below = over_uh(g.below);
      }
      g.square = over_uh(solve_upper(kLu, luh, inside, true));
      const Tensor pivots = all_pivots(call.outputs[1], factors.size(-2));
      return {counted.result(exchange(g.whole(), pivots, true))};
    },
};

// --- Solutions with known factors

void run_solve(const Call& call) {
  const Tensor &b = call.inputs[1], &lu = call.inputs[2], &pivots = call.inputs[3];
  const auto& [caller, transposed] = call.attrs.as<SolveAttrs>();
  if (transposed) {
    const Tensor luh = adjoint(lu);
    call.outputs[0] = exchange(solve_upper(caller, luh, solve_lower(caller, luh, b), true), pivots, true);
  } else {
    call.outputs[0] = solve_upper(caller, lu, solve_lower(caller, lu, exchange(b, pivots, false), true));
  }
}

// A^-H by factors of A.
struct AdjointFactors {
  Tensor matrix, lu, pivots;
  SolveAttrs attrs;

  Tensor operator()(const Tensor& g) const { return bind(primitives::solve, {matrix, g, lu, pivots}, attrs); }
  Tensor of_product(const Tensor& g, const Tensor& x) const { return (*this)(matmul(g, adjoint(x))); }
};

const Custom solve_rule{
    .reads = [](Reads wanted) -> Reads {
      return kInput0 | kInput2 | input_bit(3) | (wanted & kInput0 ? kOutput : 0);
    },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const auto solve = [&](const Tensor& b) {
        return bind(primitives::solve, {call.inputs[0], b, call.inputs[2], call.inputs[3]}, call.attrs);
      };
      const bool transposed = call.attrs.as<SolveAttrs>().transposed && tangents[0].defined();
      return {push_solution(call, transposed ? adjoint(tangents[0]) : tangents[0], tangents[1], solve)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const auto& [caller, transposed] = call.attrs.as<SolveAttrs>();
      const SolveAttrs attrs{caller, !transposed};
      const Pulled by = pull_solution(call, cotangents[0], wanted, [&](const Tensor& nonzero) {
        const Tensor& factors = call.inputs[2];
        const Tensor lu = Counted::shown(nonzero, regular_factors(factors)).or_identity(factors);
        return AdjointFactors{call.inputs[0], lu, call.inputs[3], attrs};
      });
      if (!by.a.defined()) return {Tensor(), by.b, Tensor(), Tensor()};
      return {-(transposed ? adjoint(by.a) : by.a), by.b, Tensor(), Tensor()};
    },
    .linear = kInput1,
};

// Right-hand sides of all lanes as columns beside each other, where the matrix is one.
Tensors batch_columns(const BatchedCall& batched) {
  const auto& many = batched.batched;
  if (std::ranges::count(many, true) > 1 || !many[1]) return batch_by_fields(batched);
  Tensors inputs(batched.call.inputs.begin(), batched.call.inputs.end());
  const Tensor b = moveaxis(inputs[1], 0, -2);  // (.., n, lanes, k)
  Shape together(b.shape().begin(), b.shape().end() - 2);
  together.push_back(batched.size * b.size(-1));
  inputs[1] = reshape(b, together);
  Tensor x;
  bind(batched.call.primitive, inputs, batched.call.attrs, {&x, 1});
  return {moveaxis(reshape(x, b.shape()), -2, 0)};
}

}  // namespace
}  // namespace linalg

namespace primitives {

// | `cholesky` | $A = L L^H$ | $\dot L = L \thinspace \Phi(L^{-1} \mathrm{sym}(\dot A) L^{-H})$; $\Phi$: the
// lower triangle, half of the diagonal | $\bar A = \mathrm{sym}(L^{-H} \Phi(L^H \bar L) L^{-1})$ with
// $\mathrm{sym}(X) = (X + X^H) / 2$ |
Primitive cholesky("cholesky", {.batching = batch_by_fields,
                                .attrs = kNoAttrs,
                                .check = linalg::check_square,
                                .infer = linalg::infer_same,
                                .derivative = linalg::cholesky_rule,
                                .on_complex = OnComplex::native,
                                .flops = linalg::cholesky_flops});
// | `solve_triangular` | $X = A^{-1} B$, one triangle of $A$ | $\dot X = A^{-1} (\dot B - \dot A X)$ | $\bar
// B = A^{-H} \bar X$, $\bar A$: that triangle of $-\bar B X^H$ |
Primitive solve_triangular("solve_triangular", {.batching = linalg::batch_columns,
                                                .attrs = TriangularAttrs{},
                                                .inputs = 2,
                                                .check = linalg::check_system,
                                                .infer = linalg::infer_second,
                                                .derivative = linalg::solve_triangular_rule,
                                                .on_complex = OnComplex::native,
                                                .flops = linalg::triangular_flops});
// | `lu_factor` | $P A = L U$ | $\dot L = L \thinspace \mathrm{low}(F)$, $\dot U = \mathrm{upp}(F) U$ with $F
// = L^{-1} P \dot A U^{-1}$; low: below the diagonal, upp: the rest; right of the squares $\dot U_2 = L^{-1}
// P \dot A_2 - \mathrm{low}(F) U_2$, below $\dot L_2 = P \dot A_2 U^{-1} - L_2 \thinspace \mathrm{upp}(F)$ |
// square: $\bar A = P^T L^{-H} (\mathrm{low}(L^H \bar L) + \mathrm{upp}(\bar U U^H)) U^{-H}$ |
Primitive lu_factor("lu_factor", {.batching = batch_by_fields,
                                  .attrs = LuAttrs{},
                                  .check = linalg::check_matrix,
                                  .infer =
                                      [](const SpecCall& call, std::span<Spec> outputs) {
                                        outputs[0] = outputs[1] = call.inputs[0];
                                        Shape& pivots = outputs[1].shape;
                                        const int last = pivots.size() - 1;
                                        pivots[last - 1] = std::min(pivots[last - 1], pivots[last]);
                                        pivots.erase(last);
                                        outputs[1].dtype = DType::int64;
                                      },
                                  .derivative = linalg::lu_rule,
                                  .num_outputs = 2,
                                  .on_complex = OnComplex::native,
                                  .flops = linalg::lu_flops});
// | `exchange_rows` | $Y = P X$, $P$ a permutation | $\dot Y = P \dot X$ | $\bar X = P^T \bar Y$ |
Primitive exchange_rows("exchange_rows", {.batching = batch_by_fields,
                                          .attrs = ExchangeAttrs{},
                                          .inputs = 2,
                                          .check = linalg::check_pivots,
                                          .infer = linalg::infer_same,
                                          .derivative = linalg::exchange_rule,
                                          .on_complex = OnComplex::native,
                                          .flops = no_flops});
// | `solve` | $X = A^{-1} B$ | $\dot X = A^{-1} (\dot B - \dot A X)$ | $\bar B = A^{-H} \bar X$, $\bar A =
// -\bar B X^H$ |
Primitive solve("solve", {.batching = linalg::batch_columns,
                          .attrs = SolveAttrs{},
                          .inputs = 4,
                          .check = linalg::check_system,
                          .infer = linalg::infer_second,
                          .derivative = linalg::solve_rule,
                          .evaluate = linalg::run_solve});

}  // namespace primitives

namespace linalg {

Lu factors_of(Caller caller, const Tensor& x, bool regular) {
  const Tensor inputs[] = {x};
  Tensor outputs[2];
  const LuAttrs attrs{caller, regular};
  Attrs::OnStack<LuAttrs> on_stack(attrs);
  bind(primitives::lu_factor, inputs, on_stack.attrs(), outputs);
  return {outputs[0], outputs[1]};
}

namespace {

// a and b for a primitive that solves: of one dtype, b of matrices, the batches not yet broadcast.
struct System {
  Tensor a, b;
  Shape batch;
  bool vector;

  System(const char* op, const Tensor& given_a, const Tensor& given_b)
      : a(computable(op, given_a)), b(computable(op, given_b)), vector(given_b.ndim() == 1) {
    require_square(op, a);
    if (b.ndim() == 0 || b.size(vector ? 0 : -2) != a.size(-1)) {
      fail<ShapeError>("[", op, "] the right-hand side ", describe(given_b), " does not fit ",
                       describe(given_a), " (it is (.., n, k), or a vector (n))");
    }
    const DType dtype = promote(a.dtype(), b.dtype());
    a = astype(a, dtype), b = astype(b, dtype);
    if (vector) b = expand_dims(b, 1);
    batch = broadcast_shapes(batch_of(a), batch_of(b), op);
  }

  Tensor whole_a() const { return with_batch(a, batch); }
  Tensor whole_b() const { return with_batch(b, batch); }
  Tensor result(const Tensor& x) const { return vector ? squeeze(x, {-1}) : x; }
};

}  // namespace

Tensor cholesky(const Tensor& given, bool is_upper) {
  const Tensor x = computable("cholesky", given);
  require_square("cholesky", x);
  if (!is_upper) return bind(primitives::cholesky, {x});
  return adjoint(bind(primitives::cholesky, {adjoint(x)}));
}

Lu lu_factor(const Tensor& given) {
  const Tensor x = computable("lu_factor", given);
  require_matrices("lu_factor", x);
  return factors_of(kLu, x, false);
}

Tensor solve_known(Caller caller, const Tensor& a, const Tensor& b, const Lu& factors) {
  return bind(primitives::solve, {a, b, factors.lu, factors.pivots}, SolveAttrs{caller, false});
}

Tensor solve(const Tensor& a, const Tensor& b) { return solve_for({"solve"}, a, b); }

Tensor solve_for(Caller caller, const Tensor& a, const Tensor& b) {
  const System system(caller.name, a, b);
  const Lu factors = factors_of(caller, stop_gradient(system.a), true);
  return system.result(
      solve_known(caller, system.whole_a(), system.whole_b(),
                  {with_batch(factors.lu, system.batch), with_batch(factors.pivots, system.batch, 1)}));
}

Tensor solve_triangular(const Tensor& a, const Tensor& b, bool is_upper, bool unit_diagonal) {
  const System system("solve_triangular", a, b);
  return system.result(bind(primitives::solve_triangular, {system.whole_a(), system.whole_b()},
                            TriangularAttrs{is_upper, unit_diagonal}));
}

Tensor cholesky_solve(const Tensor& b, const Tensor& factor, bool is_upper) {
  const System system("cholesky_solve", factor, b);
  const Tensor l = is_upper ? adjoint(system.whole_a()) : system.whole_a();
  constexpr Caller kCaller{"cholesky_solve"};
  return system.result(solve_upper(kCaller, adjoint(l), solve_lower(kCaller, l, system.whole_b())));
}

Tensor lu_solve(const Lu& factors, const Tensor& b, bool transposed) {
  const System system("lu_solve", factors.lu, b);
  if (factors.pivots.shape() != Shape(factors.lu.shape().begin(), factors.lu.shape().end() - 1) ||
      !is_integral(factors.pivots.dtype())) {
    fail<ShapeError>("[lu_solve] the pivots ", describe(factors.pivots), " must be integers, one a row of ",
                     describe(factors.lu));
  }
  const Tensor lu = system.whole_a(), lut = matrix_transpose(lu);
  const Tensor pivots = with_batch(astype(factors.pivots, DType::int64), system.batch, 1);
  constexpr Caller kCaller{"lu_solve"};
  if (transposed) {
    const Tensor inside = solve_lower(kCaller, lut, system.whole_b());
    return system.result(exchange(solve_upper(kCaller, lut, inside, true), pivots, true));
  }
  const Tensor inside = solve_lower(kCaller, lu, exchange(system.whole_b(), pivots, false), true);
  return system.result(solve_upper(kCaller, lu, inside));
}

Tensor inv(const Tensor& x) { return inv_for({"inv"}, x); }

Tensor inv_for(Caller caller, const Tensor& given) {
  const Tensor x = computable(caller.name, given);
  require_square(caller.name, x);
  const Lu factors = factors_of(caller, stop_gradient(x), true);
  return solve_known(caller, x, broadcast_to(identity_like(x), x.shape()), factors);
}

}  // namespace linalg
}  // namespace tidu
