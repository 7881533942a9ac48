// Operations as plain C functions, whose calls cost a fraction of those of bound ones. Names and defaults are
// read off a signature such as "x, axis=None, keepdims=False", which users see too; types off the C++
// function.
#pragma once

#include <array>

#include "binding.h"

namespace tidu::python {

// What Python keeps of a C function; lives as long as the interpreter.
PyMethodDef& definition(const char* name, std::string doc, void (*function)(), int flags);
template <class F> PyMethodDef& definition(const char* name, std::string doc, F* function, int flags) {
  return definition(name, std::move(doc), reinterpret_cast<void (*)()>(function), flags);
}
void add_function(py::module_& m, PyMethodDef& function);
void add_method(PyMethodDef& method);
// A signature as inspect and help read it, and the text.
std::string document(const char* name, std::string_view parameters, const char* text);

// --- Arguments as values

template <class T> std::string type_name() {
  if constexpr (std::is_same_v<T, Tensor>) return "Tensor";
  if constexpr (std::is_same_v<T, bool>) return "bool";
  if constexpr (std::is_same_v<T, int64_t>) return "int";
  if constexpr (std::is_same_v<T, double>) return "float";
  if constexpr (std::is_same_v<T, DType>) return "dtype";
  if constexpr (std::is_same_v<T, Device>) return "device";
  if constexpr (std::is_same_v<T, Dims>) return "int | tuple[int, ...]";
}
template <class T>
requires requires { typename T::value_type; }
std::string type_name() { return str(type_name<typename T::value_type>(), " | None"); }

// False where the object is no such thing.
bool load(PyObject* object, bool& value);
bool load(PyObject* object, int64_t& value);
bool load(PyObject* object, double& value);
bool load(PyObject* object, DType& value);
bool load(PyObject* object, Device& value);
bool load(PyObject* object, Dims& value);
template <class T> bool load(PyObject* object, std::optional<T>& value) {
  return object == Py_None || load(object, value.emplace());
}

class Parameters {
 public:
  Parameters(const char* op, std::string_view signature);

  // Puts what a call gives where it belongs, from parameter `first` on, and defaults for what it leaves out.
  void place(PyObject** placed, size_t first, PyObject* const* given, Py_ssize_t count,
             PyObject* keywords) const;
  size_t count() const { return names_.size(); }
  const char* op() const { return op_; }
  [[noreturn]] void fail_type(size_t i, const std::string& expected, PyObject* given) const;
  [[noreturn]] void fail_value(size_t i, std::string_view reason) const;
  // "(x: Tensor, axis: int | None = None) -> Tensor", for the stubs.
  std::string typed(std::span<const std::string> types, bool is_method, bool variadic) const;

 private:
  py::list names_from(size_t first) const;

  const char* op_;
  std::vector<PyObject*> names_, defaults_;  // a default is null where a value must be given
};

template <class T> struct Given {
  Given(const Parameters& parameters, size_t i, PyObject* const* placed) {
    bool is_loaded = false;
    try {
      is_loaded = load(placed[i], value);
    } catch (const ValueError& error) { parameters.fail_value(i, error.what()); }
    if (!is_loaded) parameters.fail_type(i, type_name<T>(), placed[i]);
  }
  const T& get() const { return value; }
  T value{};
};
template <> struct Given<Tensor> {
  Given(const Parameters& parameters, size_t i, PyObject* const* placed) {
    if (is_tensor(placed[i])) {
      tensor = &tensor_of(placed[i]);
      return;
    }
    owned = tensor_beside(placed[i], tensor_among({placed, parameters.count()}));
    if (!owned.defined()) parameters.fail_type(i, type_name<Tensor>(), placed[i]);
  }
  const Tensor& get() const { return *tensor; }
  Tensor owned;
  const Tensor* tensor = &owned;
};

// --- The functions

template <auto F, class = decltype(+F)> struct Slot;

template <auto F, class... P> struct Slot<F, Tensor (*)(P...)> {
  static constexpr size_t kCount = sizeof...(P);
  static inline const Parameters* parameters = nullptr;
  static inline const std::array<std::string, kCount> types = {type_name<std::decay_t<P>>()...};

  static PyObject* function(PyObject*, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return guarded_as(parameters->op(), [&] {
      PyObject* placed[kCount];
      parameters->place(placed, 0, given, count, keywords);
      return call(placed);
    });
  }

  static PyObject* method(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return guarded_as(parameters->op(), [&] {
      PyObject* placed[kCount] = {self};
      parameters->place(placed, 1, given, count, keywords);
      return call(placed);
    });
  }

  // The one argument, a tuple, may be given item by item: reshape(2, 3).
  static PyObject* variadic(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    static_assert(kCount == 2);
    if (count == 1 || keywords) return method(self, given, count, keywords);
    return guarded_as(parameters->op(), [&] {
      const py::tuple items(count);
      for (Py_ssize_t i = 0; i < count; ++i) PyTuple_SET_ITEM(items.ptr(), i, Py_NewRef(given[i]));
      PyObject* const placed[] = {self, items.ptr()};
      return call(placed);
    });
  }

 private:
  static PyObject* call(PyObject* const* placed) {
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return wrap(F(Given<std::decay_t<P>>(*parameters, I, placed).get()...));
    }
    (std::make_index_sequence<kCount>());
  }
};

}  // namespace tidu::python
