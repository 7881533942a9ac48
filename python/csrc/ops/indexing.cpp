// Reading and adding at indices.
#include "ops/operations.h"

namespace tidu::python {
namespace {

constexpr Tensor (*put_slices)(const Tensor&, const Tensor&, const Tensor&, int64_t) = scatter_set;

}  // namespace

void bind_indexing(const Definitions& define) {
  define.both<take>("take", "x, indices, axis=0",
                    "The slices at integer indices along an axis, which is replaced by the indices' shape.");
  define.both<take_along_axis>("take_along_axis", "x, indices, axis=-1",
                               "The elements that indices, of x's rank, name along an axis.");
  constexpr const char* kScatter = "x, indices, updates, axis=0";
  define.both<scatter_add>(
      "scatter_add", kScatter,
      "x with updates, broadcast to take(x, indices, axis), added at the indices; repeated "
      "indices add up.");
  define.both<put_slices>(
      "scatter_set", kScatter,
      "x with updates, broadcast to take(x, indices, axis), put at the indices; of a repeated "
      "index the last one\nstays.");
  define.both<scatter_multiply>(
      "scatter_multiply", kScatter,
      "x multiplied by updates, broadcast to take(x, indices, axis), at the indices.");
  define.both<scatter_min>(
      "scatter_min", kScatter,
      "The smallest of x and of updates, broadcast to take(x, indices, axis), at the indices.");
  define.both<scatter_max>(
      "scatter_max", kScatter,
      "The largest of x and of updates, broadcast to take(x, indices, axis), at the indices.");
  define.both<put_along_axis>("put_along_axis", "x, indices, values, axis=-1",
                              "x with the elements that indices, of x's rank, name along an axis replaced by "
                              "values; x stays as it is.");
  define.both(
      "nonzero", [](const Tensor& x) { return py::tuple(py::cast(nonzero(x))); },
      "The coordinates of the elements that are not 0: one int64 vector an axis.");
}

}  // namespace tidu::python
