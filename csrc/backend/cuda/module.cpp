// Kernels compiled while a program runs, loaded.
#include "backend/cuda/module.h"

#include <map>
#include <memory>
#include <mutex>

#include "backend/cuda/code_cache.h"
#include "backend/cuda/gpu.h"
#include "backend/cuda/nvrtc.h"

namespace tidu::cuda {
namespace {

std::string architecture_of(int device) {
  const Properties& properties = gpu(device).properties();
  return architecture_for(*find_nvrtc(), properties.major, properties.minor);
}

std::string compiled_code(const std::string& text, const std::string& architecture, const std::string& what) {
  const Nvrtc& nvrtc = *find_nvrtc();
  const std::vector<std::string> options = compiler_options(architecture);
  std::string key = compiler_identity(nvrtc);
  for (const std::string& option : options) key += option + "\n";
  key += text;
  if (std::optional<std::string> kept = find_code(key)) return *std::move(kept);
  const Compiled compiled = compile(nvrtc, text, options);
  if (compiled.code.empty()) {
    fail<DeviceError>(what, ": the kernel made for it does not compile for ", architecture, ":\n",
                      compiled.log);
  }
  keep_code(key, compiled.code);
  return compiled.code;
}

}  // namespace

Module::Module(const std::string& text, const std::string& architecture, const std::string& what) {
  const std::string code = compiled_code(text, architecture, what);
  check(cudaLibraryLoadData(&library_, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
        [&] { return str(what, ": loading the kernel made for it"); });
}

bool Module::can_be_made(int device) { return find_nvrtc() && !architecture_of(device).empty(); }

const Module& Module::of(const std::string& text, int device, const std::string& what) {
  struct Entry {
    std::once_flag once;
    std::unique_ptr<const Module> module;
  };
  static std::mutex mutex;
  static auto& entries = *new std::map<std::pair<std::string, std::string>, Entry>;  // outlive all tensors
  const std::string architecture = architecture_of(device);
  Entry& entry = [&]() -> Entry& {
    const std::lock_guard lock(mutex);
    return entries[{architecture, text}];
  }();
  std::call_once(entry.once, [&] { entry.module.reset(new Module(text, architecture, what)); });
  return *entry.module;
}

cudaKernel_t Module::kernel(const std::string& name) const {
  cudaKernel_t found = nullptr;
  check(cudaLibraryGetKernel(&found, library_, name.c_str()), [&] { return str("[", name, "] its kernel"); });
  return found;
}

}  // namespace tidu::cuda
