// Files of layers' states. Alone, each layer's file is read by another of its kind; where TIDU_LAYER_FILES
// names a folder, in which tests/python/test_layer_files.py has put the states, inputs and outputs of the
// Python package's layers, these are read, and the layers made here are written beside them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "finite_difference.h"

namespace tidu::nn {
namespace {

struct Kind {
  const char* name;
  std::function<std::shared_ptr<Module>(const Tensor& key)> make;
  std::function<Tensor()> input;
};

template <class Layer, class... Args> auto made(Args... args) {
  return [=](const Tensor&) -> std::shared_ptr<Module> { return std::make_shared<Layer>(args...); };
}
// Of layers that draw their first values.
#define DRAWN(type, ...) \
  [](const Tensor& key) -> std::shared_ptr<Module> { return std::make_shared<type>(__VA_ARGS__); }

std::function<Tensor()> numbers(Shape shape) {
  return [=] { return random_normal(random_key(3), shape); };
}

std::vector<Kind> kinds() {
  return {
      {"Linear", DRAWN(Linear, 4, 3, key), numbers({5, 4})},
      {"Embedding", DRAWN(Embedding, 6, 3, key),
       [] {
         return tensor<int64_t>({5, 0, 2});
       }},
      {"LayerNorm", made<LayerNorm>(Shape{4}), numbers({5, 4})},
      {"RMSNorm", made<RMSNorm>(Shape{4}), numbers({5, 4})},
      {"PReLU", made<PReLU>(4), numbers({5, 4})},
      {"Conv1d", DRAWN(Conv1d, 4, 3, Dims{2}, key), numbers({2, 4, 5})},
      {"Conv2d", DRAWN(Conv2d, 4, 3, Dims{2}, key), numbers({2, 4, 5, 5})},
      {"Conv3d", DRAWN(Conv3d, 2, 3, Dims{2}, key), numbers({1, 2, 3, 3, 3})},
      {"ConvTranspose1d", DRAWN(ConvTranspose1d, 4, 3, Dims{2}, key), numbers({2, 4, 5})},
      {"ConvTranspose2d", DRAWN(ConvTranspose2d, 4, 3, Dims{2}, key), numbers({2, 4, 5, 5})},
      {"ConvTranspose3d", DRAWN(ConvTranspose3d, 2, 3, Dims{2}, key), numbers({1, 2, 3, 3, 3})},
      {"BatchNorm1d", made<BatchNorm1d>(4), numbers({5, 4})},
      {"BatchNorm2d", made<BatchNorm2d>(4), numbers({2, 4, 3, 3})},
      {"BatchNorm3d", made<BatchNorm3d>(2), numbers({2, 2, 3, 3, 2})},
      {"InstanceNorm1d", made<InstanceNorm1d>(4, RunningOptions{}), numbers({2, 4, 5})},
      {"InstanceNorm2d", made<InstanceNorm2d>(4, RunningOptions{.track_running_stats = false}),
       numbers({2, 4, 3, 3})},
      {"InstanceNorm3d", made<InstanceNorm3d>(2), numbers({2, 2, 3, 3, 2})},
      {"GroupNorm", made<GroupNorm>(2, 4), numbers({2, 4, 3})},
      {"RNNCell", DRAWN(RNNCell, 4, 3, key), numbers({5, 4})},
      {"LSTMCell", DRAWN(LSTMCell, 4, 3, key), numbers({5, 4})},
      {"GRUCell", DRAWN(GRUCell, 4, 3, key), numbers({5, 4})},
      {"RNN", DRAWN(RNN, 4, 3, key), numbers({6, 2, 4})},
      {"LSTM",
       DRAWN(LSTM, 4, 3, key, RecurrentOptions{.num_layers = 2, .dropout = 0.5, .bidirectional = true}, 2),
       numbers({6, 2, 4})},
      {"GRU", DRAWN(GRU, 4, 3, key, RecurrentOptions{.num_layers = 2, .batch_first = true}),
       numbers({2, 6, 4})},
      {"MultiheadAttention", DRAWN(MultiheadAttention, 4, 2, key, MultiheadOptions{.add_bias_kv = true}),
       numbers({6, 2, 4})},
      {"TransformerEncoderLayer",
       DRAWN(TransformerEncoderLayer, 4, 2, key, TransformerOptions{.dim_feedforward = 8}),
       numbers({6, 2, 4})},
      {"TransformerDecoderLayer",
       DRAWN(TransformerDecoderLayer, 4, 2, key,
             TransformerOptions{.dim_feedforward = 8, .norm_first = true}),
       numbers({6, 2, 4})},
      {"TransformerEncoder",
       DRAWN(TransformerEncoder, TransformerEncoderLayer(4, 2, key, {.dim_feedforward = 8}), 2,
             LayerNorm(Shape{4})),
       numbers({6, 2, 4})},
      {"TransformerDecoder",
       DRAWN(TransformerDecoder, TransformerDecoderLayer(4, 2, key, {.dim_feedforward = 8}), 2),
       numbers({6, 2, 4})},
      {"Sequential",
       [](const Tensor& key) -> std::shared_ptr<Module> {
         const Tensor keys = random_split(key);
         return std::make_shared<Sequential>(Linear(4, 3, select(keys, 0, 0)), ReLU(),
                                             Linear(3, 2, select(keys, 0, 1)));
       },
       numbers({5, 4})},
  };
}

class LayerFiles : public ::testing::TestWithParam<Kind> {};

TEST_P(LayerFiles, AreReadByOthers) {
  namespace fs = std::filesystem;
  const auto [name, make, input] = GetParam();
  const char* const given = std::getenv("TIDU_LAYER_FILES");
  const fs::path folder =
      given ? fs::path(given) : fs::temp_directory_path() / ("tidu_layers_" + std::string(name));
  fs::create_directories(folder / "cpp");
  const auto path = [&](const char* of, const char* what) {
    return folder / of / (std::string(name) + what);
  };

  const auto layer = make(random_key(7));
  layer->eval();
  const Tensor x = input(), y = stop_gradient((*layer)(x));
  io::save(path("cpp", ".safetensors"), layer->state());
  io::save(path("cpp", ".values.safetensors"), {{"x", x}, {"y", y}});

  const char* const of = given ? "python" : "cpp";
  const auto values = io::load(path(of, ".values.safetensors")).tensors;
  const auto other = make(random_key(8));
  other->eval();
  other->load_state(io::load(path(of, ".safetensors")).tensors);
  testing::expect_close(stop_gradient((*other)(values.at("x"))), values.at("y"), 1e-6);
  if (!given) fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LayerFiles, ::testing::ValuesIn(kinds()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tidu::nn
