// A two-layer network learns Fashion-MNIST: 784 inputs, 256 sigmoid units, softmax cross-entropy over 10
// classes.
#include "training.h"

using namespace tidu;

int main(int argc, char** argv) {
  const auto make_model = [](const Tensor& key) {
    constexpr int64_t kHidden = 256;
    const Tensor keys = random_split(key);
    return std::make_unique<nn::Sequential>(nn::Linear(784, kHidden, select(keys, 0, 0)), nn::Sigmoid(),
                                            nn::Linear(kHidden, 10, select(keys, 0, 1)));
  };
  return example::main(
      argc, argv, {.description = "A two-layer network learns Fashion-MNIST.", .adam_lr = 3e-3}, make_model);
}
