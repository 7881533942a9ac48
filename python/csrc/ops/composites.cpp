// Operations that are made of others.
#include "ops/composites.h"

#include "ops/operations.h"
#include "ops/parts.h"

namespace tidu::python {
namespace {

// A tensor or number that may be left out.
class Bound {
 public:
  Bound(const py::object& given, const char* op, const Tensor& beside) {
    if (given.is_none()) return;
    argument_.emplace(given.ptr(), &beside);
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
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), "allclose");
  const auto close = [&](const Tensor& x, const Tensor& y) { return isclose(x, y, rtol, atol, equal_nan); };
  return item<bool>(all_of_pairs(broadcast_to(a, shape), broadcast_to(b, shape), close));
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

// Small integers are added up in 64 bits, of which the dtype keeps the low ones.
template <Tensor (*F)(const Tensor&, const Over&, bool)>
Tensor reduced_in(const Tensor& x, const Over& axis, bool keepdims, Type dtype) {
  return dtype ? astype(F(astype(x, *dtype), axis, keepdims), *dtype) : F(x, axis, keepdims);
}
template <Tensor (*F)(const Tensor&, Axis)> Tensor scanned_in(const Tensor& x, Axis axis, Type dtype) {
  return dtype ? astype(F(astype(x, *dtype), axis), *dtype) : F(x, axis);
}

Tensor covariance(const Tensor& x, double correction, const std::optional<Tensor>& fweights,
                  const std::optional<Tensor>& aweights) {
  return cov(x, correction, fweights.value_or(Tensor()), aweights.value_or(Tensor()));
}

void bind_interpolations(const Definitions& define) {
  const auto lerp_between = [](const Tensor& start, const Tensor& end, const py::object& weight) {
    const Bound share(weight, "lerp", start);
    if (!share.get()) throw py::type_error("[lerp] needs a weight");
    return lerp(start, end, *share.get());
  };
  const char* of_lerp =
      "start + weight * (end - start), exact at both ends; the weight is a number or a tensor.";
  define.function("lerp", lerp_between, py::arg("start"), py::arg("end"), py::arg("weight"), of_lerp);
  example("lerp", "td.lerp(td.tensor([0.0, 1.0]), td.tensor([10.0, 3.0]), 0.5)",
          "tensor([5., 2.], dtype=float32)");
  define.method("lerp", lerp_between, py::arg("end"), py::arg("weight"), of_lerp);
  define.both<addcmul>("addcmul", "x, tensor1, tensor2, value=1.0", "x + value * tensor1 * tensor2.");
  example("addcmul", "td.addcmul(td.tensor([1.0]), td.tensor([2.0]), td.tensor([3.0]), 0.5)",
          "tensor([4.], dtype=float32)");
  define.both<addcdiv>("addcdiv", "x, tensor1, tensor2, value=1.0", "x + value * tensor1 / tensor2.");
  example("addcdiv", "td.addcdiv(td.tensor([1.0]), td.tensor([6.0]), td.tensor([3.0]), 0.5)",
          "tensor([2.], dtype=float32)");
}

void bind_nan_reductions(const Definitions& define) {
  define.both<reduced_in<nansum>>("nansum", "x, axis=None, keepdims=False, dtype=None",
                                  "`sum` of what is not NaN: 0 of nothing else.");
  example("nansum", "td.nansum(td.tensor([1.0, td.nan, 2.0]))", "tensor(3., dtype=float32)");
  define.both<reduced_in<nanprod>>("nanprod", "x, axis=None, keepdims=False, dtype=None",
                                   "`prod` of what is not NaN: 1 of nothing else.");
  example("nanprod", "td.nanprod(td.tensor([2.0, td.nan, 3.0]))", "tensor(6., dtype=float32)");
  define.both<nanmean>("nanmean", "x, axis=None, keepdims=False", "`mean` of what is not NaN.");
  example("nanmean", "td.nanmean(td.tensor([1.0, td.nan, 2.0]))", "tensor(1.5, dtype=float32)");
  define.both<nanvar>("nanvar", "x, axis=None, correction=0.0, keepdims=False",
                      "`var` of what is not NaN; NaN where no more elements than `correction` are left.");
  example("nanvar", "td.nanvar(td.tensor([1.0, td.nan, 3.0]))", "tensor(1., dtype=float32)");
  define.both<nanstd>("nanstd", "x, axis=None, correction=0.0, keepdims=False",
                      "The square root of nanvar; the derivative at 0 is 0.");
  example("nanstd", "td.nanstd(td.tensor([1.0, td.nan, 3.0]))", "tensor(1., dtype=float32)");
  define.both<nanmax>("nanmax", "x, axis=None, keepdims=False",
                      "`max` of what is not NaN; NaN of nothing else.");
  example("nanmax", "td.nanmax(td.tensor([1.0, td.nan, 2.0]))", "tensor(2., dtype=float32)");
  define.both<nanmin>("nanmin", "x, axis=None, keepdims=False",
                      "`min` of what is not NaN; NaN of nothing else.");
  example("nanmin", "td.nanmin(td.tensor([1.0, td.nan, 2.0]))", "tensor(1., dtype=float32)");
}

void bind_cumulative(const Definitions& define) {
  define.both<scanned_in<cumsum>>("cumsum", "x, axis=None, dtype=None",
                                  "`cumulative_sum`, of the flattened tensor without an axis.");
  example("cumsum", "td.cumsum(td.tensor([[1, 2], [3, 4]]))", "tensor([ 1,  3,  6, 10], dtype=int64)");
  define.both<scanned_in<cumprod>>("cumprod", "x, axis=None, dtype=None",
                                   "`cumulative_prod`, of the flattened tensor without an axis.");
  example("cumprod", "td.cumprod(td.tensor([1, 2, 3]))", "tensor([1, 2, 6], dtype=int64)");
  define.both<cumargmax>(
      "cumargmax", "x, axis=None",
      "The int64 indices of the elements that cummax gives: of equal ones, or NaN, the first.");
  example("cumargmax", "td.cumargmax(td.tensor([1, 3, 2]))", "tensor([0, 1, 1], dtype=int64)");
  define.both<cumargmin>(
      "cumargmin", "x, axis=None",
      "The int64 indices of the elements that cummin gives: of equal ones, or NaN, the first.");
  example("cumargmin", "td.cumargmin(td.tensor([3, 1, 2]))", "tensor([0, 1, 1], dtype=int64)");
}

void bind_statistics(const Definitions& define) {
  define.function("cov", covariance, py::arg("x"), py::arg("correction") = 1.0,
                  py::arg("fweights") = py::none(), py::arg("aweights") = py::none(),
                  "The covariance matrix of variables, the rows of (variables, observations) or one vector, "
                  "divided by n - correction.\n`fweights` are integers, how often each observation counts, "
                  "`aweights` how much.");
  example("cov", "td.cov(td.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]))",
          "tensor([[1., 2.],\n"
          "        [2., 4.]], dtype=float32)");
  define.function<corrcoef>(
      "corrcoef", "x",
      "The correlation matrix of variables, the rows of (variables, observations) or one vector.");
  example("corrcoef", "td.corrcoef(td.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))",
          "tensor([[ 1., -1.],\n"
          "        [-1.,  1.]], dtype=float32)");
  define.function<cdist>("cdist", "x1, x2, p=2.0",
                         "The p-norms of differences of rows: (.., m, d) and (.., n, d) give (.., m, n).");
  example("cdist", "td.cdist(td.tensor([[0.0, 0.0]]), td.tensor([[3.0, 4.0], [0.0, 1.0]]))",
          "tensor([[5., 1.]], dtype=float32)");
}

}  // namespace

void bind_composites(const Definitions& define) {
  bind_interpolations(define);
  bind_nan_reductions(define);
  bind_cumulative(define);
  bind_statistics(define);
  define.both("clip", clip_between, py::arg("min") = py::none(), py::arg("max") = py::none(),
              "min where x is below it, max where it is above, else x (numbers, tensors or None). The "
              "derivative by x is 1 at both bounds.");
  example("clip", "td.clip(td.tensor([-1.0, 0.5, 2.0]), 0.0, 1.0)", "tensor([0. , 0.5, 1. ], dtype=float32)");
  define.function("nan_to_num", &nan_to_num, py::arg("x"), py::arg("nan") = 0.0,
                  py::arg("posinf") = py::none(), py::arg("neginf") = py::none(),
                  "Other numbers for NaN and infinities, by default 0 and the largest of the dtype.");
  example("nan_to_num", "td.nan_to_num(td.tensor([td.nan, 1.0]))", "tensor([0., 1.], dtype=float32)");
  define.function(
      "isclose",
      [](const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
        return isclose(a, b, rtol, atol, equal_nan);
      },
      py::arg("x1"), py::arg("x2"), py::arg("rtol") = 1e-5, py::arg("atol") = 1e-8,
      py::arg("equal_nan") = false,
      "|x1 - x2| <= atol + rtol |x2|; infinities only where equal, and NaN only with equal_nan.");
  example("isclose", "td.isclose(td.tensor([1.0, 2.0]), td.tensor([1.0, 2.1]))",
          "tensor([ True, False], dtype=bool)");
  define.function("allclose", all_close, py::arg("x1"), py::arg("x2"), py::arg("rtol") = 1e-5,
                  py::arg("atol") = 1e-8, py::arg("equal_nan") = false,
                  "Whether all elements are close (see isclose), as a Python bool.");
  example("allclose", "td.allclose(td.tensor([1.0]), td.tensor([1.0 + 1e-6]))", "True");
  define.function(
      "array_equal",
      [](const Tensor& a, const Tensor& b, bool equal_nan) {
        return item<bool>(array_equal(a, b, equal_nan));
      },
      py::arg("x1"), py::arg("x2"), py::arg("equal_nan") = false,
      "Whether shapes and all elements are equal, as a Python bool.");
  example("array_equal", "td.array_equal(td.tensor([1, 2]), td.tensor([1, 2]))", "True");
  define.function<isposinf>("isposinf", "x", "True where x is positive infinity.");
  example("isposinf", "td.isposinf(td.tensor([td.inf, -td.inf]))", "tensor([ True, False], dtype=bool)");
  define.function<isneginf>("isneginf", "x", "True where x is negative infinity.");
  example("isneginf", "td.isneginf(td.tensor([td.inf, -td.inf]))", "tensor([False,  True], dtype=bool)");
  define.function("diff", differences, py::arg("x"), py::arg("n") = 1, py::arg("axis") = -1,
                  py::arg("prepend") = py::none(), py::arg("append") = py::none(),
                  "Differences of neighbours along the axis, n times; of bool whether they differ. What is "
                  "to come before\n"
                  "and after x is put there first.");
  example("diff", "td.diff(td.tensor([1, 4, 9]))", "tensor([3, 5], dtype=int64)");
  define.function("trapezoid", area, py::arg("y"), py::arg("x") = py::none(), py::arg("dx") = 1.0,
                  py::arg("axis") = -1,
                  "The area below y by the trapezoidal rule, over points x (a vector, or shaped as y) or "
                  "distances dx.");
  example("trapezoid", "td.trapezoid(td.tensor([0.0, 1.0, 4.0]))", "tensor(3., dtype=float32)");
}

}  // namespace tidu::python
