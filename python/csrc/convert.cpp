// Numbers, dtypes, devices and shapes to and from Python.
#include "backend/backend.h"
#include "binding.h"
#include "cuda/driver.h"

namespace tidu::python {
namespace {

// The Python side of a DType: one object each, so that `x.dtype is tidu.float32` holds.
struct DTypeObject {
  DType dtype;
};
PyObject* dtype_objects[kDTypeCount];

Device device_set;                                  // by set_default_device
thread_local std::vector<Device> devices_in_force;  // by `with device(..)`, innermost last

// A type of NumPy's, if NumPy was imported (else no object can be of it).
PyObject* numpy_type(const char* name, PyObject*& cache) {
  if (cache) return cache;
  static PyObject* module_name = PyUnicode_InternFromString("numpy");
  py::object numpy = py::reinterpret_steal<py::object>(PyImport_GetModule(module_name));
  if (!numpy || !py::hasattr(numpy, name)) {
    PyErr_Clear();
    return nullptr;
  }
  return cache = py::object(numpy.attr(name)).release().ptr();
}

Scalar integer_scalar(PyObject* object) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow > 0) {
    const unsigned long long natural = PyLong_AsUnsignedLongLong(object);
    if (!PyErr_Occurred()) return Scalar(natural);
    PyErr_Clear();
  }
  if (overflow) fail<ValueError>(in_words(object), " fits neither int64 nor uint64");
  if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
  return Scalar(static_cast<int64_t>(value));
}

}  // namespace

Device default_device() { return devices_in_force.empty() ? device_set : devices_in_force.back(); }

std::optional<Scalar> scalar_from_object(PyObject* object) {
  if (PyFloat_Check(object)) return Scalar(PyFloat_AS_DOUBLE(object));
  if (PyBool_Check(object)) return Scalar(object == Py_True);
  if (PyComplex_Check(object))
    return Scalar({PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object)});
  if (Py_TYPE(object) == number_type) {
    const py::object value = py::handle(object).attr("fix")();
    return scalar_from_object(value.ptr());
  }
  if (PyLong_Check(object)) return integer_scalar(object);
  if (PyList_CheckExact(object) || PyTuple_CheckExact(object) || !is_numpy_scalar(object)) return {};
  const py::object number = py::reinterpret_borrow<py::object>(object).attr("item")();
  return number.ptr() == object ? std::nullopt : scalar_from_object(number.ptr());
}

bool is_numpy_scalar(PyObject* object) {
  static PyObject* type = nullptr;
  PyObject* generic = numpy_type("generic", type);
  return generic && PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(generic));
}

bool is_numpy_array(PyObject* object) {
  static PyObject* type = nullptr;
  PyObject* array = numpy_type("ndarray", type);
  return array && PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(array));
}

Tensor Argument::tensor_of_scalar() const {
  const Kind kind = operand().scalar_kind();
  const DType dtype = kind == Kind::complex    ? kDefaultComplex
                      : kind == Kind::floating ? kDefaultFloat
                      : kind == Kind::boolean  ? DType::bool_
                                               : kDefaultInt;
  return later_ ? astype(later_->tensor, dtype) : full({}, *scalar_, dtype);
}

NumberObject::NumberObject(PyObject* object)
    : LaterNumber(py::handle(object).attr("kind").cast<std::string>() == "float" ? Kind::floating
                                                                                 : Kind::signed_integer,
                  tensor_of(py::handle(object).attr("tensor").ptr())),
      object_(object) {}

Scalar NumberObject::value() const { return *scalar_from_object(py::handle(object_).attr("fix")().ptr()); }

PyObject* dtype_object(DType dtype) { return dtype_objects[static_cast<int>(dtype)]; }

