// The operations, family by family.
#include "ops/operations.h"

namespace tidu::python {

void bind_operations(py::module_& m) {
  m.attr("_signatures") = py::dict();  // of those bound without pybind11, with types
  const Definitions define{m};
#define TIDU_BIND(family) bind_##family(define);
  TIDU_BOUND_FAMILIES(TIDU_BIND)
#undef TIDU_BIND
}

}  // namespace tidu::python
