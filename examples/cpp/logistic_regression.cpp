// Multinomial logistic regression on Fashion-MNIST: softmax cross-entropy of one affine map of the pixels.
#include "training.h"

using namespace tidu;

int main(int argc, char** argv) {
  const auto make_model = [](const Tensor& key) { return std::make_unique<nn::Linear>(784, 10, key); };
  return example::main(argc, argv,
                       {.description = "Multinomial logistic regression on Fashion-MNIST.", .adam_lr = 2e-3},
                       make_model);
}
