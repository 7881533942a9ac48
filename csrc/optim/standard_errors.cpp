// Standard errors from the exact Hessian, or from the exact Jacobian of residuals.
#include "optim/standard_errors.h"

#include <algorithm>

#include "base/digits.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/linalg.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/spectral.h"
#include "optim/residuals.h"
#include "transforms/jacobian.h"
#include "transforms/joined.h"

namespace tidu::optim {
namespace {

// "x[0, 2]" is an element of the only tensor, "x[0, 2] of leaf 1" of one of several.
std::string name_of(const Tensors& x, int64_t element) {
  size_t leaf = 0;
  while (element >= x[leaf].numel()) element -= x[leaf++].numel();
  std::string index;
  for (int axis = x[leaf].ndim(); axis-- > 0; element /= x[leaf].size(axis))
    index = str(element % x[leaf].size(axis), index.empty() ? "" : ", ", index);
  const std::string place = index.empty() ? "x" : "x[" + index + "]";
  return x.size() == 1 ? place : str(place, " of leaf ", leaf);
}

std::string names_of(const Tensors& x, const std::vector<int64_t>& elements) {
  constexpr size_t kMost = 4;
  std::string names;
  for (size_t i = 0; i < std::min(elements.size(), kMost); ++i)
    names += (i ? ", " : "") + name_of(x, elements[i]);
  return elements.size() > kMost ? str(names, " and ", elements.size() - kMost, " more") : names;
}

std::vector<int64_t> where_true(const std::vector<double>& values, const auto& holds) {
  std::vector<int64_t> found;
  for (size_t i = 0; i < values.size(); ++i) {
    if (holds(values[i])) found.push_back(static_cast<int64_t>(i));
  }
  return found;
}

// Those that have a part in a direction.
std::string names_along(const Tensors& x, const Tensor& direction) {
  const auto weights = to_vector<double>(abs(direction));
  const double most = *std::ranges::max_element(weights);
  return names_of(x, where_true(weights, [&](double weight) { return weight >= 0.1 * most; }));
}

bool is_wide(const Tensors& x) {
  return std::ranges::all_of(x, [](const Tensor& t) { return t.dtype() == DType::float64; });
}

}  // namespace

Tensors standard_errors(const ScalarFunction& negative_log_likelihood, const Tensors& given) {
  const Tensors x = detached(given, "standard_errors");
  check_numbers({negative_log_likelihood(x)}, "standard_errors");
  const Tensor hessian = hessian_matrix(negative_log_likelihood, x);
  if (hessian.numel() == 0) fail<ShapeError>("[standard_errors] the point has no elements");
  if (!item<bool>(all(isfinite(hessian)))) fail<ValueError>("[standard_errors] the Hessian is not finite");
  const Tensor diagonal = linalg::diagonal(hessian);
  const std::vector<int64_t> wrong =
      where_true(to_vector<double>(diagonal), [](double value) { return value <= 0; });
  if (!wrong.empty()) {
    fail<ValueError>("[standard_errors] the second derivative by ", names_of(x, wrong),
                     " is not positive: f does not depend on it, or x is not a minimum");
  }
  // By elements in units of their own curvature, what is singular does not depend on scales.
  const Tensor units = 1 / sqrt(diagonal);
  const Tensor scaled = hessian * units * reshape(units, {-1, 1});
  const auto [values, vectors] = linalg::eigh((scaled + matrix_transpose(scaled)) / 2);
  const double least = item<double>(values[0]);
  const double limit = 64 * (is_wide(x) ? 0x1p-52 : 0x1p-23) * static_cast<double>(values.numel());
  if (least <= limit) {
    fail<ValueError>("[standard_errors] the Hessian is ",
                     least < -limit ? "not positive, so x is not a minimum" : "singular",
                     ": its least eigenvalue, scaled to a diagonal of 1, is ", digits(least, 3), ", along ",
                     names_along(x, select(vectors, 1, 0)), " (collinear or redundant parameters?)");
  }
  const Tensor variances = sum(vectors * vectors / values, 1) * units * units;
  return split_like(sqrt(variances), x);
}

Tensor covariance_of(const Tensor& residuals, const Tensor& jacobian, const Tensors& x, const char* op) {
  const int64_t m = jacobian.size(0), n = jacobian.size(1);
  if (n == 0) fail<ShapeError>("[", op, "] the point has no elements");
  if (m <= n) {
    fail<ValueError>("[", op, "] ", m, " residuals of ", n,
                     " elements leave none over to tell their variance by");
  }
  const Tensor wide = astype(jacobian, DType::float64);
  if (!item<bool>(all(isfinite(wide)))) fail<ValueError>("[", op, "] the Jacobian is not finite");
  const Tensor largest = max(abs(wide), 0);
  const std::vector<int64_t> idle =
      where_true(to_vector<double>(largest), [](double value) { return value == 0; });
  if (!idle.empty()) fail<ValueError>("[", op, "] the residuals do not depend on ", names_of(x, idle));
  // In units of the columns' norms what is dependent does not depend on scales.
  const Tensor units = largest * sqrt(sum(square(wide / largest), 0));
  const auto [u, s, vh] = linalg::svd(linalg::qr(wide / units).r, false);
  const auto values = to_vector<double>(s);
  const double limit = 16 * (is_wide(x) ? 0x1p-52 : 0x1p-23) * static_cast<double>(n);
  if (values.back() <= limit) {
    fail<ValueError>(
        "[", op,
        "] the columns of the Jacobian are dependent: their least singular value, of columns of norm 1, is ",
        digits(values.back(), 3), ", along ", names_along(x, select(vh, 0, n - 1)),
        " (collinear or redundant parameters?)");
  }
  const double deviation = norm(residuals) / std::sqrt(static_cast<double>(m - n));
  const Tensor root = matrix_transpose(vh) / s / reshape(units / deviation, {n, 1});
  return matmul(root, matrix_transpose(root));
}

Tensors standard_errors_of(const Tensor& residuals, const Tensor& jacobian, const Tensors& x) {
  return split_like(sqrt(linalg::diagonal(covariance_of(residuals, jacobian, x, "standard_errors"))), x);
}

Tensors residual_standard_errors(const Function& residuals, const Tensors& x) {
  FunctionResiduals at(residuals, x, "standard_errors");
  const Tensor start = at.start(), found = at.evaluate(start);
  return standard_errors_of(found, at.jacobian(start), x);
}

}  // namespace tidu::optim
