// The operations as functions and as methods: those of the op table by looping over it, the others one entry
// each.
#include <deque>

#include "binding.h"

namespace tidu::python {
namespace {

// --- The op table: plain C functions, which cost less than bound ones

template <Tensor (*F)(const Tensor&)> PyObject* unary_of(PyObject* x) {
  return guarded([&] {
    const Argument argument(x);
    if (!argument)
      throw py::type_error("expected a tensor, not " + py::str(py::type::of(x)).cast<std::string>());
    const Tensor tensor = argument.tensor();
    return wrap([&] {
      const ReleaseLock unlocked(tensor.numel());
      return F(tensor);
    }());
  });
}

template <auto F, int kArity> PyObject* call(PyObject* const* args) {
  return guarded([&] {
    std::optional<Device> device;
    for (int i = 0; i < kArity && !device; ++i) device = device_of(args[i]);
    const Argument a(args[0], device), b(args[1], device), c(args[kArity - 1], device);
    for (int i = 0; i < kArity; ++i) {
      const Argument& argument = i == 0 ? a : i == 1 ? b : c;
      if (!argument) {
        throw py::type_error("expected a tensor or a number, not " +
                             py::str(py::type::of(args[i])).cast<std::string>());
      }
    }
    return wrap([&] {
      const ReleaseLock unlocked(std::max({a.numel(), b.numel(), c.numel()}));
      if constexpr (kArity == 2) {
        return F(a.operand(), b.operand());
      } else {
        return F(a.operand(), b.operand(), c.operand());
      }
    }());
  });
}

bool check_count(Py_ssize_t given, Py_ssize_t expected) {
  if (given != expected)
    PyErr_Format(PyExc_TypeError, "takes %zd positional arguments, not %zd", expected, given);
  return given == expected;
}

template <Tensor (*F)(const Tensor&)> PyObject* unary_function(PyObject*, PyObject* x) {
  return unary_of<F>(x);
}
template <Tensor (*F)(const Tensor&)> PyObject* unary_method(PyObject* self, PyObject*) {
  return unary_of<F>(self);
}
template <auto F, int kArity> PyObject* function(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return check_count(count, kArity) ? call<F, kArity>(args) : nullptr;
}
template <auto F, int kArity> PyObject* method(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  if (!check_count(count, kArity - 1)) return nullptr;
  PyObject* all[kArity] = {self};
  std::copy_n(args, count, all + 1);
  return call<F, kArity>(all);
}

// Names, documents and definitions live as long as the interpreter.
template <class T> T& forever(T value) {
  static std::deque<T> kept;
  return kept.emplace_back(std::move(value));
}

template <class F> PyMethodDef& definition(const char* name, const std::string& doc, F* function, int flags) {
  return forever(PyMethodDef{name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)),
                             flags, forever(doc).c_str()});
}

void add_row(py::module_& m, PyMethodDef& function, PyMethodDef& method) {
  const auto module_name = py::str("tidu");
  m.attr(function.ml_name) =
      py::reinterpret_steal<py::object>(PyCFunction_NewEx(&function, nullptr, module_name.ptr()));
  py::handle(reinterpret_cast<PyObject*>(tensor_type)).attr(method.ml_name) =
      py::reinterpret_steal<py::object>(PyDescr_NewMethod(tensor_type, &method));
}

// A signature as inspect and help read it.
std::string document(const char* name, const char* parameters, const char* doc) {
  return str(name, "(", parameters, ", /)\n--\n\n", doc, ".");
}

