// The example programs: those on a small part of Fashion-MNIST give the same bits on every run, for any
// number of threads, and after being stopped or killed; the model problems check their closed forms
// themselves.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tidu.h"

namespace tidu {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

class Examples : public testing::TestWithParam<const char*> {
 protected:
  Examples() {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '-');
    folder = fs::temp_directory_path() / str("tidu-examples-", ::getpid(), "-", name);
    fs::create_directories(folder);
  }
  ~Examples() override { fs::remove_all(folder); }

  // Starts the example; what it prints goes to the file "log".
  pid_t start(Arguments arguments) const {
    const std::string program =
        fs::read_symlink("/proc/self/exe").parent_path() / str("example_", GetParam());
    EXPECT_TRUE(fs::exists(program)) << program << " is not built";
    arguments.insert(arguments.begin(), program);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const std::string log = folder / "log";
    const pid_t child = ::fork();
    if (child == 0) {
      const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(file, 1);
      ::dup2(file, 2);
      ::execv(pointers[0], pointers.data());
      ::_exit(127);
    }
    return child;
  }

  static int wait_for(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }

  std::string log() const { return io::read_file(folder / "log"); }

  // The summary of a run that must succeed.
  std::string learn(const std::string& out, Arguments more) const {
    Arguments arguments{"--subset", "3000", "--batch-size", "8", "--out", folder / out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const int status = wait_for(start(arguments));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << log();
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? io::read_file(folder / out / "summary.json") : "";
  }

  static std::string field(const std::string& summary, const std::string& name) {
    const size_t begin = summary.find("\"" + name + "\": ");
    if (begin == summary.npos) return "";
    const size_t value = begin + name.size() + 4;
    return summary.substr(value, summary.find_first_of(",\n", value) - value);
  }
  static std::string parameters(const std::string& summary) { return field(summary, "parameters_sha256"); }

  // Sends `signal` in the middle of the second epoch or a later one. The wait status of the program.
  int stop_midway(const std::string& out, int signal, int64_t epochs) const {
    const pid_t child = start(
        {"--subset", "3000", "--batch-size", "8", "--out", folder / out, "--epochs", std::to_string(epochs)});
    while (!fs::exists(folder / out / "checkpoint.safetensors") && ::waitpid(child, nullptr, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ::kill(child, signal);
    return wait_for(child);
  }

  fs::path folder;
};

TEST_P(Examples, LearnAndSayWhatTheyDid) {
  const std::string summary = learn("out", {"--epochs", "2", "--seed", "3", "--threads", "1"});
  EXPECT_GT(std::stod(field(summary, "test_accuracy")), 0.7);
  EXPECT_LT(std::stod(field(summary, "final_loss")), 1);
  EXPECT_GT(std::stod(field(summary, "samples_per_second")), 0);
  EXPECT_GT(std::stod(field(summary, "seconds")), 0);
  EXPECT_GT(std::stod(field(summary, "peak_memory_bytes")), 3000 * 784);
  EXPECT_EQ(parameters(summary).size(), 66u);
  EXPECT_EQ(field(summary, "device"), "\"cpu\"");
  EXPECT_EQ(field(summary, "threads"), "1");
  EXPECT_EQ(field(summary, "seed"), "3");
}

TEST_P(Examples, SameBitsForAnyNumberOfThreadsButNotForAnotherSeed) {
  const std::string one = parameters(learn("a", {"--epochs", "1", "--threads", "1"}));
  EXPECT_EQ(parameters(learn("b", {"--epochs", "1", "--threads", "2"})), one);
  EXPECT_NE(parameters(learn("d", {"--epochs", "1", "--seed", "1"})), one);
}

TEST_P(Examples, GoOnWithTheSameBits) {
  const std::string whole = parameters(learn("whole", {"--epochs", "3"}));
  const std::string first = parameters(learn("parts", {"--epochs", "1"}));
  EXPECT_NE(first, whole);
  EXPECT_EQ(parameters(learn("parts", {"--epochs", "3", "--resume"})), whole);
  EXPECT_EQ(parameters(learn("parts", {"--epochs", "3", "--resume"})), whole);
}

TEST_P(Examples, KilledInTheMiddleOfAnEpochTheyGoOnWithTheSameBits) {
  const int status = stop_midway("killed", SIGKILL, 8);
  ASSERT_TRUE(WIFSIGNALED(status)) << log();
  EXPECT_FALSE(fs::exists(folder / "killed" / "summary.json"));
  const std::string resumed = parameters(learn("killed", {"--epochs", "8", "--resume"}));
  EXPECT_EQ(resumed, parameters(learn("whole", {"--epochs", "8"})));
}

TEST_P(Examples, InterruptedTheySaveAndGoOnWithTheSameBits) {
  const int status = stop_midway("stopped", SIGINT, 8);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGINT) << log();
  EXPECT_NE(log().find("--resume"), std::string::npos) << log();
  const std::string resumed = parameters(
      learn("elsewhere", {"--epochs", "8", "--resume", folder / "stopped" / "checkpoint.safetensors"}));
  EXPECT_EQ(resumed, parameters(learn("whole", {"--epochs", "8"})));
}

TEST_P(Examples, WrongOptionsAreNamed) {
  const auto refused = [&](const Arguments& arguments, const char* says) {
    const int status = wait_for(start(arguments));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    EXPECT_NE(log().find(says), std::string::npos) << log();
  };
  const std::string out = folder / "out";
  refused({"--epoch", "3"}, "unknown option --epoch");
  refused({"--epochs", "x"}, "--epochs needs an integer");
  refused({"--lr"}, "--lr needs a value");
  refused({"--optimizer", "lbfgs"}, "--optimizer is adam or sgd");
  refused({"--out", out, "--device", "abacus"}, "abacus");
  refused({"--out", out, "--data-root", folder}, "apt-get install dataset-fashion-mnist");
  refused({"--out", out, "--resume"}, "checkpoint.safetensors");
  learn("out", {"--epochs", "1"});
  refused({"--out", out, "--subset", "3000", "--batch-size", "8", "--seed", "1", "--resume"},
          "made with --seed 0, not 1");
  fs::resize_file(folder / "out" / "checkpoint.safetensors", 1000);
  refused({"--out", out, "--subset", "3000", "--batch-size", "8", "--resume"}, "safetensors");
}

class CurveFit : public Examples {};

TEST_P(CurveFit, FindsWhatMadeTheMeasurements) {
  ASSERT_EQ(wait_for(start({})), 0) << log();
  const std::string text = log();
  double p[3] = {};
  const size_t at = text.find("p = ", text.find("step 1000"));
  ASSERT_NE(at, text.npos) << text;
  ASSERT_EQ(std::sscanf(text.c_str() + at, "p = tensor([%lf, %lf, %lf]", &p[0], &p[1], &p[2]), 3) << text;
  EXPECT_NEAR(p[0], 2, 0.05);
  EXPECT_NEAR(p[1], 0.3, 0.01);
  EXPECT_NEAR(p[2], 1.5, 0.01);
}
INSTANTIATE_TEST_SUITE_P(All, CurveFit, testing::Values("curve_fit"));

class ModelProblems : public Examples {
 protected:
  // Runs one at a small size, and looks at the pictures.
  void solve(const char* device) const {
    ASSERT_EQ(wait_for(start({"--quick", "--device", device, "--out", folder / "out"})), 0) << log();
    int pictures = 0;
    for (const auto& entry : fs::directory_iterator(folder / "out")) {
      const std::string svg = io::read_file(entry.path());
      EXPECT_TRUE(svg.starts_with("<svg") && svg.ends_with("</svg>\n")) << entry;
      EXPECT_EQ(svg.find("nan"), svg.npos) << entry;
      ++pictures;
    }
    EXPECT_GE(pictures, 1);
    EXPECT_NE(log().find("allowed"), std::string::npos);
  }
};

TEST_P(ModelProblems, HaveTheirClosedForms) { solve("cpu"); }

TEST_P(ModelProblems, HaveThemOnDeviceCudaEmulated) {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  if (!fs::exists(here.parent_path() / "libtidu_cuda_emulated.so"))
    GTEST_SKIP() << "device cuda was not built: no headers of CUDA 13 were found";
  ::setenv("TIDU_CUDA", "emulated", 1);
  solve("cuda");
}

TEST_P(ModelProblems, EndWithAnErrorWhereSomethingIsWrong) {
  EXPECT_NE(wait_for(start({"--device", "abacus"})), 0);
  EXPECT_NE(log().find("abacus"), std::string::npos) << log();
  EXPECT_NE(wait_for(start({"--fast"})), 0);
  EXPECT_NE(log().find("unknown option --fast"), std::string::npos) << log();
}

INSTANTIATE_TEST_SUITE_P(All, ModelProblems,
                         testing::Values("linear_regression", "binary_logistic", "multinomial_logistic",
                                         "binary_network", "gaussian_likelihood", "matrix_factorisation",
                                         "surface_descent"),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(All, Examples, testing::Values("logistic_regression", "two_layer_network"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace tidu
