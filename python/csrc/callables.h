// Python callables over flat lists of tensors as C++ ones; pytrees are dealt with in Python.
#pragma once

#include "binding.h"
#include "transforms/implicit.h"

namespace tidu::python {

// None stands for an undefined tensor: an absent cotangent or tangent.
inline Tensors to_tensors(const py::object& sequence) {
  Tensors result;
  for (const py::handle item : sequence) result.push_back(item.is_none() ? Tensor() : item.cast<Tensor>());
  return result;
}

inline py::list to_list(const Tensors& tensors) {
  py::list result;
  for (const Tensor& tensor : tensors) result.append(tensor);
  return result;
}

// A thread whose interpreter ends during the call stays in it: unwound, it would let go of objects of Python,
// the arguments among them, without the lock.
inline py::object call_with(const std::shared_ptr<PyObject>& callable, const py::tuple& arguments) {
  PyObject* const result = in_python([&] { return PyObject_CallObject(callable.get(), arguments.ptr()); });
  if (result) return py::reinterpret_steal<py::object>(result);
  const py::error_already_set error;
  rethrow_as_ours(error);
  throw error;
}

inline py::object call(const std::shared_ptr<PyObject>& callable, const auto&... arguments) {
  return call_with(callable, py::make_tuple(to_list(arguments)...));
}

inline py::cpp_function as_callable(Function function) {
  return py::cpp_function([function = std::move(function)](const py::object& tensors) {
    const Tensors inputs = to_tensors(tensors);
    return to_list([&] {
      const WithoutLock unlocked;
      return function(inputs);
    }());
  });
}

// A Python callable as a C++ one, which the engine may drop without the interpreter's lock.
inline Function as_function(const py::function& callable) {
  return [held = keep(callable.ptr())](const Tensors& inputs) {
    const WithLock locked;
    return to_tensors(call(held, inputs));
  };
}

inline ScalarFunction as_scalar_function(const py::function& callable) {
  return [held = keep(callable.ptr())](const Tensors& inputs) {
    const WithLock locked;
    return call(held, inputs).cast<Tensor>();
  };
}

// A hook of a gradient, known by its type to the collector of cycles (tensor_type.cpp).
struct PythonHook {
  std::shared_ptr<PyObject> held;
  Tensor operator()(const Tensor& gradient) const {
    const WithLock locked;
    const py::object given = call_with(held, py::make_tuple(gradient));
    return given.is_none() ? Tensor()
                           : read<Tensor>(given, "register_hook", "hooks that return a tensor or None");
  }
};

// solve(function, tensors), whose function takes and gives lists of tensors; None: none.
inline Solver as_solver(const py::object& callable) {
  if (callable.is_none()) return {};
  return [held = keep(callable.ptr())](const Function& function, const Tensors& tensors) {
    const WithLock locked;
    return to_tensors(call_with(held, py::make_tuple(as_callable(function), to_list(tensors))));
  };
}

// Parts of bind_transforms.
void bind_compile(py::module_& m);   // compile.cpp
void bind_sparse(py::module_& m);    // sparse.cpp
void bind_implicit(py::module_& m);  // implicit.cpp

}  // namespace tidu::python
