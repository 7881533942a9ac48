// The line of the user's code that makes a call.
#pragma once

#include <unordered_map>

#include "binding.h"

namespace tidu::python {

// The line of the innermost Python call outside of this package, for each code object looked up once.
class UserLine {
 public:
  UserLine()
      : package_(py::module_::import("os.path")
                     .attr("dirname")(py::module_::import("tidu").attr("__file__"))
                     .cast<std::string>() +
                 "/") {}

  SourceLine operator()() {
    const WithLock locked;
    SourceLine source;
    auto frame = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
    while (frame) {
      auto* const at = reinterpret_cast<PyFrameObject*>(frame.ptr());
      if (const auto& file = file_of(at)) return {file, PyFrame_GetLineNumber(at)};
      frame = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(PyFrame_GetBack(at)));
    }
    return source;
  }

 private:
  // Without its folder; null for a file of this package.
  const std::shared_ptr<const std::string>& file_of(PyFrameObject* frame) {
    const auto code = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(PyFrame_GetCode(frame)));
    const auto [found, is_new] = files_.try_emplace(code.ptr());
    if (is_new) {
      const auto path = code.attr("co_filename").cast<std::string>();
      found->second.code = code;
      if (!path.starts_with(package_))
        found->second.file = std::make_shared<const std::string>(path.substr(path.rfind('/') + 1));
    }
    return found->second.file;
  }

  struct File {
    py::object code;  // which keeps its address
    std::shared_ptr<const std::string> file;
  };
  const std::string package_;
  std::unordered_map<PyObject*, File> files_;
};

}  // namespace tidu::python
