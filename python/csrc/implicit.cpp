// Implicit derivatives and Krylov solvers over flat lists of tensors (tidu/_implicit.py, tidu/_krylov.py).
#include "callables.h"
#include "ops/operations.h"
#include "transforms/krylov.h"
#include "transforms/odeint.h"

namespace tidu::python {
namespace {

using Root = Tensors (*)(const Function&, const Tensors&, const implicit::RootOptions&);

auto as_root(Root find) {
  return [=](const py::function& function, const py::object& x0, std::optional<double> tol,
             std::optional<int64_t> max_iter, const py::object& tangent_solve) {
    return to_list(find(as_function(function), to_tensors(x0), {tol, max_iter, as_solver(tangent_solve)}));
  };
}

using Krylov = linalg::KrylovSolution (*)(const Function&, const Tensors&, const Tensors&,
                                          const linalg::KrylovOptions&);

auto as_krylov(Krylov solve) {
  return [=](const py::function& a, const py::object& b, const py::object& x0, std::optional<double> tol,
             double atol, std::optional<int64_t> maxiter, int64_t restart, const py::object& preconditioner) {
    const Function m = preconditioner.is_none() ? Function() : as_function(py::function(preconditioner));
    const linalg::KrylovSolution found =
        solve(as_function(a), to_tensors(b), to_tensors(x0), {tol, atol, maxiter, restart, m});
    return py::make_tuple(to_list(found.x), found.info);
  };
}

}  // namespace

void bind_implicit(py::module_& m) {
  m.def("custom_linear_solve", [](const py::function& matvec, const py::object& b, const py::function& solve,
                                  const py::object& transpose_solve, bool symmetric) {
    return to_list(custom_linear_solve(as_function(matvec), to_tensors(b), as_solver(solve),
                                       {as_solver(transpose_solve), symmetric}));
  });
  m.def("custom_root", [](const py::function& function, const py::object& guess, const py::function& solve,
                          const py::object& tangent_solve) {
    return to_list(
        custom_root(as_function(function), to_tensors(guess), as_solver(solve), as_solver(tangent_solve)));
  });
  const auto define_root = [&](const char* name, Root find) {
    m.def(name, as_root(find), py::arg("f"), py::arg("x0"), py::arg("tol"), py::arg("max_iter"),
          py::arg("tangent_solve"));
  };
  define_root("fixed_point", &implicit::fixed_point);
  define_root("root", &implicit::root);
  const auto define_krylov = [&](const char* name, Krylov solve) {
    m.def(name, as_krylov(solve), py::arg("A"), py::arg("b"), py::arg("x0"), py::arg("tol"), py::arg("atol"),
          py::arg("maxiter"), py::arg("restart"), py::arg("M"));
  };
  define_krylov("cg", &linalg::cg);
  define_krylov("gmres", &linalg::gmres);
  m.def(
      "odeint",
      [](const py::function& f, const py::object& y0, const Tensor& ts, std::optional<double> rtol,
         std::optional<double> atol, int64_t max_steps, bool adjoint) {
        const OdeFunction slope = [held = keep(f.ptr())](const Tensors& y, const Tensor& t) {
          const WithLock locked;
          return to_tensors(call_with(held, py::make_tuple(to_list(y), t)));
        };
        return to_list(
            odeint(slope, to_tensors(y0), ts,
                   {rtol, atol, max_steps, adjoint ? OdeOptions::adjoint : OdeOptions::checkpoint}));
      },
      py::arg("f"), py::arg("y0"), py::arg("ts"), py::arg("rtol"), py::arg("atol"), py::arg("max_steps"),
      py::arg("adjoint"));
}

}  // namespace tidu::python
