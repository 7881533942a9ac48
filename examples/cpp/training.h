// What the Fashion-MNIST examples share: options, the training loop, checkpoints and the summary.
#pragma once

#include <tidu/tidu.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>

namespace example {

using namespace tidu;
namespace fs = std::filesystem;

struct Options {
  const char* description = "";
  std::string device = "cpu", optimizer = "adam";
  int64_t epochs = 10, batch_size = 128, threads = 0, subset = 0;
  uint64_t seed = 0;
  double lr = 0;  // 0: the optimiser's default
  double decay = 0.8;
  bool resume = false;
  fs::path resume_from = {};  // empty: the checkpoint in `out`
  fs::path out = "out", data_root = data::FashionMnist::kDefaultRoot;
  double adam_lr = 1e-3;

  fs::path checkpoint() const { return out / "checkpoint.safetensors"; }
};

inline constexpr const char* kHelp = R"(
  --device NAME        where to compute (cpu)
  --epochs N           passes over the training set (10)
  --batch-size N       samples a step (128)
  --lr X               learning rate of the first epoch (by optimizer)
  --decay X            factor of the learning rate after each epoch (0.8)
  --optimizer NAME     adam, or sgd with momentum 0.9 (adam)
  --seed N             of the first weights and the order of the samples (0)
  --threads N          processor threads (all)
  --resume [FILE]      go on from a checkpoint; from the one in --out if no FILE is named
  --out FOLDER         of the checkpoint and summary.json (out)
  --data-root FOLDER   with the files of Fashion-MNIST
  --subset N           learn from and test with the first N samples only
)";

inline Options parse_options(int argc, char** argv, Options options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (++i == argc) fail<ValueError>(name, " needs a value (--help lists the options)");
      return argv[i];
    };
    const auto integer = [&](int64_t least) {
      const std::string text = value();
      char* end = nullptr;
      const int64_t number = std::strtoll(text.c_str(), &end, 10);
      if (text.empty() || *end || number < least)
        fail<ValueError>(name, " needs an integer from ", least, ", not '", text, "'");
      return number;
    };
    const auto real = [&] {
      const std::string text = value();
      char* end = nullptr;
      const double number = std::strtod(text.c_str(), &end);
      if (text.empty() || *end || !(number > 0))
        fail<ValueError>(name, " needs a number above 0, not '", text, "'");
      return number;
    };
    if (name == "--help") {
      std::cout << options.description << "\n" << kHelp;
      std::exit(0);
    } else if (name == "--device") {
      options.device = value();
    } else if (name == "--epochs") {
      options.epochs = integer(0);
    } else if (name == "--batch-size") {
      options.batch_size = integer(1);
    } else if (name == "--lr") {
      options.lr = real();
    } else if (name == "--decay") {
      options.decay = real();
    } else if (name == "--optimizer") {
      options.optimizer = value();
    } else if (name == "--seed") {
      options.seed = static_cast<uint64_t>(integer(0));
    } else if (name == "--threads") {
      options.threads = integer(1);
    } else if (name == "--resume") {
      options.resume = true;
      if (i + 1 < argc && argv[i + 1][0] != '-') options.resume_from = argv[++i];
    } else if (name == "--out") {
      options.out = value();
    } else if (name == "--data-root") {
      options.data_root = value();
    } else if (name == "--subset") {
      options.subset = integer(1);
    } else {
      fail<ValueError>("unknown option ", name, " (--help lists the options)");
    }
  }
  if (options.optimizer != "adam" && options.optimizer != "sgd")
    fail<ValueError>("--optimizer is adam or sgd, not '", options.optimizer, "'");
  if (options.lr == 0) options.lr = options.optimizer == "adam" ? options.adam_lr : 0.05;
  return options;
}

// The first Ctrl-C is heard between two steps, so that the checkpoint is of a whole step; the second ends at
// once.
inline volatile std::sig_atomic_t interrupted = 0;

inline void listen_for_interrupts() {
  const auto handler = [](int signal) {
    interrupted = signal;
    std::signal(signal, SIG_DFL);
  };
  std::signal(SIGINT, handler);
  std::signal(SIGTERM, handler);
}

// Sums over samples.
struct Score {
  double loss = 0;
  int64_t right = 0, samples = 0;

  void add(const Tensor& mean_loss, const Tensor& logits, const Tensor& labels) {
    const GradMode off(false);
    loss += item<double>(mean_loss) * static_cast<double>(labels.numel());
    right += item<int64_t>(sum(argmax(logits, -1) == labels));
    samples += labels.numel();
  }
  double mean_loss() const { return loss / static_cast<double>(samples); }
  double accuracy() const { return static_cast<double>(right) / static_cast<double>(samples); }
};

