// What the files of the binding share: the Python type of tensors, conversions both ways, errors and the
// lock.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <span>

#include "core/host_lock.h"
#include "lock.h"
#include "tidu.h"

namespace tidu::python {

namespace py = pybind11;

// --- Tensors (tensor_type.cpp). The Python object holds a handle; two objects may hold the same tensor.

struct TensorObject {
  PyObject_HEAD Tensor value;
  PyObject* weak_references;
};
extern PyTypeObject* tensor_type;

inline bool is_tensor(PyObject* object) { return Py_TYPE(object) == tensor_type; }  // it has no subclasses
inline Tensor& tensor_of(PyObject* object) { return reinterpret_cast<TensorObject*>(object)->value; }
PyObject* wrap(Tensor tensor);  // a new reference; None for an undefined tensor

// A tensor from anything array-like: a tensor itself, numbers and nested sequences, NumPy arrays and whatever
// speaks the buffer protocol or DLPack. What is no tensor yet is put on `device`, by default the default
// device. Undefined where `object` is none of these.
Tensor tensor_from_object(PyObject* object, std::optional<DType> dtype = {},
                          std::optional<Device> device = {});

// x[key] and x[key] = value (indexing.cpp).
Tensor get_item(const Tensor& x, PyObject* key);
void set_item(Tensor& x, PyObject* key, PyObject* value);

// The buffer protocol, which NumPy reads (exchange.cpp).
int get_buffer(PyObject* self, Py_buffer* view, int flags);
void release_buffer(PyObject* self, Py_buffer* view);
Tensor tensor_from_buffer(PyObject* object, bool copy);

// --- Numbers, dtypes, devices (convert.cpp).

inline std::string name_of_type(py::handle object) {
  return py::str(py::type::handle_of(object).attr("__name__")).cast<std::string>();
}
// What is given to `op`, in words, as a value.
template <class T> T read(py::handle object, const char* op, const char* words) {
  py::detail::make_caster<T> caster;
  bool loaded = false;
  try {
    loaded = caster.load(object, true);
  } catch (const py::error_already_set&) {}  // of a sequence that is none
  if (!loaded) throw py::type_error(str("[", op, "] takes ", words, ", not ", name_of_type(object)));
  return py::detail::cast_op<T>(std::move(caster));
}

// The value of a Python or NumPy number, if it is one. NumPy's scalars count as numbers: they adapt to the
// tensors that they meet.
std::optional<Scalar> scalar_from_object(PyObject* object);
bool is_numpy_array(PyObject* object);
bool is_numpy_scalar(PyObject* object);

// Where tensors are made whose device is not said: as a `with device(..)` around the call says on this
// thread, else as set_default_device does.
Device default_device();

PyObject* dtype_object(DType dtype);  // borrowed; one object a dtype
std::optional<DType> dtype_from_object(PyObject* object);
std::optional<Dims> dims_from_object(PyObject* object);
// Of an object with __index__, or a ValueError.
int64_t int64_from_object(PyObject* object);
// Of a number that is no complex one, or a ValueError.
double double_from_object(PyObject* object);
// An integer of any size, in few characters.
std::string in_words(py::handle integer);
py::object to_python(const Scalar& value);
py::tuple to_tuple(const Dims& dims);
// The row-major host elements of one dtype as Python numbers.
py::object element_to_python(const void* data, DType dtype);

// The tensor that the others of some arguments stand beside: the first, or the widest of floats or complex
// numbers where there are such. Null where none is a tensor.
const Tensor* tensor_among(std::span<PyObject* const> objects);
inline const Tensor* tensor_among(PyObject* const& object) { return tensor_among({&object, 1}); }
// The same as tensor_from_object of an argument beside a tensor, if there is one: on its device, and floats
// and lists of such as exact as it.
Tensor tensor_beside(PyObject* object, const Tensor* other);
// The arguments of the innermost call of this thread that pybind11 converts (arguments.cpp).
std::span<PyObject* const>& arguments_in_flight();

// A number that is an argument of the function that is recorded (tidu/_compile.py).
class NumberObject : public LaterNumber {
 public:
  explicit NumberObject(PyObject* object);
  Scalar value() const override;

 private:
  PyObject* const object_;
};
inline PyTypeObject* number_type = nullptr;

// An operand of an operator or function: a tensor, a number, or what becomes a tensor.
class Argument {
 public:
  explicit Argument(PyObject* object, const Tensor* beside = nullptr) {
    if (is_tensor(object)) [[likely]] {
      tensor_ = &tensor_of(object);
    } else if (Py_TYPE(object) == number_type) {
      later_.emplace(object);
    } else if ((scalar_ = scalar_from_object(object)), !scalar_) {
      owned_ = tensor_beside(object, beside);
      if (owned_.defined()) tensor_ = &owned_;
    }
  }
  Argument(const Argument&) = delete;

  explicit operator bool() const { return tensor_ || scalar_ || later_; }
  Operand operand() const {
    if (tensor_) return Operand(*tensor_);
    return later_ ? Operand(*later_) : Operand(*scalar_);
  }
  Tensor tensor() const { return tensor_ ? *tensor_ : tensor_of_scalar(); }

 private:
  Tensor tensor_of_scalar() const;

