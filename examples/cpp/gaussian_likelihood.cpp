// Maximum likelihood of a Gaussian, over its mean m and a Cholesky factor L of its covariance S = L L^T.
//
// Any L with a diagonal that is not zero gives a covariance, so nothing constrains the search. The negative
// log-likelihood of n observations x in d dimensions is
//   f(m, L) = n d/2 log(2 pi) + n sum of log |L_ii| + 1/2 sum of |L^-1 (x - m)|^2.
// Its gradient is zero at the sample's mean and covariance, where f is n/2 (d log(2 pi) + log det S + d).
#include <numbers>

#include "common.h"

using namespace tidu;

namespace {

constexpr int64_t kD = 3;

// The elements of the lower triangle, row by row, as a matrix, and those of a matrix.
Tensor factor(const Tensor& packed) {
  Tensors rows;
  for (int64_t i = 0, begin = 0; i < kD; begin += ++i)
    rows.push_back(pad(slice_axis(packed, 0, begin, begin + i + 1), {0}, {kD - 1 - i}));
  return stack(rows, 0);
}
Tensor packed(const Tensor& lower) {
  Tensors rows;
  for (int64_t i = 0; i < kD; ++i) rows.push_back(slice_axis(lower[i], 0, 0, i + 1));
  return concat(rows, 0);
}

}  // namespace

int main(int argc, char** argv) {
  return example::main(argc, argv, "Maximum likelihood of a Gaussian.", [](const auto& options) {
    const int64_t count = options.quick ? 40 : 500;
    const Tensor mixing =
        reshape(example::vector({1.5, 0, 0, -0.8, 0.6, 0, 0.5, 0.3, 0.9}, options.device), {kD, kD});
    const Tensor normal = random_normal(random_key(3, options.device), {count, kD}, 0, 1, DType::float64);
    const Tensor x = example::vector({1, -2, 0.5}, options.device) + matmul(normal, matrix_transpose(mixing));
    const auto n = static_cast<double>(count);
    const double log_two_pi = std::log(2 * std::numbers::pi);
    const auto f = [&](const Tensors& p) {
      const Tensor lower = factor(p[1]);
      const Tensor standard = linalg::solve_triangular(lower, matrix_transpose(x - p[0]));
      return n * kD / 2 * log_two_pi + n * sum(log(abs(linalg::diagonal(lower)))) + sum(square(standard)) / 2;
    };

    // At the sample's own mean and covariance the gradient is zero.
    const Tensor center = mean(x, 0);
    const Tensor covariance = matmul(matrix_transpose(x - center), x - center) / n;
    const Tensors best{center, packed(linalg::cholesky(covariance))};
    const ValueAndGrad there = value_and_grad(f, best);
    example::check("gradient by the mean", there.gradients[0], zeros_like(best[0]), 1e-10 * n);
    example::check("gradient by the factor", there.gradients[1], zeros_like(best[1]), 1e-10 * n);
    const double logdet = item<double>(linalg::logdet(covariance));
    example::check("f there", item<double>(there.value), n / 2 * (kD * log_two_pi + logdet + kD), 1e-9 * n);
    if (classify_stationary_point(f, best).kind != StationaryPoint::Kind::minimum)
      fail<ValueError>("it is no minimum");

    // From zero and the identity, minimisation comes there by itself.
    const Tensor identity = eye(kD, kD, 0, DType::float64, options.device);
    const auto report = optim::minimize(f, {zeros_like(center), packed(identity)}, {.gtol = 1e-6});
    std::cout << "L-BFGS: " << report << "\n";
    const Tensor lower = factor(report.x[1]);
    example::check("the mean that L-BFGS finds", report.x[0], center, 1e-8);
    example::check("the covariance", matmul(lower, matrix_transpose(lower)), covariance, 1e-8);

    // The information about the mean is n S^-1, so its errors are the roots of S_ii / n.
    example::check("standard errors of the mean", optim::standard_errors(f, report.x)[0],
                   sqrt(linalg::diagonal(covariance) / n), 1e-8);

    example::Picture picture("Two standard deviations at the estimate, and at the start", "x1", "x2");
    picture.points(example::numbers(example::column(x, 0)), example::numbers(example::column(x, 1)),
                   "#1f6fb4");
    const auto ellipse = [&](const Tensor& at, const Tensor& of, const char* colour) {
      const auto m = example::numbers(at), l = example::numbers(of);
      example::Numbers xs, ys;
      for (int i = 0; i <= 100; ++i) {
        const double angle = 2 * std::numbers::pi * i / 100;
        xs.push_back(m[0] + 2 * l[0] * std::cos(angle));
        ys.push_back(m[1] + 2 * (l[kD] * std::cos(angle) + l[kD + 1] * std::sin(angle)));
      }
      picture.line(xs, ys, colour);
    };
    ellipse(zeros_like(center), identity, "#22303c");
    ellipse(report.x[0], lower, "#c8372d");
    picture.save(options, "ellipses");
  });
}
