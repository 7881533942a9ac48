// Products of vectors and matrices.
#include "ops/fourier.h"
#include "ops/operations.h"

namespace tidu::python {

void bind_matmul(const Definitions& define) {
  define.both<matmul>("matmul", "x, other",
                      "The matrix product by NumPy's rule: vectors, matrices, batches.");
  example("matmul", "td.matmul(td.tensor([[1.0, 2.0], [3.0, 4.0]]), td.tensor([1.0, 1.0]))",
          "tensor([3., 7.], dtype=float32)");
  define.both<outer>("outer", "x, other", "The outer product (m, n) of vectors (m) and (n).");
  example("outer", "td.outer(td.tensor([1.0, 2.0]), td.tensor([3.0, 4.0]))",
          "tensor([[3., 4.],\n"
          "        [6., 8.]], dtype=float32)");
  define.both<vecdot>("vecdot", "x, other, axis=-1",
                      "The sum of the products along an axis, of conj(x) and other.");
  example("vecdot", "td.vecdot(td.tensor([1.0, 2.0]), td.tensor([3.0, 4.0]))", "tensor(11., dtype=float32)");
  define.function("_fourier", fourier, py::arg("x"), py::arg("axis"), py::arg("inverse"),
                  "The discrete Fourier transform along an axis, without a factor.");
  define.function("_real_fourier", real_fourier, py::arg("x"), py::arg("axis"),
                  "The first half of that of real numbers.");
  define.function("_fourier_to_real", fourier_to_real, py::arg("x"), py::arg("n"), py::arg("axis"),
                  "The n real numbers of a first half, without a factor.");
}

}  // namespace tidu::python
