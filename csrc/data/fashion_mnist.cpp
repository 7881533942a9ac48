// Fashion-MNIST.
#include "data/fashion_mnist.h"

#include "data/idx.h"
#include "ops/convert.h"
#include "ops/shape.h"

namespace tidu::data {
namespace {

struct KnownFile {
  const char* name;
  const char* sha256;  // of the unpacked file
};
struct Half {
  KnownFile images, labels;
};
constexpr Half kTrain = {
    {"train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
    {"train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"}};
constexpr Half kTest = {
    {"t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
    {"t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}};

Tensor read_known(const Path& root, const KnownFile& file) {
  const Path packed = root / (std::string(file.name) + ".gz"), plain = root / file.name;
  for (const Path& path : {packed, plain}) {
    if (std::filesystem::exists(path)) return read_idx(path, file.sha256);
  }
  fail<MissingFileError>(packed.string(),
                         ": there is no such file (apt-get install dataset-fashion-mnist puts it into ",
                         FashionMnist::kDefaultRoot, ")");
}

}  // namespace

FashionMnist fashion_mnist(bool train, const Path& root) {
  const Half& half = train ? kTrain : kTest;
  return {read_known(root, half.images), astype(read_known(root, half.labels), DType::int64)};
}

}  // namespace tidu::data
