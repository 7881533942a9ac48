// Reading and adding at indices.
#include "ops/operations.h"

namespace tidu::python {

void bind_indexing(const Definitions& define) {
  define.both<take>("take", "x, indices, axis=0",
                    "The slices at integer indices along an axis, which is replaced by the indices' shape.");
  define.both<take_along_axis>("take_along_axis", "x, indices, axis=-1",
                               "The elements that indices, of x's rank, name along an axis.");
  define.both<scatter_add>(
      "scatter_add", "x, indices, updates, axis=0",
      "x with updates, shaped like take(x, indices, axis), added at the indices; repeated indices add up.");
  define.both(
      "nonzero", [](const Tensor& x) { return py::tuple(py::cast(nonzero(x))); },
      "The coordinates of the elements that are not 0: one int64 vector an axis.");
}

}  // namespace tidu::python
