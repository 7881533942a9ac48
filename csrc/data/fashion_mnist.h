// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): pictures of clothes in ten classes, 60,000 to learn from and
// 10,000 to test with.
#pragma once

#include <array>

#include "io/files.h"
#include "tensor/tensor.h"

namespace tidu::data {

using io::Path;

struct FashionMnist {
  static constexpr const char* kDefaultRoot =
      "/usr/share/datasets/fashion-mnist";  // of dataset-fashion-mnist
  static constexpr std::array<const char*, 10> kClasses = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                                           "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                                           "Bag",         "Ankle boot"};

  Tensor images;  // uint8 (n, 28, 28)
  Tensor labels;  // int64 (n), in [0, 10)
};

// Reads the two files of one half (train-images-idx3-ubyte.gz ..), gzipped or without ".gz", from `root`.
// MissingFileError says how to get them; a file with the wrong checksum is a FileError that names it.
FashionMnist fashion_mnist(bool train, const Path& root = FashionMnist::kDefaultRoot);

}  // namespace tidu::data
