// Binary logistic regression: did a new method of teaching economics improve grades? 32 students (Spector and
// Mazzeo 1980; the estimates are in Greene's Econometric Analysis).
//
// With p = sigmoid(x w) the negative log-likelihood is
//   f(w) = sum of softplus(x w) - y x w,   f'(w) = X^T (p - y),   f''(w) = X^T diag(p (1 - p)) X.
#include "common.h"

using namespace tidu;

namespace {

// The mean loss after stochastic gradient descent on batches of 8 students.
Tensor descend(const Tensor& rows, const Tensor& y, int64_t epochs) {
  const Tensor scaled =
      (rows - mean(rows, 0)) / tidu::std(rows, 0);  // of one size, or one step cannot fit all
  const Tensor x = concat({ones_like(slice_axis(rows, 1, 0, 1)), scaled}, 1);
  Tensor w = zeros({x.size(1)}, DType::float64, x.device());
  w.set_requires_grad();
  const auto loss = [&](const Tensor& batch, const Tensor& improved) {
    return nn::binary_cross_entropy_with_logits(matmul(batch, w), improved);
  };
  optim::SGD optimizer({w}, {.lr = 0.3});
  const optim::Schedule schedule = optim::cosine_schedule(0.3, 4 * epochs);
  data::DataLoader loader(data::TensorDataset({x, y}),
                          {.batch_size = 8, .shuffle = true, .key = random_key(1, x.device())});
  for (int64_t step = 0; loader.position().epoch < epochs;) {
    const auto batch = loader.next();
    if (!batch) continue;
    optimizer.zero_grad();
    loss(batch->at(0), batch->at(1)).backward();
    optimizer.set_lr(schedule(step++));
    optimizer.step();
  }
  return loss(x, y);
}

}  // namespace

int main(int argc, char** argv) {
  return example::main(argc, argv, "Binary logistic regression of grades.", [](const auto& options) {
    const Tensor students = example::table("spector", options.device);
    const Tensor rows = slice_axis(students, 1, 0, 3), y = example::column(students, 3);
    const Tensor x = concat({ones({32, 1}, DType::float64, options.device), rows}, 1);
    const Tensor transposed = matrix_transpose(x);
    const auto f = [&](const Tensors& w) {
      const Tensor z = matmul(x, w[0]);
      return sum(softplus(z) - y * z);
    };

    const Tensor start = zeros({4}, DType::float64, options.device);
    const auto newton = optim::minimize(f, {start}, {.method = optim::Method::newton_cg});
    const auto lbfgs = optim::minimize(f, {start});
    std::cout << "Newton's method: " << newton << "\nL-BFGS: " << lbfgs << "\n";
    const Tensor w = newton.x[0], p = sigmoid(matmul(x, w));
    example::check("gradient at the minimum", matmul(transposed, p - y), zeros_like(w), 1e-6);
    example::check("L-BFGS beside Newton's method", lbfgs.x[0], w, 1e-6);
    example::check("mean probability, which is the share of ones", mean(p), mean(y), 1e-8);

    const Tensor information = matmul(transposed, x * reshape(p * (1 - p), {-1, 1}));
    const Tensor errors = optim::standard_errors(f, {w})[0];
    example::check("Hessian", hessian(f, {w})[0][0], information, 1e-9);
    example::check("standard errors", errors, sqrt(linalg::diagonal(linalg::inv(information))), 1e-9);
    example::check("coefficients as Greene prints them", example::numbers(w),
                   {-13.0213, 2.8261, 0.0952, 2.3787}, 5.1e-5);
    example::check("standard errors as Greene prints them", example::numbers(errors),
                   {4.931, 1.263, 0.142, 1.065}, 5.1e-4);
    example::check("mean loss by stochastic gradient descent", item<double>(descend(rows, y, 50)),
                   newton.value / 32, 1e-3);

    // The probability by grade point average, at the mean test score, of the old and the new method.
    example::Picture picture("Did the grade improve? (red: the new method)", "grade point average",
                             "probability");
    const Tensor grades = linspace(2, 4, 50, DType::float64, options.device);
    const double test = item<double>(mean(example::column(students, 1)));
    for (const int method : {0, 1}) {
      const Tensor z = w[0] + w[1] * grades + w[2] * test + w[3] * method;
      picture.line(example::numbers(grades), example::numbers(sigmoid(z)), method ? "#c8372d" : "#1f6fb4");
    }
    picture.points(example::numbers(example::column(students, 0)), example::numbers(y), "#22303c")
        .save(options, "curves");
  });
}
