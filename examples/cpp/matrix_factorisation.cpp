// Matrix factorisation: 100 pictures of ankle boots as mixtures of a few.
//
// f(X, Y) = 1/2 |X Y - A|_F^2 with X of few columns has the gradients (X Y - A) Y^T by X and X^T (X Y - A) by
// Y. It is not convex, but all its minima are global: X Y is then the sum of the largest terms of the
// singular value decomposition of A, and f is half the sum of the squares of the other singular values
// (Eckart and Young 1936).
#include "common.h"

using namespace tidu;

int main(int argc, char** argv) {
  return example::main(argc, argv, "Matrix factorisation of pictures of boots.", [](const auto& options) {
    constexpr int64_t kBoot = 9, kRank = 6;
    Tensor images = example::fashion({kBoot}, options.quick ? 12 : 100, options.device).pixels;
    if (options.quick)  // every fourth pixel
      images = slice_axis(slice_axis(images, 1, 0, 28, 4), 2, 0, 28, 4);
    const int64_t rows = images.size(0), side = images.size(1);
    const Tensor a = reshape(images, {rows, side * side});
    const auto f = [&](const Tensors& p) { return sum(square(matmul(p[0], p[1]) - a)) / 2; };

    const Tensor keys = random_split(random_key(0, options.device));
    const Tensor x = 0.1 * random_normal(keys[0], {rows, kRank}, 0, 1, DType::float64);
    const Tensor y = 0.1 * random_normal(keys[1], {kRank, side * side}, 0, 1, DType::float64);
    const Tensors gradients = value_and_grad(f, {x, y}).gradients;
    const Tensor rest = matmul(x, y) - a;
    example::check("gradient by X", gradients[0], matmul(rest, matrix_transpose(y)), 1e-10);
    example::check("gradient by Y", gradients[1], matmul(matrix_transpose(x), rest), 1e-10);

    const auto report = optim::minimize(f, {x, y}, {.gtol = 1e-5});
    std::cout << "L-BFGS: " << report << "\n";
    const auto [u, s, vh] = linalg::svd(a, false);
    const double least = item<double>(sum(square(slice_axis(s, 0, kRank, {})))) / 2;
    example::check("f at the minimum, relative to Eckart and Young's", report.value / least, 1, 1e-8);
    const Tensor truncated =
        matmul(slice_axis(u, 1, 0, kRank) * slice_axis(s, 0, 0, kRank), slice_axis(vh, 0, 0, kRank));
    const Tensor found = matmul(report.x[0], report.x[1]);
    example::check("X Y beside the truncated decomposition", found, truncated, 1e-5);

    // The first picture, and what the patterns make of it.
    const auto draw = [&](const Tensor& matrix, const char* title, const char* name) {
      const auto pixels = example::numbers(matrix[0]);
      const auto value = [&](double column, double row) {
        const auto r = side - 1 - static_cast<int64_t>(row), c = static_cast<int64_t>(column);
        return -pixels[static_cast<size_t>(r * side + c)];
      };
      const auto extent = static_cast<double>(side);
      example::Picture(title, "", "")
          .cells(0, extent, 0, extent, static_cast<int>(side), value)
          .save(options, name);
    };
    draw(a, "A boot", "boot");
    draw(found, "The boot as a mixture of six patterns", "mixture");
  });
}
