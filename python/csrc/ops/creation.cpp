// Making tensors from Python values and from nothing.
#include "binding.h"

namespace tidu::python {
namespace {

// --- Nested sequences

bool is_sequence(PyObject* object) { return PyList_Check(object) || PyTuple_Check(object); }

// The shape of nested sequences and the highest kind of their numbers.
struct Survey {
  Shape shape;
  Kind kind = Kind::boolean;
  bool any = false;     // whether there are numbers
  bool arrays = false;  // whether some elements are NumPy's
};

Kind kind_of_number(PyObject* object) {
  if (PyBool_Check(object)) return Kind::boolean;
  if (PyLong_Check(object)) return Kind::signed_integer;
  if (PyFloat_Check(object)) return Kind::floating;
  if (PyComplex_Check(object)) return Kind::complex;
  if (is_tensor(object)) {
    const Tensor& x = tensor_of(object);
    if (x.ndim() > 0)
      throw py::type_error(str("[tensor] an element of a sequence cannot be ", describe(x),
                               ", which has axes (use stack or concat)"));
    check_escape(x, "tensor", Differentiated::no, "stack");
    return kind_of(x.dtype()) == Kind::unsigned_integer ? Kind::signed_integer : kind_of(x.dtype());
  }
  throw py::type_error(
      str("[tensor] cannot make an element from ", py::str(py::type::of(object)).cast<std::string>()));
}

void survey(PyObject* object, int depth, Survey& result) {
  if (is_sequence(object)) {
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(object);
    if (depth == result.shape.size() && !result.any) result.shape.push_back(count);
    if (depth >= result.shape.size() || result.shape[depth] != count) {
      fail<ShapeError>("[tensor] nested sequences of different lengths do not make a tensor");
    }
    for (Py_ssize_t i = 0; i < count; ++i) survey(PySequence_Fast_GET_ITEM(object, i), depth + 1, result);
    return;
  }
  if (!PyFloat_CheckExact(object) && (is_numpy_array(object) || is_numpy_scalar(object))) {
    result.arrays = true;
    return;
  }
  if (result.any && depth != result.shape.size()) {
    fail<ShapeError>("[tensor] numbers and sequences side by side do not make a tensor");
  }
  result.kind = std::max(result.kind, kind_of_number(object));
  result.any = true;
  if (depth != result.shape.size()) {
    fail<ShapeError>("[tensor] numbers and sequences side by side do not make a tensor");
  }
}

template <class T> T number(PyObject* object, DType dtype) {
  if (is_tensor(object)) {
    char value[16];
    copy_to_host(tensor_of(object), value);
    return number<T>(element_to_python(value, tensor_of(object).dtype()).ptr(), dtype);
  }
  if constexpr (is_complex_type<T>) {
    using Real = decltype(T::re);
    if (PyLong_Check(object)) return {static_cast<Real>(double_from_object(object)), Real(0)};
    const Py_complex value = PyComplex_AsCComplex(object);
    if (value.real == -1 && PyErr_Occurred()) throw py::error_already_set();
    return {static_cast<Real>(value.real), static_cast<Real>(value.imag)};
  } else if constexpr (std::is_same_v<T, bool>) {
    return PyObject_IsTrue(object) == 1;
  } else if constexpr (std::is_integral_v<T>) {
    const py::object integer = py::reinterpret_steal<py::object>(PyNumber_Long(object));
    if (!integer) throw py::error_already_set();
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
    if (!overflow && std::in_range<T>(value)) return static_cast<T>(value);
    if constexpr (std::is_same_v<T, uint64_t>) {
      const unsigned long long large = PyLong_AsUnsignedLongLong(integer.ptr());
      if (!PyErr_Occurred()) return large;
      PyErr_Clear();
    }
    fail<ValueError>("[tensor] ", in_words(integer), " does not fit ", dtype);
  } else {
    return static_cast<T>(double_from_object(object));
  }
}

template <class T> void fill(PyObject* object, DType dtype, T*& next) {
  if (!is_sequence(object)) {
    *next++ = number<T>(object, dtype);
    return;
  }
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(object);
  for (Py_ssize_t i = 0; i < count; ++i) fill(PySequence_Fast_GET_ITEM(object, i), dtype, next);
}

DType default_dtype(Kind kind) {
  return kind == Kind::complex    ? kDefaultComplex
         : kind == Kind::floating ? kDefaultFloat
         : kind == Kind::boolean  ? DType::bool_
                                  : kDefaultInt;
}

py::object numpy_array(PyObject* object) {
  return py::module_::import("numpy").attr("asarray")(py::handle(object));
}

Tensor tensor_from_sequence(PyObject* object, std::optional<DType> requested) {
  Survey found;
  survey(object, 0, found);
  if (found.arrays) return tensor_from_buffer(numpy_array(object).ptr(), true);
  const DType dtype = requested.value_or(found.any ? default_dtype(found.kind) : kDefaultFloat);
  const auto filled = [&]<class T>() {
    const int64_t count = num_elements(found.shape);
    const auto values = std::make_unique<T[]>(static_cast<size_t>(count));
    T* next = values.get();
    fill(object, dtype, next);
    return copy_from_host(values.get(), found.shape, dtype);
  };
  if (found.any && found.kind == Kind::complex && !is_complex(dtype) && dtype != DType::bool_)
    fail<DTypeError>("[tensor] complex numbers do not make a tensor of ", dtype);
  if (dtype == DType::complex64) return filled.operator()<complex<float>>();
  if (dtype == DType::complex128) return filled.operator()<complex<double>>();
  return visit_dtype(dtype, filled);
}

// Where and as what a new tensor is wanted.
struct Options {
  std::optional<DType> dtype;
  std::optional<Device> device;
  bool requires_grad;

