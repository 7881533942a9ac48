// tidu's errors as Python exceptions, each derived from the built-in that fits.
#include <pthread.h>

#include <cstdlib>

#include "binding.h"
#include "diagnostics/non_finite.h"

namespace tidu::python {
namespace {

PyObject *shape_error, *dtype_error, *device_error, *gradient_error, *not_linear_error, *trace_error,
    *file_error, *missing_file_error, *non_finite_error;

// An error of ours that passed through Python code on its way, with the traceback that it has there.
template <class E> struct FromPython : E {
  explicit FromPython(const py::error_already_set& error) : E(error.what()), original(error) {}
  py::error_already_set original;
};

// Bytes of file names and files may be no UTF-8.
void set_error(PyObject* type, const std::exception& error) {
  const std::string_view text = error.what();
  const auto size = static_cast<Py_ssize_t>(text.size());
  PyObject* message = PyUnicode_DecodeUTF8(text.data(), size, "backslashreplace");
  if (!message) return;
  PyErr_SetObject(type, message);
  Py_DECREF(message);
}

PyObject* make_error(py::module_& m, const char* name, const py::object& bases, const char* doc) {
  PyObject* type = PyErr_NewExceptionWithDoc(str("tidu.", name).c_str(), doc, bases.ptr(), nullptr);
  if (!type) throw py::error_already_set();
  m.attr(name) = py::handle(type);
  return type;
}

}  // namespace

void set_python_error() noexcept {
  try {
    throw;
  } catch (py::error_already_set& error) { error.restore(); } catch (FromPython<NotLinearError>& error) {
    error.original.restore();
  } catch (FromPython<TraceError>& error) {
    error.original.restore();
  } catch (const py::builtin_exception& error) { error.set_error(); } catch (const ShapeError& error) {
    set_error(shape_error, error);
  } catch (const DTypeError& error) { set_error(dtype_error, error); } catch (const DeviceError& error) {
    set_error(device_error, error);
  } catch (const NotLinearError& error) {
    set_error(not_linear_error, error);
  } catch (const GradientError& error) { set_error(gradient_error, error); } catch (const TraceError& error) {
    set_error(trace_error, error);
  } catch (const NonFiniteError& error) {
    set_error(non_finite_error, error);
  } catch (const MissingFileError& error) {
    set_error(missing_file_error, error);
  } catch (const FileError& error) { set_error(file_error, error); } catch (const std::bad_alloc& error) {
    set_error(PyExc_MemoryError, error);
  } catch (const std::length_error&) {  // of a container of the C++ library
    PyErr_SetString(PyExc_MemoryError, "there is no room for so many elements of a list");
  } catch (const std::out_of_range& error) {
    set_error(PyExc_IndexError, error);
  } catch (const std::invalid_argument& error) {
    set_error(PyExc_ValueError, error);
  } catch (const std::exception& error) {
    // pybind11 says so where Python has no memory for an object, and Python said it before.
    const bool is_said = PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError);
    if (!is_said) set_error(PyExc_RuntimeError, error);
  } catch (...) { PyErr_SetString(PyExc_RuntimeError, "unknown C++ exception"); }
}

void name_error(const char* called) noexcept {
  try {
    py::error_already_set error;
    const py::object named = py::module_::import("tidu._arguments").attr("named")(error.value(), called);
    if (named.is(error.value())) return error.restore();
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(named.ptr())), named.ptr());
  } catch (...) { set_python_error(); }
}

void rethrow_as_ours(const py::error_already_set& error) {
  if (error.matches(not_linear_error)) throw FromPython<NotLinearError>(error);
  if (error.matches(trace_error)) throw FromPython<TraceError>(error);
}

void bind_errors(py::module_& m) {
  host_lock = {[]() -> void* { return PyGILState_Check() ? release_lock() : nullptr; },
               [](void* thread) { acquire_lock(static_cast<PyThreadState*>(thread)); }, &answer_signals};
  std::atexit(wait_for_computations);
  pthread_atfork(nullptr, nullptr, [] { num_computing = 0; });  // a child has none of those threads
  const auto builtin = [](PyObject* type) { return py::reinterpret_borrow<py::object>(type); };
  shape_error = make_error(m, "ShapeError", builtin(PyExc_ValueError),
                           "Shapes do not fit each other or the operation.");
  dtype_error =
      make_error(m, "DTypeError", builtin(PyExc_TypeError), "A dtype that the operation does not take.");
  device_error = make_error(m, "DeviceError", builtin(PyExc_RuntimeError),
                            "A device is not available, or tensors are on different ones.");
  gradient_error =
      make_error(m, "GradientError", builtin(PyExc_RuntimeError), "A derivative that cannot be computed.");
  not_linear_error = make_error(m, "NotLinearError", builtin(gradient_error),
                                "A rule that was to be transposed, but is not linear or cannot be recorded.");
  trace_error = make_error(m, "TraceError", builtin(PyExc_RuntimeError),
                           "A value was read that is not known while a program is recorded.");
  file_error =
      make_error(m, "FileError", builtin(PyExc_OSError), "A file that cannot be read, or is damaged.");
  missing_file_error = make_error(m, "MissingFileError",
                                  py::make_tuple(py::handle(file_error), py::handle(PyExc_FileNotFoundError)),
                                  "A file that is not there; the message says how to get it.");
  non_finite_error = make_error(m, "NonFiniteError", builtin(PyExc_FloatingPointError),
                                "A NaN or an infinity that detect_nan found where it was made.");
  py::register_exception_translator([](std::exception_ptr exception) {
    try {
      std::rethrow_exception(exception);
    } catch (const py::builtin_exception&) { throw; } catch (...) {
      set_python_error();
    }
  });
}

}  // namespace tidu::python
