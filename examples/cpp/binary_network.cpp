// Binary classification by a network: two spirals, told apart by 2-16-16-1 units and cross-entropy.
//
// The network gives a logit z, and the loss of a label y in {0, 1} is softplus(z) - y z: the cross-entropy of
// p = sigmoid(z), but finite wherever z is. Its derivative by z is p - y, from which backpropagation takes
// the other gradients.
#include <numbers>

#include "common.h"

using namespace tidu;

namespace {

// Where probabilities of 0 and 1 would give infinities and NaN.
void check_large_logits(Device device) {
  const Tensor z = example::vector({1e4, 1e4, -1e4, -1e4}, device), y = example::vector({1, 0, 1, 0}, device);
  const auto loss = [&](const Tensor& at) {
    return nn::binary_cross_entropy_with_logits(at, y, nn::Reduction::none);
  };
  const auto total = [&](const Tensor& at) { return sum(loss(at)); };
  example::check("cross-entropy at logits of 1e4", example::numbers(loss(z)), {0, 1e4, 1e4, 0}, 0);
  example::check("its gradient", example::numbers(grad(total)(z)), {0, 1, -1, 0}, 0);
  example::check("its second derivative", hessian_diagonal(UnaryFunction(total))(z), zeros_like(z), 0);
}

}  // namespace

int main(int argc, char** argv) {
  return example::main(argc, argv, "A network tells two spirals apart.", [](const auto& options) {
    check_large_logits(options.device);
    const int64_t count = options.quick ? 60 : 400;
    const Tensor keys = random_split(random_key(4, options.device), 5);
    const Tensor turn =
        sqrt(random_uniform(keys[0], {count}, 0, 1, DType::float64)) * 1.5 * std::numbers::pi + 0.5;
    const Tensor y = astype(remainder(arange(count, kDefaultInt, options.device), 2), DType::float64);
    const Tensor angle = turn + std::numbers::pi * y;
    const Tensor x = stack({turn * cos(angle), turn * sin(angle)}, 1) / 3 +
                     0.04 * random_normal(keys[1], {count, 2}, 0, 1, DType::float64);

    Tensors weights, biases, parameters;
    for (const auto& [inputs, outputs] : {std::pair(2, 16), {16, 16}, {16, 1}}) {
      const Tensor key = keys[std::ssize(weights) + 2];
      weights.push_back(random_normal(key, {inputs, outputs}, 0, 1 / std::sqrt(inputs), DType::float64));
      biases.push_back(zeros({outputs}, DType::float64, options.device));
      for (Tensor parameter : {weights.back(), biases.back()})
        parameters.push_back(parameter.set_requires_grad());
    }
    const auto layer = [&](const Tensor& at, size_t i) { return matmul(at, weights[i]) + biases[i]; };
    const auto logit = [&](const Tensor& at) { return layer(tanh(layer(tanh(layer(at, 0)), 1)), 2); };
    const auto loss = [&] { return nn::binary_cross_entropy_with_logits(select(logit(x), 1, 0), y); };

    // Backpropagation by hand, layer by layer.
    loss().backward();
    {
      const GradMode off(false);
      const Tensor a = tanh(layer(x, 0)), b = tanh(layer(a, 1));
      const Tensor dz = (sigmoid(layer(b, 2)) - reshape(y, {-1, 1})) / count;
      const Tensor db = matmul(dz, matrix_transpose(weights[2])) * (1 - square(b));
      const Tensor da = matmul(db, matrix_transpose(weights[1])) * (1 - square(a));
      const Tensor deltas[] = {da, db, dz}, below[] = {x, a, b};
      for (size_t i = 0; i < 3; ++i) {
        const Tensor expected = matmul(matrix_transpose(below[i]), deltas[i]);
        example::check(str("gradient of weight ", i), weights[i].grad(), expected, 1e-12);
        example::check(str("gradient of bias ", i), biases[i].grad(), sum(deltas[i], 0), 1e-12);
      }
    }

    optim::Adam optimizer(parameters, {.lr = 0.01});
    for (int step = 0; step < (options.quick ? 200 : 1000); ++step) {
      optimizer.zero_grad();
      loss().backward();
      optimizer.step();
    }
    const GradMode off(false);
    const Tensor right = astype((select(logit(x), 1, 0) > 0) == (y > 0.5), DType::float64);
    std::cout << "loss in the end: " << item<double>(loss()) << "\n";
    example::check("share of right predictions", item<double>(mean(right)), 1, 0.05);

    example::Picture picture("The probability of the second spiral", "x1", "x2");
    picture.cells(-2.2, 2.2, -2.2, 2.2, options.quick ? 8 : 60, [&](double x1, double x2) {
      return item<double>(sigmoid(logit(reshape(example::vector({x1, x2}, options.device), {1, 2}))));
    });
    const auto x1 = example::numbers(example::column(x, 0)), x2 = example::numbers(example::column(x, 1));
    for (size_t i = 0; i < x1.size(); ++i)
      picture.points({x1[i]}, {x2[i]}, i % 2 ? "#e07b1a" : "#1f6fb4");  // as their labels are
    picture.save(options, "boundary");
  });
}