  const Tensor* tensor_ = nullptr;
  Tensor owned_;
  std::optional<Scalar> scalar_;
  std::optional<NumberObject> later_;
};

// --- Errors (errors.cpp). bind lets go of the interpreter's lock while a large kernel runs.

void bind_errors(py::module_& m);
// Makes the C++ exception in flight the Python error.
void set_python_error() noexcept;

// Throws a Python error as ours where the engine must be able to catch it.
void rethrow_as_ours(const py::error_already_set& error);

// Runs `body` for a C slot: its exceptions become Python's, and `failure` is returned.
template <class F, class R> R guarded(R failure, F&& body) noexcept {
  try {
    return in_python(std::forward<F>(body));
  } catch (...) {
    set_python_error();
    return failure;
  }
}
template <class F> PyObject* guarded(F&& body) noexcept {
  return guarded(static_cast<PyObject*>(nullptr), std::forward<F>(body));
}

// Lets the Python error that is set name the function that was called, whatever that is made of
// (tidu/_arguments.py).
void name_error(const char* called) noexcept;
// Runs the body of a function that calls none of the user's.
template <class F> PyObject* guarded_as(const char* called, F&& body) noexcept {
  PyObject* const result = guarded(std::forward<F>(body));
  if (!result) name_error(called);
  return result;
}

// --- The parts of the module.

// The example in the docs of what is bound at a place (its name, with that of its module or class), beneath
// its binding; what Python shows of the last call. A method without one has that of the function of its name.
void example(const char* place, const char* calls, const char* shown);

void bind_types(py::module_& m);         // convert.cpp: dtype, device
void bind_tensor(py::module_& m);        // tensor_type.cpp
void bind_operations(py::module_& m);    // operations.cpp and the families in ops/
void bind_random(py::module_& m);        // ops/random.cpp
void bind_linalg(py::module_& m);        // ops/linalg.cpp
void bind_creation(py::module_& m);      // ops/creation.cpp
void bind_exchange(py::module_& m);      // exchange.cpp: buffers, DLPack
void bind_transforms(py::module_& m);    // transforms.cpp
void bind_system(py::module_& m);        // system.cpp: memory, threads, what there is
void bind_cuda(py::module_& m);          // cuda.cpp: streams, events, what GPUs there are
void bind_training(py::module_& m);      // training.cpp: layer 6
void bind_windows(py::module_& m);       // windows.cpp: a part of it
void explain_arguments(py::module_& m);  // arguments.cpp: what pybind11 says of those that do not fit

}  // namespace tidu::python

namespace pybind11::detail {

template <> struct type_caster<tidu::Tensor> {
  PYBIND11_TYPE_CASTER(tidu::Tensor, const_name("Tensor"));
  bool load(handle source, bool convert) {
    if (tidu::python::is_tensor(source.ptr())) {
      value = tidu::python::tensor_of(source.ptr());
      return true;
    }
    if (!convert || source.is_none()) return false;
    using namespace tidu::python;
    value = tensor_beside(source.ptr(), tensor_among(arguments_in_flight()));
    return value.defined();
  }
  static handle cast(const tidu::Tensor& tensor, return_value_policy, handle) {
    return tidu::python::wrap(tensor);
  }
};

template <> struct type_caster<tidu::DType> {
  PYBIND11_TYPE_CASTER(tidu::DType, const_name("dtype"));
  bool load(handle source, bool) {
    const auto dtype = tidu::python::dtype_from_object(source.ptr());
    if (dtype) value = *dtype;
    return dtype.has_value();
  }
  static handle cast(tidu::DType dtype, return_value_policy, handle) {
    return handle(tidu::python::dtype_object(dtype)).inc_ref();
  }
};

// A device, its name or the number of a cuda device. A name that is none raises ValueError here, where an
// implicit conversion would hide it.
template <> struct type_caster<tidu::Device> : type_caster_base<tidu::Device> {
  bool load(handle source, bool convert) {
    if (PyUnicode_Check(source.ptr())) {
      named_ = tidu::device_from_name(source.cast<std::string>());
    } else if (PyLong_CheckExact(source.ptr())) {
      named_ = tidu::device_from_name("cuda:" + str(source).cast<std::string>());
    } else {
      return type_caster_base<tidu::Device>::load(source, convert);
    }
    value = &named_;
    return true;
  }

 private:
  tidu::Device named_;
};

template <> struct type_caster<tidu::Dims> {
  PYBIND11_TYPE_CASTER(tidu::Dims, const_name("int | tuple[int, ...]"));
  bool load(handle source, bool) {
    const auto dims = tidu::python::dims_from_object(source.ptr());
    if (dims) value = *dims;
    return dims.has_value();
  }
  static handle cast(const tidu::Dims& dims, return_value_policy, handle) {
    return tidu::python::to_tuple(dims).release();
  }
};

template <> struct type_caster<tidu::Scalar> {
  tidu::Scalar value{false};
  static constexpr auto name = const_name("float");
  template <class T> using cast_op_type = tidu::Scalar;
  operator tidu::Scalar() { return value; }
  bool load(handle source, bool) {
    const auto scalar = tidu::python::scalar_from_object(source.ptr());
    if (scalar) value = *scalar;
    return scalar.has_value();
  }
  static handle cast(const tidu::Scalar& scalar, return_value_policy, handle) {
    return tidu::python::to_python(scalar).release();
  }
};

}  // namespace pybind11::detail
