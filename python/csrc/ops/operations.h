// How operations are bound: as functions, as methods, or both. One file a family, named as in csrc/ops.
#pragma once

#include "ops/slots.h"

namespace tidu::python {

using Axis = std::optional<int64_t>;
using Type = std::optional<DType>;

struct Definitions {
  py::module_& m;

  // Operations that take a tensor and simple values and give a tensor.
  template <auto F> void function(const char* name, const char* signature, const char* doc) const {
    describe<F>(name, name, signature, false, false);
    add_function(m, definition(name, document(name, signature, doc), Slot<F>::function, kFlags));
  }
  template <auto F> void method(const char* name, const char* signature, const char* doc) const {
    describe<F>(name, str("Tensor.", name), signature, true, false);
    add_method(definition(name, document(name, of_self(signature), doc), Slot<F>::method, kFlags));
  }
  template <auto F> void both(const char* name, const char* signature, const char* doc) const {
    function<F>(name, signature, doc);
    method<F>(name, signature, doc);
  }
  // A method whose one argument, a tuple, may be given item by item.
  template <auto F> void variadic_method(const char* name, const char* signature, const char* doc) const {
    describe<F>(name, str("Tensor.", name), signature, true, true);
    const std::string parameters = of_self(signature).insert(std::string_view("$self, ").size(), "*");
    add_method(definition(name, document(name, parameters, doc), Slot<F>::variadic, kFlags));
  }

  // Any others.
  template <class F, class... Extra> void function(const char* name, F&& f, const Extra&... extra) const {
    m.def(name, std::forward<F>(f), extra...);
  }
  template <class F, class... Extra> void method(const char* name, F f, const Extra&... extra) const {
    const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
    type.attr(name) = py::cpp_function(f, py::name(name), py::is_method(type), extra...);
  }
  template <class F, class... Extra> void both(const char* name, F f, const Extra&... extra) const {
    function(name, f, py::arg("x"), extra...);
    method(name, f, extra...);
  }

 private:
  static constexpr int kFlags = METH_FASTCALL | METH_KEYWORDS;

  // "x, axis=None" of a method.
  static std::string of_self(std::string_view signature) {
    return "$self" + std::string(signature.substr(std::min(signature.find(','), signature.size())));
  }
  template <auto F>
  void describe(const char* name, const std::string& place, const char* signature, bool is_method,
                bool variadic) const {
    if (!Slot<F>::parameters) Slot<F>::parameters = new Parameters(name, signature);
    m.attr("_signatures")[py::str(place)] =
        name + Slot<F>::parameters->typed(Slot<F>::types, is_method, variadic);
  }
};

// The families whose functions are the package's own, a line each; random, linalg and creation have modules.
#define TIDU_BOUND_FAMILIES(DO) \
  DO(elementwise)               \
  DO(reductions)                \
  DO(scans)                     \
  DO(softmax)                   \
  DO(matmul)                    \
  DO(products)                  \
  DO(shape)                     \
  DO(arrangements)              \
  DO(composites)                \
  DO(conversions)               \
  DO(indexing)                  \
  DO(order)

#define TIDU_DECLARE(family) void bind_##family(const Definitions& define);
TIDU_BOUND_FAMILIES(TIDU_DECLARE)
#undef TIDU_DECLARE

}  // namespace tidu::python
