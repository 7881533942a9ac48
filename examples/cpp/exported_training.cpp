// Trains a network without Python: runs the training step and the predictions that exported_training.py wrote
// to --out, and ends with an error where a bit differs from what Python got.
#include "common.h"

using namespace tidu;

int main(int argc, char** argv) {
  return example::main(argc, argv, "Runs exported programs.", [](const auto& options) {
    const auto file = [&](const char* name) { return (options.out / name).string(); };
    const Program step = Program::load(file("step.tidu"), options.device),
                  predict = Program::load(file("predict.tidu"), options.device);
    auto arguments = io::load(file("start.safetensors"), options.device).tensors;
    const auto [expected, metadata] = io::load(file("end.safetensors"), options.device);

    // The step's results are the new values of its first arguments, and the loss.
    const size_t count = step.outputs.size() - 1;
    for (int left = std::stoi(metadata.at("steps")); left > 0; --left) {
      const auto results = step.by_name(arguments);
      for (size_t i = 0; i < count; ++i) arguments[step.names.inputs[i]] = results.at(step.names.outputs[i]);
      if (left == 1) std::cout << "loss in the end: " << item<double>(results.at("result[2]")) << std::endl;
    }
    for (const auto& [name, value] : expected) {
      if (io::sha256({value}) != io::sha256({arguments[name]})) fail<ValueError>(name, " has other bits");
    }
    std::cout << expected.size() << " tensors have the bits that they have in Python" << std::endl;

    // In order: parameters, inputs.
    Tensors given;
    for (const std::string& name : predict.names.inputs) given.push_back(arguments.at(name));
    const Tensor right = astype((predict(given)[0] > 0.5) == (arguments["y"] > 0.5), DType::float64);
    std::cout << "share of right predictions: " << item<double>(mean(right)) << std::endl;
  });
}
