// NVRTC on the host: what the backend calls of it, carried to the compiler of this machine, which makes
// shared objects (machine/loaded.h) as the build makes the other kernels.
#include "kernels/nvrtc.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

extern char** environ;

namespace tidu::simt {

namespace {

using Path = std::filesystem::path;

constexpr int kSuccess = 0, kCompilation = 6;

struct Program {
  std::string text;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string log, code;
};
Program& program_of(Nvrtc::Program program) { return *static_cast<Program*>(program); }

std::string read(const Path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write(const Path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A folder that goes with its object.
class Folder {
 public:
  Folder() : name_((std::filesystem::temp_directory_path() / "tidu_XXXXXX").string()) {
    if (!mkdtemp(name_.data())) name_.clear();
  }
  ~Folder() {
    std::error_code error;
    if (!name_.empty()) std::filesystem::remove_all(name_, error);
  }
  Folder(const Folder&) = delete;
  Path operator/(const std::string& file) const { return Path(name_) / file; }

 private:
  std::string name_;
};

// TIDU_SIMT_COMPILER, else that of the build; empty where there is none.
std::string compiler() {
  const char* set = std::getenv("TIDU_SIMT_COMPILER");
  const std::string name = set ? set : TIDU_HOST_COMPILER;
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  const char* folders = std::getenv("PATH");
  std::istringstream all(folders ? folders : "");
  for (std::string folder; !name.empty() && std::getline(all, folder, ':');) {
    if (const Path path = Path(folder) / name; access(path.c_str(), X_OK) == 0) return path.string();
  }
  return "";
}

// The status with which the program ended; what it wrote is in `log`.
int run(const std::vector<std::string>& command, const Path& log) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  int status = posix_spawn(&child, arguments[0], &files, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (status != 0) return status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return status;
}

// What the machine has to know of each kernel of a text.
std::string with_loaded_kernels(const std::string& text) {
  static const std::regex kernel(R"(extern "C" __global__ void __launch_bounds__\(\w+\) (\w+)\()");
  std::string all = "#include \"simt/machine/loaded.h\"\n#line 1 \"group.cu\"\n" + text;
  for (std::sregex_iterator found(text.begin(), text.end(), kernel), end; found != end; ++found) {
    const std::string name = (*found)[1];
    all += "\nextern \"C\" const tidu::simt::LoadedKernel " + name +
           "_loaded;\nconst tidu::simt::LoadedKernel " + name +
           "_loaded = tidu::simt::loaded<tidu::cuda::" + name + ">(tidu::cuda::" + name + ");";
  }
  return all + "\n";
}

int create(Nvrtc::Program* program, const char* text, const char*, int headers, const char* const* texts,
           const char* const* names) {
  auto* made = new Program{text, {}, {}, {}};
  for (int i = 0; i < headers; ++i) made->headers.emplace_back(names[i], texts[i]);
  *program = made;
  return kSuccess;
}

int destroy(Nvrtc::Program* program) {
  delete static_cast<Program*>(*program);
  *program = nullptr;
  return kSuccess;
}

std::vector<std::string> command_for(const Folder& folder) {
  std::vector<std::string> command = {compiler(), "-std=c++20", "-fPIC", "-w", "-fno-gnu-unique"};
  std::istringstream options(TIDU_KERNEL_OPTIONS);
  for (std::string option; std::getline(options, option, '|');) command.push_back(option);
  // Headers of the standard library's names are not looked for in the folder: only includes in quotes are.
  for (const std::string& headers : {(folder / "").string(), std::string(TIDU_SOURCE_DIR "/csrc")}) {
    command.push_back("-iquote");
    command.push_back(headers);
  }
  // The sanitizers' libraries are left out: the plug-in has their functions.
  for (const char* option : {"-isystem", TIDU_CUDA_INCLUDE_DIR, "-shared", "-nostdlib", "-o"})
    command.push_back(option);
  command.push_back((folder / "group.so").string());
  command.push_back((folder / "group.cpp").string());
  return command;
}

// The options given are those of another compiler.
int compile(Nvrtc::Program handle, int, const char* const*) {
  Program& program = program_of(handle);
  const Folder folder;
  for (const auto& [name, text] : program.headers) write(folder / name, text);
  write(folder / "group.cpp", with_loaded_kernels(program.text));
  const int status = run(command_for(folder), folder / "log");
  program.log = read(folder / "log");
  program.code = status == 0 ? read(folder / "group.so") : "";
  return program.code.empty() ? kCompilation : kSuccess;
}

int size_of(const std::string& text, size_t* size) {
  *size = text.size();
  return kSuccess;
}
int copy(const std::string& text, char* to) {
  std::memcpy(to, text.data(), text.size());
  return kSuccess;
}
int log_size(Nvrtc::Program program, size_t* size) { return size_of(program_of(program).log, size); }
int log(Nvrtc::Program program, char* text) { return copy(program_of(program).log, text); }
int code_size(Nvrtc::Program program, size_t* size) { return size_of(program_of(program).code, size); }
int code(Nvrtc::Program program, char* to) { return copy(program_of(program).code, to); }

// The minor number stands for the machine that kernels are made for, and for how they are.
int version(int* major, int* minor) {
  uint32_t hash = 2166136261u;
  const auto add = [&](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  };
  for (const char* file : {"loaded.h", "device.h", "hooks.h"})
    add(read(Path(TIDU_SOURCE_DIR "/csrc/simt/machine") / file));
  add(TIDU_KERNEL_OPTIONS);
  *major = 13;
  *minor = static_cast<int>(hash & 0x7fffffff);
  return kSuccess;
}

// Those of the device (host/calls_device.cpp).
int architecture_count(int* count) {
  *count = 1;
  return kSuccess;
}
int architectures(int* numbers) {
  *numbers = 90;
  return kSuccess;
}

bool is_complete() {
  return !compiler().empty() && std::filesystem::exists(TIDU_SOURCE_DIR "/csrc/simt/machine/loaded.h") &&
         std::filesystem::exists(TIDU_CUDA_INCLUDE_DIR "/cuda_runtime.h");
}

}  // namespace

[[gnu::visibility("default")]] const Nvrtc* nvrtc() {
  static constexpr Nvrtc functions = {version, architecture_count, architectures, create,    destroy,
                                      compile, log_size,           log,           code_size, code};
  return is_complete() ? &functions : nullptr;
}

}  // namespace tidu::simt
