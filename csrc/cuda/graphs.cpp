// Whether compiled functions issue their work for device cuda as graphs.
#include "cuda/graphs.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace tidu::cuda {
namespace {

std::atomic<bool>& graphs() {
  static std::atomic<bool> value = [] {
    const char* const set = std::getenv("TIDU_CUDA_GRAPHS");
    return !set || std::string_view(set) != "0";
  }();
  return value;
}

}  // namespace

void set_graphs(bool on) { graphs() = on; }
bool uses_graphs() { return graphs(); }

}  // namespace tidu::cuda
