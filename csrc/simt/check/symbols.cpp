// Lines by addr2line, asked once an address.
#include "simt/check/symbols.h"

#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string_view>

extern "C" {
// Of the linker; its first byte is where the file's address 0 was loaded.
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));
}

namespace tidu::simt {
namespace {

std::string image_path() {
  // A program's own name may be relative to a folder that it has left.
  char path[PATH_MAX];
  Dl_info info = {};
  dladdr(__ehdr_start, &info);
  const std::string name = info.dli_fname != nullptr ? info.dli_fname : "";
  if (name.ends_with(".so")) return name;
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : name;
}

// Shortens the path to what is below the source tree, wherever that was when it was compiled.
std::string below_root(std::string_view line) {
  const std::string path = std::filesystem::path(line).lexically_normal().string();
  for (const char* folder : {"/kernels/", "/csrc/", "/tests/simt/"}) {
    if (const size_t at = path.rfind(folder); at != std::string::npos) return path.substr(at + 1);
  }
  return path;
}

bool is_portability_layer(std::string_view line) {
  return line.starts_with("csrc/simt/") || line.starts_with("kernels/cuda/portable.h") ||
         line.starts_with("kernels/types.h") || line.starts_with("/usr/");
}

}  // namespace

const Image& image() {
  static const Image image = {__ehdr_start, static_cast<size_t>(_end - __ehdr_start)};
  return image;
}

std::vector<std::string> source_lines(const std::vector<const void*>& return_addresses) {
  static std::map<const void*, std::string> known;
  std::vector<const void*> asked;
  std::string command = "addr2line -e '" + image_path() + "' -a -i";
  for (const void* address : return_addresses) {
    if (!known.emplace(address, "?").second || !image().holds(address)) continue;
    asked.push_back(address);
    char offset[32];  // of the call, which ends one byte before the return address
    std::snprintf(offset, sizeof offset, " 0x%zx",
                  static_cast<size_t>(static_cast<const char*>(address) - image().base) - 1);
    command += offset;
  }
  if (FILE* pipe = asked.empty() ? nullptr : popen((command + " 2>/dev/null").c_str(), "r")) {
    // For each address: itself, then the lines from the innermost inlined call outwards.
    size_t next = 0;
    std::string* found = nullptr;
    char buffer[PATH_MAX + 64];
    while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) {
      std::string_view line = buffer;
      line = line.substr(0, line.find_first_of("\n("));  // "(discriminator 3)" may follow
      while (line.ends_with(' ')) line.remove_suffix(1);
      if (line.starts_with("0x")) {
        found = next < asked.size() ? &known[asked[next++]] : nullptr;
      } else if (found != nullptr && *found == "?" && !line.starts_with("?")) {
        const std::string path = below_root(line);
        if (!is_portability_layer(path)) *found = path;
      }
    }
    pclose(pipe);
  }
  std::vector<std::string> lines;
  for (const void* address : return_addresses) lines.push_back(known[address]);
  return lines;
}

std::string source_line(const void* return_address) { return source_lines({return_address})[0]; }

}  // namespace tidu::simt
