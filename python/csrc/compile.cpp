// Compiled functions: what calls are looked up by, recordings, numbers that are arguments.
#include "transforms/compile.h"

#include "callables.h"
#include "diagnostics/non_finite.h"
#include "diagnostics/profile.h"
#include "ops/autocast.h"
#include "user_line.h"

namespace tidu::python {
namespace {

// The leaves of a call's arguments, and what two calls have in common that one recording serves.
class FlatCall {
 public:
  FlatCall(PyObject* arguments, PyObject* keywords) {
    add(is_switched_off());
    if (const Autocasting now = autocasting(); now.enabled) {
      key_ += 'a';
      add(now.dtype);
      add(now.device ? static_cast<int>(*now.device) : -1);
    }
    visit(arguments);
    visit(keywords);
  }

  py::tuple take() {
    return py::make_tuple(py::bytes(key_), std::move(tensors_), std::move(numbers_),
                          py::tuple(std::move(fixed_)));
  }

 private:
  template <class T> void add(const T& value) {
    key_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void begin(char kind, Py_ssize_t size) {
    key_ += kind;
    add(size);
  }
  void fix(char kind, py::handle value) {
    key_ += kind;
    fixed_.append(value);
  }

  class Descent {
   public:
    Descent() {
      if (Py_EnterRecursiveCall(" in the arguments of a compiled function") != 0)
        throw py::error_already_set();
    }
    ~Descent() { Py_LeaveRecursiveCall(); }
    Descent(const Descent&) = delete;
  };

  void visit(PyObject* tree) {
    const Descent one_level;
    if (is_tensor(tree)) return visit_tensor(tensor_of(tree), tree);
    if (PyFloat_CheckExact(tree) || PyLong_CheckExact(tree)) {
      key_ += PyFloat_CheckExact(tree) ? 'f' : 'i';
      return numbers_.append(py::handle(tree));
    }
    if (PySlice_Check(tree)) {
      key_ += ':';
      for (const char* part : {"start", "stop", "step"}) fixed_.append(py::handle(tree).attr(part));
      return;
    }
    if (tree == Py_None) return void(key_ += 'n');
    if (PyBool_Check(tree)) return void(key_ += tree == Py_True ? '1' : '0');
    if (PyTuple_CheckExact(tree)) {
      begin('(', PyTuple_GET_SIZE(tree));
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tree); ++i) visit(PyTuple_GET_ITEM(tree, i));
      return;
    }
    if (PyList_CheckExact(tree)) {
      begin('[', PyList_GET_SIZE(tree));
      for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tree); ++i) visit(PyList_GET_ITEM(tree, i));
      return;
    }
    if (PyDict_CheckExact(tree)) {
      begin('{', PyDict_GET_SIZE(tree));
      Py_ssize_t at = 0;
      for (PyObject *name, *value; PyDict_Next(tree, &at, &name, &value);) {
        fixed_.append(py::handle(name));
        visit(value);
      }
      return;
    }
    if (is_numpy_array(tree)) {
      const Tensor tensor = tensor_from_object(tree);
      return visit_tensor(tensor, py::reinterpret_steal<py::object>(wrap(tensor)));
    }
    const py::object opened =
        py::module_::import("tidu._pytree").attr("_open")(py::handle(tree), py::type::of(py::handle(tree)));
    if (!opened.is_none()) {
      const auto [kind, type, names, parts, data] =
          opened.cast<std::tuple<py::object, py::object, py::object, py::object, py::object>>();
      fix('c', py::make_tuple(kind, type, names, data));
      begin('(', 0);
      for (const py::handle part : parts) visit(part.ptr());
      key_ += ')';
      return;
    }
    key_ += 'o';
    fixed_.append(is_told_by_identity(tree)
                      ? py::reinterpret_steal<py::object>(PyWeakref_NewRef(tree, nullptr))
                      : py::reinterpret_borrow<py::object>(tree));
  }

  // Such an object equals no other one, and a recording for it need not outlive it.
  static bool is_told_by_identity(PyObject* object) {
    PyTypeObject* const type = Py_TYPE(object);
    return type->tp_hash == PyBaseObject_Type.tp_hash &&
           type->tp_richcompare == PyBaseObject_Type.tp_richcompare && PyType_SUPPORTS_WEAKREFS(type);
  }

  void visit_tensor(const Tensor& tensor, py::handle object) {
    key_ += 't';
    add(tensor.dtype()), add(tensor.device().type), add(tensor.device().index), add(tensor.ndim());
    for (int i = 0; i < tensor.ndim(); ++i) add(tensor.size(i));
    add(tensor.requires_grad());
    if (!tensor.is_contiguous()) {
      key_ += 's';
      for (int i = 0; i < tensor.ndim(); ++i) add(tensor.strides()[i]);
    }
    tensors_.append(object);
  }

  std::string key_;
  py::list tensors_, numbers_, fixed_;
};

Tensor tensor_of_number(py::handle number) {
  const Scalar scalar = *scalar_from_object(number.ptr());
  const VisibleTraces none(nullptr);
  return full({}, scalar, scalar.kind == Kind::floating ? DType::float64 : DType::int64, Device{});
}

Tensors inputs_of(const py::list& tensors, const py::object& numbers) {
  Tensors inputs = to_tensors(tensors);
  for (const py::handle number : numbers) inputs.push_back(tensor_of_number(number));
  return inputs;
}

