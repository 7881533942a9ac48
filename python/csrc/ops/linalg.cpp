// Linear algebra: the module linalg, and what of it is of use everywhere.
#include "ops/linalg_rules.h"
#include "ops/operations.h"

#include <cmath>

namespace tidu::python {
namespace {

namespace la = tidu::linalg;

constexpr const char* kAxes = "a number of axes or a pair of tuples of them";

Tensor tensordot(const Tensor& a, const Tensor& b, const py::object& axes) {
  if (py::isinstance<py::int_>(axes)) return la::tensordot(a, b, int64_from_object(axes.ptr()));
  const auto pair = read<py::sequence>(axes, "tensordot", kAxes);
  if (pair.size() != 2)
    fail<ValueError>("[tensordot] axes is a number or a pair of axes or tuples of them, not ",
                     std::string(py::str(axes)));
  return la::tensordot(a, b, read<Dims>(pair[0], "tensordot", kAxes),
                       read<Dims>(pair[1], "tensordot", kAxes));
}

Tensor einsum(const std::string& subscripts, const py::args& operands) {
  return la::einsum(subscripts, read<Tensors>(operands, "einsum", "subscripts and tensors"));
}

Tensor trace(const Tensor& x, int64_t offset, Type dtype, int64_t axis1, int64_t axis2) {
  la::require_matrices("trace", x);
  return sum(la::diagonal(dtype ? astype(x, *dtype) : x, offset, axis1, axis2), -1);
}

// A named tuple, which the module has as a class.
class Named {
 public:
  Named(py::module_& m, const char* name, const char* fields)
      : type_(py::module_::import("collections").attr("namedtuple")(name, fields)) {
    type_.attr("__module__") = "tidu.linalg";
    m.attr(name) = type_;
  }
  template <class... T> py::object operator()(const T&... tensors) const { return type_(tensors...); }