std::optional<DType> dtype_from_object(PyObject* object) {
  if (object == reinterpret_cast<PyObject*>(&PyFloat_Type)) return kDefaultFloat;
  if (object == reinterpret_cast<PyObject*>(&PyComplex_Type)) return kDefaultComplex;
  if (object == reinterpret_cast<PyObject*>(&PyLong_Type)) return kDefaultInt;
  if (object == reinterpret_cast<PyObject*>(&PyBool_Type)) return DType::bool_;
  if (PyUnicode_Check(object)) return dtype_from_name(PyUnicode_AsUTF8(object));
  const py::handle handle(object);
  if (py::isinstance<DTypeObject>(handle)) return handle.cast<DTypeObject&>().dtype;
  // numpy.dtype("float32") has a name, numpy.float32 a __name__.
  if (py::hasattr(handle, "itemsize")) {
    const char* attribute = PyType_Check(object) ? "__name__" : "name";
    if (py::hasattr(handle, attribute))
      return dtype_from_name(py::str(handle.attr(attribute)).cast<std::string>());
  }
  return {};
}

int64_t int64_from_object(PyObject* object) {
  const Py_ssize_t value = PyNumber_AsSsize_t(object, PyExc_OverflowError);
  if (value != -1 || !PyErr_Occurred()) return value;
  const py::error_already_set error;
  if (!error.matches(PyExc_OverflowError)) throw error;
  fail<ValueError>(in_words(object), " does not fit int64");
}

double double_from_object(PyObject* object) {
  const double value = PyFloat_AsDouble(object);
  if (value != -1 || !PyErr_Occurred()) return value;
  const py::error_already_set error;
  if (!error.matches(PyExc_OverflowError)) throw error;
  fail<ValueError>(in_words(object), " does not fit float64");
}

std::string in_words(py::handle integer) {
  const auto exact = py::reinterpret_steal<py::object>(PyNumber_Index(integer.ptr()));
  if (!exact) throw py::error_already_set();
  const auto words = py::module_::import("tidu._arguments").attr("in_words")(exact).cast<std::string>();
  return words.starts_with("an ") ? words : "the integer " + words;
}

std::optional<Dims> dims_from_object(PyObject* object) {
  if (PyLong_Check(object)) return Dims{int64_from_object(object)};
  if (PyTuple_Check(object) || PyList_Check(object)) {
    Dims dims;
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(object);
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* item = PySequence_Fast_GET_ITEM(object, i);
      if (!PyIndex_Check(item)) return {};
      dims.push_back(int64_from_object(item));
    }
    return dims;
  }
  if (PyIndex_Check(object) && !is_tensor(object) && !is_numpy_array(object))
    return Dims{int64_from_object(object)};
  return {};
}

py::object to_python(const Scalar& value) {
  if (value.kind == Kind::complex)
    return py::reinterpret_steal<py::object>(PyComplex_FromDoubles(value.real, value.imaginary));
  if (value.kind == Kind::floating) return py::float_(value.real);
  if (value.kind == Kind::boolean) return py::bool_(value.integer != 0);
  if (value.kind == Kind::unsigned_integer) return py::int_(value.natural);
  return py::int_(value.integer);
}

py::tuple to_tuple(const Dims& dims) {
  py::tuple result(dims.size());
  for (int i = 0; i < dims.size(); ++i) PyTuple_SET_ITEM(result.ptr(), i, PyLong_FromLongLong(dims[i]));
  return result;
}

py::object element_to_python(const void* data, DType dtype) {
  if (is_complex(dtype)) {
    const char* const imaginary = static_cast<const char*>(data) + size_of(part_of(dtype));
    return to_python(std::complex<double>(element_to_python(data, part_of(dtype)).cast<double>(),
                                          element_to_python(imaginary, part_of(dtype)).cast<double>()));
  }
  return visit_dtype(dtype, [&]<class T>() -> py::object {
    const T value = *static_cast<const T*>(data);
    if constexpr (std::is_same_v<T, bool>) {
      return py::bool_(value);
    } else if constexpr (std::is_integral_v<T>) {
      return py::int_(value);
    } else {
      return py::float_(static_cast<double>(value));
    }
  });
}

