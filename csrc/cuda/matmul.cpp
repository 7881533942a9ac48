// How device cuda multiplies matrices.
#include "cuda/matmul.h"

#include <atomic>
#include <cstdlib>

#include "base/error.h"

namespace tidu::cuda {
namespace {

std::atomic<bool> tf32_allowed = false;

std::atomic<MatmulLibrary>& library() {
  static std::atomic<MatmulLibrary> chosen = [] {
    const char* const name = std::getenv("TIDU_CUDA_MATMUL");
    if (!name || !*name) return MatmulLibrary::automatic;
    try {
      return matmul_library_from_name(name);
    } catch (const ValueError& error) {
      fail<ValueError>(error.what(), " (the environment variable TIDU_CUDA_MATMUL)");
    }
  }();
  return chosen;
}

}  // namespace

void set_allow_tf32(bool allow) { tf32_allowed = allow; }
bool allow_tf32() { return tf32_allowed; }

MatmulLibrary matmul_library_from_name(std::string_view name) {
  if (name == "auto") return MatmulLibrary::automatic;
  if (name == "cublas") return MatmulLibrary::cublas;
  if (name == "tidu") return MatmulLibrary::tidu;
  fail<ValueError>("[matmul] no implementation is called \"", name, "\": there are auto, cublas and tidu");
}

const char* name_of(MatmulLibrary chosen) {
  constexpr const char* kNames[] = {"auto", "cublas", "tidu"};
  return kNames[static_cast<int>(chosen)];
}

void set_matmul(MatmulLibrary chosen) { library() = chosen; }
MatmulLibrary matmul_library() { return library(); }

}  // namespace tidu::cuda
