// Standard errors from the exact Hessian.
#include "optim/standard_errors.h"

#include <algorithm>

#include "base/digits.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/linalg.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/spectral.h"
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

}  // namespace

Tensors standard_errors(const ScalarFunction& negative_log_likelihood, const Tensors& x) {
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
  const bool wide = std::ranges::all_of(x, [](const Tensor& t) { return t.dtype() == DType::float64; });
  const double least = item<double>(values[0]);
  const double limit = 64 * (wide ? 0x1p-52 : 0x1p-23) * static_cast<double>(values.numel());
  if (least <= limit) {
    const auto weights = to_vector<double>(abs(select(vectors, 1, 0)));
    const double most = *std::ranges::max_element(weights);
    fail<ValueError>("[standard_errors] the Hessian is ",
                     least < -limit ? "not positive, so x is not a minimum" : "singular",
                     ": its least eigenvalue, scaled to a diagonal of 1, is ", digits(least, 3), ", along ",
                     names_of(x, where_true(weights, [&](double weight) { return weight >= 0.1 * most; })),
                     " (collinear or redundant parameters?)");
  }
  const Tensor variances = sum(vectors * vectors / values, 1) * units * units;
  return split_like(sqrt(variances), x);
}

}  // namespace tidu::optim