void bind_types(py::module_& m) {
  py::class_<DTypeObject>(m, "dtype", "The type of a tensor's elements: tidu.float32, tidu.int64, ...")
      .def(py::init([](DType dtype) { return DTypeObject{dtype}; }), py::arg("dtype"))
      .def_property_readonly("name", [](const DTypeObject& self) { return name_of(self.dtype); })
      .def_property_readonly(
          "itemsize", [](const DTypeObject& self) { return size_of(self.dtype); }, "Bytes an element.")
      .def_property_readonly("is_floating_point",
                             [](const DTypeObject& self) { return is_floating(self.dtype); })
      .def_property_readonly("is_complex", [](const DTypeObject& self) { return is_complex(self.dtype); })
      .def("__repr__", [](const DTypeObject& self) { return str("tidu.", self.dtype); })
      .def("__str__", [](const DTypeObject& self) { return name_of(self.dtype); })
      .def("__hash__", [](const DTypeObject& self) { return static_cast<int>(self.dtype); })
      .def("__eq__",
           [](const DTypeObject& self, const py::object& other) {
             try {
               return dtype_from_object(other.ptr()) == self.dtype;
             } catch (const DTypeError&) { return false; }
           })
      .def("__reduce__", [](const DTypeObject& self) { return name_of(self.dtype); });
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const py::object object = py::cast(DTypeObject{dtype});
    dtype_objects[i] = py::object(object).release().ptr();
    m.attr(name_of(dtype)) = object;
  }

  py::class_<Device>(m, "device",
                     "Where a tensor lives: device('cpu'), device('cuda'), device('cuda', 1). In a with "
                     "statement tensors are\nmade there where no device is named.")
      .def(py::init<const Device&>(), py::arg("device"))
      .def(py::init(
               [](const std::string& type, int index) { return device_from_name(str(type, ":", index)); }),
           py::arg("type"), py::arg("index"))
      .def_property_readonly("type",
                             [](Device self) { return self.type == DeviceType::cpu ? "cpu" : "cuda"; })
      .def_property_readonly("index", [](Device self) { return static_cast<int>(self.index); })
      .def("__repr__",
           [](Device self) {
             const bool emulated = self.type == DeviceType::cuda && cuda::is_emulated();
             return str("device('", self, "'", emulated ? ", emulated)" : ")");
           })
      .def("__str__", [](Device self) { return str(self); })
      .def("__hash__", [](Device self) { return static_cast<int>(self.type) * 1000 + self.index; })
      .def("__eq__",
           [](Device self, const py::object& other) {
             if (py::isinstance<Device>(other)) return other.cast<Device>() == self;
             try {
               return py::isinstance<py::str>(other) && other.cast<Device>() == self;
             } catch (const ValueError&) { return false; }
           })
      .def("__enter__",
           [](py::object self) {
             const auto device = self.cast<Device>();
             backend(device);  // an error now rather than at the next tensor
             devices_in_force.push_back(device);
             return self;
           })
      .def("__exit__", [](const py::object&, const py::args&) { devices_in_force.pop_back(); })
      .def("__reduce__", [](const py::object& self) {
        return py::make_tuple(py::type::of(self), py::make_tuple(py::str(self)));
      });
  m.def(
      "set_default_device",
      [](Device device) {
        backend(device);  // an error now rather than at the next tensor
        device_set = device;
      },
      py::arg("device"), "Lets tensors be made on `device` where none is named; it is cpu at first.");
  example("set_default_device", "td.set_default_device(\"cpu\")", "");
  m.def("get_default_device", &default_device, "Where tensors are made if no device is named.");
  example("get_default_device", "td.get_default_device()", "device('cpu')");
  example("dtype", "td.dtype(\"float32\").itemsize", "4");
  example("device", "td.device(\"cuda\", 1).index", "1");
}

}  // namespace tidu::python