void bind_table(py::module_& m) {
#define UNARY(name, types, result, low, high, derivative, doc)                                 \
  add_row(m, definition(#name, document(#name, "x", doc), unary_function<tidu::name>, METH_O), \
          definition(#name, document(#name, "$self", doc), unary_method<tidu::name>, METH_NOARGS));
#define BINARY(name, types, result, low, high, derivative, doc)                                       \
  add_row(m, definition(#name, document(#name, "a, b", doc), function<tidu::name, 2>, METH_FASTCALL), \
          definition(#name, document(#name, "$self, b", doc), method<tidu::name, 2>, METH_FASTCALL));
#define TERNARY(name, types, result, low, high, derivative, doc)                                         \
  add_row(m, definition(#name, document(#name, "c, a, b", doc), function<tidu::name, 3>, METH_FASTCALL), \
          definition(#name, document(#name, "$self, a, b", doc), method<tidu::name, 3>, METH_FASTCALL));
#include "ops/elementwise.def"
}

// --- The others. An entry of `both` is a function and, on its first argument, a method.

std::string name_of_type(py::handle object) { return py::str(py::type::of(object)).cast<std::string>(); }

// reshape(2, 3) as well as reshape((2, 3)).
Dims dims_from_args(const py::args& args, const char* op) {
  const py::object all = args.size() == 1 ? py::object(args[0]) : py::object(args);
  const auto dims = dims_from_object(all.ptr());
  if (!dims)
    throw py::type_error(str("[", op, "] takes integers or a tuple of them, not ", name_of_type(all)));
  return *dims;
}

Axes all_axes_of_extent_1(const Tensor& x) {
  Axes axes;
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) == 1) axes.push_back(i);
  }
  return axes;
}

Axes all_axes(const Tensor& x) {
  Axes axes;
  for (int i = 0; i < x.ndim(); ++i) axes.push_back(i);
  return axes;
}

// Whether `object` says a device rather than a dtype.
bool is_device(const py::object& object) {
  if (py::isinstance<Device>(object) || PyLong_CheckExact(object.ptr())) return true;
  if (!py::isinstance<py::str>(object)) return false;
  const auto name = object.cast<std::string>();
  return name.starts_with("cpu") || name.starts_with("cuda");
}

Tensor move_to(const Tensor& x, const py::object& target, std::optional<DType> dtype,
               std::optional<Device> device, bool copy_wanted, bool) {
  const auto take_over = [](auto& option, const auto& value) {
    if (option) throw py::type_error("[to] a device or dtype is given twice");
    option = value;
  };
  if (is_tensor(target.ptr())) {
    take_over(device, tensor_of(target.ptr()).device());
    take_over(dtype, tensor_of(target.ptr()).dtype());
  } else if (is_device(target)) {
    take_over(device, target.cast<Device>());
  } else if (!target.is_none()) {
    const auto named = dtype_from_object(target.ptr());
    if (!named) throw py::type_error("[to] takes a device, a dtype or a tensor, not " + name_of_type(target));
    take_over(dtype, named);
  }
  Tensor result = device ? to(x, *device) : x;
  if (dtype) result = astype(result, *dtype);
  return copy_wanted && result.impl().storage == x.impl().storage ? copy(result) : result;
}

Tensors split_into(const Tensor& x, const py::object& parts, int64_t axis) {
  if (!py::isinstance<py::int_>(parts)) return split(x, parts.cast<Dims>(), axis);
  const auto count = parts.cast<int64_t>();
  const int64_t extent = x.shape()[normalize_axis(axis, x.ndim(), "split")];
  if (count < 1 || extent % count != 0) {
    fail<ShapeError>("[split] extent ", extent, " of axis ", axis, " does not divide into ", count,
                     " equal parts");
  }
  return split(x, Dims(count, extent / count), axis);
}

Tensor pad_with(const Tensor& x, const py::object& widths) {
  Dims low, high;
  const auto pair = [](const py::handle& item) {
    const auto both = item.cast<Dims>();
    if (both.size() < 1 || both.size() > 2)
      fail<ValueError>("[pad] a width is n or (before, after), not ", both);
    return std::pair(both[0], both.back());
  };
  if (py::isinstance<py::int_>(widths)) {
    low = high = Dims(x.ndim(), widths.cast<int64_t>());
  } else {
    for (const py::handle item : widths.cast<py::sequence>()) {
      const auto [before, after] = pair(item);
      low.push_back(before);
      high.push_back(after);
    }
  }
  return pad(x, low, high);
}

Tensors broadcast_all(const py::args& args) {
  const auto tensors = args.cast<Tensors>();
  Shape shape;
  for (const Tensor& x : tensors) shape = broadcast_shapes(shape, x.shape(), "broadcast_arrays");
  Tensors result;
  for (const Tensor& x : tensors) result.push_back(broadcast_to(x, shape));
  return result;
}

using Axis = std::optional<int64_t>;
using Type = std::optional<DType>;

// Small integers are added up in 64 bits, of which the dtype keeps the low ones.
template <Tensor (*F)(const Tensor&, const Over&, bool)>
Tensor reduced_in(const Tensor& x, const Over& axis, bool keepdims, Type dtype) {
  const ReleaseLock unlocked(x.numel());
  return dtype ? astype(F(astype(x, *dtype), axis, keepdims), *dtype) : F(x, axis, keepdims);
}
template <Tensor (*F)(const Tensor&, const Over&, bool)>
Tensor reduced(const Tensor& x, const Over& axis, bool keepdims) {
  const ReleaseLock unlocked(x.numel());
  return F(x, axis, keepdims);
}
template <Tensor (*F)(const Tensor&, const Over&, double, bool)>
Tensor deviation(const Tensor& x, const Over& axis, double correction, bool keepdims) {
  const ReleaseLock unlocked(x.numel());
  return F(x, axis, correction, keepdims);
}
template <Tensor (*F)(const Tensor&, int64_t)> Tensor along(const Tensor& x, int64_t axis) {
  const ReleaseLock unlocked(x.numel());
  return F(x, axis);
}
Tensor product(const Tensor& a, const Tensor& b) {
  const ReleaseLock unlocked(std::max(a.numel(), b.numel()));
  return matmul(a, b);
}

void backward(const Tensor& x, const std::optional<Tensor>& gradient, bool retain_graph, bool create_graph) {
  const ReleaseLock unlocked(INT64_MAX);
  x.backward(gradient.value_or(Tensor()), retain_graph, create_graph);
}

void bind_others(py::module_& m) {
  const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
  const auto method = [&](const char* name, auto function, const auto&... extra) {
    type.attr(name) = py::cpp_function(function, py::name(name), py::is_method(type), extra...);
  };
  const auto both = [&](const char* name, auto function, const auto&... extra) {
    m.def(name, function, py::arg("x"), extra...);
    method(name, function, extra...);
  };
  const auto axis = py::arg("axis") = py::none();
  const auto keepdims = py::arg("keepdims") = false;
  const auto dtype = py::arg("dtype") = py::none();
  const auto last = py::arg("axis") = -1;

  both("sum", reduced_in<sum>, axis, keepdims, dtype,
       "The sum over the axes (all by default), of x converted to `dtype` and in it. Without one the sum of "
       "bool and\nsmall integers is int64, of unsigned ones uint64.");
  both("prod", reduced_in<prod>, axis, keepdims, dtype,
       "The product over the axes (all by default), with dtypes as in `sum`.");
  both("mean", reduced<mean>, axis, keepdims, "The mean over the axes (all by default).");
  both("var", deviation<var>, axis, py::arg("correction") = 0.0, keepdims,
       "The mean squared deviation over the axes, divided by n - correction.");
  both("std", deviation<tidu::std>, axis, py::arg("correction") = 0.0, keepdims, "The square root of var.");
  both("max", reduced<max>, axis, keepdims,
       "The largest element, NaN where any is; equal elements share the gradient.");
  both("min", reduced<min>, axis, keepdims,
       "The smallest element, NaN where any is; equal elements share the gradient.");
  both("any", reduced<any>, axis, keepdims, "Whether any element is true (not 0).");
  both("all", reduced<all>, axis, keepdims, "Whether all elements are true (not 0).");
  both("logsumexp", reduced<logsumexp>, axis, keepdims, "log(sum(exp(x))), without overflow.");
  both(
      "argmax", [](const Tensor& x, Axis a, bool keep) { return argmax(x, a, keep); }, axis, keepdims,
      "The int64 index of the first largest element along the axis, or of the flattened tensor.");
  both(
      "argmin", [](const Tensor& x, Axis a, bool keep) { return argmin(x, a, keep); }, axis, keepdims,
      "The int64 index of the first smallest element along the axis, or of the flattened tensor.");
  both("softmax", along<softmax>, last, "exp(x) / sum(exp(x)) along the axis.");
  both("log_softmax", along<log_softmax>, last, "x - logsumexp(x) along the axis.");
  m.def("softmax_cross_entropy", &softmax_cross_entropy, py::arg("logits"), py::arg("labels"),
        "-log_softmax(logits)[label] along the last axis: logits (.., classes), integer labels (..) give "
        "losses (..).");

  both("matmul", product, py::arg("other"),
       "The matrix product by NumPy's rule: vectors, matrices, batches.");
  both("outer", outer, py::arg("other"), "The outer product (m, n) of vectors (m) and (n).");
  both("vecdot", vecdot, py::arg("other"), "The sum of the products along the last axis.");

  m.def("reshape", &reshape, py::arg("x"), py::arg("shape"),
        "The same values in another shape, of which one extent may be -1; a view where the layout allows.");
  method(
      "reshape",
      [](const Tensor& x, const py::args& shape) { return reshape(x, dims_from_args(shape, "reshape")); },
      "The same values in another shape: reshape(2, -1) or reshape((2, -1)).");
  m.def("permute_dims", &permute_dims, py::arg("x"), py::arg("axes"),
        "A view with axis i taken from axes[i].");
  method(
      "permute_dims",
      [](const Tensor& x, const py::args& axes) {
        return permute_dims(x, dims_from_args(axes, "permute_dims"));
      },
      "A view with axis i taken from axes[i].");
  both("flatten", flatten, "All elements as a vector; a view where the layout allows.");
  both("swapaxes", swapaxes, py::arg("axis1"), py::arg("axis2"), "A view with two axes swapped.");
  both("moveaxis", moveaxis, py::arg("source"), py::arg("destination"), "A view with one axis moved.");
  both("matrix_transpose", matrix_transpose, "A view with the last two axes swapped.");
  both("broadcast_to", broadcast_to, py::arg("shape"),
       "A view in which extents of 1 and missing leading ones are repeated.");
  m.def("broadcast_arrays", broadcast_all, "Views of the tensors broadcast against each other.");
  both("expand_dims", expand_dims, py::arg("axis"), "A view with a new axis of extent 1.");
  both(
      "squeeze",
      [](const Tensor& x, const Over& axes) { return squeeze(x, axes ? *axes : all_axes_of_extent_1(x)); },
      axis, "A view without the axes (by default all) of extent 1.");
  both(
      "flip", [](const Tensor& x, const Over& axes) { return flip(x, axes ? *axes : all_axes(x)); }, axis,
      "A view in reverse order along the axes (by default all).");
  m.def(
      "concat",
      [](Tensors tensors, Axis at) {
        if (at) return concat(tensors, *at);
        for (Tensor& x : tensors) x = flatten(x);
        return concat(tensors, 0);
      },
      py::arg("tensors"), py::arg("axis") = 0,
      "The tensors one after another along an axis; with None all of them flattened.");
  m.def("stack", &stack, py::arg("tensors"), py::arg("axis") = 0, "The tensors along a new axis.");
  both("split", split_into, py::arg("sizes"), py::arg("axis") = 0,
       "Parts along an axis: `sizes` of them equal, or of the sizes given. Views.");
  both("pad", pad_with, py::arg("pad_width"),
       "Zeros around x: n on every side, or a (before, after) pair for each axis.");

  both("astype", astype, py::arg("dtype"),
       "x converted. To bool: x != 0; to an integer: towards zero, saturating, NaN to 0.");
  both("to", move_to, py::arg("target") = py::none(), py::arg("dtype") = py::none(), py::kw_only(),
       py::arg("device") = py::none(), py::arg("copy") = false, py::arg("non_blocking") = false,
       "x on a device, of a dtype, or of both; of another tensor, its. Unless `copy` x itself where it is so "
       "already.\n"
       "`non_blocking` makes no difference: no copy to a device waits for the computation there.");
  both("contiguous", contiguous, "x in row-major layout; x itself where it is.");
  both("copy", copy, "The same values in new memory; differentiable.");
  both("stop_gradient", stop_gradient, "The same values as a constant; a view.");
  method("detach", stop_gradient, "The same values as a constant; a view.");
  method(
      "is_contiguous", [](const Tensor& x) { return x.is_contiguous(); }, "Whether the layout is row-major.");
  method(
      "requires_grad_",
      [](py::object self, bool value) {
        tensor_of(self.ptr()).set_requires_grad(value);
        return self;
      },
      py::arg("requires_grad") = true, "Sets requires_grad and returns this tensor.");
  method("backward", backward, py::arg("gradient") = py::none(), py::arg("retain_graph") = false,
         py::arg("create_graph") = false,
         "Adds the derivative of this tensor to `grad` of every leaf that requires one. `gradient`, of this "
         "tensor's\n"
         "shape, may be left out for one element. The graph is freed unless retain_graph; with create_graph "
         "the\n"
         "gradients can be differentiated again.");

  both("take", take, py::arg("indices"), py::arg("axis") = 0,
       "The slices at integer indices along an axis, which is replaced by the indices' shape.");
  both("take_along_axis", take_along_axis, py::arg("indices"), py::arg("axis") = -1,
       "The elements that indices, of x's rank, name along an axis.");
  both("scatter_add", scatter_add, py::arg("indices"), py::arg("updates"), py::arg("axis") = 0,
       "x with updates, shaped like take(x, indices, axis), added at the indices; repeated indices add up.");
  both(
      "nonzero", [](const Tensor& x) { return py::tuple(py::cast(nonzero(x))); },
      "The coordinates of the elements that are not 0: one int64 vector an axis.");
  m.def(
      "result_type",
      [](const py::args& args) {
        std::deque<Argument> arguments;
        std::vector<Operand> operands;
        DType dtypes = DType::bool_;
        for (const py::handle arg : args) {
          if (const auto dtype = is_tensor(arg.ptr()) || scalar_from_object(arg.ptr())
                                     ? std::nullopt
                                     : dtype_from_object(arg.ptr())) {
            dtypes = promote(dtypes, *dtype);
            continue;
          }
          if (!arguments.emplace_back(arg.ptr()))
            throw py::type_error("[result_type] takes tensors, numbers and dtypes");
          operands.push_back(arguments.back().operand());
        }
        const Tensor typed = Tensor::abstract({}, dtypes);
        operands.push_back(typed);
        return result_type(operands);
      },
      "The dtype in which tensors, numbers and dtypes meet.");
}

}  // namespace

void bind_random(py::module_& parent) {
  py::module_ m = parent.def_submodule("random");
  const auto key = py::arg("key");
  const auto shape = py::arg("shape") = py::tuple();
  m.def(
      "key",
      [](uint64_t seed, std::optional<Device> device) {
        return random_key(seed, device.value_or(default_device()));
      },
      py::arg("seed"), py::arg("device") = py::none(),
      "A key from a seed: a uint32 tensor of shape (2,). Use each key once. What is drawn lies on its "
      "device.");
  m.def("split", &random_split, key, py::arg("num") = 2, "`num` new keys, of shape (num, 2).");
  m.def("fold_in", &random_fold_in, key, py::arg("data"), "A new key from a key and a number.");
  m.def("bits", &random_bits, key, shape, "Random uint32.");
  m.def("uniform", &random_uniform, key, shape, py::arg("low") = 0.0, py::arg("high") = 1.0,
        py::arg("dtype") = kDefaultFloat, "Numbers drawn uniformly from [low, high).");
  m.def("normal", &random_normal, key, shape, py::arg("mean") = 0.0, py::arg("std") = 1.0,
        py::arg("dtype") = kDefaultFloat, "Normally distributed numbers.");
  m.def(
      "bernoulli", [](const Tensor& k, double p, const Dims& s) { return random_bernoulli(k, p, s); }, key,
      py::arg("p") = 0.5, shape, "True with probability p.");
  m.def("randint", &random_integers, key, py::arg("shape"), py::arg("low"), py::arg("high"),
        py::arg("dtype") = kDefaultInt, "Integers drawn uniformly from [low, high).");
  m.def(
      "permutation",
      [](const Tensor& k, const py::object& x, int64_t axis) {
        if (py::isinstance<py::int_>(x)) return random_permutation(k, x.cast<int64_t>());
        const auto tensor = x.cast<Tensor>();
        const int at = normalize_axis(axis, tensor.ndim(), "permutation");
        return take(tensor, random_permutation(k, tensor.size(at)), at);
      },
      key, py::arg("x"), py::arg("axis") = 0,
      "0 .. x - 1, or the slices of a tensor along an axis, in random order.");
}

void bind_operations(py::module_& m) {
  bind_table(m);
  bind_others(m);
}

}  // namespace tidu::python
