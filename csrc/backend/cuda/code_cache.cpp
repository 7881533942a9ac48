// Compiled code on disk.
//
// An entry is a line "tidu code SIZE SIZE HASH", then the key, then the code, of these sizes; the hash is the
// code's. Its name is the key's hash: as the key is compared, another of the same hash only costs a
// compilation.
#include "backend/cuda/code_cache.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.h"

namespace tidu::cuda {
namespace {

// FNV-1a.
std::string hash_of(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  std::ostringstream out;
  out << std::hex << hash;
  return out.str();
}

std::string headline(const std::string& key, const std::string& code) {
  return str("tidu code ", key.size(), " ", code.size(), " ", hash_of(code), "\n");
}

// Empty where there is none.
std::filesystem::path folder() {
  const auto set = [](const char* variable) {
    const char* value = std::getenv(variable);
    return std::filesystem::path(value ? value : "");
  };
  if (const auto chosen = set("TIDU_CACHE_DIR"); !chosen.empty()) return chosen / "kernels";
  if (const auto caches = set("XDG_CACHE_HOME"); !caches.empty()) return caches / "tidu/kernels";
  if (const auto home = set("HOME"); !home.empty()) return home / ".cache/tidu/kernels";
  return {};
}

}  // namespace

std::optional<std::string> find_code(const std::string& key) {
  if (folder().empty()) return {};
  std::ifstream file(folder() / hash_of(key), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const size_t line = bytes.find('\n') + 1;
  if (line == 0 || bytes.compare(line, key.size(), key) != 0) return {};
  std::string code = bytes.substr(std::min(bytes.size(), line + key.size()));
  if (code.empty() || bytes.compare(0, line, headline(key, code)) != 0) return {};
  return code;
}

// Other processes see the whole entry or none.
void keep_code(const std::string& key, const std::string& code) {
  if (folder().empty()) return;
  static std::atomic<int> count = 0;
  const auto place = folder() / hash_of(key);
  const auto made = folder() / str(hash_of(key), ".", getpid(), ".", ++count);
  std::error_code error;
  std::filesystem::create_directories(folder(), error);
  std::ofstream file(made, std::ios::binary);
  file << headline(key, code) << key << code;
  file.close();
  if (file) std::filesystem::rename(made, place, error);
  if (!file || error) std::filesystem::remove(made, error);
}

}  // namespace tidu::cuda