  Device on() const { return device.value_or(default_device()); }
  Tensor finish(Tensor tensor) const {
    if (requires_grad) tensor.set_requires_grad();
    return tensor;
  }
};

Tensor converted(Tensor value, const Options& options) {
  if (options.dtype) value = astype(value, *options.dtype);
  if (options.device) value = to(value, *options.device);
  return value;
}

[[noreturn]] void fail_type(const py::object& object, const char* op) {
  throw py::type_error(
      str("[", op, "] cannot make a tensor from ", py::str(py::type::of(object)).cast<std::string>()));
}

Tensor make_tensor(const py::object& data, const Options& options) {
  Tensor value = tensor_from_object(data.ptr(), options.dtype, options.device);
  if (!value.defined()) fail_type(data, "tensor");
  if (!is_tensor(data.ptr())) return options.finish(converted(value, options));
  check_escape(value, "tensor", Differentiated::no, "asarray");
  const Tensor result = stop_gradient(converted(value, options));
  return options.finish(result.impl().storage == value.impl().storage ? copy(result) : result);
}

Tensor as_tensor(const py::object& data, const Options& options, std::optional<bool> copy_wanted) {
  const bool buffer = !is_tensor(data.ptr()) && !is_sequence(data.ptr()) && PyObject_CheckBuffer(data.ptr());
  Tensor value = buffer ? tensor_from_buffer(data.ptr(), copy_wanted.value_or(false))
                        : tensor_from_object(data.ptr(), options.dtype, options.device);
  if (!value.defined()) fail_type(data, "asarray");
  const Tensor result = converted(buffer ? to(value, options.on()) : value, options);
  const bool same_memory = (buffer || is_tensor(data.ptr())) && result.impl().storage == value.impl().storage;
  if (copy_wanted == false && !same_memory) {
    fail<ValueError>("[asarray] ", describe(value),
                     " cannot become a tensor without a copy (leave out copy=False)");
  }
  return options.finish(copy_wanted == true && same_memory ? copy(result) : result);
}

Tensor arange_from(const Scalar& start, const std::optional<Scalar>& stop, const Scalar& step,
                   const Options& options) {
  const Scalar from = stop ? start : Scalar(0), to = stop ? *stop : start;
  const Kind kind = std::max({from.kind, to.kind, step.kind, Kind::signed_integer});
  return options.finish(arange(from, to, step, options.dtype.value_or(default_dtype(kind)), options.on()));
}

Tensor make_linspace(double start, double stop, int64_t num, bool endpoint, const Options& options) {
  const DType dtype = options.dtype.value_or(kDefaultFloat);
  if (endpoint) return options.finish(linspace(start, stop, num, dtype, options.on()));
  const Tensor all = linspace(start, stop, num + 1, dtype, options.on());
  return options.finish(copy(slice_axis(all, 0, {}, num)));
}

Tensor on_host(PyObject* object, std::optional<DType> dtype) {
  const bool number = PyFloat_Check(object) || PyLong_Check(object) || PyComplex_Check(object);
  if ((number && !is_numpy_scalar(object)) || is_sequence(object)) return tensor_from_sequence(object, dtype);
  if (PyRange_Check(object)) {
    const auto list = py::reinterpret_steal<py::object>(PySequence_List(object));
    if (!list) throw py::error_already_set();
    return tensor_from_sequence(list.ptr(), dtype);
  }
  if (PyObject_CheckBuffer(object) && !PyBytes_Check(object) && !PyByteArray_Check(object)) {
    return tensor_from_buffer(object, true);
  }
  if (PyObject_HasAttrString(object, "__array__")) return tensor_from_buffer(numpy_array(object).ptr(), true);
  return {};
}

}  // namespace

Tensor tensor_from_object(PyObject* object, std::optional<DType> dtype, std::optional<Device> device) {
  if (is_tensor(object)) return tensor_of(object);
  const Tensor tensor = on_host(object, dtype);
  return tensor.defined() ? to(tensor, device.value_or(default_device())) : tensor;
}

const Tensor* tensor_among(std::span<PyObject* const> objects) {
  const auto rank = [](const Tensor& x) { return is_inexact(x.dtype()) ? size_of(part_of(x.dtype())) : 0; };
  const Tensor* found = nullptr;
  for (PyObject* const object : objects) {
    if (is_tensor(object) && (!found || rank(tensor_of(object)) > rank(*found))) found = &tensor_of(object);
  }
  return found;
}

Tensor tensor_beside(PyObject* object, const Tensor* other) {
  if (!other) return tensor_from_object(object);
  const Tensor given = tensor_from_object(object, {}, other->device());
  const bool is_weak = PyFloat_Check(object) || PyList_Check(object) || PyTuple_Check(object);
  if (!is_weak || !given.defined() || part_of(given.dtype()) != kDefaultFloat || !is_inexact(other->dtype()))
    return given;
  const DType part = part_of(other->dtype());
  return tensor_from_object(object, is_complex(given.dtype()) ? complex_of(part) : part, other->device());
}

void bind_creation(py::module_& m) {
  const auto dtype = py::arg("dtype") = py::none();
  const auto device = py::arg("device") = py::none();
  const auto requires_grad = py::arg("requires_grad") = false;
  const py::kw_only only;
  using D = std::optional<DType>;
  using On = std::optional<Device>;

  m.def(
      "tensor",
      [](const py::object& data, D t, On d, bool g) {
        return make_tensor(data, {t, d, g});
      },
      py::arg("data"), dtype, device, requires_grad,
      "A new tensor with the values of numbers, nested sequences, a NumPy array or another tensor (of one "
      "that "
      "is being\ndifferentiated, its detach()).\n\n"
      "Python floats give float32, integers int64, booleans bool, arrays their own dtype.");
  example("tensor", "td.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=td.float64)",
          "tensor([[1., 2.],\n"
          "        [3., 4.]], dtype=float64)");
  m.def(
      "asarray",
      [](const py::object& obj, D t, On d, std::optional<bool> c) {
        return as_tensor(obj, {t, d, false}, c);
      },
      py::arg("obj"), only, dtype, device, py::arg("copy") = py::none(),
      "A tensor of what `obj` holds, in the same memory where possible (copy=None), always in new memory "
      "(True), or\n"
      "else a ValueError (False).");
  example("asarray", "td.asarray([1, 2])", "tensor([1, 2], dtype=int64)");
  m.def(
      "full",
      [](const Dims& shape, const Scalar& value, D t, On d, bool g) {
        const Options options{t, d, g};
        return options.finish(full(shape, value, t.value_or(default_dtype(value.kind)), options.on()));
      },
      py::arg("shape"), py::arg("fill_value"), only, dtype, device, requires_grad,
      "A tensor filled with one number.");
  example("full", "td.full((2,), 7.0)", "tensor([7., 7.], dtype=float32)");
  m.def(
      "zeros",
      [](const Dims& shape, D t, On d, bool g) {
        const Options options{t, d, g};
        return options.finish(zeros(shape, t.value_or(kDefaultFloat), options.on()));
      },
      py::arg("shape"), only, dtype, device, requires_grad, "A tensor of zeros.");
  example("zeros", "td.zeros((2, 2))", "tensor([[0., 0.],\n        [0., 0.]], dtype=float32)");
  m.def(
      "ones",
      [](const Dims& shape, D t, On d, bool g) {
        const Options options{t, d, g};
        return options.finish(ones(shape, t.value_or(kDefaultFloat), options.on()));
      },
      py::arg("shape"), only, dtype, device, requires_grad, "A tensor of ones.");
  example("ones", "td.ones(3)", "tensor([1., 1., 1.], dtype=float32)");
  m.def(
      "empty",
      [](const Dims& shape, D t, On d, bool g) {
        const Options options{t, d, g};
        return options.finish(Tensor::empty(shape, t.value_or(kDefaultFloat), options.on()));
      },
      py::arg("shape"), only, dtype, device, requires_grad, "A tensor of any values.");
  example("empty", "td.empty((2, 3)).shape", "(2, 3)");

  const auto like = [&](const char* name, const Scalar& value, const char* doc) {
    m.def(
        name,
        [value](const Tensor& x, D t, On d, bool g) {
          return Options{t, d, g}.finish(
              full(x.shape(), value, t.value_or(x.dtype()), d.value_or(x.device())));
        },
        py::arg("x"), only, dtype, device, requires_grad, doc);
  };
  like("zeros_like", 0, "Zeros of x's shape, dtype and device.");
  example("zeros_like", "td.zeros_like(td.tensor([1, 2]))", "tensor([0, 0], dtype=int64)");
  like("ones_like", 1, "Ones of x's shape, dtype and device.");
  example("ones_like", "td.ones_like(td.tensor([1.0, 2.0]))", "tensor([1., 1.], dtype=float32)");
  m.def(
      "full_like",
      [](const Tensor& x, const Scalar& value, D t, On d, bool g) {
        return Options{t, d, g}.finish(full(x.shape(), value, t.value_or(x.dtype()), d.value_or(x.device())));
      },
      py::arg("x"), py::arg("fill_value"), only, dtype, device, requires_grad,
      "One number in x's shape, dtype and device.");
  example("full_like", "td.full_like(td.tensor([1, 2]), 7)", "tensor([7, 7], dtype=int64)");
  m.def(
      "empty_like",
      [](const Tensor& x, D t, On d, bool g) {
        return Options{t, d, g}.finish(
            Tensor::empty(x.shape(), t.value_or(x.dtype()), d.value_or(x.device())));
      },
      py::arg("x"), only, dtype, device, requires_grad, "Any values in x's shape, dtype and device.");
  example("empty_like", "td.empty_like(td.zeros((2, 3))).shape", "(2, 3)");
  m.def(
      "arange",
      [](const Scalar& start, const std::optional<Scalar>& stop, const Scalar& step, D t, On d, bool g) {
        return arange_from(start, stop, step, {t, d, g});
      },
      py::arg("start"), py::arg("stop") = py::none(), py::arg("step") = 1, only, dtype, device, requires_grad,
      "start, start + step .. below stop; arange(stop) starts at 0.");
  example("arange", "td.arange(0, 10, 3)", "tensor([0, 3, 6, 9], dtype=int64)");
  m.def(
      "linspace",
      [](double start, double stop, int64_t num, bool endpoint, D t, On d, bool g) {
        return make_linspace(start, stop, num, endpoint, {t, d, g});
      },
      py::arg("start"), py::arg("stop"), py::arg("num"), py::arg("endpoint") = true, only, dtype, device,
      requires_grad,
      "`num` evenly spaced values from start to stop, which is included unless endpoint is False.");
  example("linspace", "td.linspace(0.0, 1.0, 3)", "tensor([0. , 0.5, 1. ], dtype=float32)");
  m.def(
      "eye",
      [](int64_t rows, std::optional<int64_t> columns, const py::int_& k, D t, On d, bool g) {
        const Options options{t, d, g};
        int beyond = 0;  // diagonals of any number, of which those far out are empty
        const long long near = PyLong_AsLongLongAndOverflow(k.ptr(), &beyond);
        const int64_t diagonal = beyond == 0  ? int64_t{near}
                                 : beyond > 0 ? std::numeric_limits<int64_t>::max()
                                              : std::numeric_limits<int64_t>::min();
        return options.finish(
            eye(rows, columns.value_or(rows), diagonal, t.value_or(kDefaultFloat), options.on()));
      },
      py::arg("n_rows"), py::arg("n_cols") = py::none(), py::arg("k") = 0, only, dtype, device, requires_grad,
      "Ones on the k-th diagonal, zeros elsewhere.");
  example("eye", "td.eye(2)", "tensor([[1., 0.],\n        [0., 1.]], dtype=float32)");
  m.def(
      "one_hot",
      [](const Tensor& indices, int64_t classes, D t) {
        return one_hot(indices, classes, t.value_or(kDefaultFloat));
      },
      py::arg("indices"), py::arg("num_classes"), only, dtype,
      "1 where the new last axis equals the index, else 0: shape indices.shape + (num_classes,).");
  example("one_hot", "td.one_hot(td.tensor([0, 2]), 3)",
          "tensor([[1., 0., 0.],\n        [0., 0., 1.]], dtype=float32)");
}

}  // namespace tidu::python
