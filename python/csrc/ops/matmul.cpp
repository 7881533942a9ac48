// Products of vectors and matrices.
#include "ops/fourier.h"
#include "ops/operations.h"

namespace tidu::python {

void bind_matmul(const Definitions& define) {
  define.both<matmul>("matmul", "x, other",
                      "The matrix product by NumPy's rule: vectors, matrices, batches.");
  define.both<outer>("outer", "x, other", "The outer product (m, n) of vectors (m) and (n).");
  define.both<vecdot>("vecdot", "x, other, axis=-1",
                      "The sum of the products along an axis, of conj(x) and other.");
  define.function("_fourier", fourier, py::arg("x"), py::arg("axis"), py::arg("inverse"),
                  "The discrete Fourier transform along an axis, without a factor.");
  define.function("_real_fourier", real_fourier, py::arg("x"), py::arg("axis"),
                  "The first half of that of real numbers.");
  define.function("_fourier_to_real", fourier_to_real, py::arg("x"), py::arg("n"), py::arg("axis"),
                  "The n real numbers of a first half, without a factor.");
}

}  // namespace tidu::python