// Rows of 784 bytes and their classes, on the device.
inline data::TensorDataset load_data(const Options& options, bool train, Device device) {
  const auto [images, labels] = data::fashion_mnist(train, options.data_root);
  const int64_t count = options.subset ? std::min(options.subset, images.size(0)) : images.size(0);
  return data::TensorDataset({to(reshape(slice_axis(images, 0, 0, count), {count, 784}), device),
                              to(slice_axis(labels, 0, 0, count), device)});
}

inline Tensor pixels(const Tensor& bytes) { return astype(bytes, DType::float32) / 255; }

// Model, optimiser, loader and what has been measured: all that a checkpoint keeps.
class Run {
 public:
  Run(const Options& options, nn::Module& model, Device device)
      : options_(options),
        model_(model),
        optimizer_(make_optimizer()),
        train_(load_data(options, true, device)),
        test_(load_data(options, false, device)),
        loader_(train_, {.batch_size = options.batch_size,
                         .shuffle = true,
                         .key = random_fold_in(random_key(options.seed), 1),
                         .transform = [](const Tensors& batch) -> Tensors {
                           return {pixels(batch[0]), batch[1]};
                         }}),
        schedule_(optim::step_schedule(options.lr, loader_.num_batches(), options.decay)) {}

  // Learns until all epochs are done (true) or Ctrl-C (false).
  bool learn() {
    auto clock = std::chrono::steady_clock::now();
    const auto take_time = [&] {
      const auto now = std::chrono::steady_clock::now();
      seconds_ += std::chrono::duration<double>(now - clock).count();
      clock = now;
    };
    while (loader_.position().epoch < options_.epochs) {
      const auto [epoch, step] = loader_.position();
      const auto batch = loader_.next();
      if (!batch) {
        last_epoch_ = std::exchange(score_, {});
        take_time();
        print_epoch(epoch + 1);
        save();
        clock = std::chrono::steady_clock::now();
        continue;
      }
      const Tensor logits = model_(batch->at(0));
      const Tensor loss = nn::cross_entropy(logits, batch->at(1));
      loss.backward();
      optimizer_->set_lr(schedule_(epoch * loader_.num_batches() + step));
      optimizer_->step();
      optimizer_->zero_grad();
      score_.add(loss, logits, batch->at(1));
      samples_ += batch->at(1).numel();
      take_time();
      if (interrupted) {
        save();
        return false;
      }
    }
    return true;
  }

