// Operations that are made of others.
#include "ops/composites.h"

#include "ops/operations.h"

namespace tidu::python {
namespace {

// A tensor or number that may be left out.
class Bound {
 public:
  Bound(const py::object& given, const char* op, const Tensor& beside) {
    if (given.is_none()) return;
    argument_.emplace(given.ptr(), beside.device());
    if (!*argument_) fail_type(op, given);
  }
  std::optional<Operand> get() const {
    return argument_ ? std::optional(argument_->operand()) : std::nullopt;
  }

 private:
  [[noreturn]] static void fail_type(const char* op, const py::object& given) {
    throw py::type_error(str("[", op, "] takes tensors and numbers, not ", name_of_type(given.ptr())));
  }
  std::optional<Argument> argument_;
};

Tensor clip_between(const Tensor& x, const py::object& low, const py::object& high) {
  const Bound below(low, "clip", x), above(high, "clip", x);
  return clip(x, below.get(), above.get());
}

bool all_close(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  return item<bool>(all(isclose(a, b, rtol, atol, equal_nan)));
}

Tensor differences(const Tensor& x, int64_t n, int64_t axis, const std::optional<Tensor>& before,
                   const std::optional<Tensor>& after) {
  if (n == 0) return diff(x, n, axis);
  Tensors parts;
  if (before) parts.push_back(*before);
  parts.push_back(x);
  if (after) parts.push_back(*after);
  return diff(parts.size() == 1 ? x : concat(parts, axis), n, axis);
}

Tensor area(const Tensor& y, const std::optional<Tensor>& x, double distance, int64_t axis) {
  return x ? trapezoid(y, *x, axis) : trapezoid(y, distance, axis);
}

}  // namespace

void bind_composites(const Definitions& define) {
  define.both("clip", clip_between, py::arg("min") = py::none(), py::arg("max") = py::none(),
              "min where x is below it, max where it is above, else x (numbers, tensors or None). The "
              "derivative by x is 1 at both bounds.");
  define.function("nan_to_num", &nan_to_num, py::arg("x"), py::arg("nan") = 0.0,
                  py::arg("posinf") = py::none(), py::arg("neginf") = py::none(),
                  "Other numbers for NaN and infinities, by default 0 and the largest of the dtype.");
  define.function(
      "isclose",
      [](const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
        return isclose(a, b, rtol, atol, equal_nan);
      },
      py::arg("x1"), py::arg("x2"), py::arg("rtol") = 1e-5, py::arg("atol") = 1e-8,
      py::arg("equal_nan") = false,
      "|x1 - x2| <= atol + rtol |x2|; infinities only where equal, and NaN only with equal_nan.");
  define.function("allclose", all_close, py::arg("x1"), py::arg("x2"), py::arg("rtol") = 1e-5,
                  py::arg("atol") = 1e-8, py::arg("equal_nan") = false,
                  "Whether all elements are close (see isclose), as a Python bool.");
  define.function(
      "array_equal",
      [](const Tensor& a, const Tensor& b, bool equal_nan) {
        return item<bool>(array_equal(a, b, equal_nan));
      },
      py::arg("x1"), py::arg("x2"), py::arg("equal_nan") = false,
      "Whether shapes and all elements are equal, as a Python bool.");
  define.function<isposinf>("isposinf", "x", "True where x is positive infinity.");
  define.function<isneginf>("isneginf", "x", "True where x is negative infinity.");
  define.function("diff", differences, py::arg("x"), py::arg("n") = 1, py::arg("axis") = -1,
                  py::arg("prepend") = py::none(), py::arg("append") = py::none(),
                  "Differences of neighbours along the axis, n times; of bool whether they differ. What is "
                  "to come before\n"
                  "and after x is put there first.");
  define.function("trapezoid", area, py::arg("y"), py::arg("x") = py::none(), py::arg("dx") = 1.0,
                  py::arg("axis") = -1,
                  "The area below y by the trapezoidal rule, over points x (a vector, or shaped as y) or "
                  "distances dx.");
}

}  // namespace tidu::python
