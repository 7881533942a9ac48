// What is said where arguments fit no signature that pybind11 knows: one line of ours (tidu/_arguments.py) in
// place of all signatures and all values.
#include "binding.h"

namespace tidu::python {
namespace {

// The C function behind every function of pybind11's. It takes an array, or a tuple and a dictionary, by
// version.
PyCFunction dispatcher = nullptr;

// Not all that pybind11 does is inside of its own catch: memory may run out where it registers an object.
template <class Signature> PyObject* dispatch(PyObject* self, auto... arguments) {
  try {
    return reinterpret_cast<Signature>(reinterpret_cast<void (*)()>(dispatcher))(self, arguments...);
  } catch (...) { set_python_error(); }
  return nullptr;
}

// Puts our text in place of pybind11's, if it is that.
void explain(const auto& given, const auto& named) {
  if (!PyErr_ExceptionMatches(PyExc_TypeError)) return;
  try {
    py::error_already_set error;
    const auto text = py::str(error.value()).cast<std::string>();
    if (text.find("(): incompatible ") == std::string::npos) return error.restore();
    const py::object message = py::module_::import("tidu._arguments").attr("refusal")(text, given(), named());
    PyErr_SetObject(PyExc_TypeError, message.ptr());
  } catch (...) { set_python_error(); }
}

PyObject* vector_call(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
  PyObject* const result = dispatch<_PyCFunctionFastWithKeywords>(self, given, count, keywords);
  if (result) return result;
  const auto number = PyVectorcall_NARGS(static_cast<size_t>(count));
  explain(
      [&] {
        py::tuple all(number);
        for (Py_ssize_t i = 0; i < number; ++i) all[static_cast<size_t>(i)] = py::handle(given[i]);
        return all;
      },
      [&] {
        py::dict all;
        for (Py_ssize_t i = 0; keywords && i < PyTuple_GET_SIZE(keywords); ++i)
          all[py::handle(PyTuple_GET_ITEM(keywords, i))] = py::handle(given[number + i]);
        return all;
      });
  return nullptr;
}

PyObject* tuple_call(PyObject* self, PyObject* given, PyObject* keywords) {
  PyObject* const result = dispatch<PyCFunctionWithKeywords>(self, given, keywords);
  if (result) return result;
  explain([&] { return py::reinterpret_borrow<py::tuple>(given); },
          [&] { return keywords ? py::reinterpret_borrow<py::dict>(keywords) : py::dict(); });
  return nullptr;
}

void visit(py::handle object) {
  if (PyInstanceMethod_Check(object.ptr())) return visit(PyInstanceMethod_GET_FUNCTION(object.ptr()));
  if (PyCFunction_Check(object.ptr())) {
    PyMethodDef& definition = *reinterpret_cast<PyCFunctionObject*>(object.ptr())->m_ml;
    if (definition.ml_meth != dispatcher) return;
    definition.ml_meth = (definition.ml_flags & METH_FASTCALL) != 0
                             ? reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(vector_call))
                             : reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(tuple_call));
    return;
  }
  const bool is_property = Py_IS_TYPE(object.ptr(), &PyProperty_Type);
  if (is_property) return visit(object.attr("fget")), visit(object.attr("fset"));
  if (!PyModule_Check(object.ptr()) && !PyType_Check(object.ptr())) return;
  for (const auto& [name, value] : py::dict(object.attr("__dict__"))) visit(value);
}

}  // namespace

void explain_arguments(py::module_& m) {
  dispatcher = reinterpret_cast<PyCFunctionObject*>(m.attr("tensor").ptr())->m_ml->ml_meth;
  visit(m);
}

}  // namespace tidu::python
