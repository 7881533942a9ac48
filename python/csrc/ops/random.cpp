// Random numbers from keys: the module random.
#include "ops/operations.h"

namespace tidu::python {

namespace {

// Any other integer would be refused with the types alone.
uint64_t to_uint64(const py::object& number, const char* what) {
  if (!PyIndex_Check(number.ptr()))
    throw py::type_error(str("[", what, "] takes integers from 0 to 2^64 - 1, not ", name_of_type(number)));
  const py::object integer = py::reinterpret_steal<py::object>(PyNumber_Index(number.ptr()));
  if (!integer) throw py::error_already_set();
  const uint64_t value = PyLong_AsUnsignedLongLong(integer.ptr());
  if (!PyErr_Occurred()) return value;
  PyErr_Clear();
  fail<ValueError>("[", what, "] takes integers from 0 to 2^64 - 1, not ", in_words(integer));
}

}  // namespace

void bind_random(py::module_& parent) {
  py::module_ m = parent.def_submodule("random");
  const auto key = py::arg("key");
  const auto shape = py::arg("shape") = py::tuple();
  m.def(
      "key",
      [](const py::object& seed, std::optional<Device> device) {
        return random_key(to_uint64(seed, "key"), device.value_or(default_device()));
      },
      py::arg("seed"), py::arg("device") = py::none(),
      "A key from a seed: a uint32 tensor of shape (2,). Use each key once. What is drawn lies on its "
      "device.");
  example("random.key", "td.random.key(0)", "tensor([0, 0], dtype=uint32)");
  m.def("split", &random_split, key, py::arg("num") = 2, "`num` new keys, of shape (num, 2).");
  example("random.split", "td.random.split(td.random.key(0)).shape", "(2, 2)");
  m.def(
      "fold_in",
      [](const Tensor& k, const py::object& data) { return random_fold_in(k, to_uint64(data, "fold_in")); },
      key, py::arg("data"), "A new key from a key and a number.");
  example("random.fold_in", "td.random.fold_in(td.random.key(0), 7).shape", "(2,)");
  m.def("bits", &random_bits, key, shape, "Random uint32.");
  example("random.bits", "td.random.bits(td.random.key(0), (2,)).dtype", "tidu.uint32");
  m.def("uniform", &random_uniform, key, shape, py::arg("low") = 0.0, py::arg("high") = 1.0,
        py::arg_v("dtype", kDefaultFloat, "'float32'"), "Numbers drawn uniformly from [low, high).");
  example("random.uniform", "td.random.uniform(td.random.key(0), (2, 3)).shape", "(2, 3)");
  m.def("normal", &random_normal, key, shape, py::arg("mean") = 0.0, py::arg("std") = 1.0,
        py::arg_v("dtype", kDefaultFloat, "'float32'"), "Normally distributed numbers.");
  example("random.normal", "td.random.normal(td.random.key(0), (1000,), mean=5.0).mean().item().__round__()",
          "5");
  m.def("randint", &random_integers, key, py::arg("shape"), py::arg("low"), py::arg("high"),
        py::arg_v("dtype", kDefaultInt, "'int64'"), "Integers drawn uniformly from [low, high).");
  example("random.randint", "bool(td.all(td.random.randint(td.random.key(0), (100,), 1, 7) <= 6))", "True");
  m.def(
      "permutation",
      [](const Tensor& k, const py::object& x, int64_t axis) {
        if (py::isinstance<py::int_>(x)) return random_permutation(k, int64_from_object(x.ptr()));
        const auto tensor = read<Tensor>(x, "permutation", "a key and then a number or a tensor");
        const int at = normalize_axis(axis, tensor.ndim(), "permutation");
        return take(tensor, random_permutation(k, tensor.size(at)), at);
      },
      key, py::arg("x"), py::arg("axis") = 0,
      "0 .. x - 1, or the slices of a tensor along an axis, in random order.");
  example("random.permutation", "sorted(td.random.permutation(td.random.key(0), 4).tolist())",
          "[0, 1, 2, 3]");
}

}  // namespace tidu::python
