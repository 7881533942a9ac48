// Multinomial logistic regression: which of three garments is it, by the brightness of four parts of its
// picture? Fashion-MNIST's pullovers, coats and shirts, which are not told apart so easily.
//
// p = softmax(0, x W) for the parameters W of the last two classes. With the indicators y of the classes the
// negative log-likelihood has
//   gradient  sum of x (p - y)^T,   Hessian  sum of (x x^T) (x) (diag(p) - p p^T).
#include "common.h"

using namespace tidu;

int main(int argc, char** argv) {
  return example::main(argc, argv, "Multinomial logistic regression of garments.", [](const auto& options) {
    const auto [pixels, labels] = example::fashion({2, 4, 6}, options.quick ? 100 : 1000, options.device);
    const int64_t n = pixels.size(0);
    const Tensor parts = mean(reshape(pixels, {n, 4, 7 * 28}), 2);
    const Tensor constant = ones({n, 1}, DType::float64, options.device);
    const Tensor x = concat({constant, parts}, 1), transposed = matrix_transpose(x);
    const Tensor y = one_hot(labels, 3, DType::float64);
    const auto logits = [](const Tensor& rows, const Tensor& w) {
      return concat({zeros({rows.size(0), 1}, DType::float64, rows.device()), matmul(rows, w)}, 1);
    };
    const auto f = [&](const Tensors& w) { return -sum(y * log_softmax(logits(x, w[0]), 1)); };

    const Tensor start = zeros({5, 2}, DType::float64, options.device);
    const auto newton = optim::minimize(f, {start}, {.method = optim::Method::newton_cg, .gtol = 1e-6});
    const auto lbfgs = optim::minimize(f, {start}, {.gtol = 1e-6});
    std::cout << "Newton's method: " << newton << "\nL-BFGS: " << lbfgs << "\n";
    const Tensor w = newton.x[0], p = softmax(logits(x, w), 1);
    example::check("gradient at the minimum", matmul(transposed, p - y),
                   zeros({5, 3}, DType::float64, options.device), 1e-5);
    example::check("expected and observed numbers of each class", sum(p, 0), sum(y, 0), 1e-5);
    example::check("L-BFGS beside Newton's method", lbfgs.x[0], w, 1e-4);

    const Tensor q = slice_axis(p, 1, 1, 3);
    const Tensor spread =
        expand_dims(q, 2) * (eye(2, 2, 0, DType::float64, options.device) - expand_dims(q, 1));
    const Tensor information = reshape(linalg::einsum("na,nb,njk->ajbk", {x, x, spread}), {10, 10});
    example::check("Hessian", reshape(hessian(f, {w})[0][0], {10, 10}), information, 1e-8);
    const Tensor errors = optim::standard_errors(f, {w})[0];
    const Tensor closed = reshape(sqrt(linalg::diagonal(linalg::inv(information))), {5, 2});
    example::check("standard errors", errors, closed, 1e-7);
    std::cout << "coefficients " << w << "\nstandard errors " << errors << "\n";

    // Stochastic gradient descent, on columns of one size.
    const Tensor rows = concat({constant, (parts - mean(parts, 0)) / tidu::std(parts, 0)}, 1);
    Tensor v = zeros({5, 2}, DType::float64, options.device);
    v.set_requires_grad();
    optim::SGD optimizer({v}, {.lr = 0.2, .momentum = 0.9});
    data::DataLoader loader(data::TensorDataset({rows, labels}),
                            {.batch_size = 50, .shuffle = true, .key = random_key(0, options.device)});
    const int64_t epochs = options.quick ? 60 : 15;
    const optim::Schedule schedule = optim::cosine_schedule(0.2, epochs * loader.num_batches());
    example::Numbers at, excess;
    for (int64_t step = 0; loader.position().epoch < epochs;) {
      const auto batch = loader.next();
      if (!batch) {
        const double loss = item<double>(nn::cross_entropy(logits(rows, stop_gradient(v)), labels));
        at.push_back(static_cast<double>(at.size() + 1));
        excess.push_back(loss - newton.value / static_cast<double>(n));
        continue;
      }
      optimizer.zero_grad();
      nn::cross_entropy(logits(batch->at(0), v), batch->at(1)).backward();
      optimizer.set_lr(schedule(step++));
      optimizer.step();
    }
    example::check("mean loss by stochastic gradient descent, above the minimum", excess.back(), 0, 2e-3);
    for (double& value : excess) value = std::log10(std::max(value, 1e-12));
    example::Picture("Stochastic gradient descent", "epoch", "log10 of the mean loss above its minimum")
        .line(at, excess, "#1f6fb4")
        .points(at, excess, "#1f6fb4")
        .save(options, "descent");
  });
}
