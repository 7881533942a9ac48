// Gradient descent on surfaces: where it leads, how fast, and what other methods do.
//
// Of the quadratic f(x) = 1/2 <x - c, A (x - c)> both are known: after k steps of length lr the point is
// c + (I - lr A)^k (x - c), and the gradient flow x' = -f'(x) is at c + exp(-t A) (x - c) at time t. Of
// Rosenbrock's valley (1 - x1)^2 + 100 (x2 - x1^2)^2 the minimum is known, (1, 1), and a hard way.
#include "common.h"

using namespace tidu;
using optim::Method;

int main(int argc, char** argv) {
  return example::main(argc, argv, "Gradient descent on surfaces.", [](const auto& options) {
    const auto point = [&](double a, double b) { return example::vector({a, b}, options.device); };
    const Tensor a = stack({point(3, 1), point(1, 1)}, 0), centre = point(0.5, -0.5),
                 start = point(-1.5, 1.5);
    const auto bowl = [&](const Tensor& x) { return sum((x - centre) * matmul(a, x - centre)) / 2; };
    const auto slope = grad(bowl);
    example::check("gradient", slope(start), matmul(a, start - centre), 1e-14);
    const Tensor steepest = steepest_direction(UnaryFunction(bowl), start);
    example::check("slope along it, its norm", directional_derivative(UnaryFunction(bowl), start, steepest),
                   linalg::vector_norm(slope(start)), 1e-12);

    const double lr = 0.5;
    Tensor x = start;
    for (int step = 0; step < 30; ++step) x = x - lr * slope(x);
    const Tensor shrink = linalg::matrix_power(eye(2, 2, 0, DType::float64, options.device) - lr * a, 30);
    example::check("30 steps", x, centre + matmul(shrink, start - centre), 1e-12);

    const double time = 0.8;
    const auto flow =
        optim::minimize([&](const Tensors& p) { return bowl(p[0]); }, {start},
                        {.method = Method::gradient_flow, .time = time, .rtol = 1e-7, .atol = 1e-9});
    std::cout << "flow: " << flow << "\n";
    example::check("flow", flow.x[0], centre + matmul(linalg::matrix_exp(-time * a), start - centre), 1e-6);

    // In the valley, the path of each method is that of its first iterations.
    const auto rosenbrock = [](const Tensors& p) {
      return square(1 - p[0][0]) + 100 * square(p[0][1] - square(p[0][0]));
    };
    example::Picture picture("Rosenbrock's valley (orange: descent, red: L-BFGS, white: Newton)", "x1", "x2");
    picture.cells(-1.6, 1.4, -0.6, 1.6, options.quick ? 8 : 60, [&](double x1, double x2) {
      return std::log10(1e-3 + item<double>(rosenbrock({point(x1, x2)})));
    });
    const double gtol = options.quick ? 1e-2 : 1e-4;
    const std::pair<Method, const char*> methods[] = {
        {Method::gradient_descent, "#e07b1a"}, {Method::lbfgs, "#c8372d"}, {Method::newton_cg, "#ffffff"}};
    for (const auto& [method, colour] : methods) {
      example::Numbers path[2];
      for (int64_t limit = 0; limit <= (options.quick ? 8 : 40); ++limit) {
        const auto report =
            optim::minimize(rosenbrock, {point(-1.2, 1)}, {.method = method, .max_iter = limit});
        const auto at = example::numbers(report.x[0]);
        for (size_t i = 0; i < 2; ++i) path[i].push_back(at[i]);
      }
      picture.line(path[0], path[1], colour).points(path[0], path[1], colour);
      const auto report = optim::minimize(rosenbrock, {point(-1.2, 1)}, {.method = method, .gtol = gtol});
      std::cout << report << "\n";
      // Near the minimum the gradient is the Hessian, whose least eigenvalue is 0.4, times the distance.
      example::check("minimum", report.x[0], point(1, 1), 1.1 * gtol / 0.4);
    }
    picture.save(options, "valley");
  });
}
