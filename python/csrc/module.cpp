// The extension module tidu._core.
#include "binding.h"

namespace {

pybind11::list public_names(const pybind11::module_& m) {
  pybind11::list names;
  for (const auto& [name, value] : m.attr("__dict__").cast<pybind11::dict>()) {
    const auto text = name.cast<std::string>();
    if (!text.starts_with('_') && text != "stop_gradient") names.append(name);  // tidu's takes trees
  }
  return names;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  using namespace tidu::python;
  m.doc() = "The C++ library as seen from Python; users import tidu.";
  m.attr("__version__") = TIDU_VERSION;
  m.attr("_max_rank") = tidu::kMaxRank;
  bind_errors(m);
  bind_types(m);
  bind_tensor(m);
  bind_operations(m);
  bind_creation(m);
  bind_exchange(m);
  m.attr("__all__") =
      public_names(m);  // what users have as tidu.name; the rest is for the package's own files
  bind_random(m);
  bind_linalg(m);
  bind_transforms(m);
  bind_system(m);
  bind_cuda(m);
  bind_training(m);
  explain_arguments(m);
}
