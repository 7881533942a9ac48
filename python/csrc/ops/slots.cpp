// Placing arguments, and what Python is told of a C function.
#include "ops/slots.h"

#include <pybind11/eval.h>

#include <deque>

namespace tidu::python {
namespace {

template <class T> T& forever(T value) {
  static std::deque<T> kept;
  return kept.emplace_back(std::move(value));
}

}  // namespace

PyMethodDef& definition(const char* name, std::string doc, void (*function)(), int flags) {
  return forever(
      PyMethodDef{name, reinterpret_cast<PyCFunction>(function), flags, forever(std::move(doc)).c_str()});
}

void add_function(py::module_& m, PyMethodDef& function) {
  const auto module_name = py::str("tidu");
  m.attr(function.ml_name) =
      py::reinterpret_steal<py::object>(PyCFunction_NewEx(&function, nullptr, module_name.ptr()));
}

void add_method(PyMethodDef& method) {
  py::handle(reinterpret_cast<PyObject*>(tensor_type)).attr(method.ml_name) =
      py::reinterpret_steal<py::object>(PyDescr_NewMethod(tensor_type, &method));
}

std::string document(const char* name, std::string_view parameters, const char* text) {
  return str(name, "(", parameters, ")\n--\n\n", text);
}

// --- Arguments as values

bool load(PyObject* object, bool& value) {
  const PyNumberMethods* number = Py_TYPE(object)->tp_as_number;
  if (!number || !number->nb_bool) return false;
  const int truth = PyObject_IsTrue(object);
  if (truth < 0) throw py::error_already_set();
  value = truth;
  return true;
}

bool load(PyObject* object, int64_t& value) {
  if (!PyIndex_Check(object)) return false;
  value = int64_from_object(object);
  return true;
}

bool load(PyObject* object, double& value) {
  if (!PyNumber_Check(object) || PyComplex_Check(object)) return false;
  value = double_from_object(object);
  return true;
}

bool load(PyObject* object, DType& value) {
  const auto dtype = dtype_from_object(object);
  if (dtype) value = *dtype;
  return dtype.has_value();
}

bool load(PyObject* object, Device& value) {
  py::detail::make_caster<Device> caster;
  if (!caster.load(object, true)) return false;
  value = py::detail::cast_op<Device&>(caster);
  return true;
}

bool load(PyObject* object, Dims& value) {
  const auto dims = dims_from_object(object);
  if (dims) value = *dims;
  return dims.has_value();
}

// --- Placing them

Parameters::Parameters(const char* op, std::string_view signature) : op_(op) {
  for (size_t start = 0; start < signature.size();) {
    const size_t end = std::min(signature.find(", ", start), signature.size());
    const std::string_view part = signature.substr(start, end - start);
    const size_t equals = std::min(part.find('='), part.size());
    names_.push_back(PyUnicode_InternFromString(std::string(part.substr(0, equals)).c_str()));
    defaults_.push_back(
        equals == part.size() ? nullptr : py::eval(std::string(part.substr(equals + 1))).release().ptr());
    start = end + 2;
  }
}

void Parameters::place(PyObject** placed, size_t first, PyObject* const* given, Py_ssize_t count,
                       PyObject* keywords) const {
  const size_t end = first + static_cast<size_t>(count);
  if (end > names_.size()) {
    const size_t most = names_.size() - first;
    throw py::type_error(str(
        "[", op_, "] takes at most ", most, " argument", most == 1 ? "" : "s", ", not ", count, " (it takes ",
        most == 0 ? "none" : py::str(", ").attr("join")(names_from(first)).cast<std::string>(), ")"));
  }
  std::copy_n(given, count, placed + first);
  std::fill(placed + end, placed + names_.size(), nullptr);
  for (Py_ssize_t k = 0; keywords && k < PyTuple_GET_SIZE(keywords); ++k) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, k);
    size_t i = first;
    while (i < names_.size() && names_[i] != keyword && PyUnicode_Compare(names_[i], keyword) != 0) ++i;
    if (i == names_.size() || placed[i]) {
      const auto name = py::str(keyword).cast<std::string>();
      if (i < names_.size())
        throw py::type_error(str("[", op_, "] the argument '", name, "' is given twice"));
      const py::object hint =
          py::module_::import("tidu._arguments").attr("keyword_hint")(name, names_from(first));
      throw py::type_error(str("[", op_, "] has no argument '", name, "'", hint.cast<std::string>()));
    }
    placed[i] = given[count + k];
  }
  for (size_t i = end; i < names_.size(); ++i) {
    if (!placed[i]) placed[i] = defaults_[i];
    if (!placed[i])
      throw py::type_error(str("[", op_, "] needs the argument '", PyUnicode_AsUTF8(names_[i]), "'"));
  }
}

py::list Parameters::names_from(size_t first) const {
  py::list names;
  for (size_t i = first; i < names_.size(); ++i) names.append(py::handle(names_[i]));
  return names;
}

void Parameters::fail_type(size_t i, const std::string& expected, PyObject* given) const {
  throw py::type_error(str("[", op_, "] the argument '", PyUnicode_AsUTF8(names_[i]), "' must be ", expected,
                           ", not ", name_of_type(given)));
}

void Parameters::fail_value(size_t i, std::string_view reason) const {
  fail<ValueError>("[", op_, "] the argument '", PyUnicode_AsUTF8(names_[i]), "': ", reason);
}

std::string Parameters::typed(std::span<const std::string> types, bool is_method, bool variadic) const {
  std::string text = str("(", is_method ? "self" : PyUnicode_AsUTF8(names_[0]), ": Tensor");
  for (size_t i = 1; i < names_.size(); ++i) {
    text += str(variadic ? ", *" : ", ", PyUnicode_AsUTF8(names_[i]), ": ", types[i]);
    if (defaults_[i]) text += " = " + py::repr(defaults_[i]).cast<std::string>();
  }
  return text + ") -> Tensor";
}

}  // namespace tidu::python
