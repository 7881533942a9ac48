// Opening the plug-in of device cuda.
#include "cuda/driver.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>

namespace tidu::cuda {
namespace {

enum class Form { real, emulated, checked };

struct State {
  std::mutex mutex;
  std::optional<Form> form;               // as emulate() chose, or as it was opened
  std::atomic<Driver*> driver = nullptr;  // once opened
  bool forked = false;                    // whether this process was forked from one that had opened it
};
State& state() {
  static State* state = new State;  // outlives every tensor
  return *state;
}

const char* name_of(Form form) {
  constexpr const char* kNames[] = {"real", "emulated", "checked"};
  return kNames[static_cast<int>(form)];
}

Form chosen_form() {
  if (state().form) return *state().form;
  const char* set = std::getenv("TIDU_CUDA");
  const std::string name = set && *set ? set : "real";
  for (const Form form : {Form::real, Form::emulated, Form::checked}) {
    if (name == name_of(form)) return form;
  }
  fail<ValueError>("the environment variable TIDU_CUDA is '", name, "', not real, emulated or checked");
}

std::filesystem::path folder_of_plugins() {
  if (const char* set = std::getenv("TIDU_CUDA_PLUGIN_DIR"); set && *set) return set;
  Dl_info here;
  if (dladdr(reinterpret_cast<void*>(&emulate), &here) && here.dli_fname) {
    return std::filesystem::absolute(here.dli_fname).parent_path();
  }
  return ".";
}

constexpr const char* kEmulate = "tidu.cuda.emulate() or TIDU_CUDA=emulated";

Driver* open(Form form) {
  const char* endings[] = {"", "_emulated", "_checked"};
  const auto file = folder_of_plugins() / str("libtidu_cuda", endings[static_cast<int>(form)], ".so");
  if (!std::filesystem::exists(file)) {
    if (form == Form::real) {
      fail<DeviceError>("there is no ", file.string(),
                        " (build tidu with -DTIDU_CUDA=ON, or try without a GPU: ", kEmulate, ")");
    }
    fail<DeviceError>("there is no ", file.string(), " (build tidu with -DTIDU_EMULATION=ON)");
  }
  // Never closed: exceptions and kernels of the plug-in may outlive any failure.
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const std::string reason = dlerror();
    fail<DeviceError>(reason);
  }
  void* function = dlsym(library, "tidu_cuda_driver");
  if (!function) fail<DeviceError>(file.string(), " is no plug-in of tidu");
  Driver* driver = reinterpret_cast<OpenDriver*>(function)();
  // A GPU cannot be used by a process and its forked child. The lock is held meanwhile, so the child finds it
  // free.
  pthread_atfork([] { state().mutex.lock(); }, [] { state().mutex.unlock(); },
                 [] {
                   state().forked = true;
                   state().driver = nullptr;
                   state().mutex.unlock();
                 });
  return driver;
}

// The core finds the device through this.
const bool registered = [] {
  set_backend(DeviceType::cuda, [](int index) -> Backend& { return driver(index); });
  return true;
}();

}  // namespace

Driver& driver(int device) {
  Driver* driver = state().driver.load(std::memory_order_acquire);
  if (!driver) [[unlikely]] {
    std::lock_guard lock(state().mutex);
    driver = state().driver.load(std::memory_order_relaxed);
    if (!driver) {
      const Form form = chosen_form();
      try {
        if (state().forked) {
          fail<DeviceError>(
              "this process was forked from one that had used it (start processes by multiprocessing's "
              "\"spawn\")");
        }
        driver = open(form);
      } catch (const DeviceError& reason) {
        fail<DeviceError>("device cuda:", device, " is not available: ", reason.what());
      }
      state().form = form;
      state().driver.store(driver, std::memory_order_release);
    }
  }
  if (device < 0 || device >= driver->device_count()) {
    const int count = driver->device_count();
    fail<DeviceError>("device cuda:", device, " does not exist: there ", count == 1 ? "is " : "are ", count,
                      count == 1 ? " cuda device" : " cuda devices");
  }
  return *driver;
}

void emulate(bool checked) {
  std::lock_guard lock(state().mutex);
  const Form form = checked ? Form::checked : Form::emulated;
  if (state().driver.load() && chosen_form() != form) {
    fail<DeviceError>("device cuda is already in use in its form '", name_of(chosen_form()),
                      "': choose its form before the first tensor on it (or with TIDU_CUDA=", name_of(form),
                      ")");
  }
  state().form = form;
}

bool is_emulated() {
  const Driver* driver = state().driver.load(std::memory_order_acquire);
  if (driver) return driver->is_emulated();
  std::lock_guard lock(state().mutex);
  return chosen_form() != Form::real;
}

std::string why_not() {
  try {
    driver();
    return "";
  } catch (const std::exception& error) { return error.what(); }
}
bool is_available() { return why_not().empty(); }
int device_count() { return is_available() ? driver().device_count() : 0; }
Properties properties(int device) { return driver(device).properties(device); }
void synchronize(int device) { driver(device).synchronize(device); }

}  // namespace tidu::cuda
