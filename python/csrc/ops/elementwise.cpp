// The rows of elementwise.def, by looping over them: plain C functions, which cost less than bound ones.
#include <deque>

#include "ops/complex.h"
#include "ops/composites.h"
#include "ops/operations.h"

namespace tidu::python {
namespace {

template <auto F> const char* op = nullptr;

template <auto F> [[noreturn]] void fail_type(PyObject* given) {
  throw py::type_error(str("[", op<F>, "] takes tensors and numbers, not ", name_of_type(given)));
}

template <Tensor (*F)(const Tensor&)> PyObject* unary_of(PyObject* x) {
  return guarded_as(op<F>, [&] {
    if (is_tensor(x)) [[likely]]
      return wrap(F(tensor_of(x)));
    const Argument argument(x);
    if (!argument) fail_type<F>(x);
    return wrap(F(argument.tensor()));
  });
}

template <auto F, int kArity> PyObject* call(PyObject* const* args) {
  return guarded_as(op<F>, [&] {
    const Tensor* const beside = tensor_among({args, kArity});
    const Argument a(args[0], beside), b(args[1], beside), c(args[kArity - 1], beside);
    for (int i = 0; i < kArity; ++i) {
      const Argument& argument = i == 0 ? a : i == 1 ? b : c;
      if (!argument) fail_type<F>(args[i]);
    }
    if constexpr (kArity == 2) {
      return wrap(F(a.operand(), b.operand()));
    } else {
      return wrap(F(a.operand(), b.operand(), c.operand()));
    }
  });
}

template <auto F> bool check_count(Py_ssize_t given, Py_ssize_t expected, PyObject* keywords) {
  if (keywords && PyTuple_GET_SIZE(keywords) > 0) {
    PyErr_Format(PyExc_TypeError, "[%s] has no argument '%U' (its arguments are given by place)", op<F>,
                 PyTuple_GET_ITEM(keywords, 0));
    return false;
  }
  if (given != expected)
    PyErr_Format(PyExc_TypeError, "[%s] takes %zd argument%s, not %zd", op<F>, expected,
                 expected == 1 ? "" : "s", given);
  return given == expected;
}

template <auto F, int kArity> PyObject* apply(PyObject* const* args) {
  if constexpr (kArity == 1) {
    return unary_of<F>(args[0]);
  } else {
    return call<F, kArity>(args);
  }
}
template <auto F, int kArity>
PyObject* function(PyObject*, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return check_count<F>(count, kArity, keywords) ? apply<F, kArity>(args) : nullptr;
}
template <auto F, int kArity>
PyObject* method(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  if (!check_count<F>(count, kArity - 1, keywords)) return nullptr;
  PyObject* all[kArity] = {self};
  std::copy_n(args, count, all + 1);
  return apply<F, kArity>(all);
}

std::string row(const char* name, const char* parameters, const char* doc) {
  return document(name, str(parameters, ", /"), str(doc, ".").c_str());
}

template <auto F, int kArity>
void add_row(py::module_& m, const char* name, const char* parameters, const char* of_self, const char* doc) {
  constexpr int kFlags = METH_FASTCALL | METH_KEYWORDS;
  PyMethodDef& bound = definition(name, row(name, parameters, doc), function<F, kArity>, kFlags);
  op<F> = bound.ml_name;
  add_function(m, bound);
  add_method(definition(name, row(name, of_self, doc), method<F, kArity>, kFlags));
}
template <auto F> void add_unary(py::module_& m, const char* name, const char* doc) {
  add_row<F, 1>(m, name, "x", "$self", doc);
}
template <auto F> void add_binary(py::module_& m, const char* name, const char* doc) {
  add_row<F, 2>(m, name, "a, b", "$self, b", doc);
}
template <auto F> void add_ternary(py::module_& m, const char* name, const char* doc) {
  add_row<F, 3>(m, name, "c, a, b", "$self, a, b", doc);
}

// A row with parameters: a function of a tensor and numbers.
template <auto F, class Parameters, class... Defaults>
void add_row_with(const Definitions& define, const char* name, const char* doc, const Defaults&... defaults) {
  static_assert(sizeof...(Defaults) == parameter_count<Parameters>);
  const auto function = []<size_t... i>(std::index_sequence<i...>) {
    return [](const Tensor& x, std::enable_if_t<(i >= 0), double>... values) {
      return F(x, Parameters{values...});
    };
  };
  define.both(name, function(std::index_sequence_for<Defaults...>()), defaults..., doc);
}

void bind_table(const Definitions& define) {
  py::module_& m = define.m;
  py::dict rows;  // of each what it takes and gives, for its docs
#define UNARY(name, types, result, low, high, cost, derivative, doc) \
  rows[#name] = py::make_tuple(#types, #result);                     \
  add_unary<tidu::name>(m, #name, doc);
#define BINARY(name, types, result, low, high, cost, derivative, doc) \
  rows[#name] = py::make_tuple(#types, #result);                      \
  add_binary<tidu::name>(m, #name, doc);
#define TERNARY(name, types, result, low, high, cost, derivative, doc) \
  rows[#name] = py::make_tuple(#types, #result);                       \
  add_ternary<tidu::name>(m, #name, doc);
#define PARAMETER(name, value) , py::arg(#name) = static_cast<double>(value)
#define UNARY_WITH(name, parameters, types, result, low, high, cost, derivative, doc) \
  rows[#name] = py::make_tuple(#types, #result);                                      \
  add_row_with<tidu::name, name##_parameters<double>>(define, #name, doc "." parameters);
#define TIDU_NAMED_ROWS
#include "ops/elementwise.def"
#undef TIDU_NAMED_ROWS
  m.attr("_rows") = rows;
}

// Functions of one element each that are made of rows.
void bind_made_of_rows(py::module_& m) {
  add_binary<fmax>(m, "fmax", "The larger of a and b, and the number where one is NaN");
  example("fmax", "td.fmax(td.tensor([1.0, td.nan]), 0.0)", "tensor([1., 0.], dtype=float32)");
  add_binary<fmin>(m, "fmin", "The smaller of a and b, and the number where one is NaN");
  example("fmin", "td.fmin(td.tensor([1.0, td.nan]), 0.0)", "tensor([0., 0.], dtype=float32)");
  add_binary<fmod>(m, "fmod", "a - trunc(a / b) * b, with the sign of a; integers: 0 for b = 0");
  example("fmod", "td.fmod(td.tensor([7.0, -7.0]), 4.0)", "tensor([ 3., -3.], dtype=float32)");
  add_binary<lcm>(m, "lcm", "The least common multiple of integers; 0 where one is 0");
  example("lcm", "td.lcm(td.tensor([4, 7]), td.tensor([6, 3]))", "tensor([12, 21], dtype=int64)");
  add_binary<logaddexp2>(m, "logaddexp2", "log2(2^a + 2^b), without overflow");
  example("logaddexp2", "td.logaddexp2(td.tensor([0.0, 500.0]), td.tensor([0.0, 500.0]))",
          "tensor([  1.     , 500.99997], dtype=float32)");
  add_binary<heaviside>(m, "heaviside", "0 where a < 0, 1 where a > 0, b where a is 0");
  example("heaviside", "td.heaviside(td.tensor([-1.0, 0.0, 2.0]), 0.5)",
          "tensor([0. , 0.5, 1. ], dtype=float32)");
  add_binary<float_power>(m, "float_power",
                          "a to the power of b, in float64, or complex128 where one is complex");
  example("float_power", "td.float_power(td.tensor([2, 3]), -1)",
          "tensor([0.5       , 0.33333333], dtype=float64)");
  add_binary<ldexp>(m, "ldexp", "a * 2^b of integers b, rounded once");
  example("ldexp", "td.ldexp(td.tensor([1.5, 3.0]), td.tensor([2, -1]))",
          "tensor([6. , 1.5], dtype=float32)");
  add_binary<nextafter>(m, "nextafter", "The next number of the dtype of a towards b");
  example("nextafter", "td.nextafter(td.tensor([1.0]), 2.0) - 1", "tensor([1.1920929e-07], dtype=float32)");
  add_unary<frac>(m, "frac", "x - trunc(x), with the sign of x");
  example("frac", "td.frac(td.tensor([1.25, -1.25]))", "tensor([ 0.25, -0.25], dtype=float32)");
  add_unary<deg2rad>(m, "deg2rad", "Degrees as radians");
  example("deg2rad", "td.deg2rad(td.tensor([180.0]))", "tensor([3.1415927], dtype=float32)");
  add_unary<rad2deg>(m, "rad2deg", "Radians as degrees");
  example("rad2deg", "td.rad2deg(td.tensor([td.pi]))", "tensor([180.], dtype=float32)");
  add_unary<positive>(m, "positive", "A copy of x, numbers alone");
  example("positive", "td.positive(td.tensor([1.0, -2.0]))", "tensor([ 1., -2.], dtype=float32)");
  add_unary<real>(m, "real", "The real part; x where it is real");
  example("real", "td.real(td.tensor([1 + 2j]))", "tensor([1.], dtype=float32)");
  add_unary<imag>(m, "imag", "The imaginary part; zeros where x is real");
  example("imag", "td.imag(td.tensor([1 + 2j]))", "tensor([2.], dtype=float32)");
  add_unary<angle>(m, "angle", "The angle of complex numbers; of real ones 0, or pi where they are negative");
  example("angle", "td.angle(td.tensor([2j, -1.0]))", "tensor([1.5707964, 3.1415927], dtype=float32)");
  add_unary<i0>(m, "i0", "The modified Bessel function of the first kind of order 0");
  example("i0", "td.i0(td.tensor([0.0, 1.0]))", "tensor([1.      , 1.266066], dtype=float32)");
  add_unary<i1>(m, "i1", "The modified Bessel function of the first kind of order 1");
  example("i1", "td.i1(td.tensor([0.0, 1.0]))", "tensor([0.       , 0.5651591], dtype=float32)");
  add_unary<i0e>(m, "i0e", "exp(-|x|) * i0(x), without overflow");
  example("i0e", "td.i0e(td.tensor([0.0, 100.0]))", "tensor([1.        , 0.03994438], dtype=float32)");
  add_unary<i1e>(m, "i1e", "exp(-|x|) * i1(x), without overflow");
  example("i1e", "td.i1e(td.tensor([0.0, 100.0]))", "tensor([0.        , 0.03974415], dtype=float32)");
}

// logit with PyTorch's `eps`.
Tensor logit_of(const Tensor& x, std::optional<double> eps) { return eps ? logit_within(x, *eps) : logit(x); }

Tensor polygamma_of(int64_t n, const Tensor& x) {
  if (n < 0) fail<ValueError>("[polygamma] the order n must be at least 0, not ", n);
  return polygamma(x, {static_cast<double>(n)});
}

}  // namespace

void bind_elementwise(const Definitions& define) {
  bind_table(define);
  bind_made_of_rows(define.m);
  define.both<logit_of>(
      "logit", "x, eps=None",
      "log(x / (1 - x)), the inverse of sigmoid; of x held in [eps, 1 - eps] where eps is given.");
  py::delattr(define.m, "polygamma");  // the row has the order last
  define.function("polygamma", polygamma_of, py::arg("n"), py::arg("x"),
                  "The derivative of digamma of the order n = 0, 1 .. of x.");
  define.function("complex", complex_from, py::arg("real"), py::arg("imag"),
                  "real + i imag, of two floating-point tensors.");
  example("complex", "td.complex(td.tensor([1.0]), td.tensor([2.0]))", "tensor([1.+2.j], dtype=complex64)");
  define.both("view_as_real", view_as_real,
              "Complex (..) as real (.., 2), the real and the imaginary parts, in the same memory.");
  example("view_as_real", "td.view_as_real(td.tensor([1 + 2j]))", "tensor([[1., 2.]], dtype=float32)");
  define.both(
      "view_as_complex", view_as_complex,
      "float32 or float64 (.., 2) as complex (..), in the same memory where the pairs lie side by side.");
  example("view_as_complex", "td.view_as_complex(td.tensor([[1.0, 2.0]]))",
          "tensor([1.+2.j], dtype=complex64)");
  define.function(
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
  example("result_type", "td.result_type(td.tensor([1]), td.float32)", "tidu.float32");
}

}  // namespace tidu::python
