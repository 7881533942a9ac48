// Other dtypes, devices, layouts and identities of the same values.
#include "ops/operations.h"

namespace tidu::python {
namespace {

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

Tensor as_type(const Tensor& x, DType dtype, bool copy_wanted, const std::optional<Device>& device) {
  const Tensor result = astype(device ? to(x, *device) : x, dtype);
  return copy_wanted && result.is_same(x) ? copy(x) : result;
}

Tensor detached(const Tensor& x) { return stop_gradient(x); }

}  // namespace

void bind_conversions(const Definitions& define) {
  define.both<as_type>("astype", "x, dtype, copy=True, device=None",
                       "x converted, and on a device. To bool: x != 0; to an integer: towards zero, "
                       "saturating, NaN to 0. In new\n"
                       "memory; without `copy` x itself where it is so already, as `to` has it.");
  example("astype", "td.astype(td.tensor([1.7, -1.7]), td.int32)", "tensor([ 1, -1], dtype=int32)");
  define.both(
      "to", move_to, py::arg("target") = py::none(), py::arg("dtype") = py::none(), py::kw_only(),
      py::arg("device") = py::none(), py::arg("copy") = false, py::arg("non_blocking") = false,
      "x on a device, of a dtype, or of both; of another tensor, its. Unless `copy` x itself where it is so "
      "already.\n"
      "`non_blocking` makes no difference: no copy to a device waits for the computation there.");
  example("to", "td.to(td.tensor([1.0]), td.float64)", "tensor([1.], dtype=float64)");
  define.both<contiguous>("contiguous", "x", "x in row-major layout; x itself where it is.");
  example("contiguous", "td.contiguous(td.zeros((2, 3)).T).strides", "(2, 1)");
  define.both<copy>("copy", "x", "The same values in new memory; differentiable.");
  example("copy", "td.copy(td.tensor([1, 2]))", "tensor([1, 2], dtype=int64)");
  define.both<stop_gradient>("stop_gradient", "x", "The same values as a constant; a view.");
  example("stop_gradient", "td.grad(lambda x: (x * td.stop_gradient(x)).sum())(td.tensor([3.0]))",
          "tensor([3.], dtype=float32)");
  define.method<detached>("detach", "x", "The same values as a constant; a view.");
  example("Tensor.detach", "(td.tensor([1.0], requires_grad=True) * 2).detach().requires_grad", "False");
  define.method(
      "is_contiguous", [](const Tensor& x) { return x.is_contiguous(); }, "Whether the layout is row-major.");
  example("Tensor.is_contiguous", "td.zeros((2, 3)).T.is_contiguous()", "False");
}

}  // namespace tidu::python