// What is live from begin() to end(), also where that fails. Were it live from its construction on, it would
// stay so where memory for what pybind11 notes about the object runs out, which destroys nothing then.
template <class Session> class Begun {
 public:
  template <class... Options> void begin(Options... options) { session_.emplace(options...); }
  py::list end() {
    struct Ending {
      std::optional<Session>& session;
      ~Ending() { session.reset(); }
    } const ending{session_};
    return session_->calls();
  }

 private:
  std::optional<Session> session_;
};

// A profile of which calls have the lines of the user's code.
class ProfileSession {
 public:
  py::list calls() const {
    py::list result;
    for (const ProfiledCall& call : profile_.calls()) {
      py::dict noted;
      noted["name"] = call.name, noted["operands"] = call.operands;
      noted["source"] = call.source.file ? str(call.source) : std::string();
      noted["device"] = call.device, noted["begin"] = call.begin, noted["duration"] = call.duration;
      noted["bytes"] = call.bytes, noted["operations"] = call.operations;
      noted["live_bytes"] = call.live_bytes, noted["allocations"] = call.allocations;
      noted["thread"] = call.thread;
      result.append(noted);
    }
    return result;
  }

 private:
  UserLine line_;
  const Lines lines_{[this] { return line_(); }};
  Profile profile_;
};

// A scope on one thread in which calls are looked at, and have the lines of the user's code.
class DetectNan {
 public:
  DetectNan(bool infinities, bool stops) : watch_(infinities, stops) {}

  py::list calls() const {
    py::list result;
    for (const NonFiniteCall& call : watch_.found()) {
      py::dict found;
      found["operation"] = call.operation, found["source"] = str(call.source);
      found["gave"] = call.gave, found["made"] = call.made;
      found["inputs"] = call.inputs, found["outputs"] = call.outputs;
      result.append(found);
    }
    return result;
  }

 private:
  UserLine line_;
  const Lines lines_{[this] { return line_(); }};
  NonFinite watch_;
  const Watch::Scope scope_{&watch_};
};

}  // namespace

void bind_compile(py::module_& m) {
  // None inside of a recording, and where each call is looked at.
  m.def("flatten_call", [](const py::object& arguments, const py::object& keywords) -> py::object {
    if (visible_capture() || Watch::active()) return py::none();
    return FlatCall(arguments.ptr(), keywords.ptr()).take();
  });
  // What makes an object returns it as a pointer: where memory for what pybind11 notes about it runs out, it
  // would free what a unique_ptr frees, too.
  py::class_<Compiled>(m, "Recording")
      .def(py::init([](const py::function& function, const py::list& tensors, const py::list& numbers,
                       std::vector<int> donated) {
        UserLine line;
        const Lines lines([&] { return line(); });
        return new Compiled(as_function(function), inputs_of(tensors, numbers), std::move(donated));
      }))
      .def(
          "__call__",
          // None where it must be made anew.
          [](const Compiled& compiled, const py::list& tensors, const py::object& numbers,
             bool advance) -> py::object {
            if (numbers.is_none() || !compiled.why_stale().empty()) return py::none();
            return to_list(compiled(inputs_of(tensors, numbers), advance));
          },
          py::arg("tensors"), py::arg("numbers"), py::arg("advance") = true)
      .def("why_stale",
           [](const Compiled& compiled) -> py::object {
             const std::string reason = compiled.why_stale();
             return reason.empty() ? py::object(py::none()) : py::object(py::str(reason));
           })
      .def("written", [](const Compiled& compiled,
                         const py::list& tensors) { return to_list(compiled.written(to_tensors(tensors))); })
      .def("explain", &Compiled::explain)
      .def_property_readonly("program", &Compiled::program)
      .def_property_readonly("closed_over",
                             [](const Compiled& compiled) { return to_list(compiled.closed_over()); });
  m.def("set_number_type",
        [](const py::type& type) { number_type = reinterpret_cast<PyTypeObject*>(type.inc_ref().ptr()); });
  m.def("autocasting", [] {
    const Autocasting now = autocasting();
    return py::make_tuple(
        now.enabled, now.dtype,
        now.device ? py::object(py::int_(static_cast<int>(*now.device))) : py::object(py::none()));
  });
  m.def("set_autocasting", [](bool enabled, DType dtype, std::optional<int> device) {
    set_autocasting(
        {enabled, dtype, device ? std::optional(static_cast<DeviceType>(*device)) : std::nullopt});
  });
  m.def("is_compiling", [] { return visible_capture() != nullptr; });
  py::class_<Begun<ProfileSession>>(m, "ProfileSession")
      .def(py::init())
      .def("begin", &Begun<ProfileSession>::begin<>)
      .def("end", &Begun<ProfileSession>::end);
  py::class_<Begun<DetectNan>>(m, "DetectNan")
      .def(py::init())
      .def("begin", &Begun<DetectNan>::begin<bool, bool>)
      .def("end", &Begun<DetectNan>::end);
  m.def("same_bits", [](const Tensor& a, const Tensor& b) {
    return a.spec() == b.spec() && host_bytes(a) == host_bytes(b);
  });
  m.def("on_compiled_call", [](const py::function& why_stale, const py::function& before,
                               const py::function& after, const py::function& undo) {
    visible_capture()->add_hook({[held = keep(why_stale.ptr())] {
                                   const WithLock locked;
                                   const py::object reason = call(held);
                                   return reason.is_none() ? std::string() : reason.cast<std::string>();
                                 },
                                 [held = keep(before.ptr())] {
                                   const WithLock locked;
                                   call(held);
                                 },
                                 [held = keep(after.ptr())] {
                                   const WithLock locked;
                                   call(held);
                                 },
                                 [held = keep(undo.ptr())] {
                                   const WithLock locked;
                                   call(held);
                                 }});
  });
}

}  // namespace tidu::python
