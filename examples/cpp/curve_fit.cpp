// Finds the amplitude, the decay and the frequency of a damped oscillation in noisy measurements.
#include <iostream>

#include "tidu.h"
using namespace tidu;

// p[0] exp(-p[1] t) cos(p[2] t)
Tensor oscillation(const Tensor& p, const Tensor& t) { return p[0] * exp(-p[1] * t) * cos(p[2] * t); }

int main() {
  const Tensor truth = tensor<float>({2, 0.3f, 1.5f}), t = linspace(0, 10, 200);
  const Tensor measured = oscillation(truth, t) + random_normal(random_key(7), t.shape(), 0, 0.05);
  const auto loss = [&](const Tensor& p) { return mean(square(oscillation(p, t) - measured)); };

  Tensor p = tensor<float>({1, 0.1f, 1.2f});
  p.set_requires_grad();
  optim::Adam optimizer({p}, {.lr = 0.02});
  for (int step = 0; step <= 1000; ++step) {
    optimizer.zero_grad();
    const Tensor value = loss(p);
    value.backward();
    optimizer.step();
    if (step % 250 == 0)
      std::cout << "step " << step << ": loss " << item<float>(value) << ", p = " << p << "\n";
  }

  // How sure each parameter is: the Hessian of the loss there, and its product with a direction.
  std::cout << "truth " << truth << "\nHessian\n" << hessian(UnaryFunction(loss))(p) << "\n";
  const auto of_list = [&](const Tensors& list) { return loss(list[0]); };
  std::cout << "Hessian times (1, 0, 0)\n" << hvp(of_list, {p}, {tensor<float>({1, 0, 0})})[0] << std::endl;
}
