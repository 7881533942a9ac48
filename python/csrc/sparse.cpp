// Sparse matrices of derivatives over flat lists of tensors (tidu/sparse.py has them for pytrees).
#include "callables.h"
#include "transforms/lists.h"

namespace tidu::python {
namespace {

Tensor vector_of(const std::vector<int64_t>& numbers) {
  return tensor(std::span(numbers), {std::ssize(numbers)});
}

const char* mode_of(const Coloring& coloring) {
  if (!coloring.substitution.places.empty()) return "acyclic";
  return coloring.groups == Coloring::Groups::columns ? "fwd"
         : coloring.groups == Coloring::Groups::rows  ? "rev"
                                                      : "symmetric";
}

Coloring colored(Sparsity pattern, const std::string& mode) {
  return mode == "fwd"         ? color_columns(std::move(pattern))
         : mode == "rev"       ? color_rows(std::move(pattern))
         : mode == "symmetric" ? color_hessian(std::move(pattern))
         : mode == "star"      ? color_hessian(std::move(pattern), Recovery::direct)
         : mode == "acyclic"   ? color_hessian(std::move(pattern), Recovery::substitution)
                               : color_jacobian(std::move(pattern));
}

py::tuple to_tuple(const Csr& a) { return py::make_tuple(a.values, a.indices, a.indptr); }

Csr csr(const Tensor& values, const Tensor& indices, const Tensor& indptr,
        std::pair<int64_t, int64_t> shape) {
  return {indptr, indices, values, {shape.first, shape.second}};
}

// `matrix` over lists.
template <class F>
auto as_sparse(Csr (*matrix)(const F&, const Tensors&, const Coloring&, Chunk),
               F (*adopt)(const py::function&)) {
  return [=](const py::function& function, const py::object& primals, const Coloring& coloring, Chunk chunk) {
    const F adopted = adopt(function);
    const Tensors inputs = to_tensors(primals);
    return to_tuple([&] {
      const WithoutLock unlocked;
      return matrix(adopted, inputs, coloring, chunk);
    }());
  };
}

}  // namespace

void bind_sparse(py::module_& m) {
  py::class_<Coloring>(m, "Coloring")
      .def(py::init([](int64_t rows, int64_t columns, const Tensor& of_rows, const Tensor& of_columns,
                       const std::string& mode) {
        return colored(
            sparsity_of(rows, columns, to_vector<int64_t>(of_rows), to_vector<int64_t>(of_columns)), mode);
      }))
      .def_property_readonly(
          "shape",
          [](const Coloring& c) { return py::make_tuple(c.pattern.num_rows, c.pattern.num_columns); })
      .def_property_readonly("nnz", [](const Coloring& c) { return c.pattern.count(); })
      .def_property_readonly("indptr", [](const Coloring& c) { return vector_of(c.pattern.indptr); })
      .def_property_readonly("indices", [](const Coloring& c) { return vector_of(c.pattern.indices); })
      .def_property_readonly("mode", &mode_of)
      .def_property_readonly("colors", [](const Coloring& c) { return vector_of(c.colors); })
      .def_readonly("num_colors", &Coloring::count);
  m.def("jacobian_sparsity", [](const py::function& function, const py::object& primals,
                                const py::object& others, const std::string& mode) {
    const Function adopted = as_function(function);
    const std::vector<Spec> of_primals = specs_of(to_tensors(primals)),
                            of_others = specs_of(to_tensors(others));
    const WithoutLock unlocked;
    return colored(jacobian_sparsity(adopted, of_primals, of_others), mode);
  });
  m.def("hessian_sparsity", [](const py::function& function, const py::object& primals,
                               const py::object& others, const std::string& mode) {
    const ScalarFunction adopted = as_scalar_function(function);
    const std::vector<Spec> of_primals = specs_of(to_tensors(primals)),
                            of_others = specs_of(to_tensors(others));
    const WithoutLock unlocked;
    return colored(hessian_sparsity(adopted, of_primals, of_others), mode);
  });
  m.def("sparse_jacobian", as_sparse<Function>(&sparse_jacobian, &as_function));
  m.def("sparse_hessian", as_sparse<ScalarFunction>(&sparse_hessian, &as_scalar_function));
  m.def("csr_matmul", [](const Tensor& values, const Tensor& indices, const Tensor& indptr,
                         std::pair<int64_t, int64_t> shape, const Tensor& dense) {
    return sparse_matmul(csr(values, indices, indptr, shape), dense);
  });
  m.def("csr_transposed", [](const Tensor& values, const Tensor& indices, const Tensor& indptr,
                             std::pair<int64_t, int64_t> shape) {
    return to_tuple(transposed(csr(values, indices, indptr, shape)));
  });
  m.def("csr_to_dense",
        [](const Tensor& values, const Tensor& indices, const Tensor& indptr,
           std::pair<int64_t, int64_t> shape) { return to_dense(csr(values, indices, indptr, shape)); });
}

}  // namespace tidu::python
