// The Python type of tensors: operators, subscripts, conversions and attributes as slots, which cost a tenth
// of a bound method.
#include <structmember.h>

#include <array>

#include "callables.h"
#include "core/trace.h"

namespace tidu::python {

PyTypeObject* tensor_type = nullptr;

namespace {

// Objects that went, for those that come: most live from one operation to the next.
struct Spare {
  std::array<TensorObject*, 64> objects;
  size_t count = 0;
} spare;

TensorObject* new_object() {
  if (spare.count == 0) return PyObject_GC_New(TensorObject, tensor_type);
  TensorObject* const object = spare.objects[--spare.count];
  PyObject_Init(reinterpret_cast<PyObject*>(object), tensor_type);
  return object;
}

}  // namespace

PyObject* wrap(Tensor tensor) {
  if (!tensor.defined()) Py_RETURN_NONE;
  TensorObject* const object = new_object();
  if (!object) throw py::error_already_set();
  new (&object->value) Tensor(std::move(tensor));
  object->weak_references = nullptr;
  return reinterpret_cast<PyObject*>(object);
}

namespace {

// A tensor with hooks is known to the collector of cycles, since a hook may close over its tensor. It sees
// what goes with this object alone: what a graph holds, too, may be called yet.
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  int stopped = 0;
  visit_own_hooks(tensor_of(self), [&](const GradientHook& hook) {
    const auto* const python = hook.target<PythonHook>();
    if (python && stopped == 0 && python->held.use_count() == 1) stopped = visit(python->held.get(), arg);
  });
  return stopped;
}
int clear(PyObject* self) {
  drop_hooks(tensor_of(self));
  return 0;
}

void deallocate(PyObject* self) {
  PyObject_GC_UnTrack(self);
  auto* object = reinterpret_cast<TensorObject*>(self);
  if (object->weak_references) PyObject_ClearWeakRefs(self);
  PyTypeObject* type = Py_TYPE(self);
  object->value.~Tensor();
  if (spare.count < spare.objects.size()) {
    spare.objects[spare.count++] = object;
  } else {
    PyObject_GC_Del(self);
  }
  Py_DECREF(type);
}

// --- Operators

using BinaryFunction = Tensor (*)(const Operand&, const Operand&);

// What errors call an operator.
template <BinaryFunction F> constexpr const char* kName = nullptr;

Tensor matmul_operands(const Operand& a, const Operand& b) {
  if (!a.tensor() || !b.tensor()) fail<ShapeError>("[matmul] a number has no dimensions to contract (use *)");
  return matmul(*a.tensor(), *b.tensor());
}

#define OPERATOR(name) template <> constexpr const char* kName<name> = #name;
OPERATOR(add)
OPERATOR(subtract)
OPERATOR(multiply)
OPERATOR(divide)
OPERATOR(floor_divide)
OPERATOR(remainder)
OPERATOR(pow)
OPERATOR(bitwise_and)
OPERATOR(bitwise_or)
OPERATOR(bitwise_xor)
OPERATOR(bitwise_left_shift)
OPERATOR(bitwise_right_shift)
OPERATOR(less)
OPERATOR(less_equal)
OPERATOR(equal)
OPERATOR(not_equal)
OPERATOR(greater)
OPERATOR(greater_equal)
#undef OPERATOR
template <> constexpr const char* kName<matmul_operands> = "matmul";

template <BinaryFunction F> PyObject* binary(PyObject* a, PyObject* b) {
  return guarded_as(kName<F>, [&]() -> PyObject* {
    if (is_tensor(a) && is_tensor(b)) [[likely]]
      return wrap(F(tensor_of(a), tensor_of(b)));
    const Argument x(a, tensor_among(b)), y(b, tensor_among(a));
    if (!x || !y) Py_RETURN_NOTIMPLEMENTED;
    return wrap(F(x.operand(), y.operand()));
  });
}

// Whether the derivative reads the first operand.
template <BinaryFunction F> bool reads_first(const Tensor& x, const Operand& y) {
  constexpr BinaryFunction plus = add, minus = subtract, over = divide, power = pow;
  const bool is_by_second = y.tensor() && is_tracked(*y.tensor());
  return F == power ? is_by_second || is_tracked(x) : is_by_second && F != plus && F != minus && F != over;
}

// The row that may write where it reads; others change the dtype or are no row.
template <BinaryFunction F> const Primitive* row_in_place() {
  constexpr BinaryFunction plus = add, minus = subtract, times = multiply, over = divide;
  return F == plus    ? &primitives::add
         : F == minus ? &primitives::subtract
         : F == times ? &primitives::multiply
         : F == over  ? &primitives::divide
                      : nullptr;
}

// x op= y writes the result into x's memory.
template <BinaryFunction F> PyObject* in_place(PyObject* a, PyObject* b) {
  return guarded_as(kName<F>, [&]() -> PyObject* {
    const Tensor& x = tensor_of(a);
    const Argument y(b, tensor_among(a));
    if (!y) Py_RETURN_NOTIMPLEMENTED;
    const Primitive* const row = row_in_place<F>();
    if (row && (is_floating(x.dtype()) || row != &primitives::divide) && x.dtype() != DType::bool_ &&
        assign_over(tensor_of(a), *row, y.operand())) {
      Py_INCREF(a);
      return a;
    }
    const Tensor result = F(reads_first<F>(x, y.operand()) ? copy(x) : x, y.operand());
    if (result.shape() != x.shape()) {
      fail<ShapeError>("[assign] the result ", describe(result), " does not fit in place into ", describe(x));
    }
    assign(tensor_of(a), result);
    Py_INCREF(a);
    return a;
  });
}

template <BinaryFunction F> PyObject* power_slot(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary<F>(a, b);
}
template <BinaryFunction F> PyObject* power_in_place(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return in_place<F>(a, b);
}

template <Tensor (*F)(const Tensor&)> PyObject* unary(PyObject* self) {
  return guarded([&] { return wrap(F(tensor_of(self))); });
}

PyObject* positive(PyObject* self) {
  Py_INCREF(self);
  return self;
}

PyObject* compare(PyObject* a, PyObject* b, int op) {
  switch (op) {
    case Py_LT: return binary<less>(a, b);
    case Py_LE: return binary<less_equal>(a, b);
    case Py_EQ: return binary<equal>(a, b);
    case Py_NE: return binary<not_equal>(a, b);
    case Py_GT: return binary<greater>(a, b);
    default: return binary<greater_equal>(a, b);
  }
}

// --- The value of one element

void check_single(const Tensor& x, const char* as) {
  if (x.numel() == 1) return;
  if (std::string_view(as) == "bool") {
    fail<ValueError>("[bool] the truth value of ", describe(x), " is ambiguous (use any or all)");
  }
  fail<ValueError>("[", as, "] needs one element, not ", describe(x));
}

py::object single(const Tensor& x, const char* as) {
  check_single(x, as);
  alignas(16) char value[16];
  copy_to_host(x, value);
  return element_to_python(value, x.dtype());
}

// For what takes a number without having asked for it, such as math.sin(x). What backward() alone
// differentiates may be taken: `total += float(loss)` is common in loops of training.
py::object number(const Tensor& x, const char* as) {
  check_escape(x, as, Differentiated::by_backward);
  static bool warned = false;
  if (!warned && differentiated(x) != Differentiated::no) {
    warned = true;
    const std::string text = str("[", as, "] the number of a tensor that requires grad has no derivative ",
                                 "(say item() where that is meant; this is said once)");
    if (PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 1) != 0) throw py::error_already_set();
  }
  return single(x, as);
}

