// The operations, family by family.
#include "ops/operations.h"

namespace tidu::python {

void bind_operations(py::module_& m) {
  m.attr("_signatures") = py::dict();  // of those bound without pybind11, with types
  const Definitions define{m};
  bind_elementwise(define);
  bind_reductions(define);
  bind_scans(define);
  bind_softmax(define);
  bind_matmul(define);
  bind_products(define);
  bind_shape(define);
  bind_arrangements(define);
  bind_composites(define);
  bind_conversions(define);
  bind_indexing(define);
  bind_order(define);
}

}  // namespace tidu::python
