// How operations are bound: as functions, as methods, or both. One file a family, named as in csrc/ops.
#pragma once

#include "binding.h"

namespace tidu::python {

using Axis = std::optional<int64_t>;
using Type = std::optional<DType>;

inline std::string name_of_type(py::handle object) {
  return py::str(py::type::of(object)).cast<std::string>();
}

struct Definitions {
  py::module_& m;

  template <class F, class... Extra> void function(const char* name, F&& f, const Extra&... extra) const {
    m.def(name, std::forward<F>(f), extra...);
  }
  template <class F, class... Extra> void method(const char* name, F f, const Extra&... extra) const {
    const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
    type.attr(name) = py::cpp_function(f, py::name(name), py::is_method(type), extra...);
  }
  // A function and, on its first argument, a method.
  template <class F, class... Extra> void both(const char* name, F f, const Extra&... extra) const {
    function(name, f, py::arg("x"), extra...);
    method(name, f, extra...);
  }
};

void bind_elementwise(const Definitions& define);
void bind_reductions(const Definitions& define);
void bind_softmax(const Definitions& define);
void bind_matmul(const Definitions& define);
void bind_shape(const Definitions& define);
void bind_conversions(const Definitions& define);
void bind_indexing(const Definitions& define);

}  // namespace tidu::python
