// Compressed Jacobians and Hessians, and products of sparse matrices in terms of ops.
#include "transforms/sparse.h"

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/matmul.h"
#include "ops/order.h"
#include "ops/scan.h"
#include "ops/shape.h"
#include "transforms/lists.h"
#include "transforms/transpose.h"
#include "transforms/vmap.h"

namespace tidu {
namespace {

int64_t numel_of(const std::vector<Spec>& specs) {
  int64_t total = 0;
  for (const Spec& spec : specs) total += num_elements(spec.shape);
  return total;
}

Tensor on_device(const std::vector<int64_t>& numbers, Device device) {
  return to(tensor(std::span(numbers), {std::ssize(numbers)}), device);
}

void check_size(int64_t size, int64_t expected, const char* op, const char* sides, const char* what) {
  if (size != expected)
    fail<ShapeError>("[", op, "] the pattern has ", expected, " ", sides, " but the ", what, " have ", size,
                     " elements");
}

// The images of the sums of unit vectors of each colour.
Tensors products_of(const Function& linear, const std::vector<Spec>& like, const Coloring& coloring,
                    Chunk chunk) {
  const auto seeds = [&](int64_t first, int64_t size) {
    Tensors result;
    int64_t begin = 0;
    for (const Spec& spec : like) {
      const int64_t count = num_elements(spec.shape);
      const auto from = coloring.colors.begin() + begin;
      const Tensor colors = on_device({from, from + count}, spec.device);
      const Tensor mine = expand_dims(arange(first, first + size, 1, DType::int64, spec.device), 1);
      Shape shape = spec.shape;
      shape.insert(0, size);
      result.push_back(reshape(astype(expand_dims(colors, 0) == mine, spec.dtype), shape));
      begin += count;
    }
    return result;
  };
  return images_of(linear, like, coloring.count, seeds, chunk);
}

// The elements that are found one from the other.
Tensor substituted(const Tensor& products, const Coloring::Substitution& found) {
  const Device device = products.device();
  Tensor elements = widened(take(products, on_device(found.places, device), 0));
  const Tensor parents = on_device(found.parents, device);
  for (size_t level = 0; level + 1 < found.levels.size(); ++level) {
    const int64_t begin = found.levels[level], end = found.levels[level + 1];
    elements = scatter_add(elements, slice_axis(parents, 0, begin, end),
                           negative(slice_axis(elements, 0, begin, end)), 0);
  }
  return astype(elements, products.dtype());
}

// The matrix from its products, which lie along axis 0.
Csr matrix_of(const Tensors& products, const Coloring& coloring, DType dtype, Device device) {
  const Sparsity& pattern = coloring.pattern;
  Tensors parts;
  for (const Tensor& product : products)
    parts.push_back(astype(reshape(product, {coloring.count, product.numel() / coloring.count}), dtype));
  Tensor values = zeros({0}, dtype, device);
  if (!parts.empty()) {
    const Tensor all = flatten(concat(parts, 1));
    const bool is_direct = coloring.substitution.places.empty();
    values = take(is_direct ? all : substituted(all, coloring.substitution),
                  on_device(coloring.places, device), 0);
  }
  return {on_device(pattern.indptr, device),
          on_device(pattern.indices, device),
          values,
          {pattern.num_rows, pattern.num_columns}};
}

// Of all tensors.
DType common_dtype(const std::vector<Spec>& specs) {
  DType dtype = specs.at(0).dtype;
  for (const Spec& spec : specs) dtype = promote(dtype, spec.dtype);
  return dtype;
}

// The derivative of a function, which is symmetric where the function is a gradient.
Csr matrix_by(const Function& function, const Tensors& primals, const Coloring& coloring, Chunk chunk,
              const char* op, bool is_symmetric) {
  check_differentiable(primals, "argument");
  const std::vector<Spec> inputs = specs_of(primals);
  check_size(numel_of(inputs), coloring.pattern.num_columns, op, "columns", "arguments");
  if (primals.empty()) fail<ValueError>("[", op, "] there is no argument to differentiate by");
  std::vector<Spec> outputs;
  const auto see = [&](const Tensors& values) {
    check_differentiable(values, "output");
    outputs = specs_of(values);
    check_size(numel_of(outputs), coloring.pattern.num_rows, op, "rows", "results");
    if (outputs.empty()) fail<ValueError>("[", op, "] the function has no results");
  };
  const auto by_rows = [&] {
    const Vjp at_primals = vjp(function, primals);
    see(at_primals.outputs);
    return products_of(at_primals.pullback, outputs, coloring, chunk);
  };
  const Function push = [&](const Tensors& tangents) {
    Jvp along = jvp(function, primals, tangents);
    see(along.outputs);
    return std::move(along.tangents);
  };
  Tensors products;
  if (coloring.count == 0) {
    see(function(primals));
  } else if (coloring.groups == Coloring::Groups::rows) {
    products = by_rows();
  } else {
    try {
      products = products_of(push, inputs, coloring, chunk);
    } catch (const NotLinearError&) {
      // A rule of the user's own cannot be transposed. Groups of columns of a symmetric matrix are ones of
      // rows.
      if (!is_symmetric)
        return matrix_by(function, primals, color_rows(coloring.pattern), chunk, op, is_symmetric);
      products = by_rows();
    }
  }
  return matrix_of(products, coloring, common_dtype(outputs), primals[0].device());
}

// The row of each element.
Tensor rows_of(const Csr& a) {
  const int64_t count = a.indices.numel();
  const Device device = a.indices.device();
  const Tensor ends = slice_axis(a.indptr, 0, 1, a.shape[0]);
  const Tensor none = zeros({count + 1}, DType::int64, device);
  return slice_axis(cumulative_sum(scatter_add(none, ends, ones({}, DType::int64, device), 0), 0), 0, 0,
                    count);
}

}  // namespace

Csr sparse_jacobian(const Function& function, const Tensors& primals, const Coloring& coloring, Chunk chunk) {
  return matrix_by(function, primals, coloring, chunk, "jacobian", false);
}
Csr sparse_jacobian(const Function& function, const Tensors& primals, Chunk chunk) {
  check_differentiable(primals, "argument");
  return sparse_jacobian(function, primals, color_jacobian(jacobian_sparsity(function, specs_of(primals))),
                         chunk);
}

Csr sparse_hessian(const ScalarFunction& function, const Tensors& primals, const Coloring& coloring,
                   Chunk chunk) {
  const Function gradient = [&](const Tensors& inputs) { return value_and_grad(function, inputs).gradients; };
  return matrix_by(gradient, primals, coloring, chunk, "hessian", true);
}
Csr sparse_hessian(const ScalarFunction& function, const Tensors& primals, Chunk chunk) {
  check_differentiable(primals, "argument");
  return sparse_hessian(function, primals, color_hessian(hessian_sparsity(function, specs_of(primals))),
                        chunk);
}

Tensor sparse_matmul(const Csr& a, const Tensor& dense) {
  if ((dense.ndim() != 1 && dense.ndim() != 2) || dense.size(0) != a.shape[1]) {
    fail<ShapeError>("[matmul] a sparse matrix ", a.shape, " does not fit ", describe(dense),
                     " (give a vector or a matrix of as many rows as it has columns)");
  }
  const DType dtype = promote(a.values.dtype(), dense.dtype());
  const Tensor values = widened(astype(a.values, dtype)), x = widened(astype(dense, dtype));
  const Tensor products = take(x, a.indices, 0) * (dense.ndim() == 1 ? values : expand_dims(values, 1));
  Shape shape = dense.shape();
  shape[0] = a.shape[0];
  return astype(scatter_add(zeros(shape, values.dtype(), values.device()), rows_of(a), products, 0), dtype);
}

Csr transposed(const Csr& a) {
  const Device device = a.indices.device();
  const Tensor order = argsort(a.indices);
  const Tensor counts = scatter_add(zeros({a.shape[1] + 1}, DType::int64, device), a.indices + 1,
                                    ones({}, DType::int64, device), 0);
  return {cumulative_sum(counts, 0),
          take(rows_of(a), order, 0),
          take(a.values, order, 0),
          {a.shape[1], a.shape[0]}};
}

Tensor to_dense(const Csr& a) {
  const Tensor places = rows_of(a) * a.shape[1] + a.indices;
  const Tensor none = zeros({a.shape[0] * a.shape[1]}, a.values.dtype(), a.values.device());
  return reshape(scatter_add(none, places, a.values, 0), a.shape);
}

}  // namespace tidu