 private:
  py::object type_;
};

// f of the norm that `ord` names.
Tensor with_norm(const char* argument, const py::object& ord, const auto& f) {
  if (py::isinstance<py::str>(ord)) {
    const auto name = ord.cast<std::string>();
    if (name == "fro") return f(la::MatrixNorm::frobenius);
    if (name == "nuc") return f(la::SpectralNorm::nuclear);
  } else if (const auto number = scalar_from_object(ord.ptr())) {
    const double value = number->to_double();
    if (value == 1) return f(la::MatrixNorm::columns);
    if (value == -1) return f(la::MatrixNorm::least_columns);
    if (value == 2) return f(la::SpectralNorm::largest);
    if (value == -2) return f(la::SpectralNorm::least);
    if (std::isinf(value)) return f(value > 0 ? la::MatrixNorm::rows : la::MatrixNorm::least_rows);
  }
  fail<ValueError>(argument, " is 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not ", std::string(py::repr(ord)));
}

Tensor matrix_norm(const Tensor& x, bool keepdims, const py::object& ord) {
  return with_norm("[matrix_norm] ord", ord, [&](auto norm) {
    if constexpr (std::is_same_v<decltype(norm), la::MatrixNorm>) {
      return la::matrix_norm(x, norm, keepdims);
    } else {
      return la::spectral_norm(x, norm, keepdims);
    }
  });
}

Tensor cond(const Tensor& x, const py::object& p) {
  if (p.is_none()) return la::cond(x);
  return with_norm("[cond] p", p, [&](auto norm) { return la::cond(x, norm); });
}

// f(rtol), a number or a tensor.
Tensor with_rtol(const char* op, const py::object& rtol, const auto& f) {
  if (is_tensor(rtol.ptr())) return f(rtol.cast<Tensor>());
  if (rtol.is_none()) return f(std::optional<double>());
  return f(std::optional(read<double>(rtol, op, "a number or a tensor as rtol")));
}

}  // namespace

void bind_products(const Definitions& define) {
  const auto x1 = py::arg("x1"), x2 = py::arg("x2"), x = py::arg("x");
  define.function("tensordot", tensordot, x1, x2, py::arg("axes") = 2,
                  "The sum of products over pairs of axes: the last `axes` of x1 and the first of x2, or\n"
                  "those of two tuples. The other axes of x1 come first, then those of x2.");
  example("tensordot", "td.tensordot(td.ones((2, 3)), td.ones((3, 4)), axes=1).shape", "(2, 4)");
  define.function("einsum", einsum, py::arg("subscripts"),
                  "Einstein's sum of products, einsum('ij,jk->ik', a, b): letters name axes, those that the\n"
                  "result lacks are summed over, '...' stands for axes that are broadcast. Without '->' the\n"
                  "result has '...' and the letters that stand once, in alphabetical order.");
  example("einsum", "td.einsum(\"ij,j->i\", td.tensor([[1.0, 2.0], [3.0, 4.0]]), td.tensor([1.0, 1.0]))",
          "tensor([3., 7.], dtype=float32)");
  define.function("kron", &la::kron, x1, x2, "The Kronecker product, whose block (i, j) is x1[i, j] * x2.");
  example("kron", "td.kron(td.tensor([1, 2]), td.tensor([1, 10]))", "tensor([ 1, 10,  2, 20], dtype=int64)");
  define.function("trace", trace, x, py::arg("offset") = 0, py::arg("dtype") = py::none(),
                  py::arg("axis1") = -2, py::arg("axis2") = -1,
                  "The sum along a diagonal of each matrix (.., m, n), or of those that two axes make.");
  example("trace", "td.trace(td.tensor([[1, 2], [3, 4]]))", "tensor(5, dtype=int64)");
  define.function("inner", &la::inner, x1, x2,
                  "The sum of products over the last axes of both: the other axes of x1, then those of x2.");
  example("inner", "td.inner(td.tensor([1.0, 2.0]), td.tensor([3.0, 4.0]))", "tensor(11., dtype=float32)");
  define.function(
      "diagonal",
      [](const Tensor& matrices, int64_t offset, int64_t axis1, int64_t axis2) {
        return la::diagonal(matrices, offset, axis1, axis2);
      },
      x, py::arg("offset") = 0, py::arg("axis1") = -2, py::arg("axis2") = -1,
      "The diagonal x[.., i, i + offset] of each matrix (.., m, n), or of those that two axes make.");
  example("diagonal", "td.diagonal(td.tensor([[1, 2], [3, 4]]))", "tensor([1, 4], dtype=int64)");
  define.function("tril", &la::tril, x, py::arg("k") = 0,
                  "Each matrix (.., m, n) with zeros right of diagonal k.");
  example("tril", "td.tril(td.ones((2, 2)))", "tensor([[1., 0.],\n        [1., 1.]], dtype=float32)");
  define.function("triu", &la::triu, x, py::arg("k") = 0,
                  "Each matrix (.., m, n) with zeros left of diagonal k.");
  example("triu", "td.triu(td.ones((2, 2)))", "tensor([[1., 1.],\n        [0., 1.]], dtype=float32)");
  define.function("cross", &la::cross, x1, x2, py::arg("axis") = -1,
                  "The vector product along an axis of extent 3.");
  example("cross", "td.cross(td.tensor([1.0, 0.0, 0.0]), td.tensor([0.0, 1.0, 0.0]))",
          "tensor([0., 0., 1.], dtype=float32)");
}

void bind_linalg(py::module_& parent) {
  py::module_ m = parent.def_submodule("linalg");
  const auto x1 = py::arg("x1"), x2 = py::arg("x2"), x = py::arg("x");
  const auto upper = py::arg("upper") = false, keepdims = py::arg("keepdims") = false;

  m.def("multi_dot", &la::multi_dot, py::arg("arrays"),
        "The product of matrices in the order that takes the fewest multiplications; the first and the last\n"
        "may be vectors.");
  example("linalg.multi_dot", "td.linalg.multi_dot([td.ones((2, 3)), td.ones((3, 4)), td.ones(4)])",
          "tensor([12., 12.], dtype=float32)");
  m.def("matrix_power", &la::matrix_power, x, py::arg("n"),
        "Square matrices to an integer power; a negative one is the power of the inverse.");
  example("linalg.matrix_power", "td.linalg.matrix_power(td.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)",
          "tensor([[1., 3.],\n"
          "        [0., 1.]], dtype=float32)");

  m.def(
      "vector_norm", &la::vector_norm, x, py::kw_only(), py::arg("axis") = py::none(), keepdims,
      py::arg("ord") = 2.0,
      "(sum |x|^ord)^(1 / ord) over the axes (all by default); the largest or smallest |x| for inf or -inf,\n"
      "the number of elements that are not 0 for 0. The derivatives of the 2-norm at 0 are 0.");
  example("linalg.vector_norm", "td.linalg.vector_norm(td.tensor([3.0, 4.0]))", "tensor(5., dtype=float32)");
  m.def(
      "matrix_norm", matrix_norm, x, py::kw_only(), keepdims, py::arg("ord") = "fro",
      "Of each matrix (.., m, n): 'fro' sqrt(sum x^2); 1 and -1 the largest and smallest sum of a column's\n"
      "absolute values, inf and -inf of a row's; 'nuc' the sum of the singular values, 2 and -2 the largest\n"
      "and the smallest.");
  example("linalg.matrix_norm", "td.linalg.matrix_norm(td.tensor([[3.0, 0.0], [0.0, 4.0]]))",
          "tensor(5., dtype=float32)");
  m.def("cond", cond, x, py::arg("p") = py::none(),
        "The condition number of each matrix: the ratio of the largest and smallest singular values, or for\n"
        "another norm p of square matrices norm(x) * norm(inv(x)). Infinite for singular matrices.");
  example("linalg.cond", "td.linalg.cond(td.tensor([[2.0, 0.0], [0.0, 0.5]]))", "tensor(4., dtype=float32)");

  m.def(
      "cholesky", &la::cholesky, x, py::kw_only(), upper,
      "Lower triangular L with x = L @ conj(L).mT, or upper triangular U with x = conj(U).mT @ U. Only that\n"
      "triangle of x is read. x counts as symmetric (Hermitian), and so is its gradient. A matrix that is "
      "not\n"
      "positive definite is a ValueError that names its leading minor.");
  example("linalg.cholesky", "td.linalg.cholesky(td.tensor([[4.0, 2.0], [2.0, 2.0]]))",
          "tensor([[2., 0.],\n"
          "        [1., 1.]], dtype=float32)");
  m.def(
      "lu_factor",
      [result = Named(m, "LuFactor", "lu pivots")](const Tensor& matrices) {
        const auto [lu, pivots] = la::lu_factor(matrices);
        return result(lu, pivots);
      },
      x,
      "(lu, pivots): L below the diagonal, which is 1, and U on it and above, of x (.., m, n) with its rows\n"
      "exchanged: row i with row pivots[i] for i from 0 to min(m, n) - 1.");
  example("linalg.lu_factor", "td.linalg.lu_factor(td.tensor([[1.0, 2.0], [2.0, 2.0]])).pivots",
          "tensor([1, 1], dtype=int64)");
  m.def(
      "lu_solve",
      [](const Tensor& lu, const Tensor& pivots, const Tensor& b, bool transposed) {
        return la::lu_solve({lu, pivots}, b, transposed);
      },
      py::arg("lu"), py::arg("pivots"), py::arg("b"), py::kw_only(), py::arg("transposed") = false,
      "The solution of a @ x = b, or a.mT @ x = b, by the factors of a.");
  example("linalg.lu_solve",
          "lu, pivots = td.linalg.lu_factor(td.tensor([[2.0, 0.0], [0.0, 4.0]]))\n"
          "td.linalg.lu_solve(lu, pivots, td.tensor([2.0, 2.0]))",
          "tensor([1. , 0.5], dtype=float32)");
  m.def("solve", &la::solve, x1, x2,
        "The solution x of x1 @ x = x2 for square matrices and x2 (.., n, k), or a vector (n). A singular\n"
        "matrix is a ValueError that names it and its pivot.");
  example("linalg.solve", "td.linalg.solve(td.tensor([[2.0, 0.0], [0.0, 4.0]]), td.tensor([2.0, 2.0]))",
          "tensor([1. , 0.5], dtype=float32)");
  m.def("solve_triangular", &la::solve_triangular, x1, x2, py::kw_only(), upper,
        py::arg("unit_diagonal") = false,
        "The solution x of x1 @ x = x2 for a lower (or upper) triangular x1, whose other triangle is not\n"
        "read, nor its diagonal where that is said to be 1.");
  example("linalg.solve_triangular",
          "td.linalg.solve_triangular(td.tensor([[2.0, 0.0], [1.0, 1.0]]), td.tensor([[2.0], [2.0]]), "
          "upper=False)",
          "tensor([[1.],\n"
          "        [1.]], dtype=float32)");
  m.def("cholesky_solve", &la::cholesky_solve, py::arg("b"), py::arg("factor"), py::kw_only(), upper,
        "The solution x of a @ x = b by the Cholesky factor of a.");
  example("linalg.cholesky_solve",
          "td.linalg.cholesky_solve(td.tensor([[4.0], [1.0]]), td.tensor([[2.0, 0.0], [0.0, 1.0]]))",
          "tensor([[1.],\n"
          "        [1.]], dtype=float32)");
  m.def("inv", &la::inv, x, "The inverse. A singular matrix is a ValueError that names it and its pivot.");
  example("linalg.inv", "td.linalg.inv(td.tensor([[2.0, 0.0], [0.0, 4.0]]))",
          "tensor([[0.5 , 0.  ],\n"
          "        [0.  , 0.25]], dtype=float32)");

  m.def("det", &la::det, x, "The determinant. Its derivative is the adjugate, of singular matrices, too.");
  example("linalg.det", "td.linalg.det(td.tensor([[2.0, 0.0], [0.0, 4.0]]))", "tensor(8., dtype=float32)");
  m.def(
      "slogdet",
      [result = Named(m, "Slogdet", "sign logabsdet")](const Tensor& matrices) {
        const auto [sign, logarithm] = la::slogdet(matrices);
        return result(sign, logarithm);
      },
      x,
      "(sign, logabsdet): the determinant is sign * exp(logabsdet); 0 and -inf of a singular matrix. Of\n"
      "complex matrices the sign is a complex number of absolute value 1.");
  example("linalg.slogdet", "td.linalg.slogdet(td.tensor([[-1.0, 0.0], [0.0, 1.0]])).sign",
          "tensor(-1., dtype=float32)");
  m.def("logdet", &la::logdet, x,
        "The logarithm of the determinant: -inf of a singular matrix, NaN where it is negative, of complex\n"
        "matrices on the principal branch.");
  example("linalg.logdet", "td.linalg.logdet(td.eye(3))", "tensor(0., dtype=float32)");
  m.def("adjugate", &la::adjugate, x,
        "The transposed matrix of cofactors: x @ adjugate(x) is det(x) times the identity, for every x.");
  example("linalg.adjugate", "td.linalg.adjugate(td.tensor([[1.0, 2.0], [3.0, 4.0]]))",
          "tensor([[ 3.9999993, -1.9999996],\n"
          "        [-2.9999993,  0.9999997]], dtype=float32)");

  const auto rtol = py::arg("rtol") = py::none();
  m.def(
      "qr",
      [result = Named(m, "Qr", "Q R")](const Tensor& matrices, const std::string& mode) {
        if (mode != "reduced" && mode != "complete")
          fail<ValueError>("[qr] mode is 'reduced' or 'complete', not '", mode, "'");
        const auto [q, r] = la::qr(matrices, mode == "complete");
        return result(q, r);
      },
      x, py::kw_only(), py::arg("mode") = "reduced",
      "(Q, R): orthonormal columns and an upper triangle, of a real diagonal, with x = Q @ R; 'complete': Q "
      "is\n"
      "square. The first min(m, n) columns must be independent for there to be a gradient.");
  example("linalg.qr", "td.linalg.qr(td.ones((3, 2))).R.shape", "(2, 2)");
  m.def(
      "eigh",
      [result = Named(m, "Eigh", "eigenvalues eigenvectors")](const Tensor& matrices) {
        const auto [values, vectors] = la::eigh(matrices);
        return result(values, vectors);
      },
      x,
      "(eigenvalues, eigenvectors) of symmetric (Hermitian) matrices, ascending, and as columns. The lower\n"
      "triangle is read; the gradient is the symmetric one. Where eigenvalues are equal, a gradient that "
      "depends\n"
      "on how their vectors turn, or on which of them comes first, is a GradientError, and so is one that\n"
      "depends on the phase of a complex vector.");
  example("linalg.eigh", "td.linalg.eigh(td.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues",
          "tensor([1., 2.], dtype=float32)");
  m.def(
      "eigvalsh", &la::eigvalsh, x,
      "The eigenvalues of symmetric (Hermitian) matrices, as `eigh` has them. Tangents of equal ones are the "
      "one-sided\n"
      "derivatives of the sorted values; second derivatives of symmetric functions of the values are exact\n"
      "there, in every mix of modes. Forward mode over itself along two directions, the gradient of what\n"
      "several gradients make of one call, and third derivatives are a GradientError. Between values that\n"
      "lie d apart a second derivative has lost eps / d of itself.");
  example("linalg.eigvalsh", "td.linalg.eigvalsh(td.tensor([[2.0, 1.0], [1.0, 2.0]]))",
          "tensor([1., 3.], dtype=float32)");
  m.def(
      "svd",
      [result = Named(m, "Svd", "U S Vh")](const Tensor& matrices, bool full_matrices) {
        const auto [u, s, vh] = la::svd(matrices, full_matrices);
        return result(u, s, vh);
      },
      x, py::kw_only(), py::arg("full_matrices") = true,
      "(U, S, Vh) with x = (U * S) @ Vh and S descending; with full_matrices=False U has no more columns\n"
      "and Vh no more rows than S. Of those that are added, gradients see the span alone, and tangents are\n"
      "NaN. Where singular values are equal, a gradient that depends on how their vectors turn, or on which\n"
      "of them comes first, is a GradientError, and so is one that depends on the phase of complex vectors.");
  example("linalg.svd", "td.linalg.svd(td.tensor([[3.0, 0.0], [0.0, 4.0]])).S",
          "tensor([4., 3.], dtype=float32)");
  m.def(
      "svdvals", &la::svdvals, x,
      "The singular values, descending, with derivatives at equal ones as `eigvalsh` has them. The gradient\n"
      "of one that is 0 is 0, as that of abs; so the second derivative of (svdvals(x) ** 2).sum() lacks "
      "what\n"
      "moves such ones: that of (x * x).sum() has it.");
  example("linalg.svdvals", "td.linalg.svdvals(td.tensor([[3.0, 0.0], [0.0, 4.0]]))",
          "tensor([4., 3.], dtype=float32)");
  m.def(
      "pinv",
      [](const Tensor& matrices, const py::object& least) {
        return with_rtol("pinv", least, [&](const auto& value) { return la::pinv(matrices, value); });
      },
      x, py::kw_only(), rtol,
      "The pseudo-inverse: singular values up to rtol (by default max(m, n) eps) times the largest are 0.\n"
      "Its gradient is that among matrices of one rank. rtol may be a tensor, a number of each matrix.");
  example("linalg.pinv", "td.linalg.pinv(td.tensor([[2.0, 0.0], [0.0, 0.0]]))",
          "tensor([[0.5, 0. ],\n"
          "        [0. , 0. ]], dtype=float32)");
  m.def(
      "matrix_rank",
      [](const Tensor& matrices, const py::object& least) {
        return with_rtol("matrix_rank", least,
                         [&](const auto& value) { return la::matrix_rank(matrices, value); });
      },
      x, py::kw_only(), rtol,
      "How many singular values exceed rtol (by default max(m, n) eps) times the largest.");
  example("linalg.matrix_rank", "td.linalg.matrix_rank(td.ones((3, 3)))", "tensor(1, dtype=int64)");
  m.def(
      "lstsq",
      [result = Named(m, "Lstsq", "x residuals rank singular_values")](const Tensor& a, const Tensor& b,
                                                                       std::optional<double> least) {
        const auto [solution, residuals, rank, values] = la::lstsq(a, b, least);
        return result(solution, residuals, rank, values);
      },
      py::arg("a"), py::arg("b"), py::arg("rcond") = py::none(),
      "(x, residuals, rank, singular_values): the x of least norm that makes |a @ x - b| least, for b\n"
      "(.., m, k) or a vector (m), and the sums of squares of |a @ x - b|.");
  example("linalg.lstsq",
          "td.linalg.lstsq(td.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), td.tensor([1.0, 3.0, 5.0])).x",
          "tensor([1.0000007, 1.9999998], dtype=float32)");
  m.def("matrix_exp", &la::matrix_exp, x, "The exponential of square matrices.");
  example("linalg.matrix_exp", "td.linalg.matrix_exp(td.tensor([[0.0, 1.0], [0.0, 0.0]]))",
          "tensor([[1., 1.],\n"
          "        [0., 1.]], dtype=float32)");
  m.def("tensorsolve", &la::tensorsolve, py::arg("a"), py::arg("b"), py::arg("axes") = py::none(),
        "The x with tensordot(a, x, x.ndim) equal to b, after the axes of a in `axes` went to its end.");
  example("linalg.tensorsolve", "td.linalg.tensorsolve(2 * td.eye(4).reshape((2, 2, 2, 2)), td.ones((2, 2)))",
          "tensor([[0.5, 0.5],\n"
          "        [0.5, 0.5]], dtype=float32)");
  m.def("tensorinv", &la::tensorinv, py::arg("a"), py::arg("ind") = 2,
        "The inverse of tensordot with a, whose first `ind` axes are those of the result.");
  example("linalg.tensorinv", "td.linalg.tensorinv(td.eye(4).reshape((2, 2, 2, 2))).shape", "(2, 2, 2, 2)");
}

}  // namespace tidu::python