  void save() {
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, tensor] : model_.state()) tensors["model." + name] = tensor;
    for (const auto& [name, tensor] : optimizer_->state()) tensors["optimizer." + name] = tensor;
    const auto [epoch, step] = loader_.position();
    const std::vector<double> reals{score_.loss, last_epoch_.loss, seconds_};
    const std::vector<int64_t> integers{
        epoch, step, score_.right, score_.samples, last_epoch_.right, last_epoch_.samples, samples_};
    tensors["run.reals"] = tensor(std::span(reals), {std::ssize(reals)});
    tensors["run.integers"] = tensor(std::span(integers), {std::ssize(integers)});
    io::save(options_.checkpoint(), tensors, fixed());
  }

  void resume(const fs::path& path) {
    const io::Saved saved = io::load(path);
    for (const auto& [name, value] : fixed()) {
      const auto found = saved.metadata.find(name);
      const std::string theirs = found == saved.metadata.end() ? "nothing" : found->second;
      if (theirs != value)
        fail<ValueError>(path.string(), " was made with --", name, " ", theirs, ", not ", value,
                         ": give the same options");
    }
    if (!saved.tensors.contains("run.reals") || !saved.tensors.contains("run.integers"))
      fail<FileError>(path.string(), ": is not a checkpoint of this program");
    const auto part = [&](const std::string& prefix) {
      std::map<std::string, Tensor> tensors;
      for (const auto& [name, tensor] : saved.tensors) {
        if (name.starts_with(prefix)) tensors[name.substr(prefix.size())] = tensor;
      }
      return tensors;
    };
    model_.load_state(part("model."));
    optimizer_->load_state(part("optimizer."));
    const auto reals = to_vector<double>(saved.tensors.at("run.reals"));
    const auto integers = to_vector<int64_t>(saved.tensors.at("run.integers"));
    seconds_ = reals.at(2);
    samples_ = integers.at(6);
    score_ = {reals.at(0), integers.at(2), integers.at(3)};
    last_epoch_ = {reals.at(1), integers.at(4), integers.at(5)};
    loader_.seek({integers.at(0), integers.at(1)});
  }

  // Writes and prints summary.json.
  void report(Device device) {
    const auto number = [](double value) { return std::isfinite(value) ? str(value) : "null"; };
    const std::string summary =
        str("{\n  \"test_accuracy\": ", number(test_score().accuracy()),
            ",\n  \"final_loss\": ", number(last_epoch_.mean_loss()), ",\n  \"seconds\": ", number(seconds_),
            ",\n  \"samples_per_second\": ", number(speed()),
            ",\n  \"peak_memory_bytes\": ", backend(device).allocator(device.index).stats().peak_bytes,
            ",\n  \"parameters_sha256\": \"", io::sha256(model_.parameters()), "\",\n  \"device\": \"",
            device, "\",\n  \"threads\": ", cpu::num_threads(), ",\n  \"seed\": ", options_.seed, "\n}\n");
    io::write_file(options_.out / "summary.json", summary);
    std::cout << summary;
  }

 private:
  std::unique_ptr<optim::Optimizer> make_optimizer() {
    const Tensors parameters = model_.parameters();
    if (options_.optimizer == "sgd")
      return std::make_unique<optim::SGD>(parameters, optim::SGDOptions{.lr = options_.lr, .momentum = 0.9});
    return std::make_unique<optim::Adam>(parameters, optim::AdamOptions{.lr = options_.lr});
  }

  // What must be the same for a resumed run to go on where it stopped.
  io::Metadata fixed() const {
    return {{"batch-size", str(options_.batch_size)},
            {"lr", str(options_.lr)},
            {"decay", str(options_.decay)},
            {"optimizer", options_.optimizer},
            {"seed", str(options_.seed)},
            {"subset", str(options_.subset)}};
  }

  Score test_score() {
    constexpr int64_t kBatch = 2000;
    const GradMode off(false);
    Score score;
    for (int64_t begin = 0; begin < test_.size(); begin += kBatch) {
      const Tensor labels = slice_axis(test_.tensors()[1], 0, begin, begin + kBatch);
      const Tensor logits = model_(pixels(slice_axis(test_.tensors()[0], 0, begin, begin + kBatch)));
      score.add(nn::cross_entropy(logits, labels), logits, labels);
    }
    return score;
  }

  double speed() const { return seconds_ > 0 ? static_cast<double>(samples_) / seconds_ : 0; }

  void print_epoch(int64_t epoch) {
    const Score test = test_score();
    std::printf(
        "epoch %2ld/%ld  loss %.4f  accuracy %.2f %%  test loss %.4f  test accuracy %.2f %%  %.0f "
        "samples/s\n",
        static_cast<long>(epoch), static_cast<long>(options_.epochs), last_epoch_.mean_loss(),
        100 * last_epoch_.accuracy(), test.mean_loss(), 100 * test.accuracy(), speed());
    std::fflush(stdout);
  }

  const Options& options_;
  nn::Module& model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  data::TensorDataset train_, test_;
  data::DataLoader loader_;
  optim::Schedule schedule_;
  Score score_;       // of the epoch under way
  Score last_epoch_;  // of the last whole one
  double seconds_ = 0;
  int64_t samples_ = 0;
};

// The whole program: make_model(key) is an example's own.
inline int main(int argc, char** argv, Options defaults,
                const std::function<std::unique_ptr<nn::Module>(const Tensor& key)>& make_model) {
  try {
    const Options options = parse_options(argc, argv, std::move(defaults));
    const Device device = device_from_name(options.device);
    if (options.threads) cpu::set_num_threads(static_cast<int>(options.threads));
    fs::create_directories(options.out);
    const auto model = make_model(random_fold_in(random_key(options.seed, device), 0));
    Run run(options, *model, device);
    if (options.resume) run.resume(options.resume_from.empty() ? options.checkpoint() : options.resume_from);
    listen_for_interrupts();
    if (run.learn()) {
      run.report(device);
      return 0;
    }
    std::cout << "\nstopped; everything is in " << options.checkpoint().string()
              << ". To go on, give the same options and --resume\n";
    return 128 + interrupted;
  } catch (const std::exception& error) {
    std::cerr << argv[0] << ": " << error.what() << "\n";
    return 1;
  }
}

}  // namespace example