int truth(PyObject* self) {
  return guarded(-1, [&] { return PyObject_IsTrue(single(tensor_of(self), "bool").ptr()); });
}
PyObject* to_int(PyObject* self) {
  return guarded([&] { return PyNumber_Long(number(tensor_of(self), "int").ptr()); });
}
PyObject* to_float(PyObject* self) {
  return guarded([&] { return PyNumber_Float(number(tensor_of(self), "float").ptr()); });
}
PyObject* to_index(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const Tensor& x = tensor_of(self);
    if (!is_integral(x.dtype()) || x.ndim() != 0) {
      fail<DTypeError>("[index] only a 0-d integer tensor can be used as an index, not ", describe(x));
    }
    check_escape(x, "index");
    return single(x, "index").release().ptr();
  });
}

// --- Containers

Py_ssize_t length(PyObject* self) {
  return guarded(static_cast<Py_ssize_t>(-1), [&]() -> Py_ssize_t {
    const Tensor& x = tensor_of(self);
    if (x.ndim() == 0) throw py::type_error("len() of a 0-d tensor");
    return x.size(0);
  });
}
PyObject* subscript(PyObject* self, PyObject* key) {
  return guarded_as("index", [&] { return wrap(get_item(tensor_of(self), key)); });
}
int assign_subscript(PyObject* self, PyObject* key, PyObject* value) {
  const int failed = guarded(-1, [&] {
    if (!value) throw py::type_error("elements of a tensor cannot be deleted");
    set_item(tensor_of(self), key, value);
    return 0;
  });
  if (failed) name_error("assign");
  return failed;
}
PyObject* element(PyObject* self, Py_ssize_t i) {
  return guarded([&] {
    const Tensor& x = tensor_of(self);
    if (x.ndim() == 0) throw py::type_error("a 0-d tensor has no elements to iterate over");
    if (i < 0 || i >= x.size(0)) throw py::index_error("index out of range");
    return wrap(select(x, 0, i));
  });
}
// Whether an element, not a row as iteration gives them, equals the value.
int contains(PyObject* self, PyObject* value) {
  return guarded(-1, [&] {
    const Argument x(self), y(value, tensor_among(self));
    return y && item<bool>(any(equal(x.operand(), y.operand()))) ? 1 : 0;
  });
}
PyObject* iterate(PyObject* self) {
  return guarded([&] {
    if (tensor_of(self).ndim() == 0) throw py::type_error("iteration over a 0-d tensor");
    return PySeqIter_New(self);
  });
}

