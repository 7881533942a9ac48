// Finding NVRTC, and calling it.
#include "backend/cuda/nvrtc.h"

#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "backend/cuda/embedded_headers.h"
#include "backend/cuda/emulation.h"
#include "base/error.h"

namespace tidu::cuda {
namespace {

// What a text may include.
struct Headers {
  std::vector<const char*> names, texts;

  Headers() {
    for (const EmbeddedHeader& header : embedded_headers()) {
      names.push_back(header.name);
      texts.push_back(header.text);
    }
    for (const char* name : {"algorithm", "concepts", "cstdint", "cstring", "cuda_runtime.h",
                             "initializer_list", "limits", "source_location", "type_traits", "utility"}) {
      names.push_back(name);
      texts.push_back("#include \"kernels/cuda/rtc_standard.h\"\n");
    }
  }
};
const Headers& headers() {
  static const Headers headers;
  return headers;
}

std::filesystem::path folder_of_plugin() {
  Dl_info here;
  const bool known = dladdr(reinterpret_cast<void*>(&find_nvrtc), &here) && here.dli_fname;
  return known ? std::filesystem::absolute(here.dli_fname).parent_path() : ".";
}

// Never closed: code that it made outlives any use of it.
void* open_library() {
  const std::string file = str("libnvrtc.so.", CUDART_VERSION / 1000);
  std::vector<std::filesystem::path> places{file};
  for (const char* variable : {"CUDA_PATH", "CUDA_HOME"}) {
    if (const char* set = std::getenv(variable); set && *set)
      places.push_back(std::filesystem::path(set) / "lib64" / file);
  }
  places.push_back(std::filesystem::path("/usr/local/cuda/lib64") / file);
  places.push_back(folder_of_plugin().parent_path() / "nvidia" / str("cu", CUDART_VERSION / 1000) / "lib" /
                   file);
  for (const auto& place : places) {
    if (void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

const Nvrtc* open() {
  if (has_emulation()) return simt::nvrtc();
  void* const library = open_library();
  if (!library) return nullptr;
  static Nvrtc found;
  bool complete = true;
  const auto find = [&]<class F>(F*& function, const char* name) {
    function = reinterpret_cast<F*>(dlsym(library, name));
    complete &= function != nullptr;
  };
  find(found.version, "nvrtcVersion");
  find(found.architecture_count, "nvrtcGetNumSupportedArchs");
  find(found.architectures, "nvrtcGetSupportedArchs");
  find(found.create, "nvrtcCreateProgram");
  find(found.destroy, "nvrtcDestroyProgram");
  find(found.compile, "nvrtcCompileProgram");
  find(found.log_size, "nvrtcGetProgramLogSize");
  find(found.log, "nvrtcGetProgramLog");
  find(found.code_size, "nvrtcGetCUBINSize");
  find(found.code, "nvrtcGetCUBIN");
  return complete ? &found : nullptr;
}

class Program {
 public:
  Program(const Nvrtc& nvrtc, const char* text) : nvrtc_(nvrtc) {
    const auto& [names, texts] = headers();
    if (nvrtc_.create(&program_, text, "group.cu", static_cast<int>(names.size()), texts.data(),
                      names.data()))
      fail<DeviceError>("[compile] NVRTC takes no program");
  }
  ~Program() { nvrtc_.destroy(&program_); }
  Program(const Program&) = delete;

  bool compile(const std::vector<std::string>& options) {
    std::vector<const char*> given;
    for (const std::string& option : options) given.push_back(option.c_str());
    return nvrtc_.compile(program_, static_cast<int>(given.size()), given.data()) == 0;
  }
  std::string log() { return read(nvrtc_.log_size, nvrtc_.log); }
  std::string code() { return read(nvrtc_.code_size, nvrtc_.code); }

 private:
  std::string read(int (*size_of)(Nvrtc::Program, size_t*), int (*read)(Nvrtc::Program, char*)) {
    size_t size = 0;
    if (size_of(program_, &size) != 0 || size == 0) return "";
    std::string bytes(size, '\0');
    return read(program_, bytes.data()) == 0 ? bytes : "";
  }

  const Nvrtc& nvrtc_;
  Nvrtc::Program program_ = nullptr;
};

}  // namespace

const Nvrtc* find_nvrtc() {
  static const Nvrtc* const found = open();
  return found;
}

std::string architecture_for(const Nvrtc& nvrtc, int major, int minor) {
  int count = 0;
  if (nvrtc.architecture_count(&count) != 0) return "";
  std::vector<int> numbers(static_cast<size_t>(count));
  if (nvrtc.architectures(numbers.data()) != 0) return "";
  int best = -1;
  for (const int number : numbers) {
    if (number / 10 == major && number % 10 <= minor) best = std::max(best, number);
  }
  return best < 0 ? "" : str("sm_", best);
}

std::vector<std::string> compiler_options(const std::string& architecture) {
  // Unmarked functions of our headers are for the host as well; this compiler has no host.
  return {"--std=c++20", "--gpu-architecture=" + architecture, "-fmad=false", "-default-device"};
}

std::string compiler_identity(const Nvrtc& nvrtc) {
  int major = 0, minor = 0;
  nvrtc.version(&major, &minor);
  std::string headers;
  for (const EmbeddedHeader& header : embedded_headers()) headers += header.text;
  return str("NVRTC ", major, ".", minor, has_emulation() ? ", emulated" : "", ", headers ",
             std::hash<std::string>()(headers), "\n");
}

Compiled compile(const Nvrtc& nvrtc, const std::string& text, const std::vector<std::string>& options) {
  Program program(nvrtc, text.c_str());
  const bool done = program.compile(options);
  Compiled result{.code = done ? program.code() : "", .log = program.log()};
  while (!result.log.empty() && (result.log.back() == '\0' || result.log.back() == '\n'))
    result.log.pop_back();
  return result;
}

}  // namespace tidu::cuda
