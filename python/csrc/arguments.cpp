// What is said where arguments fit no signature that pybind11 knows: one line of ours (tidu/_arguments.py) in
// place of all signatures and all values. And signatures as inspect reads them, and examples.
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "binding.h"

namespace tidu::python {
namespace {

// The C function behind every function of pybind11's. It takes an array, or a tuple and a dictionary, by
// version.
PyCFunction dispatcher = nullptr;

// Shows a call's arguments to those among them that are converted.
class InFlight {
 public:
  explicit InFlight(std::span<PyObject* const> arguments)
      : outer_(std::exchange(arguments_in_flight(), arguments)) {}
  ~InFlight() { arguments_in_flight() = outer_; }
  InFlight(const InFlight&) = delete;

 private:
  const std::span<PyObject* const> outer_;
};

// Not all that pybind11 does is inside of its own catch: memory may run out where it registers an object.
template <class Signature> PyObject* dispatch(PyObject* self, auto... arguments) {
  try {
    return reinterpret_cast<Signature>(reinterpret_cast<void (*)()>(dispatcher))(self, arguments...);
  } catch (...) { set_python_error(); }
  return nullptr;
}

// The names of functions that run no code but ours, by what pybind11 keeps of each.
std::map<PyObject*, const char*>& names() {
  static std::map<PyObject*, const char*> all;
  return all;
}

void name_called(PyObject* self, std::span<PyObject* const> arguments) {
  const auto found = names().find(self);
  if (found == names().end() || std::ranges::any_of(arguments, PyCallable_Check)) return;
  name_error(found->second);
}

// Puts our text in place of pybind11's, if it is that.
void explain(PyObject* self, std::span<PyObject* const> arguments, const auto& given, const auto& named) {
  if (!PyErr_ExceptionMatches(PyExc_TypeError)) return name_called(self, arguments);
  try {
    py::error_already_set error;
    const auto text = py::str(error.value()).cast<std::string>();
    if (text.find("(): incompatible ") == std::string::npos) {
      error.restore();
      return name_called(self, arguments);
    }
    const py::object better = py::module_::import("tidu._arguments").attr("refusal")(text, given(), named());
    PyErr_SetObject(py::type::handle_of(better).ptr(), better.ptr());
  } catch (...) { set_python_error(); }
}

PyObject* vector_call(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
  const auto number = PyVectorcall_NARGS(static_cast<size_t>(count));
  const auto all = static_cast<size_t>(number + (keywords ? PyTuple_GET_SIZE(keywords) : 0));
  const std::span<PyObject* const> arguments(given, all);
  const InFlight in_flight(arguments);
  PyObject* const result = dispatch<_PyCFunctionFastWithKeywords>(self, given, count, keywords);
  if (result) return result;
  explain(
      self, arguments,
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
  const std::span<PyObject* const> arguments(&PyTuple_GET_ITEM(given, 0),
                                             static_cast<size_t>(PyTuple_GET_SIZE(given)));
  const InFlight in_flight(arguments);
  PyObject* const result = dispatch<PyCFunctionWithKeywords>(self, given, keywords);
  if (result) return result;
  explain(
      self, arguments, [&] { return py::reinterpret_borrow<py::tuple>(given); },
      [&] { return keywords ? py::reinterpret_borrow<py::dict>(keywords) : py::dict(); });
  return nullptr;
}

// "x, axis=0, *" of "x: Tensor, axis: int = 0, *", the parameters as pybind11 writes them. A default that is
// no literal is `...`.
std::string without_types(std::string_view parameters) {
  std::string result;
  int depth = 0;
  bool quoted = false;
  for (size_t start = 0, i = 0; i <= parameters.size(); ++i) {
    const char at = i < parameters.size() ? parameters[i] : ',';
    quoted ^= at == '\'';
    depth += (at == '(' || at == '[' || at == '{') - (at == ')' || at == ']' || at == '}');
    if (at != ',' || depth > 0 || quoted) continue;
    const std::string_view one = parameters.substr(start, i - start);
    const size_t equals = one.find(" = ");
    result += (result.empty() ? "" : ", ") + std::string(one.substr(0, one.find_first_of(":=")));
    if (equals != one.npos) {
      const std::string_view value = one.substr(equals + 3);
      const bool is_literal = value == "None" || value == "True" || value == "False" ||
                              std::string_view("-0123456789'(").find(value[0]) != value.npos;
      result += "=" + std::string(is_literal && value != "-inf" ? value : "...");
    }
    start = std::min(i + 2, parameters.size());
  }
  return result;
}

// Gives a function's doc the form that inspect.signature reads, and keeps its first line, which has the
// types, for the stubs.
void show_signature(PyMethodDef& definition, const std::string& place, const py::dict& signatures) {
  if (!definition.ml_doc) return;
  const std::string doc = definition.ml_doc;
  const size_t line = std::min(doc.find('\n'), doc.size()), arrow = doc.rfind(") -> ", line);
  const std::string name = definition.ml_name;
  if (arrow == doc.npos || arrow > line || !doc.starts_with(name + "(")) return;  // of several overloads
  signatures[py::str(place)] = doc.substr(0, line);
  const std::string parameters =
      without_types(std::string_view(doc).substr(name.size() + 1, arrow - name.size() - 1));
  const size_t text = std::min(doc.find_first_not_of('\n', line), doc.size());
  const std::string shown = str(name, "(", parameters, ")\n--\n\n", std::string_view(doc).substr(text));
  std::free(const_cast<char*>(definition.ml_doc));
  definition.ml_doc = strdup(shown.c_str());
}

struct Example {
  std::string_view calls, shown;
};

// By place; those of rows stand beneath these.
std::map<std::string_view, Example>& examples() {
  static std::map<std::string_view, Example> all = {
#define TIDU_EXAMPLE(place, calls, shown) {place, {calls, shown}},
#define EXAMPLE TIDU_EXAMPLE
#include "ops/elementwise.def"
#define EXAMPLE TIDU_EXAMPLE
#include "ops/reduce.def"
#define EXAMPLE TIDU_EXAMPLE
#include "ops/scan.def"
  };
  return all;
}

// A doc with the example that there is of what stands at a place, or nothing.
std::optional<std::string> with_example(std::string doc, std::string_view place) {
  constexpr std::string_view kHead = "\n\nExamples\n--------";
  constexpr std::string_view kMethod = "Tensor.";
  auto found = examples().find(place);
  if (found == examples().end() && place.starts_with(kMethod))
    found = examples().find(place.substr(kMethod.size()));
  if (found == examples().end() || doc.find(kHead) != doc.npos) return {};  // the latter under two names
  doc += kHead;
  std::istringstream calls{std::string(found->second.calls)};
  for (std::string line; std::getline(calls, line);) doc += "\n>>> " + line;
  if (!found->second.shown.empty()) doc += "\n" + std::string(found->second.shown);
  return doc;
}

void show_example(PyMethodDef& definition, std::string_view place) {
  if (!definition.ml_doc) return;
  const auto doc = with_example(definition.ml_doc, place);
  if (doc) definition.ml_doc = strdup(doc->c_str());  // kept as long as the interpreter
}

// Whether users call a function of a module or a method of Tensor by its name, and it runs no code of theirs;
// classes may hold some.
bool has_own_code(std::string_view name, bool is_method, std::string_view place) {
  const bool is_called = !name.starts_with('_') && !name.ends_with("_update");  // which optimisers call
  return is_called && name != "backward" && (!is_method || place.starts_with("Tensor."));
}

void visit(py::handle object, const std::string& place, const py::dict& signatures, bool is_method = false) {
  if (PyInstanceMethod_Check(object.ptr()))
    return visit(PyInstanceMethod_GET_FUNCTION(object.ptr()), place, signatures, true);
  if (PyCFunction_Check(object.ptr())) {
    PyMethodDef& definition = *reinterpret_cast<PyCFunctionObject*>(object.ptr())->m_ml;
    if (definition.ml_meth == dispatcher) {
      definition.ml_meth = (definition.ml_flags & METH_FASTCALL) != 0
                               ? reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(vector_call))
                               : reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(tuple_call));
      if (has_own_code(definition.ml_name, is_method, place))
        names()[PyCFunction_GET_SELF(object.ptr())] = definition.ml_name;
      show_signature(definition, place, signatures);
    }
    return show_example(definition, place);
  }
  if (Py_IS_TYPE(object.ptr(), &PyMethodDescr_Type))
    return show_example(*reinterpret_cast<PyMethodDescrObject*>(object.ptr())->d_method, place);
  const bool is_property = Py_IS_TYPE(object.ptr(), &PyProperty_Type);
  if (is_property) {
    for (const char* part : {"fget", "fset"})
      visit(object.attr(part), str(place, ".", part), signatures, true);
    return;
  }
  if (!PyModule_Check(object.ptr()) && !PyType_Check(object.ptr())) return;
  const py::object doc = py::getattr(object, "__doc__", py::none());
  if (PyType_Check(object.ptr()) && !doc.is_none()) {
    if (const auto text = with_example(doc.cast<std::string>(), place)) object.attr("__doc__") = *text;
  }
  const std::string prefix = place.empty() ? "" : place + ".";
  for (const auto& [name, value] : py::dict(object.attr("__dict__")))
    visit(value, prefix + name.cast<std::string>(), signatures);
}

// The doc of a function or method behind its signature.
void set_doc(py::handle object, const std::string& text) {
  constexpr std::string_view kEnd = ")\n--\n\n";
  if (PyInstanceMethod_Check(object.ptr())) return set_doc(PyInstanceMethod_GET_FUNCTION(object.ptr()), text);
  PyMethodDef& definition = PyCFunction_Check(object.ptr())
                                ? *reinterpret_cast<PyCFunctionObject*>(object.ptr())->m_ml
                                : *reinterpret_cast<PyMethodDescrObject*>(object.ptr())->d_method;
  const std::string_view doc = definition.ml_doc;
  const size_t end = doc.find(kEnd);
  const auto signature = end == doc.npos ? std::string_view() : doc.substr(0, end + kEnd.size());
  definition.ml_doc = strdup(str(signature, text).c_str());  // kept as long as the interpreter
}

}  // namespace

void example(const char* place, const char* calls, const char* shown) {
  if (!examples().emplace(place, Example{calls, shown}).second)
    throw std::logic_error(str("a second example of ", place));
}

std::span<PyObject* const>& arguments_in_flight() {
  thread_local std::span<PyObject* const> arguments;
  return arguments;
}

void explain_arguments(py::module_& m) {
  dispatcher = reinterpret_cast<PyCFunctionObject*>(m.attr("tensor").ptr())->m_ml->ml_meth;
  visit(m, "", m.attr("_signatures"));
  m.def("_set_doc", &set_doc);
}

}  // namespace tidu::python