PyObject* represent(PyObject* self) {
  return guarded([&] {
    static PyObject* format =
        py::object(py::module_::import("tidu._numpy").attr("format_tensor")).release().ptr();
    return PyObject_CallOneArg(format, self);
  });
}

// --- Attributes

template <auto F> PyObject* get(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    if constexpr (std::is_same_v<decltype(F(tensor_of(self))), Tensor>) {
      return wrap(F(tensor_of(self)));
    } else {
      return py::cast(F(tensor_of(self))).release().ptr();
    }
  });
}

int set_requires_grad(PyObject* self, PyObject* value, void*) {
  return guarded(-1, [&] {
    if (!value) throw py::type_error("requires_grad cannot be deleted");
    tensor_of(self).set_requires_grad(read<bool>(value, "requires_grad", "True or False"));
    return 0;
  });
}
int set_grad(PyObject* self, PyObject* value, void*) {
  return guarded(-1, [&] {
    const bool none = !value || value == Py_None;
    tensor_of(self).set_grad(none ? Tensor() : read<Tensor>(value, "grad", "a tensor or None"));
    return 0;
  });
}

Tensor transposed(const Tensor& x) {
  if (x.ndim() != 2) {
    fail<ShapeError>("[T] needs 2 dimensions, not ", describe(x), " (use mT or permute_dims)");
  }
  return matrix_transpose(x);
}

