// Linear regression: how far cars of the 1920s ran until they stood, by their speed (Ezekiel 1930).
//
// The line w0 + w1 x nearest to the measured y minimises L(w) = 1/2 |X w - y|^2, whose rows of X are (1, x).
// Its gradient X^T (X w - y) is zero where X^T X w = X^T y: the normal equations. Descent comes to the same
// place: each step multiplies the error by I - lr X^T X.
#include "common.h"

using namespace tidu;

int main(int argc, char** argv) {
  return example::main(argc, argv, "Linear regression of stopping distances.", [](const auto& options) {
    const Tensor cars = example::table("cars", options.device);
    const Tensor speed = example::column(cars, 0), y = example::column(cars, 1);
    const Tensor x = speed / 10;  // in tens of miles an hour both columns of X are of one size
    const Tensor design = stack({ones_like(x), x}, 1), transposed = matrix_transpose(design);
    const auto loss = [&](const Tensor& w) { return sum(square(matmul(design, w) - y)) / 2; };

    // The normal equations. R prints -17.5791 and 3.9324 for these data.
    const Tensor gram = matmul(transposed, design);
    const Tensor best = linalg::solve(gram, matmul(transposed, y));
    example::check("coefficients", example::numbers(best), {-17.57909489, 39.32408759}, 1e-7);
    example::check("gradient at the solution", grad(loss)(best), zeros_like(best), 1e-9);
    example::check("lstsq, by singular values", linalg::lstsq(design, y).x, best, 1e-9);
    example::check("Hessian", hessian(UnaryFunction(loss))(best), gram, 1e-9);

    // With normal errors of variance s^2, L / s^2 is a negative log-likelihood.
    const double variance = 2 * item<double>(loss(best)) / static_cast<double>(y.numel() - 2);
    const Tensor errors =
        optim::standard_errors([&](const Tensors& w) { return loss(w[0]) / variance; }, {best})[0];
    example::check("standard errors", errors, sqrt(variance * linalg::diagonal(linalg::inv(gram))), 1e-9);
    example::check("standard errors as R prints them", example::numbers(errors), {6.7584, 4.155}, 5.1e-4);

    // Descent with the steps that shrink the larger of both errors fastest.
    const auto curvatures = example::numbers(linalg::eigvalsh(gram));
    const double lr = 2 / (curvatures[0] + curvatures[1]);
    const int steps = options.quick ? 20 : 500;
    const auto slope = grad(loss);
    Tensor w = zeros_like(best);
    example::Numbers path[2];
    for (int step = 0; step < steps; ++step) {
      for (int64_t i = 0; i < 2; ++i) path[i].push_back(item<double>(w[i]));
      w = w - lr * slope(w);
    }
    const Tensor shrink =
        linalg::matrix_power(eye(2, 2, 0, DType::float64, options.device) - lr * gram, steps);
    example::check(str(steps, " steps of descent"), w, best - matmul(shrink, best), 1e-9);
    const auto report = optim::minimize([&](const Tensors& at) { return loss(at[0]); }, {w});
    std::cout << "L-BFGS: " << report << "\n";
    example::check("L-BFGS", report.x[0], best, 1e-6);

    example::Picture("The line of least squares", "speed, miles an hour", "distance, feet")
        .points(example::numbers(speed), example::numbers(y), "#1f6fb4")
        .line(example::numbers(speed), example::numbers(matmul(design, best)), "#22303c")
        .save(options, "line");
    example::Picture("Descent on L", "w0", "w1, tens of miles an hour")
        .line(path[0], path[1], "#e07b1a")
        .points(example::numbers(best[0]), example::numbers(best[1]), "#c8372d")
        .save(options, "descent");
  });
}