PyGetSetDef attributes[] = {
    {"shape", get<[](const Tensor& x) { return x.shape(); }>, nullptr, "The extents, a tuple of ints.",
     nullptr},
    {"strides", get<[](const Tensor& x) { return x.strides(); }>, nullptr,
     "The distance in elements between neighbours along each axis.", nullptr},
    {"dtype", get<[](const Tensor& x) { return x.dtype(); }>, nullptr, "The type of the elements.", nullptr},
    {"device", get<[](const Tensor& x) { return x.device(); }>, nullptr, "Where the elements lie.", nullptr},
    {"is_cuda", get<[](const Tensor& x) { return x.device().type == DeviceType::cuda; }>, nullptr,
     "Whether the elements lie on a cuda device.", nullptr},
    {"ndim", get<[](const Tensor& x) { return x.ndim(); }>, nullptr, "The number of axes.", nullptr},
    {"size", get<[](const Tensor& x) { return x.numel(); }>, nullptr, "The number of elements.", nullptr},
    {"itemsize", get<[](const Tensor& x) { return size_of(x.dtype()); }>, nullptr, "Bytes an element.",
     nullptr},
    {"nbytes", get<[](const Tensor& x) { return x.nbytes(); }>, nullptr, "Bytes of all elements.", nullptr},
    {"T", get<transposed>, nullptr, "The transpose of a matrix; a view.", nullptr},
    {"mT", get<[](const Tensor& x) { return matrix_transpose(x); }>, nullptr,
     "The last two axes swapped; a view.", nullptr},
    {"requires_grad", get<[](const Tensor& x) { return x.requires_grad(); }>, set_requires_grad,
     "Whether backward() carries gradients to or through this tensor. Can be set on floating-point leaves.",
     nullptr},
    {"is_leaf", get<[](const Tensor& x) { return x.is_leaf(); }>, nullptr,
     "Whether this tensor was made by the user rather than by a recorded operation.", nullptr},
    {"grad", get<[](const Tensor& x) { return x.grad(); }>, set_grad,
     "What backward() has accumulated for this leaf, or None.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

template <class F> PyType_Slot slot(int id, F* function) { return {id, reinterpret_cast<void*>(function)}; }

constexpr const char* kDoc =
    "An n-dimensional array of elements of one dtype on one device, that can be differentiated.\n\n"
    "Made by tidu.tensor, tidu.zeros, tidu.from_numpy ... Views (slices, transposes, broadcasts) share "
    "memory.";

}  // namespace

void bind_tensor(py::module_& m) {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>(kDoc)},
      slot(Py_tp_dealloc, deallocate),
      slot(Py_tp_traverse, traverse),
      slot(Py_tp_clear, clear),
      slot(Py_tp_repr, represent),
      slot(Py_tp_hash, PyBaseObject_Type.tp_hash),
      slot(Py_tp_richcompare, compare),
      slot(Py_tp_iter, iterate),
      slot(Py_tp_getset, attributes),
      slot(Py_tp_members, members),
      slot(Py_nb_add, binary<add>),
      slot(Py_nb_subtract, binary<subtract>),
      slot(Py_nb_multiply, binary<multiply>),
      slot(Py_nb_true_divide, binary<divide>),
      slot(Py_nb_floor_divide, binary<floor_divide>),
      slot(Py_nb_remainder, binary<remainder>),
      slot(Py_nb_power, power_slot<pow>),
      slot(Py_nb_matrix_multiply, binary<matmul_operands>),
      slot(Py_nb_and, binary<bitwise_and>),
      slot(Py_nb_or, binary<bitwise_or>),
      slot(Py_nb_xor, binary<bitwise_xor>),
      slot(Py_nb_lshift, binary<bitwise_left_shift>),
      slot(Py_nb_rshift, binary<bitwise_right_shift>),
      slot(Py_nb_inplace_add, in_place<add>),
      slot(Py_nb_inplace_subtract, in_place<subtract>),
      slot(Py_nb_inplace_multiply, in_place<multiply>),
      slot(Py_nb_inplace_true_divide, in_place<divide>),
      slot(Py_nb_inplace_floor_divide, in_place<floor_divide>),
      slot(Py_nb_inplace_remainder, in_place<remainder>),
      slot(Py_nb_inplace_power, power_in_place<pow>),
      slot(Py_nb_inplace_matrix_multiply, in_place<matmul_operands>),
      slot(Py_nb_inplace_and, in_place<bitwise_and>),
      slot(Py_nb_inplace_or, in_place<bitwise_or>),
      slot(Py_nb_inplace_xor, in_place<bitwise_xor>),
      slot(Py_nb_inplace_lshift, in_place<bitwise_left_shift>),
      slot(Py_nb_inplace_rshift, in_place<bitwise_right_shift>),
      slot(Py_nb_negative, unary<negative>),
      slot(Py_nb_positive, positive),
      slot(Py_nb_absolute, unary<abs>),
      slot(Py_nb_invert, unary<bitwise_invert>),
      slot(Py_nb_bool, truth),
      slot(Py_nb_int, to_int),
      slot(Py_nb_float, to_float),
      slot(Py_nb_index, to_index),
      slot(Py_mp_length, length),
      slot(Py_mp_subscript, subscript),
      slot(Py_mp_ass_subscript, assign_subscript),
      slot(Py_sq_length, length),
      slot(Py_sq_item, element),
      slot(Py_sq_contains, contains),
      slot(Py_bf_getbuffer, get_buffer),
      slot(Py_bf_releasebuffer, release_buffer),
      {0, nullptr},
  };
  PyType_Spec spec{"tidu.Tensor", sizeof(TensorObject), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!tensor_type) throw py::error_already_set();
  const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
  m.attr("Tensor") = type;
  type.attr("__complex__") = py::cpp_function(
      [](const Tensor& x) {
        const py::object value = number(x, "complex");
        return py::reinterpret_steal<py::object>(
            PyObject_CallOneArg(reinterpret_cast<PyObject*>(&PyComplex_Type), value.ptr()));
      },
      py::name("__complex__"), py::is_method(type), "The one element as a complex number.");
  example("Tensor.item", "td.tensor([2.5]).item()", "2.5");
  example("Tensor.tolist", "td.tensor([[1, 2], [3, 4]]).tolist()", "[[1, 2], [3, 4]]");
  example("Tensor", "(2 * td.tensor([1.0, 2.0])).sum()", "tensor(6., dtype=float32)");
}

}  // namespace tidu::python
